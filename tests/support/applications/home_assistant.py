"""Home Assistant's recorder: what an instance has written after some time."""

from __future__ import annotations

import json
from collections.abc import Iterator

import numpy as np
import pandas as pd

from tests.support.applications.databases import Frames

# What must be the same on both sides, without an id, of all that was written since a moment.
RELATIONS = {
    "states": """
        SELECT m.entity_id, s.state, s.last_updated_ts, s.last_changed_ts, s.context_id_bin, o.state, o.last_updated_ts,
            a.hash, a.shared_attrs
        FROM states s JOIN states_meta m ON m.metadata_id = s.metadata_id
            LEFT JOIN states o ON o.state_id = s.old_state_id
            LEFT JOIN state_attributes a ON a.attributes_id = s.attributes_id
        WHERE s.last_updated_ts >= {begin}""",
    "events": """
        SELECT t.event_type, e.time_fired_ts, e.context_id_bin, e.origin_idx, d.hash, d.shared_data
        FROM events e JOIN event_types t ON t.event_type_id = e.event_type_id
            LEFT JOIN event_data d ON d.data_id = e.data_id
        WHERE e.time_fired_ts >= {begin}""",
    "statistics": """
        SELECT m.statistic_id, m.unit_of_measurement, m.mean_type, s.start_ts, s.mean, s.min, s.max, s.state, s.sum
        FROM statistics s JOIN statistics_meta m ON m.id = s.metadata_id WHERE s.start_ts >= {begin}""",
    "statistics_short_term": """
        SELECT m.statistic_id, m.unit_of_measurement, m.mean_type, s.start_ts, s.mean, s.min, s.max, s.state, s.sum
        FROM statistics_short_term s JOIN statistics_meta m ON m.id = s.metadata_id WHERE s.start_ts >= {begin}""",
    "runs": "SELECT start, `end`, closed_incorrect FROM recorder_runs WHERE start >= '{start}'",
    "statistics_runs": "SELECT start FROM statistics_runs WHERE start >= '{start}'",
}


def relations(year: int) -> Iterator[tuple[str, str]]:
    """The queries that compare the rows of an instance that began in a year, by name."""
    begin = pd.Timestamp(year, 1, 1)
    for name, query in RELATIONS.items():
        yield name, query.format(begin=begin.timestamp(), start=begin)


def instance(name: str, states: int, year: int = 2026, seed: int = 0) -> Frames:
    """The rows of one Home Assistant: so many states, and about as many rows in the other tables together.

    Ids begin with 1, so those of two instances collide, and some are missing, as after a purge. Entities end in the
    instance's name; `sun.sun`, the event types and the empty attributes are the same everywhere.
    """
    chance = np.random.default_rng(seed)
    others = max(states // 4, 5)
    begin = pd.Timestamp(year, 1, 1).timestamp()
    entities = [*(f"sensor.s{i}_{name}" for i in range(max(states // 700, 4))), "sun.sun"]
    statistic_ids = [f"sensor.s{i}_{name}" for i in range(max(states // 1000, 3))]
    texts = max(states // 12, 3)
    attributes = _texts(chance, name, texts, "shared_attrs", "attributes_id")
    event_data = _texts(chance, name, others // 2, "shared_data", "data_id")
    return {
        "states_meta": pd.DataFrame({"metadata_id": range(1, len(entities) + 1), "entity_id": entities}),
        "state_attributes": attributes,
        "states": _states(chance, states, begin, len(entities), attributes["attributes_id"].to_numpy()),
        "event_types": pd.DataFrame({"event_type_id": [1, 2, 3], "event_type": ["call_service", f"e_{name}", "start"]}),
        "event_data": event_data,
        "events": _events(chance, others, begin, event_data["data_id"].to_numpy()),
        "statistics_meta": pd.DataFrame(
            {
                "id": range(1, len(statistic_ids) + 1),
                "statistic_id": statistic_ids,
                "source": "recorder",
                "unit_of_measurement": "°C",
                "has_mean": True,
                "has_sum": False,
                "mean_type": 1,
            }
        ),
        "statistics": _statistics(chance, others, begin, len(statistic_ids), 3600),
        "statistics_short_term": _statistics(chance, others, begin, len(statistic_ids), 300),
        "recorder_runs": pd.DataFrame(
            {
                "run_id": [1, 2],
                "start": [f"{year}-01-01 00:00:00.000123", f"{year}-03-01 00:00:00.000000"],
                "end": [f"{year}-02-28 23:59:59.999999", None],
                "closed_incorrect": False,
                "created": [f"{year}-01-01 00:00:01.500000", f"{year}-03-01 00:00:01.250000"],
            }
        ),
        "statistics_runs": pd.DataFrame(
            {"run_id": [1, 2, 3], "start": [f"{year}-01-01 00:0{minute}:00.000000" for minute in (0, 5, 9)]}
        ),
        "schema_changes": pd.DataFrame({"schema_version": [53], "changed": f"{year}-01-01 00:00:00.000000"}),
    }


def _texts(chance: np.random.Generator, name: str, count: int, column: str, id_column: str) -> pd.DataFrame:
    """Texts that rows share: the empty one, and others, of which some have the same short hash."""
    numbers = chance.random(count)
    texts = ["{}", *(json.dumps({"of": name, "name": f"Küche 🌡 {n}"}, ensure_ascii=False) for n in numbers)]
    ids = _ids(chance, count + 1)
    return pd.DataFrame({id_column: ids, "hash": chance.integers(0, max(4 * count, 8), count + 1), column: texts})


def _states(
    chance: np.random.Generator, count: int, begin: float, entities: int, attributes: np.ndarray
) -> pd.DataFrame:
    states = pd.DataFrame(
        {
            "state_id": _ids(chance, count),
            "state": np.round(chance.normal(20, 3, count), 2).astype(str),
            "last_updated_ts": begin + np.arange(count) * 7.3 + chance.random(count),
            "attributes_id": chance.choice(attributes, count),
            "origin_idx": 0,
            "context_id_bin": _contexts(chance, count),
            "metadata_id": chance.integers(1, entities + 1, count),
        }
    )
    states["last_changed_ts"] = states["last_updated_ts"].where(chance.random(count) < 0.2)
    states["old_state_id"] = states.groupby("metadata_id")["state_id"].shift().astype("Int64")
    return states


def _events(chance: np.random.Generator, count: int, begin: float, data: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "event_id": _ids(chance, count),
            "origin_idx": 0,
            "time_fired_ts": begin + np.arange(count) * 11.7 + chance.random(count),
            "data_id": chance.choice(data, count),
            "context_id_bin": _contexts(chance, count),
            "event_type_id": chance.integers(1, 4, count),
        }
    )


def _statistics(chance: np.random.Generator, count: int, begin: float, of: int, seconds: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "id": _ids(chance, count),
            "created_ts": begin + np.arange(count),
            "metadata_id": np.arange(count) % of + 1,
            "start_ts": begin + np.arange(count) // of * seconds,
            "mean": chance.normal(20, 3, count),
            "min": chance.normal(15, 3, count),
            "max": chance.normal(25, 3, count),
        }
    )


def _ids(chance: np.random.Generator, count: int) -> np.ndarray:
    """Ascending ids from 1, about every tenth missing."""
    return np.concatenate([[1], 1 + np.cumsum(1 + (chance.random(count - 1) < 0.1))])


def _contexts(chance: np.random.Generator, count: int) -> list[bytes]:
    """Sixteen bytes each, as ULIDs are kept."""
    whole = chance.bytes(16 * count)
    return [whole[16 * i : 16 * i + 16] for i in range(count)]
