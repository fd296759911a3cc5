"""What a person sees of a verification: a line and the first differences per table, and what they mean."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import rich.console
from rich import box
from rich.table import Table
from rich.text import Text

from dfsync.cli.render.tables import print_table
from dfsync.text.wording import is_missing, printable, quoted_pair, title_case_name, with_count

if TYPE_CHECKING:
    import pandas as pd

    from dfsync.commands.verify import VerifyResult
    from dfsync.commands.verify_rows import VerifyCounts

SHOWN = 10
_LONGEST = 1000
_COUNTED = {
    "equal": "equal",
    "changed": "changed",
    "kept": "kept",
    "shared": "shared",
    "deleted": "deleted",
    "missing": "missing",
    "rejected": "rejected by the sync",
}
_MEANING = {
    "changed": "not as a sync wrote them; changed since, in the target or in the source",
    "kept": "in the target before the last sync, and not as the source is now; --on-match update brings the source's",
    "shared": "one target row with a source row of a lower id and the same natural key, whose values count",
    "deleted": "their target row is gone since the sync",
    "missing": "never synced; run a sync",
    "rejected": "without a target row, as the sync said; rejects/ in the --out folder has the reasons",
}


def show_verify(result: VerifyResult, folder: Path, out: rich.console.Console, *, quiet: bool = False) -> None:
    """Prints the result; `folder` is where `verify/NAME.parquet` are. `quiet` leaves out tables that do not differ."""
    for table in (table for table in result.tables if table.differ or not quiet):
        _say(out, _line(table), "red" if table.differ else "")
        if table.differ:
            has_id = result.plan is None or result.plan[table.name].id is not None
            _show_differences(result.differences[table.name], has_id, folder / "verify" / f"{table.name}.parquet", out)
    overall = result.as_dict()["overall"]
    if result.ok and quiet:
        _say(out, _overall(result))
        return
    _say(out, "")
    for key, meaning in _MEANING.items():
        if overall[key]:
            _say(out, f"{overall[key]} {_COUNTED[key]}: {meaning}")
    _say(out, _overall(result))


def _overall(result: VerifyResult) -> str:
    overall = result.as_dict()["overall"]
    differ = sum(table.differ for table in result.tables)
    verdict = f"{differ} differ{'s' * (differ == 1)}" if differ else "nothing differs"
    rejected = f", {overall['rejected']} rejected by the sync" if overall["rejected"] else ""
    tables = with_count(sum(table.note is None for table in result.tables), "tables")
    return f"OVERALL: {with_count(overall['total'], 'rows')} of {tables} verified, {verdict}{rejected}"


def _line(table: VerifyCounts) -> str:
    name = title_case_name(table.name)
    if table.note is not None:
        return f"{name}: not verified: {printable(table.note, _LONGEST)}"
    counts = {words: getattr(table, key) for key, words in _COUNTED.items()}
    parts = [f"{count} {words}" for words, count in counts.items() if count] or ["nothing to verify"]
    return f"{name}: {with_count(table.total, 'rows')}: {', '.join(parts)}"


def _show_differences(differences: pd.DataFrame, has_id: bool, file: Path, out: rich.console.Console) -> None:
    grid = Table(box=box.SIMPLE_HEAD if out.is_terminal else None, pad_edge=False, padding=(0, 2, 0, 0))
    places = ("old id", "new id", "action") if has_id else ("row",)
    for title in ("", *places, "kind", "column", "source", "target"):
        grid.add_column(title, overflow="fold")
    # Row by row: only the first few get here.
    for row in differences.head(SHOWN).astype(object).itertuples(index=False):
        ids = (_shown(row.old_id), _shown(row.new_id), _shown(row.action))[: len(places)]
        values = ("", "") if is_missing(row.column) else quoted_pair(row.source_value, row.target_value)
        grid.add_row("", *map(Text, (*ids, str(row.kind), _shown(row.column), *values)))
    print_table(grid, out)
    if len(differences) > SHOWN:
        _say(out, f"  ... and {len(differences) - SHOWN} more, all in {printable(file, _LONGEST)}")


def _shown(value: Any) -> str:
    return "-" if is_missing(value) else printable(value)


def _say(out: rich.console.Console, text: str, style: str = "") -> None:
    out.print(Text(text, style), soft_wrap=True)
