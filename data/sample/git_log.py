"""The history of git repositories as rows: one `git log -p` per repository, read while it is written.

Lines and characters are counted in the patches, without context; a merge counts as no change of its own.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from pathlib import Path
from typing import IO

from data.sample.writer import SampleError

HEADER = ("%H", "%P", "%an", "%ae", "%cn", "%ce", "%at", "%ct", "%B")
LOG = [
    *("-c", "core.quotePath=false", "-c", "log.showRoot=true", "log", "--reverse", "--topo-order", "--encoding=UTF-8"),
    *("--no-show-signature", "--no-notes", "--no-color", "--no-ext-diff", "--no-textconv", "--submodule=short"),
    *("--no-relative", "--src-prefix=a/", "--dst-prefix=b/", "-p", "-M", "-U0", "--inter-hunk-context=0"),
    "--format=" + "".join(f"%x00{part}" for part in HEADER) + "%x00",
]
HUNK = re.compile(rb"@@ -\d+(?:,(\d+))? \+\d+(?:,(\d+))? @@")
MERGE = re.compile(r"Merge pull request #(\d{1,9})(?: in \S+)? from (\S+)(?: to (\S+))?")
SQUASH = re.compile(r"^(.*\S)\s*\(#(\d{1,9})\)$")
HOOK_VARIABLES = {"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX"}
WEB_MERGER = "noreply@github.com"  # commits in the name of whoever pressed the button


@dataclass(slots=True)
class Commit:
    """A commit, and what its patch adds and takes away."""

    hash: str
    parents: list[str]
    author: tuple[str, str]  # name, e-mail
    committer: tuple[str, str]
    authored: int
    committed: int
    message: str
    files: int = 0
    lines_added: int = 0
    lines_deleted: int = 0
    chars_added: int = 0
    chars_deleted: int = 0
    file_types: set[str] = field(default_factory=set)


@dataclass
class PullRequest:
    """A pull request, as far as its merge tells of it."""

    number: int
    title: str
    description: str | None
    author: tuple[str, str]
    created: int
    merged: int
    from_branch: str | None
    to_branch: str
    commits: int
    approver: tuple[str, str] | None


@dataclass
class Repository:
    """A repository and its history, oldest commit first."""

    slug: str
    owner: str
    clone_url: str | None
    branch: str
    commits: list[Commit]
    pull_requests: list[PullRequest]


def read_repository(path: Path) -> Repository:
    """The history of the branch that is checked out in the git repository at a path."""
    if not path.is_dir():
        raise SampleError(f"{path} is not a folder; name the folder of a git repository.")
    found = _git(path, "rev-parse", "--git-dir")
    if found.returncode:
        reason = (found.stderr.strip().splitlines() or ["git gave no reason"])[0]
        raise SampleError(
            f"{path} is not a git repository that can be read ({reason}); name one, or use --synthetic N."
        )
    root = Path(_git(path, "rev-parse", "--show-toplevel").stdout.strip() or path).resolve()
    branch = _git(root, "symbolic-ref", "--short", "-q", "HEAD").stdout.strip() or "HEAD"
    clone_url, owner = _origin(_git(root, "remote", "get-url", "origin").stdout.strip())
    begun = _git(root, "rev-parse", "--verify", "-q", "HEAD").returncode == 0
    commits = list(_log(root)) if begun else []
    slug = root.name.removesuffix(".git") or root.parent.name
    return Repository(slug, owner, clone_url, branch, commits, find_pull_requests(commits, branch))


def find_pull_requests(commits: list[Commit], branch: str) -> list[PullRequest]:
    """The pull requests that merges and squashed commits speak of; of those with the same number the first."""
    positions = {commit.hash: position for position, commit in enumerate(commits)}
    # A shallow clone ends at commits whose parents are not there.
    parents = [[positions[p] for p in commit.parents if p in positions] for commit in commits]
    found: dict[int, PullRequest] = {}
    for position, commit in enumerate(commits):
        subject, _, rest = commit.message.partition("\n")
        if (merge := MERGE.match(subject)) and len(parents[position]) > 1:
            brought = branch_commits(parents, *parents[position][:2])
            request = _merged(merge, commit, [commits[p] for p in brought] or [commits[parents[position][1]]], branch)
        elif (squash := SQUASH.match(subject)) and len(commit.parents) < 2:
            approver = None if commit.committer[1] == WEB_MERGER else commit.committer
            request = PullRequest(
                number=int(squash[2]),
                title=squash[1],
                description=rest.strip() or None,
                author=commit.author,
                created=commit.authored,
                merged=commit.committed,
                from_branch=None,
                to_branch=branch,
                commits=1,
                approver=approver,
            )
        else:
            continue
        found.setdefault(request.number, request)
    return list(found.values())


def branch_commits(parents: list[list[int]], base: int, tip: int) -> list[int]:
    """The commits that lead to `tip` and not to `base`, newest first; parents come before children by position."""
    wanted = {tip: True}
    wanted[base] = False
    waiting = [-position for position in wanted]
    heapify(waiting)
    left, found = sum(wanted.values()), []
    while left:
        position = -heappop(waiting)
        if wanted[position]:
            found.append(position)
            left -= 1
        for parent in parents[position]:
            if parent not in wanted:
                heappush(waiting, -parent)
                wanted[parent] = wanted[position]
                left += wanted[position]
            elif wanted[parent] and not wanted[position]:
                wanted[parent] = False
                left -= 1
    return found


def _merged(merge: re.Match[str], commit: Commit, brought: list[Commit], branch: str) -> PullRequest:
    _, _, rest = commit.message.partition("\n")
    title, _, description = rest.strip().partition("\n")
    source = merge[2] if " in " in merge[0] else merge[2].partition("/")[2] or merge[2]
    return PullRequest(
        number=int(merge[1]),
        title=title or merge[0],
        description=description.strip() or None,
        author=brought[0].author,
        created=min(c.authored for c in brought),
        merged=commit.committed,
        from_branch=source,
        to_branch=merge[3] or branch,
        commits=len(brought),
        approver=commit.author if commit.committer[1] == WEB_MERGER else commit.committer,
    )


def _origin(url: str) -> tuple[str | None, str]:
    """The address that others clone from, without a name or password in it, and the owner that it names."""
    if match := re.fullmatch(r"(?!file)([\w+.-]+://)(?:[^/]*@)?(.+)", url):
        url = match[1] + match[2]
    elif not re.match(r"[\w.-]+@[\w.-]+:", url):
        return None, "local"
    parts = re.split("[/:]", url.rstrip("/"))
    return url, parts[-2] if len(parts) > 1 and parts[-2] else "local"


def _log(root: Path) -> Iterator[Commit]:
    with tempfile.TemporaryFile() as errors:
        with subprocess.Popen(
            ["git", "-C", str(root), *LOG], stdout=subprocess.PIPE, stderr=errors, env=_environment()
        ) as process:
            try:
                assert process.stdout is not None
                yield from _parse(process.stdout)
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            errors.seek(0)
            reason = errors.read().decode(errors="replace").strip().splitlines() or ["no reason given"]
            raise SampleError(f"git could not read the history of {root} ({reason[-1]}); try `git fsck` there.")


def _parse(lines: IO[bytes]) -> Iterator[Commit]:
    commit: Commit | None = None
    for line in lines:
        if line.startswith(b"\0"):
            if commit:
                yield commit
            commit = _parse_header(line, lines)
        elif commit and line.startswith(b"diff --git "):
            commit.files += 1
            commit.file_types.add(_file_type(os.fsdecode(line)))
        elif commit and (hunk := HUNK.match(line)):
            old, new = (1 if size is None else int(size) for size in hunk.groups())
            _parse_hunk(commit, old, new, lines)
    if commit:
        yield commit


def _parse_header(line: bytes, lines: IO[bytes]) -> Commit:
    missing = len(HEADER) + 1 - line.count(b"\0")
    parts = [line]
    while missing > 0:
        parts.append(next(lines, b""))
        if not parts[-1]:
            raise SampleError("git stopped in the middle of a commit; try `git fsck` in that repository.")
        missing -= parts[-1].count(b"\0")
    fields = [part.decode("utf-8", "replace") for part in b"".join(parts).split(b"\0")[1:-1]]
    hash_, parents, author, author_email, committer, committer_email, authored, committed, message = fields
    return Commit(
        hash=hash_,
        parents=parents.split(),
        author=(author, author_email),
        committer=(committer, committer_email),
        authored=int(authored or 0),
        committed=int(committed or 0),
        message=message.rstrip("\n"),
    )


def _parse_hunk(commit: Commit, old: int, new: int, lines: IO[bytes]) -> None:
    """Counts the lines of a hunk; only their announced number tells them from the headers of the next file."""
    for line in lines:
        characters = len(line.decode("utf-8", "replace").rstrip("\n")) - 1
        if line.startswith(b"+"):
            new -= 1
            commit.lines_added += 1
            commit.chars_added += characters
        elif line.startswith(b"-"):
            old -= 1
            commit.lines_deleted += 1
            commit.chars_deleted += characters
        elif not line.startswith(b"\\"):  # not the remark that there is no newline at the end
            old -= 1
            new -= 1
        if old <= 0 and new <= 0:
            return


def _file_type(diff_line: str) -> str:
    name = diff_line.rstrip("\n").rstrip('"').rpartition("/")[2]
    extension = os.path.splitext(name)[1][1:].lower()
    return extension if re.fullmatch(r"[a-z]\w{0,15}", extension) else "no-ext"


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = ["git", "-C", str(folder), *arguments]
    try:
        return subprocess.run(command, capture_output=True, encoding="utf-8", errors="replace", env=_environment())
    except FileNotFoundError:
        raise SampleError("There is no git on this machine; install it, or use --synthetic N.") from None


def _environment() -> dict[str, str]:
    """The environment without what a git hook sets, which would lead git to the repository of the hook."""
    return {name: value for name, value in os.environ.items() if name not in HOOK_VARIABLES}
