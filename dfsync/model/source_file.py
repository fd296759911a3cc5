"""The files of a source and their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SOURCE = "source"
"""The column that says of which file a row is, in the files of a sync of several."""


@dataclass(frozen=True)
class SourceFile:
    """A SQLite file with the name that users know it by.

    Attributes
    ----------
    name
        No other file of the run has it.
    path
        As it was given.
    named
        Whether a person gave the name. It says then who the source is, whatever the path is: a dump has another one
        each night.
    """

    name: str
    path: Path
    named: bool = False

    def is_same(self, other: SourceFile) -> bool:
        """Tell whether a file of another run is this source: by its name where a person gave both, else by its path."""
        if self.named and other.named:
            return self.name == other.name
        return self.path.resolve() == other.path.resolve()


SourceSpec = (
    str | Path | Sequence[str | Path | tuple[str, str | Path]] | Sequence[SourceFile] | Mapping[str, str | Path]
)
"""What names a source: a SQLite file, a folder of them or a glob; several of these, some with names; or files by their
names."""
