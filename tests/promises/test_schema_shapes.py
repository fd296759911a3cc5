"""Rows of tables of all shapes arrive with foreign keys that lead to the same rows, and a second run adds nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from tests.support.git_history import counts
from tests.support.scenario import Scenario

BY_HAND = pytest.mark.parametrize("by_hand", [False, True], ids=["create-tables", "by hand"])


@pytest.fixture
def scenario(target: Engine, tmp_path: Path) -> Scenario:
    return Scenario(tmp_path, target)


class TestIds:
    @BY_HAND
    def test_under_any_name_and_at_any_place(self, scenario: Scenario, by_hand: bool) -> None:
        scenario.create_source(
            """CREATE TABLE people (name TEXT NOT NULL UNIQUE, nr INTEGER PRIMARY KEY);
            CREATE TABLE pets (rowid INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,
                owner INT REFERENCES people);
            CREATE TABLE visits ("Beleg-Nr." INTEGER PRIMARY KEY, pet INT REFERENCES pets (ROWID),
                day TEXT NOT NULL UNIQUE) WITHOUT ROWID;
            INSERT INTO people VALUES ('ann', 9), ('bob', 3);
            INSERT INTO pets VALUES (5, 'rex', 9), (6, 'tom', 3), (7, 'stray', NULL);
            INSERT INTO visits VALUES (1, 6, 'mon'), (2, 5, 'tue'), (3, 6, 'wed')"""
        )
        made = """CREATE TABLE people (Nr SMALLINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, name CHAR(20) UNIQUE);
CREATE TABLE pets (name VARCHAR(20) UNIQUE, owner SMALLINT UNSIGNED REFERENCES people (Nr), other INT DEFAULT 3,
    rowid BIGINT AUTO_INCREMENT PRIMARY KEY, FOREIGN KEY (owner) REFERENCES people (Nr));
CREATE TABLE visits (day VARCHAR(9) NOT NULL UNIQUE, pet BIGINT, `Beleg-Nr.` INT AUTO_INCREMENT PRIMARY KEY,
    FOREIGN KEY (pet) REFERENCES pets (rowid))"""
        scenario.create_target(
            made if by_hand else None,
            "INSERT INTO people (nr, name) VALUES (3, 'other'), (4, 'ann')",
            "INSERT INTO pets (rowid, name, owner) VALUES (5, 'fish', 3), (40, 'rex', 4)",
        )
        result = scenario.sync_twice()
        assert counts(result) == {"people": (1, 1, 0), "pets": (2, 1, 0), "visits": (3, 0, 0)}
        scenario.assert_same("SELECT day, p.name FROM visits JOIN pets p ON p.rowid = pet")
        scenario.assert_same("SELECT o.name, p.name FROM pets p LEFT JOIN people o ON o.nr = owner", ("other", "fish"))

    def test_a_table_of_nothing_but_ids(self, scenario: Scenario) -> None:
        scenario.create_source(
            """CREATE TABLE carts (id INTEGER PRIMARY KEY);
            CREATE TABLE items (id INTEGER PRIMARY KEY, cart INT REFERENCES carts, what TEXT NOT NULL UNIQUE);
            INSERT INTO carts VALUES (1), (2), (9);
            INSERT INTO items VALUES (1, 9, 'tea'), (2, 2, 'egg'), (3, 9, 'jam')"""
        )
        scenario.create_target(None, "INSERT INTO carts VALUES (7)")
        result = scenario.sync_twice()
        assert counts(result) == {"carts": (2, 1, 0), "items": (3, 0, 0)}
        scenario.assert_same("SELECT a.what, b.what FROM items a JOIN items b ON a.cart = b.cart")


class TestForeignKeys:
    @BY_HAND
    def test_several_to_one_parent(self, scenario: Scenario, by_hand: bool) -> None:
        scenario.create_source(
            """CREATE TABLE games (id INTEGER PRIMARY KEY, home INT NOT NULL REFERENCES teams,
                guest INT REFERENCES teams, referee INT REFERENCES teams, day INT, UNIQUE (day, home));
            CREATE TABLE teams (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
            INSERT INTO teams VALUES (1, 'a'), (2, 'b'), (3, 'c');
            INSERT INTO games VALUES (1, 1, 2, NULL, 1), (2, 2, 1, 3, 1), (3, 3, 3, 77, 1), (4, 1, 3, 2, 2)"""
        )
        made = """CREATE TABLE teams (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) UNIQUE);
CREATE TABLE games (id INT AUTO_INCREMENT PRIMARY KEY, day INT, home INT UNSIGNED NOT NULL, guest INT UNSIGNED,
    referee INT UNSIGNED, UNIQUE (day, home), FOREIGN KEY (home) REFERENCES teams (id),
    FOREIGN KEY (guest) REFERENCES teams (id), FOREIGN KEY (referee) REFERENCES teams (id))"""
        scenario.create_target(
            made if by_hand else None,
            "INSERT INTO teams VALUES (1, 'z'), (2, 'c')",
            "INSERT INTO games (id, day, home) VALUES (1, 9, 1), (8, 1, 2)",
        )
        result = scenario.sync_twice()
        # The third game's referee is nowhere, but the target has the game.
        assert counts(result) == {"games": (3, 1, 0), "teams": (2, 1, 0)}
        scenario.assert_same(
            """SELECT day, h.name, g.name, r.name FROM games JOIN teams h ON h.id = home JOIN teams g ON g.id = guest
            LEFT JOIN teams r ON r.id = referee WHERE NOT (h.name = 'c')"""
        )

    @BY_HAND
    def test_to_columns_that_are_no_ids(self, scenario: Scenario, by_hand: bool) -> None:
        scenario.create_source(
            """CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,
                country TEXT REFERENCES countries, bank INT REFERENCES banks (blz));
            CREATE TABLE banks (id INTEGER PRIMARY KEY, blz INT NOT NULL UNIQUE, name TEXT);
            CREATE TABLE countries (code TEXT PRIMARY KEY, name TEXT);
            INSERT INTO countries VALUES ('de', 'Germany'), ('at', 'Austria');
            INSERT INTO banks VALUES (1, 700, 'x'), (2, 800, 'y');
            INSERT INTO people VALUES (1, 'ann', 'de', 800), (2, 'bob', 'at', NULL), (3, 'cy', 'fr', 700)"""
        )
        made = """CREATE TABLE countries (code CHAR(2) PRIMARY KEY, name TEXT);
CREATE TABLE banks (id INT AUTO_INCREMENT PRIMARY KEY, blz INT UNIQUE, name TEXT);
CREATE TABLE people (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) UNIQUE, country CHAR(2), bank INT,
    FOREIGN KEY (country) REFERENCES countries (code), FOREIGN KEY (bank) REFERENCES banks (blz))"""
        scenario.create_target(
            made if by_hand else None,
            "INSERT INTO countries VALUES ('de', 'kept')",
            "INSERT INTO banks VALUES (1, 900, 'z'), (2, 700, 'kept')",
        )
        result = scenario.sync_twice()
        assert counts(result) == {"people": (2, 0, 1), "banks": (1, 1, 0), "countries": (1, 1, 0)}
        assert list(result.mappings) == ["banks", "people"]
        assert scenario.read_target("SELECT name, country, bank FROM people ORDER BY name") == [
            ("ann", "de", 800),
            ("bob", "at", None),
        ]
        assert "foreign key constraint fails" in result.rejects["people"]["reason"].iloc[0]

    @BY_HAND
    def test_through_a_chain_of_one_to_one_tables(self, scenario: Scenario, by_hand: bool) -> None:
        scenario.create_source(
            """CREATE TABLE visits (id INTEGER PRIMARY KEY, doctor INT NOT NULL REFERENCES doctors,
                day TEXT NOT NULL UNIQUE, boss INT REFERENCES heads (who));
            CREATE TABLE heads (who INTEGER PRIMARY KEY REFERENCES doctors, since TEXT);
            CREATE TABLE doctors (person_id INTEGER PRIMARY KEY REFERENCES people (id), field TEXT);
            CREATE TABLE people (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
            INSERT INTO people VALUES (1, 'ann'), (2, 'bob'), (3, 'cy');
            INSERT INTO doctors VALUES (3, 'eyes'), (1, 'ears'); INSERT INTO heads VALUES (3, '2020');
            INSERT INTO visits VALUES (1, 3, 'mon', NULL), (2, 1, 'tue', 3), (3, 2, 'wed', NULL), (4, 1, 'thu', 1)"""
        )
        made = """CREATE TABLE people (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) UNIQUE);
CREATE TABLE doctors (person_id INT PRIMARY KEY, field TEXT, FOREIGN KEY (person_id) REFERENCES people (id));
CREATE TABLE heads (since YEAR, who INT PRIMARY KEY, FOREIGN KEY (who) REFERENCES doctors (person_id));
CREATE TABLE visits (id INT AUTO_INCREMENT PRIMARY KEY, doctor INT NOT NULL, boss INT, day VARCHAR(3) UNIQUE,
    FOREIGN KEY (doctor) REFERENCES doctors (person_id), FOREIGN KEY (boss) REFERENCES heads (who))"""
        scenario.create_target(
            made if by_hand else None,
            "INSERT INTO people VALUES (1, 'zed'), (2, 'cy')",
            "INSERT INTO doctors VALUES (2, 'kept')",
        )
        result = scenario.sync_twice()
        # Bob is a person and no doctor, and ann is no head: the server sees to that.
        assert counts(result) == {"visits": (2, 0, 2), "heads": (1, 0, 0), "doctors": (1, 1, 0), "people": (2, 1, 0)}
        assert scenario.read_target(
            """SELECT day, d.name, b.name FROM visits JOIN doctors ON doctor = doctors.person_id
            JOIN people d ON d.id = doctors.person_id LEFT JOIN people b ON b.id = boss ORDER BY day"""
        ) == [("mon", "cy", None), ("tue", "ann", "cy")]

    @BY_HAND
    def test_of_several_columns(self, scenario: Scenario, by_hand: bool) -> None:
        scenario.create_source(
            """CREATE TABLE repos (id INTEGER PRIMARY KEY, slug TEXT NOT NULL UNIQUE);
            CREATE TABLE commits (repo INT NOT NULL REFERENCES repos, hash TEXT NOT NULL, at TEXT,
                PRIMARY KEY (hash, repo));
            CREATE TABLE files (id INTEGER PRIMARY KEY, repo INT, hash TEXT, path TEXT,
                FOREIGN KEY (repo, hash) REFERENCES commits (repo, hash), UNIQUE (repo, hash, path));
            INSERT INTO repos VALUES (1, 'x'), (2, 'y');
            INSERT INTO commits VALUES (1, 'aa', 'mon'), (2, 'aa', 'tue'), (2, 'bb', 'wed'), (5, 'cc', 'thu');
            INSERT INTO files VALUES (1, 1, 'aa', 'f'), (2, 2, 'aa', 'f'), (3, 2, 'bb', 'g'),
                (4, 1, 'bb', 'no such commit')"""
        )
        made = """CREATE TABLE repos (id INT AUTO_INCREMENT PRIMARY KEY, slug VARCHAR(9) UNIQUE);
CREATE TABLE commits (repo INT, hash CHAR(2) COLLATE utf8mb4_bin, at TEXT, PRIMARY KEY (repo, hash),
    FOREIGN KEY (repo) REFERENCES repos (id));
CREATE TABLE files (id INT AUTO_INCREMENT PRIMARY KEY, repo INT, hash CHAR(2) COLLATE utf8mb4_bin, path VARCHAR(99),
    UNIQUE (path, hash, repo), FOREIGN KEY (repo, hash) REFERENCES commits (repo, hash))"""
        scenario.create_target(
            made if by_hand else None,
            "INSERT INTO repos VALUES (1, 'y')",
            "INSERT INTO commits (repo, hash, at) VALUES (1, 'bb', 'kept')",
        )
        result = scenario.sync_twice()
        assert counts(result) == {"repos": (1, 1, 0), "commits": (2, 1, 1), "files": (3, 0, 1)}
        scenario.assert_same(
            """SELECT slug, f.hash, path FROM files f JOIN commits c ON c.repo = f.repo AND c.hash = f.hash
            JOIN repos r ON r.id = c.repo"""
        )
        assert list(result.rejects["files"]["old_id"]) == [4]


class TestLinkTables:
    @BY_HAND
    @pytest.mark.parametrize("ending", ["", "WITHOUT ROWID"], ids=["with rowid", "without rowid"])
    def test_with_more_columns_and_without(self, scenario: Scenario, by_hand: bool, ending: str) -> None:
        scenario.create_source(
            """CREATE TABLE posts (id INTEGER PRIMARY KEY, title TEXT NOT NULL UNIQUE);
            CREATE TABLE tags (id INTEGER PRIMARY KEY, word TEXT NOT NULL UNIQUE);
            CREATE TABLE bare (post INT NOT NULL REFERENCES posts, tag INT NOT NULL REFERENCES tags,
                PRIMARY KEY (post, tag)) ENDING;
            CREATE TABLE rich (tag INT NOT NULL REFERENCES tags, post INT NOT NULL REFERENCES posts, note TEXT,
                since REAL, PRIMARY KEY (tag, post)) ENDING;
            INSERT INTO posts VALUES (1, 'p'), (2, 'q'); INSERT INTO tags VALUES (1, 'red'), (2, 'blue'), (3, 'new');
            INSERT INTO bare VALUES (1, 1), (1, 2), (2, 3), (2, 9);
            INSERT INTO rich VALUES (1, 1, 'a', 0.5), (1, 2, NULL, 1), (3, 2, 'c', NULL), (3, 8, 'lost', 0)""".replace(
                "ENDING", ending
            )
        )
        made = """CREATE TABLE posts (id INT AUTO_INCREMENT PRIMARY KEY, title VARCHAR(9) UNIQUE);
CREATE TABLE tags (id INT AUTO_INCREMENT PRIMARY KEY, word VARCHAR(9) UNIQUE);
CREATE TABLE bare (post INT, tag INT, PRIMARY KEY (post, tag), FOREIGN KEY (post) REFERENCES posts (id),
    FOREIGN KEY (tag) REFERENCES tags (id));
CREATE TABLE rich (post INT, tag INT, since DOUBLE, note VARCHAR(9), PRIMARY KEY (post, tag),
    FOREIGN KEY (post) REFERENCES posts (id), FOREIGN KEY (tag) REFERENCES tags (id))"""
        scenario.create_target(
            made if by_hand else None,
            "INSERT INTO posts VALUES (1, 'theirs'), (2, 'p')",
            "INSERT INTO tags VALUES (1, 'blue'), (3, 'theirs')",
            "INSERT INTO bare (post, tag) VALUES (1, 1), (2, 1)",
            "INSERT INTO rich (post, tag, note) VALUES (1, 1, 'theirs')",
        )
        result = scenario.sync_twice()
        assert counts(result)["bare"] == (2, 1, 1)
        assert counts(result)["rich"] == (3, 0, 1)
        assert set(result.mappings) == {"posts", "tags"}
        for link, columns, own in (
            ("bare", "title, word", ("theirs", "blue")),
            ("rich", "title, word, note, since", None),
        ):
            scenario.assert_same(
                f"SELECT {columns} FROM {link} l JOIN posts p ON p.id = l.post JOIN tags t ON t.id = l.tag",  # noqa: S608
                own or ("theirs", "blue", "theirs", None),
            )

    def test_one_of_the_source_may_have_an_id_in_the_target(self, scenario: Scenario) -> None:
        scenario.create_source(
            """CREATE TABLE a (id INTEGER PRIMARY KEY, x TEXT NOT NULL UNIQUE);
            CREATE TABLE links (one INT NOT NULL REFERENCES a, two INT NOT NULL REFERENCES a, PRIMARY KEY (one, two));
            INSERT INTO a VALUES (1, 'p'), (2, 'q'); INSERT INTO links VALUES (1, 2), (2, 2)"""
        )
        scenario.create_target(
            """CREATE TABLE a (id INT AUTO_INCREMENT PRIMARY KEY, x VARCHAR(9) UNIQUE);
CREATE TABLE links (id INT AUTO_INCREMENT PRIMARY KEY, one INT NOT NULL, two INT NOT NULL, UNIQUE (one, two),
    FOREIGN KEY (one) REFERENCES a (id), FOREIGN KEY (two) REFERENCES a (id))""",
            "INSERT INTO a VALUES (1, 'q')",
            "INSERT INTO links (one, two) VALUES (1, 1)",
        )
        assert counts(scenario.sync_twice())["links"] == (1, 1, 0)
        scenario.assert_same("SELECT p.x, q.x FROM links JOIN a p ON p.id = one JOIN a q ON q.id = two")
