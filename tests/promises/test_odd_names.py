"""A column may be called like one of dfsync's own, or by any character that the server allows in a name."""
# ruff: noqa: S608 -- names of these tests own

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from dfsync.__main__ import main
from tests.support.git_history import execute
from tests.support.scenario import Scenario, fail_if_failed

# What dfsync calls columns, parameters and tables of its own.
OURS = [
    *("old_id", "new_id", "action", "index", "level_0", "kind", "column", "reason", "self", "stored", "v0_0", "c0"),
]
ODD = [
    *(
        "a\tb",
        "a\nb",
        "a\xa0b",
        "a\u3000b",
        "a b",
        "100%",
        "%(v)s",
        "a:b",
        ":v0",
        "a\\b",
        "\\:c",
        'a"b',
        "a'b",
        "`",
        "[a]",
    ),
]


@pytest.fixture
def scenario(tmp_path: Path, target: Engine) -> Scenario:
    return Scenario(tmp_path, target)


def run_command(scenario: Scenario, capsys: pytest.CaptureFixture[str], command: str, *options: str) -> tuple[int, str]:
    """Its exit status and all that it said."""
    ends = ["--source", str(scenario.source), "--target", scenario.target.url.render_as_string(hide_password=False)]
    out = ["--out", str(scenario.folder / "out")] if command in ("sync", "verify") else []
    status = main([command, *ends, *out, *options])
    captured = capsys.readouterr()
    return status, captured.out + captured.err


def in_source(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def in_target(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


NAMES = [*OURS, *ODD]
TABLES = [(f"t{i}", in_source(name), in_target(name)) for i, name in enumerate(NAMES)]


def test_tables_without_an_id(scenario: Scenario, capsys: pytest.CaptureFixture[str]) -> None:
    scenario.create_source(
        ";".join(
            f"""CREATE TABLE {t} ({mine} TEXT, other TEXT, note TEXT, PRIMARY KEY ({mine}, other));
            INSERT INTO {t} VALUES ('a', 'x', 'one'), ('b', 'x', 'two'), ('c', 'x', 'three')"""
            for t, mine, _ in TABLES
        )
    )
    execute(
        scenario.target,
        *(
            f"CREATE TABLE {t} ({theirs} VARCHAR(9), other VARCHAR(9), note VARCHAR(9), PRIMARY KEY ({theirs}, other))"
            for t, _, theirs in TABLES
        ),
        *(f"INSERT INTO {t} VALUES ('A', 'x', 'old')" for t, _, _ in TABLES),
    )
    for command, *options in (["check"], ["sync", "--on-match", "update", "-v"], ["verify"]):
        status, said = run_command(scenario, capsys, command, *options)
        assert status == 0, said
    wanted = [("x", "one"), ("x", "two"), ("x", "three")]
    assert {t: [row[1:] for row in rows] for t, rows in scenario.all_rows().items()} == {t: wanted for t, *_ in TABLES}


@pytest.mark.parametrize("width", [1, 2])
def test_natural_keys_that_two_rows_share(scenario: Scenario, capsys: pytest.CaptureFixture[str], width: int) -> None:
    plan = [
        f"[tables.t{i}]\nnatural_key = [{', '.join(map(_toml, [name, 'other'][:width]))}]"
        for i, name in enumerate(NAMES)
    ]
    scenario.create_source(
        ";".join(
            f"""CREATE TABLE {t} (id INTEGER PRIMARY KEY, {mine} TEXT, other TEXT, note TEXT);
            INSERT INTO {t} VALUES (1, 'k\xe9y', 'x', 'one'), (3, 'k\xe9y', 'x', 'two'), (4, 'K\xc9Y', 'x', 'three')"""
            for t, mine, _ in TABLES
        ),
        "\n".join(plan),
    )
    execute(
        scenario.target,
        *(
            f"CREATE TABLE {t} (id INT AUTO_INCREMENT PRIMARY KEY, {theirs} VARCHAR(20), other VARCHAR(20), "
            f"note VARCHAR(20), UNIQUE ({', '.join([theirs, 'other'][:width])}))"
            for t, _, theirs in TABLES
        ),
        *(f"INSERT INTO {t} (note) VALUES " + ", ".join(["('own')"] * 20) for t, _, _ in TABLES),
    )
    planned = ["--plan", str(scenario.plan)]
    status, said = run_command(scenario, capsys, "check", *planned)
    assert status == 0, said
    assert said.count("ID 3 with ID 1") == said.count("ID 4 with ID 1") == len(NAMES), said
    for command, *options in (["sync", "-v"],):
        status, said = run_command(scenario, capsys, command, *options, *planned)
        assert status == 0, said
        assert said.count("'k\xe9y" + (" / x'" if width > 1 else "'")) == 3 * len(NAMES), said
    for options, wanted in ([], 0), (["--strict"], 1):
        status, said = run_command(scenario, capsys, "verify", *options, *planned)
        assert status == wanted, said
        assert said.count("1 equal, 2 shared") == len(NAMES), said
    assert {len(rows) for rows in scenario.all_rows().values()} == {21}


def test_ids_and_foreign_keys(scenario: Scenario, capsys: pytest.CaptureFixture[str]) -> None:
    scenario.create_source(
        ";".join(
            f"""CREATE TABLE p{t} ({mine} INTEGER PRIMARY KEY, label TEXT UNIQUE);
            CREATE TABLE {t} (id INTEGER PRIMARY KEY, label TEXT UNIQUE, {mine} INT REFERENCES {t});
            CREATE TABLE c{t} (id INTEGER PRIMARY KEY, label TEXT UNIQUE, {mine} INT NOT NULL REFERENCES p{t});
            INSERT INTO p{t} VALUES (7, 'a'), (8, 'b');
            INSERT INTO {t} VALUES (3, 'a', 4), (4, 'b', 3), (5, 'c', NULL);
            INSERT INTO c{t} VALUES (1, 'a', 8), (2, 'b', 7)"""
            for t, mine, _ in TABLES
        )
    )
    key = "id INT AUTO_INCREMENT PRIMARY KEY, label VARCHAR(20) UNIQUE"
    for t, _, theirs in TABLES:
        execute(
            scenario.target,
            f"CREATE TABLE p{t} ({theirs} INT AUTO_INCREMENT PRIMARY KEY, label VARCHAR(20) UNIQUE)",
            f"CREATE TABLE {t} ({key}, {theirs} INT, FOREIGN KEY ({theirs}) REFERENCES {t} (id))",
            f"CREATE TABLE c{t} ({key}, {theirs} INT NOT NULL, FOREIGN KEY ({theirs}) REFERENCES p{t} ({theirs}))",
            f"INSERT INTO p{t} (label) VALUES ('own'), ('b')",
        )
    for command, *options in (["check"], ["sync", "-v"], ["sync", "--on-match", "update"], ["verify"]):
        status, said = run_command(scenario, capsys, command, *options)
        assert status == 0, said
    for t, _, theirs in TABLES:
        joined = f"SELECT c.label, p.label FROM c{t} AS c JOIN p{t} AS p ON c.{theirs} = p.{theirs} ORDER BY 1"
        assert scenario.read_target(joined) == [("a", "b"), ("b", "a")]
        selves = f"SELECT a.label, b.label FROM {t} AS a JOIN {t} AS b ON a.{theirs} = b.id ORDER BY 1"
        assert scenario.read_target(selves) == [("a", "b"), ("b", "a")]


def test_tables_whose_rows_are_known_by_the_last_map(scenario: Scenario) -> None:
    scenario.create_source(
        ";".join(
            f"""CREATE TABLE {in_source(name)} (id INTEGER PRIMARY KEY AUTOINCREMENT, note TEXT);
            INSERT INTO {in_source(name)} VALUES (3, 'one'), (4, 'two')"""
            for name in NAMES
        )
    )
    for name in NAMES:
        execute(scenario.target, f"CREATE TABLE {in_target(name)} (id INT AUTO_INCREMENT PRIMARY KEY, note TEXT)")
    fail_if_failed(scenario.sync())
    scenario.create_source(";".join(f"UPDATE {in_source(name)} SET note = 'new' WHERE id = 3" for name in NAMES))
    result = scenario.sync(on_match="update")
    fail_if_failed(result)
    assert {(c.inserted, c.matched, c.updated) for c in result.counts} == {(0, 1, 1)}
    assert list(scenario.all_rows().values()) == [[(1, "new"), (2, "two")]] * len(NAMES)


def _toml(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t").replace("\n", "\\n")
    return f'"{escaped}"'
