"""Keeps a password of the command line out of the list of processes."""

from __future__ import annotations

import sys

import setproctitle


def hide_from_process_list(argument: str) -> None:
    """Show asterisks in place of an argument of this process wherever `ps` shows it.

    Parameters
    ----------
    argument
        The text to hide, as it was given on the command line. Where this process has no such argument nothing happens.

    Notes
    -----
    Whoever looked between the start of the process and this call has seen it.

    References
    ----------
    https://github.com/dvarrazzo/py-setproctitle
    """
    if not any(argument in part for part in sys.orig_argv):
        return
    title = " ".join(sys.orig_argv).replace(argument, "*" * len(argument))
    name = setproctitle.getthreadtitle()
    # Bytes of another encoding are no title.
    setproctitle.setproctitle(title.encode(errors="replace").decode())
    # That has changed the program's name in `top` and `pgrep` too, to the title's first letters.
    setproctitle.setthreadtitle(name)
