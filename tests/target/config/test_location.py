"""Where the target is, and what a connection to it is told."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest
from sqlalchemy import URL, create_engine, text
from sqlalchemy.exc import OperationalError

from dfsync.model.errors import DfsyncError
from dfsync.pipeline.session.ends import open_target
from dfsync.target.config.location import named_target
from dfsync.target.config.url import parse_url

ROOT = Path(__file__).parents[3]
BASE = "mysql://app:secret@db.example.com/shop"


@pytest.fixture(autouse=True)
def _own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No config.py and no MARIADB_URL but those that a test makes."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MARIADB_URL", raising=False)


def config(body: str) -> None:
    Path("config.py").write_text(textwrap.dedent(body))


def description(target: str | None = None) -> str:
    choice = named_target(target, "--target")
    assert choice is not None
    return choice.description


def refusal(target: str) -> str:
    with pytest.raises(DfsyncError) as caught:
        named_target(target)
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return str(caught.value)


def options(query: str) -> dict[str, object]:
    """What `create_engine` would hand to PyMySQL."""
    url = parse_url(f"{BASE}?{query}", "--target")
    return dict(url.get_dialect()().create_connect_args(url)[1])


class TestWhichTarget:
    def test_the_option_comes_first(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MARIADB_URL", "mysql://b/b")
        config("MARIADB_CONFIG = {'database': 'c'}")
        assert description("mysql://app@a:3307/a") == "Target: a on a:3307 as app (from --target)"

    def test_then_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("MARIADB_URL", " mysql://b/b\n")
        config("MARIADB_CONFIG = {'database': 'c'}")
        assert description() == "Target: b on b:3306 (from MARIADB_URL)"

    @pytest.mark.parametrize("nothing", ["", " "])
    def test_an_empty_environment_is_no_answer(self, monkeypatch: pytest.MonkeyPatch, nothing: str) -> None:
        monkeypatch.setenv("MARIADB_URL", nothing)
        config("MARIADB_CONFIG = {'database': 'c'}")
        with pytest.raises(DfsyncError, match=r"^MARIADB_URL is set, but empty: give it a URL, or `unset MARIADB_URL`"):
            named_target(None)

    def test_then_the_file(self) -> None:
        config("MARIADB_CONFIG = {'database': 'c', 'user': 'app', 'password': 'p@ss:w/rd'}")
        assert description() == "Target: c on localhost:3306 as app (from config.py)"

    def test_else_none_is_named(self) -> None:
        assert named_target(None) is None

    def test_then_the_embedded_server_runs_as_long_as_it_is_needed(self) -> None:
        with open_target(None) as choice:
            engine = create_engine(choice.url)
            with engine.connect() as connection:
                assert connection.scalar(text("SELECT DATABASE()")) == "dfsync"
            engine.dispose()
        assert choice.origin == "private MariaDB"
        assert choice.description.startswith("Target: dfsync on unix socket ")
        assert choice.description.endswith("socket as root (private MariaDB)")
        assert Path("data/mariadb/data").is_dir()
        with pytest.raises(OperationalError):
            create_engine(choice.url).connect()

    def test_which_does_not_start_for_a_source_that_cannot_be_read(self, tmp_path: Path) -> None:
        source = tmp_path / "my.db"
        source.write_text("Dear diary, " * 200)
        with pytest.raises(DfsyncError, match=r"my\.db cannot be read"), open_target(None, source):
            pass
        assert not Path("data").exists()

    def test_an_embedded_server_that_cannot_start_says_why_it_was_wanted(self) -> None:
        Path("data/mariadb").mkdir(parents=True)
        Path("data/mariadb/mine.txt").touch()
        with (
            pytest.raises(DfsyncError, match=r"(?s)not a private MariaDB's.*neither target= nor MARIADB_URL nor"),
            open_target(None),
        ):
            pass

    def test_an_error_of_the_user_of_the_target_is_passed_on(self) -> None:
        with pytest.raises(DfsyncError, match=r"^mine$"), open_target("mysql://a/b"):
            raise DfsyncError("mine")


class TestUrl:
    @pytest.mark.parametrize("driver", ["mysql", "mariadb", "mysql+pymysql", "mariadb+pymysql"])
    def test_spellings_of_the_driver(self, driver: str) -> None:
        url = parse_url(f"{driver}://app:pw@host/db", "--target")
        assert url.render_as_string(hide_password=False) == "mysql+pymysql://app:pw@host/db?charset=utf8mb4"

    def test_what_comes_out_goes_in_again(self, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").touch()
        url = parse_url(f"{BASE}?ssl_ca={tmp_path}/ca.pem&ssl_verify_identity=false", "--target")
        assert parse_url(url, "--target") == url
        assert parse_url(url.render_as_string(hide_password=False), "--target") == url

    def test_escaped_password(self) -> None:
        url = parse_url("mysql://app:p%40ss%3Aw%2Frd@host/db", "--target")
        assert url.password == "p@ss:w/rd"
        assert url.host == "host"

    def test_unix_socket(self) -> None:
        socket = "/run/mysqld/mysqld.sock"
        assert description(f"mysql://app@/db?unix_socket={socket}") == (
            f"Target: db on unix socket {socket} as app (from --target)"
        )

    def test_ipv6(self) -> None:
        assert description("mysql://app@[::1]:3307/db") == "Target: db on [::1]:3307 as app (from --target)"

    @pytest.mark.parametrize(
        ("url", "says"),
        [
            ("", "is empty"),
            ("nonsense", "cannot be understood"),
            ("mysql:/app@host/db", "cannot be understood"),
            ("postgresql://app:hunter2@host/db", "begins with postgresql://"),
            ("sqlite:///hunter2.db", "begins with sqlite://"),
            ("mysql+mysqldb://app:hunter2@host/db", "begin it with mysql://, or"),
            ("mysql://app:hunter2@host", "names no database"),
            ("mysql://app:hunter2@host/", "names no database"),
            ("mysql://app:hunter2@host:0/db", "has the port 0"),
            ("mysql://app:hunter2@host:70000/db", "has the port 70000"),
            ("mysql://app:hunter2@host:port/db", "percent-encoded"),
            ("mysql://app:hun@ter2@host/db", "more than one @"),
            ("mysql://app:p@hunter2:w/rd@host/db", "more than one @"),
            ("mysql://app/hunter2@host/db", "percent-encoded"),
            ("mysql://app:hunter2/db", "percent-encoded"),
            ("mysql://app:hunter2@host/db?passwd=hunter2", "unknown option 'passwd'"),
            ("mysql://app:hunter2@host/db?ssl_key_password=hunter2", "unknown option 'ssl_key_password'"),
            ("mysql://app:hunter2@host/db?sslca=hunter2", "Did you mean 'ssl_ca'"),
            ("mysql://app:hunter2@host/db?ssl_ca=", "gives ssl_ca without a value"),
            ("mysql://app:hunter2@host/db?ssl_ca", "gives ssl_ca without a value"),
            ("mysql://app:hunter2@host/db?charset=a&charset=b", "gives charset more than once"),
            ("mysql://app:hunter2@host/db?connect_timeout=soon", "must be a number of seconds"),
            ("mysql://app:hunter2@host/db?ssl_disabled=maybe", "must be true or false"),
            ("mysql://app:hunter2@host/db?ssl_ca=/no/such.pem", "file /no/such.pem of ssl_ca is not there"),
            ("mysql://app:hunter2@host/db?ssl_capath=/no/such", "folder /no/such of ssl_capath is not there"),
        ],
    )
    def test_mistakes_are_named_and_the_password_is_not(self, url: str, says: str) -> None:
        with pytest.raises(DfsyncError, match=says):
            named_target(url)
        assert "hunter2" not in refusal(url).replace("sqlite:///hunter2", "")

    @pytest.mark.parametrize("special", ["@", ":", "/", "?", "#", "%", "p@ss:w/rd", "@:/", "/@"])
    @pytest.mark.parametrize("tail", ["host:3306/db", "host/db", "host"])
    def test_an_unescaped_password_is_understood_or_refused_but_never_shown(self, special: str, tail: str) -> None:
        url = f"mysql://app:hunter2{special}swordfish@{tail}"
        try:
            shown = description(url)
        except DfsyncError as error:
            shown = str(error)
        assert "hunter2" not in shown
        assert "swordfish" not in shown


class TestConfigFile:
    def test_all_of_it(self, tmp_path: Path) -> None:
        (tmp_path / "ca.pem").touch()
        config("""
            MARIADB_CONFIG = {
                "host": "db", "port": "3307", "database": "gpt", "user": "app", "password": "p@ss:w/rd",
                "ssl_ca": "ca.pem", "ssl_verify_identity": False, "ssl_cert": None, "connect_timeout": 5,
            }
        """)
        choice = named_target(None)
        assert choice is not None
        assert choice.url == URL.create(
            "mysql+pymysql",
            username="app",
            password="p@ss:w/rd",
            host="db",
            port=3307,
            database="gpt",
            query={"charset": "utf8mb4", "connect_timeout": "5", "ssl_ca": "ca.pem", "ssl_check_hostname": "false"},
        )

    def test_unix_socket(self) -> None:
        config("MARIADB_CONFIG = {'database': 'gpt', 'unix_socket': '/run/my.sock'}")
        assert description() == "Target: gpt on unix socket /run/my.sock (from config.py)"

    def test_the_example_is_one(self) -> None:
        example = ROOT / "dfsync" / "config_example.py"
        Path("config.py").write_text(example.read_text())
        assert description() == "Target: gpt on db.example.com:3306 as your_username (from config.py)"

    def test_only_the_working_directory_counts(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        config("MARIADB_CONFIG = {'database': 'gpt'}")
        (tmp_path / "below").mkdir()
        monkeypatch.chdir(tmp_path / "below")
        monkeypatch.syspath_prepend(tmp_path)
        assert named_target(None) is None

    def test_one_of_another_program_is_passed_over(self, caplog: pytest.LogCaptureFixture) -> None:
        config("DEBUG = True")
        assert named_target(None) is None
        assert "config.py in this folder has no MARIADB_CONFIG, so it is passed over" in caplog.text

    @pytest.mark.parametrize(
        ("body", "says"),
        [
            ("MARIADB_CONFIG = {'password': 'hunter2',\n 'database': }", r"SyntaxError in line 2"),
            ("MARIADB_CONFIG = {'password': hunter2}", r"NameError in line 1"),
            ("import sys\nsys.exit('hunter2')\nMARIADB_CONFIG = {}", r"SystemExit in line 2"),
            ("MARIADB_CONFIG = 'mysql://app:hunter2@host/db'", "must be a dictionary"),
            ("MARIADB_CONFIG = {'host': 'db', 'password': 'hunter2'}", "names no database"),
            ("MARIADB_CONFIG = {'databse': 'db', 'password': 'hunter2'}", "'databse'. Did you mean 'database'"),
            (
                "MARIADB_CONFIG = {'database': 'db', 'password': ['hunter2']}",
                "password must be text in quotes, not list",
            ),
            ("MARIADB_CONFIG = {'database': 'db', 'host': 'mysql://app:hunter2@host/db'}", "host must be a name alone"),
            ("MARIADB_CONFIG = {'database': 'db', 'host': 'app:hunter2@host'}", "host must be a name alone"),
            ("MARIADB_CONFIG = {'database': 'mysql://app:hunter2@host/db'}", "database must be a name alone"),
            ("MARIADB_CONFIG = {'database': 'db', 'port': 'x'}", "port must be a number"),
            ("MARIADB_CONFIG = {'database': 'db', 'port': 70000}", "port must be a number"),
            ("MARIADB_CONFIG = {'database': 'db', 'ssl_ca': 'ca.pem'}", "file ca.pem of ssl_ca is not there"),
        ],
    )
    def test_mistakes_are_named_and_the_password_is_not(self, body: str, says: str) -> None:
        config(body)
        with pytest.raises(DfsyncError, match=says) as caught:
            named_target(None)
        assert "hunter2" not in str(caught.value)
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None


class TestOptionsOfTheConnection:
    def test_plain_ones(self) -> None:
        given = options("connect_timeout=5&read_timeout=60&bind_address=10.0.0.1&program_name=nightly")
        assert given["connect_timeout"] == 5
        assert given["read_timeout"] == 60
        assert given["bind_address"] == "10.0.0.1"
        assert given["program_name"] == "nightly"
        assert given["charset"] == "utf8mb4"
        assert "ssl" not in given

    def test_another_charset_is_said_not_to_be_used(self, caplog: pytest.LogCaptureFixture) -> None:
        assert options("charset=utf8")["charset"] == "utf8mb4"
        assert "charset utf8 is not used" in caplog.text
