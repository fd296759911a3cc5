"""The questions that a plan leaves undecided, each asked by a function that looks at the rows of the source."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator

from dfsync.model.errors import Remedy
from dfsync.model.schema import Schema
from dfsync.pipeline.session.id_evidence import id_questions
from dfsync.pipeline.session.reference_evidence import reference_questions
from dfsync.plan.model import Plan
from dfsync.plan.questions import Question, require_decided
from dfsync.source.base import Source
from dfsync.text.wording import command_line

Ask = Callable[[Plan, Source, Schema, Collection[str]], Iterator[Question]]
_ASKED: tuple[Ask, ...] = (id_questions, reference_questions)


def undecided(plan: Plan, source: Source, target: Schema, names: Iterable[str]) -> tuple[Question, ...]:
    """Collect what the plan of some tables leaves undecided.

    Parameters
    ----------
    plan
        The complete plan.
    source
        The source, whose rows give the evidence.
    target
        All tables of the target.
    names
        The tables that are asked about.

    Returns
    -------
    tuple of Question
        In the plan's order; first those about a column of a natural key, since a wrong one merges rows.
    """
    names = {*names}
    # What is asked twice about a column is asked for the better reason, the later one.
    asked = {
        (question.table, question.column, question.answers[0].setting): question
        for ask in _ASKED
        for question in ask(plan, source, target, names)
    }
    order = {name: place for place, name in enumerate(plan.names)}
    return tuple(sorted(asked.values(), key=lambda q: (q.column not in plan[q.table].key, order[q.table])))


def refuse_undecided(
    plan: Plan, source: Source, target: Schema, names: Iterable[str], exclude: Iterable[str] = ()
) -> None:
    """Refuse a plan that leaves something about some tables undecided.

    Parameters
    ----------
    plan
        The complete plan.
    source
        The source, whose rows give the evidence.
    target
        All tables of the target.
    names
        The tables that are asked about.
    exclude
        The patterns that the caller excludes, which the command for a plan file repeats.

    Raises
    ------
    DfsyncError
        Names every question with its evidence and the lines that decide it.
    """
    command = f"{command_line('plan', source.path, plan.file, exclude)} --write my-plan.toml"
    # What it finds depends on the target, too.
    advice = "writes the likely answers into a file, with {target} if you gave one."
    remedy = Remedy(f"`{command.replace('{', '{{').replace('}', '}}')}` {advice}")
    require_decided(plan, undecided(plan, source, target, names), remedy)
