"""Values that the source writes in another form than the target, which the plan says."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine

import dfsync
from dfsync.model.errors import DfsyncError
from dfsync.model.options import SyncOptions
from tests.support.git_history import run_sql
from tests.support.scenario import Scenario

SOURCE = """
CREATE TABLE users (id INTEGER PRIMARY KEY, mail TEXT NOT NULL, created INTEGER NOT NULL, active TEXT, born TEXT);
CREATE TABLE visits (id INTEGER PRIMARY KEY, user INTEGER NOT NULL REFERENCES users, at REAL NOT NULL);
INSERT INTO users VALUES (1, 'ann', 1700000000123, 'yes', '31.12.1980'), (2, 'bob', 1700000000124, 'N', NULL),
    (7, 'cy', 1700000000125, NULL, '1.2.1990');
INSERT INTO visits VALUES (1, 1, 1700000000.5), (2, 7, 1700000001), (3, 7, 1700000001);
"""
TARGET = """
CREATE TABLE users (id INT AUTO_INCREMENT PRIMARY KEY, mail VARCHAR(40) NOT NULL, created DATETIME(3) NOT NULL,
    active BOOLEAN, born DATE, UNIQUE (created, mail));
CREATE TABLE visits (id INT AUTO_INCREMENT PRIMARY KEY, user INT NOT NULL, at DATETIME(6) NOT NULL,
    FOREIGN KEY (user) REFERENCES users (id));
INSERT INTO users (mail, created, active) VALUES ('zoe', '2020-01-01', 1), ('bob', '2023-11-14 22:13:20.124', 0)
"""
PLAN = """
[tables.users]
natural_key = ["created", "mail"]
convert = { Created = "epoch_ms", active = "boolean" }
dates = { born = "%d.%m.%Y" }

[tables.visits]
natural_key = []
convert = { at = "epoch_s" }
"""
AT = datetime(2023, 11, 14, 22, 13, 20)


@pytest.fixture
def scenario(tmp_path: Path, target: Engine) -> Scenario:
    made = Scenario(tmp_path, target)
    made.create_source(SOURCE, PLAN)
    return made


def plan(scenario: Scenario, text: str) -> None:
    assert scenario.plan is not None
    scenario.plan.write_text(text, encoding="utf-8")


def users(scenario: Scenario) -> list[tuple[object, ...]]:
    return scenario.read_target("SELECT mail, created, active, born FROM users ORDER BY mail")


def verified(scenario: Scenario) -> dfsync.VerifyResult:
    options = SyncOptions(plan=scenario.plan)
    return dfsync.verify(scenario.source, scenario.target.url, out=scenario.folder / "out", options=options)


def test_are_written_and_matched_as_the_target_has_them(scenario: Scenario) -> None:
    scenario.create_target(TARGET)
    options = SyncOptions(plan=scenario.plan)
    found = dfsync.check(scenario.source, scenario.target.url, options=options)
    assert [f for f in found.findings if f.level == "error"] == []
    dry = scenario.sync(dry_run=True)
    assert {c.name: (c.inserted, c.matched, c.failed) for c in dry.counts} == {"users": (2, 1, 0), "visits": (3, 0, 0)}
    first = scenario.sync_twice()
    assert {c.name: (c.inserted, c.matched) for c in first.counts} == {"users": (2, 1), "visits": (3, 0)}
    assert users(scenario) == [
        ("ann", AT.replace(microsecond=123_000), 1, date(1980, 12, 31)),
        ("bob", AT.replace(microsecond=124_000), 0, None),
        ("cy", AT.replace(microsecond=125_000), None, date(1990, 2, 1)),
        ("zoe", datetime(2020, 1, 1), 1, None),
    ]
    joined = scenario.read_target("SELECT mail, at FROM visits JOIN users ON user = users.id ORDER BY at, mail")
    assert joined == [
        ("ann", AT.replace(microsecond=500_000)),
        ("cy", AT.replace(second=21)),
        ("cy", AT.replace(second=21)),
    ]
    assert verified(scenario).ok


def test_that_do_not_fit_are_rejects_that_name_the_setting(scenario: Scenario) -> None:
    run_sql(scenario.source, "UPDATE users SET active = 'maybe' WHERE id = 1")
    run_sql(scenario.source, "UPDATE users SET born = '1990' WHERE id = 7")
    scenario.create_target(TARGET)
    result = scenario.sync_twice()
    assert sorted(result.rejects["users"].itertuples(index=False, name=None)) == [
        (1, "active", "maybe", 'does not fit convert = "boolean" of the plan'),
        (7, "born", "1990", 'does not fit dates = "%d.%m.%Y" of the plan'),
    ]


def test_bring_changes_with_an_update(scenario: Scenario) -> None:
    scenario.create_target(TARGET)
    assert {c.name: c.updated for c in scenario.sync(on_match="update").counts} == {"users": 0, "visits": 0}
    assert {c.name: c.updated for c in scenario.sync(on_match="update").counts} == {"users": 0, "visits": 0}
    run_sql(scenario.source, "UPDATE users SET active = 'on', born = '03.04.1975' WHERE id = 2")
    assert {c.name: c.updated for c in scenario.sync(on_match="update").counts} == {"users": 1, "visits": 0}
    assert users(scenario)[1] == ("bob", AT.replace(microsecond=124_000), 1, date(1975, 4, 3))
    assert verified(scenario).ok


def test_under_another_form_are_compared_anew(scenario: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dfsync.pipeline.known.state.unchanged.FEWEST_ROWS", 1)
    scenario.create_target(TARGET)
    scenario.sync()
    assert scenario.sync().counts[0].matched == 3
    following = PLAN.replace("[tables.users]", '[tables.users]\non_rekey = "follow"')
    plan(scenario, following.replace("epoch_ms", "epoch_us"))
    scenario.sync(on_match="update")
    first = datetime(1970, 1, 20, 16, 13, 20)
    assert {row[1] for row in users(scenario)} == {datetime(2020, 1, 1), first}
    assert verified(scenario).ok


def test_of_columns_with_other_names_and_of_queries(scenario: Scenario) -> None:
    plan(
        scenario,
        """
        [tables.users]
        columns = { born = "birthday", mail = "address" }
        natural_key = ["created", "address"]
        convert = { created = "epoch_ms", active = "boolean" }
        dates = { born = "%d.%m.%Y" }

        [tables.visits]
        query = "SELECT id, user, at AS moment FROM visits WHERE id > 1"
        id = "id"
        natural_key = []
        foreign_keys = { user = "users" }
        convert = { moment = "epoch_s" }
        """,
    )
    scenario.create_target(
        TARGET.replace(" born ", " birthday ")
        .replace(" mail ", " address ")
        .replace(", mail)", ", address)")
        .replace("(mail,", "(address,")
        .replace(" at ", " moment ")
    )
    first = scenario.sync_twice()
    assert {c.name: c.inserted for c in first.counts} == {"users": 2, "visits": 2}
    assert scenario.read_target("SELECT birthday FROM users WHERE address = 'ann'") == [(date(1980, 12, 31),)]
    assert scenario.read_target("SELECT DISTINCT moment FROM visits") == [(AT.replace(second=21),)]
    assert verified(scenario).ok


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[tables.users]\nconvert = { made = "epoch_ms" }', "names the column 'made', but users in the source has"),
        ('[tables.users]\nconvert = { id = "epoch_ms" }', "[tables.users] has id in convert, and it holds ids."),
        (
            '[tables.users]\n[tables.visits]\ndates = { user = "%Y%m%d" }',
            "[tables.visits] has user in dates, and it holds ids.",
        ),
        ('[tables.users]\nconvert = { active = "epoch_ms" }', "converts active to a date and time, and the target's"),
        ('[tables.users]\nconvert = { born = "boolean" }', 'has convert = "boolean" for born, and the target\'s'),
    ],
)
def test_of_a_column_that_cannot_have_them(scenario: Scenario, text: str, said: str) -> None:
    scenario.create_target(TARGET)
    plan(scenario, text)
    with pytest.raises(DfsyncError) as caught:
        scenario.sync()
    assert said in str(caught.value)
