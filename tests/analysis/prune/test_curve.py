"""Curves of accuracy, and the numbers that are read off them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch.nn.utils import prune

from lfp_snn.analysis.prune.criteria import Criterion
from lfp_snn.analysis.prune.curve import Curve, PruningOptions, prune_run
from lfp_snn.analysis.prune.ranking import Scope
from lfp_snn.errors import ConfigError, NetworkError
from lfp_snn.learners import LEARNERS
from lfp_snn.learners.lfp import LFPOptions
from lfp_snn.models import build
from lfp_snn.training import Config, TrainedRun, evaluate, fit
from tests.training.conftest import CLASSES, UNITS, make_splits

CONFIG = Config.model_validate(
    {
        "name": "tiny",
        "seed": 3,
        "batch_size": 6,
        "device": "cpu",
        "data": {"name": "digits"},
        "model": {"name": "mlp", "hidden": [12]},
    }
)


def curve(*accuracies: float, shares: tuple[float, ...] = (0.0, 0.5, 0.9)) -> Curve:
    return Curve(Criterion.magnitude, shares, accuracies)


def test_what_is_kept_is_the_area_relative_to_the_whole_network() -> None:
    # By hand: (0.9 + 0.9) / 2 * 0.5 + (0.9 + 0.1) / 2 * 0.4 = 0.65, over 0.9.
    assert curve(0.9, 0.9, 0.1).kept == pytest.approx(0.65 / 0.9 / 0.9)
    assert curve(0.4, 0.4, 0.4).kept == pytest.approx(1)
    assert curve(0.4, 0.5, 0.5).kept > 1
    assert curve(0.0, 0.0, 0.0).kept == 1


def test_prunable_is_the_share_before_a_point_is_lost() -> None:
    assert curve(0.905, 0.896, 0.1).prunable == 0.5
    assert curve(0.905, 0.895, 0.9).prunable == 0  # a whole point, and what comes later is too late
    assert curve(0.905, 0.91, 0.9).prunable == 0.9


@pytest.mark.parametrize("shares", [(), (0.0,), (0.1, 0.5), (0.0, 0.5, 0.5), (0.0, 1.5)])
def test_shares_rise_from_nothing(shares: tuple[float, ...]) -> None:
    with pytest.raises(ConfigError, match=r"--shares is .*; expected numbers that rise from 0"):
        PruningOptions(shares=shares)


def test_names_stand_for_criteria_and_scopes() -> None:
    named = PruningOptions(("random", "magnitude"), scope="global")  # type: ignore[arg-type]
    assert named == PruningOptions((Criterion.random, Criterion.magnitude), scope=Scope.network)
    assert named.scope is Scope.network and named.criteria[0] is Criterion.random
    with pytest.raises(ConfigError, match="The scope is 'network'; expected global or layer"):
        PruningOptions(scope="network")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="The criterion is 'size'; expected magnitude or"):
        PruningOptions(("size",))  # type: ignore[arg-type]


def test_weights_that_a_layer_computes_are_refused() -> None:
    net = build("mlp", (4,), 2, hidden=[3])
    prune.identity(net[0], "weight")  # type: ignore[no-untyped-call]
    learner = LEARNERS["lfp"].from_options(net, LFPOptions())
    trained: Any = SimpleNamespace(learner=learner, config=None)
    splits: Any = None
    with pytest.raises(NetworkError, match="Module '0' prunes 'weight' by a hook"):
        prune_run(Path("run"), trained, splits, PruningOptions())


def test_a_trained_network_is_pruned_and_left_as_it_was() -> None:
    splits = make_splits()
    torch.manual_seed(0)
    net = build("mlp", (UNITS,), CLASSES, hidden=[12])
    fit(net, splits, epochs=8, batch_size=6, device="cpu", calibrate=0.1, optimizer={"lr": 0.02})
    learner = LEARNERS["lfp"].from_options(net, LFPOptions())
    trained = TrainedRun(CONFIG, learner, ["a", "b", "c"])
    before = {name: each.clone() for name, each in net.state_dict().items()}
    whole = evaluate(learner, splits.test, 6).accuracy
    assert whole > 0.8
    calls: list[None] = []
    options = PruningOptions(shares=(0.0, 0.4, 1.0), draws=3, samples=20, scope=Scope.layer)
    found = prune_run(Path("run"), trained, splits, options, lambda: calls.append(None))
    assert (found.learner, found.seed, found.zeros) == ("lfp, rescale", 3, 0)
    assert found.count == 12 * UNITS + CLASSES * 12 and 0 < found.gini < 1
    assert len(calls) == 1 + 1 + 3
    for each in found.curves:
        assert each.accuracies[0] == pytest.approx(whole)
        # Without weights nothing tells the samples apart: one class is read, a third is right.
        assert each.accuracies[2] == pytest.approx(1 / 3)
    kept = {each.criterion: each.kept for each in found.curves}
    assert kept[Criterion.relevance] > kept[Criterion.random]
    assert all(torch.equal(each, before[name]) for name, each in net.state_dict().items())
    again = prune_run(Path("run"), trained, splits, replace(options, draws=3))
    assert again == found
