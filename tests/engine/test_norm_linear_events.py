"""Normalisations behind fully connected layers on lists of events: equal to the reference."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn import Spikes, TemporalLFP
from lfp_snn.engine.options import Statistics
from lfp_snn.rules import Epsilon, Gamma, Rescale, Rule
from tests.crossed import crossed
from tests.engine.compare import assert_near, leaky, signals, strong, trains
from tests.engine.test_norm_events import found
from tests.engine.test_rescale import RESETS

T, B, INPUTS, HIDDEN = 7, 3, 20, 70  # more than a block of 64, and none whole
LENGTHS = torch.tensor([7, 5, 2])
NORMS: dict[str, Any] = {
    "batch": lambda: nn.BatchNorm1d(HIDDEN),
    "batch, plain": lambda: nn.BatchNorm1d(HIDDEN, affine=False, momentum=None),
    "batch per step": lambda: snn.BatchNormTT1d(HIDDEN, T),
    "layer": lambda: nn.LayerNorm(HIDDEN),
    "group": lambda: nn.GroupNorm(7, HIDDEN),
}
Stats = ("statistics", ["fixed", "through"])


def network(norm: str, *, bias: bool = True, **neurons: Any) -> Any:
    """Two layers with a norm and a readout, float64; one channel is turned round."""
    hidden = [
        *(nn.Linear(INPUTS, HIDDEN, bias=bias), NORMS[norm](), leaky(**neurons)),
        *(nn.Linear(HIDDEN, HIDDEN, bias=bias), NORMS[norm](), leaky(**neurons)),
    ]
    net = strong(nn.Sequential(*hidden, nn.Linear(HIDDEN, 3), leaky()), seed=3)
    if isinstance(net[1], nn.BatchNorm1d) and net[1].affine:
        with torch.no_grad():
            net[1].weight[0] = -0.4
    return net


def assert_equal(
    net: nn.Module,
    rule: Rule,
    x: Any,
    *,
    train: bool = True,
    statistics: Statistics = "through",
    tolerance: float = 1e-10,
    **how: Any,
) -> None:
    """Both backends with networks of their own, whose running statistics move alike."""
    results = []
    for backend in ("torch", "events"):
        lfp = TemporalLFP(deepcopy(net), rule, backend, statistics=statistics).train(train)
        results.append(found(lfp, x, **how))
        served = {lfp.kernels.get(str(n)) for n in range(6)}
        assert served == {None if backend == "torch" else "events: linear, norm"}
    expected, ours = results
    assert expected.keys() == ours.keys()
    assert expected["0.weight"].any()
    for name, total in expected.items():
        assert_near(ours[name], total, tolerance)


@crossed(
    ("norm", list(NORMS)),
    ("rule", [Epsilon(0.1), Rescale(), Rescale("window", "decay"), Gamma(0.5)]),
    Stats,
    ("train", [True, False]),
)
def test_events_are_equal_to_the_reference(
    norm: str, rule: Rule, statistics: Statistics, train: bool
) -> None:
    x = trains(T, B, INPUTS)
    assert_equal(network(norm), rule, x, train=train, statistics=statistics)
    assert_equal(network(norm), rule, x, lengths=LENGTHS, train=train, statistics=statistics)


@crossed(("reset,delay", RESETS), ("bias", [True, False]))
def test_resets_and_synapses_without_bias(reset: str, delay: bool, bias: bool) -> None:
    net = network("batch", bias=bias, reset_mechanism=reset, reset_delay=delay)
    assert_equal(net, Rescale(), trains(T, B, INPUTS))


def test_lists_of_values_and_float32() -> None:
    x = trains(T, B, INPUTS)
    x[0] *= 0.5
    for rule in (Epsilon(0.1), Rescale()):
        assert_equal(network("batch"), rule, Spikes.from_dense(x))
    net = network("batch").float()
    assert_equal(net, Rescale(), Spikes.from_dense(x.float()), tolerance=2e-5)


def test_dense_and_constant_inputs_take_the_way_around() -> None:
    net, x = network("batch"), trains(T, B, INPUTS)
    dense = x + 0.01 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).double()
    assert_equal(net, Rescale(), dense)
    assert_equal(net, Rescale(), 0.7 * x[0], steps=T, lengths=LENGTHS)


def test_a_norm_of_each_step_takes_a_constant_input() -> None:
    x = 0.7 * trains(1, B, INPUTS)[0]
    assert_equal(network("batch per step"), Rescale(), x, steps=T, lengths=LENGTHS)


def test_frozen_parameters_learn_nothing() -> None:
    net = network("batch")
    for name in ("0.weight", "1.bias", "4.weight"):
        net.get_parameter(name).requires_grad_(False)
    lfp = TemporalLFP(net, Rescale(), "events", statistics="through").train()
    lfp.backward(signals(lfp.forward(trains(T, B, INPUTS))))
    for parameter in net.parameters():
        assert (getattr(parameter, "feedback", None) is not None) == parameter.requires_grad


def test_a_norm_of_each_sample_goes_on_in_chunks_of_time() -> None:
    net, x = network("layer"), trains(T, B, INPUTS)
    whole = found(TemporalLFP(net, Rescale(), "events"), x, lengths=LENGTHS)
    parts = TemporalLFP(net, Rescale(), "events", memory="chunked", chunk=3)
    for name, total in found(parts, x, lengths=LENGTHS).items():
        assert_near(total, whole[name])


def test_an_output_behind_a_norm_keeps_its_membranes() -> None:
    net = strong(nn.Sequential(nn.Linear(INPUTS, HIDDEN), nn.BatchNorm1d(HIDDEN), leaky()))
    x = trains(T, B, INPUTS)
    ours, expected = (
        found(TemporalLFP(deepcopy(net), Rescale(), backend).train(), x)
        for backend in ("events", "torch")
    )
    for name, total in expected.items():
        assert_near(ours[name], total)


class Heard:
    """An exchange with nobody: the calls that were made, with their shapes."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[int, ...]]] = []
        self.parts: list[Tensor | None] = []

    def add(self, part: Tensor | None, like: Tensor) -> None:
        self.calls.append(("add", tuple(like.shape)))
        self.parts.append(part)

    def collect(self) -> list[Tensor | None]:
        parts, self.parts = self.parts, []
        return parts

    def sum(self, part: Tensor) -> Tensor:
        self.calls.append(("sum", tuple(part.shape)))
        return part


@pytest.mark.parametrize("backend", ["torch", "events"])
@pytest.mark.parametrize("frozen", [False, True])
@pytest.mark.parametrize("first", ["linear", "convolution"])
def test_who_has_no_sample_makes_the_same_calls(first: str, frozen: bool, backend: str) -> None:
    """The norm is of the first layer, before which nothing learns but its own synapse."""
    if first == "linear":
        begin = (nn.Linear(INPUTS, 6), nn.BatchNorm1d(6), leaky())
        x = trains(T, B, INPUTS)
    else:
        begin = (nn.Conv2d(1, 6, 2), nn.BatchNorm2d(6), leaky(), nn.Flatten())  # type: ignore[assignment]
        x = trains(T, B, 1, 2, 2)
    net = strong(nn.Sequential(*begin, nn.Linear(6, 3), leaky()))
    net[0].requires_grad_(not frozen)
    heard = []
    for has_samples in (True, False):
        lfp = TemporalLFP(net, Rescale(), backend, statistics="through").train()
        lfp.exchange = exchange = Heard()
        if has_samples:
            lfp.backward(signals(lfp.forward(x)))
        else:
            lfp.sit_out()
        heard.append(exchange.calls)
    assert heard[0] == heard[1]
    assert ("sum", (3, 1, 6)) in heard[0]  # of the statistics
    assert (("sum", (2, 1, 6)) in heard[0]) or frozen  # of the means on the way back
