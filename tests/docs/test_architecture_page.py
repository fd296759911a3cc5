"""docs/architecture.md names modules, functions, files and tests that exist."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import tomllib
from pathlib import Path

import pandas as pd
import pytest

import dfsync

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
_DIAGRAM = re.search(r"```mermaid\n(.*?)```", PAGE, flags=re.DOTALL)
DIAGRAM = _DIAGRAM.group(1) if _DIAGRAM else ""
PACKAGES = sorted(module.name for module in pkgutil.iter_modules(dfsync.__path__) if module.ispkg)
CODE = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL))
DOTTED = re.compile(rf"(?:{'|'.join(PACKAGES)})(?:\.\w+)+")
CAMEL = re.compile(r"(?:[A-Z][a-z]+)+(?:\.\w+)?")

NAMES = sorted({code for code in CODE if DOTTED.fullmatch(code)} | set(DOTTED.findall(DIAGRAM)))
CLASSES = sorted({code for code in CODE if CAMEL.fullmatch(code)})
FILE = re.compile(r"\w+(/\w+)*(/|\.(py|md|html)|(?<=/)\w+)(::\w+)?")
FILES = sorted({code for code in CODE if "/" in code and "NAME" not in code and FILE.fullmatch(code)})
WORDS = sorted({code for code in CODE if re.fullmatch(r"\w*[a-z]_[a-z]\w*", code)})
SOURCE_CODE = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "dfsync").rglob("*.py"))


def all_classes() -> dict[str, type]:
    """Every class of dfsync by its name, and those of other libraries that the page names."""
    classes: dict[str, type] = {"DataFrame": pd.DataFrame}
    for found in pkgutil.walk_packages(dfsync.__path__, "dfsync."):
        if found.name != "dfsync.__main__":
            module = importlib.import_module(found.name)
            classes |= {name: value for name, value in vars(module).items() if inspect.isclass(value)}
    return classes


def has_member(owner: object, name: str) -> bool:
    """Whether an object has an attribute, or a class a field of that name."""
    return hasattr(owner, name) or name in getattr(owner, "__annotations__", {})


def test_the_page_is_looked_through() -> None:
    assert len(NAMES) > 60
    assert len(CLASSES) > 8
    assert len(FILES) > 20
    assert len(DOTTED.findall(DIAGRAM)) > 10


@pytest.mark.parametrize("name", NAMES)
def test_a_module_or_what_is_in_it_exists(name: str) -> None:
    pkgutil.resolve_name(f"dfsync.{name}")


@pytest.mark.parametrize("name", CLASSES)
def test_a_class_and_its_member_exist(name: str) -> None:
    owner, _, member = name.partition(".")
    classes = all_classes()
    assert owner in classes
    assert not member or has_member(classes[owner], member)


@pytest.mark.parametrize("name", FILES)
def test_a_file_and_the_test_in_it_exist(name: str) -> None:
    path, _, test = name.partition("::")
    file = next((folder / path for folder in (ROOT, ROOT / "dfsync") if (folder / path).exists()), None)
    assert file is not None
    assert not test or re.search(rf"^\s*(class|def) {test}\b", file.read_text(encoding="utf-8"), flags=re.MULTILINE)


@pytest.mark.parametrize("word", WORDS)
def test_a_name_alone_is_in_the_code(word: str) -> None:
    assert re.search(rf"\b{word}\b", SOURCE_CODE)


def test_every_package_has_its_row() -> None:
    assert sorted(re.findall(r"^\| `(\w+)` \|", PAGE, flags=re.MULTILINE)) == PACKAGES


def test_the_layers_are_those_of_the_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (layers,) = [contract["layers"] for contract in contracts if contract["id"] == "layers"]
    shown = re.findall(r"```text\n(.*?)```", PAGE, flags=re.DOTALL)[0].splitlines()
    assert shown == [layer.replace("dfsync.", "") for layer in layers]
