"""Made-up staff over the authors of a history, and their metrics: true sums over the commits and pull requests."""

from __future__ import annotations

import json
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from data.sample.writer import Ints, SampleWriter, dates, ids, timestamps

Mask = NDArray[np.bool_]

DAY = 86_400
NOBODY = -1  # the staff position of an author who is not staff: a robot
LONG_AGO = np.iinfo(np.int64).min
NEVER = np.iinfo(np.int64).max


def seconds_at(date: str) -> int:
    """A date as seconds since 1970."""
    return int(np.datetime64(date, "s").astype(np.int64))


@dataclass(frozen=True)
class Staff:
    """The people on the payroll, in the order of their ids, of whom some are authors."""

    first_names: Sequence[str]
    last_names: Sequence[str]
    emails: Sequence[str]
    seed: int
    as_of: int  # when all this was recorded, in seconds since 1970

    @property
    def names(self) -> list[str]:
        """First and last names together."""
        return [f"{first} {last}".strip() for first, last in zip(self.first_names, self.last_names, strict=True)]

    def chances(self, column: str) -> NDArray[np.float64]:
        """A number from 0 to 1 for everybody, which does not change when more people follow."""
        return np.random.default_rng([self.seed, zlib.crc32(column.encode())]).random(len(self.emails))

    def choices(self, column: str, values: Sequence[str | None]) -> pa.Array:
        """One of the values for everybody, the first ones more often."""
        return pa.array(values, pa.string()).take(pa.array((len(values) * self.chances(column) ** 2).astype(np.int64)))

    @property
    def bank_ids(self) -> list[str]:
        """The `bank_id_1` of everybody: made up, and unique by its last digits."""
        digits = (1_000_000 * self.chances("bank_id_1")).astype(np.int64).tolist()
        return [f"1B{random:06d}{number:07d}" for number, random in enumerate(digits, 1)]

    @property
    def staff_ids(self) -> list[str]:
        """The `staff_id` of everybody."""
        return [f"E{100_001 + number}" for number in range(len(self.emails))]


@dataclass(frozen=True)
class CommitFacts:
    """What the metrics need to know of some commits, as columns."""

    staff: Ints
    repository: Ints
    seconds: Ints
    files: Ints
    added: Ints
    deleted: Ints
    file_types: Ints  # positions in the tally's list of file types


class Tally:
    """Adds up, for every member of staff, the commits, pull requests and approvals that it is shown."""

    def __init__(self, staff: int, repositories: int, year: int, file_types: Sequence[str | None]) -> None:
        self.staff = staff
        self.year = year
        self.file_types = file_types
        counters = "commits files added deleted prs merged approvals cy_commits cy_files cy_lines cy_prs cy_approvals"
        self.sums = {name: np.zeros(staff, np.int64) for name in counters.split()}
        self.months = np.zeros((staff, 12), np.int64)
        self.first = np.full(staff, NEVER, np.int64)
        self.last = np.full(staff, LONG_AGO, np.int64)
        self.touched = np.zeros((staff, repositories), bool)
        self.cy_touched = np.zeros((staff, repositories), bool)
        self._staff_file_types: list[Ints] = []

    def add_commits(self, facts: CommitFacts) -> None:
        """Counts commits in, each for its author."""
        known = facts.staff != NOBODY
        staff, repository, seconds = facts.staff[known], facts.repository[known], facts.seconds[known]
        files, added, deleted = facts.files[known], facts.added[known], facts.deleted[known]
        self._count("commits", staff)
        for name, values in (("files", files), ("added", added), ("deleted", deleted)):
            self._count(name, staff, values)
        np.minimum.at(self.first, staff, seconds)
        np.maximum.at(self.last, staff, seconds)
        self.touched[staff, repository] = True

        now = self._this_year(seconds)
        staff, months = staff[now], seconds[now].astype("datetime64[s]").astype("datetime64[M]").astype(np.int64) % 12
        self._count("cy_commits", staff)
        self._count("cy_files", staff, files[now])
        self._count("cy_lines", staff, added[now] + deleted[now])
        self.cy_touched[staff, repository[now]] = True
        self.months += np.bincount(staff * 12 + months, minlength=self.staff * 12).reshape(self.staff, 12)
        self._staff_file_types.append(np.unique(staff * len(self.file_types) + facts.file_types[known][now]))

    def add_pull_requests(self, staff: Ints, seconds: Ints, merged: Mask) -> None:
        """Counts pull requests in, each for its author, with the time of its creation."""
        known = staff != NOBODY
        self._count("prs", staff[known])
        self._count("merged", staff[known & merged])
        self._count("cy_prs", staff[known & self._this_year(seconds)])

    def add_approvals(self, staff: Ints, seconds: Ints) -> None:
        """Counts approvals in, each for who gave it."""
        known = staff != NOBODY
        self._count("approvals", staff[known])
        self._count("cy_approvals", staff[known & self._this_year(seconds)])

    def file_types_of(self) -> list[str | None]:
        """The file types that everybody changed this year, each once, in order."""
        found: list[set[str]] = [set() for _ in range(self.staff)]
        every = np.unique(np.concatenate([np.zeros(0, np.int64), *self._staff_file_types])).tolist()
        for staff, position in (divmod(pair, len(self.file_types)) for pair in every):
            found[staff].update((self.file_types[position] or "").split(","))
        return [",".join(sorted(types - {""})) or None for types in found]

    def months_of(self) -> list[str]:
        """The commits of everybody by month of this year, as JSON; months without any are left out."""
        counts = [{f"{self.year}-{m:02d}": n for m, n in enumerate(row, 1) if n} for row in self.months.tolist()]
        return [json.dumps(months) for months in counts]

    def _count(self, name: str, staff: Ints, weights: Ints | None = None) -> None:
        self.sums[name] += np.bincount(staff, weights, minlength=self.staff).astype(np.int64)

    def _this_year(self, seconds: Ints) -> Mask:
        return (seconds >= seconds_at(f"{self.year}-01-01")) & (seconds < seconds_at(f"{self.year + 1}-01-01"))


def write_staff(writer: SampleWriter, staff: Staff) -> None:
    """Fills `staff_details`."""
    count = len(staff.emails)
    today = np.full(count, staff.as_of, np.int64)
    start = today - DAY - (15 * 365 * DAY * staff.chances("staff_start_date")).astype(np.int64)
    gone = staff.chances("staff_status") < 0.15
    end = start + ((today - start) * staff.chances("staff_end_date")).astype(np.int64)
    writer.add(
        "staff_details",
        {
            "id": ids("staff_details", 0, count),
            "bank_id_1": staff.bank_ids,
            "staff_id": staff.staff_ids,
            "email_address": staff.emails,
            "staff_first_name": staff.first_names,
            "staff_last_name": staff.last_names,
            "staff_name": staff.names,
            "staff_status": np.where(gone, "Inactive", "Active"),
            "staff_start_date": dates(start),
            "staff_end_date": dates(end, known=gone),
            "staff_type": staff.choices("staff_type", ("Permanent", "Contract")),
            "original_staff_type": staff.choices("original_staff_type", ("Permanent", "Permanent", "Contract")),
            "rank": staff.choices("rank", ("Associate", "Analyst", "VP", "Director")),
            "staff_level": staff.choices("staff_level", ("3", "4", "5", "6")),
            "hr_role": staff.choices("hr_role", ("Engineer", "Engineer", "Manager", "Business Analyst")),
            "job_function": staff.choices("job_function", ("Engineering", "Operations", "Qualité")),
            "tech_unit": staff.choices("tech_unit", [f"Unit {number}" for number in range(5)]),
            "department_id": staff.choices("department_id", [f"D{number:03d}" for number in range(1, 31)]),
            "platform_name": staff.choices("platform_name", [f"Platform {number}" for number in range(5)]),
            "sub_platform": staff.choices("sub_platform", (None, "Core", "Edge")),
            "work_location": staff.choices("work_location", ("Singapore", "London", "東京", "São Paulo", "Remote")),
            "reporting_manager_name": staff.choices("reporting_manager_name", (None, *staff.names[:10])),
            "company_name": pa.repeat("Example Bank", count),
            "fte": np.where(staff.chances("fte") < 0.2, 0.8, 1.0),
            "as_of_date": dates(today),
            "date_created": timestamps(today + 8 * 3600),
        },
    )


def write_mappings(
    writer: SampleWriter, names: Sequence[str], emails: Sequence[str], links: Ints, staff: Staff
) -> None:
    """Fills `author_staff_mapping`: authors by name and e-mail, and the staff position that each is linked to."""
    position = pa.array(links)
    notes = pa.array([None, "matched by e-mail", 'asked the team;\n"that\'s me"'])
    writer.add(
        "author_staff_mapping",
        {
            "id": ids("author_staff_mapping", 0, len(links)),
            "author_name": names,
            "author_email": emails,
            "bank_id_1": pa.array(staff.bank_ids, pa.string()).take(position),
            "staff_id": pa.array(staff.staff_ids, pa.string()).take(position),
            "staff_name": pa.array(staff.names, pa.string()).take(position),
            "mapped_date": timestamps(np.full(len(links), staff.as_of + 9 * 3600, np.int64)),
            "notes": notes.take(pa.array((3 * staff.chances("notes")[links] ** 4).astype(np.int64))),
        },
    )


def write_metrics(writer: SampleWriter, staff: Staff, tally: Tally, slugs: Sequence[str]) -> None:
    """Fills `staff_metrics`, of the whole history."""
    sums, count = tally.sums, len(staff.emails)
    active = sums["commits"] > 0
    lists = [",".join(np.compress(row, slugs)) if row.any() else None for row in tally.touched]
    writer.add(
        "staff_metrics",
        {
            "id": ids("staff_metrics", 0, count),
            "bank_id_1": staff.bank_ids,
            "staff_id": staff.staff_ids,
            "staff_name": staff.names,
            "email_address": staff.emails,
            "total_commits": sums["commits"],
            "total_lines_added": sums["added"],
            "total_lines_deleted": sums["deleted"],
            "total_files_changed": sums["files"],
            "total_prs_created": sums["prs"],
            "total_prs_merged": sums["merged"],
            "total_pr_approvals_given": sums["approvals"],
            "repositories_touched": tally.touched.sum(axis=1),
            "repository_list": pa.array(lists, pa.string()),
            "first_commit_date": timestamps(np.where(active, tally.first, 0), known=active),
            "last_commit_date": timestamps(np.where(active, tally.last, 0), known=active),
            "avg_lines_per_commit": _ratio(sums["added"] + sums["deleted"], sums["commits"]),
            "avg_files_per_commit": _ratio(sums["files"], sums["commits"]),
            "code_churn_ratio": _ratio(sums["deleted"], sums["added"]),
            "last_calculated": timestamps(np.full(count, staff.as_of + 3600, np.int64)),
            "calculation_version": pa.repeat("1.0", count),
        },
    )


def write_year_metrics(writer: SampleWriter, staff: Staff, tally: Tally) -> None:
    """Fills `current_year_staff_metrics`, of the tally's year."""
    sums, count = tally.sums, len(staff.emails)
    writer.add(
        "current_year_staff_metrics",
        {
            "id": ids("current_year_staff_metrics", 0, count),
            "bank_id_1": staff.bank_ids,
            "staff_name": staff.names,
            "staff_email": staff.emails,
            "current_year": np.full(count, tally.year),
            "cy_start_date": pa.repeat(f"{tally.year}-01-01", count),
            "cy_end_date": pa.repeat(f"{tally.year}-12-31", count),
            "cy_total_commits": sums["cy_commits"],
            "cy_total_prs": sums["cy_prs"],
            "cy_total_approvals_given": sums["cy_approvals"],
            "cy_total_repositories": tally.cy_touched.sum(axis=1),
            "cy_total_files_changed": sums["cy_files"],
            "cy_total_lines_changed": sums["cy_lines"],
            "cy_file_types_list": pa.array(tally.file_types_of(), pa.string()),
            "cy_monthly_commits": tally.months_of(),
            "last_calculated": timestamps(np.full(count, staff.as_of + 3600, np.int64)),
            "calculation_version": pa.repeat("1.0", count),
        },
    )


def _ratio(part: Ints, whole: Ints) -> NDArray[np.float64]:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)
