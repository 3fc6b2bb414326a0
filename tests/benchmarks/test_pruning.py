"""The table of pruning says what curves keep, and pairs learners by seed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from benchmarks import pruning
from benchmarks._tables import Table
from benchmarks.pruning import TASKS, Task
from lfp_snn.analysis.prune.criteria import Criterion
from lfp_snn.analysis.prune.curve import Curve, PrunedRun
from lfp_snn.analysis.prune.ranking import Scope
from lfp_snn.cli.shipped import find_config
from lfp_snn.training import load_config


def made(
    task: Task, changes: Sequence[str], seed: int, scopes: Sequence[Scope], draws: int
) -> dict[Scope, PrunedRun]:
    """A network that keeps all to the half and then nothing; one of the surrogate loses it all."""
    surrogate = "learner.name=surrogate" in changes
    accuracies = [0.8, 0.0 if surrogate else 0.8, 0.1 * seed]
    curves = [Curve(each, (0.0, 0.5, 1.0), accuracies) for each in Criterion]
    return {scope: PrunedRun(Path(), "made", seed, 0.5, 0.0, 10, curves) for scope in scopes}


def test_learners_stand_side_by_side(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Table, "made", [])
    monkeypatch.setattr(pruning, "pruned", made)
    monkeypatch.setattr(
        "sys.argv",
        ["pruning", "--root", "here", "--seeds", "2", "--tasks", "mlp", "--scopes", "layer"],
    )
    pruning.main()
    (table,) = Table.made
    whole, *rows = table.rows
    assert whole[1:5] == ["test accuracy of the whole", [80.0, 80.0], [80.0, 80.0], [80.0, 80.0]]
    assert [row[1] for row in rows] == [f"layer, {each}" for each in Criterion]
    # By hand: areas 0.75 and 0.75 + 0.03125 of the whole; 0.25 and 0.28125 for the surrogate.
    _, _, published, _, surrogate, prunable, _, none, ahead, _ = rows[0]
    assert published == pytest.approx([75.0, 78.125])
    assert surrogate == pytest.approx([25.0, 28.125])
    assert (prunable, none) == ([50.0, 50.0], [0.0, 0.0])
    assert ahead == pytest.approx([50.0, 50.0])


def test_the_scopes_of_the_command_are_those_that_rank(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of scopes once stood in for scopes here, and all ranked layer by layer."""
    asked: list[Scope] = []

    def noted(
        task: Task, changes: Sequence[str], seed: int, scopes: Sequence[Scope], draws: int
    ) -> dict[Scope, PrunedRun]:
        asked.extend(scopes)
        return made(task, changes, seed, scopes, draws)

    monkeypatch.setattr(Table, "made", [])
    monkeypatch.setattr(pruning, "pruned", noted)
    monkeypatch.setattr("sys.argv", ["pruning", "--root", "here", "--seeds", "2"])
    pruning.main()
    assert {type(each) for each in asked} == {Scope}


@pytest.mark.parametrize("task", TASKS)
def test_settings_are_those_of_configs(task: str) -> None:
    for changes in TASKS[task].learners.values():
        assert load_config(find_config(TASKS[task].config), changes).epochs > 0
