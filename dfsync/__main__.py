"""`python -m dfsync`, and the command `dfsync` of an installed package."""

from __future__ import annotations

import atexit
import gc
import sys


def main(argv: list[str] | None = None) -> int:
    """Run the command line and give the exit status: 0 all well, 1 some rows or tables failed, 2 could not start."""
    # What was imported is no garbage: to look for some in it, then and at the end, takes a third as long as importing.
    gc.set_threshold(5_000, 20, 20)
    atexit.register(gc.freeze)
    try:
        # Here, since these take long enough to be interrupted.
        from dfsync.cli.main import run

        return run(argv)
    except KeyboardInterrupt:
        print("dfsync: stopped.", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
