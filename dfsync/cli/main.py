"""The program around the command line: exit status, errors and signals."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Any

from typer.exceptions import TyperException

from dfsync.cli.app import ALL_WELL, NOT_STARTED, SOME_FAILED, app
from dfsync.cli.app.group import DEFAULT_COMMAND
from dfsync.cli.interrupts import Interrupted
from dfsync.cli.log import end_log, record_told, sanitize
from dfsync.cli.remedies import error_message
from dfsync.model.errors import DfsyncError
from dfsync.text.redaction import without_credentials
from dfsync.text.wording import program_name

# Phrases of the libraries beneath, and what is said in their place.
_PLAIN_PHRASES = {
    "Value error, ": "",
    "Input should be a valid integer, unable to parse string as an integer": "it should be a whole number",
}
_INTERRUPTED = 130
"""What Typer makes of Ctrl-C where no command words what it stopped."""


class TerminationSignal(KeyboardInterrupt):
    """A signal that asks to end, answered as Ctrl-C is: roll back, stop the private MariaDB, say where it stood."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.status = 128 + number


def run(argv: list[str] | None = None) -> int:
    """Run the command line; errors become sentences on standard error.

    Parameters
    ----------
    argv
        The arguments; None takes those of the process.

    Returns
    -------
    int
        The exit status: 0 all well, 1 some rows or tables failed, 2 could not start, 128 + N ended by signal N.
    """
    started = time.monotonic()
    try:
        status = _run(sys.argv[1:] if argv is None else argv)
        record_told(f"exit status {status}, after {time.monotonic() - started:.1f} s")
        return status
    finally:
        end_log()


def _run(args: Sequence[str]) -> int:
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character of the data is no reason to stop.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        with _raise_on_termination():
            status = app(list(args), standalone_mode=False) or ALL_WELL
        if status == _INTERRUPTED:
            return _exit_with("stopped.", _INTERRUPTED)
        sys.stdout.flush()
        return int(status)
    except Interrupted as stopped:
        return _exit_with(str(stopped), stopped.status)
    except DfsyncError as error:
        return _exit_with(error_message(error))
    except TyperException as error:
        return _usage_error(error, args)
    except BrokenPipeError:
        # Python would try once more at its end, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SOME_FAILED
    except Exception as error:
        return _unexpected_error(error, "--debug" in args)


def _exit_with(message: str, status: int = NOT_STARTED) -> int:
    record_told(message, logging.ERROR)
    print(f"dfsync: {sanitize(message)}", file=sys.stderr)
    return status


def _usage_error(error: TyperException, args: Sequence[str]) -> int:
    message = error.format_message()
    for phrase, plain in _PLAIN_PHRASES.items():
        message = message.replace(phrase, plain)
    stop = "" if message.endswith((".", "?")) else "."
    command = _command_path(getattr(error, "ctx", None), args)
    return _exit_with(f"{without_credentials(message)}{stop}{_hint(message, args)} Try '{command} --help'.")


def _command_path(context: Any, args: Sequence[str]) -> str:
    """Name the command; an option without its value has no context."""
    if context is not None:
        return str(context.command_path)
    return f"{program_name()} {args[0] if args and not args[0].startswith('-') else DEFAULT_COMMAND}"


def _hint(message: str, args: Sequence[str]) -> str:
    """Name the option that a stray argument needs."""
    stray = [arg for arg in args if arg in message] if message.startswith(("No such command", "Got unexpected")) else []
    if any("://" in arg for arg in stray):
        return " A target is named with --target, or by MARIADB_URL."
    return " A source is named with --source." if any(os.path.isfile(arg) for arg in stray) else ""


def _unexpected_error(error: Exception, debug: bool) -> int:
    if debug:
        text = "".join(traceback.format_exception(error))
        record_told(text, logging.ERROR)
        print(sanitize(text), file=sys.stderr)
    more = "The traceback is above." if debug else "Run it again with --debug for the traceback."
    return _exit_with(f"sorry, this should not happen: {type(error).__name__}: {error}\n{more}")


@contextmanager
def _raise_on_termination() -> Iterator[None]:
    def end(number: int, _: FrameType | None) -> None:
        raise TerminationSignal(number)

    # A signal that is ignored stays so: nohup ignores SIGHUP.
    numbers = [number for number in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(number) is signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        numbers = []
    for number in numbers:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
