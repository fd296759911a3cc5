"""Whose rows the files of an output folder are: of which source, and of which target."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dfsync.model.errors import DfsyncError, Remedy
from dfsync.model.source_file import SourceFile
from dfsync.output.evidence import MapOrigin, matching, read_origin
from dfsync.output.files import MAPPINGS, PIECES, SOURCES, SUMMARY, UNMAPPED
from dfsync.output.folder.id_mappings import ID_MAPPINGS


def holds_several(out: Path) -> bool:
    """Tell whether a folder has maps of several sources, which say of each row of which one it is."""
    return any(origin.several for origin in map(read_origin, _maps(out)) if origin is not None)


def require_same_source(out: Path, files: Sequence[SourceFile]) -> None:
    """Refuse a folder with the maps of another source, which would be lost.

    Maps of several sources, one of which is among those of the run, are kept.

    Parameters
    ----------
    out
        The output folder.
    files
        The SQLite files of the run that starts.

    Raises
    ------
    DfsyncError
        Names the other file.
    """
    other = other_source(out, files)
    if other is not None and _maps(out):
        raise DfsyncError(
            f"{out} holds the maps of a sync of {other}, and this one is of {said(files)}: they would be lost.",
            Remedy("Choose another {out} for each source."),
        )


def discard_other_target(out: Path, target: str, *, whole: bool) -> str | None:
    """Remove what a run into another target left, so that mappings of two targets do not mix.

    Parameters
    ----------
    out
        The output folder.
    target
        Database and server of the run that starts.
    whole
        Whether that run syncs all tables of the plan, and so writes all files anew.

    Returns
    -------
    str or None
        The other target; None where the files are of the same target, or there are none.

    Raises
    ------
    DfsyncError
        Where the files are of another target and the run is not `whole`.
    """
    before = other_target(out, target)
    if before is None:
        return None
    if not whole:
        raise DfsyncError(
            f"{out} holds the maps of a sync into {before}, and this one writes into {target}.",
            Remedy("Choose another {out}, or sync without {tables}."),
        )
    for path in (*out.glob("*/*.parquet"), out / ID_MAPPINGS, *(out / SOURCES).glob(f"**/{ID_MAPPINGS}")):
        path.unlink(missing_ok=True)
    return before


def require_same_ends(out: Path, source: Sequence[SourceFile], target: str) -> None:
    """Refuse maps of another source or target.

    Parameters
    ----------
    out
        The output folder.
    source
        The SQLite files.
    target
        Database and server.

    Raises
    ------
    DfsyncError
        Names both.
    """
    own = said(source)
    other = other_source(out, source)
    if other is not None:
        remedy = Remedy("Name its {out} or {source}.")
        raise DfsyncError(f"The maps in {out} are of {other}, and not of {own}.", remedy)
    other = other_target(out, target)
    if other is not None:
        remedy = Remedy("Name its {out} or {target}.")
        raise DfsyncError(f"The maps in {out} are of a sync into {other}, and not into {target}.", remedy)


def _maps(out: Path) -> list[Path]:
    return [path for folder in (MAPPINGS, UNMAPPED, PIECES) for path in sorted((out / folder).glob("[!.]*.parquet"))]


def _origins(out: Path) -> list[MapOrigin]:
    return [origin for origin in map(read_origin, _maps(out)) if origin is not None]


def said(files: Sequence[SourceFile]) -> str:
    """Name the files of a source: the one by its absolute path, several by the first one and their number."""
    first = str(files[0].path.resolve())
    return first if len(files) == 1 else f"{first} and {len(files) - 1} more"


def other_source(out: Path, files: Sequence[SourceFile]) -> str | None:
    """Find a source whose files a folder holds, and that has no file in common with this one.

    Parameters
    ----------
    out
        The output folder.
    files
        The SQLite files.

    Returns
    -------
    str or None
        What the files are of; None where it is the same, or there are none.
    """
    origins = [origin for origin in _origins(out) if origin.source_files]
    if origins:
        others = [origin.source_files for origin in origins if not matching(origin.source_files, files)]
        return min(map(said, others), default=None)
    before = _before(out, "source")
    # A relative path may start in another folder than this.
    if before is None or not (Path(before).is_absolute() or Path(before).exists()):
        return None
    return None if any(Path(before).resolve() == file.path.resolve() for file in files) else str(Path(before).resolve())


def other_target(out: Path, target: str) -> str | None:
    """Find another target, as database and server, whose files a folder holds; None as of `other_source`."""
    origins = _origins(out)
    before = _before(out, "target")
    targets = {origin.target for origin in origins} or ({before} if before is not None else set())
    return min(targets - {target}, default=None)


def _before(out: Path, end: str) -> str | None:
    """What the summary says: of maps from before they said it themselves, or where there are none to say it."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        content = json.loads((out / SUMMARY).read_text())
        return None if end == "source" and "sources" in content else str(content[end])
    return None
