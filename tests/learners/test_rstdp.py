"""R-STDP against Florian's equations, written out one synapse and one step at a time."""

from __future__ import annotations

import math
from typing import Any

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn.data import Batch, load
from lfp_snn.errors import NetworkError
from lfp_snn.learners.rstdp import RSTDP, RSTDPOptions
from lfp_snn.models import build
from lfp_snn.spikes import Spikes
from lfp_snn.training import fit

STEPS, BATCH, UNITS, HIDDEN, CLASSES = 9, 4, 6, 5, 3


def oracle(pre: Tensor, post: Tensor, reward: Tensor, options: RSTDPOptions) -> Tensor:
    """Change of one layer's weights [N, M] in float64, z of every synapse kept.

    ``pre`` [T, B, M], ``post`` [T, B, N], ``reward`` [T, B, N]: r(t + 1) for each neuron.
    """
    change = torch.zeros(post.shape[2], pre.shape[2], dtype=torch.float64)
    for b in range(pre.shape[1]):
        for i in range(post.shape[2]):
            for j in range(pre.shape[2]):
                plus = minus = z = 0.0
                for t in range(pre.shape[0]):
                    f_j, f_i = float(pre[t, b, j]), float(post[t, b, i])
                    plus = plus * math.exp(-1 / options.tau_plus) + options.a_plus * f_j
                    minus = minus * math.exp(-1 / options.tau_minus) + options.a_minus * f_i
                    zeta = plus * f_i + minus * f_j
                    z = z * math.exp(-1 / options.tau_e) + zeta / options.tau_e
                    change[i, j] += float(reward[t, b, i]) * z
    return change


def make(options: RSTDPOptions) -> tuple[nn.Sequential, RSTDP, Batch]:
    torch.manual_seed(0)
    net = build("mlp", (UNITS,), CLASSES, hidden=[HIDDEN], scale=5.0).double()
    x = (torch.rand(STEPS, BATCH, UNITS) < 0.5).double()
    return net, RSTDP(net, options), Batch(Spikes.from_dense(x), torch.tensor([0, 1, 2, 1]))


@pytest.mark.parametrize("modulation", ["class", "global"])
@pytest.mark.parametrize("lengths", [None, torch.tensor([9, 4, 7, 1])])
def test_updates_are_florians(modulation: Any, lengths: Tensor | None) -> None:
    options = RSTDPOptions(tau_plus=3.0, tau_minus=5.0, tau_e=4.0, modulation=modulation)
    net, learner, batch = make(options)
    batch = Batch(batch.x, batch.labels, lengths)
    learner.feedback(batch)

    own = learner.layer_spikes(batch)  # from the engine: another way to the same spikes
    hidden, out = own.values()
    assert isinstance(batch.x, Spikes)
    p = torch.softmax(out.sum(0), -1)
    truth = nn.functional.one_hot(batch.labels, CLASSES).double()
    missing = 1 - (p * truth).sum(-1)
    overall = torch.where(out.sum(0).argmax(-1) == batch.labels, missing, -missing)
    alive = torch.ones(STEPS, BATCH, dtype=torch.float64)
    if lengths is not None:
        alive = (torch.arange(STEPS)[:, None] < lengths).double()
    scalar = (overall * alive)[..., None]
    by_class = (truth - p) * alive[..., None] if modulation == "class" else scalar
    first = oracle(batch.x.dense().double(), hidden, scalar.expand_as(hidden), options)
    second = oracle(hidden, out, by_class.expand_as(out), options)
    weights = [each for each in net if isinstance(each, nn.Linear)]
    for layer, expected in zip(weights, (first, second), strict=True):
        assert layer.weight.grad is not None and layer.bias.grad is None
        assert torch.allclose(-layer.weight.grad, expected, rtol=1e-6, atol=1e-12)
        assert float(expected.abs().max()) > 1e-3


def test_hidden_layers_can_stay_as_they_are() -> None:
    net, learner, batch = make(RSTDPOptions(layers="last"))
    learner.feedback(batch)
    first, second = (each for each in net if isinstance(each, nn.Linear))
    assert first.weight.grad is None
    assert second.weight.grad is not None and bool(second.weight.grad.any())


def test_a_convolution_sums_over_its_places() -> None:
    """One 1x1 convolution is a linear layer at every place."""
    torch.manual_seed(0)
    conv, linear = nn.Conv2d(3, 4, 1).double(), nn.Linear(3, 4).double()
    with torch.no_grad():
        conv.weight.copy_(3 * conv.weight)
        linear.weight.copy_(conv.weight[..., 0, 0])
        linear.bias.copy_(conv.bias)  # type: ignore[arg-type]

    def neuron() -> snn.Leaky:
        return snn.Leaky(beta=0.9, init_hidden=True, output=True)

    x = (torch.rand(STEPS, BATCH, 3, 1, 2) < 0.5).double()
    labels = torch.zeros(BATCH, dtype=torch.int64)
    options = RSTDPOptions(modulation="global")
    maps = RSTDP(nn.Sequential(conv, neuron()), options)
    with torch.no_grad():
        _, post, _, _ = maps._watch(Batch(Spikes.from_dense(x), labels))
    reward = torch.ones(STEPS, BATCH, 1, 1, 1, dtype=torch.float64)
    maps._pair("0", conv, x, post, reward)
    total = torch.zeros(4, 3, dtype=torch.float64)
    flat = RSTDPOptions(tau_e=options.tau_e)
    gated = torch.ones(STEPS, BATCH, 1, dtype=torch.float64)
    other = RSTDP(nn.Sequential(linear, neuron()), flat)
    for place in range(2):
        other._pair("0", linear, x[..., 0, place], post[..., 0, place], gated)
        assert linear.weight.grad is not None
        total += linear.weight.grad
    assert conv.weight.grad is not None
    assert torch.allclose(conv.weight.grad[..., 0, 0], total)


def test_pooling_before_the_neuron_is_refused() -> None:
    net = nn.Sequential(
        nn.Conv2d(1, 2, 3),
        nn.MaxPool2d(2),
        snn.Leaky(beta=0.9, init_hidden=True),
        nn.Flatten(),
        nn.Linear(8, 3),
        snn.Leaky(beta=0.9, init_hidden=True, output=True),
    )
    x = torch.ones(2, 1, 1, 6, 6)
    batch = Batch(Spikes.from_dense(x), torch.zeros(1, dtype=torch.int64))
    with pytest.raises(NetworkError, match="put pooling and reshaping behind the neuron"):
        RSTDP(net).feedback(batch)


def test_one_layer_learns_the_digits_clearly_above_chance() -> None:
    """DVS-digits (simulated), 2312-10: chance is 10 %."""
    digits = load("digits")
    torch.manual_seed(0)
    net = build("mlp", digits.train.feature_shape, 10, hidden=[])
    start = fit(
        net, digits, epochs=1, learner={"name": "step_gradient"}, seed=0, device="cpu"
    ).test_accuracy
    torch.manual_seed(0)
    net = build("mlp", digits.train.feature_shape, 10, hidden=[])
    settings: dict[str, Any] = {"learner": {"name": "rstdp"}, "optimizer": {"lr": 1e-3}}
    result = fit(net, digits, epochs=3, seed=0, device="cpu", **settings)
    assert start < 0.3
    assert result.test_accuracy > 0.6
