"""Parts of a journal of which nobody knows whether they were committed: looking at the target tells.

A transaction that is still open on the server holds locks on the rows that it wrote, so the look waits for its end.
"""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from dfsync.model.errors import DfsyncError
from dfsync.model.schema import Schema, Table
from dfsync.output.journal.record import (
    COMMITTED,
    LOST,
    OPEN_STATES,
    ROLLED_BACK,
    RunRecord,
    TableRecord,
    read_records,
    run_folder,
    write_record,
)
from dfsync.output.journal.rows import BEFORE, INSERTED, read_whole
from dfsync.target.connection import connect, display_name
from dfsync.target.read.exact import DIGEST, read_digests, read_exact
from dfsync.target.schema.reflection import reflect

log = logging.getLogger(__name__)

_ROWS_PER_LOOK = 5_000
_LOST = (
    "The run %s was killed while it committed rows of %s, and its files in %s/runs/%s were deleted or damaged since: "
    "nobody can tell whether these %s rows are in the target, and no undo takes them back."
)


def settle_runs(out: Path, engine: sa.Engine) -> list[RunRecord]:
    """Settle all runs into this target of which a part is open.

    Parameters
    ----------
    out
        The output folder. Nobody else may be writing there: the caller holds the target's `exclusive_lock`.
    engine
        The target.

    Returns
    -------
    list of RunRecord
        Those that are settled now.

    Raises
    ------
    DfsyncError
        The target cannot be reached, or a journal cannot be read or written.
    """
    name = display_name(engine.url)
    records = [record for record in read_records(out) if record.is_unknown and record.target == name]
    for record in records:
        settle(out, record, engine)
    return records


def settle(out: Path, record: RunRecord, engine: sa.Engine) -> None:
    """Find out which open parts of a run are in the target, and write that into its record.

    Parameters
    ----------
    out
        The output folder.
    record
        The run.
    engine
        The target.
    """
    with connect(engine) as connection:
        schema = reflect(connection)
        for table in record.tables:
            for number, part in enumerate(table.parts, 1):
                if part.state in OPEN_STATES:
                    try:
                        there = is_there(connection, schema, run_folder(out, record.id), table, number)
                        part.state = COMMITTED if there else ROLLED_BACK
                    except DfsyncError as error:
                        # It is no reason to sync nothing more.
                        log.debug("what became of a part cannot be seen: %s", error)
                        log.warning(_LOST, record.id, table.table, out, record.id, part.inserted + part.updated)
                        part.state = LOST
                    # Locks that the look took are given back.
                    connection.rollback()
    write_record(out, record)


def is_there(connection: sa.Connection, schema: Schema, run: Path, record: TableRecord, part: int) -> bool:
    """Tell whether what a part of a journal has is in the target: all of it is, or nothing.

    Parameters
    ----------
    connection
        The target, without a snapshot that is older than the end of the transaction.
    schema
        The target's tables.
    run
        The folder of the run.
    record
        The table.
    part
        The number of the part.

    Returns
    -------
    bool
        True as soon as one row is found as the transaction left it.

    Raises
    ------
    DfsyncError
        The journal is damaged or lacks rows, so that nobody can tell.
    """
    table = schema.find(record.table)
    if table is None:
        return False
    written = record.parts[part - 1]
    before = read_whole(run, BEFORE, record, [part], written.updated)
    for rows in read_whole(run, INSERTED, record, [part], written.inserted):
        if record.id is None:
            return _is_keyless_there(connection, table, rows)
        if _is_any_there(connection, table, record.id, rows):
            return True
    for rows in before:
        if record.id is None:
            names = [field.name for field in rows.schema.field("key").type]
            now = read_exact(connection, table, names, lock=True)[1]
            return bool(pc.any(pc.is_in(rows.column(DIGEST), value_set=now)).as_py())
        if _is_any_there(connection, table, record.id, rows):
            return True
    return False


def _is_any_there(connection: sa.Connection, table: Table, own_id: str, rows: pa.Table) -> bool:
    ids, digests = rows.column("new_id").to_numpy(), rows.column(DIGEST).to_numpy()
    order = np.argsort(ids)
    ids, digests = ids[order], digests[order]
    for start in range(0, len(ids), _ROWS_PER_LOOK):
        part = slice(start, start + _ROWS_PER_LOOK)
        for found in read_digests(connection, table, own_id, ids[part], lock=True):
            if (digests[np.searchsorted(ids, found.ids)] == found.digests).any():
                return True
    return False


def _is_keyless_there(connection: sa.Connection, table: Table, rows: pa.Table) -> bool:
    _, now = read_exact(connection, table, [], lock=True)
    counted = (
        pa.table({DIGEST: now, "now": pa.array(np.ones(len(now), np.int64))})
        .group_by(DIGEST)
        .aggregate([("now", "sum")])
    )
    both = rows.drop_columns([c for c in rows.column_names if c == "key"]).join(counted, DIGEST)
    return bool(pc.any(pc.greater_equal(both.column("now_sum"), both.column("present"))).as_py())
