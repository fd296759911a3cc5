"""What every stage returns: the rows that passed it, the rows that did not, and what there is to say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from dfsync.model.rejects import no_rejects


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
        By column, what the target cannot hold of its values' precision. A note never takes a row out of the batch.
    """

    frame: pd.DataFrame
    rejects: pd.DataFrame = field(default_factory=no_rejects)
    notes: Mapping[str, str] = field(default_factory=dict)
