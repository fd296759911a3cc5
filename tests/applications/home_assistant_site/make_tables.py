"""Make the recorder's tables as Home Assistant does, by its own models: make_tables.py URL.

Its `db_schema.py` alone is loaded. What this imports of Home Assistant is stood in for, but for the lengths of columns.
"""

from __future__ import annotations

import enum
import importlib.util
import re
import sys
from types import ModuleType
from unittest.mock import MagicMock

import sqlalchemy as sa

RECORDER = "homeassistant.components.recorder"
STOOD_IN_FOR = (
    "ciso8601",
    "fnv_hash_fast",
    "homeassistant.components",
    "homeassistant.components.sensor",
    "homeassistant.const",
    "homeassistant.core",
    "homeassistant.helpers",
    "homeassistant.helpers.json",
    "homeassistant.util",
    RECORDER,
    f"{RECORDER}.const",
    f"{RECORDER}.models",
)


class StatisticMeanType(enum.IntEnum):
    """As in `models/statistics.py`."""

    NONE = 0


def load_models() -> ModuleType:
    package = importlib.util.find_spec("homeassistant")
    assert package is not None
    [folder] = package.submodule_search_locations or []
    with open(f"{folder}/const.py", encoding="utf-8") as constants:
        lengths = dict(re.findall(r"^(MAX_LENGTH_\w+): Final = (\d+)$", constants.read(), flags=re.MULTILINE))
    for name in STOOD_IN_FOR:
        module = MagicMock(__path__=[], __spec__=None)
        sys.modules[name] = module
    for name, length in lengths.items():
        setattr(sys.modules["homeassistant.const"], name, int(length))
    sys.modules[f"{RECORDER}.models"].StatisticMeanType = StatisticMeanType
    name = f"{RECORDER}.db_schema"
    spec = importlib.util.spec_from_file_location(name, f"{folder}/components/recorder/db_schema.py")
    assert spec is not None
    assert spec.loader is not None
    models = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(models)
    return models


load_models().Base.metadata.create_all(sa.create_engine(sys.argv[1]))
