"""What a terminal gets of a sync, and what it does not get to obey."""

from __future__ import annotations

import io

import pytest
from rich.console import Console as RichConsole

from dfsync.cli.render.sync import SyncConsole
from dfsync.output.result import TableCounts
from dfsync.plan.model import Plan, TablePlan
from tests.support.runs.screen import COMMITS, NO_REJECTS, Screen, mapping, rejects, result, three_repositories


class TestTerminal:
    def test_colours_there_and_none_in_a_pipe(self) -> None:
        terminal, pipe = Screen(terminal=True), Screen()
        three_repositories(terminal.console)
        three_repositories(pipe.console)
        assert "\x1b[32m[SYNC]\x1b[0m" in terminal.text
        assert "\x1b" not in pipe.text

    def test_no_color(self) -> None:
        file = io.StringIO()
        out = RichConsole(file=file, force_terminal=True, width=80, _environ={"TERM": "xterm", "NO_COLOR": "1"})
        three_repositories(SyncConsole(out))
        assert "\x1b" not in file.getvalue()

    def test_lines_are_not_broken_in_a_pipe(self) -> None:
        screen = Screen()
        screen.console.note(COMMITS, "word " * 60)
        assert len(screen.text.splitlines()) == 1

    @pytest.mark.parametrize(("terminal", "total", "shown"), [(True, 21, True), (True, 20, False), (False, 21, False)])
    def test_progress(self, terminal: bool, total: int, shown: bool) -> None:
        screen = Screen(terminal=terminal)
        with screen.console:
            screen.console.table_started(COMMITS, total)
            good = mapping(*((n, 100 + n, "matched", "h", 1) for n in range(total)), key=COMMITS.key)
            screen.console.progress(COMMITS, total)
            screen.console.rows_done(COMMITS, [good], NO_REJECTS)
            screen.console.table_finished(COMMITS, TableCounts("commits", "commits", total, 0, total))
        assert (f"{total}/{total}" in screen.text) is shown
        assert ("rows/s" in screen.text) is shown
        assert f"Commits: 0 synced, {total} skipped, 0 failed" in screen.text

    def test_a_table_that_never_ends_leaves_the_terminal_clean(self) -> None:
        screen = Screen(terminal=True)
        with screen.console:
            screen.console.table_started(COMMITS, 1000)
        hidden, shown = screen.text.rfind("\x1b[?25l"), screen.text.rfind("\x1b[?25h")
        assert -1 < hidden < shown


HOSTILE = "a\x1b]0;owned\x07\x1b[2J\nb\r\t\x9b31m\u202e[red]:smile:[/red]"


class TestHostileData:
    def test_nothing_of_it_controls_the_terminal(self) -> None:
        screen = Screen(terminal=True)
        table = TablePlan(HOSTILE, HOSTILE, "id", (HOSTILE,), ())
        console = screen.console
        console.run_started(Plan((table,), HOSTILE), [HOSTILE])
        console.table_missing(table, HOSTILE)
        console.table_started(table, 2)
        frame = mapping((1, 2, "inserted", HOSTILE), key=(HOSTILE,))
        console.rows_done(table, [frame], rejects((3, HOSTILE, HOSTILE, HOSTILE)))
        console.note(table, HOSTILE)
        counts = TableCounts(HOSTILE, HOSTILE, 2, 1, 0, 0, 1, error=HOSTILE, note=None)
        console.table_finished(table, counts)
        console.run_finished(result(counts))
        own = screen.text.replace("\x1b[32m", "").replace("\x1b[31m", "").replace("\x1b[33m", "").replace("\x1b[0m", "")
        assert all(c.isprintable() or c == "\n" for c in own)
        shown = r"a\x1b]0;owned\x07\x1b[2J\nb\r\t\x9b31m\u202e[red]:smile:[/red]"
        assert f"'{shown}' (ID: 1 -> 2)" in own
        assert f"column {shown}: value '{shown}': {shown}" in own
