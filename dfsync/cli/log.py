"""The log `dfsync` on standard error."""

from __future__ import annotations

import logging
import sys

from dfsync.text.redaction import redact
from dfsync.text.wording import printable


def sanitize(text: str) -> str:
    """A message of one line or more for a terminal: no password, no control character but the line break."""
    return "\n".join(printable(line, sys.maxsize) for line in redact(text).split("\n"))


def log_to_stderr(debug: bool) -> None:
    """Warnings as plain sentences; with `debug` everything, with its time and origin."""
    handler = _StandardError()
    pattern = "%(asctime)s %(levelname)s %(name)s: %(message)s" if debug else "dfsync: %(message)s"
    handler.setFormatter(logging.Formatter(pattern))
    log = logging.getLogger("dfsync")
    log.handlers[:] = [handler]
    log.setLevel(logging.DEBUG if debug else logging.WARNING)


class _StandardError(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        # Looked up each time: a progress bar puts itself in the place of sys.stderr while it runs.
        print(sanitize(self.format(record)), file=sys.stderr)
