"""The commands of the API are called alike, and what they return is shown alike."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest
from sqlalchemy import Engine

import dfsync
from tests.support.git_history import run_sql


@pytest.mark.parametrize("name", ["sync", "check", "verify", "create_tables", "resolve_plan"])
def test_a_source_comes_first_then_a_target_then_options_by_name(name: str) -> None:
    source, target, *others = inspect.signature(getattr(dfsync, name)).parameters.values()
    assert (source.name, source.default) == ("source", inspect.Parameter.empty)
    assert (target.name, target.default) == ("target", None)
    assert all(parameter.kind is inspect.Parameter.KEYWORD_ONLY for parameter in others)
    assert (others[0].name, others[0].default) == ("options", None)


def test_every_result_is_data_and_a_table(tmp_path: Path, target: Engine) -> None:
    source = run_sql(tmp_path / "s.db", 'CREATE TABLE "<t>" (id INTEGER PRIMARY KEY); INSERT INTO "<t>" VALUES (1)')
    created = dfsync.create_tables(source, target.url)
    resolved = dfsync.resolve_plan(source, target.url)
    checked = dfsync.check(source, target.url)
    synced = dfsync.sync(source, target.url, out=tmp_path / "out")
    verified = dfsync.verify(source, target.url, out=tmp_path / "out")
    assert repr(created) == "<CreateTablesResult: 1 table created, 0 existing, 0 lacking>"
    assert repr(resolved) == "<ResolvedPlan: discovered plan, 1 table>"
    assert repr(checked) == "<CheckResult: 1 table, 0 errors, 1 warning>"
    assert checked.summary["inserted"].to_dict() == {"_t_": 1}
    assert repr(synced).startswith("<SyncResult: 1 tables, 1 total, 1 inserted,")
    assert repr(verified).startswith("<VerifyResult: 1 tables, 1 total, 1 equal,")
    assert created.summary["outcome"].to_dict() == {"<t>": "created"}
    assert created.as_dict()["created"] == ["<t>"]
    assert resolved.summary.iloc[0].to_dict() == {
        "table": "<t>",
        "id": "id",
        "natural_key": "",
        "foreign_keys": "",
        "missing_in": "",
    }
    for result in (created, resolved, checked, synced, verified):
        shown = result._repr_html_()
        assert "&lt;t&gt;" in shown
        assert "<t>" not in shown
        assert json.loads(json.dumps(result.as_dict())).keys() == result.as_dict().keys()
