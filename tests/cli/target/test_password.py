"""No password is in any output or file of `python -m dfsync`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import Engine

from tests.support.git_history import create_tables, execute, run_sql, user
from tests.support.runs.command_line import Cli, process

pytestmark = pytest.mark.usefixtures("own_folder")
PASSWORD = "p@ss:w/rd?#%"  # a made-up one, of every character that a URL must escape


class TestThePassword:
    @pytest.fixture
    def secret(self, target: Engine, source: Path) -> Iterator[str]:
        """The URL of a user with a password of every character that a URL must escape."""
        create_tables(target)
        server = target.url.set(username=None, password=None).render_as_string().removeprefix("mysql+pymysql://")
        with user(target, PASSWORD, "ALL ON *") as name:
            yield f"mysql+pymysql://{name}:{quote(PASSWORD, safe='')}@{server.rpartition('@')[2]}"

    @pytest.mark.parametrize("fails", [False, True])
    def test_is_in_no_output_and_in_no_file(
        self, cli: Cli, secret: str, target: Engine, source: Path, fails: bool
    ) -> None:
        if fails:
            run_sql(source, "INSERT INTO commits (id, repository_id, hash) VALUES (3, 99, 'z')")
            execute(target, "DROP TRIGGER IF EXISTS no", "ALTER TABLE repositories ADD CHECK (slug <> 'other')")
        by_option = process("--debug", "-v", "--target", secret)
        by_environment = process("--debug", "--json", MARIADB_URL=secret)
        for ran in (by_option, by_environment):
            assert ran.returncode == int(fails), ran.stderr
            assert "DEBUG" in ran.stderr or not fails
            _assert_not_told(ran.stdout + ran.stderr)
        written = [path for path in Path("dfsync-out").rglob("*") if path.is_file()]
        assert len(written) > 10
        for path in written:
            _assert_not_told(path.read_bytes().decode("latin-1"))

    def test_is_in_no_output_where_the_login_fails(self, cli: Cli, secret: str, target: Engine) -> None:
        wrong = secret.replace(quote(PASSWORD, safe=""), quote(PASSWORD + "x", safe=""))
        for arguments in ((), ("--debug",), ("--json", "--debug")):
            ran = cli("--target", wrong, *arguments)
            assert ran.returncode == 2
            assert "user or password is wrong" in ran.stderr
            _assert_not_told(ran.stdout + ran.stderr)

    def test_of_config_py_is_in_no_output(self, cli: Cli, secret: str, target: Engine) -> None:
        url = target.url
        place = {"unix_socket": url.query["unix_socket"]} if "unix_socket" in url.query else {"port": url.port}
        name = secret.split("//")[1].split(":")[0]
        config = {"host": url.host, "database": url.database, "user": name, "password": PASSWORD, **place}
        Path("config.py").write_text(f"MARIADB_CONFIG = {config!r}\n")
        ran = cli("--debug")
        assert ran.returncode == 0, ran.stderr
        assert "(from config.py)" in ran.stdout.splitlines()[0]
        _assert_not_told(ran.stdout + ran.stderr)

    def test_may_stand_unescaped_by_mistake_and_is_still_not_told(self, cli: Cli, target: Engine, source: Path) -> None:
        ran = cli("--target", f"mysql://app:{PASSWORD}@localhost/db", "--debug")
        assert ran.returncode == 2
        _assert_not_told(ran.stdout + ran.stderr)


def _assert_not_told(text: str) -> None:
    for spelling in (PASSWORD, quote(PASSWORD), quote(PASSWORD, safe=""), "ss:w", "w/rd", "ss%3Aw", "w%2Frd"):
        assert spelling not in text
