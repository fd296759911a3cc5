"""The examples of docs/plans.md do what the page says."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
import rich.console
from sqlalchemy import Engine

import dfsync
from dfsync.cli.render.plan import show_plan
from dfsync.commands.check import check
from dfsync.commands.create_tables import create_tables
from dfsync.commands.plan import resolve_plan
from tests.support.git_history import execute, fetch, run_sql

PAGE = (Path(__file__).parents[2] / "docs" / "plans.md").read_text(encoding="utf-8")
EXAMPLES = re.split(r"^## \d\. ", PAGE.split("\n## After the sync")[0], flags=re.MULTILINE)[1:]
FAMILY, SHOP, LOG = range(3)


class Example:
    """One section of the page: its source, its plan, the plan as it is shown, and a target with the tables made."""

    def __init__(self, number: int, folder: Path, target: Engine) -> None:
        blocks = dict(re.findall(r"^```(\w+)\n(.*?)^```", EXAMPLES[number], flags=re.MULTILINE | re.DOTALL))
        self.shown = blocks["text"]
        self.source = run_sql(folder / "my.db", blocks["sql"])
        self.plan = Path("my-plan.toml")
        self.plan.write_text(blocks["toml"], encoding="utf-8")
        self.target = target
        self._out = folder / "out"
        create_tables(self.source, target.url, options=self.options)

    @property
    def options(self) -> dfsync.SyncOptions:
        return dfsync.SyncOptions(plan=self.plan)

    def sync(self) -> dict[str, tuple[int, int, int]]:
        """Synced, skipped and updated by table, of a run in which nothing failed."""
        result = dfsync.sync(self.source, self.target.url, out=self._out, options=self.options)
        assert result.ok, result.summary.to_string()
        return {c.name: (c.inserted, c.matched, c.updated) for c in result.counts}

    def verify(self) -> dfsync.VerifyResult:
        return dfsync.verify(self.source, self.target.url, out=self._out, options=self.options)


@pytest.fixture
def example(request: pytest.FixtureRequest, tmp_path: Path, target: Engine, monkeypatch: pytest.MonkeyPatch) -> Example:
    monkeypatch.chdir(tmp_path)
    return Example(request.param, tmp_path, target)


def test_there_are_three() -> None:
    assert len(EXAMPLES) == 3


@pytest.mark.parametrize("example", [FAMILY, SHOP, LOG], indirect=True)
class TestEvery:
    def test_plan_is_shown_as_on_the_page(self, example: Example) -> None:
        out = rich.console.Console(file=io.StringIO(), width=100)
        show_plan(resolve_plan(example.source, example.target.url, options=example.options), out)
        assert isinstance(out.file, io.StringIO)
        assert _without_blanks(out.file.getvalue()) == _without_blanks(example.shown)

    def test_sync_brings_all_and_a_second_one_nothing(self, example: Example) -> None:
        first, second = example.sync(), example.sync()
        assert all(skipped == updated == 0 for _, skipped, updated in first.values())
        assert second == {name: (0, synced, 0) for name, (synced, _, _) in first.items()}
        assert example.verify().ok


@pytest.mark.parametrize("example", [FAMILY], indirect=True)
def test_the_family_keeps_its_parents_among_others(example: Example) -> None:
    execute(
        example.target,
        "INSERT INTO persons (full_name, born) VALUES ('Somebody', '1900-01-01'), ('Eva Berg', '1958-02-28')",
    )
    assert example.sync()["persons"] == (3, 1, 0)
    couples = fetch(
        example.target,
        """SELECT child.full_name, mother.born FROM persons child JOIN persons mother
        ON child.mother_no = mother.person_no""",
    )
    # Eva the elder was there before, without her mother, and is left as she was.
    assert [(name, str(born)) for name, born in couples] == [("Eva Berg", "1958-02-28")]
    assert [table.kept for table in example.verify().tables] == [1, 0]


@pytest.mark.parametrize("example", [SHOP], indirect=True)
def test_the_shop_brings_new_figures_each_night(example: Example) -> None:
    tables = {name for (name,) in fetch(example.target, "SHOW TABLES")}
    assert "django_session" not in tables
    assert not fetch(example.target, "SHOW COLUMNS FROM shop_statistics LIKE 'debug_notes'")
    example.sync()
    run_sql(
        example.source, "UPDATE shop_statistics SET sold = 11 WHERE product_id = 1; UPDATE shop_product SET price = 5"
    )
    counts = example.sync()
    assert counts["shop_statistics"] == (0, 1, 1)
    assert counts["shop_product"] == (0, 2, 0)
    assert fetch(example.target, "SELECT sold FROM shop_statistics ORDER BY sold") == [(11,), (20,)]
    assert {table.name: table.kept for table in example.verify().tables if table.as_planned} == {"shop_product": 2}


@pytest.mark.parametrize("example", [LOG], indirect=True)
def test_the_log_counts_its_lines(example: Example) -> None:
    example.sync()
    assert fetch(example.target, "SELECT COUNT(*) FROM log WHERE line = 'started'") == [(2,)]
    execute(example.target, "UPDATE log SET line = 'halted' WHERE line = 'stopped'")
    assert example.sync()["log"] == (1, 2, 0)


@pytest.mark.parametrize("example", [LOG], indirect=True)
def test_the_log_is_warned_of_unless_a_plan_file_says_that_it_is_meant(example: Example) -> None:
    for options, warned in ((example.options, False), (dfsync.SyncOptions(), True)):
        of_plan = resolve_plan(example.source, example.target.url, options=options).warnings
        of_check = [
            f.message for f in check(example.source, example.target.url, options=options).findings if f.table == "log"
        ]
        assert [any("no natural key" in line for line in lines) for lines in (of_plan, of_check)] == [warned] * 2


def _without_blanks(text: str) -> list[str]:
    """The words line by line: how wide a column is depends on its widest cell."""
    return [" ".join(line.split()) for line in text.strip().splitlines()]
