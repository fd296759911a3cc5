"""Tables that refer to themselves or to each other, whose rows are spread over several files and share keys."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.support.laptops import Laptops, ids
from tests.support.runs.undone import dump, undo

TEAMS = """
CREATE TABLE staff (id INTEGER PRIMARY KEY, name VARCHAR(9) NOT NULL UNIQUE, team_id INTEGER REFERENCES teams (id));
CREATE TABLE teams (id INTEGER PRIMARY KEY, title VARCHAR(9) NOT NULL UNIQUE,
    head_id INTEGER NOT NULL REFERENCES staff (id));
"""
TEAM_ROWS = {
    "north": """
INSERT INTO staff VALUES (1, 'ann', 1), (2, 'bob', NULL);
INSERT INTO teams VALUES (1, 'red', 2), (2, 'blue', 1);
""",
    # The head of the green team is a row of its own, its team and the head of that are shared with the north.
    "south": """
INSERT INTO staff VALUES (1, 'bob', NULL), (2, 'cem', 7), (3, 'dee', 8), (4, 'ann', 7);
INSERT INTO teams VALUES (7, 'red', 1), (8, 'green', 2);
""",
    "west": "INSERT INTO staff VALUES (5, 'eve', 5), (6, 'dee', NULL); INSERT INTO teams VALUES (5, 'green', 6);",
}
WHO = "SELECT s.name, t.title FROM staff s LEFT JOIN teams t ON t.id = s.team_id ORDER BY 1"
HEADS = "SELECT t.title, s.name FROM teams t JOIN staff s ON s.id = t.head_id ORDER BY 1"
PARTS = (
    "CREATE TABLE parts (id INTEGER PRIMARY KEY, code VARCHAR(9) NOT NULL UNIQUE, whole INTEGER {} REFERENCES parts);"
)
PART_ROWS = {
    "one": "INSERT INTO parts VALUES (10, 'car', 10), (11, 'wheel', 10);",
    # Its wheel is that of the other file, and what is in its wheel, and in that again, is its own.
    "two": "INSERT INTO parts VALUES (1, 'bolt', 2), (2, 'hub', 3), (3, 'wheel', 4), (4, 'car', 4);",
    "three": "INSERT INTO parts VALUES (11, 'nut', 12), (12, 'bolt', 14), (13, 'wheel', 13), (14, 'hub', 13);",
}
CAR = "INSERT INTO parts (id, code, whole) VALUES (500, 'car', 500)"
"""The root, which no sync can insert where a reference may not be NULL."""
WHOLES = "SELECT p.code, w.code FROM parts p JOIN parts w ON w.id = p.whole ORDER BY 1"


@pytest.fixture
def laptops(tmp_path: Path, target: Engine) -> Laptops:
    return Laptops(tmp_path, target)


class TestACircle:
    @pytest.fixture(autouse=True)
    def teams(self, laptops: Laptops) -> None:
        for name, rows in TEAM_ROWS.items():
            laptops.add(name, rows, TEAMS)
        laptops.create_tables()

    def test_is_closed_through_rows_that_files_share(self, laptops: Laptops) -> None:
        result = laptops.sync()
        assert result.ok
        assert laptops.read(WHO) == [("ann", "red"), ("bob", None), ("cem", "red"), ("dee", "green"), ("eve", "green")]
        assert laptops.read(HEADS) == [("blue", "ann"), ("green", "cem"), ("red", "bob")]
        assert {c.name: (c.inserted, c.matched) for c in result.counts} == {"staff": (5, 3), "teams": (3, 2)}
        names = dict(laptops.read("SELECT id, name FROM staff"))
        mapped = {row: names[new] for row, new in ids(result.mappings["staff"]).items()}
        assert mapped["south", 1] == mapped["north", 2] == "bob"
        assert mapped["west", 6] == mapped["south", 3] == "dee"

    def test_is_found_again_and_taken_back(self, laptops: Laptops) -> None:
        first = ids(laptops.sync().mappings["staff"])
        again = laptops.sync()
        assert {c.inserted + c.updated for c in again.counts} == {0}
        assert ids(again.mappings["staff"]) == first
        assert undo(laptops).ok
        assert not any(dump(laptops).values())

    def test_is_closed_when_a_file_comes_later(self, laptops: Laptops) -> None:
        assert laptops.sync(laptops.paths[:1]).ok
        assert laptops.sync().ok
        assert laptops.read(WHO) == [("ann", "red"), ("bob", None), ("cem", "red"), ("dee", "green"), ("eve", "green")]
        assert laptops.read(HEADS) == [("blue", "ann"), ("green", "cem"), ("red", "bob")]


class TestASelfReference:
    @pytest.mark.parametrize("null", ["", "NOT NULL"])
    @pytest.mark.parametrize("batch", [1, 50_000])
    def test_leads_to_the_row_that_files_share(self, laptops: Laptops, null: str, batch: int) -> None:
        for name, rows in PART_ROWS.items():
            laptops.add(name, rows, PARTS.format(null))
        laptops.create_tables()
        laptops.execute(CAR)
        result = laptops.sync(batch_size=batch)
        assert result.ok
        assert laptops.read(WHOLES) == [
            ("bolt", "hub"),
            ("car", "car"),
            ("hub", "wheel"),
            ("nut", "bolt"),
            ("wheel", "car"),
        ]
        assert [(c.inserted, c.matched) for c in result.counts] == [(4, 6)]
        again = laptops.sync()
        assert [(c.inserted, c.matched) for c in again.counts] == [(0, 10)]
        assert undo(laptops).ok
        assert dump(laptops) == {"parts": [(500, "car", 500)]}

    @pytest.mark.parametrize("null", ["", "NOT NULL"])
    def test_does_not_lead_into_another_file(self, laptops: Laptops, null: str) -> None:
        laptops.add("one", PART_ROWS["one"], PARTS.format(null))
        # The other file has a row 10, and this one has none.
        laptops.add("two", "INSERT INTO parts VALUES (1, 'bolt', 10), (2, 'nut', 1)", PARTS.format(null))
        laptops.create_tables()
        laptops.execute(CAR)
        result = laptops.sync()
        assert [(c.inserted, c.matched, c.failed) for c in result.counts] == [(1, 1, 2)]
        rejects = result.rejects["parts"]
        assert rejects["source"].tolist() == ["two", "two"]
        assert rejects["value"].tolist() == ["10", "1"]
