"""The new rows of a table in pieces, each of which is a transaction of its own on a connection of its own.

A table may need more than one transaction because a server refuses one so large, or because several connections
insert at a time. Whether it may have them, `TableSync` decides.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Event

import numpy as np
import pandas as pd
import sqlalchemy as sa

from dfsync.execution.executor import Executor, open_executor
from dfsync.model.errors import DfsyncError, OutputWriteError, TableError
from dfsync.model.types import NewIds, OldIds
from dfsync.output.evidence import MapOrigin
from dfsync.output.journal.record import COMMITTED
from dfsync.output.pieces import next_piece, write_piece
from dfsync.pipeline.journal.run import NO_ANSWER, TableWrites
from dfsync.pipeline.session.file_rows import of_files
from dfsync.pipeline.session.session import Session
from dfsync.pipeline.table.context import TableContext
from dfsync.pipeline.table.load import LoadedBatch, load_rows, open_loader, with_deferred_nulls
from dfsync.pipeline.table.mapping import inserted_part
from dfsync.target.connection import display_name, snapshot_transaction
from dfsync.target.errors import RETRYABLE, SERVER_ERRORS, error_code, explain

log = logging.getLogger(__name__)

_ATTEMPTS = 3
_INTERLEAVED = 2
_CANNOT_LOOK: tuple[type[Exception], ...] = (*SERVER_ERRORS, DfsyncError)


@dataclass(frozen=True)
class _Piece:
    """Rows that are committed together."""

    number: int
    ids: OldIds


class PieceLoader:
    """Inserts the new rows of one table in pieces.

    Parameters
    ----------
    session
        Gives each piece a connection, and says how many rows a piece has.
    table
        The table. Its connection is in no transaction meanwhile.
    writers
        How many pieces may be loaded at a time.

    Notes
    -----
    A piece reads its new ids in a snapshot of its own. The rows above the highest id of that snapshot are its own,
    whoever inserts at the same time (see `BulkLoader`), since it sees no row that another transaction commits later.

    No piece asks again for the natural keys of its rows: what another client inserts between the match and the COMMIT
    is refused by a unique key, as in one transaction, and without a unique key one transaction would not see it either.
    """

    def __init__(self, session: Session, table: TableContext, writers: int) -> None:
        self._session = session
        self._table = table
        self._writers = writers
        plan = table.binding.plan
        several = session.source.several
        self._origin = MapOrigin.of(session.source.files, display_name(session.engine.url), plan, several=several)
        self._failed = Event()
        self._folder = table.folder if plan.id is not None else None

    def load(self, ids: OldIds) -> Iterator[LoadedBatch]:
        """Insert source rows.

        Parameters
        ----------
        ids
            int64, ascending.

        Yields
        ------
        LoadedBatch
            Of committed rows, by ascending `old_id`.

        Raises
        ------
        Exception
            Why a piece was rolled back, after the batches of all pieces that were committed.
        """
        size = self._session.options.piece_rows or len(ids)
        first = 1 if self._folder is None else next_piece(self._folder, self._table.binding.plan.name)
        starts = range(0, len(ids), size)
        pieces = (_Piece(number, ids[start : start + size]) for number, start in enumerate(starts, first))
        with open_executor("dfsync-writer", self._writers) as executor:
            yield from self._load(executor, pieces)

    def _load(self, executor: Executor, pieces: Iterator[_Piece]) -> Iterator[LoadedBatch]:
        running: deque[Future[list[LoadedBatch]]] = deque()
        failure: Exception | None = None
        try:
            while True:
                # As many wait as run, so that no writer has to wait for a slower one.
                while failure is None and len(running) < 2 * self._writers and (piece := next(pieces, None)):
                    running.append(executor.submit(partial(self._load_piece, piece)))
                if not running:
                    break
                try:
                    batches = running.popleft().result()
                except Exception as error:
                    failure = failure or error
                    continue
                yield from batches
        finally:
            self._failed.set()
        if failure is not None:
            raise failure

    def _load_piece(self, piece: _Piece) -> list[LoadedBatch]:
        """Load a piece, unless another one has failed; one that is being loaded then is committed all the same."""
        if self._failed.is_set():
            return []
        try:
            return self._try(piece)
        except BaseException:
            self._failed.set()
            raise

    def _try(self, piece: _Piece) -> list[LoadedBatch]:
        """Load a piece; what may pass by itself is tried again."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._load_once(piece)
            except Exception as error:
                if self._session.source.stopped or error_code(error) not in RETRYABLE:
                    raise
                if attempt == _ATTEMPTS:
                    # The table does not begin anew: it has rows that are committed.
                    raise TableError(explain(error)) from error
                log.debug("piece %d of %s: %s; once more", piece.number, self._table.binding.plan.name, explain(error))
        raise AssertionError

    def _load_once(self, piece: _Piece) -> list[LoadedBatch]:
        session, binding = self._session, self._table.binding
        keys: list[pd.DataFrame] = []
        with ExitStack() as stack:
            connection = stack.enter_context(session.connected())
            transaction = stack.enter_context(snapshot_transaction(connection))
            journal = session.open_journal(binding, connection, self._table.folder)
            table = replace(self._table, connection=connection, journal=journal and stack.enter_context(journal))
            loader = open_loader(table, dry_run=False, local_infile=session.options.local_infile)

            def send(rows: pd.DataFrame) -> tuple[pd.Series[int], pd.DataFrame]:
                keys.append(rows[binding.key_names])
                return loader.insert(with_deferred_nulls(table, rows))

            batches = []
            for batch in load_rows(table, piece.ids, send):
                batches.append(batch)
                if table.journal is not None:
                    table.journal.note_inserts(np.asarray(batch.new_ids))
            new_ids = pd.concat([batch.new_ids for batch in batches])
            commit_piece(session, table, transaction.commit, np.asarray(new_ids.index), np.asarray(new_ids))
        if self._folder is not None:
            self._write_map(self._folder, piece, pd.concat(keys), new_ids)
        return batches

    def _write_map(self, folder: Path, piece: _Piece, keys: pd.DataFrame, new_ids: pd.Series[int]) -> None:
        binding = self._table.binding
        part = inserted_part(binding, new_ids, keys, of_several=self._session.source.several)
        try:
            rows = of_files(self._session.source, binding.plan, part)
            write_piece(folder, binding.plan.name, piece.number, rows, self._origin)
        except OutputWriteError:
            # The rows are in the target. What matters is the whole map, at the end; where it fails it is told.
            log.debug("the map of piece %d of %s is not written", piece.number, binding.plan.name, exc_info=True)


def commit_piece(
    session: Session, table: TableContext, commit: Callable[[], None], old_ids: OldIds, new_ids: NewIds
) -> None:
    """Commit a part of a table's rows, as soon as the journal has it on the disk.

    Parameters
    ----------
    session
        Has the journal of the run.
    table
        The table, with the journal of its transaction.
    commit
        Commits the transaction.
    old_ids, new_ids
        The rows that it has inserted.

    Raises
    ------
    OutputWriteError
        The journal cannot be written, and nothing is committed.
    TableError
        Nobody can see whether it is committed.
    Exception
        Why it is not committed.
    """
    run, rows, name = session.journal, table.journal, table.binding.plan.name
    if run is None or rows is None or not len(old_ids):
        commit()
        return
    with table.timer("journal"):
        write = partial(rows.write, old_ids=old_ids, new_ids=new_ids)
        number = run.write_piece(TableWrites(table.binding, write))
    try:
        commit()
    except Exception as error:
        log.debug("no answer to the COMMIT of part %d of %s", number, name, exc_info=True)
        try:
            committed = run.settle_piece(name, number, session.engine)
        except _CANNOT_LOOK:
            raise TableError(NO_ANSWER.format(reason=explain(error))) from error
        if not committed:
            raise
    else:
        with suppress(OutputWriteError):
            # What is not marked is settled by the next run.
            run.mark_piece(name, number, COMMITTED)


def allowed_writers(connection: sa.Connection, wanted: int) -> tuple[int, str | None]:
    """Say how many connections may insert into one table at a time.

    Parameters
    ----------
    connection
        The target.
    wanted
        How many the user asked for.

    Returns
    -------
    tuple of int and str
        The number; and why it is not the wanted one, None where it is.

    References
    ----------
    https://dev.mysql.com/doc/refman/9.7/en/innodb-auto-increment-handling.html
    """
    if wanted == 1:
        return 1, None
    mode = int(connection.scalar(sa.text("SELECT @@GLOBAL.innodb_autoinc_lock_mode")) or 0)
    if mode == _INTERLEAVED:
        return wanted, None
    why = f"innodb_autoinc_lock_mode is {mode}, with which one bulk insert into a table waits for another"
    return 1, f"one writer in place of {wanted}, since the server's {why}; with {_INTERLEAVED} they run side by side"
