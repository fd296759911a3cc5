"""Names of integer primary keys: those of ids, and those of numbers that mean something."""

from __future__ import annotations

import pytest

from dfsync.plan.discovery.id_names import is_usual_id


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("users", "id"),
        ("Album", "AlbumId"),
        ("Orders", "OrderID"),
        ("actor", "actor_id"),
        ("messages", "_id"),
        ("ZNOTE", "Z_PK"),
        ("persons", "person_no"),
        ("Kunden", "Kunden-Nr."),
        ("emp", "empno"),
        ("accounts", "userid"),
        ("moz_places", "rowid"),
        ("roads", "ogc_fid"),
        ("order", "id_order"),
        ("images", "id_local"),
        ("item", "itemID"),
        ("log", "seq"),
        ("kv", "key"),
        ("customers", "customer_number"),
        ("таблица", "id"),
    ],
)
def test_of_ids(table: str, column: str) -> None:
    assert is_usual_id(table, column)


@pytest.mark.parametrize(
    ("table", "column"),
    [
        ("revenue", "year"),
        ("zip", "plz"),
        ("years", "year"),
        ("services", "port"),
        ("sessions", "session"),
        ("matches", "day"),
        ("cells", "grid"),
        ("countries", "iso_code"),
        ("houses", "street_number"),
        ("colours", "rgb"),
        ("таблица", "год"),
        ("x", "-"),
    ],
)
def test_of_numbers_that_may_mean_something(table: str, column: str) -> None:
    assert not is_usual_id(table, column)
