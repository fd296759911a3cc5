"""Rows that were to keep their ids, and have others in the target."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from dfsync.output import files
from dfsync.output.last_run import read_last_run
from dfsync.pipeline.session.session import Session
from dfsync.text.wording import printable, with_count

_EXAMPLES = 3
_LISTED = "other_ids/{name}.parquet in the --out folder lists them"


def other_id_notes(run: Session, out: Path) -> Iterator[str]:
    """Tell of tables that were to keep their ids, and of which rows have others.

    Parameters
    ----------
    run
        The session, with the plan that the sync had.
    out
        The output folder, with the mappings.

    Yields
    ------
    str
        A sentence for each such table.
    """
    last = read_last_run(out)
    for name in run.names:
        binding = run.bindings.get(name)
        if binding is None or binding.id is None or not (binding.plan.keeps_ids or last.keeps_ids(name)):
            continue
        mapping = files.read_map(out, name)
        other = mapping[(mapping["old_id"] != mapping["new_id"]).to_numpy(dtype=bool)]
        if len(other):
            shown = ", ".join(f"{row.old_id} -> {row.new_id}" for row in other.head(_EXAMPLES).itertuples())
            more = ", ..." if len(other) > _EXAMPLES else ""
            have = "has another id" if len(other) == 1 else "have other ids"
            yield (
                f"{with_count(len(other), 'rows')} of {printable(name)} {have} than in the source: {shown}{more}; "
                f"{_LISTED.format(name=printable(name))}"
            )
