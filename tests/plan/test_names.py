"""The words of names, and which names mean the same thing."""

from __future__ import annotations

import pytest

from dfsync.plan.discovery.names import forms, is_plural, same_end, words_of


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("customer_id", ("customer", "id")),
        ("SupportRepId", ("support", "rep", "id")),
        ("CategoryID", ("category", "id")),
        ("comment_post_ID", ("comment", "post", "id")),
        ("HTTPServerId", ("http", "server", "id")),
        ("order items", ("order", "items")),
        ("straße-nr", ("straße", "nr")),
        ("ÄnderungsId", ("änderungs", "id")),
        ("id", ("id",)),
        ("__", ()),
    ],
)
def test_words(name: str, words: tuple[str, ...]) -> None:
    assert words_of(name) == words


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("customer", "customers"),
        ("category", "categories"),
        ("movie", "movies"),
        ("address", "addresses"),
        ("status", "statuses"),
        ("box", "boxes"),
        ("person", "people"),
        ("child", "children"),
        ("person", "personen"),
        ("kunde", "kunden"),
        ("professor", "professores"),
        ("repo", "repositories"),
        ("dept", "departments"),
    ],
)
def test_a_plural_has_a_form_in_common_with_its_singular(one: str, many: str) -> None:
    assert forms(one) & {form for each in forms(many) for form in forms(each)}


@pytest.mark.parametrize(("one", "other"), [("user", "order"), ("item", "items_old"), ("bus", "buy"), ("as", "a")])
def test_others_have_none(one: str, other: str) -> None:
    assert not forms(one) & forms(other)


@pytest.mark.parametrize(("word", "plural"), [("users", True), ("people", True), ("status", False), ("session", False)])
def test_what_looks_like_a_plural(word: str, plural: bool) -> None:
    assert is_plural(word) is plural


@pytest.mark.parametrize(
    ("column", "table", "end"),
    [
        (("user",), ("users",), (0, 0)),
        (("user",), ("auth", "user"), (0, 1)),
        (("old", "state"), ("states",), (1, 0)),
        (("content", "type"), ("django", "content", "type"), (0, 1)),
        # Several words may be written as one.
        (("workflow", "state"), ("wagtailcore", "workflowstate"), (0, 1)),
        (("user",), ("orders",), None),
        ((), ("orders",), None),
    ],
)
def test_the_longest_end_that_two_names_share(
    column: tuple[str, ...], table: tuple[str, ...], end: tuple[int, int] | None
) -> None:
    assert same_end(column, table) == end
