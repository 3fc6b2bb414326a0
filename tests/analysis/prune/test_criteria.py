"""Scores of weights, against one synapse at a time in float64."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

from lfp_snn.analysis.prune.criteria import magnitude, randomly, relevance, weights
from lfp_snn.errors import NetworkError
from lfp_snn.learners import LEARNERS
from lfp_snn.learners.lfp import LFPOptions
from lfp_snn.learners.losses import make_loss, make_surrogate
from lfp_snn.learners.surrogate import BPTT
from lfp_snn.spikes import Spikes
from lfp_snn.training import calibrate
from tests.engine.compare import leaky
from tests.oracle_rules import OracleRule, split
from tests.training.conftest import make_splits

Floats = npt.NDArray[np.float64]
BETA, THETA = float(np.float32(0.9)), 1.0  # snntorch keeps the decay in float32


def layer(currents: Floats) -> tuple[Floats, Floats, Floats]:
    """Spikes, kept membranes and what of them is left, of neurons with a delayed subtraction."""
    spikes, kept, membrane = np.zeros_like(currents), [], np.zeros(currents.shape[1])
    for step, current in enumerate(currents):
        kept.append(membrane)
        membrane = BETA * membrane + current - THETA * (membrane > THETA)
        spikes[step] = membrane > THETA
    return spikes, np.array(kept), BETA * np.array(kept)


def credit(arriving: Floats, kept: Floats, decayed: Floats, currents: Floats) -> Floats:
    """The credit of every current, by the rule Norm."""
    n = np.zeros_like(currents)
    for unit in range(currents.shape[1]):
        carried = 0.0
        for step in reversed(range(len(currents))):
            carried, n[step, unit] = split(
                OracleRule("norm"),
                arriving[step, unit] + carried,
                kept[step, unit],
                decayed[step, unit],
                currents[step, unit],
            )
    return n


def oracle(net: nn.Sequential, trains: Floats) -> tuple[Floats, Floats]:
    """The size of the relevance through each synapse of two layers, for one sample ``[T, I]``."""
    first, second = (
        (m.weight.detach().double().numpy(), m.bias.detach().double().numpy())
        for m in net
        if isinstance(m, nn.Linear)
    )
    currents = [trains @ first[0].T + first[1]]
    hidden = layer(currents[0])
    currents.append(hidden[0] @ second[0].T + second[1])
    out = layer(currents[1])
    read = out[0].sum(0).argmax()
    initial = np.zeros_like(out[0])
    initial[:, read] = out[0][:, read]
    above = credit(initial, out[1], out[2], currents[1])
    below = credit(hidden[0] * (above @ second[0]), hidden[1], hidden[2], currents[0])
    return np.abs(first[0] * (below.T @ trains)), np.abs(second[0] * (above.T @ hidden[0]))


def spiking(net: nn.Sequential) -> nn.Sequential:
    splits = make_splits()
    learner = LEARNERS["lfp"].from_options(net, LFPOptions())
    calibrate(learner.engine, splits.train.batch(range(20)), 0.1)
    return net


def test_relevance_is_what_goes_through_a_synapse(net: nn.Sequential) -> None:
    """Of both learners alike: the sizes of single samples add up, whatever their classes."""
    net, samples = spiking(net).double(), make_splits().test
    expected = [np.zeros(w.shape) for w in weights(net).values()]
    for index in range(len(samples)):
        x = samples.batch([index]).x
        assert isinstance(x, Spikes)
        for total, found in zip(expected, oracle(net, x.dense()[:, 0].numpy()), strict=True):
            total += found
    assert all(total.any() for total in expected)
    bptt = BPTT(net, make_loss("ce_count_loss", {}), make_surrogate("atan", None))
    for learner in (LEARNERS["lfp"].from_options(net, LFPOptions()), bptt):
        scores = relevance(learner, samples)
        for total, score in zip(expected, scores.values(), strict=True):
            np.testing.assert_allclose(score.numpy(), total, rtol=1e-9, atol=1e-12)
    assert all(p.grad is None for p in net.parameters())


def test_only_synapses_have_scores(net: nn.Sequential) -> None:
    assert list(magnitude(net)) == [n for n, p in net.named_parameters() if n.endswith("weight")]
    for name, size in magnitude(net).items():
        torch.testing.assert_close(size, net.get_parameter(name).detach().abs())


def test_random_orders_follow_from_the_draw(net: nn.Sequential) -> None:
    one, again, other = (randomly(net, draw) for draw in (0, 0, 1))
    for name, numbers in one.items():
        assert torch.equal(numbers, again[name]) and not torch.equal(numbers, other[name])


def test_relevance_of_a_readout_is_refused_with_the_criteria_that_take_it() -> None:
    readout = leaky(threshold=float("inf"), reset_mechanism="none", output=True)
    learner = LEARNERS["lfp"].from_options(nn.Sequential(nn.Linear(20, 3), readout), LFPOptions())
    with pytest.raises(NetworkError, match="a reset, or prune by --criteria magnitude,random"):
        relevance(learner, make_splits().val)
