"""An undo that is killed at any moment is finished by running it again."""

from __future__ import annotations

from dfsync.commands.runs import runs
from tests.pipeline.undo.test_undo import OWN, SHOP
from tests.support.runs.killed import kill_undo
from tests.support.runs.undone import dump, id_mappings, undo
from tests.support.scenario import Scenario

MOMENTS = 20


def undo_killed_at(scenario: Scenario, moments: int, **options: object) -> None:
    """Sync with the options, kill the undo, and undo again, at so many moments."""
    before = dump(scenario)
    assert scenario.sync(**options).ok
    count = kill_undo(scenario, 0) or 0
    assert dump(scenario) == before
    undone = id_mappings(scenario)
    assert count > 2 * moments
    for moment in range(2, count + 1, count // (moments - 1)):
        scenario.sync(keep_runs=2, **options)
        assert kill_undo(scenario, moment) is None
        if runs(scenario.folder / "out").runs[-1].undone is None:
            undo(scenario)
        assert dump(scenario) == before, moment
        assert id_mappings(scenario) == undone, moment
        assert runs(scenario.folder / "out").runs[-1].undone is not None


def test_at_twenty_moments(scenario: Scenario) -> None:
    scenario.create_source(SHOP)
    scenario.create_target(None, *OWN)
    undo_killed_at(scenario, MOMENTS, on_match="update")
