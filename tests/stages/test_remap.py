"""Foreign keys get the new ids of their parents; a row whose parent has no target row is a reject."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from dfsync.model import frames
from dfsync.plan.model import ForeignKey
from dfsync.stages.remap import EMPTIED, Absence, new_ids, remap

REPOSITORY = ForeignKey("repository_id", "repositories")
AUTHOR = ForeignKey("author_id", "authors")


def mapping(pairs: dict[int, int], type_: Any = None) -> pd.DataFrame:
    """As a table leaves it: `old_id` of numpy's int64, `new_id` of the target's Arrow type."""
    new = frames.series(pa.array(list(pairs.values()), type_ or pa.int64()))
    return pd.DataFrame({"old_id": pd.array(list(pairs), dtype="int64"), "new_id": new})


def rows(index: list[int], **columns: list[Any]) -> pd.DataFrame:
    arrays = {name: pa.array(values, pa.int64()) for name, values in columns.items()}
    return frames.from_arrow(pa.table(arrays), index)


def test_every_reference_gets_its_new_id_and_every_row_keeps_its_place() -> None:
    frame = rows([30, 10, 20], repository_id=[2, 1, 2], size=[7, 8, 9])
    remapped = remap(frame, [REPOSITORY], {"repositories": mapping({1: 101, 2: 202, 3: 303})})
    assert remapped.frame["repository_id"].to_dict() == {30: 202, 10: 101, 20: 202}
    assert remapped.frame["size"].to_dict() == {30: 7, 10: 8, 20: 9}
    assert list(remapped.frame.columns) == ["repository_id", "size"]
    assert remapped.frame.index.name == "old_id"
    assert remapped.rejects.empty


def test_ids_that_are_new_here_and_old_there_are_not_confused() -> None:
    remapped = remap(
        rows([1, 2, 3], repository_id=[1, 2, 3]), [REPOSITORY], {"repositories": mapping({1: 2, 2: 3, 3: 1})}
    )
    assert remapped.frame["repository_id"].tolist() == [2, 3, 1]


def test_null_stays_null_and_is_no_reject() -> None:
    remapped = remap(rows([1, 2], repository_id=[None, 5]), [REPOSITORY], {"repositories": mapping({5: 50})})
    assert frames.as_arrow(remapped.frame["repository_id"]).to_pylist() == [None, 50]
    assert remapped.rejects.empty


def test_a_row_without_its_parent_is_a_reject_that_names_it() -> None:
    frame = rows([10, 20, 30], repository_id=[1, 9, None])
    remapped = remap(frame, [REPOSITORY], {"repositories": mapping({1: 101})})
    assert remapped.frame.index.tolist() == [10, 30]
    assert remapped.rejects.index.tolist() == [20]
    assert remapped.rejects.loc[20].to_dict() == {
        "column": "repository_id",
        "value": "9",
        "reason": "missing parent: repositories has no row with this id in the target",
    }
    assert {str(dtype) for dtype in remapped.rejects.dtypes} == {str(frames.STRING)}


def test_a_reject_says_why_the_parent_is_not_there_as_far_as_that_is_known() -> None:
    frame = rows([10, 20, 30], repository_id=[7, 8, 9], author_id=[None, None, 9])
    maps = {"repositories": mapping({9: 1}), "authors": mapping({})}
    absences = {"repositories": Absence(np.array([8]), "nor in the source")}
    reasons = remap(frame, [REPOSITORY, AUTHOR], maps, absences=absences).rejects["reason"]
    assert reasons.to_dict() == {
        10: "missing parent: repositories has no row with this id in the target, nor in the source",
        20: "missing parent: repositories has no row with this id in the target, since it is a reject itself",
        30: "missing parent: authors has no row with this id in the target",
    }


def test_an_optional_reference_becomes_null() -> None:
    frame = rows([10, 20, 30, 40], repository_id=[1, 9, None, 8], author_id=[5, 5, 5, 6])
    maps = {"repositories": mapping({1: 101}), "authors": mapping({5: 50})}
    remapped = remap(frame, [REPOSITORY, AUTHOR], maps, ["repository_id"])
    assert frames.as_arrow(remapped.frame["repository_id"]).to_pylist() == [101, None, None]
    assert [(n.column, n.text, n.ids.tolist()) for n in remapped.notes] == [("repository_id", EMPTIED, [20, 40])]
    assert remapped.rejects[["column"]].to_dict() == {"column": {40: "author_id"}}


def test_a_row_that_lacks_two_parents_is_rejected_once_for_the_first() -> None:
    frame = rows([1, 2], repository_id=[9, 1], author_id=[9, 9])
    maps = {"repositories": mapping({1: 101}), "authors": mapping({})}
    remapped = remap(frame, [REPOSITORY, AUTHOR], maps)
    assert remapped.frame.empty
    assert remapped.rejects["column"].to_dict() == {1: "repository_id", 2: "author_id"}


def test_two_references_to_one_parent_are_both_remapped() -> None:
    keys = [ForeignKey("author_id", "people"), ForeignKey("reviewer_id", "people")]
    frame = rows([1], author_id=[1], reviewer_id=[2])
    remapped = remap(frame, keys, {"people": mapping({1: 11, 2: 22})})
    assert remapped.frame["author_id"].tolist() + remapped.frame["reviewer_id"].tolist() == [11, 22]


def test_a_foreign_key_that_did_not_travel_is_passed_over() -> None:
    remapped = remap(rows([1], author_id=[1]), [REPOSITORY, AUTHOR], {"authors": mapping({1: 11})})
    assert remapped.frame["author_id"].tolist() == [11]
    assert remapped.rejects.empty


def test_without_foreign_keys_nothing_changes() -> None:
    frame = rows([1, 2], size=[3, None])
    remapped = remap(frame, [], {})
    pd.testing.assert_frame_equal(remapped.frame, frame)
    assert remapped.rejects.empty


def test_the_frame_that_was_given_stays_as_it_was() -> None:
    frame = rows([1], repository_id=[1])
    remap(frame, [REPOSITORY], {"repositories": mapping({1: 101})})
    assert frame["repository_id"].tolist() == [1]


def test_no_rows_are_remapped_to_no_rows() -> None:
    remapped = remap(rows([], repository_id=[]), [REPOSITORY], {"repositories": mapping({1: 2})})
    assert remapped.frame.empty
    assert remapped.rejects.empty


@pytest.mark.parametrize("highest", [2**63, 2**64 - 1])
def test_an_unsigned_new_id_beyond_int64_stays_exact(highest: int) -> None:
    parents = {"repositories": mapping({1: highest, 2: 1}, pa.uint64())}
    remapped = remap(rows([1, 2], repository_id=[1, None]), [REPOSITORY], parents)
    assert frames.as_arrow(remapped.frame["repository_id"]).to_pylist() == [highest, None]


def test_big_ids_that_differ_in_their_last_digit_are_told_apart() -> None:
    old = frames.series(pa.array([2**53, 2**53 + 1, None]))
    made = new_ids(old, mapping({2**53: 1, 2**53 + 1: 2}))
    assert frames.as_arrow(made).to_pylist() == [1, 2, None]
