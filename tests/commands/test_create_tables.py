"""The tables that `create-tables` makes, as the server then describes them."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from dfsync.cli.render.create_tables import create_tables_lines, script
from dfsync.commands.create_tables import create_tables
from dfsync.commands.sync import sync
from dfsync.model.errors import DfsyncError
from dfsync.model.options import SyncOptions
from dfsync.model.schema import ForeignKeyConstraint, Table
from tests.support.git_history import user
from tests.support.runs.created_tables import Made, fill, there


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "source.db"


def run(target: Engine, statement: str) -> None:
    with target.begin() as connection:
        connection.execute(text(statement))


def test_git_history(path: Path, target: Engine) -> None:
    made = Made(
        path,
        target,
        """
        CREATE TABLE repositories (id INTEGER PRIMARY KEY, slug VARCHAR(255) NOT NULL UNIQUE);
        CREATE TABLE commits (
          id INTEGER PRIMARY KEY, repository_id INTEGER NOT NULL REFERENCES repositories(id), hash VARCHAR(40) NOT NULL,
          branch VARCHAR(255) DEFAULT 'master', files_changed INTEGER DEFAULT 0, UNIQUE (hash, repository_id));
        CREATE INDEX by_branch ON commits (branch);
        """,
    )
    commits = made.schema["commits"]
    assert commits["id"].auto_increment
    assert commits.primary_key == ("id",)
    assert ("hash", "repository_id") in commits.uniques()
    assert ("branch",) in commits.all_indexes()
    assert commits.references == (ForeignKeyConstraint(("repository_id",), "repositories", ("id",)),)
    assert not commits["hash"].nullable
    assert commits["branch"].default in ("master", "'master'")
    assert commits["files_changed"].default == "0"
    assert made.creation.lacking == (
        "authors",
        "pull_requests",
        "pr_approvals",
        "staff_details",
        "author_staff_mapping",
        "staff_metrics",
        "current_year_staff_metrics",
    )


def test_plan_keys_that_the_source_does_not_declare(path: Path, target: Engine, tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text(
        """
        [tables.repos]
        natural_key = ["slug"]
        [tables.commits]
        natural_key = ["hash", "repo"]
        foreign_keys = { repo = "repos" }
        ignore_columns = ["scratch"]
        """
    )
    script = """
        CREATE TABLE repos (nr INTEGER PRIMARY KEY, slug TEXT);
        CREATE TABLE commits (id INTEGER PRIMARY KEY, repo INT, hash TEXT, scratch TEXT);
    """
    made = Made(path, target, script, SyncOptions(plan=plan))
    assert made.schema["repos"].uniques() == [("nr",), ("slug",)]
    commits = made.schema["commits"]
    assert ("hash", "repo") in commits.uniques()
    assert commits.references == (ForeignKeyConstraint(("repo",), "repos", ("nr",)),)
    assert made.type("commits", "repo") == "bigint"
    assert "scratch" not in commits


def test_existing_tables_are_left_alone_and_their_types_taken(path: Path, target: Engine) -> None:
    run(target, "CREATE TABLE parent (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, extra INT)")
    made = Made(
        path,
        target,
        """
        CREATE TABLE parent (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
        CREATE TABLE child (id INTEGER PRIMARY KEY, parent_id INTEGER REFERENCES parent(id), name TEXT NOT NULL UNIQUE);
        """,
    )
    assert made.creation.existing == ("parent",)
    assert made.creation.created == ("child",)
    assert "name" not in made.schema["parent"]
    assert made.schema["child"]["parent_id"].unsigned
    assert made.schema["child"].references == (ForeignKeyConstraint(("parent_id",), "parent", ("id",)),)
    assert "parent exists and is left alone" in create_tables_lines(made.creation)


def test_print_changes_nothing_and_runs_as_printed(path: Path, target: Engine) -> None:
    fill(path, "CREATE TABLE \"50% `x`\" (id INTEGER PRIMARY KEY, a TEXT NOT NULL UNIQUE DEFAULT 'it''s 100% \\')")
    printed = create_tables(path, target.url, print_only=True)
    assert there(target) == {}
    with target.connect().execution_options(no_parameters=True) as connection:
        for statement in script(printed):
            connection.exec_driver_sql(statement.removesuffix(";"))
    column = there(target)["50% `x`"]["a"]
    assert (column.default or "").strip("'").replace("''", "'").replace("\\'", "'").replace(
        "\\\\", "\\"
    ) == "it's 100% \\"
    assert create_tables(path, target.url).existing == ("50% `x`",)


def test_circles_and_self_references(path: Path, target: Engine) -> None:
    made = Made(
        path,
        target,
        """
        CREATE TABLE a (id INTEGER PRIMARY KEY, b_id INTEGER REFERENCES b(id), k TEXT NOT NULL UNIQUE);
        CREATE TABLE b (id INTEGER PRIMARY KEY, a_id INTEGER NOT NULL REFERENCES a(id), k TEXT NOT NULL UNIQUE);
        CREATE TABLE node (nid INTEGER PRIMARY KEY, up INTEGER NOT NULL REFERENCES node, k TEXT NOT NULL UNIQUE);
        INSERT INTO a VALUES (1, 2, 'a'); INSERT INTO b VALUES (2, 1, 'b'); INSERT INTO node VALUES (5, 5, 'root');
        """,
    )
    references = {name: [r.parent for r in table.references] for name, table in made.schema.items()}
    assert references == {"a": ["b"], "b": ["a"], "node": ["node"]}


def test_shapes_without_a_surrogate_id(path: Path, target: Engine) -> None:
    made = Made(
        path,
        target,
        """
        CREATE TABLE post (id INTEGER PRIMARY KEY, slug TEXT NOT NULL UNIQUE);
        CREATE TABLE tag (name TEXT PRIMARY KEY, about TEXT);
        CREATE TABLE post_tag (post INTEGER REFERENCES post, tag TEXT REFERENCES tag, PRIMARY KEY (post, tag))
          WITHOUT ROWID;
        CREATE TABLE profile (post INTEGER PRIMARY KEY REFERENCES post(id), bio TEXT);
        CREATE TABLE sale (org TEXT, nr INTEGER, PRIMARY KEY (org, nr));
        CREATE TABLE item (id INTEGER PRIMARY KEY, nr INTEGER, org TEXT,
          FOREIGN KEY (nr, org) REFERENCES sale (nr, org));
        CREATE TABLE log (at DATETIME, line TEXT);
        CREATE TABLE loose (k TEXT PRIMARY KEY, v INTEGER);
        INSERT INTO loose VALUES (NULL, 1), ('a', 2);
        CREATE TABLE made (id INTEGER PRIMARY KEY, a INTEGER, twice INTEGER GENERATED ALWAYS AS (a * 2));
        INSERT INTO made (a) VALUES (4);
        CREATE VIEW seen AS SELECT 1;
        """,
    )
    schema = made.schema
    assert schema["post_tag"].primary_key == ("post", "tag")
    assert {r.parent for r in schema["post_tag"].references} == {"post", "tag"}
    assert schema["tag"].primary_key == ("name",)
    assert schema["profile"].primary_key == ("post",)
    assert not schema["profile"]["post"].auto_increment
    assert schema["item"].references == (ForeignKeyConstraint(("org", "nr"), "sale", ("org", "nr")),)
    assert schema["log"].primary_key == ()
    # SQLite lets NULL into a primary key that is no integer.
    assert schema["loose"].primary_key == ()
    assert schema["loose"].uniques() == [("k",)]
    assert not schema["made"]["twice"].generated
    assert "seen" not in schema
    assert sync(path, target.url, out=path.parent / "out").ok


def test_keys_compare_as_in_sqlite(path: Path, target: Engine) -> None:
    Made(
        path,
        target,
        """
        CREATE TABLE t (id INTEGER PRIMARY KEY, exact TEXT UNIQUE, folded TEXT COLLATE NOCASE UNIQUE,
          trimmed TEXT COLLATE RTRIM UNIQUE);
        INSERT INTO t (exact) VALUES ('a'), ('A'), ('a '), ('é'), ('e'), ('😀'), ('');
        INSERT INTO t (folded) VALUES ('x'), ('é'), ('e');
        INSERT INTO t (trimmed) VALUES ('x'), ('X');
        """,
    )
    assert sync(path, target.url, out=path.parent / "out").summary["inserted"].sum() == 12
    for column, same in (("folded", "X"), ("trimmed", "x  ")):
        with target.connect() as connection:
            found = connection.execute(text(f"SELECT {column} FROM t WHERE {column} = :v"), {"v": same}).all()  # noqa: S608
        assert [value for (value,) in found] == ["x"]


class TestKeyLengths:
    def test_declared_lengths_that_an_index_cannot_hold_are_shared_out(self, path: Path, target: Engine) -> None:
        script = "CREATE TABLE t (id INTEGER PRIMARY KEY, a VARCHAR(500), b VARCHAR(1000), UNIQUE (a, b))"
        made = Made(path, target, script)
        lengths = [made.schema["t"][name].length or 0 for name in "ab"]
        assert 0 < lengths[0] < lengths[1]
        assert sum(lengths) <= 768
        assert any("t.a: made no longer than" in note for note in made.creation.notes)

    def test_the_data_decides(self, path: Path, target: Engine) -> None:
        script = """
            CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT, b TEXT, UNIQUE (a, b));
            INSERT INTO t (a, b) VALUES (printf('%.*c', 600, 'x'), 'y');
        """
        made = Made(path, target, script)
        assert (made.schema["t"]["a"].length or 0) >= 600
        assert sync(path, target.url, out=path.parent / "out").ok

    def test_longer_than_any_index(self, path: Path, target: Engine) -> None:
        fill(path, "CREATE TABLE t (k TEXT NOT NULL UNIQUE); INSERT INTO t VALUES (printf('%.*c', 769, 'x'))")
        with pytest.raises(DfsyncError, match=r"t cannot have a unique key over k: .* longest value has 769"):
            create_tables(path, target.url)
        assert there(target) == {}

    def test_other_indexes_take_the_beginning(self, path: Path, target: Engine) -> None:
        made = Made(
            path, target, "CREATE TABLE t (a TEXT, b BLOB); CREATE INDEX i ON t (a, b); CREATE INDEX j ON t (a)"
        )
        assert made.type("t", "a") == "text"
        assert ("a", "b") in made.schema["t"].all_indexes()

    def test_a_blob(self, path: Path, target: Engine) -> None:
        assert Made(path, target, "CREATE TABLE t (k BLOB PRIMARY KEY)").type("t", "k") == "varbinary(255)"


@pytest.mark.parametrize(
    "columns",
    [
        ", ".join(f"c{i} VARCHAR(16000)" for i in range(6)),
        ", ".join(f"c{i} VARCHAR(50)" for i in range(90)),
        ", ".join(f"c{i} VARCHAR(255)" for i in range(150)),
    ],
)
def test_a_row_too_long(path: Path, target: Engine, columns: str) -> None:
    made = Made(path, target, f"CREATE TABLE t (id INTEGER PRIMARY KEY, {columns})")
    assert "t: a row would be too long, so these become TEXT: c0" in made.creation.notes[0]


def test_names(path: Path, target: Engine) -> None:
    long = "n" * 64
    script = f"""
        CREATE TABLE "order `by`" (
          id INTEGER PRIMARY KEY, "select" TEXT NOT NULL UNIQUE, "100%" INTEGER, "a.b" TEXT, "größe" REAL);
        CREATE TABLE "名前" (id INTEGER PRIMARY KEY, "order `by`" INTEGER REFERENCES "order `by`"(ID));
        CREATE TABLE Mixed (Id INTEGER PRIMARY KEY, "Key" TEXT, UNIQUE ("key"));
        CREATE TABLE {long} (id INTEGER PRIMARY KEY, {long[1:]}a INTEGER REFERENCES {long}, {long[1:]}b INTEGER,
          UNIQUE ({long[1:]}a, {long[1:]}b));
        CREATE INDEX "primary" ON "名前" ("order `by`");
    """
    made = Made(path, target, script)
    assert made.creation.notes == ()
    assert set(made.schema) == {"order `by`", "名前", "Mixed", long}
    assert made.schema["名前"].references == (ForeignKeyConstraint(("order `by`",), "order `by`", ("id",)),)


@pytest.mark.parametrize(
    ("table", "said"),
    [(f"CREATE TABLE {'n' * 65} (a)", "has 65 characters"), (f"CREATE TABLE t ({'n' * 65})", "at most 64")],
)
def test_names_too_long(path: Path, target: Engine, table: str, said: str) -> None:
    fill(path, table)
    with pytest.raises(DfsyncError, match=said):
        create_tables(path, target.url)


def test_defaults(path: Path, target: Engine) -> None:
    script = """
        CREATE TABLE t (
          id INTEGER PRIMARY KEY, a INTEGER DEFAULT (1 + 2), b TEXT DEFAULT 'x', c VARCHAR(3) DEFAULT 'toolong',
          d BOOLEAN DEFAULT true, e DOUBLE DEFAULT -1.5e3, f INTEGER DEFAULT '7', g INTEGER DEFAULT 'seven',
          h DATE DEFAULT '2024-01-01', i DATETIME DEFAULT (datetime('now')), j VARCHAR(9) DEFAULT '',
          k INTEGER DEFAULT NULL,
          l DATETIME NOT NULL DEFAULT CURRENT_TIMESTAMP, m TIMESTAMP DEFAULT CURRENT_TIMESTAMP, n DATE DEFAULT 'now',
          o INTEGER DEFAULT ((-5)));
        INSERT INTO t (id, c, m) VALUES (1, '', '2024-01-01 00:00:00.5');
    """
    Made(path, target, script)
    run(target, "INSERT INTO t (id) VALUES (2)")
    with target.connect() as connection:
        row = connection.execute(text("SELECT * FROM t")).mappings().one()
    assert [row[name] for name in "abcgikn"] == [None] * 7
    assert [row[name] for name in "defjo"] == [1, -1500.0, 7, "", -5]
    assert str(row["h"]) == "2024-01-01"
    assert None not in (row["l"], row["m"])


def test_no_foreign_key_to_what_is_not_unique(path: Path, target: Engine) -> None:
    made = Made(path, target, "CREATE TABLE p (a TEXT); CREATE TABLE c (a TEXT REFERENCES p(a))")
    assert made.schema["c"].references == ()
    assert made.creation.notes == ("c: no foreign key from a to p: p has no unique key of that.",)


def test_the_server_says_no(path: Path, target: Engine) -> None:
    columns = ", ".join(f"c{i} INTEGER" for i in range(1100))
    fill(path, f"CREATE TABLE t ({columns})")
    with pytest.raises(DfsyncError, match="The target refuses to make t: "):
        create_tables(path, target.url)


def test_what_it_may_not_make_is_told_in_one_line(path: Path, target: Engine) -> None:
    fill(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)")
    with (
        user(target, "a pass word", "SELECT ON *") as name,
        pytest.raises(DfsyncError, match=r"denied .* It was: CREATE TABLE `t` \( `id` .* \) ENGINE=") as caught,
    ):
        create_tables(path, target.url.set(username=name, password="a pass word"))
    assert str(caught.value).isprintable()


def test_all_tables_are_of_innodb_and_utf8mb4(path: Path, target: Engine) -> None:
    run(target, "ALTER DATABASE CHARACTER SET latin1")
    made = Made(path, target, "CREATE TABLE t (id INTEGER PRIMARY KEY, a TEXT)")
    table: Table = made.schema["t"]
    assert table["a"].charset == "utf8mb4"
    assert "ENGINE=InnoDB" in made.creation.statements[0]


def test_tells_where_a_table_that_is_there_lacks_the_unique_key(path: Path, target: Engine, tmp_path: Path) -> None:
    plan = tmp_path / "plan.toml"
    plan.write_text('[tables.t]\nnatural_key = ["a", "b"]\n[tables.u]\nnatural_key = ["a", "b"]\n')
    columns = "id BIGINT AUTO_INCREMENT PRIMARY KEY, a INT NOT NULL, b INT, KEY (a, b)"
    run(target, f"CREATE TABLE T ({columns})")
    run(target, f"CREATE TABLE u ({columns}, UNIQUE (a))")
    script = "CREATE TABLE {} (id INTEGER PRIMARY KEY, a INTEGER NOT NULL, b INTEGER)"
    made = Made(path, target, f"{script.format('T')}; {script.format('u')}", SyncOptions(plan=plan))
    (note,) = made.creation.notes
    assert note.startswith("t has no unique key over a, b, its natural key")
    assert f"Note: {note}" in create_tables_lines(made.creation)
