"""Rescale on lists of events: equal to the reference, whatever network, input, memory and rule."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lfp_snn import Spikes, TemporalLFP
from lfp_snn.backends.events import conv
from lfp_snn.rules import Epsilon, Gamma, Rescale, Rule
from tests.crossed import crossed
from tests.engine.compare import (
    assert_near,
    assert_same_feedback,
    feedback_of,
    leaky,
    signals,
    strong,
    trains,
)
from tests.engine.test_rescale import FORMS, RESETS

MEMORY: tuple[dict[str, Any], ...] = ({}, {"memory": "chunked", "chunk": 4})
LENGTHS = torch.tensor([9, 6, 3])
#: Layers below a linear readout of 3 classes, its inputs, and the shape of a frame.
BELOW: dict[str, tuple[Callable[..., list[nn.Module]], int, tuple[int, ...]]] = {
    "linear": (lambda n: [nn.Linear(6, 70), n(), nn.Linear(70, 9), n()], 9, (6,)),
    "convolution": (lambda n: [nn.Conv2d(1, 3, 3), n()], 48, (1, 6, 6)),
    "maximum": (lambda n: [nn.Conv2d(1, 3, 3), n(), nn.MaxPool2d(2)], 12, (1, 6, 6)),
    "mean": (lambda n: [nn.Conv2d(1, 3, 3), n(), nn.AvgPool2d(2)], 12, (1, 6, 6)),
    "deep": (
        lambda n: [
            *(nn.Conv2d(2, 3, 3), n(), nn.MaxPool2d(2)),
            *(nn.Conv2d(3, 4, 2), n(), nn.AvgPool2d(2)),
        ],
        16,
        (2, 12, 12),
    ),
    "overlapping": (
        lambda n: [
            *(nn.Conv2d(2, 3, 3), n(), nn.MaxPool2d(3, 2)),
            *(nn.Conv2d(3, 4, 2), n(), nn.AvgPool2d(2, 1)),
        ],
        16,
        (2, 12, 12),
    ),
    "groups": (
        lambda n: [
            *(nn.Conv2d(4, 6, 3, groups=2, dilation=2), n()),
            *(nn.Conv2d(6, 4, 3, groups=2, stride=2, padding=1), n(), nn.MaxPool2d(2)),
        ],
        4,
        (4, 8, 8),
    ),
    "lines": (
        lambda n: [nn.Conv1d(2, 3, 3), n(), nn.MaxPool1d(2), nn.Conv1d(3, 4, 2), n()],
        32,
        (2, 20),
    ),
}


Run = Callable[[TemporalLFP], Tensor]


def whole(x: Tensor) -> Run:
    """A pass over all of x, in which samples end at different steps."""
    return lambda lfp: lfp.forward(x, lengths=LENGTHS)


def network(name: str, **neurons: Any) -> tuple[Any, tuple[int, ...]]:
    """One of :data:`BELOW` with its readout, float64, and the shape of its frames."""
    make, features, frame = BELOW[name]
    head = [nn.Flatten(), nn.Linear(features, 3), leaky(threshold=0.4, **neurons)]
    return strong(nn.Sequential(*make(lambda: leaky(**neurons)), *head), seed=3), frame


def found(lfp: TemporalLFP, run: Run, **how: Any) -> dict[str, Tensor]:
    """Feedback of all parameters and relevance of the input, which a signal at the output gives."""
    relevance = lfp.backward(signals(run(lfp)), input_relevance=True, **how)
    dense = relevance.dense() if isinstance(relevance, Spikes) else relevance
    assert dense is not None
    return feedback_of(lfp.net) | {"input": dense}


def assert_equal(net: nn.Module, rule: Rescale, run: Run, **how: Any) -> None:
    """Both backends, in one piece and in chunks."""
    expected = found(TemporalLFP(net, rule, "torch"), run, **how)
    assert any(total.any() for total in expected.values())
    for memory in MEMORY:
        lfp = TemporalLFP(net, rule, "events", **memory)
        assert lfp.kernels["0"].startswith("events")
        for name, total in found(lfp, run, **how).items():
            assert_near(total, expected[name])


@crossed(("name", list(BELOW)), ("rule", [*FORMS, Rescale(synapse=Gamma(0.5))]))
def test_events_are_equal_to_the_reference(name: str, rule: Rescale) -> None:
    resets = RESETS if name in ("linear", "deep") else (RESETS[0], RESETS[-2])
    for reset, delay in resets:
        net, frame = network(name, reset_mechanism=reset, reset_delay=delay)
        assert_equal(net, rule, whole(trains(9, 3, *frame)), as_credit=True)


@pytest.mark.parametrize("name", BELOW)
def test_a_reward_at_spikes_enters_as_relevance(name: str) -> None:
    net, frame = network(name)
    for rule in FORMS:
        assert_equal(net, rule, whole(trains(9, 3, *frame)), as_credit=False)


@pytest.mark.parametrize("name", BELOW)
def test_dense_and_constant_inputs_and_streams_are_equal_too(name: str) -> None:
    net, frame = network(name)
    x = trains(9, 3, *frame)
    dense = x + 0.01 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1)).double()

    def streamed(lfp: TemporalLFP) -> Tensor:
        lfp.forward(x[:4], record=False)
        return lfp.forward(x[4:], state=lfp.state)

    def constant(lfp: TemporalLFP) -> Tensor:
        return lfp.forward(0.7 * x[0], steps=9)

    for rule, run in zip(FORMS, (whole(dense), constant, streamed, whole(dense)), strict=True):
        assert_equal(net, rule, run, as_credit=True)


@pytest.mark.parametrize("name", ["maximum", "deep", "groups"])
def test_membranes_that_are_repeated_are_the_same(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conv, "_STORE", 0)
    monkeypatch.setattr(conv, "_TILE", 1)
    for (reset, delay), rule in zip(RESETS, (*FORMS, FORMS[0]), strict=True):
        net, frame = network(name, reset_mechanism=reset, reset_delay=delay)
        assert_equal(net, rule, whole(trains(9, 3, *frame)), as_credit=True)


@pytest.mark.parametrize("name", ["deep", "groups", "lines"])
def test_a_rule_that_forwards_did_not_expect_finds_the_same_gates(name: str) -> None:
    unexpected: list[Rule] = [Epsilon(0.1), Rescale(gate="window"), Rescale(gate="positive")]
    for (reset, delay), rule in zip(RESETS, (*FORMS, FORMS[0]), strict=True):
        net, frame = network(name, reset_mechanism=reset, reset_delay=delay)
        x, found = trains(9, 3, *frame), []
        for expected in (rule, *unexpected):
            lfp = TemporalLFP(net, expected, "events")
            spikes = lfp.forward(x, lengths=LENGTHS)
            lfp.backward(signals(spikes), rule=rule, as_credit=True)
            found.append(feedback_of(net))
        for each in found[1:]:
            assert_same_feedback(each, found[0])


def test_a_silent_window_hands_its_credit_to_its_first_unit() -> None:
    """One window of four units below theta: the first alone learns, from both backends."""
    layers = [nn.Conv2d(1, 1, 1, bias=False), leaky(), nn.MaxPool2d(2), nn.Flatten()]
    net: Any = nn.Sequential(*layers, nn.Linear(1, 1, bias=False), leaky()).double()
    with torch.no_grad():
        net[0].weight.fill_(0.5)
        net[4].weight.fill_(1.0)
    x = torch.zeros(1, 1, 1, 2, 2, dtype=torch.float64)
    for backend in ("torch", "events"):
        lfp = TemporalLFP(net, Rescale(eps=0.1), backend)
        of_unit = []
        for unit in range(4):
            one = x.clone()
            one.view(-1)[unit] = 1.0
            spikes = lfp.forward(Spikes.from_dense(one))
            assert not spikes.any()
            lfp.backward(torch.ones_like(spikes), as_credit=True)
            of_unit.append(float(net[0].weight.feedback))
        # Output: u = 0, so 1 / (1 + 1 + eps). Hidden: u = 0.5, so 1 / (0.5 + 1 + eps).
        assert of_unit == pytest.approx([0.5 / (2.1 * 1.6), 0.0, 0.0, 0.0])
