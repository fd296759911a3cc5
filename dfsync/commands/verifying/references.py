"""References that no plan declares: whether their values name the rows in the target that they name in the source."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa

from dfsync.model import frames
from dfsync.model.source_file import SOURCE
from dfsync.output import files
from dfsync.pipeline.session.reference_evidence import LikelyReference, as_integer, likely_references
from dfsync.pipeline.session.session import Session
from dfsync.target.schema.reflection import reflect
from dfsync.text.wording import printable

_ROWS = "rows"


def reference_notes(connection: sa.Connection, run: Session, out: Path) -> Iterator[str]:
    """Tell of columns that look like foreign keys, and whose ids were copied though their rows have other ids now.

    Parameters
    ----------
    connection
        To the target.
    run
        The session, with the plan that the sync had.
    out
        The output folder, with the mappings.

    Yields
    ------
    str
        A sentence for each column of which some values name other rows than in the source.
    """
    # A column that a person has called plain is told, too: nothing differs, and its values still name other rows.
    plain = tuple(replace(table, plain_columns=()) for table in run.plan.tables)
    for likely in likely_references(replace(run.plan, tables=plain), run.source, reflect(connection)):
        is_mapped = files.mapping_path(out, likely.parent).is_file()
        if is_mapped and likely.table in run.names and likely.table in run.bindings:
            same, other = _counts(run, likely, out)
            if other:
                yield (
                    f"{printable(likely.table)}.{printable(likely.column)} looks like an id of "
                    f"{printable(likely.parent)}, and {other} of {same + other} point to other rows than in the source"
                )


def _counts(run: Session, likely: LikelyReference, out: Path) -> tuple[int, int]:
    """How many rows have an id that is the parent's in the target too, and how many one that is another there."""
    column: Any = sa.column(likely.column)
    number = as_integer(column)
    values = (
        sa.select(number.label(frames.OLD_ID), sa.func.count().label(_ROWS))
        .select_from(sa.table(run.bindings[likely.table].source.sql_name))
        .where(number.is_not(None))
        .group_by(number)
    )
    mapping = files.read_map(out, likely.parent, *([SOURCE] if run.source.several else []))
    names = {file.path: file.name for file in run.source.files}
    same = other_rows = 0
    for name, table in run.source.each(lambda file: (file.files[0], file.query(values))):
        own = mapping if not run.source.several else mapping[mapping[SOURCE] == names[name.path]]
        found = frames.from_arrow(table).merge(own, on=frames.OLD_ID)
        other = (found[frames.OLD_ID] != found[frames.NEW_ID]).to_numpy(dtype=bool)
        rows: pd.Series[int] = found[_ROWS]
        same += int(rows[~other].sum())
        other_rows += int(rows[other].sum())
    return same, other_rows
