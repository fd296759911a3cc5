"""Names that a plan gives the target: of a table, and of its columns.

The rest of the program sees the source under these names, so that both databases call a thing the same.
"""

from __future__ import annotations

from dataclasses import replace

from dfsync.plan.model import ForeignKey, TablePlan


def with_target_names(draft: TablePlan) -> TablePlan:
    """Give the columns that a draft names the names that they have in the target.

    Parameters
    ----------
    draft
        The draft, as a file says it, with its `columns`. It may call a column as the source or as the target does.

    Returns
    -------
    TablePlan
        A name that is both, since columns swap names, is taken for that of the target.
    """
    renamed = {name.lower(): new for name, new in draft.columns}
    new_names = {new.lower() for new in renamed.values()}

    def named(column: str) -> str:
        return column if column.lower() in new_names else renamed.get(column.lower(), column)

    def all_named(columns: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(named, columns))

    return replace(
        draft,
        id=named(draft.id) if draft.id else draft.id,
        natural_key=None if draft.natural_key is None else all_named(draft.natural_key),
        foreign_keys=None
        if draft.foreign_keys is None
        else tuple(ForeignKey(named(key.column), key.parent) for key in draft.foreign_keys),
        ignore_columns=all_named(draft.ignore_columns),
        plain_columns=all_named(draft.plain_columns),
        convert=tuple((named(column), said) for column, said in draft.convert),
        dates=tuple((named(column), said) for column, said in draft.dates),
        types=tuple((named(column), said) for column, said in draft.types),
        update_columns=None if draft.update_columns is None else all_named(draft.update_columns),
    )


def renaming_faults(draft: TablePlan) -> dict[str, bool]:
    """Find what contradicts itself in the names of a draft, and in where its rows come from.

    Parameters
    ----------
    draft
        The draft.

    Returns
    -------
    dict of str to bool
        By what is wrong, as words that follow the name of the table: whether it is so.
    """
    return {
        "columns gives two columns one name": _has_twins(draft, 1),
        "columns names a column twice": _has_twins(draft, 0),
        "has a query, so it needs no columns: name them in the query, as in full_name AS name": draft.query is not None
        and bool(draft.columns),
    }


def _has_twins(draft: TablePlan, side: int) -> bool:
    names = [pair[side].lower() for pair in draft.columns]
    return len(set(names)) < len(names)
