"""Whether a value that was read back is the value that the source had: plain Python, which knows no conversion."""

from __future__ import annotations

import json
import re
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)(?:[ T](\d\d)(?::(\d\d)(?::(\d\d)(\.\d+)?)?)?)?( ?(?:[zZ]|[+-]\d\d:?\d\d))?")
_DURATION = re.compile(r"(-?)(\d+):(\d\d)(?::(\d\d)(\.\d+)?)?")


def is_same(type_: str, source: Any, held: Any) -> bool:
    """Whether the value held in a column of this type is that of the source: the same number, text, instant."""
    return _COMPARE[re.match(r"\w+", type_).group()](source, held)  # type: ignore[union-attr]


def _number(source: Any, held: Any) -> bool:
    if isinstance(source, str) and re.fullmatch(r"0+[0-9]+", source.strip()):
        return False
    # One of them a float: exact, where its shortest text would not be.
    if {type(source), type(held)} == {int, float}:
        return bool(source == held)
    return bool(Decimal(str(source).strip()) == Decimal(str(held)))


def _text(source: Any, held: Any) -> bool:
    return bool(float(held) == source if isinstance(source, float) else str(source) == held)


def _member(source: Any, held: Any) -> bool:
    return bool(str(source) == held)


def _bytes(source: Any, held: Any) -> bool:
    return bool((source.encode() if isinstance(source, str) else source) == held)


def _seconds(clock: tuple[str | None, ...]) -> Decimal:
    hours, minutes, seconds, fraction = (Decimal(part or 0) for part in clock)
    return (hours * 60 + minutes) * 60 + seconds + fraction


def _instant(source: str, held: date | datetime) -> bool:
    day, *clock, zone = _INSTANT.fullmatch(source.strip()).groups()  # type: ignore[union-attr]
    if zone and not re.fullmatch(r" ?([zZ]|[+-]00:?00)", zone):
        return False
    have = datetime.fromisoformat(held.isoformat())
    since = have - datetime.fromisoformat(day)
    return _exact(since) == _seconds(tuple(clock))


def _exact(delta: timedelta) -> Decimal:
    return Decimal(delta.days * 86_400 + delta.seconds) + Decimal(delta.microseconds).scaleb(-6)


def _duration(source: str, held: str) -> bool:
    def read(text: str) -> Decimal:
        sign, *clock = _DURATION.fullmatch(text.strip()).groups()  # type: ignore[union-attr]
        return _seconds(tuple(clock)) * (-1 if sign else 1)

    return read(source) == read(held)


def _json(source: Any, held: str) -> bool:
    def read(value: Any) -> Any:
        return json.loads(value, parse_int=Decimal, parse_float=Decimal)

    return bool(float(held) == source if isinstance(source, float) else read(str(source)) == read(held))


_COMPARE = {
    **dict.fromkeys(("TINYINT", "INT", "BIGINT", "BIT", "YEAR", "DECIMAL", "FLOAT", "DOUBLE"), _number),
    **dict.fromkeys(("CHAR", "VARCHAR", "TINYTEXT", "LONGTEXT"), _text),
    **dict.fromkeys(("ENUM", "SET"), _member),
    **dict.fromkeys(("BINARY", "VARBINARY", "BLOB"), _bytes),
    **dict.fromkeys(("DATE", "DATETIME", "TIMESTAMP"), _instant),
    "TIME": _duration,
    "JSON": _json,
}
