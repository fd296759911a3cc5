"""The files that the user names: paths, folders, globs and lists, each file with a name of its own."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

from dfsync.model.errors import DfsyncError, Remedy
from dfsync.model.source_file import SourceFile, SourceSpec
from dfsync.text.redaction import without_credentials

_HEADER = b"SQLite format 3\x00"
_NAME_A_FILE = Remedy("Name a file with {source}.")
_ARROW, _TAB = " => ", "\t"


@dataclass(frozen=True)
class _Entry:
    """What one entry of the user names: a path with the name that was given, if any."""

    path: Path
    name: str | None = None


def find_files(spec: SourceSpec) -> tuple[SourceFile, ...]:
    """Find the SQLite files that a user names.

    Parameters
    ----------
    spec
        A file; a folder, of which it takes every SQLite file, by the header; a glob; any of these as `NAME:PATH`;
        several of these; or files by their names. What exists as it is written is no glob and has no name in it.

    Returns
    -------
    tuple of SourceFile
        At least one, in the order in which they were named, those of a folder or a glob by their paths. A file that is
        missing is among them. A file that was named twice is there once.

    Raises
    ------
    DfsyncError
        A folder or a glob without files, a name for several files, or one name for two of them.
    """
    if isinstance(spec, Mapping):
        entries = [each for name, path in spec.items() for each in _under_name(_checked(name), str(path))]
    else:
        given = [spec] if isinstance(spec, str | Path) else spec
        entries = [entry for each in given for entry in _entries(each)]
    if not entries:
        raise DfsyncError("No source is named.", Remedy("Name a SQLite file with {source}."))
    return _named(_each_once(entries))


def read_list(path: Path) -> list[str | tuple[str, str]]:
    """Read a list of sources.

    Parameters
    ----------
    path
        A text file: a path, a folder or a glob a line, which is relative to the list's folder. Before it may stand a
        name with a tab or ` => ` behind it. Empty lines count nothing, nor what begins with `#`.

    Returns
    -------
    list of str, or of name and path
        As `find_files` takes them.

    Raises
    ------
    DfsyncError
        Where the list cannot be read, or is empty.
    """
    try:
        lines = path.read_bytes().decode(errors="surrogateescape").splitlines()
    except OSError as error:
        raise DfsyncError(f"The list of sources {path} cannot be read: {error.strerror}.") from error
    listed = [
        _listed(path.parent, line.strip()) for line in lines if line.strip() and not line.lstrip().startswith("#")
    ]
    if not listed:
        raise DfsyncError(f"The list of sources {path} names no file: write a path into each line.")
    return listed


def _listed(folder: Path, line: str) -> str | tuple[str, str]:
    separator = next((sign for sign in (_ARROW, _TAB) if sign in line), None)
    if separator is None:
        name, path = _split(line) if not (folder / line).exists() else (None, line)
    else:
        name, path = (part.strip() for part in line.split(separator, 1))
    path = str(folder / path)
    return path if name is None else (name, path)


def _entries(given: str | Path | tuple[str, str | Path] | SourceFile) -> Iterator[_Entry]:
    if isinstance(given, SourceFile):
        yield _Entry(given.path, given.name if given.named else None)
        return
    if isinstance(given, tuple):
        yield from _under_name(_checked(given[0]), str(given[1]))
        return
    text = str(given)
    if Path(text).exists():
        yield from _at(text)
        return
    if "://" in text:
        # Perhaps the target, with its password.
        raise DfsyncError(f"{without_credentials(text)} is no file.", Remedy("Name a SQLite file with {source}."))
    name, path = _split(text)
    if name is None:
        yield from _at(text)
    else:
        yield from _under_name(_checked(name), path)


def _split(text: str) -> tuple[str | None, str]:
    """Split `NAME:PATH`. A single letter is the drive of a Windows path, and a glob may hold a colon."""
    name, colon, path = text.partition(":")
    is_drive = len(name) == 1 and path[:1] in ("\\", "/")
    if not colon or not name or not path or is_drive or glob.has_magic(name):
        return None, text
    return name, path


def _under_name(name: str, text: str) -> Iterator[_Entry]:
    found = [*_at(text)]
    if len(found) > 1:
        raise DfsyncError(f"The name {name} is for one file, and {text} is {len(found)} of them: name each by itself.")
    yield from (replace(entry, name=name) for entry in found)


def _checked(name: str) -> str:
    """A name that can be a part of a path below the output folder."""
    parts = PurePath(name).parts
    if not name or name.startswith("/") or {".", ".."} & {*parts} or not name.isprintable() or "\\" in name:
        raise DfsyncError(f"{name!r} is no name for a source: take letters, digits, dots, dashes or underlines.")
    return name


def _at(text: str) -> Iterator[_Entry]:
    path = Path(text)
    if path.is_dir():
        found = sorted(each for each in path.iterdir() if _is_sqlite(each))
        if not found:
            raise DfsyncError(f"There is no SQLite file in the folder {path}{_below(path)}", _NAME_A_FILE)
        yield from map(_Entry, found)
    elif path.exists() or not glob.has_magic(text):
        yield _Entry(path)
    else:
        matches = sorted(Path(each) for each in glob.glob(text, recursive=True))
        found = [each for each in matches if each.is_file()]
        if not found:
            raise DfsyncError(f"No file matches {text}.", Remedy("Name SQLite files with {source}."))
        yield from map(_Entry, found)


def _below(folder: Path) -> str:
    """End the sentence: where the files lie in the folders of a folder, name the glob that finds them."""
    found = next((each for each in sorted(folder.glob("*/*")) if each.is_file() and _is_sqlite(each)), None)
    if found is None:
        return "."
    pattern = folder / "*" / f"*{found.suffix}"
    return f", and folders in it are not searched. They hold such files: '{pattern}' names them."


def _is_sqlite(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_HEADER)) == _HEADER
    except OSError:
        return False


def _each_once(entries: Iterable[_Entry]) -> list[_Entry]:
    by_path: dict[Path, _Entry] = {}
    for entry in entries:
        before = by_path.setdefault(entry.path.resolve(), entry)
        if before.name is None and entry.name is not None:
            by_path[entry.path.resolve()] = replace(before, name=entry.name)
        elif entry.name not in (None, before.name):
            raise DfsyncError(f"{entry.path} is named twice, as {before.name} and as {entry.name}.")
    names = Counter(entry.name for entry in by_path.values() if entry.name is not None)
    twice = next((name for name, count in names.items() if count > 1), None)
    if twice is not None:
        paths = " and ".join(str(entry.path) for entry in by_path.values() if entry.name == twice)
        raise DfsyncError(f"{twice} is the name of several sources, {paths}: give each its own.")
    return [*by_path.values()]


def _named(entries: list[_Entry]) -> tuple[SourceFile, ...]:
    """Give each file the shortest end of its path as its name that no other file has."""
    given = {entry.name for entry in entries if entry.name is not None}
    unnamed = [entry.path for entry in entries if entry.name is None]
    names = dict(zip(unnamed, _unique_ends(unnamed, given), strict=True))
    return tuple(SourceFile(entry.name or names[entry.path], entry.path, entry.name is not None) for entry in entries)


def _unique_ends(paths: list[Path], taken: Iterable[str]) -> list[str]:
    parts = [path.resolve().parts for path in paths]
    beside = Counter((path.resolve().parent, path.stem) for path in paths)
    # Two files of one folder may differ in their suffix alone.
    ends = [path.name if beside[path.resolve().parent, path.stem] > 1 else path.stem for path in paths]
    names = list(ends)
    depth = 0
    while clashes := {name for name, count in Counter([*names, *taken]).items() if count > 1}:
        depth += 1
        for number, name in enumerate(names):
            if name in clashes:
                names[number] = "/".join((*parts[number][1:-1][-depth:], ends[number]))
        if depth > max(map(len, parts)):
            raise DfsyncError(f"{min(clashes)} is the name of several sources: give each its own, as NAME:PATH.")
    return names
