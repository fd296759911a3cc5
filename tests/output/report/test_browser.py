"""The report in a real browser: how it fits and looks, and that the browser obeys nothing of the data."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
import zlib
from collections.abc import Callable
from html import escape
from pathlib import Path

import pytest

from dfsync.output.report.page import write_report
from tests.support.run_folders import TAGS, Page, hostile_folder

BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
OPTIONS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--enable-logging=stderr"),
)
LIGHT, DARK = "--blink-settings=preferredColorScheme=1", "--blink-settings=preferredColorScheme=0"


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    return hostile_folder(tmp_path / "out")


@pytest.mark.skipif(BROWSER is None, reason="there is no chromium on this machine")
class TestInABrowser:
    @pytest.fixture
    def browse(self, tmp_path: Path) -> Callable[..., tuple[str, str]]:
        """Runs the browser on a page and gives what it printed on standard output and standard error."""

        def run(path: Path, width: int, *options: str) -> tuple[str, str]:
            profile = f"--user-data-dir={tmp_path / 'profile'}"
            ran = subprocess.run(
                [str(BROWSER), *OPTIONS, profile, f"--window-size={width},3000", *options, path.as_uri()],
                capture_output=True,
                text=True,
                timeout=120,
            )
            assert ran.returncode == 0, ran.stderr
            return ran.stdout, ran.stderr

        return run

    @pytest.mark.parametrize("width", [360, 768, 920, 1280])
    def test_fits_the_width(
        self, hostile: Path, browse: Callable[..., tuple[str, str]], tmp_path: Path, width: int
    ) -> None:
        # In a frame, since a window has a least width, with all details open. The script is the page's around it.
        report = write_report(hostile).read_text().replace("<details>", "<details open>")
        path = tmp_path / "frame.html"
        path.write_text(
            f"""<!DOCTYPE html>
            <iframe width="{width}" height="900" style="border: 0" srcdoc="{escape(report)}"></iframe>
            <script>onload = () => {{
              const inner = frames[0], page = inner.document.documentElement
              document.title = `${{inner.innerWidth}} ${{page.scrollWidth}}`
            }}</script>"""
        )
        dom, _ = browse(path, 1400, "--hide-scrollbars", "--dump-dom")
        assert re.findall(r"<title>(\d+) (\d+)</title>", dom) == [(str(width), str(width))]

    def test_nothing_of_the_data_becomes_an_element(
        self, hostile: Path, browse: Callable[..., tuple[str, str]]
    ) -> None:
        dom, said = browse(write_report(hostile), 1280, "--dump-dom")
        assert {tag for tag, _ in Page(dom).elements} <= TAGS
        assert "CONSOLE" not in said, "the browser complained, perhaps of what the policy forbids"

    def test_the_policy_forbids_scripts_and_styles(self, hostile: Path, browse: Callable[..., tuple[str, str]]) -> None:
        path = write_report(hostile)
        intruder = '<script>document.title = "run"</script><p style="color: red">'
        path.write_text(path.read_text().replace("</body>", f"{intruder}</body>"))
        dom, said = browse(path, 1280, "--dump-dom")
        assert "<title>run</title>" not in dom
        assert said.count("Content Security Policy") >= 2

    @pytest.mark.parametrize("width", [360, 1280])
    @pytest.mark.parametrize(("scheme", "dark"), [(LIGHT, False), (DARK, True)], ids=["light", "dark"])
    def test_light_and_dark(
        self, hostile: Path, browse: Callable[..., tuple[str, str]], tmp_path: Path, width: int, scheme: str, dark: bool
    ) -> None:
        shot = tmp_path / "shot.png"
        browse(write_report(hostile), width, scheme, "--hide-scrollbars", f"--screenshot={shot}")
        size, corner = first_pixel(shot.read_bytes())
        assert size[0] == width
        assert (max(corner) < 64) == dark
        assert (min(corner) > 192) == (not dark)


def first_pixel(png: bytes) -> tuple[tuple[int, int], bytes]:
    """Width and height of a picture, and the colour of its upper left corner."""
    data, at = b"", 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        if png[at + 4 : at + 8] == b"IDAT":
            data += png[at + 8 : at + 8 + length]
        at += 12 + length
    # Whatever the filter of the first line, before its first pixel there is nothing to add.
    width, height = struct.unpack(">II", png[16:24])
    return (width, height), zlib.decompress(data)[1:4]
