"""Runs the notebooks from top to bottom, in place, so that their outputs are those of this code."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from traitlets.config import Config

HERE = Path(__file__).parent
NAMES = ("walkthrough.ipynb", "analysis.ipynb")
SECONDS = 60


def execute(path: Path) -> None:
    """Runs a notebook in its folder and keeps its outputs. Raises where a cell fails or warns."""
    notebook = nbformat.read(path, as_version=4)
    language = notebook.metadata["language_info"]
    with tempfile.TemporaryDirectory(prefix="dfsync-kernel-") as sockets:
        # Sockets of this user alone, in place of ports that all who are on the machine can reach.
        private = {"transport": "ipc", "ip": f"{sockets}/kernel"}
        client = NotebookClient(
            notebook,
            kernel_name="python3",
            timeout=SECONDS,
            record_timing=False,
            resources={"metadata": {"path": str(path.parent)}},
            config=Config({"KernelManager": private}),
        )
        client.execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    for output in outputs:
        # What goes wrong while a picture is drawn is shown, and does not fail its cell.
        if output.output_type == "error" or output.get("name") == "stderr":
            raise RuntimeError(f"{path.name}: {output.get('evalue') or output.text}")
    # The kernel puts the version of its Python there, which is another on the next machine.
    notebook.metadata["language_info"] = language
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for name in sys.argv[1:] or NAMES:
        execute(HERE / name)
        print(f"notebooks/{name}: executed")
