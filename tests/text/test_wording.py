"""Names of tables as titles, values as harmless text."""

from __future__ import annotations

import pytest

from dfsync.words import amount, counted, label, lower, singular, visible


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
        assert label(name) == many
        assert singular(many) == one

    def test_in_a_sentence(self) -> None:
        assert counted(1, lower("PR Approvals")) == "1 PR approval"
        assert counted(0, "repositories") == "0 repositories"
        assert counted(1, "records") == "1 record"
        assert amount(1, "Repositories") == "1 repository"
        assert amount(50, "Pull Requests") == "50 pull requests"
        assert amount(200, "Book") == "200 rows of book"
        assert amount(1, "Staff") == "1 row of staff"


class TestVisible:
    def test_one_line_of_any_value(self) -> None:
        assert visible("plain ünï 🦭") == "plain ünï 🦭"
        assert visible(b"\x00\xff") == "0x00FF"
        assert visible("x" * 61) == "x" * 59 + "…"
        assert visible(3.5) == "3.5"
        assert visible("") == ""
        assert visible("\ud800") == r"\ud800"

    def test_a_long_value_is_not_read_to_its_end(self) -> None:
        assert len(visible(b"\x00" * 10_000_000)) == 60
