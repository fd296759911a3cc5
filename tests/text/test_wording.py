"""Names of tables as titles, values as harmless text."""

from __future__ import annotations

import tomllib

import pytest

from dfsync.text.wording import count_of, lower, plan_section, printable, singular, title_case_name, with_count


class TestWords:
    @pytest.mark.parametrize(
        ("name", "many", "one"),
        [
            ("repositories", "Repositories", "Repository"),
            ("pull_requests", "Pull Requests", "Pull Request"),
            ("pr_approvals", "PR Approvals", "PR Approval"),
            ("staff_details", "Staff Details", "Staff Detail"),
            ("author_mappings", "Author Mappings", "Author Mapping"),
            ("current_year_metrics", "Current Year Metrics", "Current Year Metric"),
            ("branches", "Branches", "Branch"),
            ("addresses", "Addresses", "Address"),
            ("boxes", "Boxes", "Box"),
            ("statuses", "Statuses", "Status"),
            ("series", "Series", "Series"),
            ("staff", "Staff", "Staff"),
            ("ORDERS", "ORDERS", "ORDER"),
            ("ENTRIES", "ENTRIES", "ENTRY"),
            ("InvoiceLines", "InvoiceLines", "InvoiceLine"),
            ("__", "?", "?"),
        ],
    )
    def test_labels(self, name: str, many: str, one: str) -> None:
        assert title_case_name(name) == many
        assert singular(many) == one

    def test_in_a_sentence(self) -> None:
        assert with_count(1, lower("PR Approvals")) == "1 PR approval"
        assert with_count(0, "repositories") == "0 repositories"
        assert with_count(1, "records") == "1 record"
        assert count_of(1, "Repositories") == "1 repository"
        assert count_of(50, "Pull Requests") == "50 pull requests"
        assert count_of(200, "Book") == "200 rows of book"
        assert count_of(1, "Staff") == "1 row of staff"


class TestVisible:
    def test_one_line_of_any_value(self) -> None:
        assert printable("plain ünï 🦭") == "plain ünï 🦭"
        assert printable(b"\x00\xff") == "0x00FF"
        assert printable("x" * 61) == "x" * 59 + "…"
        assert printable(3.5) == "3.5"
        assert printable("") == ""
        assert printable("\ud800") == r"\ud800"

    def test_a_long_value_is_not_read_to_its_end(self) -> None:
        assert len(printable(b"\x00" * 10_000_000)) == 60


class TestSectionOfAPlan:
    @pytest.mark.parametrize("name", ["orders", "order items", "Bücher & Co.", 'a "b" \\ c', "1-a_b", "a.b", "a]"])
    def test_is_read_as_the_table_that_it_names(self, name: str) -> None:
        assert tomllib.loads(plan_section(name)) == {"tables": {name: {}}}

    def test_has_quotes_only_where_they_are_needed(self) -> None:
        assert (plan_section("orders"), plan_section("order items")) == ("[tables.orders]", '[tables."order items"]')
