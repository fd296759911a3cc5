"""What a person sees of a run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from dfsync.cli.render.sync import ErrorConsole
from dfsync.output.result import TableCounts
from dfsync.plan.file import BUILT_IN, read_plan
from dfsync.plan.model import ForeignKey, Plan, TablePlan
from tests.support.runs.screen import (
    COMMITS,
    NO_REJECTS,
    NONE,
    REPOSITORIES,
    Screen,
    mapping,
    rejects,
    result,
    three_repositories,
)

LINE = "=" * 80


class TestTables:
    def test_of_few_rows(self) -> None:
        screen = Screen()
        three_repositories(screen.console)
        assert (
            screen.text
            == f"""\
{LINE}
SYNCING REPOSITORIES
{LINE}

Found 3 repositories to sync
  [SYNC] Repository 'my-repo' (ID: 1 -> 101)
  [SYNC] Repository 'other' (ID: 2 -> 102)
  [SKIP] Repository 'existing' already exists (ID: 3 -> 103)

Repositories: 2 synced, 1 skipped, 0 failed

"""
        )

    def test_rows_come_in_the_order_of_the_source(self) -> None:
        screen = Screen()
        screen.console.table_started(REPOSITORIES, 3)
        frame = mapping((3, 103, "matched", "c"), (1, 101, "inserted", "a"))
        screen.console.rows_done(REPOSITORIES, [frame], rejects((2, "slug", "x" * 300, "longer than 100 characters")))
        marks = [line[:8] for line in screen.text.splitlines() if line.startswith("  [")]
        assert marks == ["  [SYNC]", "  [FAIL]", "  [SKIP]"]
        failed = f"  [FAIL] Repository (ID: 2): column slug: value '{'x' * 59}…': longer than 100 characters"
        assert failed in screen.text

    def test_a_reject_may_have_no_id_column_or_value(self) -> None:
        screen = Screen()
        screen.console.table_started(REPOSITORIES, 3)
        frame = rejects((7, "slug", None, "may not be NULL"), (None, None, None, "no room"), (9, None, None, "why"))
        screen.console.rows_done(REPOSITORIES, [NONE], frame)
        assert screen.text.splitlines()[-3:] == [
            "  [FAIL] Repository (ID: 7): column slug: value NULL: may not be NULL",
            "  [FAIL] Repository (ID: 9): why",
            "  [FAIL] Repository: no room",
        ]

    def test_updated_rows(self) -> None:
        screen = Screen()
        screen.console.table_started(REPOSITORIES, 1)
        screen.console.rows_done(REPOSITORIES, [mapping((1, 101, "updated", "a"))], NO_REJECTS)
        screen.console.table_finished(REPOSITORIES, TableCounts("repositories", "repositories", 1, updated=1))
        assert "  [UPDATE] Repository 'a' (ID: 1 -> 101)\n" in screen.text
        assert "Repositories: 0 synced, 0 skipped, 1 updated, 0 failed\n" in screen.text

    def test_the_name_is_the_natural_key_without_foreign_keys(self) -> None:
        screen = Screen()
        screen.console.table_started(COMMITS, 2)
        frame = mapping((1, 101, "inserted", "abc", 5), (2, 102, "inserted", None, 5), key=COMMITS.key)
        screen.console.rows_done(COMMITS, [frame], NO_REJECTS)
        assert "Commit 'abc' (ID: 1 -> 101)" in screen.text
        assert "Commit 'NULL' (ID: 2 -> 102)" in screen.text

    def test_several_columns_or_none(self) -> None:
        screen = Screen()
        two = TablePlan("visits", "visits", "id", ("place", "day"), ())
        screen.console.table_started(two, 1)
        frame = mapping((1, 9, "inserted", "here", pd.Timestamp("2024-02-03")), key=two.key)
        screen.console.rows_done(two, [frame], NO_REJECTS)
        assert "Visit 'here / 2024-02-03 00:00:00' (ID: 1 -> 9)" in screen.text
        none = TablePlan("visits", "visits", "id", (), ())
        screen.console.rows_done(none, [mapping((2, 10, "matched"), key=())], NO_REJECTS)
        assert "[SKIP] Visit already exists (ID: 2 -> 10)" in screen.text

    def test_rows_of_a_table_without_ids_have_none(self) -> None:
        screen = Screen()
        links = TablePlan("links", "links", None, ("url",), ())
        screen.console.table_started(links, 2)
        frame = mapping((3, 0, "inserted", "here"), key=links.key)
        screen.console.rows_done(links, [frame], rejects((4, "url", None, "may not be NULL")))
        assert screen.text.splitlines()[-2:] == [
            "  [SYNC] Link 'here' (row 3)",
            "  [FAIL] Link (row 4): column url: value NULL: may not be NULL",
        ]

    @pytest.mark.parametrize("options", [{}, {"verbose": True}, {"quiet": True}])
    def test_children_of_a_table_that_failed_get_one_line(self, options: dict[str, Any]) -> None:
        screen = Screen(**options)
        files = TablePlan("files", "files", "id", ("path",), (ForeignKey("commit_id", "commits"),))
        screen.console.table_started(REPOSITORIES, 60)
        screen.console.table_finished(
            REPOSITORIES, TableCounts("repositories", "repositories", 60, failed=60, error="full")
        )
        orphan = "missing parent: {} has no row with this id in the target"
        screen.console.table_started(COMMITS, 60)
        waiting = [(n, "repository_id", "7", orphan.format("repositories")) for n in range(50)]
        screen.console.rows_done(
            COMMITS, [NONE], rejects(*waiting, (70, "hash", "x", "bad"), (71, None, None, "worse"))
        )
        screen.console.table_finished(COMMITS, TableCounts("commits", "commits", 60, 8, failed=52))
        screen.console.table_started(files, 1)
        screen.console.rows_done(files, [NONE], rejects((1, "commit_id", "3", orphan.format("commits"))))
        assert [line for line in screen.text.splitlines() if "[FAIL]" in line] == [
            "  [FAIL] 50 commits without a parent in Repositories, which was rolled back",
            "  [FAIL] Commit (ID: 70): column hash: value 'x': bad",
            "  [FAIL] Commit (ID: 71): worse",
            "  [FAIL] 1 file without a parent in Commits, which lacks its own parents",
        ]
        assert "more" not in screen.text

    def test_long_tables_show_the_first_failures_only(self) -> None:
        screen = Screen(folder=Path("out"))
        screen.console.table_started(COMMITS, 1000)
        bad = rejects(*((n, "hash", "y", "bad") for n in range(16)))
        good = mapping(*((100 + n, 7, "inserted", "h", 1) for n in range(100)), key=COMMITS.key)
        screen.console.rows_done(COMMITS, [good], bad)
        screen.console.table_finished(COMMITS, TableCounts("commits", "commits", 116, 100, 0, 0, 16))
        assert screen.text.count("[FAIL]") == 10
        assert "[SYNC]" not in screen.text
        assert "  ... and 6 more, all in out/rejects/commits.parquet\n" in screen.text

    def test_long_tables_with_verbose(self) -> None:
        screen = Screen(verbose=True)
        screen.console.table_started(COMMITS, 60)
        good = mapping(*((n, 100 + n, "inserted", "h", 1) for n in range(40)), key=COMMITS.key)
        screen.console.rows_done(COMMITS, [good], rejects(*((n, "hash", "y", "bad") for n in range(40, 60))))
        screen.console.table_finished(COMMITS, TableCounts("commits", "commits", 60, 40, 0, 0, 20))
        assert screen.text.count("[SYNC]") == 40
        assert screen.text.count("[FAIL]") == 20
        assert "more" not in screen.text

    def test_one_that_fails_as_a_whole(self) -> None:
        screen = Screen()
        screen.console.table_started(COMMITS, 60)
        failed = TableCounts("commits", "commits", 60, failed=60, error="Lock wait\ntimeout")
        screen.console.table_finished(COMMITS, failed)
        assert "Commits: FAILED, rolled back: Lock wait\\ntimeout\n" in screen.text
        assert "synced" not in screen.text

    def test_one_that_fails_after_some_of_its_pieces(self) -> None:
        screen = Screen()
        screen.console.table_started(REPOSITORIES, 3)
        failed = TableCounts("repositories", "repositories", 3, inserted=2, failed=1, error="the table is full")
        screen.console.table_finished(REPOSITORIES, failed)
        screen.console.run_finished(result(failed))
        assert "Repositories: FAILED, 2 rows committed before: the table is full\n" in screen.text
        assert "  Failed:  1\n  Failed as a whole: the table is full\n" in screen.text
        assert "OVERALL: 2 records synced, 1 failed, 1 table failed\n" in screen.text

    def test_one_that_the_source_lacks(self) -> None:
        screen = Screen()
        screen.console.table_missing(REPOSITORIES, "the source has no table repositories")
        screen.console.table_finished(REPOSITORIES, TableCounts("repositories", "repositories", note="lacking"))
        assert "SYNCING REPOSITORIES" in screen.text
        assert "  [SKIP] Repositories: the source has no table repositories\n" in screen.text
        assert "synced" not in screen.text

    def test_two_at_a_time_as_in_a_circle(self) -> None:
        screen = Screen()
        screen.console.table_started(REPOSITORIES, 1)
        screen.console.table_started(COMMITS, 50)
        screen.console.progress(REPOSITORIES, 1)
        screen.console.progress(COMMITS, 1)
        assert "in Repositories after 1 of 1 rows, Commits after 1 of 50 rows, rolled back" in (
            screen.console.interruption_message()
        )
        screen.console.table_finished(REPOSITORIES, TableCounts("repositories", "repositories", 1, 1))
        assert "Committed: Repositories." in screen.console.interruption_message()

    def test_notes(self) -> None:
        screen = Screen()
        screen.console.note(COMMITS, "microseconds are lost")
        assert screen.text == "  Note: microseconds are lost\n"

    def test_the_plan_is_named(self) -> None:
        screen = Screen()
        plan = read_plan(BUILT_IN)
        screen.console.run_started(plan, plan.names)
        assert screen.text == "Plan: built-in plan, 9 tables\n\n"

    def test_why_a_plan_was_chosen(self) -> None:
        screen = Screen()
        plan = Plan((REPOSITORIES,), "built-in plan shop", choice="the source has the tables of Shop")
        screen.console.run_started(plan, plan.names)
        assert screen.text == "Plan: built-in plan shop, 1 table\nNote: the source has the tables of Shop\n\n"


class TestSummary:
    def test_as_it_always_was(self) -> None:
        screen = Screen()
        counts = [TableCounts("repositories", "r", 50, 45, 5), TableCounts("commits", "c", 5000, 4950, 50)]
        screen.console.run_finished(result(*counts))
        assert (
            screen.text
            == f"""\
{LINE}
SYNCHRONIZATION SUMMARY
{LINE}

REPOSITORIES:
  Total:   50
  Synced:  45
  Skipped: 5
  Failed:  0

COMMITS:
  Total:   5000
  Synced:  4950
  Skipped: 50
  Failed:  0

{LINE}
OVERALL: 4995 records synced, 0 failed
{LINE}
"""
        )

    def test_long_names_and_big_counts_fit_80_columns(self) -> None:
        screen = Screen(dry_run=True)
        big = 9_999_999_999
        counts = [
            TableCounts("t" * 40, "t", big, big, big, big, big, error="e"),
            TableCounts("u" * 200, "u", big, 0, 0, 0, 0),
        ]
        screen.console.run_finished(result(*counts, dry_run=True))
        assert max(map(len, screen.text.splitlines())) == 80
        assert f"  Updated: {big}\n  Failed:  {big}\n" in screen.text
        assert f"{'T' * 40}:\n" in screen.text
        assert "1 table rolled back" in screen.text

    def test_failed_and_missing_tables(self) -> None:
        screen = Screen(folder=Path("out"))
        counts = [
            TableCounts("a", "a", 5, failed=5, error="no room"),
            TableCounts("b", "b", note="the source has no table b"),
        ]
        screen.console.run_finished(result(*counts))
        assert "  Failed:  5\n  Rolled back: no room\n" in screen.text
        assert "B:\n  Not synced: the source has no table b\n\n" in screen.text
        assert "OVERALL: 0 records synced, 5 failed, 1 table rolled back\n" in screen.text
        assert screen.text.endswith(f"{LINE}\nThe map from old to new ids: out/id_mappings.json\n")

    def test_where_the_rejects_are(self) -> None:
        screen = Screen(folder=Path("out"))
        screen.console.run_finished(result(TableCounts("a", "a", 5, 4, failed=1)))
        shown_by = "(python -m dfsync rejects shows them)"
        assert screen.text.endswith(f"/id_mappings.json\nThe rejected rows, with the reasons: out/rejects {shown_by}\n")

    def test_files_of_tables_that_the_plan_does_not_have(self, tmp_path: Path) -> None:
        for name in ("mappings/repositories", "mappings/old", "rejects/old", "verify/commits"):
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / f"{name}.parquet").touch()
        screen = Screen(folder=tmp_path)
        plan = Plan((REPOSITORIES, COMMITS), "built-in plan")
        screen.console.run_finished(replace(result(TableCounts("repositories", "repositories")), plan=plan))
        assert screen.text.endswith(
            "Left by an earlier run, of no table of this plan: mappings/old.parquet, rejects/old.parquet\n"
        )

    def test_dry_run_says_so_at_both_ends(self) -> None:
        screen = Screen(dry_run=True, folder=Path("out"))
        screen.console.run_started(Plan((REPOSITORIES,), "built-in plan"), ["repositories"])
        screen.console.table_started(REPOSITORIES, 3)
        frame = mapping((1, None, "inserted", "a"), (2, 102, "matched", "b"), (3, 103, "updated", "c"))
        screen.console.rows_done(REPOSITORIES, [frame], NO_REJECTS)
        counts = TableCounts("repositories", "repositories", 3, 1, 1, 1)
        screen.console.table_finished(REPOSITORIES, counts)
        screen.console.run_finished(result(counts, dry_run=True))
        assert screen.text.startswith("DRY RUN: nothing will be written.\n")
        assert "[SYNC] Repository 'a' would be synced (ID: 1 -> new)" in screen.text
        assert "[SKIP] Repository 'b' already exists (ID: 2 -> 102)" in screen.text
        assert "[UPDATE] Repository 'c' would be updated (ID: 3 -> 103)" in screen.text
        done = "Repositories: 1 would be synced, 1 would be skipped, 1 would be updated, 0 would fail\n"
        assert done in screen.text
        assert "SYNCHRONIZATION SUMMARY OF A DRY RUN\n" in screen.text
        assert "OVERALL: 1 record would be synced, 1 would be updated, 0 would fail\n" in screen.text
        assert screen.text.endswith("DRY RUN: nothing was written.\n")


class TestQuiet:
    def story(self, screen: Screen) -> str:
        console = screen.console
        console.say("Target: somewhere")
        console.run_started(Plan((REPOSITORIES, COMMITS), "built-in plan"), ["repositories", "commits"])
        three_repositories(console)
        console.note(REPOSITORIES, "by the way")
        console.table_started(COMMITS, 2)
        good = mapping((5, 6, "inserted", "h", 1), key=COMMITS.key)
        console.rows_done(COMMITS, [good], rejects((4, "hash", "y", "bad")))
        counts = TableCounts("commits", "commits", 2, failed=2, error="no room")
        console.table_finished(COMMITS, counts)
        console.run_finished(result(counts))
        return screen.text

    def test_only_failures_and_the_overall_line(self) -> None:
        assert self.story(Screen(quiet=True, terminal=False)) == (
            "  [FAIL] Commit (ID: 4): column hash: value 'y': bad\n"
            "Commits: FAILED, rolled back: no room\n"
            "OVERALL: 0 records synced, 2 failed, 1 table rolled back\n"
        )

    def test_beside_json_failures_and_notes(self) -> None:
        assert self.story(Screen(quiet=True, kind=ErrorConsole)) == (
            "Repositories: by the way\n"
            "  [FAIL] Commit (ID: 4): column hash: value 'y': bad\n"
            "Commits: FAILED, rolled back: no room\n"
        )


class TestWhereItStood:
    def test_before_the_first_table(self) -> None:
        assert Screen().console.interruption_message() == (
            "stopped. Committed: nothing yet. Run the same command again to go on from there."
        )

    def test_in_the_middle_of_a_table(self) -> None:
        screen = Screen()
        three_repositories(screen.console)
        screen.console.table_started(COMMITS, 60)
        screen.console.progress(COMMITS, 1)
        assert screen.console.interruption_message() == (
            "stopped in Commits after 1 of 60 rows, rolled back. Committed: Repositories. "
            "Run the same command again to go on from there."
        )

    def test_in_the_middle_of_a_table_in_pieces(self) -> None:
        screen = Screen(in_pieces=True)
        screen.console.table_started(COMMITS, 60)
        screen.console.progress(COMMITS, 1)
        assert screen.console.interruption_message().startswith(
            "stopped in Commits after 1 of 60 rows, of which whole pieces are committed. Committed: nothing yet. "
        )

    def test_in_a_dry_run(self) -> None:
        assert "nothing was written" in Screen(dry_run=True).console.interruption_message()
