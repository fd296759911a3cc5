"""The runs of an output folder, and what became of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dfsync.output.journal.record import LOST, RunRecord, read_records, require_folder
from dfsync.output.result import Result
from dfsync.text.wording import with_count

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, repr=False)
class RunsResult(Result):
    """The runs of which a journal is kept, the oldest first."""

    runs: tuple[RunRecord, ...]

    @property
    def summary(self) -> pd.DataFrame:
        """One row per run, index `run`.

        `started` str, as in ISO 8601; `source`, `target` str; `inserted`, `updated`, `failed` int64; `state` str:
        `done`; `not finished`, of a run that goes on or was killed; `unknown`, where the connection was lost in a
        COMMIT, or the run was killed in it, and nobody has looked since; `journal lost`, where nobody can look, since
        files of the run are gone; `undone`; `partly undone`. `kept` int64, the
        rows that an undo left; `failed_sources` int64, of several sources those that could not be read.
        """
        import pandas as pd

        rows = [_line(record) for record in self.runs]
        names = (
            "run",
            "started",
            "source",
            "target",
            "inserted",
            "updated",
            "failed",
            "state",
            "kept",
            "failed_sources",
        )
        return pd.DataFrame(rows, columns=list(names)).set_index("run")

    def __repr__(self) -> str:
        return f"<RunsResult: {with_count(len(self.runs), 'runs')}>"

    def as_dict(self) -> dict[str, Any]:
        """Give what `--json` prints."""
        return {"runs": [{**_line(record), **asdict(record)} for record in self.runs]}


def _line(record: RunRecord) -> dict[str, Any]:
    return {
        "run": record.id,
        "started": record.started,
        "source": record.source,
        "target": record.target,
        **{what: record.count(what) for what in ("inserted", "updated", "failed")},
        "state": _state(record),
        "kept": sum(table.undone.kept for table in record.tables if table.undone),
        "failed_sources": len(record.failed_sources),
    }


def _state(record: RunRecord) -> str:
    if record.is_unknown:
        return "unknown"
    if record.undone is not None:
        return "undone"
    if any(table.undone for table in record.tables):
        return "partly undone"
    if record.is_lost:
        return LOST
    return "not finished" if record.finished is None else "done"


def runs(out: str | Path = "dfsync-out") -> RunsResult:
    """List the runs of an output folder.

    Parameters
    ----------
    out
        The folder of the runs.

    Returns
    -------
    RunsResult
        Empty where there are none.

    Raises
    ------
    DfsyncError
        There is no such folder.
    """
    require_folder(Path(out))
    return RunsResult(tuple(read_records(Path(out))))
