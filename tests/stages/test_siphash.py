"""SipHash, as its authors publish it, and of texts of every length at once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dfsync.stages.siphash import LONG, siphash

KEY = (np.uint64(0x0706050403020100), np.uint64(0x0F0E0D0C0B0A0908))
# Of the messages of no byte, 00, 00 01, … with 2 and 4 rounds: vectors_sip128 of https://github.com/veorq/SipHash.
PUBLISHED = {
    0: "a3817f04ba25a8e66df67214c7550293",
    1: "da87c1d86b99af44347659119b22fc45",
    7: "a1f1ebbed8dbc153c0b84aa61ff08239",
    8: "3b62a9ba6258f5610f83e264f31497b4",
    15: "5493e99933b0a8117e08ec0f97cfc3d9",
}


def hashes(texts: Any, **options: Any) -> list[str]:
    halves = siphash(texts, KEY, **options)
    return [one.tobytes().hex() + two.tobytes().hex() for one, two in zip(*halves, strict=True)]


def alone(text: bytes) -> str:
    return hashes(pa.array([text], pa.binary()))[0]


@pytest.mark.parametrize(("length", "published"), PUBLISHED.items())
def test_it_is_what_its_authors_published(length: int, published: str) -> None:
    made = hashes(pa.array([bytes(range(n)) for n in range(64)], pa.binary()), rounds=(2, 4))
    assert made[length] == published


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=30), st.integers(0, 5), st.integers(1, 30))
def test_a_text_has_the_hash_that_it_has_alone_whatever_is_beside_it(texts: list[bytes], cut: int, rows: int) -> None:
    cut = min(cut, len(texts) - 1)
    made = hashes(pa.array(texts, pa.binary()).slice(cut, rows))
    assert made == [alone(text) for text in texts[cut : cut + rows]]
    assert len(set(made)) == len(set(texts[cut : cut + rows]))


def test_long_texts_count_to_their_last_byte_and_leave_the_short_ones_alone() -> None:
    texts = [b"x" * n for n in (LONG - 1, LONG, LONG + 1, 10 * LONG)]
    texts += [texts[-1][:-1] + b"y", b"short"]
    made = hashes(pa.array(texts, pa.binary()))
    assert len(set(made)) == len(texts)
    assert made == [alone(text) for text in texts]


def test_more_texts_than_go_at_once() -> None:
    texts = [str(number) for number in range(40_000)]
    made = hashes(pa.array(texts))
    assert len(set(made)) == len(texts)
    assert made[39_999] == alone(b"39999")


@pytest.mark.parametrize("text", ["a", "a" * LONG])
def test_another_key_gives_other_hashes_in_both_halves(text: str) -> None:
    one, other = (siphash(pa.array([text]), key) for key in (KEY, (KEY[0], np.uint64(1))))
    assert all(x != y for x, y in zip(one, other, strict=True))


def test_no_texts_have_no_hashes() -> None:
    assert [len(half) for half in siphash(pa.array([], pa.string()), KEY)] == [0, 0]
