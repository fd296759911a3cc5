"""What a person sees of a run: headings, a line per row or a progress bar, the summary."""

from __future__ import annotations

import logging
import sys
import textwrap
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dfsync.cli.log import record_told
from dfsync.cli.render.row_lines import RowName, changed_cells, mapping_lines, reject_lines
from dfsync.output.result import SyncResult, TableCounts
from dfsync.pipeline.observer import Observer
from dfsync.plan.discovery.bookkeeping import left_out_line
from dfsync.text.wording import count_of, printable, program_name, title_case_name, with_count

if TYPE_CHECKING:
    import pandas as pd
    import rich.console
    import rich.progress

    from dfsync.output.journal.record import RunRecord
    from dfsync.plan.model import Plan, TablePlan

WIDTH = 80
FEW_ROWS = 20
"""A table of at most so many rows gets a line for each."""
FEW_FAILURES = 10
"""Of a longer table, so many failed rows are shown."""
FEW_SOURCES = 20
"""Of at most so many sources each gets a line in the summary."""
LONG_MESSAGE = 1000
STYLES = {"SYNC": "green", "UPDATE": "cyan", "SKIP": "yellow", "FAIL": "red"}


@dataclass
class _TableProgress:
    """How far a table is."""

    total: int
    started: float = field(default_factory=time.monotonic)
    done: int = 0
    failed: int = 0
    shown: int = 0
    """Failed rows that got a line."""


class SyncConsole(Observer):
    """Writes a run to a Rich console as it proceeds; colours and a progress bar only where that is a terminal.

    Whatever comes from the databases is made harmless by `printable`. As a context manager it leaves the terminal
    clean.

    Parameters
    ----------
    out
        The console; None takes standard output.
    folder
        Where the run leaves its files.
    verbose
        Whether long tables get a line per row, too.
    quiet
        Whether only what failed is written, and then the overall line.
    dry_run
        Whether nothing is written to the target.
    in_pieces
        Whether a table is committed in pieces.
    """

    def __init__(
        self,
        out: rich.console.Console | None = None,
        *,
        folder: Path | None = None,
        verbose: bool = False,
        quiet: bool = False,
        dry_run: bool = False,
        in_pieces: bool = False,
    ) -> None:
        import rich.console

        self._out = out or rich.console.Console()
        self._folder = folder
        self._verbose = verbose
        self._quiet = quiet
        self._dry_run = dry_run
        self._undone = "of which whole pieces are committed" if in_pieces else "rolled back"
        self._bar: rich.progress.Progress | None = None
        # Several at a time where tables refer to each other in a cycle.
        self._active: dict[str, _TableProgress] = {}
        self._committed: list[str] = []
        # Why none of the rows of a table that others refer to was written.
        self._failed_parents: dict[str, str] = {}
        # By table and old id: what an update would change.
        self._updated_cells: dict[str, dict[RowName, str]] = {}

    def __enter__(self) -> SyncConsole:
        return self

    def __exit__(self, *_: object) -> None:
        self._stop_bar()

    def say(self, text: str = "", style: str = "", *, always: bool = False) -> None:
        """Write one line, unless `quiet`.

        Parameters
        ----------
        text
            The line, harmless to a terminal.
        style
            A style of Rich.
        always
            Whether `quiet` does not matter.
        """
        from rich.text import Text

        record_told(text)
        if always or not self._quiet:
            # As it is: no markup, and no line break where a pipe has no width.
            self._out.print(Text(text, style), soft_wrap=True)

    def interruption_message(self) -> str:
        """Word in one sentence how far a run was when it was interrupted."""
        if self._dry_run:
            return "stopped; nothing was written, this was a dry run."
        committed = ", ".join(map(title_case_name, self._committed)) or "nothing yet"
        active = [f"{title_case_name(name)} after {at.done} of {at.total} rows" for name, at in self._active.items()]
        where = f" in {', '.join(active)}, {self._undone}" if active else ""
        return f"stopped{where}. Committed: {committed}. Run the same command again to go on from there."

    def run_started(self, plan: Plan, names: list[str]) -> None:
        """Write the plan's title."""
        if self._dry_run:
            self.say("DRY RUN: nothing will be written.")
        self.say(f"Plan: {printable(plan.title, LONG_MESSAGE)}, {with_count(len(names), 'tables')}")
        if plan.choice:
            self.say(f"Note: {plan.choice}")
        if plan.left_out:
            self.say(f"Note: {left_out_line(map(printable, plan.left_out))}")
        self.say()

    def maps_removed(self, out: Path, target: str) -> None:
        """Write that mappings of another target were removed."""
        text = f"Removed from {out}: the maps of an earlier sync, which wrote into {target}"
        self.say(f"Note: {printable(text, LONG_MESSAGE)}", always=True)
        self.say()

    def run_dropped(self, run: RunRecord) -> None:
        """Write which run cannot be taken back any more."""
        number = run.count("inserted") + run.count("updated")
        rows = f" ({number:,} {'row' if number == 1 else 'rows'})" if number else ""
        text = f"the journal of the run {run.id}{rows} is no longer kept: it cannot be taken back"
        self.say(f"Note: {text}", always=True)

    def table_started(self, table: TablePlan, total: int) -> None:
        """Write the table's heading, and begin a progress bar for a long one."""
        self._active[table.name] = _TableProgress(total)
        self._heading(f"SYNCING {title_case_name(table.name).upper()}")
        self.say(f"Found {count_of(total, title_case_name(table.name))} to sync")
        if total > FEW_ROWS and self._out.is_terminal and not self._quiet:
            self._start_bar(total)

    def table_missing(self, table: TablePlan, reason: str) -> None:
        """Write that the table is skipped."""
        self._heading(f"SYNCING {title_case_name(table.name).upper()}")
        self._row_line("SKIP", f"{title_case_name(table.name)}: {printable(reason, LONG_MESSAGE)}")
        self.say()

    def progress(self, table: TablePlan, done: int) -> None:
        """Move the bar."""
        if table.name in self._active:
            at = self._active[table.name]
            at.done = done
            if self._bar is not None:
                rate = done / max(time.monotonic() - at.started, 0.001)
                self._bar.update(self._bar.task_ids[0], completed=done, rate=f"{rate:,.0f} rows/s")

    def rows_done(self, table: TablePlan, mapping: Iterable[pd.DataFrame], rejects: pd.DataFrame) -> None:
        """Write a line per row of a short table, and the first failures of a long one."""
        at = self._active[table.name]
        every_row = (self._verbose or at.total <= FEW_ROWS) and not self._quiet
        rejects = self._without_failed_parents(table, rejects)
        max_lines = len(rejects) if every_row else FEW_FAILURES
        lines = reject_lines(table, rejects.head(max_lines))
        at.failed, at.shown = len(rejects), len(lines)
        if every_row:
            cells = self._updated_cells.pop(table.name, {}) if self._verbose else {}
            known: set[int] = set()
            for part in mapping:
                lines += mapping_lines(table, part, self._dry_run, cells, known)
            lines.sort(key=lambda line: line[0])
        for _, mark, text in lines:
            self._row_line(mark, text, always=mark == "FAIL")

    def cells_updated(self, table: TablePlan, cells: pd.DataFrame) -> None:
        """Keep the old and new values of rows, for their lines with `verbose`."""
        if self._verbose:
            self._updated_cells.setdefault(table.name, {}).update(changed_cells(cells))

    def _without_failed_parents(self, table: TablePlan, rejects: pd.DataFrame) -> pd.DataFrame:
        """Without those whose parents' table failed as a whole: one line is written for all of them."""
        # Without a foreign key among the columns pandas makes floats of the missing parents.
        parents = rejects["column"].map(table.parents).astype(rejects["column"].dtype)
        parentless = rejects["reason"].str.startswith("missing parent").fillna(False)
        orphans = parents.isin(self._failed_parents.keys()) & parentless
        for parent, rows in parents[orphans].value_counts().items():
            text = f"{count_of(rows, title_case_name(table.name))} without a parent in {title_case_name(str(parent))}"
            self._row_line("FAIL", f"{text}, which {self._failed_parents[str(parent)]}", always=True)
        if orphans.any():
            self._failed_parents[table.name] = "lacks its own parents"
        return rejects[~orphans]

    def note(self, table: TablePlan, message: str) -> None:
        """Write the note."""
        self.say(f"  Note: {printable(message, LONG_MESSAGE)}")

    def table_finished(self, table: TablePlan, counts: TableCounts) -> None:
        """Write the table's counts, or why it failed."""
        self._stop_bar()
        at = self._active.pop(table.name, _TableProgress(counts.total))
        name = title_case_name(table.name)
        if counts.error is not None:
            # Only a table that is committed in pieces fails with rows inserted.
            kept = f"{with_count(counts.inserted, 'rows')} committed before" if counts.inserted else "rolled back"
            self._failed_parents[table.name] = "failed" if counts.inserted else "was rolled back"
            self.say()
            message = f"{name}: FAILED, {kept}: {printable(counts.error, LONG_MESSAGE)}"
            self.say(message, STYLES["FAIL"], always=True)
        elif counts.note is None:
            self._committed.append(table.name)
            self._more_failures(table, at.failed - at.shown)
            self.say()
            outcome = self._outcome(counts.inserted, counts.matched, counts.updated, counts.failed, counts.unfit)
            share = "shares" if counts.shared == 1 else "share"
            shared = f"; {counts.shared} {share} the row of an earlier one" if counts.shared else ""
            self.say(f"{name}: {outcome}{shared}")
        self.say()

    def run_finished(self, result: SyncResult) -> None:
        """Write the summary, and where the files are."""
        self._heading(f"SYNCHRONIZATION SUMMARY{' OF A DRY RUN' if self._dry_run else ''}")
        for counts in result.counts:
            self._summarize(counts)
        self._summarize_sources(result)
        sums = result.as_dict()["overall"]
        failed_tables = [counts for counts in result.counts if counts.error is not None]
        how = "failed" if not self._dry_run and any(counts.inserted for counts in failed_tables) else "rolled back"
        tables = f", {with_count(len(failed_tables), 'tables')} {how}" if failed_tables else ""
        unfit = sum(counts.unfit for counts in result.counts)
        outcome = self._outcome(with_count(sums["inserted"], "records"), None, sums["updated"], sums["failed"], unfit)
        failed_sources = sum(source.error is not None for source in result.sources)
        lost = f", {with_count(failed_sources, 'sources')} not read" if failed_sources else ""
        overall = f"OVERALL: {outcome}{tables}{lost}"
        self.say("=" * WIDTH)
        for line in textwrap.wrap(overall, WIDTH, subsequent_indent=" " * len("OVERALL: ")):
            self.say(line, always=not result.ok)
        self.say("=" * WIDTH)
        if self._quiet:
            self._report_changed_values(result)
        self._report_write_errors(result)
        if self._dry_run:
            self.say("DRY RUN: nothing was written.")
        elif self._folder is not None and not result.write_errors:
            file = self._folder / ("sources" if result.sources else "id_mappings.json")
            self.say(f"The map from old to new ids: {printable(file, LONG_MESSAGE)}")
            if any((counts.failed or counts.unfit) and counts.error is None for counts in result.counts):
                shown_by = f"{program_name()} rejects shows them"
                folder = printable(self._folder / "rejects", LONG_MESSAGE)
                self.say(f"The rejected rows, with the reasons: {folder} ({shown_by})")
            self._report_stale_files(self._folder, result.plan)

    def _report_changed_values(self, result: SyncResult) -> None:
        """One line for all tables; unless `quiet`, each has had notes of its own.

        A run that wrote no row of a table, as every night of a job, has told of its values before.
        """
        written = [counts for counts in result.counts if counts.inserted or counts.updated]
        changed = {f"{counts.table}.{c['column']}": 0 for counts in written for c in counts.changed_values}
        for counts in written:
            for values in counts.changed_values:
                changed[f"{counts.table}.{values['column']}"] += values["rows"]
        if changed:
            columns = ", ".join(f"{name} ({rows})" for name, rows in changed.items())
            how_many = with_count(sum(changed.values()), "values")
            text = f"{how_many} rounded or otherwise changed by the target's columns: {columns}"
            self.say(f"Note: {printable(text, LONG_MESSAGE)}", always=True)

    def _report_write_errors(self, result: SyncResult) -> None:
        for file, reason in result.write_errors.items():
            path = printable(file if self._folder is None else self._folder / file, LONG_MESSAGE)
            self.say(f"NOT WRITTEN: {path}: {printable(reason)}", STYLES["FAIL"], always=True)
        if result.write_errors:
            text = "What was synced is in the target. Make room or choose another --out and run again for the files."
            self.say(text, always=True)

    def _report_stale_files(self, folder: Path, plan: Plan | None) -> None:
        from dfsync.output.files import stale_files

        stale = stale_files(folder, plan.names) if plan else []
        if stale:
            files = printable(", ".join(str(path.relative_to(folder)) for path in stale), LONG_MESSAGE)
            self.say(f"Left by an earlier run, of no table of this plan: {files}")

    def _outcome(self, inserted: int | str, matched: int | None, updated: int, failed: int, unfit: int) -> str:
        """`5 synced, 3 skipped, 0 failed`, or what would be; `updated` and `unfit` only where there are any."""
        done, fail = ("would be {}", "would fail") if self._dry_run else ("{}", "failed")
        parts = [(inserted, "synced"), (matched, "skipped"), (updated or None, "updated")]
        counts = [f"{number} {done.format(word)}" for number, word in parts if number is not None]
        return ", ".join([*counts, f"{failed} {fail}", *([f"{unfit} kept other values"] if unfit else [])])

    def _heading(self, title: str) -> None:
        for line in ("=" * WIDTH, title[:WIDTH], "=" * WIDTH, ""):
            self.say(line)

    def _row_line(self, mark: str, text: str, *, always: bool = False) -> None:
        from rich.text import Text

        record_told(f"[{mark}] {text}", logging.ERROR if mark == "FAIL" else logging.INFO)
        if always or not self._quiet:
            self._out.print(Text.assemble("  ", (f"[{mark}]", STYLES[mark]), " ", text), soft_wrap=True)

    def _more_failures(self, table: TablePlan, more: int) -> None:
        if more:
            where = ""
            if self._folder is not None and not self._dry_run:
                file = self._folder / "rejects" / f"{table.name}.parquet"
                where = f", all in {printable(file, LONG_MESSAGE)}"
            self.say(f"  ... and {more} more{where}", always=True)

    def _summarize(self, counts: TableCounts) -> None:
        self.say(f"{title_case_name(counts.name).upper()[: WIDTH - 1]}:")
        if counts.note is not None:
            self.say(f"  Not synced: {printable(counts.note, LONG_MESSAGE)}")
        else:
            self.say(f"  Total:   {counts.total}")
            self.say(f"  Synced:  {counts.inserted}")
            self.say(f"  Skipped: {counts.matched}")
            if counts.updated:
                self.say(f"  Updated: {counts.updated}")
            self.say(f"  Failed:  {counts.failed}")
            if counts.unfit:
                self.say(f"  Unfit:   {counts.unfit} (skipped: their values do not fit, the target's rows keep theirs)")
        if counts.error is not None:
            how = "Failed as a whole" if counts.inserted and not self._dry_run else "Rolled back"
            self.say(f"  {how}: {printable(counts.error, LONG_MESSAGE)}")
        self.say()

    def _summarize_sources(self, result: SyncResult) -> None:
        """A line for each of few sources; of many only for those that failed."""
        if not result.sources:
            return
        self.say(f"SOURCES: {len(result.sources)}")
        for source in result.sources:
            name, failed = printable(source.name), source.error is not None
            if failed:
                text = f"  FAILED: {name}: {printable(source.error, LONG_MESSAGE)}"
                self.say(text, STYLES["FAIL"], always=True)
            elif len(result.sources) <= FEW_SOURCES:
                outcome = self._outcome(source.inserted, source.matched, source.updated, source.failed, 0)
                self.say(f"  {name}: {source.total} rows: {outcome}")
        self.say()

    def _start_bar(self, total: int) -> None:
        from rich import progress

        self._stop_bar()
        self._bar = progress.Progress(
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[rate]}"),
            progress.TimeRemainingColumn(),
            console=self._out,
            transient=True,
            # What goes to a file there must not come up here.
            redirect_stderr=sys.stderr.isatty(),
        )
        self._bar.add_task("", total=total, rate="")
        self._bar.start()

    def _stop_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


class ErrorConsole(SyncConsole):
    """Only what failed and the notes, for `--json`: its console is standard error."""

    def note(self, table: TablePlan, message: str) -> None:
        """Write the note, with the table's name, since there is no heading."""
        self.say(f"{title_case_name(table.name)}: {printable(message, LONG_MESSAGE)}", always=True)

    def run_finished(self, result: SyncResult) -> None:
        """Write nothing but the files that could not be written: the JSON object says the rest."""
        self._report_write_errors(result)
