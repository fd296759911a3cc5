"""A map says whose rows it maps, so that those of another source or target are neither lost nor used."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from sqlalchemy import Engine

import dfsync
from dfsync.__main__ import main
from dfsync.model.errors import DfsyncError
from tests.support.git_history import execute, run, run_sql


class TestTheMapsOfAnotherSource:
    def test_are_not_replaced(self, target: Engine, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        sources = [tmp_path / "a.db", tmp_path / "b.db"]
        for source in sources:
            run_sql(source, "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE); INSERT INTO t VALUES (1, 'x')")
        execute(target, "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) UNIQUE)")
        out, url = tmp_path / "out", target.url.render_as_string(hide_password=False)
        run(sources[0], target, out)
        # A run that was killed left no summary.
        (out / "summary.json").unlink()
        before = (out / "mappings" / "t.parquet").read_bytes()
        here = ["--source", str(sources[1]), "--target", url, "--out", str(out)]
        for command in ([], ["sync", "--dry-run"]):
            assert main([*command, *here]) == 2
            refused = f"{out} holds the maps of a sync of {sources[0]}, and this one is of {sources[1]}"
            assert refused in " ".join(capsys.readouterr().err.split())
        assert main(["check", *here]) == 1
        assert main(["verify", *here]) == 2
        assert f"The maps in {out} are of {sources[0]}, and not of {sources[1]}." in capsys.readouterr().err
        assert (out / "mappings" / "t.parquet").read_bytes() == before

    def test_of_another_target_are_not_verified(self, target: Engine, tmp_path: Path) -> None:
        source = run_sql(tmp_path / "s.db", "CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT UNIQUE)")
        execute(target, "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(9) UNIQUE)")
        run(source, target, tmp_path / "out")
        path = tmp_path / "out" / "mappings" / "t.parquet"
        mapping = pq.read_table(path)
        said = mapping.schema.metadata[b"dfsync"].replace((target.url.database or "").encode(), b"elsewhere")
        pq.write_table(mapping.replace_schema_metadata({b"dfsync": said}), path)
        with pytest.raises(DfsyncError, match=r"are of a sync into elsewhere on .*, and not into dfsync_test_"):
            dfsync.verify(source, target.url, out=tmp_path / "out")

    def test_of_tables_without_ids_there_are_none_to_lose(self, target: Engine, tmp_path: Path) -> None:
        script = "CREATE TABLE kv (k VARCHAR(9) PRIMARY KEY, v INT) WITHOUT ROWID"
        sources = [run_sql(tmp_path / name, script) for name in ("a.db", "b.db")]
        execute(target, "CREATE TABLE kv (k VARCHAR(9) PRIMARY KEY, v INT)")
        run(sources[0], target, tmp_path / "out")
        with pytest.raises(DfsyncError, match=f"are of {sources[0]}, and not of {sources[1]}"):
            dfsync.verify(sources[1], target.url, out=tmp_path / "out")
        assert run(sources[1], target, tmp_path / "out").ok
        assert dfsync.verify(sources[1], target.url, out=tmp_path / "out").ok
