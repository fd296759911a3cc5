"""Rows of the sample from the history of git repositories, with made-up staff over the authors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from data.sample.git_log import Commit, PullRequest, Repository
from data.sample.staff import (
    DAY,
    NOBODY,
    CommitFacts,
    Staff,
    Tally,
    write_mappings,
    write_metrics,
    write_staff,
    write_year_metrics,
)
from data.sample.writer import Columns, Ints, SampleWriter, ids, timestamps

TEXT = pa.string()


@dataclass
class People:
    """The authors of the commits, one per e-mail address in whatever case, and their staff positions."""

    positions: dict[str, int]  # by e-mail address in lower case
    names: list[str]
    emails: list[str]
    staff: list[int]
    staff_authors: list[int]  # of every member of staff the first author

    def staff_of(self, emails: Sequence[str]) -> Ints:
        """The staff positions behind e-mail addresses."""
        found = (self.positions.get(email.casefold()) for email in emails)
        return np.array([NOBODY if position is None else self.staff[position] for position in found], dtype=np.int64)


def write_history(writer: SampleWriter, repositories: Sequence[Repository], seed: int) -> None:
    """Writes the history of the repositories, in their order."""
    slugs = _distinct_slugs(repositories)
    _write_repositories(writer, repositories, slugs)
    commits = [commit for repository in repositories for commit in repository.commits]
    people = find_people(commits)
    writer.add(
        "authors",
        {
            "id": ids("authors", 0, len(people.names)),
            "name": _cut(people.names, 255),
            "email": _cut(people.emails, 255),
        },
    )
    newest = max((commit.committed for commit in commits), default=0)
    staff = _make_staff(people, seed, newest // DAY * DAY + DAY)
    file_types = sorted({_file_types(commit) or "" for commit in commits}) or [""]
    year = int(np.datetime64(newest, "s").astype("datetime64[Y]").astype(np.int64)) + 1970
    tally = Tally(len(staff.emails), len(repositories), year, file_types)
    for position, repository in enumerate(repositories):
        _write_commits(writer, repository, position)
        _tally_commits(tally, people, repository.commits, position)
        _write_pull_requests(writer, repository.pull_requests, position, people, tally)
    write_staff(writer, staff)
    links = np.arange(len(people.staff_authors), dtype=np.int64)
    write_mappings(
        writer,
        _cut([people.names[author] for author in people.staff_authors], 255),
        _cut([people.emails[author] for author in people.staff_authors], 255),
        links,
        staff,
    )
    write_metrics(writer, staff, tally, slugs)
    write_year_metrics(writer, staff, tally)


def find_people(commits: Sequence[Commit]) -> People:
    """The authors, in the order of their first commits; those of one name are one person, and robots are none."""
    people = People({}, [], [], [], [])
    by_name: dict[str, int] = {}
    for name, email in (commit.author for commit in commits):
        if email.casefold() in people.positions:
            continue
        author = people.positions[email.casefold()] = len(people.names)
        people.names.append(name)
        people.emails.append(email)
        if name.endswith("[bot]"):
            people.staff.append(NOBODY)
            continue
        person = by_name.setdefault(name.casefold(), len(by_name))
        if person == len(people.staff_authors):
            people.staff_authors.append(author)
        people.staff.append(person)
    return people


def _make_staff(people: People, seed: int, as_of: int) -> Staff:
    names = [people.names[author].partition(" ") for author in people.staff_authors]
    emails = _cut([people.emails[author] for author in people.staff_authors], 255)
    return Staff(
        _cut([first for first, _, _ in names], 100), _cut([last for _, _, last in names], 150), emails, seed, as_of
    )


def _distinct_slugs(repositories: Sequence[Repository]) -> list[str]:
    """The slugs of the repositories, numbered where several have the same one."""
    slugs: list[str] = []
    for repository in repositories:
        slug, number = repository.slug, 2
        while slug.casefold() in (other.casefold() for other in slugs):
            slug, number = f"{repository.slug}-{number}", number + 1
        slugs.append(slug)
    return slugs


def _write_repositories(writer: SampleWriter, repositories: Sequence[Repository], slugs: Sequence[str]) -> None:
    first = [min((commit.committed for commit in repository.commits), default=0) for repository in repositories]
    begun = np.array([bool(repository.commits) for repository in repositories], dtype=bool)
    writer.add(
        "repositories",
        {
            "id": ids("repositories", 0, len(repositories)),
            "slug": _cut(slugs, 255),
            "name": _cut([slug.replace("-", " ").title() for slug in slugs], 255),
            "project_key": _cut([repository.owner.upper() for repository in repositories], 255),
            "project_name": _cut([repository.owner for repository in repositories], 255),
            "clone_url": _cut([repository.clone_url for repository in repositories], 500),
            "created_at": timestamps(np.array(first, dtype=np.int64), known=begun),
        },
    )


def _write_commits(writer: SampleWriter, repository: Repository, position: int) -> None:
    commits = repository.commits
    writer.add(
        "commits",
        {
            "id": ids("commits", writer.rows["commits"], len(commits)),
            "repository_id": np.repeat(ids("repositories", position, 1), len(commits)),
            "hash": [commit.hash for commit in commits],
            "author_name": _cut([commit.author[0] for commit in commits], 255),
            "author_email": _cut([commit.author[1] for commit in commits], 255),
            "committer_name": _cut([commit.committer[0] for commit in commits], 255),
            "committer_email": _cut([commit.committer[1] for commit in commits], 255),
            "commit_date": timestamps(_ints([commit.committed for commit in commits])),
            "message": [commit.message for commit in commits],
            "branch": _cut([repository.branch] * len(commits), 255),
            "files_changed": [commit.files for commit in commits],
            "lines_added": [commit.lines_added for commit in commits],
            "lines_deleted": [commit.lines_deleted for commit in commits],
            "chars_added": [commit.chars_added for commit in commits],
            "chars_deleted": [commit.chars_deleted for commit in commits],
            "file_types": pa.array([_file_types(commit) for commit in commits], TEXT),
        },
    )


def _tally_commits(tally: Tally, people: People, commits: Sequence[Commit], position: int) -> None:
    file_types = {types: number for number, types in enumerate(tally.file_types)}
    tally.add_commits(
        CommitFacts(
            staff=people.staff_of([commit.author[1] for commit in commits]),
            repository=np.full(len(commits), position),
            seconds=_ints([commit.committed for commit in commits]),
            files=_ints([commit.files for commit in commits]),
            added=_ints([commit.lines_added for commit in commits]),
            deleted=_ints([commit.lines_deleted for commit in commits]),
            file_types=_ints([file_types[_file_types(commit) or ""] for commit in commits]),
        )
    )


def _write_pull_requests(
    writer: SampleWriter, requests: Sequence[PullRequest], position: int, people: People, tally: Tally
) -> None:
    request_ids = ids("pull_requests", writer.rows["pull_requests"], len(requests))
    created = _ints([request.created for request in requests])
    merged = _ints([request.merged for request in requests])
    columns: Columns = {
        "id": request_ids,
        "repository_id": np.repeat(ids("repositories", position, 1), len(requests)),
        "pr_id": [request.number for request in requests],
        "title": _cut([request.title for request in requests], 500),
        "description": pa.array([request.description for request in requests], TEXT),
        "author_name": _cut([request.author[0] for request in requests], 255),
        "author_email": _cut([request.author[1] for request in requests], 255),
        "created_date": timestamps(created),
        "updated_date": timestamps(merged),
        "merged_date": timestamps(merged),
        "state": ["MERGED"] * len(requests),
        "from_branch": _cut([request.from_branch for request in requests], 255),
        "to_branch": _cut([request.to_branch for request in requests], 255),
        "commits_count": [request.commits for request in requests],
    }
    writer.add("pull_requests", columns)
    staff = people.staff_of([request.author[1] for request in requests])
    tally.add_pull_requests(staff, created, np.ones(len(requests), dtype=bool))

    approved = np.array([request.approver is not None for request in requests], dtype=bool)
    approvers = [request.approver for request in requests if request.approver]
    emails = [email for _, email in approvers]
    writer.add(
        "pr_approvals",
        {
            "id": ids("pr_approvals", writer.rows["pr_approvals"], len(approvers)),
            "pull_request_id": request_ids[approved],
            "user_name": _cut([name for name, _ in approvers], 255),
            "user_email": _cut(emails, 255),
            "status": ["APPROVED"] * len(approvers),
            "approval_date": timestamps(merged[approved]),
        },
    )
    tally.add_approvals(people.staff_of(emails), merged[approved])


def _file_types(commit: Commit) -> str | None:
    return ",".join(sorted(commit.file_types)) or None


def _ints(values: Sequence[int]) -> Ints:
    return np.array(values, dtype=np.int64)


def _cut(values: Sequence[str | None], length: int) -> pa.Array:
    """The values as the schema's VARCHAR of a length has room for them."""
    return pa.array([None if value is None else value[:length] for value in values], TEXT)
