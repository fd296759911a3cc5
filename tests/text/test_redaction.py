"""Passwords are hidden in every spelling in which a program shows them."""

from __future__ import annotations

from urllib.parse import quote, quote_plus

import pytest

from dfsync.text.redaction import MASK, is_secret_column, redact, register_secret, without_credentials

PASSWORD = "zq7 k@/ü'+%\\"


@pytest.mark.parametrize(
    "spelling",
    [
        PASSWORD,
        quote(PASSWORD),
        quote(PASSWORD, safe=""),
        quote(PASSWORD, safe=" +"),
        quote_plus(PASSWORD),
        repr(PASSWORD)[1:-1],
    ],
)
def test_a_registered_password_is_hidden_in_every_spelling(spelling: str) -> None:
    register_secret(PASSWORD)
    assert redact(f"before {spelling} after {spelling}") == f"before {MASK} after {MASK}"


def test_a_password_that_contains_another_is_hidden_as_a_whole() -> None:
    register_secret("qxqx1")
    register_secret("qxqx1-and-more")
    assert redact("qxqx1-and-more, qxqx1") == f"{MASK}, {MASK}"


@pytest.mark.parametrize("password", [None, "", "qxz"])
def test_what_is_too_short_to_be_hidden_leaves_texts_as_they_are(password: str | None) -> None:
    register_secret(password)
    assert redact("the qxz of a text") == "the qxz of a text"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mysql://user:p@ss@host/db", "mysql://***@host/db"),
        ("mysql://user:two\nlines@host/db", "mysql://***@host/db"),
        ("mysql://host/db", "mysql://host/db"),
        ("user@host", "user@host"),
    ],
)
def test_user_and_password_of_a_url_are_hidden(text: str, shown: str) -> None:
    assert without_credentials(text) == shown


@pytest.mark.parametrize(
    "name",
    [
        "password",
        "Password",
        "user_password",
        "password_hash",
        "hashed_password",
        "passwd",
        "jwtSecret",
        "api_key",
        "apiKey",
        "API_KEY",
        "APIKey",
        "access_token",
        "reset_password_token",
        "private_key",
        "salt",
        "user_pass",
        "pwd2",
    ],
)
def test_columns_of_secrets_are_known_by_their_names(name: str) -> None:
    assert is_secret_column(name)


@pytest.mark.parametrize(
    "name",
    [
        None,
        "",
        "hash",
        "commit_hash",
        "tokens_used",
        "token_count",
        "max_tokens",
        "key",
        "primary_key",
        "has_password",
        "password_changed_at",
        "passenger",
        "secretary",
        "salted_caramel",
        "result",
        "token_type",
        "monkey",
        "compass",
    ],
)
def test_other_columns_are_not(name: str | None) -> None:
    assert not is_secret_column(name)
