"""Option files of MySQL's own programs: read as these read them, and never shown."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from dfsync.model.errors import DfsyncError
from dfsync.target.config.location import Credentials, TargetLocation, named_target
from dfsync.target.config.option_file import read_option_file
from dfsync.text.redaction import redact

ODD = r"""
# a comment
; another one
[mysqld]
password = of the server
[client]
user=app # who asks
password = "p@ss#w'\"ord"   # in quotes
host : = passed over
Default_Character_Set=latin1
socket='/run/my sql.sock'
bind-address=a\\b\sc\td\ne\qf
skip-ssl
[mysql]
database=other
[dfsync]
database = shop
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder without `~/.my.cnf`, and a working directory without a `config.py`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MARIADB_URL", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def write(text: str, path: Path | None = None) -> Path:
    path = path or Path("my.cnf")
    path.write_text(text)
    return path


def located(target: str | None, file: Path | None = None) -> TargetLocation:
    location = named_target(target, "--target", Credentials(defaults_file=file))
    assert location is not None
    return location


class TestReading:
    def test_quotes_comments_and_escapes(self) -> None:
        values = read_option_file(write(ODD), "my.cnf").values
        assert values["user"] == "app"
        assert values["password"] == "p@ss#w'\"ord"
        assert values["default-character-set"] == "latin1"
        assert values["socket"] == "/run/my sql.sock"
        assert values["bind-address"] == "a\\b c\td\ne\\qf"
        assert values["skip-ssl"] is None
        assert values["database"] == "shop"

    @pytest.mark.skipif(shutil.which("my_print_defaults") is None, reason="a program of the server's package")
    def test_as_the_servers_own_program_reads_it(self) -> None:
        path = write(ODD).resolve()
        command = ["my_print_defaults", f"--defaults-file={path}", "client", "dfsync"]
        printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        theirs = {line.removeprefix("--").partition("=")[0]: line.partition("=")[2] for line in printed.split("\n--")}
        ours = read_option_file(path, "my.cnf").values
        for name in ("user", "password", "socket", "bind-address", "database"):
            assert theirs[name].rstrip("\n") == ours[name]

    def test_included_files(self, tmp_path: Path) -> None:
        (tmp_path / "more").mkdir()
        write("[client]\nuser = b\n", tmp_path / "more" / "b.cnf")
        write("[client]\nuser = a\n", tmp_path / "more" / "a.cnf")
        write("[client]\npassword = included\n", tmp_path / "one.cnf")
        text = f"!include {tmp_path}/one.cnf\n!include {tmp_path}/none.cnf\n!includedir {tmp_path}/more\n"
        assert read_option_file(write(text), "my.cnf").values == {"user": "b", "password": "included"}

    def test_one_that_includes_itself_ends(self) -> None:
        path = write(f"[client]\nuser = app\n!include {Path('my.cnf').resolve()}\n")
        assert read_option_file(path, "my.cnf").values == {"user": "app"}

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("password=hunter2\n", "line 1 stands before the first group"),
            ("[client]\nhost=h\nport=hunter2\n", "port must be a number"),
            ("[client]\nssl-mode=hunter2\n", "ssl-mode must be one of DISABLED, PREFERRED"),
            ("[client]\nssl-ca=/no/such.pem\n", r"file /no/such\.pem of ssl_ca is not there"),
        ],
    )
    def test_mistakes_are_named_and_the_password_is_not(self, text: str, says: str) -> None:
        with pytest.raises(DfsyncError, match=says) as caught:
            located("mysql:///shop", write(text))
        assert str(caught.value).startswith("my.cnf")
        assert "hunter2" not in str(caught.value)

    def test_one_that_is_no_text(self) -> None:
        Path("my.cnf").write_bytes(b"[client]\npassword=\xff\n")
        with pytest.raises(DfsyncError, match=r"my\.cnf cannot be read: it is no text in UTF-8"):
            located("mysql:///shop", Path("my.cnf"))


class TestCompleting:
    def test_a_url_that_names_the_database_alone(self) -> None:
        file = write("[client]\nuser=app\npassword=correct horse\nhost=db.example.com\nport=3307\n")
        location = located("mysql:///shop", file)
        assert location.description == "Target: shop on db.example.com:3307 as app (from --target and my.cnf)"
        assert location.url.password == "correct horse"
        assert redact("correct horse") == "***"

    def test_what_the_url_says_counts(self) -> None:
        file = write("[client]\nuser=app\npassword=theirs\nhost=db.example.com\nport=3307\nssl-mode=required\n")
        location = located("mysql://app:mine@other/shop?ssl_disabled=true", file)
        assert location.description == "Target: shop on other:3306 as app (from --target)"
        assert location.url.password == "mine"
        assert "ssl_check_hostname" not in location.url.query

    def test_the_password_belongs_to_the_user(self) -> None:
        file = write("[client]\nuser=app\npassword=of app\n")
        assert located("mysql://root@host/shop", file).url.password is None
        assert located("mysql://app@host/shop", file).url.password == "of app"
        assert located("mysql://app:@host/shop", file).url.password == ""
        write("[client]\npassword=of whoever asks\n")
        assert located("mysql://root@host/shop", file).url.password == "of whoever asks"

    @pytest.mark.parametrize(
        ("lines", "place"),
        [
            ("socket=/run/my.sock", "unix socket /run/my.sock"),
            ("socket=/run/my.sock\nhost=localhost", "unix socket /run/my.sock"),
            ("socket=/run/my.sock\nhost=far", "far:3306"),
        ],
    )
    def test_a_socket_leads_to_this_machine(self, lines: str, place: str) -> None:
        file = write(f"[client]\n{lines}\n")
        assert located("mysql:///shop", file).description == f"Target: shop on {place} (from --target and my.cnf)"

    @pytest.mark.parametrize(
        ("lines", "query"),
        [
            ("ssl-mode=DISABLED", {"ssl_disabled": "true"}),
            ("skip-ssl", {"ssl_disabled": "true"}),
            ("ssl-mode=PREFERRED", {}),
            ("ssl-mode=required", {"ssl_check_hostname": "false"}),
            ("ssl", {"ssl_check_hostname": "false"}),
            ("ssl-ca=ca.pem", {"ssl_ca": "ca.pem"}),
            ("ssl_ca=ca.pem\nssl-mode=REQUIRED", {"ssl_ca": "ca.pem"}),
            ("ssl-ca=ca.pem\nssl-mode=VERIFY_CA", {"ssl_ca": "ca.pem", "ssl_check_hostname": "false"}),
            ("ssl-ca=ca.pem\nssl-verify-server-cert", {"ssl_ca": "ca.pem"}),
            ("connect_timeout=5", {"connect_timeout": "5"}),
        ],
    )
    def test_the_options_of_the_connection(self, lines: str, query: dict[str, str]) -> None:
        Path("ca.pem").touch()
        location = located("mysql://app:secret@host/shop", write(f"[client]\n{lines}\n"))
        assert dict(location.url.query) == {"charset": "utf8mb4", **query}


class TestWhichFile:
    def test_that_of_the_home_folder_completes(self, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        write("[client]\nuser=app\npassword=secret\ndatabase=other\n", home / ".my.cnf")
        location = located("mysql://host/shop")
        assert location.description == "Target: shop on host:3306 as app (from --target and ~/.my.cnf)"
        monkeypatch.setenv("MARIADB_URL", "mysql:///shop")
        assert located(None).description == "Target: shop on localhost:3306 as app (from MARIADB_URL and ~/.my.cnf)"

    def test_that_of_the_home_folder_is_not_read_for_a_complete_url(self, home: Path) -> None:
        write("no option file", home / ".my.cnf")
        assert located("mysql://app:secret@host/shop").origin == "--target"

    def test_that_of_the_home_folder_names_no_target(self, home: Path) -> None:
        write("[client]\nuser=app\ndatabase=shop\n", home / ".my.cnf")
        assert named_target(None) is None

    def test_another_one_takes_its_place(self, home: Path) -> None:
        write("[client]\nuser=home\npassword=secret\n", home / ".my.cnf")
        assert located("mysql:///shop", write("[client]\nuser=mine\n")).url.username == "mine"
        assert located("mysql:///shop", write("[client]\nuser=mine\n")).url.password is None

    def test_another_one_may_name_the_target(self) -> None:
        file = write("[client]\nuser=app\n[dfsync]\ndatabase=sh/op?\n")
        assert located(None, file).description == "Target: sh/op? on localhost:3306 as app (from my.cnf)"

    def test_another_one_without_a_database(self) -> None:
        says = (
            r"^my\.cnf names no database: add a line like database = app to its group \[dfsync\] or \[client\], or give"
        )
        with pytest.raises(DfsyncError, match=says):
            located(None, write("[client]\nuser=app\n"))
