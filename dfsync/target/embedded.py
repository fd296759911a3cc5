"""The private MariaDB: a server on a unix socket, run from the `mariadbd` of this machine.

Its folder holds `data` (MariaDB's own files), `tmp`, `server.log`, `lock`, `version`, `pid` and, where the path is
short enough for one, `socket`. Nothing else is touched, and no other user may enter.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import IO
from urllib.parse import quote

from dfsync.model.errors import DfsyncError

DATABASE = "dfsync"
MORE_DIRS = (
    "/usr/sbin",
    "/usr/local/sbin",
    "/usr/libexec",
    "/usr/local/bin",
    "/opt/homebrew/bin",
    "/opt/homebrew/opt/mariadb/bin",
    "/usr/local/opt/mariadb/bin",
)
DEFAULT_OPTIONS = (
    "--skip-ssl",
    "--character-set-server=utf8mb4",
    "--local-infile=1",
    "--innodb-buffer-pool-size=256M",
    "--innodb-log-file-size=128M",
)
# What macOS allows; Linux allows 107.
SOCKET_PATH_BYTES = 103
LOCK_SECONDS = 10.0
START_SECONDS = 60.0
STOP_SECONDS = 60.0
LOG_LINES = 10
# Its input ends when this process does, even by a kill -9, after which nothing of this process could run. A first line
# on it says that the server answers. Before that, SIGTERM may leave a mariadbd hanging, and SIGKILL loses no data.
WATCHDOG = """
if read -r _; then
  read -r _
  kill "$1"
  for _ in $(seq 30); do
    kill -0 "$1" || exit 0
    sleep 2
  done
fi
kill -9 "$1"
"""


class EmbeddedServer:
    """A private MariaDB server that keeps its data in one folder; use it as a context manager.

    The server listens on a unix socket only and does not outlive this process, however that ends. A second
    server over the same folder finds the data of the first; two at once are refused.

    Parameters
    ----------
    data_dir
        The folder; it is made where it does not exist.
    options
        Further command-line options of `mariadbd`, such as `--innodb-autoinc-lock-mode=2`.
    """

    def __init__(self, data_dir: Path, *, options: Sequence[str] = ()) -> None:
        self._folder = data_dir.absolute()
        self._data = self._folder / "data"
        self._log = self._folder / "server.log"
        self._options = (*DEFAULT_OPTIONS, *options)
        self._cleanup = contextlib.ExitStack()
        self._lock = -1
        self._socket: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> EmbeddedServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """The SQLAlchemy URL of the database `dfsync` on the running server."""
        if self._socket is None:
            raise RuntimeError("the private MariaDB is not running")
        return f"mysql+pymysql://root@localhost/{DATABASE}?unix_socket={quote(str(self._socket))}&charset=utf8mb4"

    @property
    def short_url(self) -> str:
        """The same for people: without what dfsync adds to a URL by itself."""
        return self.url.replace("mysql+pymysql://", "mysql://").removesuffix("&charset=utf8mb4")

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        if self._process is None:
            raise RuntimeError("the private MariaDB is not running")
        return self._process.pid

    def start(self) -> None:
        """Make the data folder where there is none, start the server and wait until it answers.

        Raises
        ------
        DfsyncError
            There is no `mariadbd`, the folder cannot be used or is in use, or the server does not start.
        """
        if self._process is not None:
            return
        try:
            self._start()
        except OSError as error:
            self.stop()
            raise DfsyncError(f"The private MariaDB cannot use the folder {self._folder}: {error}.") from error
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server and wait until it has ended; harmless when it does not run."""
        self._socket = self._process = None
        self._cleanup.close()

    def _start(self) -> None:
        program, version = find_mariadbd()
        self._claim_folder()
        self._check_version(version)
        if not self._data.exists():
            self._initialise(program)
        self._socket = self._choose_socket()
        self._process = self._spawn(program, self._socket)
        watchdog = self._watch(self._process.pid)
        self._wait_for_answer(self._process, self._socket)
        watchdog.write(b"it answers\n")
        self._cleanup.callback(_terminate, self._process)
        (self._folder / "version").write_text(version)

    def _claim_folder(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        names = os.listdir(self._folder)
        if names and "lock" not in names:
            raise DfsyncError(
                f"The folder {self._folder} holds files that are not a private MariaDB's: "
                "move them away, and a new one will be made there."
            )
        self._folder.chmod(0o700)
        self._lock = os.open(self._folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        self._cleanup.callback(os.close, self._lock)
        deadline = time.monotonic() + LOCK_SECONDS
        while not _locked(self._lock):
            if time.monotonic() > deadline:
                holder = os.pread(self._lock, 100, 0).decode() or "another process"
                raise DfsyncError(
                    f"The private MariaDB in {self._folder} is in use by {holder}: "
                    "wait until that has finished, or stop it; if it is `dfsync server`, use the URL that it printed."
                )
            time.sleep(0.1)
        self._record_holder(f"process {os.getpid()}")
        if self._log.exists():
            self._log.replace(self._log.with_suffix(".log.old"))

    def _record_holder(self, text: str) -> None:
        os.truncate(self._lock, 0)
        os.pwrite(self._lock, text.encode(), 0)

    def _check_version(self, version: str) -> None:
        note = self._folder / "version"
        before = note.read_text() if note.exists() else version
        if _number(before) > _number(version):
            raise DfsyncError(
                f"The private MariaDB in {self._folder} was last run by MariaDB {before}, and the older {version} of "
                f"this machine cannot read it: install MariaDB {before}, or move the folder away to start a new one."
            )

    def _initialise(self, program: str) -> None:
        # Under another name until it is complete, so that an interrupted initialisation is never taken for a database.
        unfinished = self._folder / "data.new"
        if unfinished.exists():
            shutil.rmtree(unfinished)
        unfinished.mkdir()
        with self._log.open("ab") as log:
            done = subprocess.run(
                self._command(program, unfinished, "--bootstrap"),
                input=_system_tables(program),
                stdout=log,
                stderr=log,
                pass_fds=[self._lock],
                start_new_session=True,
            )
        if done.returncode != 0:
            raise self._failure("could not be initialised")
        unfinished.rename(self._data)

    def _choose_socket(self) -> Path:
        socket = self._folder / "socket"
        if len(os.fsencode(socket)) > SOCKET_PATH_BYTES:
            private = tempfile.mkdtemp(prefix="dfsync-")
            self._cleanup.callback(shutil.rmtree, private, ignore_errors=True)
            socket = Path(private) / "socket"
        if len(os.fsencode(socket)) > SOCKET_PATH_BYTES:
            raise DfsyncError(
                f"The socket of the private MariaDB, {socket}, has a path longer than {SOCKET_PATH_BYTES} bytes, "
                "the most that a socket can have: set TMPDIR to a folder with a short path."
            )
        return socket

    def _spawn(self, program: str, socket: Path) -> subprocess.Popen[bytes]:
        where = (f"--socket={socket}", f"--pid-file={self._folder / 'pid'}", "--skip-networking")
        # A session of its own: Ctrl-C in the terminal must not stop the server before the caller has rolled back.
        # The lock goes with it: the folder stays taken until this server has ended, even when we are killed before.
        with self._log.open("ab") as log:
            server = subprocess.Popen(
                self._command(program, self._data, *where),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[self._lock],
                start_new_session=True,
            )
        self._cleanup.callback(_kill, server)
        self._record_holder(f"process {os.getpid()} (its mariadbd is process {server.pid})")
        return server

    def _watch(self, pid: int) -> IO[bytes]:
        watchdog = subprocess.Popen(
            ["/bin/sh", "-c", WATCHDOG, "sh", str(pid)],
            bufsize=0,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )
        self._cleanup.enter_context(watchdog)
        self._cleanup.callback(watchdog.kill)
        assert watchdog.stdin is not None
        return watchdog.stdin

    def _command(self, program: str, data: Path, *more: str) -> list[str]:
        # Not the shared /tmp: a mariadbd that starts removes the temporary tables of others from there.
        temporary = self._folder / "tmp"
        temporary.mkdir(exist_ok=True)
        user = ["--user=root"] if os.geteuid() == 0 else []
        return [program, "--no-defaults", f"--datadir={data}", f"--tmpdir={temporary}", *user, *more, *self._options]

    def _wait_for_answer(self, server: subprocess.Popen[bytes], socket: Path) -> None:
        import pymysql

        deadline = time.monotonic() + START_SECONDS
        while True:
            if server.poll() is not None:
                raise self._failure("ended while it was starting")
            if time.monotonic() > deadline:
                raise self._failure(f"did not answer within {START_SECONDS:.0f} seconds")
            try:
                with pymysql.connect(unix_socket=str(socket), user="root", read_timeout=30) as connection:
                    connection.cursor().execute(f"CREATE DATABASE IF NOT EXISTS {DATABASE} CHARACTER SET utf8mb4")
                return
            except pymysql.err.MySQLError as error:
                code, text = error.args[:2]
                # From 2000 on it is the client that could not reach the server; below, the server has refused.
                if code < 2000:
                    raise DfsyncError(f"The private MariaDB in {self._folder} is up but refuses: {text}.") from error
            time.sleep(0.05)

    def _failure(self, what: str) -> DfsyncError:
        lines = [line for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
        tail = "\n".join(f"  {line}" for line in lines[-LOG_LINES:])
        return DfsyncError(
            f"The private MariaDB in {self._folder} {what}. The end of its log, {self._log}, says why:\n{tail}"
        )


def find_mariadbd() -> tuple[str, str]:
    """Find this machine's MariaDB server program.

    Returns
    -------
    tuple of str
        Its path and its version.

    Raises
    ------
    DfsyncError
        There is none.
    """
    path = os.pathsep.join((os.environ.get("PATH", os.defpath), *MORE_DIRS))
    for name in ("mariadbd", "mysqld"):
        program = shutil.which(name, path=path)
        if program is None:
            continue
        output = subprocess.run([program, "--no-defaults", "--version"], capture_output=True, text=True).stdout
        found = re.search(r"Ver (\d+\.\d+\.\d+)\S*MariaDB", output)
        if found:
            return program, found[1]
    raise DfsyncError(
        "There is no MariaDB server program (mariadbd) on this machine: install it with "
        "`sudo apt-get install mariadb-server-core` (Debian, Ubuntu), `sudo dnf install mariadb-server` (Fedora) "
        "or `brew install mariadb` (macOS)."
    )


def _system_tables(program: str) -> bytes:
    # mariadb-install-db would do this, but it needs my_print_defaults, which comes with the client's package.
    listed = subprocess.run([program, "--no-defaults", "--verbose", "--help"], capture_output=True, text=True).stdout
    found = re.search(r"^character-sets-dir +(.+?) *$", listed, re.MULTILINE)
    share = Path(found[1]).parent if found else Path("/usr/share/mysql")
    script = b"CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket = NULL;\n"
    for part in ("system_tables", "performance_tables", "system_tables_data"):
        files = [share / f"{prefix}_{part}.sql" for prefix in ("mariadb", "mysql")]
        file = next((file for file in files if file.exists()), None)
        if file is None:
            raise DfsyncError(f"The MariaDB of {program} is not whole, {files[0]} is missing: install it again.")
        script += file.read_bytes() + b"\n"
    return script


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def _terminate(server: subprocess.Popen[bytes]) -> None:
    server.terminate()
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait(STOP_SECONDS)


def _kill(server: subprocess.Popen[bytes]) -> None:
    server.kill()
    server.wait()
