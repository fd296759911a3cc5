"""Evidence for questions: TODO."""

from __future__ import annotations

from collections.abc import Iterator

from dfsync.model.schema import Schema
from dfsync.plan.model import Plan
from dfsync.plan.questions import Question
from dfsync.source.base import Source


def id_questions(plan: Plan, source: Source, target: Schema) -> Iterator[Question]:
    """Ask."""
    yield from ()
