"""The README, CONTRIBUTING and the pages of docs/: links lead somewhere, and blocks of code are code."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
CODE = re.compile(r"^```(\w+)\n(.*?)^```", flags=re.MULTILINE | re.DOTALL)
FENCED = re.compile(r"^( *)```.*?^\1```", flags=re.MULTILINE | re.DOTALL)


def _is_bash(text: str) -> None:
    subprocess.run(["bash", "-n"], input=text, text=True, check=True, capture_output=True)


CHECKS: dict[str, Callable[[str], object]] = {
    "bash": _is_bash,
    "json": json.loads,
    "python": lambda text: compile(text, "page", "exec"),
    "toml": tomllib.loads,
}


def anchors(page: Path) -> set[str]:
    """As GitHub makes them of headings."""
    titles = re.findall(r"^#+ (.*)", FENCED.sub("", page.read_text(encoding="utf-8")), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def blocks() -> Iterator[tuple[str, str, str]]:
    for page in PAGES:
        for language, text in CODE.findall(page.read_text(encoding="utf-8")):
            if language in CHECKS:
                yield page.name, language, text


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    for path, anchor in re.findall(r"\]\((?!https?:|mailto:)([^)#\s]*)#?([^)\s]*)\)", text):
        place = (page.parent / path) if path else page
        assert place.exists(), path
        assert not anchor or anchor in anchors(place), f"{path}#{anchor}"


@pytest.mark.parametrize(("page", "language", "text"), list(blocks()))
def test_blocks_of_code_are_code(page: str, language: str, text: str) -> None:
    CHECKS[language](text)


def test_the_site_is_built(tmp_path: Path) -> None:
    """Strictly: a link or an anchor that is none fails."""
    pytest.importorskip("material", reason="the extra 'docs' has what makes the site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-f", ".ci/mkdocs/mkdocs.yml"]
    command += ["-d", str(tmp_path)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert '<h1 id="dfsync">dfsync' in (tmp_path / "index.html").read_text(encoding="utf-8")
