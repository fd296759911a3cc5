"""What a plan leaves undecided: the rows give evidence, and only a person can say what they mean."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from dfsync.model.errors import DfsyncError, Remedy
from dfsync.plan.model import EXPLICIT_ORIGINS, ForeignKey, Plan, TablePlan
from dfsync.text.wording import plan_section, printable


@dataclass(frozen=True)
class Answer:
    """A line of a plan file that decides a question."""

    setting: str
    """A setting of `[tables.NAME]`."""
    value: Any
    """As TOML has it: a text, a list of texts or of integers, or a dict of texts."""

    @property
    def line(self) -> str:
        """The line as it stands in a plan file."""
        import tomlkit

        item = tomlkit.item(self.value)
        if isinstance(self.value, dict):
            item = tomlkit.inline_table()
            item.update(self.value)
        return f"{self.setting} = {item.as_string()}"


@dataclass(frozen=True)
class Question:
    """Something that must be decided before the first row is written."""

    table: str
    """Its name in the plan."""
    column: str
    evidence: str
    """What the schemas and the rows say, as a sentence that begins after the column's name."""
    answers: tuple[Answer, ...]
    """The lines that decide it. The first is the likely one, which `plan --write` writes."""

    def as_dict(self) -> dict[str, Any]:
        """Convert to what JSON holds.

        Returns
        -------
        dict
            `table`, `column`, `evidence`, and `answers`, the lines of a plan file.
        """
        return {**vars(self), "answers": [answer.line for answer in self.answers]}


def require_decided(plan: Plan, questions: Sequence[Question], advice: Remedy) -> None:
    """Refuse a plan that leaves something undecided.

    Parameters
    ----------
    plan
        The complete plan.
    questions
        What is undecided.
    advice
        How to write the likely answers into a plan file.

    Raises
    ------
    DfsyncError
        Names every question with its evidence and the lines that decide it.
    """
    if not questions:
        return
    asked = [
        f"  {printable(question.table)}.{printable(question.column)} {question.evidence}\n"
        f"    {printable(plan_section(question.table))}\n    "
        + "\n    # or: ".join(printable(answer.line, 300) for answer in question.answers)
        for question in questions
    ]
    where = f"{plan.file} does not decide" if plan.file else "only a plan file decides"
    raise DfsyncError("\n".join([f"Nothing was written: {where} this:", *asked, ""]), advice)


def with_likely_answers(plan: Plan, questions: Iterable[Question]) -> Plan:
    """Give a plan the first answer to each question.

    Parameters
    ----------
    plan
        The complete plan.
    questions
        What is undecided in it.

    Returns
    -------
    Plan
        With the evidence of each answer in the origin of its setting.
    """
    tables = {table.name: table for table in plan.tables}
    for question in questions:
        tables[question.table] = _with_answer(tables[question.table], question)
    without_id = {name for name, table in tables.items() if table.id == ""}
    return replace(plan, tables=tuple(_without_parents(table, without_id) for table in tables.values()))


def _without_parents(table: TablePlan, names: set[str]) -> TablePlan:
    """Without the foreign keys to tables whose numbers stay, which come first all the same."""
    lost = {key.parent for key in table.foreign_keys or () if key.parent in names}
    keys = tuple(key for key in table.foreign_keys or () if key.parent not in lost)
    after = (*table.after, *sorted(lost - {table.name, *table.after}))
    return replace(table, foreign_keys=keys, after=after) if lost else table


def _with_answer(table: TablePlan, question: Question) -> TablePlan:
    answer = question.answers[0]
    others = " or ".join(other.line for other in question.answers[1:])
    said = f"{question.column} {question.evidence}; else {others}"
    before = table.origin.get(answer.setting)
    known = before if before and getattr(table, answer.setting) else None
    changed = _ADD.get(answer.setting, _replace)(table, answer.setting, answer.value)
    return replace(changed, origin={**table.origin, answer.setting: "; ".join(filter(None, [known, said]))})


def _replace(table: TablePlan, setting: str, value: Any) -> TablePlan:
    changes: Mapping[str, Any] = {setting: value}
    return replace(table, **changes)


def _add_foreign_keys(table: TablePlan, _: str, value: Any) -> TablePlan:
    keys = {**table.parents, **value}
    return replace(table, foreign_keys=tuple(ForeignKey(*item) for item in keys.items()))


def _add_to_list(table: TablePlan, setting: str, value: Any) -> TablePlan:
    changes: Mapping[str, Any] = {setting: (*(getattr(table, setting) or ()), *value)}
    return replace(table, **changes)


def _set_id(table: TablePlan, setting: str, value: Any) -> TablePlan:
    changed = _replace(table, setting, value)
    # Another id leaves another natural key to be found.
    return changed if table.origin.get("natural_key") in EXPLICIT_ORIGINS else replace(changed, natural_key=None)


_ADD: Mapping[str, Callable[[TablePlan, str, Any], TablePlan]] = {
    "foreign_keys": _add_foreign_keys,
    "id": _set_id,
    "plain_columns": _add_to_list,
    "ignore_columns": _add_to_list,
    "keep_ids": _add_to_list,
}
