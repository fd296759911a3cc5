"""The pages of the site that stand outside of docs/, with links that lead to where they are in the site."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "CONTRIBUTING.md", "CHANGELOG.md": "CHANGELOG.md"}
IMAGES = ("benchmarks/seconds.png",)
_LINK = re.compile(r"\[(?P<text>[^\]]*)\]\((?P<path>[^)#\s:]+)(?P<anchor>#[^)\s]*)?\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages and images."""
    for path, name in PAGES.items():
        files.append(File.generated(config, name, content=(ROOT / path).read_text(encoding="utf-8")))
    for path in IMAGES:
        files.append(File.generated(config, path, content=(ROOT / path).read_bytes()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Lead links to where their pages are in the site; a file that is none of its pages is named without a link."""
    return _LINK.sub(lambda link: _moved(link, page.file.src_uri), markdown)


def _moved(link: re.Match[str], page: str) -> str:
    outside = {name: path for path, name in PAGES.items()}
    folder = (ROOT / outside[page]).parent if page in outside else (ROOT / "docs" / page).parent
    place = (folder / link["path"]).resolve()
    if not (place.is_relative_to(ROOT) and place.exists()):
        return link[0]
    path, anchor = place.relative_to(ROOT).as_posix(), link["anchor"] or ""
    up = "../" * page.count("/")
    if path in IMAGES:
        return f"[{link['text']}]({up}{path})"
    if path in PAGES:
        return f"[{link['text']}]({up}{PAGES[path]}{anchor})"
    if path.startswith("docs/"):
        return f"[{link['text']}]({up}{path.removeprefix('docs/')}{anchor})"
    return str(link["text"])
