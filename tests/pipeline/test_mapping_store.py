"""The maps that concurrent tables share."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa

from dfsync.model import frames
from dfsync.pipeline.session.mapping_store import MappingStore


def test_an_unknown_table_has_an_empty_map() -> None:
    store = MappingStore()
    assert "a" not in store
    assert store.get("a").empty
    assert list(store.get("a").columns) == ["old_id", "new_id"]
    assert set(store.select(["a", "b"])) == {"a", "b"}


def test_a_reader_keeps_what_it_got_while_the_map_is_replaced() -> None:
    store = MappingStore()

    def map_of(count: int) -> None:
        ids = pa.array(range(count), pa.int64())
        store.put("a", frames.from_arrow(pa.table([ids, ids], names=["old_id", "new_id"])))

    map_of(1)
    before = store.get("a")
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(map_of, range(2, 50)))
    assert before["new_id"].tolist() == [0]
    assert len(store.get("a")) >= 2
