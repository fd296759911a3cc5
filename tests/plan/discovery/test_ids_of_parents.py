"""Foreign keys to tables whose numbers stay."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfsync.model.errors import DfsyncError
from dfsync.plan.file import to_toml
from dfsync.plan.model import ForeignKey, Plan, TablePlan
from dfsync.plan.questions import Answer, Question, with_likely_answers
from tests.support.runs.discovered_plan import discover

RANKS = (
    "CREATE TABLE ranks (rank INTEGER PRIMARY KEY, title TEXT); CREATE TABLE people (id INTEGER PRIMARY KEY, rank INT)"
)


def test_a_foreign_key_to_a_table_without_an_id_is_refused(tmp_path: Path) -> None:
    plan = '[tables.ranks]\nid = ""\n[tables.people]\nforeign_keys = { rank = "ranks" }\n'
    with pytest.raises(DfsyncError, match=r"\[tables.people\] has rank in foreign_keys, and ranks has no id") as raised:
        discover(tmp_path, RANKS, plan=plan)
    assert str(raised.value).endswith('plain_columns = ["rank"] and after = ["ranks"].')


def test_the_answer_that_numbers_stay_takes_the_foreign_keys_to_them_out() -> None:
    people = TablePlan("people", "people", "id", (), (ForeignKey("rank", "ranks"),))
    plan = Plan((TablePlan("ranks", "ranks", "rank", (), ()), people), "discovered plan")
    question = Question("ranks", "rank", "is a number", (Answer("id", ""), Answer("id", "rank")))
    answered = with_likely_answers(plan, [question])
    assert (answered["people"].parents, answered["people"].after) == ({}, ("ranks",))
    assert "rank =" not in to_toml(answered)
