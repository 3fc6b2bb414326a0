"""Regression rewards against their equations in loops, and small regressions that are learnt."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest
import snntorch as snn
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from lfp_snn.data import Batch
from lfp_snn.errors import ConfigError, ShapeError
from lfp_snn.learners.lfp import LFP
from lfp_snn.rewards import MembraneTarget, Reward, VanRossum
from lfp_snn.rules import Epsilon

LENGTHS = [7, 1, 4, 2, 5]


def trains(seed: int, steps: int = 7, density: float = 0.4) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return (torch.rand(steps, 5, 3, generator=draw) < density).double()


def values(seed: int) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(7, 5, 3, generator=draw, dtype=torch.float64)


def filtered(train: Sequence[float], tau: float, t: int) -> float:
    return sum(s * math.exp(-(t - u) / tau) for u, s in enumerate(train) if u <= t)


def van_rossum(train: list[float], target: list[float], tau: float, t: int) -> float:
    d = filtered(target, tau, t) - filtered(train, tau, t)
    return (d if d > 0 else train[t] * d) / len(train)


def each(
    lengths: Sequence[int], series: Sequence[Tensor]
) -> list[tuple[tuple[int, int], list[list[float]]]]:
    """For each sample and output, the series over the sample's own steps."""
    return [
        ((b, c), [[float(v) for v in x[:length, b, c]] for x in series])
        for b, length in enumerate(lengths)
        for c in range(3)
    ]


@pytest.mark.parametrize("tau", [0.5, 3.0])
@pytest.mark.parametrize("lengths", [LENGTHS, [7] * 5])
def test_van_rossum_equals_its_equation(lengths: list[int], tau: float) -> None:
    spikes, targets = trains(0), trains(1)
    given_lengths = None if lengths == [7] * 5 else torch.tensor(lengths)
    ours = VanRossum(tau)(spikes, lengths=given_lengths, targets=targets)
    distance = VanRossum(tau).distance(spikes, targets, given_lengths)
    expected = torch.zeros_like(spikes)
    for (b, c), (train, target) in each(lengths, (spikes, targets)):
        steps = range(len(train))
        for t in steps:
            expected[t, b, c] = van_rossum(train, target, tau, t)
        squares = [(filtered(train, tau, t) - filtered(target, tau, t)) ** 2 for t in steps]
        assert float(distance[b, c]) == pytest.approx(sum(squares) / tau, abs=1e-12)
    assert expected.any()
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-14)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**16), tau=st.floats(0.1, 20), density=st.floats(0, 1))
def test_van_rossum_is_bounded_and_zero_only_at_the_target(
    seed: int, tau: float, density: float
) -> None:
    spikes, targets = trains(seed, density=density), trains(seed + 1)
    reward = VanRossum(tau)(spikes, targets=targets)
    assert reward.abs().max() <= 1 / (7 * (1 - math.exp(-1 / tau))) + 1e-12
    assert not (reward[spikes == 0] < 0).any()
    assert torch.equal(reward.any(0), (spikes != targets).any(0))


def test_van_rossum_makes_its_target_from_labels() -> None:
    target = torch.zeros(7, 5, 3, dtype=torch.float64)
    labels = torch.tensor([0, 2, 1, 1, 0])
    for b, label in enumerate(labels.tolist()):
        target[1::2, b, label] = 1
    ours = VanRossum(period=2)(trains(0), labels)
    assert torch.equal(ours, VanRossum(period=2)(trains(0), targets=target))


@pytest.mark.parametrize("labels", [None, torch.tensor([0, 2, 1, 1, 0])])
def test_membrane_target_equals_its_equation(labels: Tensor | None) -> None:
    reward = MembraneTarget(scale=0.7, high=0.9, low=-0.2)
    membranes, targets = values(0), values(1)
    ours = reward(
        trains(0),
        labels,
        lengths=torch.tensor(LENGTHS),
        membranes=membranes,
        targets=targets if labels is None else None,
    )
    expected = torch.zeros_like(ours)
    for (b, c), (w, wanted) in each(LENGTHS, (membranes, targets)):
        for t in range(len(w)):
            to_reach = wanted[t] if labels is None else 0.9 if int(labels[b]) == c else -0.2
            expected[t, b, c] = max(-1.0, min(1.0, (to_reach - w[t]) / 0.7)) / len(w)
    torch.testing.assert_close(ours, expected, rtol=0, atol=1e-14)
    scores = [[0.0] * 3 for _ in LENGTHS]
    for (b, c), (w,) in each(LENGTHS, (membranes,)):
        scores[b][c] = sum(w) / len(w)
    read = reward.predict(trains(0), lengths=torch.tensor(LENGTHS), membranes=membranes)
    assert read.classes.tolist() == [row.index(max(row)) for row in scores]


def task() -> tuple[Tensor, Tensor]:
    """Inputs of two patterns in turn, and a train for each: early spikes, or late ones."""
    draw = torch.Generator().manual_seed(3)
    patterns = torch.rand(2, 20, generator=draw) < 0.4
    which = torch.arange(12) % 2
    noise = torch.rand(10, 12, 20, generator=draw)
    x = torch.where(patterns[which], noise < 0.5, noise < 0.05).float()
    targets = torch.zeros(10, 12, 2)
    targets[2, which == 0, 0] = targets[5, which == 0, 0] = 1
    targets[4, which == 1, 1] = targets[7:, which == 1, 1] = 1
    return x, targets


def learn(net: Any, reward: Reward, targets: Tensor, x: Tensor, rounds: int) -> LFP:
    learner = LFP(net, Epsilon(0.1), reward)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
    batch = Batch(x, torch.full((len(x[0]),), -1), targets=targets)
    for _ in range(rounds):
        learner.feedback(batch)
        optimizer.step()
    return learner


def regressor(threshold: float) -> nn.Sequential:
    """20 inputs, 40 hidden and 2 output neurons, which reset at the threshold."""
    torch.manual_seed(0)
    layers = [nn.Linear(20, 40), snn.Leaky(beta=0.8, init_hidden=True), nn.Linear(40, 2)]
    last = snn.Leaky(beta=0.8, threshold=threshold, init_hidden=True, output=True)
    net = nn.Sequential(*layers, last)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(3)
    return net


def test_a_spike_train_is_learnt() -> None:
    x, targets = task()
    reward = VanRossum(tau=3.0)
    net = regressor(threshold=1.0)
    before = reward.distance(LFP(net, Epsilon(0.1), reward).engine.forward(x), targets).mean()
    learner = learn(net, reward, targets, x, rounds=150)
    after = reward.distance(learner.engine.forward(x), targets).mean()
    silence = reward.distance(torch.zeros_like(targets), targets).mean()
    assert after < 0.5 * min(before, silence)


def test_a_membrane_is_learnt() -> None:
    x, targets = task()
    wanted = 0.5 * targets.cumsum(0)
    net = regressor(threshold=1e3)
    learner = learn(net, MembraneTarget(), wanted, x, rounds=0)

    def error() -> float:
        learner.engine.forward(x)
        return float((learner.engine.membranes - wanted).square().mean())

    before, nothing = error(), float(wanted.square().mean())
    learn(net, MembraneTarget(), wanted, x, rounds=150)
    assert error() < 0.5 * min(before, nothing)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: VanRossum(tau=0), "VanRossum.tau is 0; expected a positive"),
        (lambda: VanRossum(period=0), "VanRossum.period is 0"),
        (lambda: MembraneTarget(scale=-1), "MembraneTarget.scale is -1"),
        (lambda: MembraneTarget(high=0.1, low=0.1), "expected high > low"),
    ],
)
def test_options_out_of_range(make: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_what_is_missing_or_does_not_fit_is_named() -> None:
    with pytest.raises(ShapeError, match=r"targets have the shape \(6, 5, 3\).*\(7, 5, 3\)"):
        VanRossum()(trains(0), targets=trains(0, steps=6))
    with pytest.raises(ShapeError, match="found none: hand over membranes=lfp.membranes"):
        MembraneTarget()(trains(0), targets=values(0))
    with pytest.raises(ShapeError, match="needs labels"):
        VanRossum()(trains(0))


def test_targets_move_with_their_batch() -> None:
    batch = Batch(trains(0), torch.zeros(5, dtype=torch.int64), targets=trains(1)).to("meta")
    assert batch.targets is not None
    assert batch.targets.device.type == "meta"


def test_targets_without_steps_hold_at_every_step() -> None:
    spikes, membranes, held = trains(0), values(0), values(1)[0]
    every = held.expand_as(membranes)
    reward = MembraneTarget()
    one, other = (reward(spikes, membranes=membranes, targets=each) for each in (held, every))
    assert torch.equal(one, other) and bool(one.any())
    with pytest.raises(ShapeError, match="or without steps"):
        reward(spikes, membranes=membranes, targets=held[:, :1])
