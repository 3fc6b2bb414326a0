"""Notes on updates: right, and without any effect on the training."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from lfp_snn.analysis.convergence.probe import Probed, cosine
from lfp_snn.analysis.convergence.seed import train_and_probe
from lfp_snn.analysis.convergence.spec import Convergence
from lfp_snn.analysis.study.seedrun import SeedRun
from lfp_snn.analysis.study.spec import Arm, Search
from lfp_snn.learners import LEARNERS
from lfp_snn.learners.lfp import LFPOptions
from lfp_snn.training import train
from tests.training.conftest import make_splits

TINY: dict[str, Any] = {
    "name": "tiny",
    "seed": 0,
    "device": "cpu",
    "data": {"name": "digits", "steps": 6, "train": 60},
    "model": {"name": "mlp", "hidden": [16, 12]},
    "epochs": 2,
    "batch_size": 20,
    "calibrate": 0.1,
}
SURROGATE = LEARNERS["surrogate"].Options(name="surrogate")


def test_cosine() -> None:
    one = torch.tensor([[3.0, 0.0], [0.0, 4.0]])
    assert cosine(one, 2 * one) == pytest.approx(1)
    assert cosine(one, -one) == pytest.approx(-1)
    assert cosine(one, torch.tensor([[4.0, 9.0], [9.0, 3.0]])) == pytest.approx(24 / 5 / 187**0.5)
    assert cosine(one, torch.zeros(2, 2)) is None


def test_updates_are_compared_at_the_weights_that_learn(net: nn.Sequential) -> None:
    splits = make_splits()
    probed = Probed(LEARNERS["lfp"].from_options(net, LFPOptions()), SURROGATE, 2)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05)
    for step in range(3):
        batch = splits.train.batch(range(14 * step, 14 * step + 14))
        found = probed.feedback(batch)
        ours = {name: p.grad.clone() for name, p in net.named_parameters() if p.grad is not None}
        assert len(ours) == 4
        if step != 1:
            alone = copy.deepcopy(net)
            lfp = LEARNERS["lfp"].from_options(alone, LFPOptions())
            assert lfp.feedback(batch).reward == found.reward == probed.rewards[-1]
            for name, p in alone.named_parameters():
                torch.testing.assert_close(p.grad, ours[name])
            LEARNERS["surrogate"].from_options(alone, SURROGATE).feedback(batch)
            theirs = [alone.get_parameter(name).grad for name in probed.layers]
            expected = [
                float((ours[n] * g).sum() / ours[n].norm() / g.norm())
                for n, g in zip(probed.layers, theirs, strict=True)
                if g is not None
            ]
            assert probed.cosines[-1] == pytest.approx(expected, abs=1e-4)
        optimizer.step()
    assert probed.probed == [0, 2] and len(probed.rewards) == 3
    assert probed.layers == [n for n, _ in net.named_parameters() if n.endswith("weight")]


def test_a_learner_is_one_with_itself(net: nn.Sequential) -> None:
    surrogate = LEARNERS["surrogate"].from_options(net, SURROGATE)
    probed = Probed(surrogate, SURROGATE, 1)
    probed.feedback(make_splits().train.batch(range(20)))
    assert probed.cosines == [pytest.approx([1.0, 1.0])]


def test_a_cell_trains_as_a_run_does(tmp_path: Path) -> None:
    study = Arm(name="a@b", base=TINY, search=Search(trials=0), tune={})
    cell = SeedRun(tmp_path, "a@b", 3)
    cell.path.mkdir(parents=True)
    options = Convergence.model_validate({"rules": {"a": {}}, "depths": {"b": {}}, "every": 2})
    train_and_probe(cell, study, options)
    found = cell.measured()
    result = train(study.config({}, 3))
    assert found["test_accuracy"] == result.test_accuracy
    assert found["val_accuracy"] == result.val_accuracy
    assert len(found["rewards"]) == 6 and found["probed"] == [0, 2, 4]
    for epoch, metrics in enumerate(result.metrics):
        steps = found["rewards"][3 * epoch : 3 * epoch + 3]
        assert sum(steps) / 3 == pytest.approx(metrics["reward"], rel=1e-5)
    assert [len(row) for row in found["cosines"]] == [3, 3, 3]
