"""The sample maker on real history: small git repositories with texts and files that mislead a careless reader."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from data.sample import __main__ as command
from data.sample import make_from_git
from tests.support.sample_queries import assert_true_sums, number, query, table


class GitRepository:
    """A repository to make commits in."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.clock = 1_700_000_000
        path.mkdir()
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str, author: str = "Łukasz Żukov <lukasz@example.com>", stdin: bytes = b"") -> str:
        name, _, email = author.rstrip(">").partition(" <")
        self.clock += 60
        environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        for role in ("AUTHOR", "COMMITTER"):
            environment |= {
                f"GIT_{role}_NAME": name,
                f"GIT_{role}_EMAIL": email,
                f"GIT_{role}_DATE": f"{self.clock} +0200",
            }
        done = subprocess.run(
            ["git", *arguments], cwd=self.path, env=environment, input=stdin, capture_output=True, check=True
        )
        return done.stdout.decode(errors="replace").strip()

    def commit(self, message: str | bytes, files: dict[str, str | bytes] | None = None, **author: str) -> None:
        for name, content in (files or {}).items():
            (self.path / name).parent.mkdir(parents=True, exist_ok=True)
            (self.path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
        self.git("add", "-A")
        text = message if isinstance(message, bytes) else message.encode()
        options = ["--allow-empty", "--allow-empty-message", "--cleanup=verbatim", "-q", "-F", "-"]
        self.git("commit", *options, stdin=text, **author)


@pytest.fixture
def repository(tmp_path: Path) -> GitRepository:
    return GitRepository(tmp_path / "my-project")


MESSAGES = [
    "diff --git a/x b/x\n@@ -1 +1 @@\n+not a patch",
    "tabs\tand \"quotes\" and 'more' and C:\\new\\table\n\nbody 🎉\n\n\nafter a gap",
    "commit 0123456789012345678901234567890123456789\nAuthor: nobody",
    "",
    "  indented",
    "a long one " * 600,
]


def test_messages_survive(tmp_path: Path, repository: GitRepository) -> None:
    for row, message in enumerate(MESSAGES):
        repository.commit(message, {"file.txt": f"{row}\n"})
    make_from_git(tmp_path / "out.db", [repository.path])
    assert [row[8] for row in table(tmp_path / "out.db", "commits")] == MESSAGES


def test_bytes_that_are_not_utf8_are_replaced(tmp_path: Path, repository: GitRepository) -> None:
    repository.commit("first", {"latin.txt": b"caf\xe9\n"})
    # git would put a message right that is given to it in the ordinary way.
    raw = repository.git("cat-file", "commit", "HEAD").encode().replace(b"first", b"caf\xe9")
    commit = repository.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=raw + b"\n")
    repository.git("reset", "-q", "--hard", commit)
    make_from_git(tmp_path / "out.db", [repository.path])
    assert query(tmp_path / "out.db", "SELECT message, lines_added, chars_added FROM commits") == [("caf\ufffd", 1, 4)]


def test_changes_are_counted_as_git_counts_them(tmp_path: Path, repository: GitRepository) -> None:
    text = "+++ b/x\n--- a/x\n@@ -1 +1 @@\ndiff --git a/x b/x\n"
    nul = "a\n" * 5000 + "\0 in a text\n\0\n"
    repository.commit("first", {"a.py": text, "with space.TXT": "no newline", "nul.c": nul, "größe.sql": "ü\n"})
    repository.commit(
        "second", {"a.py": text.replace("@@", "++"), 'quote".md': "x\n", "bin.png": b"\0\1\2", ".env": ""}
    )
    repository.git("mv", "a.py", "folder.d")
    repository.commit("third", {"with space.TXT": "now with one\n", "Makefile": "all:\n\ttrue\n"})
    make_from_git(tmp_path / "out.db", [repository.path])
    rows = query(
        tmp_path / "out.db",
        "SELECT hash, files_changed, lines_added, lines_deleted, file_types FROM commits ORDER BY id",
    )
    for hash_, *counts, _ in rows:
        lines = repository.git("show", "--numstat", "--format=", hash_).splitlines()
        added, deleted = ([int(line.split("\t")[side].replace("-", "0")) for line in lines] for side in (0, 1))
        assert counts == [len(lines), sum(added), sum(deleted)]
    assert [row[4] for row in rows] == ["c,py,sql,txt", "md,no-ext,png,py", "d,no-ext,txt"]
    characters = query(tmp_path / "out.db", "SELECT chars_added, chars_deleted FROM commits ORDER BY id")
    assert characters[2] == (len("now with one") + len("all:") + len("\ttrue"), len("no newline"))


def test_authors_are_distinct_by_email_whatever_its_case(tmp_path: Path, repository: GitRepository) -> None:
    for author in (
        "Ann <ann@example.com>",
        "Ann B <Ann@Example.com>",
        "ann <ann@home.example>",
        "ci[bot] <ci@example.com>",
    ):
        repository.commit("x", author=author)
    out = tmp_path / "out.db"
    make_from_git(out, [repository.path])
    authors = [("Ann", "ann@example.com"), ("ann", "ann@home.example"), ("ci[bot]", "ci@example.com")]
    assert [row[1:] for row in table(out, "authors")] == authors
    assert query(out, "SELECT author_name, staff_name FROM author_staff_mapping") == [("Ann", "Ann")]
    assert query(out, "SELECT total_commits FROM staff_metrics") == [(3,)]


@pytest.fixture
def reviewed(repository: GitRepository) -> GitRepository:
    repository.commit("Begin", {"a.py": "1\n"})
    repository.git("switch", "-q", "-c", "topic")
    repository.commit("One", {"b.py": "1\n"}, author="Olga <olga@example.com>")
    repository.commit("Two", {"c.py": "1\n2\n"}, author="Olga <olga@example.com>")
    repository.git("switch", "-q", "main")
    repository.commit("Meanwhile", {"a.py": "2\n"})
    message = "Merge pull request #7 from olga/topic\n\nTwo new files\n\nAnd why"
    repository.git("merge", "-q", "--no-ff", "-m", message, "topic", author="山田 健 <ken@example.org>")
    repository.commit("Fix it (#12)\n\nIn one go", {"a.py": "3\n"}, author="Olga <olga@example.com>")
    repository.commit("Fix it once more (#12)", {"a.py": "4\n"})
    repository.commit("Thanks!", author="山田 健 <ken@example.org>")
    return repository


def test_pull_requests_come_from_merges_and_squashes(tmp_path: Path, reviewed: GitRepository) -> None:
    out = tmp_path / "out.db"
    make_from_git(out, [reviewed.path])
    columns = "pr_id, title, description, author_email, state, from_branch, to_branch, commits_count"
    assert query(out, f"SELECT {columns} FROM pull_requests ORDER BY id") == [  # noqa: S608
        (7, "Two new files", "And why", "olga@example.com", "MERGED", "topic", "main", 2),
        (12, "Fix it", "In one go", "olga@example.com", "MERGED", None, "main", 1),
    ]
    assert query(out, "SELECT user_name, user_email FROM pr_approvals ORDER BY id") == [
        ("山田 健", "ken@example.org"),
        ("Olga", "olga@example.com"),
    ]
    created = "SELECT created_date < merged_date FROM pull_requests WHERE pr_id = 7"
    assert number(out, created) == 1
    assert query(out, "PRAGMA foreign_key_check") == []


def test_metrics_are_true_sums(tmp_path: Path, reviewed: GitRepository) -> None:
    make_from_git(tmp_path / "out.db", [reviewed.path])
    assert_true_sums(tmp_path / "out.db")


def test_several_repositories_of_one_name(tmp_path: Path, reviewed: GitRepository) -> None:
    (tmp_path / "other").mkdir()
    other = GitRepository(tmp_path / "other" / "my-project")
    other.commit("Only one")
    other.git("remote", "add", "origin", "https://me:secret@git.example.com/team/my-project.git")
    rows = make_from_git(tmp_path / "out.db", [reviewed.path, other.path, reviewed.path])
    assert (rows["repositories"], rows["commits"]) == (2, 9)
    repositories = query(tmp_path / "out.db", "SELECT slug, project_key, clone_url FROM repositories")
    url = "https://git.example.com/team/my-project.git"
    assert repositories == [("my-project", "LOCAL", None), ("my-project-2", "TEAM", url)]
    assert query(tmp_path / "out.db", "PRAGMA foreign_key_check") == []


def test_repository_without_commits(tmp_path: Path, repository: GitRepository) -> None:
    rows = make_from_git(tmp_path / "out.db", [repository.path])
    assert rows == dict.fromkeys(rows, 0) | {"repositories": 1}


def test_default_is_the_project_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reviewed: GitRepository
) -> None:
    (reviewed.path / "data").mkdir()
    monkeypatch.setattr(command, "__file__", str(reviewed.path / "data" / "__main__.py"))
    result = CliRunner().invoke(command.app, [str(tmp_path / "out.db")])
    assert result.exit_code == 0
    assert len(table(tmp_path / "out.db", "commits")) == 8
