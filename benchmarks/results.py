"""What has been measured, kept in a file after each step, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Measured:
    """One step of one contestant in one round. `rows` is the number of commits, `in_all` that of all tables' rows."""

    case: str
    contestant: str
    rows: int
    round: int
    seconds: float | None
    peak_mb: float | None = None
    in_all: int = 0
    error: str = ""
    stolen: float = 0.0
    """The share of the processors' time that other machines had meanwhile."""


@dataclass
class Results:
    """Owns the file of results: one run's, of one state of the code."""

    path: Path
    code: str
    measured: list[Measured] = field(default_factory=list)

    @classmethod
    def open(cls, path: Path, code: str) -> Results:
        """The results in the file, where they are of this code; else none."""
        kept = json.loads(path.read_text()) if path.exists() else {}
        if kept.get("code") != code:
            return cls(path, code)
        return cls(path, code, [Measured(**one) for one in kept["measured"]])

    def add(self, new: Measured) -> None:
        self.measured = [one for one in self.measured if _key(one) != _key(new)] + [new]
        text = json.dumps({"code": self.code, "measured": [asdict(one) for one in self.measured]}, indent=1)
        partial = self.path.with_suffix(".partial")
        partial.write_text(text)
        partial.replace(self.path)

    def of(self, case: str, contestant: str, rows: int) -> list[Measured]:
        return [one for one in self.measured if _key(one)[:3] == (case, contestant, rows)]

    def has(self, case: str, contestant: str, rows: int, number: int) -> bool:
        return any(one.round == number for one in self.of(case, contestant, rows))

    def seconds(self, case: str, contestant: str, rows: int) -> float | None:
        """The median of the rounds; None where it was not measured or did not do its work."""
        return _median([one.seconds for one in self.of(case, contestant, rows)])

    def peak_mb(self, case: str, contestant: str, rows: int) -> float | None:
        return _median([one.peak_mb for one in self.of(case, contestant, rows)])

    def stolen(self, contestant: str) -> float:
        """The median over the contestant's steps of what was stolen from them."""
        return statistics.median([one.stolen for one in self.measured if one.contestant == contestant] or [0.0])

    def error(self, case: str, contestant: str, rows: int) -> str:
        return next((one.error for one in self.of(case, contestant, rows) if one.error), "")

    def sizes(self, case: str) -> list[int]:
        return sorted({one.rows for one in self.measured if one.case == case})

    def contestants(self, case: str) -> list[str]:
        return list(dict.fromkeys(one.contestant for one in self.measured if one.case == case))


def _key(one: Measured) -> tuple[str, str, int, int]:
    return one.case, one.contestant, one.rows, one.round


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known and len(known) == len(values) else None
