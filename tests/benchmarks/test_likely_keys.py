"""The figures of docs/likely-keys.md are those of the code, and a description is read as it is written."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.likely_keys import GROUPS, SCHEMAS, Column, Result, counts, read, results, row

PAGE = (Path(__file__).parents[2] / "docs" / "likely-keys.md").read_text(encoding="utf-8")


def test_a_description(tmp_path: Path) -> None:
    path = tmp_path / "d.txt"
    path.write_text("# a title\nlog: id id, user_id => user?, kind -> kind, object_id pair kind, note text?\n")
    assert read(path)["log"] == [
        Column("id", "id", False),
        Column("user_id", "int", True, parent="user"),
        Column("kind", "int", False, parent="kind"),
        Column("object_id", "int", False, pair="kind"),
        Column("note", "text", True),
    ]


def test_every_schema_is_in_one_group() -> None:
    assert sorted(name for group in GROUPS.values() for name in group) == sorted(p.stem for p in SCHEMAS.glob("*.txt"))


@pytest.mark.parametrize("name", [name for group in GROUPS.values() for name in group])
def test_the_page_has_these_figures(name: str) -> None:
    (result,) = results([name])
    assert row(result) in PAGE.splitlines()


def test_what_is_not_found_is_missed() -> None:
    keys = {("a", "x"): "b", ("a", "y"): "c", ("a", "z"): "d"}
    result = Result("r", keys, found={("a", "x")}, elsewhere={("a", "y")}, wrong={("a", "n")})
    assert (result.missed, counts(result)) == ([("a", "z")], [3, 1, 1, 1, 1])
