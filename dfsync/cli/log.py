"""The log `dfsync`: on standard error, and in the file of `--log-file`."""

from __future__ import annotations

import logging
import os
import sys
from io import TextIOWrapper
from pathlib import Path

from dfsync.model.errors import DfsyncError
from dfsync.text.redaction import redact
from dfsync.text.wording import printable

_TOLD = logging.getLogger("dfsync.cli.told")
"""What the commands print: on standard output by themselves, and by this name in the file."""
_WITH_ORIGIN = "%(asctime)s %(levelname)s %(name)s: %(message)s"


def sanitize(text: str) -> str:
    """Make a message of one line or more harmless: no password, no control character but the line break."""
    return "\n".join(printable(line, sys.maxsize) for line in redact(text).split("\n"))


def start_log(debug: bool, file: Path | None = None) -> None:
    """Log warnings as plain sentences; with `debug` everything, with its time and origin.

    Parameters
    ----------
    debug
        Whether all levels are logged.
    file
        Where all that is told goes, too, each line with its time; it is appended.

    Raises
    ------
    DfsyncError
        The file cannot be written.

    Notes
    -----
    Passwords are masked by the handler and not by a `logging.Filter`, which sees no traceback.
    """
    handler = _StandardErrorHandler(logging.DEBUG if debug else logging.WARNING)
    handler.setFormatter(logging.Formatter(_WITH_ORIGIN if debug else "dfsync: %(message)s"))
    handler.addFilter(lambda record: record.name != _TOLD.name)
    end_log()
    log = logging.getLogger("dfsync")
    log.handlers[:] = [handler] if file is None else [handler, _open_file(file, debug)]
    log.setLevel(logging.DEBUG if debug else logging.WARNING if file is None else logging.INFO)


def end_log() -> None:
    """Close the file of `start_log`."""
    log = logging.getLogger("dfsync")
    for handler in [handler for handler in log.handlers if isinstance(handler, _LogFile)]:
        handler.close()
        log.removeHandler(handler)


def record_told(text: str, level: int = logging.INFO) -> None:
    """Write what a command tells into the file of `start_log`; lines without a word, such as rulers, are left out.

    Parameters
    ----------
    text
        One line or more.
    level
        One of `logging`.
    """
    if any(isinstance(handler, _LogFile) for handler in logging.getLogger("dfsync").handlers):
        for line in text.split("\n"):
            if any(map(str.isalnum, line)):
                _TOLD.log(level, "%s", line.rstrip())


def _open_file(path: Path, debug: bool) -> logging.Handler:
    try:
        handler = _LogFile(path, encoding="utf-8")
    except OSError as error:
        raise DfsyncError(f"The log file {path} cannot be written: {error.strerror}.") from error
    # With the zone, since a line of before the clock changed is else one of after it.
    pattern = _WITH_ORIGIN if debug else "%(asctime)s %(levelname)s %(message)s"
    handler.setFormatter(_HarmlessFormatter(pattern, "%Y-%m-%dT%H:%M:%S%z"))
    return handler


class _HarmlessFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return sanitize(super().format(record))


class _StandardErrorHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        # Looked up each time: a progress bar replaces sys.stderr while it runs.
        print(sanitize(self.format(record)), file=sys.stderr)


class _LogFile(logging.FileHandler):
    """Readable by the user alone, since it may quote values of rows."""

    _complained = False

    def _open(self) -> TextIOWrapper:
        number = os.open(self.baseFilename, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        return os.fdopen(number, "a", encoding=self.encoding, errors="backslashreplace")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 # as logging calls it
        """Say once that the file is incomplete; what a run does is not stopped by that."""
        if not self._complained:
            self._complained = True
            reason = getattr(sys.exc_info()[1], "strerror", None) or "it cannot be written"
            print(f"dfsync: the log file {self.baseFilename} is not complete: {reason}.", file=sys.stderr)
