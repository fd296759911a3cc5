"""What can go wrong for a reason that the user can act on, and what the user can do about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

PYTHON_NAMES: Mapping[str, str] = {
    "source": "source=",
    "target": "target=",
    "out": "out=",
    "plan": "SyncOptions(plan=...)",
    "tables": "SyncOptions(tables=...)",
    "force": "force=True",
    "keep_runs": "SyncOptions(keep_runs=...)",
    "keep_ids": 'SyncOptions(keep_ids="free")',
    "runs": "dfsync.runs(out)",
    "all_since": "all_since=",
    "run_triggers": "UndoOptions(run_triggers=True)",
}
"""What the parameters that a remedy names are called in Python."""


@dataclass(frozen=True)
class Remedy:
    """What the user can do about an error, in a sentence that the command line and Python complete each for themselves.

    Parameters
    ----------
    sentence
        The advice. `{source}`, `{target}`, `{out}`, `{plan}`, `{tables}`, `{force}`, `{all_since}`, `{keep_runs}`,
        `{keep_ids}` and `{run_triggers}` stand for parameters, `{runs}` for the command or the call that lists runs,
        `{create_tables}` for the one that creates the missing tables.
    source
        The SQLite file of `{create_tables}`.
    plan
        The plan file of `{create_tables}`; None where none was given.
    exclude, keep_ids
        As in `SyncOptions`, for `{create_tables}`.
    """

    sentence: str
    source: str | Path | None = None
    plan: str | Path | None = None
    exclude: tuple[str, ...] = ()
    keep_ids: str | None = None

    def worded(self, names: Mapping[str, str]) -> str:
        """Complete the sentence with `names` by placeholder."""
        return self.sentence.format_map(names)

    def __str__(self) -> str:
        plan = None if self.plan is None else str(self.plan)
        given = {"plan": plan, "exclude": list(self.exclude), "keep_ids": self.keep_ids}
        said = ", ".join(f"{name}={value!r}" for name, value in given.items() if value)
        options = f", options=dfsync.SyncOptions({said})" if said else ""
        call = f"dfsync.create_tables({str(self.source)!r}{options})"
        return self.worded({**PYTHON_NAMES, "create_tables": call})


class DfsyncError(Exception):
    """One plain sentence or two: what happened, where, and what to do. Shown without a traceback, exit status 2.

    As text it is for callers in Python; `dfsync.cli.remedies` words it for the command line.

    Parameters
    ----------
    message
        What happened. With a remedy it may end in a line break, which then parts the two, in place of a blank.
    remedy
        What the user can do, where that names a parameter or a command.
    """

    def __init__(self, message: str, remedy: Remedy | None = None) -> None:
        super().__init__(message)
        self.parts: tuple[tuple[str, Remedy | None], ...] = ((message, remedy),)

    @staticmethod
    def combined(errors: Iterable[DfsyncError]) -> DfsyncError:
        """Join several errors into one that says what all of them say."""
        error = DfsyncError("")
        error.parts = tuple(part for each in errors for part in each.parts)
        return error

    def __str__(self) -> str:
        return error_text((message, None if remedy is None else str(remedy)) for message, remedy in self.parts)


def error_text(parts: Iterable[tuple[str, str | None]]) -> str:
    """Make the text of an error from its messages, each with its remedy as it is worded for the reader."""
    sentences = (message if advice is None else _joined(message, advice) for message, advice in parts)
    return " ".join(sentences)


def _joined(message: str, advice: str) -> str:
    return message + advice if message.endswith("\n") else f"{message} {advice}"


class OutputWriteError(DfsyncError):
    """A file that has no room, or no permission; a run goes on without it, exit status 1.

    Parameters
    ----------
    path
        The file.
    error
        Why it cannot be written.
    """

    def __init__(self, path: Path, error: OSError) -> None:
        self.path = path
        self.reason = error.strerror or str(error)
        super().__init__(f"{path} cannot be written: {self.reason}. Make room or choose another folder, and run again.")


class SourceError(DfsyncError):
    """One file of several that cannot be read any more: the others go on, exit status 1.

    Parameters
    ----------
    name
        The name of the source.
    reason
        Why it cannot be read.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"The source {name} fails. {reason}")


class TableError(DfsyncError):
    """A table that fails as a whole: its transaction rolls back, the other tables go on, exit status 1."""
