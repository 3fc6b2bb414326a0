"""The reward of a readout, and networks that end in one."""

from __future__ import annotations

import math
from typing import Any

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn import TemporalLFP
from lfp_snn.data import Batch
from lfp_snn.errors import ConfigError, NetworkError, ShapeError
from lfp_snn.learners import LEARNERS
from lfp_snn.learners.homeostasis import Homeostasis, HomeostasisOptions
from lfp_snn.learners.lfp import LFP
from lfp_snn.rewards import Function, MembraneCoded, RateCoded, TETReadout
from lfp_snn.rules import Epsilon
from lfp_snn.training.calibration import calibrate
from tests.engine.compare import (
    BACKENDS,
    assert_feedback_equal,
    assert_near,
    leaky,
    signals,
    strong,
    trains,
)
from tests.oracle import Network
from tests.oracle_modules import add_module

LENGTHS = [7, 1, 4, 2, 5]


def network(hidden: int = 5, **options: Any) -> nn.Sequential:
    readout = leaky(threshold=math.inf, reset_mechanism="none", output=True, **options)
    net: nn.Sequential = strong(
        nn.Sequential(nn.Linear(6, hidden), leaky(), nn.Linear(hidden, 3), readout)
    )
    return net


def a_batch(seed: int = 0) -> Batch:
    """Three classes by which inputs are active."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.randint(3, (30,), generator=draw)
    active = nn.functional.one_hot(labels, 3).repeat_interleave(2, -1).float()
    x = (torch.rand(8, 30, 6, generator=draw) < 0.1 + 0.7 * active).float()
    return Batch(x, labels)


def test_equal_to_its_equation() -> None:
    draw = torch.Generator().manual_seed(0)
    membranes = torch.randn(7, 5, 3, generator=draw, dtype=torch.float64)
    labels = torch.tensor([0, 2, 1, 1, 0])
    reward = MembraneCoded(2.0)
    silent = torch.zeros_like(membranes)
    found = reward(silent, labels, lengths=torch.tensor(LENGTHS), membranes=membranes)
    read = reward.predict(silent, lengths=torch.tensor(LENGTHS), membranes=membranes)
    for b, steps in enumerate(LENGTHS):
        mean = [sum(float(membranes[t, b, c]) for t in range(steps)) / steps for c in range(3)]
        total = sum(math.exp(2 * m) for m in mean)
        assert int(read.classes[b]) == mean.index(max(mean))
        for c in range(3):
            own = (float(labels[b] == c) - math.exp(2 * mean[c]) / total) / steps
            expected = [own if t < steps else 0.0 for t in range(7)]
            assert found[:, b, c].tolist() == pytest.approx(expected, abs=1e-12)
    with pytest.raises(ShapeError, match="needs the output membranes"):
        reward(silent, labels)
    with pytest.raises(ConfigError, match="MembraneCoded.a is 0"):
        MembraneCoded(0)


@pytest.mark.parametrize("kind", [MembraneCoded, TETReadout])
def test_minus_the_derivative_of_the_cross_entropy_with_smoothed_labels(
    kind: type[MembraneCoded],
) -> None:
    """By torch's own cross-entropy and autograd: of the mean membrane, or the mean over steps."""
    draw = torch.Generator().manual_seed(0)
    membranes = torch.randn(7, 5, 3, generator=draw, dtype=torch.float64)
    labels = torch.tensor([0, 2, 1, 1, 0])
    found = kind(2.0, 0.3)(
        torch.zeros_like(membranes), labels, lengths=torch.tensor(LENGTHS), membranes=membranes
    )
    for b, steps in enumerate(LENGTHS):
        leaf = membranes[:steps, b].clone().requires_grad_()
        logits = 2 * (leaf.mean(0, keepdim=True) if kind is MembraneCoded else leaf)
        targets = labels[b].expand(len(logits))
        loss = nn.functional.cross_entropy(logits, targets, label_smoothing=0.3)
        (slope,) = torch.autograd.grad(loss / 2, leaf)
        torch.testing.assert_close(found[:steps, b], -slope, rtol=0, atol=1e-14)
        assert not found[steps:, b].any()


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_readout_equals_the_oracle(backend: str) -> None:
    net, x = network(learn_beta=True), trains(8, 2, 6)
    slow = Network(net, (6,))
    add_module(slow, slow.input, net, "")
    slow.run(x.numpy(), [8, 5])
    lfp = TemporalLFP(net, Epsilon(), backend=backend)
    spikes = lfp.forward(x, lengths=torch.tensor([8, 5]))
    assert lfp.is_readout and not spikes.any() and set(lfp.firing_rates) == {"1"}
    output: Any = slow.nodes[-1]
    assert_near(lfp.membranes, torch.from_numpy(output.membrane))
    slow.send_back(signals(spikes).numpy())
    relevance = lfp.backward(signals(spikes), input_relevance=True)
    assert isinstance(relevance, Tensor) and relevance.any()
    assert_near(relevance, torch.from_numpy(slow.input.relevance))
    assert_feedback_equal(net, slow, ())


LEARN: dict[str, dict[str, Any]] = {
    "lfp": {"reward": {"name": "membrane_coded"}, "rule": {"name": "epsilon", "eps": 0.1}},
    "surrogate": {"loss": "ce_max_membrane_loss"},
    "dfa": {"loss": "ce_max_membrane_loss"},
    "ottt": {},
}


@pytest.mark.parametrize("name", LEARN)
def test_learners_learn_a_readout(name: str) -> None:
    net = network(12).float()
    kind = LEARNERS[name]
    learner = kind.from_options(net, kind.Options.model_validate({"name": name, **LEARN[name]}))
    optimizer = torch.optim.Adam(learner.parameters(), 0.02)
    batch = a_batch()
    for _ in range(40):
        told = learner.feedback(batch)
        optimizer.step()
    assert set(told.firing) == {"1"}
    # What a step tells is what the learner reads of the same network.
    expected = learner.predict(batch).classes
    assert torch.equal(learner.feedback(batch).classes, expected)
    assert (learner.predict(a_batch(1)).classes == a_batch(1).labels).float().mean() > 0.9


def test_a_function_of_membranes_is_read_from_membranes() -> None:
    def pull(spikes: Tensor, labels: Tensor, lengths: Tensor, membranes: Tensor) -> Tensor:
        return nn.functional.one_hot(labels, 3).to(membranes) - membranes

    learner = LFP(network().float(), Epsilon(0.1), Function(pull))  # type: ignore[arg-type]
    batch = a_batch()
    mean = learner.run(batch), learner.engine.membranes.mean(0)
    assert torch.equal(learner.predict(batch).classes, mean[1].argmax(-1))
    assert torch.equal(learner.feedback(batch).classes, mean[1].argmax(-1))


def test_what_looks_at_spikes_is_refused() -> None:
    with pytest.raises(ConfigError, match="looks at spikes.*never spike.*take one of membr"):
        LFP(network(), Epsilon(), RateCoded())
    for name in ("surrogate", "step_gradient", "dfa"):
        kind = LEARNERS[name]
        options = kind.Options.model_validate({"name": name, "loss": "ce_count_loss"})
        with pytest.raises(ConfigError, match="never spike.*looks at spikes: leave the loss out"):
            kind.from_options(network(), options)
    rstdp = LEARNERS["rstdp"]
    with pytest.raises(NetworkError, match="R-STDP pairs the spikes"):
        rstdp.from_options(network(), rstdp.Options(name="rstdp"))


def test_an_infinite_threshold_is_not_subtracted() -> None:
    neuron = snn.Leaky(0.9, threshold=math.inf, init_hidden=True)
    with pytest.raises(NetworkError, match="'1' subtracts or learns an infinite threshold.*'none'"):
        TemporalLFP(nn.Sequential(nn.Linear(6, 3), neuron)).forward(torch.rand(3, 2, 6))


def test_a_readout_has_no_rate_to_calibrate_or_to_wake() -> None:
    lfp = TemporalLFP(network().float())
    kept = lfp.net.get_parameter("2.weight").detach().clone()
    assert set(calibrate(lfp, a_batch(), 0.2)) == {"1"}
    assert torch.equal(lfp.net.get_parameter("2.weight"), kept)
    homeostasis = Homeostasis(lfp, HomeostasisOptions())
    assert [layer.name for layer in homeostasis.layers] == ["1"]
