"""Several sources on several nights: what the maps of the last night tell of each of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from sqlalchemy import Engine

from dfsync.commands.undo import undo
from dfsync.commands.verify import verify
from dfsync.model.errors import DfsyncError
from dfsync.output.mappings import crosswalk, load_mappings
from tests.support.laptops import Laptops, ids

# Rows without a natural key, which are known by their ids alone.
NOTES = "CREATE TABLE notes (id INTEGER PRIMARY KEY, parent_id INTEGER REFERENCES notes(id), text VARCHAR(40));"
PLAN = '[tables.notes]\nnatural_key = []\nidentity = "id"\n'


@pytest.fixture
def laptops(tmp_path: Path, target: Engine) -> Laptops:
    made = Laptops(tmp_path, target, plan=tmp_path / "plan.toml")
    (tmp_path / "plan.toml").write_text(PLAN)
    made.add("ann", "INSERT INTO notes VALUES (1, NULL, 'a one'), (2, 1, 'a two')", NOTES)
    made.add("bob", "INSERT INTO notes VALUES (1, NULL, 'b one'), (2, 1, 'b two'), (3, 2, 'b three')", NOTES)
    made.create_tables()
    return made


def texts(laptops: Laptops) -> list[str]:
    return [text for (text,) in laptops.read("SELECT text FROM notes ORDER BY text")]


def test_rows_without_a_key_are_known_by_their_source_and_id(laptops: Laptops) -> None:
    first = ids(laptops.sync().mappings["notes"])
    assert texts(laptops) == ["a one", "a two", "b one", "b three", "b two"]
    laptops.change(laptops.paths[1], "UPDATE notes SET text = 'changed' WHERE id = 1")
    result = laptops.sync(on_match="update")
    assert ids(result.mappings["notes"]) == first
    assert texts(laptops) == ["a one", "a two", "b three", "b two", "changed"]


@pytest.mark.parametrize("how", ["reordered", "added before", "moved away and back", "alone and back"])
def test_other_sources_do_not_lose_theirs(laptops: Laptops, how: str) -> None:
    first = ids(laptops.sync().mappings["notes"])
    ann, bob = laptops.paths
    if how == "added before":
        laptops.paths.insert(0, laptops.add("cem", "INSERT INTO notes VALUES (7, NULL, 'c')", NOTES))
        laptops.paths.pop()
    elif how == "reordered":
        laptops.paths.reverse()
    else:
        for night in [[ann, laptops.add("cem", "", NOTES)] if how == "moved away and back" else [ann]] * 2:
            assert laptops.sync(night).ok
        laptops.paths = [ann, bob]
    for path, name in ((ann, "a"), (bob, "b")):
        laptops.change(path, f"UPDATE notes SET text = '{name} changed' WHERE id = 2")  # noqa: S608
    result = laptops.sync(on_match="update")
    assert {row: new for row, new in ids(result.mappings["notes"]).items() if row[0] in ("ann", "bob")} == first
    assert [text for text in texts(laptops) if "changed" in text] == ["a changed", "b changed"]
    assert len([text for text in texts(laptops) if text[0] in "ab"]) == 5


def test_from_one_source_to_two(laptops: Laptops) -> None:
    ann, bob = laptops.paths
    laptops.sync([ann])
    single = json.loads((laptops.out / "id_mappings.json").read_text())["notes"]
    laptops.change(ann, "UPDATE notes SET text = 'changed' WHERE id = 1")
    result = laptops.sync([bob, ann], on_match="update")
    own = {str(old): new for (source, old), new in ids(result.mappings["notes"]).items() if source == "ann"}
    assert own == single
    assert texts(laptops) == ["a two", "b one", "b three", "b two", "changed"]
    assert not (laptops.out / "id_mappings.json").exists()


def test_a_named_source_is_known_by_its_name(laptops: Laptops, tmp_path: Path) -> None:
    ann, bob = laptops.paths
    first = ids(laptops.sync({"crm": ann, "erp": bob}).mappings["notes"])
    dump = tmp_path / "crm-2026-11-27.db"
    ann.rename(dump)
    laptops.change(dump, "UPDATE notes SET text = 'changed' WHERE id = 1")
    result = laptops.sync({"erp": bob, "crm": dump}, on_match="update")
    assert ids(result.mappings["notes"]) == first
    assert texts(laptops) == ["a two", "b one", "b three", "b two", "changed"]


def test_a_dated_dump_alone_is_known_by_its_name(laptops: Laptops, tmp_path: Path) -> None:
    ann, _ = laptops.paths
    laptops.sync(f"crm:{ann}")
    before = (laptops.out / "id_mappings.json").read_bytes()
    dump = tmp_path / "crm-2026-11-27.db"
    ann.rename(dump)
    laptops.change(dump, "UPDATE notes SET text = 'changed' WHERE id = 1")
    laptops.sync(f"crm:{dump}", on_match="update")
    assert (laptops.out / "id_mappings.json").read_bytes() == before
    assert texts(laptops) == ["a two", "changed"]


def test_maps_of_others_are_not_overwritten(laptops: Laptops) -> None:
    laptops.sync()
    others = [laptops.add("x", "", NOTES), laptops.add("y", "", NOTES)]
    with pytest.raises(
        DfsyncError, match=r"holds the maps of a sync of .*ann\.db and 1 more, and this one is of .*x\.db"
    ):
        laptops.sync(others)


class TestVerify:
    def test_finds_nothing(self, laptops: Laptops) -> None:
        laptops.sync()
        result = verify(laptops.paths, laptops.target.url, out=laptops.out)
        assert result.ok
        assert [(t.total, t.equal) for t in result.tables] == [(5, 5)]

    def test_names_the_source_of_what_differs(self, laptops: Laptops) -> None:
        new = ids(laptops.sync().mappings["notes"])["bob", 2]
        laptops.execute(f"UPDATE notes SET text = 'other' WHERE id = {new}")  # noqa: S608
        result = verify(laptops.paths[::-1], laptops.target.url, out=laptops.out)
        assert not result.ok
        rows = result.differences["notes"][["source", "old_id", "new_id", "column", "source_value"]]
        assert rows.to_numpy().tolist() == [["bob", 2, new, "text", "b two"]]

    def test_a_source_that_cannot_be_read(self, laptops: Laptops) -> None:
        laptops.sync()
        laptops.paths[0].write_bytes(b"nothing")
        result = verify(laptops.paths, laptops.target.url, out=laptops.out)
        assert list(result.unreadable) == ["ann"]
        assert not result.ok
        assert [(t.total, t.equal) for t in result.tables] == [(3, 3)]


class TestTheCrosswalk:
    def test_has_a_column_for_each_source(self, tmp_path: Path, target: Engine) -> None:
        laptops = Laptops(tmp_path, target)
        laptops.add_all()
        laptops.create_tables()
        laptops.sync()
        found = crosswalk(laptops.out, "repositories")
        assert found.columns.tolist() == ["slug", "new_id", "ann", "bob", "cem"]
        assert {name: str(found[name].dtype) for name in ("ann", "bob", "cem")} == dict.fromkeys(
            ("ann", "bob", "cem"), "Int64"
        )
        rows = {row[0]: row[2:] for row in found.astype(object).where(found.notna(), None).itertuples(index=False)}
        assert rows == {"core": (1, None, 100), "web": (2, 1, None), "docs": (None, 5, None)}

    def test_of_one_source(self, laptops: Laptops) -> None:
        laptops.sync(laptops.paths[:1])
        assert crosswalk(laptops.out, "notes")["ann"].tolist() == [1, 2]
        assert load_mappings(laptops.out, "notes")["source"].tolist() == ["ann", "ann"]
        assert "source" not in load_mappings(laptops.out)["notes"]

    def test_has_its_columns_after_an_undo_too(self, tmp_path: Path, target: Engine) -> None:
        laptops = Laptops(tmp_path, target)
        laptops.add_all()
        laptops.create_tables()
        laptops.sync()
        before = crosswalk(laptops.out, "repositories")
        assert undo(laptops.out, target=laptops.target.url).ok
        after = crosswalk(laptops.out, "repositories")
        assert len(after) == 0
        assert after.columns.tolist() == before.columns.tolist() == ["slug", "new_id", "ann", "bob", "cem"]
        assert after.dtypes.tolist()[-3:] == before.dtypes.tolist()[-3:]
