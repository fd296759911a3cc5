"""The log `dfsync` on standard error."""

from __future__ import annotations

import logging
import sys

from dfsync.text.redaction import redact
from dfsync.text.wording import printable


def sanitize(text: str) -> str:
    """Make a message of one line or more harmless: no password, no control character but the line break."""
    return "\n".join(printable(line, sys.maxsize) for line in redact(text).split("\n"))


def log_to_stderr(debug: bool) -> None:
    """Log warnings as plain sentences; with `debug` everything, with its time and origin.

    Parameters
    ----------
    debug
        Whether all levels are logged.

    Notes
    -----
    Passwords are masked by the handler and not by a `logging.Filter`, which sees no traceback.
    """
    handler = _StandardErrorHandler()
    pattern = "%(asctime)s %(levelname)s %(name)s: %(message)s" if debug else "dfsync: %(message)s"
    handler.setFormatter(logging.Formatter(pattern))
    log = logging.getLogger("dfsync")
    log.handlers[:] = [handler]
    log.setLevel(logging.DEBUG if debug else logging.WARNING)


class _StandardErrorHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        # Looked up each time: a progress bar replaces sys.stderr while it runs.
        print(sanitize(self.format(record)), file=sys.stderr)
