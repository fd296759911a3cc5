"""The report: what it tells, that nothing of the data is obeyed, and what it says of a folder that is no run's."""

from __future__ import annotations

import base64
import errno
import hashlib
import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import Engine, make_url

from dfsync.__main__ import main
from dfsync.model.errors import DfsyncError
from dfsync.model.rejects import reject_frame
from dfsync.output import files
from dfsync.output.report.html import STAGES, bar, duration
from dfsync.output.report.page import write_report
from dfsync.output.report.plan_graph import draw, lane_offsets, lanes
from dfsync.output.result import TableCounts
from dfsync.stages.diff import DIFFERENCE_SCHEMA
from tests.support.git_history import create_tables, empty_source, run_sql
from tests.support.run_folders import (
    SECONDS,
    TAGS,
    Page,
    hostile_folder,
    mapping,
    page,
    plan,
    run_folder,
    table,
    write_rejects,
)


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    return hostile_folder(tmp_path / "out")


class TestWhatItTells:
    def test_counts_times_and_where_it_went(self, tmp_path: Path) -> None:
        counts = [
            TableCounts("repositories", "repositories", 7, inserted=1, matched=6, seconds=SECONDS),
            TableCounts("commits", "commits", 2_200, inserted=2_000, matched=200, seconds=SECONDS),
        ]
        text = page(run_folder(tmp_path, plan(table("repositories"), table("commits", "repositories")), counts)).text
        assert "✓ All 2,207 rows have a row in the target." in text
        assert "commits 2,200 2,000 200 0 0 3.00 s 733" in text
        assert "repositories 7 1 6 0 0 3.00 s 2" in text
        assert "All 2,207 2,001 206 0 0 4.50 s 490" in text
        assert "extract 1.00 s conform 0.50 s load 4.00 s other 0.50 s" in text
        assert (
            "Target app on db.example.com:3306 Started 2026-01-02 03:04:05 UTC Plan discovered plan, 2 tables" in text
        )
        assert "Sync of my.db" in text
        assert "Rejected rows None." in text
        assert "What verify found Not verified yet" in text

    def test_every_stage_has_a_colour_of_its_own_in_both_palettes(self, tmp_path: Path) -> None:
        counts = [TableCounts("a", "a", 1, inserted=1, seconds={**dict.fromkeys(STAGES, 1.0), "total": len(STAGES)})]
        html = write_report(run_folder(tmp_path, plan(table("a")), counts)).read_text()
        shown = {a["class"] for tag, a in Page(html).elements if tag == "rect" and re.match(r"c\d", a["class"] or "")}
        assert len(shown) == len(STAGES)
        assert shown <= set(re.findall(r"\.(c\d+) { fill: var\(--\1\)", html))
        palettes = re.findall(r":root {(.*?)}", html, re.DOTALL)
        colours = [dict(re.findall(r"--(c\d+): (#\w+);", palette)) for palette in palettes]
        assert len(colours) == 2
        assert all(shown <= of.keys() and len({*of.values()}) == len(of) for of in colours)

    def test_rejects_by_reason_the_most_frequent_first(self, tmp_path: Path) -> None:
        counts = [TableCounts("a", "a", 9, inserted=2, failed=7), TableCounts("b", "b", 2, failed=2)]
        out = run_folder(tmp_path, plan(table("a"), table("b")), counts)
        write_rejects(out, "a", "name", [f"long{i}" for i in range(7)], "is too long")
        write_rejects(out, "b", "a_id", ["5", None], "missing parent")
        text = page(out).text
        assert "✗ 9 of 11 rows have no row in the target." in text
        assert "is too long 7 rows" in text
        assert "missing parent 2 rows" in text
        assert text.index("is too long 7 rows") < text.index("missing parent 2 rows")
        assert "id 1: long0" in text
        assert "long4" in text
        assert "long5" not in text
        assert "and 2 more" in text
        assert "id 2: NULL" in text

    def test_more_reasons_than_fit_are_counted(self, tmp_path: Path) -> None:
        out = run_folder(tmp_path, plan(table("a")), [TableCounts("a", "a", 25, failed=25)])
        rejects = reject_frame(range(25), "c", ["v"] * 25, [f"reason {i}" for i in range(25)])
        files.write_rejects(out, "a", rejects.reset_index())
        assert "And 5 rarer reasons." in page(out).text

    def test_a_failed_table_and_one_that_the_source_lacks(self, tmp_path: Path) -> None:
        counts = [
            TableCounts("a", "a", 3, failed=3, error="the disk is full", seconds=SECONDS),
            TableCounts("b", "b", note="the source has no table b"),
        ]
        text = page(run_folder(tmp_path, plan(table("a"), table("b"), table("c")), counts)).text
        assert "3 of 3 rows have no row in the target; 1 table rolled back." in text
        assert "Rolled back: the disk is full" in text
        assert "not in the source" in text
        assert "not in this run" in text
        assert "not synced: not in this run, or not in the source" in text

    def test_a_table_that_failed_after_some_of_its_pieces(self, tmp_path: Path) -> None:
        counts = [TableCounts("a", "a", 3, inserted=2, failed=1, error="the disk is full", seconds=SECONDS)]
        text = page(run_folder(tmp_path, plan(table("a")), counts)).text
        assert "1 of 3 rows has no row in the target; 1 table failed." in text
        assert "a failed after 2 rows were committed: the disk is full" in text
        assert "olled back" not in text

    def test_a_row_of_a_table_without_ids(self, tmp_path: Path) -> None:
        out = run_folder(tmp_path, plan(table("links", id=None)), [TableCounts("links", "links", 1, failed=1)])
        files.write_rejects(out, "links", reject_frame([7], "c", ["v"], "too long").reset_index())
        text = page(out).text
        assert "row 7: v" in text
        assert "foreign key" not in text
        assert "id 7" not in text
        assert "not synced:" not in text

    def test_the_maps(self, tmp_path: Path) -> None:
        out = run_folder(tmp_path, plan(table("a")), [TableCounts("a", "a", 3, inserted=1, matched=2)])
        files.write_mapping(out, "a", [mapping((1, 1, "inserted"), (2, 50, "matched"), (9, 50, "matched"))])
        assert "a 3 1 - 9 1 - 50 2 1" in page(out).text.replace("\N{EN DASH}", "-")

    def test_tables_without_rows_are_folded(self, tmp_path: Path) -> None:
        counts = [TableCounts("a", "a", 1, inserted=1), TableCounts("b", "b"), TableCounts("c", "c")]
        counts.append(TableCounts("d", "d", note="the source has no such table"))
        text = page(run_folder(tmp_path, plan(*map(table, "abcd")), counts)).text
        assert "2 tables without rows b , c" in text
        assert "b 0 0" not in text
        assert "d the source has no such table" in text

    def test_what_verify_found(self, tmp_path: Path) -> None:
        out = run_folder(tmp_path, plan(table("a")), [TableCounts("a", "a", 1, inserted=1)])
        row = dict(zip(DIFFERENCE_SCHEMA.names, [1, 101, "inserted", "changed", "name", "here", "there"], strict=True))
        files.write_differences(out, "a", DIFFERENCE_SCHEMA, iter([pa.Table.from_pylist([row], DIFFERENCE_SCHEMA)]))
        text = page(out).text
        assert "changed 1 row Not as a sync wrote them; changed since, in the target or in the source." in text
        assert "id 1 → 101 (inserted): 'here' in the target 'there'" in text

    def test_when_it_was_verified(self, tmp_path: Path) -> None:
        out = run_folder(tmp_path, plan(table("a")), [TableCounts("a", "a", 1, inserted=1)])
        said = {
            "started": "2026-01-02T17:40:00+00:00", "source": "/home/me/my.db", "target": "app on db.example.com:3306",
            "tables": [{}], "overall": {"total": 1_495}, "differ": 0, "as_planned": 0,
        }  # fmt: skip
        files.write_verify_summary(out, said)
        assert "Verified 2026-01-02 17:40:00 UTC: 1,495 rows of 1 table, nothing differs." in page(out).text
        files.write_verify_summary(out, {**said, "differ": 2, "as_planned": 1})
        assert "1 table, 2 differ , 1 row not as in the source, as the plan asks." in page(out).text
        files.write_verify_summary(out, {**said, "started": "2026-01-01T17:40:00+00:00"})
        assert "before this sync : 1,495 rows of 1 table, nothing differs. Run verify again." in page(out).text
        files.write_verify_summary(out, {**said, "target": "other on db.example.com:3306"})
        assert "Not verified yet" in page(out).text
        (out / "verify" / "summary.json").write_text("{")
        assert "Not verified yet" in page(out).text

    def test_a_row_that_differs_in_two_columns_is_one_row(self, tmp_path: Path) -> None:
        out = run_folder(
            tmp_path, plan(table("a"), table("b")), [TableCounts("a", "a", 1, inserted=1), TableCounts("b", "b")]
        )
        values = [(1, "name", "x", "y"), (1, "photo", "x'1818'", "x''"), (2, "name", "x", "z")]
        rows = [
            dict(zip(DIFFERENCE_SCHEMA.names, [old_id, 101, "inserted", "changed", *rest], strict=True))
            for old_id, *rest in values
        ]
        for name in ("a", "b"):
            files.write_differences(out, name, DIFFERENCE_SCHEMA, iter([pa.Table.from_pylist(rows, DIFFERENCE_SCHEMA)]))
        text = page(out).text
        assert "changed 4 rows Not as a sync wrote them" in text
        assert "photo 1 id 1 → 101 (inserted): x'1818' in the target x''" in text

    def test_an_empty_text_that_was_rejected(self, tmp_path: Path) -> None:
        out = run_folder(tmp_path, plan(table("a")), [TableCounts("a", "a", 1, failed=1)])
        write_rejects(out, "a", "name", [""], "is no date")
        assert "id 1: ''" in page(out).text

    def test_the_legend_is_drawn_as_the_arrows_are(self, tmp_path: Path) -> None:
        tables = plan(table("a"), table("b"), table("c", "b"), table("d", after=("b",)))
        html = write_report(run_folder(tmp_path, tables, [])).read_text()
        legend = re.findall(r'<line class="([^"]*)" x1="[02]" x2="34"', html)
        drawn = re.findall(r'<path class="((?:key|later|order) [^"]*)"', html)
        assert legend == ["key c1", "order c1"]
        assert set(legend) == set(drawn)

    def test_a_table_without_an_id_and_no_rows_at_all(self, tmp_path: Path) -> None:
        out = run_folder(tmp_path, plan(table("links", id=None)), [TableCounts("links", "links", seconds=SECONDS)])
        shutil.rmtree(out / "mappings")
        assert "✓ There were no rows to sync." in page(out).text

    def test_it_is_written_whole_or_not_at_all(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        out = run_folder(tmp_path, plan(table("a")), [TableCounts("a", "a", 1, inserted=1)])
        before = write_report(out).read_bytes()
        run_folder(out, plan(table("a")), [TableCounts("a", "a", 2, inserted=2)])

        def no_room(_: int) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("os.fsync", no_room)
        with pytest.raises(DfsyncError, match=r"report\.html cannot be written: No space left on device"):
            write_report(out)
        assert (out / "report.html").read_bytes() == before
        assert not list(out.glob(".*"))


class TestNothingOfTheDataIsObeyed:
    def test_every_element_and_attribute_is_the_templates_own(self, hostile: Path) -> None:
        elements = page(hostile).elements
        assert {tag for tag, _ in elements} <= TAGS
        names = {name for _, attributes in elements for name in attributes}
        assert not [name for name in names if name.startswith("on")]
        assert not names & {"style", "src", "xlink:href"}
        assert {attributes["href"] for tag, attributes in elements if tag == "a"} <= {"#tables", "#rejects"}

    def test_hostile_text_is_shown_as_it_is(self, hostile: Path) -> None:
        text = page(hostile).text
        assert "</style><script>alert(1)</script> ]]> \"'` & \\u202etxt \\x1b[31m" in text
        assert "<img src=x onerror=alert(1)>" in text

    def test_there_are_no_control_characters(self, hostile: Path) -> None:
        html = write_report(hostile).read_text()
        assert not [c for c in html if not c.isprintable() and c != "\n"]

    def test_long_values_are_cut(self, hostile: Path) -> None:
        assert "y" * 99 in page(hostile).text
        assert "y" * 101 not in page(hostile).text

    def test_the_policy_allows_the_style_sheet_and_nothing_else(self, hostile: Path) -> None:
        html = write_report(hostile).read_text()
        (style,) = re.findall(r"<style>(.*?)</style>", html, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
        policy = next(a["content"] for tag, a in Page(html).elements if a.get("http-equiv"))
        assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"
        assert "url(" not in style
        assert "@import" not in style


class TestAFolderThatIsNoFinishedRun:
    def complaint(self, out: Path) -> str:
        with pytest.raises(DfsyncError) as caught:
            write_report(out)
        assert not (out / "report.html").exists()
        return str(caught.value)

    @pytest.fixture
    def out(self, tmp_path: Path) -> Path:
        out = run_folder(tmp_path / "out", plan(table("a")), [TableCounts("a", "a", 3, inserted=2, failed=1)])
        write_rejects(out, "a", "c", ["v"], "why")
        return out

    def test_no_folder(self, tmp_path: Path) -> None:
        out = tmp_path / "no"
        assert self.complaint(out) == (
            f"{out} has no summary.json: it is not the folder of a finished sync. Name the out= of one, or run a sync "
            "first; a dry run leaves no files."
        )

    @pytest.mark.parametrize(
        "break_it",
        [
            lambda s: "{",
            lambda s: "[]",
            lambda s: json.dumps({**s, "plan": None}),
            lambda s: json.dumps({**s, "tables": [{"name": "a"}]}),
            lambda s: json.dumps({**s, "tables": [{**s["tables"][0], "total": "many"}]}),
            lambda s: json.dumps({**s, "tables": [{**s["tables"][0], "seconds": 3}]}),
            lambda s: json.dumps({**s, "started": "yesterday"}),
            lambda s: json.dumps({key: value for key, value in s.items() if key != "plan"}),
            lambda s: json.dumps(s).replace('"foreign_keys": {}', '"foreign_keys": {"x": "unknown"}'),
        ],
    )
    def test_a_summary_of_another_kind(self, out: Path, break_it: Callable[[dict[str, Any]], str]) -> None:
        path = out / "summary.json"
        path.write_text(break_it(json.loads(path.read_text())))
        assert f"{path} is not as dfsync writes it" in self.complaint(out)

    def test_a_mapping_is_missing(self, out: Path) -> None:
        (out / "mappings" / "a.parquet").unlink()
        assert f"{out} has no mapping of a" in self.complaint(out)

    def test_a_reject_file_is_missing(self, out: Path) -> None:
        (out / "rejects" / "a.parquet").unlink()
        assert "a.parquet is missing, and 1 rows of a were rejected. Run the sync again" in self.complaint(out)

    @pytest.mark.parametrize("folder", ["mappings", "rejects"])
    def test_a_file_is_damaged(self, out: Path, folder: str) -> None:
        (out / folder / "a.parquet").write_bytes(b"PAR1 or so")
        assert "a.parquet is not as dfsync writes it" in self.complaint(out)

    def test_a_run_that_was_killed_halfway(self, out: Path) -> None:
        files.write_mapping(out, "a", [mapping((1, 1, "matched"), (2, 2, "inserted"))])
        assert "are of different runs" in self.complaint(out)
        assert "run it again" in self.complaint(out)


class TestGraph:
    def test_a_lane_for_each_parent_and_kind(self) -> None:
        what = plan(
            table("a"), table("b", "a"), table("c", "a", "b", deferred=("b_id",), after=("a", "b")), table("d", "d")
        )
        found = [(lane.parent, lane.children, lane.kind) for lane in lanes(what)]
        assert found == [(0, (1, 2), "key"), (1, (2,), "later")]

    def test_lanes_that_do_not_meet_share_a_place_and_others_do_not(self) -> None:
        chain = plan(table("a"), table("b", "a"), table("c", "b"))
        assert lane_offsets(lanes(chain)) == [0, 0]
        crossed = plan(table("a"), table("b"), table("c", "a"), table("d", "b"))
        assert sorted(lane_offsets(lanes(crossed))) == [0, 1]

    def test_short_arrows_run_inside(self) -> None:
        nested = plan(table("a"), table("b"), table("c", "b"), table("d", "a"))
        assert lane_offsets(lanes(nested)) == [1, 0]

    def test_every_row_between_is_crossed(self) -> None:
        drawn = draw(plan(table("a"), table("b"), table("c", "a")), 8)
        assert [[(top, bottom) for _, top, bottom, _ in row.lines] for row in drawn.rows] == [
            [("43", "100%")],
            [("-1", "100%")],
            [("-1", "12")],
        ]
        assert [row.child for row in drawn.rows] == [False, False, True]

    def test_an_arrow_that_leads_upwards(self) -> None:
        drawn = draw(plan(table("a", "b", deferred=("b_id",)), table("b")), 8)
        assert [[(top, bottom) for _, top, bottom, _ in row.lines] for row in drawn.rows] == [
            [("26", "100%")],
            [("-1", "29")],
        ]

    def test_many_lanes_stay_narrow(self) -> None:
        tables = [table(f"p{i}") for i in range(200)]
        children = [table(f"c{i}", f"p{i}") for i in range(200)]
        drawn = draw(plan(*tables, *children), 8)
        assert drawn.width < 150
        assert all(0 < x < drawn.node for row in drawn.rows for x, *_ in row.lines)


class TestParts:
    def test_a_small_part_can_be_seen(self) -> None:
        segments = bar([("inserted", "", 999_999), ("failed", "", 1)], 1_000_000)
        assert [(s.start, s.width) for s in segments] == [(0, 99.3), (99.3, 0.7)]

    def test_nothing_gives_nothing(self) -> None:
        assert bar([("inserted", "", 0)], 0) == ()

    @pytest.mark.parametrize(
        ("seconds", "words"),
        [(0.004, "0.00 s"), (12.34, "12.3 s"), (61, "1 min 1 s"), (7380, "2 h 3 min"), (float("nan"), "?")],
    )
    def test_duration(self, seconds: float, words: str) -> None:
        assert duration(seconds) == words


class TestCommand:
    @pytest.fixture
    def source(self, target: Engine, tmp_path: Path) -> Path:
        create_tables(target)
        return run_sql(
            empty_source(tmp_path / "my.db"),
            """INSERT INTO repositories (id, slug) VALUES (1, '<b>a</b>');
            INSERT INTO commits (id, repository_id, hash) VALUES (30, 999, 'h'), (31, 1, 'h');""",
        )

    def test_sync_makes_it_too(
        self, source: Path, target_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        out = tmp_path / "out"
        arguments = ["--source", str(source), "--target", target_url, "--out", str(out), "--report"]
        assert main(arguments) == 1
        printed = " ".join(capsys.readouterr().out.split())
        assert f"The report: {out / 'report.html'}" in printed
        html = (out / "report.html").read_text()
        assert (
            "missing parent: repositories has no row with this id in the target, nor in the source 1 row"
            in Page(html).text
        )
        assert (out / "report.html").stat().st_mode & 0o077 == 0
        user = make_url(target_url).username
        for name in ("report.html", "summary.json"):
            assert f"{user}@" not in (out / name).read_text()
            assert f"as {user}" not in (out / name).read_text()
        (out / "report.html").unlink()
        assert main(["report", str(out)]) == 0
        assert (out / "report.html").read_text() == html

    def test_with_json(self, source: Path, target_url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        out = tmp_path / "out"
        main(["--source", str(source), "--target", target_url, "--out", str(out), "--report", "--json"])
        said = json.loads(capsys.readouterr().out)
        assert said == json.loads((out / "summary.json").read_text())
        assert [t["name"] for t in said["plan"]["tables"]][:3] == ["repositories", "authors", "commits"]
        assert said["plan"]["tables"][2]["foreign_keys"] == {"repository_id": "repositories"}
        assert (out / "report.html").is_file()

    def test_not_of_a_dry_run(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        source = empty_source(tmp_path / "s.db")
        assert main(["--source", str(source), "--out", str(tmp_path / "out"), "--dry-run", "--report"]) == 2
        assert "a dry run leaves none" in capsys.readouterr().err
        assert not (tmp_path / "out").exists()

    def test_no_such_folder(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["report", str(tmp_path / "none")]) == 2
        assert "it is not the folder of a finished sync" in capsys.readouterr().err
