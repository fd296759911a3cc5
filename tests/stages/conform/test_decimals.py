"""Numbers into DECIMAL columns: as Python's own decimals would have them, to the last digit."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Context, Decimal

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dfsync.model.schema import Column
from dfsync.stages.conform.dispatch import CONVERSIONS

EXACT = Context(prec=2_000, Emax=9_999, Emin=-9_999, rounding=ROUND_HALF_UP)
SHAPES = [(1, 0), (5, 2), (20, 0), (22, 2), (24, 4), (37, 3), (38, 2), (38, 38), (39, 2), (65, 0), (65, 30)]


def expected(text: str, digits: int, scale: int) -> Decimal | None:
    """None where the column has no room for it."""
    rounded = Decimal(text).quantize(Decimal(1).scaleb(-scale), context=EXACT)
    return rounded if EXACT.abs(rounded) < EXACT.power(10, digits - scale) else None


def fit(texts: list[str], digits: int, scale: int) -> None:
    column = Column("v", "decimal", f"decimal({digits},{scale})", precision=digits, scale=scale)
    made = CONVERSIONS["decimal", "text"](pa.array(texts, pa.string()), column)
    wanted = [expected(text, digits, scale) for text in texts]
    assert made.values.to_pylist() == wanted
    outside = next((mask.to_pylist() for mask, _ in made.faults), [False] * len(texts))
    assert outside == [value is None for value in wanted]


@pytest.mark.parametrize(("digits", "scale"), SHAPES)
def test_numbers_about_powers_of_two_are_exact(digits: int, scale: int) -> None:
    numbers = [str(2**power + more) for power in range(2, 220) for more in (-2, -1, 0, 1)]
    points = [f"{sign}{n[:at]}.{n[at:]}" for n in numbers for at in (len(n) // 3, len(n) - 1) for sign in ("", "-")]
    fit([*numbers, *points], digits, scale)


def test_so_are_those_that_sqlite_holds_as_integers() -> None:
    column = Column("v", "decimal", "decimal(22,2)", precision=22, scale=2)
    numbers = [sign * (2**power + more) for power in range(2, 63) for more in (-1, 0, 1) for sign in (1, -1)]
    made = CONVERSIONS["decimal", "integer"](pa.array([*numbers, 2**63 - 1, -(2**63)]), column)
    assert made.values.to_pylist() == [*numbers, 2**63 - 1, -(2**63)]
    assert not made.faults
    assert not made.changes


@settings(deadline=None)
@given(
    shape=st.sampled_from(SHAPES),
    texts=st.lists(
        st.from_regex(r"[+-]?([0-9]{1,70}\.?[0-9]{0,70}|\.[0-9]{1,70})([eE][+-]?[0-9]{1,3})?", fullmatch=True)
    ),
)
def test_every_number_is_rounded_as_by_hand(shape: tuple[int, int], texts: list[str]) -> None:
    fit(texts, *shape)
