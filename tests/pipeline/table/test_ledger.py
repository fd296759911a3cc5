"""What became of each source row, without a database."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from dfsync.model.frames import INSERTED, MATCHED, UPDATED
from dfsync.model.rejects import reject_frame
from dfsync.pipeline.table.ledger import RowLedger, RowMatches


def matches(*rows: tuple[int, int | None, int]) -> RowMatches:
    """`old_id`, `new_id` or None, `representative_id`."""
    return RowMatches(
        np.array([row[0] for row in rows], np.int64),
        np.array([row[1] or 0 for row in rows], np.int64),
        np.array([row[1] is not None for row in rows]),
        np.array([row[2] for row in rows], np.int64),
    )


def ledger(*rows: tuple[int, int | None, int]) -> RowLedger:
    made = RowLedger()
    made.enter(matches(*rows))
    return made


def ids(of: RowLedger) -> dict[int, int]:
    id_map = of.id_map()
    return dict(zip(id_map["old_id"].tolist(), id_map["new_id"].tolist(), strict=True))


def inserted(**new_ids: int) -> pd.Series[int]:
    return pd.Series(list(new_ids.values()), index=[int(name.removeprefix("row")) for name in new_ids])


def candidates(of: RowLedger, attempted: list[bool] | None = None) -> list[int]:
    mask = np.zeros(len(of), dtype=bool) if attempted is None else np.array(attempted)
    found: list[int] = of.old_id[of.next_candidates(mask)].tolist()
    return found


def test_an_empty_ledger_knows_no_row() -> None:
    empty = RowLedger()
    assert len(empty) == 0
    assert ids(empty) == {}
    assert empty.rejects().empty
    assert candidates(empty) == []


def test_of_rows_with_one_key_the_representative_is_inserted_and_the_others_share_its_row() -> None:
    made = ledger((1, None, 1), (2, None, 1), (3, 30, 3))
    assert candidates(made) == [1]
    made.record_insert(inserted(row1=10))
    made.share_target_rows(np.array([True, False, False]))
    assert ids(made) == {1: 10, 2: 10, 3: 30}
    assert made.with_action(INSERTED).tolist() == [True, False, False]
    assert made.with_action(MATCHED).tolist() == [False, True, True]
    assert made.is_new().tolist() == [True, True, False]
    assert made.created.tolist() == [True, False, False]


def test_where_the_representative_is_refused_the_next_duplicate_takes_its_place() -> None:
    made = ledger((1, None, 1), (2, None, 1), (3, None, 1))
    attempted = made.next_candidates(np.zeros(3, dtype=bool))
    made.record_reject(reject_frame([1], "name", ["x"], "is too long"))
    made.share_target_rows(attempted)
    second = made.next_candidates(attempted)
    assert made.old_id[second].tolist() == [2]
    made.record_insert(inserted(row2=20))
    made.share_target_rows(attempted | second)
    assert ids(made) == {1: 20, 2: 20, 3: 20}
    assert made.representative_id.tolist() == [2, 2, 2]
    assert made.rejects().empty, "it shares the row that its duplicate got"


def test_of_several_rejects_of_a_row_the_one_recorded_first_counts() -> None:
    made = ledger((1, None, 1), (2, None, 2))
    made.record_reject(reject_frame([2], "a", ["1"], "first"))
    made.record_reject(reject_frame([1, 2], "b", ["2", "3"], "second"))
    made.record_reject(reject_frame([1], "c", ["4"], "before all others"), first=True)
    rejects = made.rejects()
    assert rejects.index.tolist() == [1, 2]
    assert rejects["reason"].tolist() == ["before all others", "first"]
    assert made.rejected().tolist() == [True, True]


def test_a_rejected_row_is_no_candidate_again() -> None:
    made = ledger((1, None, 1), (2, None, 2))
    made.record_reject(reject_frame([1], "a", ["1"], "is no number"))
    assert candidates(made, made.rejected().tolist()) == [2]


def test_rows_are_entered_in_parts() -> None:
    made = ledger((1, None, 1), (3, 30, 3))
    made.record_insert(inserted(row1=10))
    made.enter(matches((2, 20, 2), (4, None, 4)))
    assert made.old_id.tolist() == [1, 2, 3, 4]
    assert ids(made) == {1: 10, 2: 20, 3: 30}
    assert made.with_action(INSERTED).tolist() == [True, False, False, False]
    assert made.created.tolist() == [True, False, False, False]


def test_a_rolled_back_transaction_leaves_what_was_matched() -> None:
    made = ledger((1, None, 1), (2, 20, 2), (3, None, 1), (4, 40, 4))
    made.record_insert(inserted(row1=10))
    made.share_target_rows(np.array([True, False, False, False]))
    made.record_update(np.array([4]))
    assert made.with_action(UPDATED).tolist() == [False, False, False, True]
    made.record_reject(reject_frame([3], "a", ["1"], "is no number"))
    made.revert_writes()
    assert ids(made) == {2: 20, 4: 40}
    assert made.with_action(MATCHED).tolist() == [False, True, False, True]
    assert not made.created.any()
    assert made.rejects().empty


def test_a_target_row_that_is_taken_over_counts_as_the_other_rows() -> None:
    made = ledger((1, None, 1), (2, None, 1), (3, None, 1))
    made.record_insert(inserted(row1=10))
    made.share_target_rows(np.array([True, False, False]))
    made.take_over(np.array([1]))
    made.unresolve(made.old_id == 1)
    assert made.created.tolist() == [False, True, False]
    assert made.representative_id.tolist() == [2, 2, 2]
    assert made.with_action(INSERTED).tolist() == [False, True, False]
    assert ids(made) == {2: 10, 3: 10}


@pytest.mark.parametrize("dtype", [np.int64, np.uint64])
def test_ids_keep_their_dtype(dtype: type[np.integer]) -> None:
    made = RowLedger()
    none, big = np.array([False]), np.iinfo(dtype).max
    made.enter(RowMatches(np.array([1]), np.zeros(1, dtype), none, np.array([1])))
    made.record_insert(pd.Series([big], index=[1], dtype=dtype))
    assert made.new_id.dtype == dtype
    assert ids(made) == {1: big}


def test_the_lowest_of_a_group_may_come_before_its_representative() -> None:
    made = ledger((1, 20, 2), (2, 20, 2), (3, 30, 3), (4, None, 4))
    assert made.lowest_of_group().tolist() == [True, False, True, False]


def test_a_slice_of_the_mapping_has_the_rows_with_a_target_row() -> None:
    made = ledger((1, 10, 1), (2, None, 2), (3, 30, 3))
    made.record_update(np.array([3]))
    part = made.mapping_slice(slice(1, 3))
    assert part.index.tolist() == [3]
    assert part["new_id"].tolist() == [30]
    assert part["action"].tolist() == [UPDATED]
