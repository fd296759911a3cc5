"""Texts that some collation takes for others, and the collations of a server."""

from __future__ import annotations

import unicodedata
from typing import Any

import pyarrow as pa
import sqlalchemy as sa
from hypothesis import strategies as st

from dfsync.model import frames
from dfsync.model.schema import Column
from dfsync.stages.conform.conform import conform

ASCII = st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=5)
SCRIPTS = st.text(st.characters(codec="utf-8"), max_size=4)
# Letters that some collation takes for others, marks and signs that some leave out.
PIECES = st.sampled_from(
    [
        *(
            "a",
            "A",
            "\xe1",
            "\xc5",
            "ss",
            "\xdf",
            "SS",
            "\u1e9e",
            "i",
            "I",
            "\u0131",
            "\u0130",
            "aa",
            "\xe5",
            "Aa",
            "ae",
        ),
        *("ch", "cH", "ll", "oe", "\u0153", "\xe6", "fi", "\ufb01", "ccs", "cscs", "w", "v", "j", "u", "n", "\xf1"),
        *("n\u0303", "2", "\xb2", "\u2460", "IV", "\u2163", "K", "\u212a", "\u20ac", "\u0161", "\u0160", "-", "_", "."),
        *("\u03ac", "\u03b1", "\u0391", "\u0451", "\u0435", "\u0415", "\u05d0", "\u0627", "\ufdfa", "\u16d2", "\u4e2d"),
        *("\U0001f600", "\U0001f601", "\uff71", "\u30a2", "\u3042", "\u3041", "\u304c", "\ufffd", "\u0300", "\u200b"),
        *("\xad", "\u3000", "\xa0", "\t", "\x00", "\x7f", "\u0a04", "\U000f0000"),
        *(
            "\u0410",
            "\u0411",
            "\u3044",
            "\uac28",
            "\uac4c",
            "\u017f",
            "s",
            "E",
            "\xc9",
            "e",
            "\u0e01",
            "\u4e08",
            "\u4e48",
        ),
    ]
)
WORDS = st.lists(PIECES, max_size=3).map("".join)
CHANGES = st.sampled_from(
    [
        str.upper,
        str.lower,
        str.swapcase,
        lambda t: t[:-1] + chr(ord(t[-1:] or "a") + 1).encode(errors="ignore").decode(),
        lambda t: t + " ",
        lambda t: t + "  ",
        lambda t: t + "\t",
        lambda t: t + "\x00",
        lambda t: t + "\u200b",
        lambda t: " " + t,
        lambda t: unicodedata.normalize("NFD", t),
        lambda t: unicodedata.normalize("NFC", t),
        lambda t: unicodedata.normalize("NFKC", t),
        lambda t: "".join(c for c in unicodedata.normalize("NFD", t) if not unicodedata.combining(c)),
    ]
)
# A word and what a collation may take for the same.
FAMILY = st.tuples(st.one_of(ASCII, WORDS, SCRIPTS), st.lists(CHANGES, max_size=4)).map(
    lambda t: [t[0], *(change(t[0]) for change in t[1])]
)
KEYS = st.lists(FAMILY, min_size=1, max_size=4).map(lambda families: [key for family in families for key in family])
ASCII_KEYS = st.lists(ASCII, min_size=2, max_size=8).map(lambda keys: [f(k) for k in keys for f in (str, str.swapcase)])


def all_collations(connection: sa.Connection) -> dict[str, str]:
    """Every collation of text that the server has, with its character set."""
    listed = "information_schema.collation_character_set_applicability"
    dialect: Any = connection.dialect
    has_full_names = dialect.is_mariadb and connection.scalar(
        sa.text(
            "SELECT COUNT(*) FROM information_schema.columns WHERE table_name = "
            "'COLLATION_CHARACTER_SET_APPLICABILITY' AND column_name = 'FULL_COLLATION_NAME'"
        )
    )
    name = "full_collation_name" if has_full_names else "collation_name"
    rows = connection.execute(sa.text(f"SELECT {name}, character_set_name FROM {listed} ORDER BY 1, 2"))  # noqa: S608
    return {str(collation): str(charset) for collation, charset in rows if charset and charset != "binary"}


def fitting(connection: sa.Connection, values: list[str], column: Column) -> dict[int, str]:
    """The values that the column holds, by their place."""
    frame = frames.from_arrow(pa.table({column.name: pa.array(values, pa.string())}), range(len(values)))
    fit = conform(frame, [column]).frame[column.name]
    found = dict(zip(fit.index, frames.as_arrow(fit).to_pylist(), strict=True))
    # Of many character sets conform leaves it to the server to tell what fits.
    back = f"CAST(CONVERT(CONVERT(:v{{0}} USING {column.charset}) USING utf8mb4) AS BINARY) = CAST(:v{{0}} AS BINARY)"
    select = sa.text("SELECT " + ", ".join(back.format(i) for i in found))
    held = connection.execute(select, {f"v{i}": value for i, value in found.items()}).one() if found else ()
    return {i: value for (i, value), is_held in zip(found.items(), held, strict=True) if is_held}
