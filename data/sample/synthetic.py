"""Made-up git history of any length, the same for the same seed; a longer one begins with the rows of a shorter one.

Commits come in chunks, each from its own random numbers. What a commit refers to depends on its row number alone: a
repository or an author is there from a certain commit on, however many commits follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from data.sample import words
from data.sample.staff import (
    DAY,
    NOBODY,
    CommitFacts,
    Mask,
    Staff,
    Tally,
    seconds_at,
    write_mappings,
    write_metrics,
    write_staff,
    write_year_metrics,
)
from data.sample.writer import Columns, Ints, SampleWriter, ids, timestamps

CHUNK = 20_000  # commits; holds whole blocks of pull requests
COMMITS_PER_PULL_REQUEST = 10
APPROVALS = (0, 0, 1, 1, 1, 2, 2, 2, 3, 3)  # of the pull requests of a block, in random order
START, END, AS_OF = seconds_at("2016-01-01"), seconds_at("2025-12-01"), seconds_at("2026-01-01")
YEAR = 2025
STATES = ("MERGED", "DECLINED", "OPEN")
TEXT = pa.string()

# Repository number r, and a robot among the authors with it, is there from this many commits on.
ARRIVALS: Ints = (2 * np.arange(2000, dtype=np.int64) + 1) ** 3


def repositories_after(commits: Ints) -> Ints:
    """How many repositories there are after so many commits: 50 after a million."""
    return np.searchsorted(ARRIVALS, commits, side="right").astype(np.int64)


def authors_after(commits: Ints) -> Ints:
    """How many authors there are after so many commits: 10,000 after a million."""
    after: Ints = np.sqrt(100.0 * commits).astype(np.int64)
    return after


def _sizes(commits: int) -> tuple[int, int]:
    after = np.array([commits], dtype=np.int64)
    return int(repositories_after(after)[0]), int(authors_after(after)[0])


def staff_before(authors: Ints) -> Ints:
    """The staff position of an author, and how many staff there are with so many authors: 20 of every 27 write code."""
    return authors * 27 // 20


@dataclass(frozen=True)
class World:
    """What the commits refer to: repositories, and authors with their staff positions."""

    slugs: list[str]
    names: pa.Array
    emails: pa.Array
    staff: Ints
    pull_requests: Ints  # how many each repository has so far; counted on while the history is made


@dataclass(frozen=True)
class Commits:
    """What chance decided about a chunk of commits; repositories and people by position."""

    start: int
    repository: Ints
    author: Ints
    authors: Ints  # how many there were at that time
    seconds: Ints
    subject: pa.Array
    files: Ints
    added: Ints
    deleted: Ints
    file_types: Ints


@dataclass(frozen=True)
class PullRequests:
    """What chance decided about the pull requests of a chunk: each starts with the first of its ten commits."""

    ids: Ints
    author: Ints
    authors: Ints
    created: Ints
    closed: Ints
    state: Ints  # position in STATES
    approvals: Ints


def write_synthetic(writer: SampleWriter, commits: int, seed: int) -> None:
    """Writes a history of so many commits, with the other tables in proportion."""
    world = make_world(-(-commits // CHUNK) * CHUNK)
    repositories, authors = _sizes(commits)
    _write_repositories(writer, world.slugs[:repositories])
    writer.add(
        "authors", {"id": ids("authors", 0, authors), "name": world.names[:authors], "email": world.emails[:authors]}
    )
    staff = _make_staff(world, authors, seed)
    tally = Tally(len(staff.emails), repositories, YEAR, words.FILE_TYPES)
    for start in range(0, commits, CHUNK):
        random = np.random.default_rng([seed, start // CHUNK])
        _write_chunk(writer, world, tally, draw_commits(start, random), random, min(CHUNK, commits - start))
    write_staff(writer, staff)
    people = np.flatnonzero(world.staff[:authors] != NOBODY)
    names, emails = world.names.take(pa.array(people)), world.emails.take(pa.array(people))
    write_mappings(writer, names, emails, world.staff[people], staff)
    write_metrics(writer, staff, tally, world.slugs[:repositories])
    write_year_metrics(writer, staff, tally)


def make_world(commits: int) -> World:
    """The repositories and authors of a history of so many commits."""
    repositories, authors = _sizes(commits)
    slugs = [words.project(row) for row in range(repositories)]
    people = [words.person(row) for row in range(authors)]
    names, emails = [f"{first} {last}" for first, last, _ in people], [email for _, _, email in people]
    robots = authors_after(ARRIVALS[:repositories]) - 1
    for slug, robot in zip(slugs, robots.tolist(), strict=True):
        names[robot], emails[robot] = f"{slug}[bot]", f"{slug}-bot{robot + 1}@example.com"
    staff = staff_before(np.arange(authors, dtype=np.int64))
    staff[robots] = NOBODY
    return World(slugs, pa.array(names, TEXT), pa.array(emails, TEXT), staff, np.zeros(repositories, np.int64))


def draw_commits(start: int, random: np.random.Generator) -> Commits:
    """The chunk of commits that begins at a row number."""
    so_far = np.arange(start + 1, start + CHUNK + 1, dtype=np.int64)
    authors = authors_after(so_far)
    author = _positions(random, authors, 2.5)
    merge = random.random(CHUNK) < 0.08
    files = np.where(merge, 0, random.geometric(0.5, CHUNK))
    return Commits(
        start=start,
        repository=(author + _positions(random, np.full(CHUNK, 5), 2)) % repositories_after(so_far),
        author=author,
        authors=authors,
        seconds=START + _positions(random, np.full(CHUNK, END - START), 0.7),
        subject=pc.binary_join_element_wise(
            _choose(random, words.VERBS), _choose(random, words.THINGS), _choose(random, words.PLACES), " "
        ),
        files=files,
        added=(files * random.lognormal(2.2, 1.4, CHUNK)).astype(np.int64),
        deleted=(files * random.lognormal(1.6, 1.5, CHUNK)).astype(np.int64),
        file_types=np.where(merge, 0, 1 + _positions(random, np.full(CHUNK, len(words.FILE_TYPES) - 1), 2.5)),
    )


def draw_pull_requests(commits: Commits, random: np.random.Generator) -> PullRequests:
    """The pull requests that begin in a chunk of commits."""
    count = CHUNK // COMMITS_PER_PULL_REQUEST
    first = slice(None, None, COMMITS_PER_PULL_REQUEST)
    blocks = np.tile(np.array(APPROVALS), (count // len(APPROVALS), 1))
    created = commits.seconds[first]
    return PullRequests(
        ids=ids("pull_requests", commits.start // COMMITS_PER_PULL_REQUEST, count),
        author=commits.author[first],
        authors=commits.authors[first],
        created=created,
        closed=created + 600 + _positions(random, np.full(count, 20 * DAY), 4),
        state=np.searchsorted([0.85, 0.92], random.random(count)),
        approvals=random.permuted(blocks, axis=1).ravel(),
    )


def _write_chunk(
    writer: SampleWriter, world: World, tally: Tally, commits: Commits, random: np.random.Generator, count: int
) -> None:
    """Writes the first `count` commits of a chunk, which is made whole, their pull requests and approvals."""
    writer.add("commits", _commit_columns(world, commits, random), count)
    tally.add_commits(
        CommitFacts(
            staff=world.staff[commits.author[:count]],
            repository=commits.repository[:count],
            seconds=commits.seconds[:count],
            files=commits.files[:count],
            added=commits.added[:count],
            deleted=commits.deleted[:count],
            file_types=commits.file_types[:count],
        )
    )

    requests = draw_pull_requests(commits, random)
    count = -(-count // COMMITS_PER_PULL_REQUEST)
    writer.add("pull_requests", _pull_request_columns(world, commits, requests, random), count)
    merged = requests.state[:count] == STATES.index("MERGED")
    tally.add_pull_requests(world.staff[requests.author[:count]], requests.created[:count], merged)

    count = int(requests.approvals[:count].sum())
    approvals, approver, seconds, approved = _approval_columns(world, commits, requests, random)
    writer.add("pr_approvals", approvals, count)
    approved = approved[:count]
    tally.add_approvals(world.staff[approver[:count]][approved], seconds[:count][approved])


def _write_repositories(writer: SampleWriter, slugs: list[str]) -> None:
    projects = [words.PROJECTS[row % len(words.PROJECTS)] for row in range(len(slugs))]
    keys = [project.upper() for project in projects]
    writer.add(
        "repositories",
        {
            "id": ids("repositories", 0, len(slugs)),
            "slug": slugs,
            "name": [slug.replace("-", " ").title() for slug in slugs],
            "project_key": keys,
            "project_name": [f"{project} Team" for project in projects],
            "clone_url": [f"https://git.example.com/scm/{k.lower()}/{s}.git" for k, s in zip(keys, slugs, strict=True)],
            "created_at": timestamps(START - DAY * np.arange(1, len(slugs) + 1)),
        },
    )


def _make_staff(world: World, authors: int, seed: int) -> Staff:
    """The staff of so many authors: those who write code bear their authors' names, the others names of their own."""
    count = int(staff_before(np.array([authors], dtype=np.int64))[0])
    people = [words.person(1_000_003 + row) for row in range(count)]
    emails = [f"staff{row + 1}@example.com" for row in range(count)]
    known = world.emails.to_pylist()
    for author, row in enumerate(world.staff[:authors].tolist()):
        if row != NOBODY:
            people[row], emails[row] = words.person(author), known[author]
    return Staff([first for first, _, _ in people], [last for _, last, _ in people], emails, seed, AS_OF)


def _commit_columns(world: World, commits: Commits, random: np.random.Generator) -> Columns:
    other = _positions(random, commits.authors, 2.5)
    author = pa.array(commits.author)
    committer = pa.array(np.where(random.random(CHUNK) < 0.85, commits.author, other))
    return {
        "id": ids("commits", commits.start, CHUNK),
        "repository_id": ids("repositories", 0, len(world.slugs))[commits.repository],
        "hash": _hashes(random),
        "author_name": world.names.take(author),
        "author_email": world.emails.take(author),
        "committer_name": world.names.take(committer),
        "committer_email": world.emails.take(committer),
        "commit_date": timestamps(commits.seconds),
        "message": _messages(commits.subject, random),
        "branch": _choose(random, words.BRANCHES, 4),
        "files_changed": commits.files,
        "lines_added": commits.added,
        "lines_deleted": commits.deleted,
        "chars_added": commits.added * random.integers(12, 48, CHUNK),
        "chars_deleted": commits.deleted * random.integers(12, 48, CHUNK),
        "file_types": pa.array(words.FILE_TYPES, TEXT).take(pa.array(commits.file_types)),
    }


def _pull_request_columns(
    world: World, commits: Commits, requests: PullRequests, random: np.random.Generator
) -> Columns:
    count = len(requests.ids)
    repository = commits.repository[::COMMITS_PER_PULL_REQUEST]
    number = world.pull_requests[repository] + _occurrences(repository)
    np.add.at(world.pull_requests, repository, 1)
    author = pa.array(requests.author)
    opened = requests.state == STATES.index("OPEN")
    return {
        "id": requests.ids,
        "repository_id": ids("repositories", 0, len(world.slugs))[repository],
        "pr_id": 1 + number + number // 4,  # issues take some of the numbers
        "title": commits.subject[::COMMITS_PER_PULL_REQUEST],
        "description": _choose(random, (None, *words.BODIES), 1.5, count),
        "author_name": world.names.take(author),
        "author_email": world.emails.take(author),
        "created_date": timestamps(requests.created),
        "updated_date": timestamps(np.where(opened, requests.created, requests.closed)),
        "merged_date": timestamps(requests.closed, known=requests.state == STATES.index("MERGED")),
        "state": pa.array(STATES).take(pa.array(requests.state)),
        "from_branch": pc.binary_join_element_wise(
            _choose(random, ("feature", "bugfix", "släpp"), 1, count), pa.array(requests.ids).cast(TEXT), "/"
        ),
        "to_branch": _choose(random, words.BRANCHES[:4], 4, count),
        "commits_count": 1 + _positions(random, np.full(count, COMMITS_PER_PULL_REQUEST), 2),
    }


def _approval_columns(
    world: World, commits: Commits, requests: PullRequests, random: np.random.Generator
) -> tuple[Columns, Ints, Ints, Mask]:
    """The approvals of a chunk, and of each the approver, the time and whether it says yes."""
    request = np.repeat(np.arange(len(requests.ids), dtype=np.int64), requests.approvals)
    authors = requests.authors[request]
    # Consecutive authors, so that nobody approves twice; never as far round as to the author of the pull request.
    shift = _positions(random, requests.authors - max(APPROVALS), 1)[request] + _occurrences(request)
    approver = (requests.author[request] + 1 + shift) % authors
    delay = (requests.closed - requests.created)[request] * random.random(len(request))
    seconds = requests.created[request] + delay.astype(np.int64)
    status = np.searchsorted([0.92, 0.97], random.random(len(request)))
    decided = status < 2
    columns = {
        "id": ids(
            "pr_approvals", commits.start // COMMITS_PER_PULL_REQUEST * sum(APPROVALS) // len(APPROVALS), len(request)
        ),
        "pull_request_id": requests.ids[request],
        "user_name": world.names.take(pa.array(approver)),
        "user_email": world.emails.take(pa.array(approver)),
        "status": pa.array(("APPROVED", "NEEDS_WORK", "UNAPPROVED")).take(pa.array(status)),
        "approval_date": timestamps(seconds, known=decided),
    }
    return columns, approver, seconds, status == 0


def _messages(subject: pa.Array, random: np.random.Generator) -> pa.Array:
    """Commit messages: a subject, with a text below every fourth; a few are odd texts or nothing at all."""
    texts = pa.array(["", *("\n\n" + text for text in (*words.BODIES, words.LONG_BODY))])
    roll = random.random(CHUNK)
    body = np.where(roll < 0.75, 0, 1 + random.integers(0, len(words.BODIES), CHUNK))
    body[roll > 0.9995] = len(texts) - 1
    message = pc.binary_join_element_wise(subject, texts.take(pa.array(body)), "")
    return pc.if_else(pa.array(random.random(CHUNK) < 0.002), _choose(random, ("", *words.BODIES)), message)


def _hashes(random: np.random.Generator) -> pa.Array:
    digits = random.bytes(20 * CHUNK).hex().encode()
    ends = np.arange(0, 40 * CHUNK + 1, 40, dtype=np.int32)
    return pa.StringArray.from_buffers(CHUNK, pa.py_buffer(ends), pa.py_buffer(digits))


def _positions(random: np.random.Generator, counts: Ints, power: float) -> Ints:
    """For each count a position below it: the higher the power, the more often a low one."""
    return np.minimum((counts * random.random(len(counts)) ** power).astype(np.int64), counts - 1)


def _choose(
    random: np.random.Generator, values: Sequence[str | None], power: float = 1, count: int = CHUNK
) -> pa.Array:
    """So many of the values: the higher the power, the more often the first ones."""
    return pa.array(values, TEXT).take(pa.array(_positions(random, np.full(count, len(values)), power)))


def _occurrences(values: Ints) -> Ints:
    """For each value how many equal ones come before it."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    rank = np.arange(len(values)) - np.searchsorted(ordered, ordered)
    occurrences = np.empty_like(rank)
    occurrences[order] = rank
    return occurrences
