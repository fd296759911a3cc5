"""The lines of single rows of a run: what became of each, and what an update would change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dfsync.model.frames import ACTION, INSERTED, MATCHED, NEW_ID, OLD_ID, UPDATED
from dfsync.model.source_file import SOURCE
from dfsync.text.redaction import MASK, is_secret_column
from dfsync.text.wording import printable, singular, title_case_name

if TYPE_CHECKING:
    import pandas as pd

    from dfsync.plan.model import TablePlan

_LONG_MESSAGE = 1000
_OWN = (OLD_ID, NEW_ID, ACTION)
"""The first columns of a mapping, of several sources after the source's name; those of the natural key follow."""
RowName = tuple[str, int]
"""The name of its source, empty where there is one, and its old id."""
Line = tuple[float, str, str]
"""Its rank among the others, its mark, its text."""


def _is_null(value: Any) -> bool:
    import pandas as pd

    return bool(pd.isna(value))


def _shown(value: object) -> str:
    return "NULL" if _is_null(value) else printable(value)


def changed_cells(cells: pd.DataFrame) -> dict[RowName, str]:
    """Word what an update would change.

    Parameters
    ----------
    cells
        As in `Observer.cells_updated`.

    Returns
    -------
    dict of RowName to str
        The columns of each row with their old and new values.
    """
    texts: dict[RowName, str] = {}
    columns = (cells[name] for name in ("column", "target_value", "source_value"))
    for source, old_id, column, before, after in zip(_sources(cells), cells.index, *columns, strict=True):
        told, row = f"{printable(column)}: {_quoted(before)} -> {_quoted(after)}", (source, int(old_id))
        texts[row] = f"{texts[row]}, {told}" if row in texts else told
    return texts


def _sources(rows: pd.DataFrame) -> list[str]:
    return [str(name) for name in rows[SOURCE]] if rows.columns[:1].tolist() == [SOURCE] else [""] * len(rows)


def _of(source: str) -> str:
    return f" of {printable(source)}" if source else ""


def _quoted(value: object) -> str:
    return "NULL" if _is_null(value) else f"'{printable(value)}'"


# Row by row, because only a few rows get here, or all of them for one who asked with --verbose.
def mapping_lines(
    table: TablePlan, mapping: pd.DataFrame, dry_run: bool, cells: dict[RowName, str], known: set[int]
) -> list[Line]:
    """Word what became of the rows that have a target row.

    Parameters
    ----------
    table
        The planned table.
    mapping
        A part of its mapping frame.
    dry_run
        Whether nothing was written.
    cells
        What an update would change in each row, to be added to its line.
    known
        The new ids of earlier parts, to which those of this one are added.

    Returns
    -------
    list of Line
        One a row, harmless to a terminal.
    """
    thing = singular(title_case_name(table.name))
    # By position: a key's column that is called like one of ours has another name in the mapping.
    places = [i for i, column in enumerate(table.key) if column not in table.parents]
    secret = [is_secret_column(table.key[i]) for i in places]
    sources, own = _sources(mapping), list(mapping.columns).index(OLD_ID) + len(_OWN)
    values = [mapping.iloc[:, own + i] for i in places] if len(mapping.columns) > own else []
    keys = zip(*values, strict=True) if values else [()] * len(mapping)
    sync, update = (" would be synced", " would be updated") if dry_run else ("", "")
    kinds = {INSERTED: ("SYNC", sync), MATCHED: ("SKIP", " already exists"), UPDATED: ("UPDATE", update)}
    lines: list[Line] = []
    for source, old_id, new_id, action, key in zip(
        sources, mapping["old_id"], mapping["new_id"], mapping["action"], keys, strict=True
    ):
        # A row of a table without ids is known by its rowid in the source alone.
        ids = f"ID: {old_id} -> {'new' if _is_null(new_id) else new_id}" if table.id else f"row {old_id}"
        ids += _of(source)
        shown = (MASK if masked else _shown(value) for value, masked in zip(key, secret, strict=False))
        name = f" '{' / '.join(shown)}'" if key else ""
        mark, remark = kinds[action]
        if action == MATCHED and table.id and (_is_null(new_id) or new_id in known):
            remark = " shares the row of an earlier one"
        known.add(new_id)
        changes = f": {cells[source, old_id]}" if (source, old_id) in cells else ""
        lines.append((old_id, mark, f"{thing}{name}{remark} ({ids}){changes}"))
    return lines


def reject_lines(table: TablePlan, rejects: pd.DataFrame) -> list[Line]:
    """Word why rows were rejected.

    Parameters
    ----------
    table
        The planned table.
    rejects
        Rows of its reject frame.

    Returns
    -------
    list of Line
        One a row, harmless to a terminal.
    """
    thing = singular(title_case_name(table.name))
    lines: list[Line] = []
    columns = (rejects[column] for column in ("old_id", "column", "value", "reason"))
    for source, old_id, column, value, reason in zip(_sources(rejects), *columns, strict=True):
        which = "" if _is_null(old_id) else f" ({'ID:' if table.id else 'row'} {old_id}{_of(source)})"
        where = "" if _is_null(column) else f"column {printable(column)}: value {_quoted(value)}: "
        rank = float("inf") if not which else old_id
        lines.append((rank, "FAIL", f"{thing}{which}: {where}{printable(reason, _LONG_MESSAGE)}"))
    return lines
