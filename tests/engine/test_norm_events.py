"""Batch normalisation behind convolutions on lists of events: equal to the reference."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lfp_snn import Spikes, TemporalLFP
from lfp_snn.engine.options import Statistics
from lfp_snn.errors import NetworkError
from lfp_snn.rules import Epsilon, Gamma, Norm, Rescale, Rule
from tests.engine.compare import assert_near, feedback_of, leaky, signals, strong, trains
from tests.engine.test_rescale import RESETS

LENGTHS = torch.tensor([9, 6, 3])
FRAME = (2, 12, 12)


def network(*, affine: bool = True, bias: bool = True, **neurons: Any) -> Any:
    """Two blocks, one of them in groups, with a pool each, and a readout; float64."""
    layers = [
        *(nn.Conv2d(2, 4, 3, bias=bias), nn.BatchNorm2d(4, affine=affine)),
        *(leaky(**neurons), nn.MaxPool2d(2)),
        *(nn.Conv2d(4, 6, 2, groups=2, bias=bias), nn.BatchNorm2d(6, affine=affine, momentum=None)),
        *(leaky(**neurons), nn.AvgPool2d(2), nn.Flatten()),
        *(nn.Linear(24, 3), leaky(threshold=0.4, **neurons)),
    ]
    net = strong(nn.Sequential(*layers), seed=3)
    if affine:
        with torch.no_grad():
            net[1].weight[0] = -0.4  # turns its channel round
            net[5].weight[1] = 0.0
    return net


def found(lfp: TemporalLFP, x: Tensor, **how: Any) -> dict[str, Tensor]:
    """All that a pass there and back leaves."""
    spikes = lfp.forward(x, **how)
    relevance = lfp.backward(signals(spikes), input_relevance=True)
    dense = relevance.dense() if isinstance(relevance, Spikes) else relevance
    assert dense is not None
    buffers = {name: each.double() for name, each in lfp.net.named_buffers() if "running" in name}
    return feedback_of(lfp.net) | buffers | {"input": dense, "membranes": lfp.membranes}


def assert_equal(
    net: nn.Module,
    rule: Rule,
    x: Tensor,
    *,
    train: bool = True,
    statistics: Statistics = "through",
    **how: Any,
) -> None:
    """Both backends with networks of their own, whose running statistics move alike."""
    results = []
    for backend in ("torch", "events"):
        lfp = TemporalLFP(deepcopy(net), rule, backend, statistics=statistics).train(train)
        results.append(found(lfp, x, **how))
        served = {kernel for name, kernel in lfp.kernels.items() if name in ("0", "1", "2", "3")}
        assert served == (set() if backend == "torch" else {"events: convolution, norm, pool"})
    expected, ours = results
    assert expected["0.weight"].any()
    for name, total in expected.items():
        assert_near(ours[name], total)


@pytest.mark.parametrize("statistics", ["fixed", "through"])
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("rule", [Epsilon(0.1), Norm(), Rescale(), Rescale("window", "decay")])
def test_events_are_equal_to_the_reference(rule: Rule, train: bool, statistics: Statistics) -> None:
    x = trains(9, 3, *FRAME)
    # Resets and norms are kernels of their own, so that not every pair of them is tried.
    for reset, delay in RESETS[train::2] if statistics == "through" else RESETS[:1]:
        net = network(reset_mechanism=reset, reset_delay=delay)
        assert_equal(net, rule, x, lengths=LENGTHS, train=train, statistics=statistics)
    assert_equal(net, rule, x, train=train, statistics=statistics)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("affine", [True, False])
def test_synapses_without_bias_and_norms_without_scale(affine: bool, bias: bool) -> None:
    net, x = network(affine=affine, bias=bias), trains(9, 3, *FRAME)
    for rule in (Epsilon(0.1), Rescale()):
        for train in (True, False):
            assert_equal(net, rule, x, train=train)


def test_dense_and_constant_inputs_take_the_way_around() -> None:
    net, x = network(), trains(9, 3, *FRAME)
    dense = x + 0.01 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).double()
    for rule in (Epsilon(0.1), Rescale()):
        assert_equal(net, rule, dense)
        assert_equal(net, rule, 0.7 * x[0], steps=9, lengths=LENGTHS)


def test_frozen_parameters_learn_nothing() -> None:
    net, x = network(), trains(9, 3, *FRAME)
    for name in ("0.weight", "1.bias", "5.weight"):
        net.get_parameter(name).requires_grad_(False)
    for backend in ("torch", "events"):
        lfp = TemporalLFP(net, Rescale(), backend, statistics="through").train()
        lfp.backward(signals(lfp.forward(x)))
        learnt = {
            name for name, p in net.named_parameters() if getattr(p, "feedback", None) is not None
        }
        assert learnt == {name for name, p in net.named_parameters() if p.requires_grad}


def test_chunks_of_time_with_running_statistics() -> None:
    net, x = network(), trains(9, 3, *FRAME)
    whole = found(TemporalLFP(net, Rescale(), "events").eval(), x, lengths=LENGTHS)
    lfp = TemporalLFP(net, Rescale(), "events", memory="chunked", chunk=4).eval()
    for name, total in found(lfp, x, lengths=LENGTHS).items():
        assert_near(total, whole[name])


def test_a_rule_that_tells_signs_apart_leaves_the_norm_to_the_reference() -> None:
    lfp = TemporalLFP(network(), Gamma(0.5), "events", statistics="through").train()
    spikes = lfp.forward(trains(9, 3, *FRAME))
    lfp.backward(signals(spikes))
    assert lfp.kernels["2"] == "events: neurons"
    assert "1" not in lfp.kernels


def test_a_norm_that_chunks_of_time_refuse_is_named() -> None:
    """Convolution, norm and neurons are one stage here, which has the name of the neurons."""
    head = (nn.Flatten(), nn.Linear(4 * 4 * 4, 3), leaky())
    net = strong(nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), leaky(), *head))
    lfp = TemporalLFP(net, backend="events", memory="chunked", chunk=4)
    with pytest.raises(NetworkError, match="'1' normalises"):
        lfp.forward(trains(8, 2, 2, 6, 6))
