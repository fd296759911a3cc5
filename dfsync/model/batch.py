"""What every stage returns: the rows that passed it, the rows that did not, and what there is to say."""

from __future__ import annotations

from dataclasses import dataclass, field

import pandas as pd

from dfsync.model.rejects import no_rejects
from dfsync.model.types import OldIds


@dataclass(frozen=True)
class ValueNote:
    """Values of one column that the target's column does not hold as the source has them.

    Attributes
    ----------
    column
        The column, as the source calls it.
    text
        What the target's column does to them, such as rounding.
    ids
        int64: the `old_id` of their rows.
    """

    column: str
    text: str
    ids: OldIds


@dataclass(frozen=True)
class Batch:
    """The result of one stage for one batch of source rows.

    Attributes
    ----------
    frame
        The rows that passed the stage: index `old_id` (int64, unique), columns of Arrow dtypes.
    rejects
        The rows that did not: index `old_id` (int64), one row per rejected row; `column`, `value` and `reason` as
        Arrow strings, of the first column at fault.
    notes
        The values that the target cannot hold as they are. A note never takes a row out of the batch.
    """

    frame: pd.DataFrame
    rejects: pd.DataFrame = field(default_factory=no_rejects)
    notes: tuple[ValueNote, ...] = ()
