"""Plan files: what they may say, and what is said of mistakes in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from dfsync.model.errors import DfsyncError
from dfsync.plan.builtin.ready_made import ready_made
from dfsync.plan.file import BUILT_IN, read_plan
from dfsync.plan.graph import topological_order
from dfsync.plan.model import ForeignKey, TablePlan


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "my.toml"


def refusal(file: Path, text: str) -> str:
    file.write_text(text)
    with pytest.raises(DfsyncError) as caught:
        read_plan(file)
    return str(caught.value).replace(str(file), "my.toml")


class TestAPlanFile:
    def test_says_how_each_table_is_copied(self, file: Path) -> None:
        file.write_text(
            """
            [tables.commits]
            table = "git commits"
            id = "nr"
            natural_key = ["hash", "repository_id"]
            foreign_keys = { repository_id = "repositories" }
            after = ["authors"]
            on_match = "update"
            ignore_columns = ["cache"]
            [tables.repositories]
            [tables.authors]
            foreign_keys = {}
            natural_key = []
            """
        )
        plan = read_plan(file)
        assert plan.source == f"plan {file}"
        assert plan.tables == (
            TablePlan(
                name="commits",
                table="git commits",
                id="nr",
                natural_key=("hash", "repository_id"),
                foreign_keys=(ForeignKey("repository_id", "repositories"),),
                after=("authors",),
                on_match="update",
                ignore_columns=("cache",),
            ),
            TablePlan(name="repositories", table="repositories"),
            TablePlan(name="authors", table="authors", natural_key=(), foreign_keys=()),
        )

    def test_of_git_history_is_one(self) -> None:
        plan = read_plan(BUILT_IN)
        assert plan.source == "built-in plan"
        assert {table.name: table.table for table in plan.tables} == {
            "repositories": "repositories",
            "authors": "authors",
            "commits": "commits",
            "pull_requests": "pull_requests",
            "pr_approvals": "pr_approvals",
            "staff_details": "staff_details",
            "author_mappings": "author_staff_mapping",
            "staff_metrics": "staff_metrics",
            "current_year_metrics": "current_year_staff_metrics",
        }
        assert plan["pr_approvals"].key == ("pull_request_id", "user_email")
        assert plan["pr_approvals"].parents == {"pull_request_id": "pull_requests"}
        assert [table.name for table in topological_order(plan.tables)] == plan.names

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("", 'names no tables: it needs at least one [tables.NAME], or base = "discovered" for all tables'),
            ('exclude = ["a*"]\n[tables.a]', 'exclude is for a plan of all tables: put base = "discovered" above it'),
            (
                'base = "empty"\n[tables.a]',
                f"the file base must be {' or '.join(map(repr, ['discovered', *ready_made()]))}, not 'empty'",
            ),
            ('base = "discovered"\nexclude = "a"', "the file exclude must be a list of names, not 'a'"),
            ('other_version = "yes"\n[tables.a]', "the file other_version must be 'refuse' or 'accept', not 'yes'"),
            ("tables = 1", "names no tables"),
            ("[tables]", "names no tables"),
            ("[tables.a]\ntarget = 1", "[tables.a] target must be a name in quotes, not 1."),
            ("[tables.a]\ncolumns = ['b']", '[tables.a] columns must be like { full_name = "name" }.'),
            ("[tables.a]\ncolumns = { b = 'x', c = 'X' }", "[tables.a] columns gives two columns one name."),
            ("[tables.a]\ncolumns = { b = 'x', B = 'y' }", "[tables.a] columns names a column twice."),
            ("[tables.a]\nconvert = ['b']", '[tables.a] convert must be like { created = "epoch_ms" }.'),
            (
                "[tables.a]\nconvert = { b = 'epoch' }",
                "[tables.a] convert of b must be 'epoch_s' or 'epoch_ms' or 'epoch_us' or 'boolean', not 'epoch'.",
            ),
            (
                "[tables.a]\ndates = { b = '%d.%m' }",
                "[tables.a] dates of b must name day, month and year as strptime of Python does, such as '%d.%m.%Y'",
            ),
            ("[tables.a]\ndates = { b = '%x' }", "not '%x'."),
            (
                "[tables.a]\nconvert = { b = 'boolean' }\ndates = { B = '%d.%m.%Y' }",
                "[tables.a] names a column twice in convert and dates.",
            ),
            ("[tables.a]\nquery = ''", "[tables.a] query must be a name in quotes, not ''."),
            (
                "[tables.a]\nquery = 'SELECT 1'\ncolumns = { b = 'x' }",
                "[tables.a] has a query, so it needs no columns: name them in the query, as in full_name AS name.",
            ),
            (
                "[tables.a]\ntarget = 'c'\n[tables.b]\ntarget = 'C'",
                "[tables.a] and [tables.b] are both for the table C",
            ),
            ("[tables.a]\ntable = 'b'\ntarget = 'c'\n[tables.b]", "[tables.a] and [tables.b] are both for the table b"),
            ("[tables", "is not valid TOML: "),
            ("[tabels.a]", "unknown setting 'tabels' in the file. Did you mean 'tables'?"),
            ("[tables]\na = 1", "[tables.a] must be a table of settings."),
            (
                "[tables.a]\nnatural_keys = ['b']",
                "unknown setting 'natural_keys' in [tables.a]. Did you mean 'natural_key'?",
            ),
            ("[tables.a]\ndeferred = []", "unknown setting 'deferred' in [tables.a]."),
            ("[tables.a]\norigin = {}", "unknown setting 'origin' in [tables.a]."),
            ("[tables.a]\nname = 'b'", "unknown setting 'name' in [tables.a]."),
            ("[tables.a]\nnatural_key = 'b'", "[tables.a] natural_key must be a list of names, not 'b'."),
            ("[tables.a]\nafter = [1]", "[tables.a] after must be a list of names, not [1]."),
            ("[tables.a]\nignore_columns = ['']", "[tables.a] ignore_columns must be a list of names"),
            ("[tables.a]\ntable = ''", "[tables.a] table must be a name in quotes, not ''."),
            ("[tables.a]\nid = 1", "[tables.a] id must be a name in quotes, not 1."),
            ("[tables.a]\non_match = 'replace'", "[tables.a] on_match must be 'skip' or 'update', not 'replace'."),
            ("[tables.a]\nforeign_keys = ['b']", "[tables.a] foreign_keys must be like { repository_id = "),
            ("[tables.a]\nforeign_keys = { b = 1 }", "[tables.a] foreign_keys must be like { repository_id = "),
            (
                "[tables.a]\nforeign_keys = { b = 'repositorys' }\n[tables.repositories]",
                "[tables.a] refers to 'repositorys', which is not in it. Did you mean 'repositories'?",
            ),
            (
                "[tables.a]\nafter = ['z z']",
                "[tables.a] refers to 'z z', which is not in it. Add [tables.\"z z\"], or put base =",
            ),
            (
                "[tables.auth_user_groups]\nforeign_keys = { user_id = 'auth_user' }",
                "[tables.auth_user_groups] refers to 'auth_user', which is not in it. Add [tables.auth_user], or put",
            ),
            ("[tables.a]\nnatural_key = ['b', 'B']", "[tables.a] natural_key names a column twice."),
            (
                "[tables.a]\nforeign_keys = { b = 'a', B = 'a' }",
                "[tables.a] foreign_keys names a column twice.",
            ),
            (
                "[tables.a]\nnatural_key = ['b']\nignore_columns = ['B']",
                "[tables.a] natural_key names a column of ignore_columns.",
            ),
            (
                "[tables.a]\nforeign_keys = { b = 'a' }\nignore_columns = ['b']",
                "[tables.a] foreign_keys names a column of ignore_columns.",
            ),
            ("[tables.a]\nafter = ['a']", "[tables.a] after names the table itself."),
            ("[tables.a]\n[tables.b]\ntable = 'A'", "[tables.a] and [tables.b] are both for the table A."),
            ("[tables.'../a']", "'../a' cannot be a name, because files are named after it."),
            ("[tables.'.a']", "'.a' cannot be a name"),
            ('[tables."a\\u0000"]', "cannot be a name"),
            (f"[tables.'{'ä' * 101}']", "ä… is too long a name, because files are named after it."),
        ],
    )
    def test_with_a_mistake_is_told_what_it_is(self, file: Path, text: str, said: str) -> None:
        message = refusal(file, text)
        assert message.startswith("The plan my.toml")
        assert said in message

    def test_that_is_not_there_or_no_text(self, file: Path) -> None:
        with pytest.raises(DfsyncError, match="cannot be read: No such file or directory"):
            read_plan(file)
        file.write_bytes(b"\xff\xfe")
        with pytest.raises(DfsyncError, match="is not valid TOML"):
            read_plan(file)


def test_settings_may_call_a_column_as_either_side_does(file: Path) -> None:
    file.write_text(
        """
        [tables.users]
        target = "people"
        columns = { Full_Name = "name", chief = "boss", a = "b", b = "a" }
        natural_key = ["full_name", "a"]
        foreign_keys = { chief = "users" }
        plain_columns = ["boss"]
        convert = { full_name = "boolean" }
        dates = { B = "%d.%m.%Y" }
        """
    )
    (users,) = read_plan(file).tables
    assert (users.table, users.in_source) == ("people", "users")
    assert users.key == ("name", "a")
    assert users.foreign_keys == (ForeignKey("boss", "users"),)
    assert users.plain_columns == ("boss",)
    assert users.written_as == {"name": ("convert", "boolean"), "b": ("dates", "%d.%m.%Y")}
