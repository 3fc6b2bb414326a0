"""What a training warns of before and after it: shifts that cannot learn, statistics that lag."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from torch import nn

from lfp_snn.data import SampleSet, SpikeSet
from lfp_snn.data.binning import Binned
from lfp_snn.learners import LEARNERS, Learner
from lfp_snn.training.watching import (
    firing_warnings,
    hushing_reward,
    lagging_statistics,
    shifts_at_zero,
)
from lfp_snn.wording import by_config


def normed(*, affine: bool = True) -> Any:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(6, 5),
        nn.BatchNorm1d(5, affine=affine),
        snn.Leaky(beta=0.9, init_hidden=True),
        nn.Linear(5, 3),
        snn.Leaky(beta=0.9, init_hidden=True, output=True),
    )


def samples(steps: int) -> SampleSet:
    binned = Binned(np.zeros(2 * steps + 1, np.int64), np.zeros(0, np.int32), None)
    classes = tuple(map(str, range(10)))
    labels = np.arange(2)
    return SpikeSet(binned, labels, ["a", "b"], classes=classes, feature_shape=(6,), steps=steps)


def learner(net: nn.Module, name: str = "lfp", **options: Any) -> Learner:
    kind = LEARNERS[name]
    return kind.from_options(net, kind.Options(name=name, **options))


def test_a_shift_as_pytorch_makes_it_is_warned_of() -> None:
    (message,) = shifts_at_zero(learner(normed()))
    assert message.startswith("'1.bias': shifts of normalisations, exactly zero as PyTorch makes")
    assert "learner={'update': {'floor': 0.01}}" in message


@pytest.mark.parametrize(
    ("calibrated", "rewarded", "dead", "saturated"),
    [
        (
            False,
            True,
            "so nothing before it learns; calibrate the start (calibrate=0.05).",
            "tell little; calibrate the start (calibrate=0.05), or take fewer events in a step "
            "(more steps, {steps}).",
        ),
        (
            True,
            False,
            "so nothing before it learns, although the start was calibrated; take a smaller "
            "learning rate ({lr}).",
            "tell little, although the start was calibrated; take a smaller learning rate ({lr}), "
            "or fewer events in a step (more steps, {steps}).",
        ),
        (
            True,
            True,
            "so nothing before it learns, although the start was calibrated; take a smaller "
            "learning rate ({lr}) or another reward ({reward}).",
            "tell little, although the start was calibrated; take a smaller learning rate ({lr}), "
            "another reward ({reward}), or fewer events in a step (more steps, {steps}).",
        ),
    ],
)
def test_a_layer_that_is_dead_or_saturated_is_told_what_helps_it(
    calibrated: bool, rewarded: bool, dead: str, saturated: str
) -> None:
    firing = {"1": 0.0, "3": 0.5, "5": 0.95}
    words = {"steps": "steps", "lr": "optimizer['lr']", "reward": "learner['reward']['name']"}
    found = [*firing_warnings(firing, calibrated=calibrated, rewarded=rewarded)]
    assert found[0].startswith("Layer '1' is dead: none of its neurons fired, ")
    assert found[1].startswith("Layer '5' is saturated: its neurons fire at almost every step and ")
    assert found[0].endswith(dead.format(**words)) and found[1].endswith(saturated.format(**words))
    with by_config():
        _, told = firing_warnings(firing, calibrated=calibrated, rewarded=rewarded)
    words = {"steps": "data.steps", "lr": "optimizer.lr", "reward": "learner.reward.name"}
    assert told.endswith(saturated.format(**words))


@pytest.mark.parametrize("name", ["rate_coded", "sigmoid"])
def test_a_reward_that_keeps_a_network_silent_is_warned_of(name: str) -> None:
    few, enough = samples(steps=4), samples(steps=6)
    hushed = learner(normed(), rule={"name": "rescale"}, reward={"name": name})
    (message,) = hushing_reward(hushed, few)
    assert message.startswith("With 4 steps and 10 classes ")
    assert "learner={'reward': {'name': 'count_target'}}" in message
    assert not list(hushing_reward(hushed, enough))
    for given in ("softmax_rate", "count_target", "first_spike"):
        other = learner(normed(), rule={"name": "rescale"}, reward={"name": given})
        assert not list(hushing_reward(other, few))
    # More steps help no reward that goes by no number of steps.
    always = learner(normed(), rule={"name": "rescale"}, reward={"name": "misclassification"})
    (message,) = hushing_reward(always, enough)
    assert "count_target" in message and "more steps" not in message
    # As published, what is silent is not punished.
    published = learner(normed(), rule={"name": "epsilon"}, reward={"name": name})
    assert not list(hushing_reward(published, few))
    assert not list(hushing_reward(learner(normed(), "surrogate"), few))


def test_it_is_not_where_the_shift_can_learn_or_shall_not() -> None:
    drawn, frozen = normed(), normed()
    with torch.no_grad():
        drawn[1].bias[2] = 0.1
    frozen[1].bias.requires_grad_(False)
    for net in (drawn, frozen, normed(affine=False)):
        assert not list(shifts_at_zero(learner(net)))
    assert not list(shifts_at_zero(learner(normed(), update={"floor": 0.01})))
    assert not list(shifts_at_zero(learner(normed(), "surrogate")))


@pytest.mark.parametrize(
    ("trained", "evaluated", "told"),
    [
        ({"2": 0.05, "4": 0.1}, {"2": 0.001, "4": 0.1}, ["'2'. The running"]),
        ({"2": 0.05, "4": 0.1}, {"2": 0.0, "4": 0.0}, ["'2', '4'. The running"]),
        ({"2": 0.05}, {"2": 0.04}, []),
        ({"2": 0.0}, {"2": 0.0}, []),
        ({"2": 0.05}, {}, []),
    ],
)
def test_layers_that_fall_silent_in_evaluation_are_told(
    trained: dict[str, float], evaluated: dict[str, float], told: list[str]
) -> None:
    net = normed()
    net[1].num_batches_tracked.fill_(12)
    found = list(lagging_statistics(net, trained, evaluated))
    assert len(found) == len(told)
    for message, part in zip(found, told, strict=True):
        assert part in message and "have seen 12 batches" in message


def test_without_running_statistics_nothing_lags() -> None:
    net = normed()
    net[1] = nn.Identity()
    assert not list(lagging_statistics(net, {"2": 0.05}, {"2": 0.0}))
