"""Long chains of rows that need each other: in few statements, with the right ids, whoever inserts meanwhile."""
# ruff: noqa: S608 -- names of these tests own

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine

from dfsync.target.embedded import EmbeddedServer
from tests.support.scenario import Scenario, statements

SMALL = ("--innodb-buffer-pool-size=32M", "--innodb-log-file-size=16M", "--innodb-flush-log-at-trx-commit=2")
WAYS = pytest.mark.parametrize("local_infile", [True, False], ids=["load data local", "plain inserts"])
BY_NAME = '[tables.a]\nnatural_key = ["name"]\n'
BY_PLACE = '[tables.a]\nnatural_key = ["boss", "name"]\n'
HERE = """CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT, boss INT REFERENCES a, n INT);
    WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < {count})
    INSERT INTO a SELECT i, 'r' || i, {boss}, i FROM c"""
EACH_THE_ONE_BEFORE, EACH_THE_ONE_AFTER = "nullif(i - 1, 0)", "CASE i WHEN {count} THEN NULL ELSE i + 1 END"
THERE = """CREATE TABLE a (id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20), boss BIGINT{null}, n INT,
    {key}, CHECK (n <> {refused}), FOREIGN KEY (boss) REFERENCES a (id))"""
CHAIN = "SELECT a.name, boss.name FROM a LEFT JOIN a AS boss ON boss.id = a.boss ORDER BY a.id"


def chain(
    scenario: Scenario, count: int, boss: str = EACH_THE_ONE_BEFORE, *, by_place: bool = True, refused: int = -1
) -> None:
    """A chain here, and an empty table there that refuses one row, or one that has the root where that needs itself."""
    boss = boss.replace("{count}", str(count))
    scenario.create_source(HERE.format(count=count, boss=boss), BY_PLACE if by_place else BY_NAME)
    null, key = ("", "UNIQUE (boss, name)") if by_place else (" NOT NULL", "UNIQUE (name)")
    scenario.create_target(THERE.format(null=null, key=key, refused=refused))
    if not by_place:
        root = count if "CASE" in boss else 1
        scenario.create_target("SET @root = 7", f"INSERT INTO a VALUES (7, 'r{root}', 7, 0)")


@pytest.fixture
def scenario(tmp_path: Path, target: Engine) -> Scenario:
    return Scenario(tmp_path, target)


@WAYS
@pytest.mark.parametrize("by_place", [True, False], ids=["by boss and name", "by name"])
@pytest.mark.parametrize("boss", [EACH_THE_ONE_BEFORE, EACH_THE_ONE_AFTER], ids=["before", "after"])
def test_a_long_chain_takes_few_statements(scenario: Scenario, boss: str, by_place: bool, local_infile: bool) -> None:
    count = 5_000
    chain(scenario, count, boss, by_place=by_place)
    with statements() as first:
        assert scenario.sync(local_infile=local_infile, batch_size=2_000).counts[0].failed == 0
    with statements() as second:
        assert scenario.sync(local_infile=local_infile).counts[0].matched == count
    assert len(first) < 150
    assert len(second) < 60
    numbers = range(2, count + 1) if boss == EACH_THE_ONE_BEFORE else range(count - 1, 0, -1)
    step = -1 if boss == EACH_THE_ONE_BEFORE else 1
    assert scenario.read_target(CHAIN)[1:] == [(f"r{i}", f"r{i + step}") for i in numbers]


def test_without_a_natural_key_a_chain_of_equal_rows_is_found_again(scenario: Scenario) -> None:
    same = HERE.replace("'r' || i", "'same'").format(count=2_000, boss=EACH_THE_ONE_BEFORE)
    scenario.create_source(same, "[tables.a]\nnatural_key = []\n")
    scenario.create_target(THERE.format(null="", key="KEY (name)", refused=-1))
    result = scenario.sync_twice()
    assert result.counts[0].inserted == 2_000


@WAYS
@pytest.mark.parametrize("by_place", [True, False], ids=["by boss and name", "by name"])
def test_a_refused_row_takes_all_below_it_along(scenario: Scenario, by_place: bool, local_infile: bool) -> None:
    chain(scenario, 2_000, by_place=by_place, refused=1_000)
    with statements() as sent:
        result = scenario.sync(local_infile=local_infile)
    assert len(sent) < 250
    rejects = result.rejects["a"]
    assert list(rejects["old_id"]) == list(range(1_000, 2_001))
    assert rejects["reason"][0].startswith("refused by the server")
    assert rejects["reason"][1:].str.startswith("missing parent: a has no row with this id").all()
    assert scenario.read_target("SELECT COUNT(*), MAX(n) FROM a") == [(999, 999)]


def test_another_row_of_its_natural_key_takes_the_place_of_a_refused_one(scenario: Scenario) -> None:
    chain(scenario, 2_000, refused=1_000)
    scenario.create_source("INSERT INTO a VALUES (3000, 'r1000', 999, 5)")
    result = scenario.sync_twice()
    assert (result.counts[0].inserted, result.counts[0].matched, result.counts[0].failed) == (2_000, 1, 0)
    below = "SELECT a.name FROM a JOIN a AS boss ON boss.id = a.boss WHERE boss.name = 'r1000'"
    assert scenario.read_target(below) == [("r1001",)]


def test_a_chain_by_value_ends_where_its_row_is_refused_unless_the_target_has_the_value(scenario: Scenario) -> None:
    scenario.create_source(
        """CREATE TABLE a (id INTEGER PRIMARY KEY, name TEXT, boss TEXT, n INT);
        WITH RECURSIVE c (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE i < 3000)
        INSERT INTO a SELECT i, 'r' || i, CASE i WHEN 1 THEN NULL ELSE 'r' || (i - 1) END, i FROM c""",
        '[tables.a]\nnatural_key = ["n"]\n',
    )
    scenario.create_target(
        """CREATE TABLE a (id BIGINT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(20) UNIQUE, boss VARCHAR(20),
        n INT UNIQUE, CHECK (n <> 1000), FOREIGN KEY (boss) REFERENCES a (name))""",
        "INSERT INTO a VALUES (1, 'r1999', NULL, -1)",
    )
    with statements() as sent:
        result = scenario.sync()
    # 1999 is refused for its name, which is there already, and may be referred to.
    assert list(result.rejects["a"]["old_id"]) == list(range(1_000, 2_000))
    assert result.rejects["a"]["reason"][1:].str.startswith("missing parent: a has no row with this name").all()
    assert scenario.read_target("SELECT COUNT(*) FROM a WHERE n >= 2000") == [(1_001,)]
    assert len(sent) < 400


def test_a_chain_below_an_orphan_goes_at_once(scenario: Scenario) -> None:
    boss = "CASE i WHEN 1 THEN NULL WHEN 1000 THEN 99999 ELSE i - 1 END"
    scenario.create_source(HERE.format(count=3_000, boss=boss), BY_NAME)
    scenario.create_target(THERE.format(null="", key="UNIQUE (name)", refused=-1))
    with statements() as sent:
        result = scenario.sync()
    assert list(result.rejects["a"]["old_id"]) == list(range(1_000, 3_001))
    assert result.rejects["a"]["reason"].str.startswith("missing parent").all()
    assert scenario.read_target("SELECT COUNT(*) FROM a") == [(999,)]
    assert len(sent) < 100


@pytest.fixture(scope="module", params=[("1", "1"), ("2", "1"), ("2", "3")], ids=" by ".join)
def counting(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Engine]:
    """A server of its own lock mode and step."""
    mode, step = request.param
    options = (*SMALL, f"--innodb-autoinc-lock-mode={mode}", f"--auto-increment-increment={step}")
    with EmbeddedServer(tmp_path_factory.mktemp("server"), options=options) as server:
        engine = create_engine(server.url)
        yield engine
        engine.dispose()


class TestOtherClients:
    """Who insert into the same table, so that ids are not those that were expected."""

    @WAYS
    @pytest.mark.parametrize("times", [3, 1_000])
    def test_an_id_that_was_not_expected_leaves_nothing_behind(
        self, counting: Engine, tmp_path: Path, local_infile: bool, times: int
    ) -> None:
        scenario = Scenario(tmp_path, counting)
        with counting.begin() as connection:
            connection.exec_driver_sql("DROP TABLE IF EXISTS a")
        chain(scenario, 200, by_place=False)
        left = [times]
        others = create_engine(counting.url)

        def get_in_between(statement: str) -> None:
            # Each time the ids of the rows sent before are read; never for the others' own.
            if left[0] and statement.startswith("SELECT min("):
                left[0] -= 1
                with others.begin() as connection:
                    connection.exec_driver_sql("INSERT INTO a (name, boss, n) VALUES (NULL, 7, 3)")

        with statements(get_in_between) as sent:
            result = scenario.sync(local_infile=local_infile, jobs=1)
        others.dispose()
        assert left[0] < times
        assert result.counts[0].failed == 0
        assert len(sent) > 30
        own = [row for row in scenario.read_target(CHAIN) if row[0] is not None]
        assert own == [("r1", "r1"), *((f"r{i}", f"r{i - 1}") for i in range(2, 201))]
        mapping: dict[int, int] = dict(result.mappings["a"][["old_id", "new_id"]].itertuples(index=False))
        names: dict[int, str] = dict(scenario.read_target("SELECT id, name FROM a"))
        assert {old: names[new] for old, new in mapping.items()} == {i: f"r{i}" for i in range(1, 201)}
        foreign = scenario.read_target("SELECT COUNT(*) FROM a WHERE name IS NULL")
        assert foreign == [(times - left[0],)]
