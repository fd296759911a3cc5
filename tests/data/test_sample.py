"""The sample maker: its schema, made-up history of any length, and the command with its errors."""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from data.sample import make_synthetic, synthetic
from data.sample.__main__ import app
from data.sample.writer import ID_RULES, SampleError
from tests.support.sample_queries import assert_true_sums, number, query, table

ROOT = Path(__file__).parents[2]
GROWING = [
    "repositories",
    "authors",
    "commits",
    "pull_requests",
    "pr_approvals",
    "staff_details",
    "author_staff_mapping",
]
METRICS = ["staff_metrics", "current_year_staff_metrics"]
COLUMNS = {
    "repositories": "id slug name project_key project_name clone_url created_at",
    "authors": "id name email",
    "commits": "id repository_id hash author_name author_email committer_name committer_email commit_date message"
    " branch files_changed lines_added lines_deleted chars_added chars_deleted file_types",
    "pull_requests": "id repository_id pr_id title description author_name author_email created_date updated_date"
    " merged_date state from_branch to_branch commits_count",
    "pr_approvals": "id pull_request_id user_name user_email status approval_date",
    "staff_details": "id bank_id_1 staff_id email_address staff_first_name staff_last_name staff_name staff_status"
    " staff_start_date staff_end_date staff_type original_staff_type rank staff_level hr_role job_function tech_unit"
    " department_id platform_name sub_platform work_location reporting_manager_name company_name fte as_of_date"
    " date_created",
    "author_staff_mapping": "id author_name author_email bank_id_1 staff_id staff_name mapped_date notes",
    "staff_metrics": "id bank_id_1 staff_id staff_name email_address total_commits total_lines_added"
    " total_lines_deleted total_files_changed total_prs_created total_prs_merged total_pr_approvals_given"
    " repositories_touched repository_list first_commit_date last_commit_date avg_lines_per_commit"
    " avg_files_per_commit code_churn_ratio last_calculated calculation_version",
    "current_year_staff_metrics": "id bank_id_1 staff_name staff_email current_year cy_start_date cy_end_date"
    " cy_total_commits cy_total_prs cy_total_approvals_given cy_total_repositories cy_total_files_changed"
    " cy_total_lines_changed cy_file_types_list cy_monthly_commits last_calculated calculation_version",
}
UNIQUE = {
    "repositories": ["slug"],
    "authors": ["email"],
    "commits": ["hash", "repository_id"],
    "pull_requests": ["pr_id", "repository_id"],
    "pr_approvals": ["pull_request_id", "user_email"],
    "staff_details": ["bank_id_1"],
    "author_staff_mapping": ["author_name"],
    "staff_metrics": ["bank_id_1"],
    "current_year_staff_metrics": ["bank_id_1"],
}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sample") / "sample.db"
    make_synthetic(path, 30_000)
    return path


# The schema


def test_tables_and_columns(sample: Path) -> None:
    found = {name: [row[1] for row in query(sample, f"PRAGMA table_info({name})")] for name in COLUMNS}
    assert found == {name: columns.split() for name, columns in COLUMNS.items()}
    tables = query(sample, "SELECT name FROM sqlite_master WHERE type = 'table'")
    assert {name for (name,) in tables} == set(COLUMNS)


def test_types_and_defaults(sample: Path) -> None:
    def columns(name: str) -> dict[str, tuple[object, ...]]:
        return {row[1]: row[2:] for row in query(sample, f"PRAGMA table_info({name})")}

    assert all(columns(name)["id"] == ("INTEGER", 0, None, 1) for name in COLUMNS)
    commits = columns("commits")
    assert commits["hash"] == ("VARCHAR(40)", 1, None, 0)
    assert commits["commit_date"] == ("DATETIME", 0, None, 0)
    assert commits["message"] == ("TEXT", 0, None, 0)
    assert commits["branch"] == ("VARCHAR(255)", 0, "'master'", 0)
    assert commits["lines_added"] == ("INTEGER", 0, "0", 0)
    assert columns("staff_details")["fte"] == ("FLOAT", 0, None, 0)
    assert columns("staff_details")["bank_id_1"] == ("VARCHAR(50)", 0, None, 0)
    assert columns("current_year_staff_metrics")["bank_id_1"] == ("VARCHAR(100)", 1, None, 0)


@pytest.mark.parametrize("name", list(UNIQUE))
def test_unique_constraints(sample: Path, name: str) -> None:
    (index,) = query(sample, f"PRAGMA index_list({name})")
    assert [row[2] for row in query(sample, f"PRAGMA index_info({index[1]})")] == UNIQUE[name]
    assert index[2:4] == (1, "u")


def test_foreign_keys(sample: Path) -> None:
    keys = {name: [row[2:5] for row in query(sample, f"PRAGMA foreign_key_list({name})")] for name in COLUMNS}
    assert {name: key for name, key in keys.items() if key} == {
        "commits": [("repositories", "repository_id", "id")],
        "pull_requests": [("repositories", "repository_id", "id")],
        "pr_approvals": [("pull_requests", "pull_request_id", "id")],
    }


# Made-up history


@pytest.mark.parametrize("commits", [0, 1, 7, 1000])
def test_any_number_of_commits(tmp_path: Path, commits: int) -> None:
    path = tmp_path / "sample.db"
    rows = make_synthetic(path, commits)
    assert rows == {name: len(table(path, name)) for name in COLUMNS}
    assert rows["commits"] == commits
    assert rows["pull_requests"] == -(-commits // 10)
    assert query(path, "PRAGMA foreign_key_check") == []
    assert number(path, "PRAGMA integrity_check") == "ok"
    assert list(tmp_path.iterdir()) == [path]


def test_a_thousand_commits_have_other_rows_in_proportion(tmp_path: Path) -> None:
    rows = make_synthetic(tmp_path / "sample.db", 1000)
    assert (rows["repositories"], rows["authors"], rows["pull_requests"], rows["pr_approvals"]) == (5, 316, 100, 150)


def test_a_million_commits_come_with_310_500_other_rows() -> None:
    world = synthetic.make_world(1_000_000)
    staff = len(world.names) * 27 // 20
    mapped = int((world.staff >= 0).sum())
    assert (len(world.slugs), len(world.names), staff, mapped) == (50, 10_000, 13_500, 9_950)
    pull_requests, approvals = 100_000, 150_000  # a tenth of the commits, and 15 for 10, as in the test of a thousand
    assert len(world.slugs) + len(world.names) + mapped + 3 * staff + pull_requests + approvals == 310_500


@pytest.mark.parametrize(("fewer", "more"), [(0, 3), (1, 7), (1000, 1100), (19_999, 20_001), (30_000, 41_000)])
def test_more_commits_are_the_same_rows_and_more(tmp_path: Path, fewer: int, more: int) -> None:
    small, large = tmp_path / "small.db", tmp_path / "large.db"
    make_synthetic(small, fewer)
    make_synthetic(large, more)
    for name in GROWING:
        rows = table(small, name)
        assert rows == table(large, name)[: len(rows)], name
    for name in METRICS:
        keys = [row[:2] for row in table(small, name)]
        assert keys == [row[:2] for row in table(large, name)][: len(keys)], name


def test_the_same_seed_gives_the_same_rows(tmp_path: Path) -> None:
    dumps = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        make_synthetic(tmp_path / name, 500, seed=seed)
        with closing(sqlite3.connect(tmp_path / name)) as connection:
            dumps.append(list(connection.iterdump()))
    assert dumps[0] == dumps[1]
    hashes = [{row[2] for row in table(tmp_path / name, "commits")} for name in ("a", "c")]
    assert not hashes[0] & hashes[1]


def test_rows_are_sound(sample: Path) -> None:
    assert query(sample, "PRAGMA foreign_key_check") == []
    assert number(sample, "PRAGMA integrity_check") == "ok"
    hashes = [value for (value,) in query(sample, "SELECT hash FROM commits")]
    assert len(set(hashes)) == 30_000
    assert all(re.fullmatch("[0-9a-f]{40}", value) for value in hashes)
    emails = [email.casefold() for (email,) in query(sample, "SELECT email FROM authors")]
    assert len(set(emails)) == len(emails)
    known = query(sample, "SELECT count(*) FROM commits JOIN authors ON email = author_email AND name = author_name")
    assert known == [(30_000,)]


def test_ids_have_gaps_and_start_anywhere(sample: Path) -> None:
    for name, (first, _) in ID_RULES.items():
        ids = [row[0] for row in table(sample, name)]
        assert ids[0] == first > 1
        assert ids[-1] - ids[0] + 1 > len(ids)


def test_texts_are_hard_to_copy(sample: Path) -> None:
    messages = [message for (message,) in query(sample, "SELECT message FROM commits")]
    for piece in ("\t", "\n\n", "\r\n", '"', "'", "\\n", "🎉", "日付", "👩"):
        assert any(piece in message for message in messages), piece
    assert {"", "\\N", "NULL", "Ends with a backslash \\"} <= set(messages)
    assert max(map(len, messages)) > 6000
    names = " ".join(name for (name,) in query(sample, "SELECT name FROM authors"))
    assert all(name in names for name in ("Łukasz", "Żukov", "山田", "O'Brien", "[bot]"))
    non_ascii = number(sample, "SELECT count(*) FROM authors WHERE email GLOB '*[^ -~]*'")
    assert 0 < non_ascii < len(table(sample, "authors")) / 20


def test_dates_are_texts_with_fractions(sample: Path) -> None:
    pattern = "____-__-__ __:__:__.000000"
    assert number(sample, f"SELECT count(*) FROM commits WHERE commit_date LIKE '{pattern}'") == 30_000  # noqa: S608
    assert all(len(row[8]) == 10 for row in table(sample, "staff_details"))


def test_what_is_not_known_is_null(sample: Path) -> None:
    states = query(sample, "SELECT state, count(*), count(merged_date) FROM pull_requests GROUP BY state")
    merged = {state: (rows, dates) for state, rows, dates in states}
    assert merged.keys() == {"MERGED", "DECLINED", "OPEN"}
    assert merged["MERGED"][0] == merged["MERGED"][1]
    assert merged["OPEN"][1] == merged["DECLINED"][1] == 0
    for column, name in (
        ("description", "pull_requests"),
        ("approval_date", "pr_approvals"),
        ("file_types", "commits"),
    ):
        total, known = query(sample, f"SELECT count(*), count({column}) FROM {name}")[0]  # noqa: S608
        assert 0 < known < total
    unfinished = "SELECT count(*) FROM staff_details WHERE (staff_status = 'Active') <> (staff_end_date IS NULL)"
    assert number(sample, unfinished) == 0


def test_nobody_approves_their_own_pull_request(sample: Path) -> None:
    sql = "SELECT sum(user_email = author_email) FROM pr_approvals a JOIN pull_requests p ON p.id = pull_request_id"
    assert number(sample, sql) == 0


def test_metrics_are_true_sums(sample: Path) -> None:
    assert_true_sums(sample)


def test_metrics_by_month_and_ratios(sample: Path) -> None:
    months = "SELECT sum(value) FROM current_year_staff_metrics, json_each(cy_monthly_commits)"
    assert number(sample, months) == number(sample, "SELECT sum(cy_total_commits) FROM current_year_staff_metrics")
    ratios = """SELECT max(abs(avg_lines_per_commit * total_commits - total_lines_added - total_lines_deleted)),
        max(abs(avg_files_per_commit * total_commits - total_files_changed)),
        max(abs(code_churn_ratio * total_lines_added - total_lines_deleted))
        FROM staff_metrics WHERE total_lines_added > 0"""
    assert query(sample, ratios)[0] == pytest.approx((0, 0, 0), abs=1e-6)


# The command


def run(*arguments: str | Path) -> tuple[int, str, str]:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    return result.exit_code, result.stdout, result.stderr


def test_runs_as_a_command(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "data.sample", "out.db", "--synthetic", "100"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == list(COLUMNS)
    assert lines[2].split() == ["commits", "100"]
    assert re.fullmatch(r"out\.db: [\d,]+ rows in \d+\.\d s", lines[-1])


def bad_calls(folder: Path) -> Iterator[tuple[list[str | Path], str]]:
    yield [folder / "there.db", "--synthetic", "1"], "exists already; use --force"
    yield [folder, "--synthetic", "1"], "is a folder; name the database file"
    yield [folder / "no" / "out.db", "--synthetic", "1"], "does not exist; create it"
    yield [folder / "out.db", folder / "nowhere"], "is not a folder; name the folder of a git repository"
    yield [folder / "out.db", folder / "plain"], "is not a git repository"
    yield [folder / "out.db", folder / "plain", "--synthetic", "1"], "give either --synthetic N or repositories"


@pytest.mark.parametrize("call", range(6))
def test_errors_are_one_sentence(tmp_path: Path, call: int) -> None:
    (tmp_path / "there.db").write_bytes(b"mine")
    (tmp_path / "plain").mkdir()
    arguments, sentence = list(bad_calls(tmp_path))[call]
    code, output, errors = run(*arguments)
    assert (code, output) == (2, "")
    assert sentence in errors
    assert len(errors.splitlines()) == 1
    assert (tmp_path / "there.db").read_bytes() == b"mine"
    assert {path.name for path in tmp_path.iterdir()} == {"there.db", "plain"}


def test_no_git_on_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    code, _, errors = run(tmp_path / "out.db", tmp_path)
    assert code == 2
    assert "no git on this machine" in errors


def test_force_replaces_the_file_and_its_log(tmp_path: Path) -> None:
    out = tmp_path / "out.db"
    out.write_bytes(b"old")
    (tmp_path / "out.db-wal").write_bytes(b"old")
    assert run(out, "--synthetic", "5", "--force")[0] == 0
    assert list(tmp_path.iterdir()) == [out]
    assert len(table(out, "commits")) == 5


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
def test_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    def fail(*arguments: object) -> None:
        raise error

    out = tmp_path / "out.db"
    out.write_bytes(b"old")
    monkeypatch.setattr(synthetic, "write_metrics", fail)
    with pytest.raises((SampleError, KeyboardInterrupt)):
        make_synthetic(out, 10, force=True)
    assert out.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [out]
