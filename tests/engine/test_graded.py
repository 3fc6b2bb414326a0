"""Graded spikes: neurons whose spikes have a value, and inputs that are neither 0 nor 1."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lfp_snn import Spikes, TemporalLFP
from lfp_snn.errors import ShapeError
from lfp_snn.rules import Epsilon
from tests import oracle
from tests.engine.compare import (
    BACKENDS,
    assert_feedback_equal,
    assert_near,
    currents,
    feedback_at,
    leaky,
    signals,
    step_by_step,
    strong,
    trains,
)
from tests.oracle_modules import add_module

EPS = 1e-6
FACTORS = torch.tensor([0.5, -1.5, 2.0, 0.7, 1.0])


def mlp(factor: Tensor, **options: Any) -> nn.Sequential:
    graded = leaky(graded_spikes_factor=factor, **options)
    net: nn.Sequential = strong(
        nn.Sequential(nn.Linear(6, 5), graded, nn.Linear(5, 3), leaky(threshold=0.3, output=True)),
        seed=4,
    )
    return net


def csnn(factor: Tensor) -> nn.Sequential:
    graded = leaky(graded_spikes_factor=factor, learn_graded_spikes_factor=True)
    layers = [nn.Conv2d(1, 2, 2), graded, nn.MaxPool2d(2, 1), nn.Flatten()]
    net: nn.Sequential = strong(
        nn.Sequential(*layers, nn.Linear(2, 3), leaky(threshold=0.3, output=True)), seed=4
    )
    return net


def graded_oracle(net: nn.Sequential, shape: tuple[int, ...]) -> oracle.Network:
    """A value for each spike is one weight for each neuron."""
    slow = oracle.Network(net, shape, EPS)
    node: oracle.Node = slow.input
    for name, module in net.named_children():
        node = add_module(slow, node, module, name)
        factor: Any = getattr(module, "graded_spikes_factor", None)
        if factor is None or (not factor.requires_grad and bool((factor == 1).all())):
            continue
        entry = torch.arange(factor.numel()).view_as(factor).expand(node.shape).flatten().tolist()
        each = factor.detach().expand(node.shape).flatten().tolist()
        terms = []
        for j, (k, g) in enumerate(zip(entry, each, strict=True)):
            own = oracle.Parameter(f"{name}.graded_spikes_factor", k)
            learns = factor.requires_grad
            terms.append(oracle.Term(j, node, j, 1.0 if learns else g, own if learns else None))
        node = slow.add(oracle.Linear(node.shape, terms))
    return slow


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("learn", [False, True])
@pytest.mark.parametrize(
    ("factor", "options"),
    [
        (torch.tensor(2.5), {}),
        (FACTORS, {"reset_delay": False}),
        (FACTORS, {"reset_mechanism": "zero", "reset_delay": False}),
    ],
)
def test_graded_spikes_equal_the_oracle(
    factor: Tensor, options: dict[str, Any], learn: bool, backend: str
) -> None:
    net = mlp(factor.clone(), learn_graded_spikes_factor=learn, **options)
    x = trains(8, 2, 6)
    slow = graded_oracle(net, (6,))
    expected = torch.from_numpy(slow.run(x.numpy(), [8, 5]))
    slow.send_back(signals(expected).numpy())
    lfp = TemporalLFP(net, Epsilon(EPS), backend=backend)
    spikes = lfp.forward(x, lengths=torch.tensor([8, 5]))
    assert torch.equal(spikes, expected) and expected.any()
    assert lfp.layer_spikes()["1"].flatten(0, 1).any(0).all(), "a silent neuron shows nothing"
    relevance = lfp.backward(signals(spikes), input_relevance=True)
    assert isinstance(relevance, Tensor) and relevance.any()
    assert_near(relevance, torch.from_numpy(slow.input.relevance))
    assert_feedback_equal(net, slow, ())


@pytest.mark.parametrize("backend", BACKENDS)
def test_graded_maps_equal_the_oracle(backend: str) -> None:
    net, x = csnn(torch.tensor([1.5, -0.5]).view(2, 1, 1)), trains(6, 2, 1, 3, 3)
    slow = graded_oracle(net, (1, 3, 3))
    expected = torch.from_numpy(slow.run(x.numpy()))
    slow.send_back(signals(expected).numpy())
    lfp = TemporalLFP(net, Epsilon(EPS), backend=backend)
    spikes = lfp.forward(Spikes.from_dense(x.float()) if backend == "events" else x)
    assert torch.equal(spikes, expected) and expected.any()
    assert lfp.layer_spikes()["1"].flatten(3).any(3).flatten(0, 1).any(0).all()
    lfp.backward(signals(spikes))
    assert_feedback_equal(net, slow, ())


@pytest.mark.parametrize("delay", [True, False])
def test_forward_equals_snntorch(delay: bool) -> None:
    net = mlp(FACTORS, reset_delay=delay)
    net[3].graded_spikes_factor = torch.tensor(-2.0)
    net, x = net.float(), trains(9, 3, 6).float()
    theirs = step_by_step(net, x)
    lfp = TemporalLFP(net)
    assert torch.equal(lfp.forward(x), theirs.spikes)
    torch.testing.assert_close(lfp.membranes, theirs.membranes, rtol=1e-5, atol=1e-5)
    assert set(theirs.spikes.flatten().tolist()) == {-2.0, 0.0}


def test_at_the_output_a_reward_is_a_relevance_and_its_spikes_teach_the_factor() -> None:
    x, plain = trains(8, 2, 6), mlp(torch.tensor(1.0))
    graded = mlp(torch.tensor(1.0))
    factor = nn.Parameter(torch.tensor([2.0, -0.5, 1.0]).double())
    graded[3].graded_spikes_factor = factor
    found = []
    for net in (plain, graded):
        lfp = TemporalLFP(net, Epsilon(EPS))
        spikes = lfp.forward(x)
        reward = signals(spikes)
        lfp.backward(reward)
        found.append([feedback_at(net.get_parameter(f"{k}.weight")) for k in (0, 2)])
    for one, other in zip(*found, strict=True):
        assert_near(one, other)
    expected = factor.detach().sign() * ((spikes != 0) * reward).sum((0, 1))
    assert_near(feedback_at(factor), expected)


def test_a_factor_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ShapeError, match="'1' has graded_spikes_factor of shape"):
        TemporalLFP(mlp(torch.ones(2, 5, 5) * 2), backend="torch").forward(trains(3, 2, 6))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("listed", [False, True])
def test_graded_inputs_equal_the_oracle(backend: str, listed: bool) -> None:
    net, x = mlp(torch.tensor(1.0)), currents(8, 2, 6)
    slow = graded_oracle(net, (6,))
    expected = torch.from_numpy(slow.run(x.numpy()))
    slow.send_back(signals(expected).numpy())
    lfp = TemporalLFP(net, Epsilon(EPS), backend=backend)
    spikes = lfp.forward(Spikes.from_dense(x) if listed else x)
    assert torch.equal(spikes, expected) and expected.any()
    lfp.backward(signals(spikes))
    assert_feedback_equal(net, slow, ())
