"""One table of a run: drives its stages and keeps its ledger."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import sqlalchemy as sa

from dfsync.execution.timing import StageTimer
from dfsync.model.batch import ValueNote
from dfsync.model.frames import empty_frame
from dfsync.model.rejects import KEEPS_OTHER_VALUES, no_rejects
from dfsync.model.types import OldIds
from dfsync.output.result import Differing, TableCounts
from dfsync.pipeline.known import evidence
from dfsync.pipeline.known.keep_ids import insert_kept
from dfsync.pipeline.known.own_ids import count_other_ids, with_given_ids
from dfsync.pipeline.known.rekey import asks_for_new_rows, settle_rekeyed
from dfsync.pipeline.known.state.unchanged import UnchangedRows
from dfsync.pipeline.observer import OrderedProgress
from dfsync.pipeline.session.file_rows import of_files, rejects_of_files, table_of_files
from dfsync.pipeline.session.session import Session
from dfsync.pipeline.table.changed_values import count_changed_values
from dfsync.pipeline.table.context import TableContext
from dfsync.pipeline.table.ledger import RowLedger
from dfsync.pipeline.table.load import (
    LoadedBatch,
    Loader,
    Send,
    load_rows,
    match_concurrent_inserts,
    open_loader,
    with_deferred_nulls,
)
from dfsync.pipeline.table.mapping import mapping_parts
from dfsync.pipeline.table.match import MatchResult
from dfsync.pipeline.table.spool import KeyFrames
from dfsync.pipeline.table.update import count_differences, follow_keys, update_rows
from dfsync.pipeline.table_sync.kept_ids import settle_kept_rows
from dfsync.pipeline.table_sync.outcome import count_rows, one_transaction_note, require_accounted, unfit_note
from dfsync.pipeline.table_sync.pieces import PieceLoader, allowed_writers, commit_piece
from dfsync.plan.binding import TableBinding
from dfsync.plan.validation import BY_ID, EMPTY, GENERATED, generated_columns, identity_note
from dfsync.source.base import Source
from dfsync.stages.remap import Absence
from dfsync.target.connection import begin_snapshot, commit_snapshot

_MAX_SHOWN_CELLS = 10_000


class TableSync:
    """Owns one table's way through the stages, in one attempt at its transaction.

    `open`, then `run`, then `update` where the plan says so, then `check`, all inside the transaction; after it the
    counts, the mapping and the rejects. `close` gives its temporary file back.

    Attributes
    ----------
    plan
        The planned table.
    binding
        The same, bound to the schemas of both ends.
    selected
        Whether the table is synced. One that is not is only matched, for the map that its children need.
    ledger
        What became of each source row so far.
    fully_matched
        Whether every row was looked for in the target; until then, what an earlier run found stands.
    in_pieces
        Whether a part of its new rows is committed before the others.
    updated_cells
        In a dry run the first cells that a run would update, as of `stages.diff.cell_differences`.
    notes
        By column, what the user should know.
    messages
        The same of the table as a whole.
    """

    context: TableContext
    loader: Loader
    unchanged: UnchangedRows

    def __init__(
        self, session: Session, binding: TableBinding, progress: OrderedProgress, folder: Path | None = None
    ) -> None:
        self.plan = binding.plan
        self.binding = binding
        self.selected = binding.plan.name in session.names
        self.ledger = RowLedger()
        self.fully_matched = self.in_pieces = False
        note = identity_note(binding.plan)
        self.messages = [f"{self.plan.table} has {note}."] if note not in (None, BY_ID) else []
        generated = generated_columns(binding.plan, binding.source, binding.target)
        self.notes = {**dict.fromkeys(generated, GENERATED), **dict.fromkeys(binding.plan.empty_columns, EMPTY)}
        self._session = session
        self._progress = progress
        self._folder = folder
        self._keys: KeyFrames | None = None
        self._spools = ExitStack()
        self._concurrent_keys = empty_frame(binding.key)
        self._value_notes: list[ValueNote] = []
        self._known = self.followers = np.array([], np.int64)
        self._rekeyed = 0
        self._rejects = no_rejects()
        self._rolled_back = self._known
        self._unfit = 0
        self._differing: Differing | None = None
        self.updated_cells: list[pd.DataFrame] = []
        self._timer = StageTimer()
        self._done = 0

    def open(self, connection: sa.Connection, source: Source) -> None:
        """Begin in this transaction, with the source as it can be read now."""
        session = self._session
        kept, unused = session.kept.load(self.binding, source, connection)
        if unused is not None:
            self.messages.append(f"{self.plan.table}: {unused}")
        journal = session.open_journal(self.binding, connection, self._folder) if self.selected else None
        self.context = TableContext(
            binding=self.binding,
            source=source,
            connection=connection,
            mappings=session.mappings,
            hasher=session.hasher,
            batch_size=session.options.batch_size,
            timer=self._timer,
            folder=self._folder,
            spools=self._spools,
            kept=kept,
            kept_maps=session.kept,
            journal=journal and self._spools.enter_context(journal),
        )
        self._moved = evidence.MovedRows(self.context, self.ledger, self._mapping)
        leaves = self.selected and not session.options.dry_run
        self.unchanged = UnchangedRows(self.context, full=session.options.full, leaves=leaves)
        self.publish()
        if not self.selected:
            self._put_absence("and is not among the tables of this run")

    def run(self) -> None:
        """Match every row and, unless the table is only matched, insert what the target lacks."""
        with self._timer("total"):
            self.open_loader()
            self.record_matches(self.unchanged.match())
            self._keep_ids()
            self.fully_matched = True
            if self.selected:
                self.give_ids()
                self.load()
            self.publish()

    def update(self) -> None:
        """Let target rows follow new natural keys, and bring matched rows to the source's values, as the plan says."""
        updates = self.plan.on_match == "update"
        if not updates and not len(self.followers):
            return
        with self._timer("total"), self._timer("update"):
            if len(self.followers):
                self._follow()
            if updates:
                self._update_matched()
            # Not before, since an updated row would be passed over.
            self.ledger.record_update(self.followers)

    def _follow(self) -> None:
        refused = follow_keys(self.context, self.ledger, self.followers, dry_run=self._session.options.dry_run)
        if len(refused):
            self.ledger.record_unfollowed(refused)
            self.followers = np.setdiff1d(self.followers, refused.index)
            self.publish()

    def _update_matched(self) -> None:
        unfit = [no_rejects()]
        for batch in update_rows(self.context, self.ledger, self._known, dry_run=self._session.options.dry_run):
            self.ledger.record_update(batch.ids)
            self.record(batch.unfit, batch.notes)
            unfit.append(batch.unfit)
            shown = sum(map(len, self.updated_cells))
            self.updated_cells += [batch.cells.head(_MAX_SHOWN_CELLS - shown)] if shown < _MAX_SHOWN_CELLS else []
        self.notes |= unfit_note(self.context, pd.concat(unfit))

    def note_one_transaction(self) -> None:
        """Tell that the new rows are committed at once, where the user asked for pieces that are smaller."""
        if self.selected:
            self.messages += one_transaction_note(self.binding, self.ledger, self._session.options.piece_rows)

    def compare(self, *, first: bool) -> None:
        """Count of the matched rows those that have other values in the target, for the user to know.

        After the `first` sync only of those that are known by their ids: no key says that they are the same.
        """
        if not first and not len(self._known):
            return
        with self._timer("total"), self._timer("match"):
            self._differing = count_differences(self.context, self.ledger, self._known, only_known=not first)

    def check(self) -> None:
        """Raise `TableError` where a source row is neither mapped nor rejected (promise 1)."""
        rejects, unfit = self.ledger.rejects(), self.ledger.unfit()
        require_accounted(self.ledger, self.context.count())
        self._unfit = len(unfit)
        self.explain_absences()
        listed = unfit.assign(reason=unfit["reason"] + KEEPS_OTHER_VALUES)
        self._rejects = pd.concat([rejects, listed]).sort_index() if len(unfit) else rejects

    def roll_back(self) -> None:
        """Keep the rows that were found in the target, and forget all that was written."""
        # Those that the match rejected are nowhere else.
        self._rolled_back = self.ledger.without_target_row()
        self.ledger.revert_writes()
        # The target rows of followers, and of who shares them, have their old keys again.
        followed = self.ledger.new_id[self.ledger.positions(self.followers)]
        self.ledger.unresolve(np.isin(self.ledger.new_id, followed))
        self._rejects, self._unfit = no_rejects(), 0
        if self.fully_matched:
            # Else no file is written, and a table that could not be opened has neither.
            self._moved.forget()
            self.unchanged.forget()
        self.publish()
        self._put_absence(f"since the table {'failed' if self.in_pieces else 'was rolled back'}")

    def close(self) -> None:
        """Give back what only the way through the stages needed."""
        self._spools.close()

    def open_loader(self) -> None:
        """Open the way into the target. What the table holds from now on by higher ids is this transaction's."""
        options = self._session.options
        self.loader = open_loader(self.context, dry_run=options.dry_run, local_infile=options.local_infile)

    def record_matches(self, result: MatchResult) -> None:
        """Enter what the match found into the ledger, after the plan's `on_rekey`, and take the keys."""
        settled = settle_rekeyed(self.context, result.parts)
        if settled.rekeyed is not None:
            self._rekeyed, self.followers = len(settled.rekeyed.old_id), settled.followers
            self.messages.append(settled.note)
        for part in settled.parts:
            self.ledger.enter(part)
            self._advance(int(np.count_nonzero(part.resolved)))
        self._known = result.known
        self.record(result.rejects, result.notes)
        self.record(settled.rejects, ())
        if result.keys is not None:
            self.keep_keys(result.keys)

    def _keep_ids(self) -> None:
        """Give the rows whose ids the plan keeps the target rows of these ids."""
        if self.plan.keep_ids:
            kept = settle_kept_rows(self.context, self.ledger, self._insert_kept if self.selected else None)
            self.followers, self.messages = kept.followers, [*self.messages, *kept.notes]
            # Without a key no match has compared them: they are what they are by their ids.
            self._known = self._known if self.binding.key else np.union1d(self._known, kept.present)

    def _insert_kept(self, ids: OldIds) -> pd.Series[int]:
        batch = insert_kept(self.context, ids, dry_run=self._session.options.dry_run)
        self.record_inserts(batch.new_ids)
        self.record(batch.rejects, batch.notes)
        # Ids that are given may be the highest of the table now, and those above them are yet to be assigned.
        self.open_loader()
        return batch.new_ids

    def give_ids(self) -> None:
        """Settle before the first insert which id each new row gets, where the plan keeps the ids of the source."""
        if self.plan.keeps_ids:
            self.context = with_given_ids(self.context, self.ledger, strict=self._session.options.strict_ids)
            self.open_loader()

    def keep_keys(self, keys: KeyFrames) -> None:
        """Take the natural keys that the mapping will show, by ascending `old_id`."""
        self._keys = keys

    def load(self, send: Send | None = None) -> None:
        """Insert the rows that have no target row, in pieces where the user wants them and `send` is None.

        Among source rows of one natural key the one with the lowest id is inserted; where the server rejects it the
        next one is tried. A second turn of the loop is rare.

        Parameters
        ----------
        send
            Inserts the rows of a batch; None inserts them with NULL in deferred foreign keys.
        """
        ledger = self.ledger
        attempted = ledger.rejected()
        while (candidates := ledger.next_candidates(attempted)).any():
            attempted |= candidates
            # Not copied where all are new: there may be millions.
            ids = ledger.old_id if candidates.all() else ledger.old_id[candidates]
            rows = self._session.options.piece_rows
            try:
                if send is None and rows is not None and len(ids) > rows:
                    self._insert_in_pieces(ids)
                else:
                    self._insert(load_rows(self.context, ids, send or self._send))
            finally:
                # Also with a piece that is committed before another one fails.
                ledger.share_target_rows(candidates)

    def _send(self, rows: pd.DataFrame) -> tuple[pd.Series[int], pd.DataFrame]:
        return self.loader.insert(with_deferred_nulls(self.context, rows))

    def _insert(self, batches: Iterable[LoadedBatch], *, committed: bool = False) -> None:
        refused = [np.array([], np.int64)]
        for batch in batches:
            self.record_inserts(batch.new_ids, committed=committed)
            self.record(batch.rejects, batch.notes)
            refused.append(batch.refused)
        self.match_refused(np.concatenate(refused))

    def _insert_in_pieces(self, ids: OldIds) -> None:
        connection, options = self.context.connection, self._session.options
        writers, note = allowed_writers(connection, options.writers)
        self.messages += [f"{self.plan.table}: {note}"] if note and not self.in_pieces else []
        self.in_pieces = True
        self.unchanged.forget()
        # What it may have inserted are the rows of kept ids.
        commit_piece(self._session, self.context, partial(commit_snapshot, connection), *self.ledger.inserted_rows())
        self.ledger.record_commit()
        self._insert(PieceLoader(self._session, self.context, writers).load(ids), committed=True)
        # What is left to do for the table is done in a transaction that sees the pieces.
        begin_snapshot(connection)
        self.open_loader()

    def record_inserts(self, new_ids: pd.Series[int], *, committed: bool = False) -> None:
        """Enter the new ids (index `old_id`) of inserted rows into the ledger."""
        self.ledger.record_insert(new_ids, committed=committed)
        if self.context.journal is not None and not committed:
            for owner in (self.context.journal, self.unchanged):
                owner.note_inserts(np.asarray(new_ids))
        self._advance(len(new_ids))

    def match_refused(self, ids: OldIds) -> None:
        """Match rows that the server refused (int64, ascending) with those that other clients inserted meanwhile."""
        keys, new_ids = match_concurrent_inserts(self.context, ids)
        if len(keys):
            self.ledger.record_match(keys.index, new_ids)
            self.unchanged.doubt(new_ids)
            self._concurrent_keys = pd.concat([self._concurrent_keys, keys])

    def publish(self) -> None:
        """Let the other tables see the new ids that this one has so far."""
        self._session.mappings.put(self.plan.name, self.ledger.id_map())

    def explain_absences(self) -> None:
        """Let the rows that need one of this table know why it has no target row."""
        self._put_absence("nor in the source", self.ledger.without_target_row())

    def _put_absence(self, of_table: str, rejected: OldIds | None = None) -> None:
        none = np.array([], np.int64)
        self._session.mappings.put_absence(self.plan.name, Absence(none if rejected is None else rejected, of_table))

    def mapping(self) -> Iterator[pd.DataFrame]:
        """The mapping frame in parts, as in `SyncResult.mappings`; also with the rows that a dry run would insert."""
        return (of_files(self._session.source, self.plan, part) for part in self._mapping())

    def _mapping(self) -> Iterator[pd.DataFrame]:
        how = {"dry_run": self._session.options.dry_run, "of_several": self._session.source.several}
        return mapping_parts(self.binding, self.ledger, self._keys, self._concurrent_keys, **how)

    def find_moved(self) -> None:
        """Find the rows that have another target row than in the last run, and tell of those that are there twice."""
        with self._timer("total"), self._timer("match"):
            self.messages += self._moved.find(asked=asks_for_new_rows(self._session.plan, self.plan.name))

    def moved(self) -> pa.Table:
        """The rows that have another target row than before, as `rekeyed/NAME.parquet` has them."""
        return table_of_files(self._session.source, self.plan, self._moved.rows(self._rolled_back))

    def unmapped(self) -> tuple[pa.Table, pa.Table]:
        """The rows of the last map that have no target row now, as `unmapped_rows` returns them."""
        return evidence.unmapped_rows(self.context.kept, self.ledger, self._rolled_back)

    def rejects(self) -> pd.DataFrame:
        """The reject frame, as in `SyncResult.rejects`."""
        return rejects_of_files(self._session.source, self.plan, self._rejects)

    def counts(self, total: int, error: str | None) -> TableCounts:
        """Count what became of `total` source rows; `error` says why the table failed as a whole."""
        counts = count_rows(self._session.source, self.plan, self.ledger, total, error)
        counts.rekeyed, counts.unfit, counts.differing = self._rekeyed, self._unfit, self._differing
        counts.changed_values = count_changed_values(self._value_notes, self.ledger, self.binding.key_names)
        if self.plan.keeps_ids and error is None:
            counts.other_ids = count_other_ids(self.context, self.ledger, dry_run=self._session.options.dry_run)
        counts.seconds = dict(self._timer.seconds)
        return counts

    def record(self, rejects: pd.DataFrame, notes: Iterable[ValueNote]) -> None:
        """Keep what a stage found besides its rows: rejects in the ledger, and notes about values."""
        self.ledger.record_reject(rejects)
        self._value_notes += notes

    def _advance(self, rows: int) -> None:
        self._done += rows
        self._progress.advance(self.plan, self._done)
