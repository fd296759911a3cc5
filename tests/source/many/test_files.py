"""What a user may write for sources, and the names that these get."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dfsync.model.errors import DfsyncError
from dfsync.model.source_file import SourceFile
from dfsync.source.many.files import find_files, read_list


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in (
        "a.db",
        "b.db",
        "laptop7/git.db",
        "laptop8/git.db",
        "laptop8/notes.txt",
        "x:y.db",
        "c/a.sqlite",
        "deep/d/a.sqlite3",
    ):
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"SQLite format 3\x00" if path.suffix != ".txt" else b"text")
    return tmp_path


def found(spec: Any) -> dict[str, str]:
    return {file.name: str(file.path) for file in find_files(spec)}


@pytest.mark.parametrize(
    ("spec", "files"),
    [
        ("a.db", {"a": "a.db"}),
        (["b.db", "a.db"], {"b": "b.db", "a": "a.db"}),
        (["a.db", "./a.db"], {"a": "a.db"}),
        (["laptop8/git.db", "laptop7/git.db"], {"laptop8/git": "laptop8/git.db", "laptop7/git": "laptop7/git.db"}),
        ("laptop8", {"git": "laptop8/git.db"}),
        ("laptop*/*.db", {"laptop7/git": "laptop7/git.db", "laptop8/git": "laptop8/git.db"}),
        ("**/*.sqlite", {"a": "c/a.sqlite"}),
        ("x:y.db", {"x:y": "x:y.db"}),
        ("crm:a.db", {"crm": "a.db"}),
        ("crm:laptop8", {"crm": "laptop8/git.db"}),
        (["crm:missing.db", "a.db"], {"crm": "missing.db", "a": "a.db"}),
        (["a:b.db", "a.db"], {"a": "b.db", "{folder}/a": "a.db"}),
        ({"crm": "a.db", "erp/old": Path("b.db")}, {"crm": "a.db", "erp/old": "b.db"}),
        ([("c:", "a.db")], {"c:": "a.db"}),
        ([SourceFile("x", Path("a.db"), named=True)], {"x": "a.db"}),
        ("c:/data/x.db", {"x": "c:/data/x.db"}),
        (["a.db", "c/a.sqlite"], {"{folder}/a": "a.db", "c/a": "c/a.sqlite"}),
    ],
)
def test_are_found_and_named(folder: Path, spec: Any, files: dict[str, str]) -> None:
    assert found(spec) == {name.format(folder=folder.name): path for name, path in files.items()}


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ("*.nothing", "No file matches *.nothing."),
        ("empty", "There is no SQLite file in the folder empty."),
        (
            "deep",
            "There is no SQLite file in the folder deep, and folders in it are not searched. They hold such files: "
            "'deep/*/*.sqlite3' names them. Name a file with source=.",
        ),
        ("crm:laptop*/*.db", "The name crm is for one file, and laptop*/*.db is 2 of them: name each by itself."),
        ({"../crm": "a.db"}, "'../crm' is no name for a source"),
        (["x:a.db", "y:a.db"], "a.db is named twice, as x and as y."),
        (["x:a.db", "x:b.db"], "x is the name of several sources, a.db and b.db: give each its own."),
        ("mysql://app:secret@host/db", "mysql://***@host/db is no file."),
        ([], "No source is named."),
    ],
)
def test_mistakes(spec: Any, says: str) -> None:
    Path("empty").mkdir()
    with pytest.raises(DfsyncError) as raised:
        find_files(spec)
    assert str(raised.value).startswith(says)


class TestAList:
    def test_has_a_source_in_each_line_relative_to_its_folder(self, folder: Path, monkeypatch: Any) -> None:
        lines = ["# laptops", "", "git.db", "eight => ../laptop8/git.db", "x y\t../a.db", "crm:../b.db"]
        (folder / "laptop7" / "list.txt").write_text("\n".join(lines))
        monkeypatch.chdir("/")
        files = find_files(read_list(folder / "laptop7" / "list.txt"))
        assert [(file.name, file.path.resolve().relative_to(folder).as_posix()) for file in files] == [
            ("git", "laptop7/git.db"),
            ("eight", "laptop8/git.db"),
            ("x y", "a.db"),
            ("crm", "b.db"),
        ]
        assert [file.named for file in files] == [False, True, True, True]

    def test_that_names_nothing(self) -> None:
        Path("list.txt").write_text("# nothing\n\n")
        with pytest.raises(DfsyncError, match=r"^The list of sources list\.txt names no file"):
            read_list(Path("list.txt"))


def test_a_source_is_the_same_by_name_or_by_path() -> None:
    named = SourceFile("crm", Path("a.db"), named=True)
    assert named.is_same(SourceFile("crm", Path("b.db"), named=True))
    assert not named.is_same(SourceFile("erp", Path("a.db"), named=True))
    assert named.is_same(SourceFile("a", Path("./a.db")))
    assert not named.is_same(SourceFile("crm", Path("b.db")))
