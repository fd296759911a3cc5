"""The files of a run: what is in them, and that each is there whole or not at all."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sqlalchemy import Connection, Engine, event

import dfsync
from dfsync.__main__ import main
from dfsync.model import frames
from dfsync.model.errors import DfsyncError, OutputWriteError
from dfsync.output import files
from dfsync.output.folder.id_mappings import write_id_mappings
from dfsync.output.mappings import LazyFrames
from dfsync.pipeline.observer import Observer
from dfsync.plan.model import TablePlan
from tests.support.git_history import TABLES, create_tables, empty_source, execute, run, run_sql
from tests.support.read_only_dirs import read_only

SUMMARY_KEYS = {"ok", "dry_run", "seconds", "overall", "tables"}
COUNTS = ["total", "inserted", "matched", "updated", "failed", "shared", "rekeyed"]
TABLE_KEYS = ["name", "table", *COUNTS, "error", "note", "unfit", "changed_values", "differing", "other_ids", "seconds"]
INT = "int64[pyarrow]"


def mapping(*pairs: tuple[int, int]) -> pd.DataFrame:
    old, new = (pa.array([pair[i] for pair in pairs], pa.int64()) for i in (0, 1))
    action = pa.array(["inserted"] * len(pairs), pa.string())
    return frames.from_arrow(pa.table({"old_id": old, "new_id": new, "action": action}))


def test_a_frame_that_is_not_there_is_missed_in_words(tmp_path: Path) -> None:
    with pytest.raises(KeyError, match=r"No frame of events: .* it has no id to map, or .* There are: a, b\."):
        LazyFrames(tmp_path, ["a", "b"])["events"]


class TestIdMappings:
    def test_are_plain_json_by_ascending_old_id(self, tmp_path: Path) -> None:
        files.open_folder(tmp_path)
        files.write_mapping(tmp_path, "commits", [mapping((1, 1001), (2, 7), (100, -3))])
        files.write_mapping(tmp_path, "none", [mapping()])
        write_id_mappings(tmp_path, ["none", "commits", "never synced"])
        text = (tmp_path / "id_mappings.json").read_text()
        assert json.loads(text) == {"none": {}, "commits": {"1": 1001, "2": 7, "100": -3}}
        assert text == '{\n  "none": {},\n  "commits": {\n    "1": 1001,\n    "2": 7,\n    "100": -3\n  }\n}\n'

    def test_of_no_table_at_all(self, tmp_path: Path) -> None:
        files.open_folder(tmp_path)
        write_id_mappings(tmp_path, ["commits"])
        assert json.loads((tmp_path / "id_mappings.json").read_text()) == {}

    def test_of_more_rows_than_are_written_at_once(self, tmp_path: Path) -> None:
        files.open_folder(tmp_path)
        pairs = [(i, i + 5) for i in range(files._ROWS_PER_GROUP + 3)]
        files.write_mapping(tmp_path, "many", [mapping(*pairs)])
        write_id_mappings(tmp_path, ["many"])
        known = json.loads((tmp_path / "id_mappings.json").read_text())["many"]
        assert known == {str(old): new for old, new in pairs}

    def test_of_a_map_that_is_damaged_leave_the_old_ones(self, tmp_path: Path) -> None:
        files.open_folder(tmp_path)
        files.write_mapping(tmp_path, "a", [mapping((1, 2))])
        write_id_mappings(tmp_path, ["a", "b"])
        before = (tmp_path / "id_mappings.json").read_bytes()
        damaged = tmp_path / "mappings" / "b.parquet"
        damaged.write_bytes(b"PAR1, and no more")
        with pytest.raises(
            OutputWriteError, match=f"{damaged} cannot be read, a sync of its table makes it anew: .*magic"
        ):
            write_id_mappings(tmp_path, ["a", "b"])
        assert (tmp_path / "id_mappings.json").read_bytes() == before

    def test_quote_a_name_that_needs_it(self, tmp_path: Path) -> None:
        files.open_folder(tmp_path)
        files.write_mapping(tmp_path, "a'b ä.c\"", [mapping((1, 2))])
        write_id_mappings(tmp_path, ["a'b ä.c\""])
        assert json.loads((tmp_path / "id_mappings.json").read_text()) == {"a'b ä.c\"": {"1": 2}}


class TestTheFolder:
    def test_and_its_files_are_private(self, tmp_path: Path) -> None:
        out = tmp_path / "new" / "out"
        files.open_folder(out)
        files.write_mapping(out, "a", [mapping((1, 2))])
        write_id_mappings(out, ["a"])
        assert oct(out.stat().st_mode)[-3:] == "700"
        assert {oct(path.stat().st_mode)[-3:] for path in out.rglob("*") if path.is_file()} == {"600"}

    def test_that_cannot_be_made_is_said_in_a_sentence(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(DfsyncError, match=r"cannot be made: Not a directory\. Choose another out=\.$"):
            files.open_folder(tmp_path / "file" / "out")

    def test_that_cannot_be_written_is_said_in_a_sentence(self) -> None:
        # Not in pytest's own, which nobody else may enter.
        with tempfile.TemporaryDirectory() as name:
            out = Path(name)
            files.open_folder(out)
            with read_only(out), pytest.raises(DfsyncError) as raised:
                files.open_folder(out)
        assert str(raised.value) == (
            f"The output folder {out} cannot be written to: Permission denied. Choose another out=."
        )

    def test_is_rid_of_what_a_killed_run_has_half_written(self, tmp_path: Path) -> None:
        others = tmp_path / ".bashrc.partial"
        half = [
            tmp_path / ".summary.json.77.partial",
            *(tmp_path / folder / ".a.parquet.12345.partial" for folder in ("mappings", "unmapped", "verify")),
            tmp_path / "sources" / "laptop" / ".id_mappings.json.5.partial",
        ]
        files.open_folder(tmp_path)
        for path in (others, *half):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        files.open_folder(tmp_path)
        assert others.exists()
        assert not any(path.exists() for path in half)

    def test_keeps_what_another_table_of_the_run_is_writing(self, tmp_path: Path) -> None:
        files.open_folder(tmp_path)
        rows = pa.table({"old_id": [1]})
        files.write_beside_mapping(tmp_path, files.UNMAPPED, "a", rows)
        other = tmp_path / files.UNMAPPED / f".b.parquet.{os.getpid()}.partial"
        other.touch()
        files.write_beside_mapping(tmp_path, files.UNMAPPED, "a", rows)
        assert other.exists()

    def test_that_holds_no_mappings_is_said_in_a_sentence(self, tmp_path: Path) -> None:
        with pytest.raises(DfsyncError, match="should be the out= folder of an earlier run"):
            dfsync.load_mappings(tmp_path)


class Full(Observer):
    """Leaves no room in the folder from some moment of a table on, until the next table starts."""

    def __init__(self, folder: Path, moment: str, table: str) -> None:
        self._fill, self._when = folder / "fill", (moment, table)
        self._table = ""

    def table_started(self, table: TablePlan, total: int) -> None:
        self._fill.unlink(missing_ok=True)
        self._table = table.name
        self._at("table_started")

    def progress(self, table: TablePlan, done: int) -> None:
        self._at("progress")

    def commits(self, _connection: Connection) -> None:
        """Is told by SQLAlchemy of every COMMIT before it is sent."""
        self._at("commit")

    def _at(self, moment: str) -> None:
        if (moment, self._table) == self._when:
            with suppress(OSError), self._fill.open("wb", buffering=0) as file:
                while file.write(b"x" * 4096):
                    pass


class TestAFullDisk:
    @pytest.fixture
    def small(self, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
        folder = tmp_path / "small"
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={getattr(request, 'param', 256)}k", "none", str(folder)]
        if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode != 0:
            pytest.skip("only root may mount a small file system")
        yield folder
        subprocess.run(["umount", str(folder)], check=True)

    def test_leaves_the_old_files_as_they_were(self, small: Path) -> None:
        files.open_folder(small)
        files.write_mapping(small, "a", [mapping((1, 2))])
        before = (small / "mappings" / "a.parquet").read_bytes()
        with pytest.raises(DfsyncError, match="cannot be written: No space left on device"):
            files.write_mapping(small, "a", [mapping(*((i, i**3 * 7919 % 1_000_000_007) for i in range(200_000)))])
        assert (small / "mappings" / "a.parquet").read_bytes() == before
        assert [path.name for path in small.rglob("*") if path.is_file()] == ["a.parquet"]

    @pytest.mark.parametrize("small", [650], indirect=True)
    def test_is_no_harm_to_the_target(self, target: Engine, small: Path, tmp_path: Path) -> None:
        create_tables(target)
        source = run_sql(
            empty_source(tmp_path / "s.db"),
            """WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)
            INSERT INTO authors (id, email) SELECT i, hex(randomblob(16)) FROM n""",
        )
        result = run(source, target, small, tables=("authors",))
        assert result.counts[0].inserted == 12000
        assert not result.ok
        assert result.write_errors == {"mappings/authors.parquet": "No space left on device"}
        assert not (small / "mappings" / "authors.parquet").exists()
        with pytest.raises(KeyError, match="or its file could not be written"):
            result.mappings["authors"]
        result = run(source, target, tmp_path / "out", tables=("authors",))
        assert result.summary.loc["authors", "matched"] == 12000

    @pytest.mark.parametrize(
        ("moment", "table", "synced", "unwritten"),
        [
            ("table_started", "authors", [1, 0, 1], []),
            ("progress", "authors", [1, 0, 1], ["mappings/authors.parquet"]),
            ("progress", "repositories", [0, 50, 0], ["mappings/repositories.parquet"]),
            ("commit", "authors", [1, 50, 1], ["mappings/authors.parquet", "rejects/authors.parquet"]),
            ("commit", "repositories", [1, 50, 1], ["mappings/repositories.parquet"]),
        ],
    )
    def test_costs_the_other_tables_nothing(
        self,
        target: Engine,
        small: Path,
        tmp_path: Path,
        moment: str,
        table: str,
        synced: list[int],
        unwritten: list[str],
    ) -> None:
        create_tables(target)
        source = run_sql(
            empty_source(tmp_path / "s.db"),
            """INSERT INTO repositories (id, slug) VALUES (5, 'a');
            INSERT INTO authors (id, email) VALUES (99, printf('%.*c', 300, 'x'));
            INSERT INTO commits (id, repository_id, hash) VALUES (1, 5, 'x');
            WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 50)
                INSERT INTO authors (id, email) SELECT i, i || '@' FROM n""",
        )
        options = dfsync.SyncOptions(tables=("repositories", "authors", "commits"), jobs=1)
        full = Full(small, moment, table)
        event.listen(Engine, "commit", full.commits)
        result = dfsync.sync(source, target.url, out=small, options=options, observer=full)
        event.remove(Engine, "commit", full.commits)
        assert [c.inserted for c in result.counts] == synced
        assert [name for name in result.write_errors if not name.startswith("runs/")] == unwritten
        assert not result.ok
        assert not [path.name for path in small.rglob("*.partial")]
        (small / "fill").unlink(missing_ok=True)
        again = dfsync.sync(source, target.url, out=small, options=options)
        assert [c.inserted + c.matched for c in again.counts] == [1, 50, 1]
        assert json.loads((small / "id_mappings.json").read_text())["commits"] == {"1": 1}
        assert again.write_errors == {}

    def test_without_room_for_the_keys_fails_the_table(self, target: Engine, small: Path, tmp_path: Path) -> None:
        create_tables(target)
        source = run_sql(
            empty_source(tmp_path / "s.db"),
            """WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 12000)
            INSERT INTO authors (id, email) SELECT i, hex(randomblob(16)) FROM n""",
        )
        error = run(source, target, small, tables=("authors",)).counts[0].error
        assert error == "There is no room for the table's natural keys: No space left on device. Choose another --out."
        result = run(source, target, tmp_path / "out", tables=("authors",))
        assert result.summary.loc["authors", "inserted"] == 12000


class TestARun:
    @pytest.fixture
    def source(self, tmp_path: Path) -> Path:
        return run_sql(
            empty_source(tmp_path / "s.db"),
            """INSERT INTO repositories (id, slug) VALUES (5, 'a'), (6, 'b');
            INSERT INTO commits (id, repository_id, hash) VALUES (1, 5, 'x'), (2, 7, 'y'), (3, 6, 'x');
            INSERT INTO pull_requests (id, repository_id, pr_id) VALUES (9, 6, 1);""",
        )

    def test_goes_to_its_end_without_a_file_that_cannot_be_written(
        self, source: Path, target: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        create_tables(target)
        out = tmp_path / "out"
        for name in ("mappings/commits.parquet", "id_mappings.json", "summary.json"):
            (out / name / "in the way").mkdir(parents=True)
        url = target.url.render_as_string(hide_password=False)
        command = ["--source", str(source), "--target", url, "--out", str(out)]
        told = "".join(
            f"NOT WRITTEN: {out / name}: Is a directory\n"
            for name in ("mappings/commits.parquet", "id_mappings.json", "summary.json")
        )
        told += "What was synced is in the target. Make room or choose another --out and run again for the files.\n"
        assert main([*command, "--quiet"]) == 1
        assert capsys.readouterr().out.endswith(f"\nOVERALL: 5 records synced, 1 failed\n{told}")
        assert main([*command, "--json", "--report"]) == 1
        said = capsys.readouterr()
        assert json.loads(said.out)["write_errors"] == dict.fromkeys(
            ["mappings/commits.parquet", "id_mappings.json", "summary.json"], "Is a directory"
        )
        assert said.err.endswith(told)
        assert main([*command, "--out", str(tmp_path / "elsewhere")]) == 1
        known = json.loads((tmp_path / "elsewhere" / "id_mappings.json").read_text())
        assert {name: len(ids) for name, ids in known.items() if ids} == {
            "repositories": 2,
            "commits": 2,
            "pull_requests": 1,
        }

    def test_leaves_its_files_and_its_frames(self, source: Path, target: Engine, tmp_path: Path) -> None:
        create_tables(target)
        execute(target, "INSERT INTO repositories (id, slug) VALUES (70, 'B')")
        result = run(source, target, tmp_path / "out")
        out = tmp_path / "out"
        (journal,) = (out / "runs").iterdir()
        inserted = [f"inserted/{name}.parquet" for name in ("repositories", "commits", "pull_requests")]
        assert sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()) == sorted(
            ["id_mappings.json", "state/id_mappings.json", "summary.json", "rejects/commits.parquet"]
            + [f"mappings/{name}.parquet" for name in TABLES]
            + [f"runs/{journal.name}/{file}" for file in ("run.json", *inserted)]
        )
        commits = result.mappings["commits"]
        assert dict(commits.dtypes.astype(str)) == {
            "old_id": INT,
            "new_id": INT,
            "action": "string[pyarrow]",
            "hash": "string[pyarrow]",
            "repository_id": INT,
        }
        assert commits.to_dict("list") == {
            "old_id": [1, 3],
            "new_id": [1, 2],
            "action": ["inserted", "inserted"],
            "hash": ["x", "x"],
            "repository_id": [71, 70],
        }
        rejects = result.rejects["commits"]
        assert dict(rejects.dtypes.astype(str)) == {
            "old_id": INT,
            "column": "string[pyarrow]",
            "value": "string[pyarrow]",
            "reason": "string[pyarrow]",
        }
        assert dict(result.rejects["authors"].dtypes.astype(str)) != {}
        assert list(result.rejects["authors"].columns) == list(rejects.columns)
        read = dfsync.load_mappings(out)
        assert list(read) == list(TABLES)
        for name, frame in read.items():
            pd.testing.assert_frame_equal(frame, result.mappings[name])
        assert pq.read_table(out / "rejects" / "commits.parquet").column_names == list(rejects.columns)

    def test_sums_itself_up(self, source: Path, target: Engine, tmp_path: Path) -> None:
        create_tables(target)
        run_sql(source, "DROP TABLE staff_metrics")
        result = run(source, target, tmp_path / "out")
        summary = result.summary
        assert dict(summary.dtypes.astype(str)[["total", "inserted", "matched", "updated", "failed", "seconds"]]) == {
            **dict.fromkeys(["total", "inserted", "matched", "updated", "failed"], "int64"),
            "seconds": "float64",
        }
        assert summary.index.name == "name"
        assert list(summary.index) == list(TABLES)
        assert summary.loc[["commits"], ["table", "total", "inserted", "failed"]].to_dict("list") == {
            "table": ["commits"],
            "total": [3],
            "inserted": [2],
            "failed": [1],
        }
        assert summary.loc["staff_metrics", "note"] == "the source has no table staff_metrics"
        kept = json.loads((tmp_path / "out" / "summary.json").read_text())
        assert kept == json.loads(json.dumps(result.as_dict()))
        assert kept.keys() >= SUMMARY_KEYS
        assert all(list(table) == TABLE_KEYS for table in kept["tables"])
        assert kept["overall"] == {"total": 6, "inserted": 5, "matched": 0, "updated": 0, "failed": 1}
        assert "staff_metrics" not in result.mappings
        assert repr(result).startswith("<SyncResult: 9 tables, 6 total, 5 inserted, 0 matched, 0 updated, 1 failed, ")
        assert "<td>the source has no table staff_metrics</td>" in result._repr_html_()

    def test_the_maps_come_in_the_order_of_the_plan_without_those_of_another(
        self, source: Path, target: Engine, tmp_path: Path
    ) -> None:
        create_tables(target)
        out = tmp_path / "out"
        run(source, target, out)
        shutil.copy(out / "mappings" / "commits.parquet", out / "mappings" / "a_table_of_old.parquet")
        assert list(dfsync.load_mappings(out)) == list(TABLES)
        (out / "summary.json").unlink()
        assert list(dfsync.load_mappings(out)) == sorted([*TABLES, "a_table_of_old"])

    def test_the_tables_can_be_made_from_python(self, source: Path, target: Engine, tmp_path: Path) -> None:
        made = dfsync.create_tables(source, target.url.render_as_string(hide_password=False))
        assert len(made.created) == 9
        assert dfsync.sync(source, target.url, out=tmp_path / "out").summary["inserted"].sum() == 5

    def test_may_be_called_again_in_the_same_process(self, source: Path, target: Engine, tmp_path: Path) -> None:
        create_tables(target)
        for synced in (2, 0):
            options = dfsync.SyncOptions(tables=("repositories",))
            result = dfsync.sync(source, target.url, out=tmp_path / "out", options=options)
            assert result.counts[0].inserted == synced
