"""A loss in the place of a reward: its sign, its ends, and what is refused."""

from __future__ import annotations

import math
from typing import Any

import pytest
import snntorch as snn
import torch
from snntorch import functional as sf
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lfp_snn import TemporalLFP, calibrate
from lfp_snn.errors import ConfigError, ShapeError
from lfp_snn.rewards import FromLoss
from lfp_snn.rules import Epsilon, Rescale, Rule

T, B, C = 8, 40, 4
LOSSES: dict[str, Any] = {
    "spikes": sf.ce_count_loss(),
    "membranes": sf.ce_max_membrane_loss(),
    "values": lambda o, y: cross_entropy(o.mean(0), y),
}
RULES: tuple[Rule, ...] = (Rescale(), Epsilon(0.1))


def network(end: str) -> nn.Sequential:
    torch.manual_seed(0)
    last: dict[str, list[nn.Module]] = {
        "spikes": [snn.Leaky(0.9, init_hidden=True, output=True)],
        "membranes": [snn.Leaky(0.9, threshold=math.inf, reset_mechanism="none", init_hidden=True)],
        "values": [],
    }
    lif = snn.Leaky(0.9, init_hidden=True)
    return nn.Sequential(nn.Linear(16, 30), lif, nn.Linear(30, C), *last[end])


def data() -> tuple[Tensor, Tensor]:
    """Four classes, each with one input that is large."""
    draw = torch.Generator().manual_seed(1)
    labels = torch.arange(B) % C
    x = torch.rand(B, 16, generator=draw) * 0.3
    x[torch.arange(B), labels] += 1
    return x, labels


def output_of(lfp: TemporalLFP, spikes: Tensor) -> Tensor:
    return lfp.membranes if lfp.is_readout else spikes


def feedback_of(lfp: TemporalLFP) -> list[Tensor]:
    return [parameter.feedback.clone() for parameter in lfp.parameters()]  # type: ignore[attr-defined]


@pytest.mark.parametrize("rule", RULES, ids=repr)
@pytest.mark.parametrize("end", LOSSES)
def test_steps_against_it_lower_the_loss(end: str, rule: Rule) -> None:
    net, (x, labels), loss = network(end), data(), LOSSES[end]
    lfp = TemporalLFP(net, rule)
    calibrate(lfp, x, steps=T)
    optimizer = torch.optim.Adam(net.parameters(), 0.01)
    seen = []
    for _ in range(15):
        spikes = lfp.forward(x, steps=T)
        seen.append(float(loss(output_of(lfp, spikes), labels)))
        lfp.backward(loss=loss, labels=labels)
        optimizer.step()
    assert seen[-1] < 0.9 * seen[0]


@pytest.mark.parametrize("backend", ["torch", "events"])
@pytest.mark.parametrize("end", LOSSES)
def test_it_is_the_reward_made_of_the_loss(end: str, backend: str) -> None:
    (x, labels), loss = data(), LOSSES[end]
    frames = x.expand(T, B, 16) * torch.rand(T, 1, 1)
    lengths = torch.randint(1, T + 1, (B,))
    lfp = TemporalLFP(network(end), backend=backend)
    output: Any = end
    for said in (None, False, True):
        spikes = lfp.forward(frames, lengths=lengths)
        takes = end == "spikes"
        reward = FromLoss(loss, said).at_output(output, takes_credit=takes)
        entering = reward(spikes, labels, lengths=lengths, membranes=lfp.membranes)
        lfp.backward(entering, as_credit=reward.is_credit, retain=True)
        expected = feedback_of(lfp)
        assert expected[0].any()
        lfp.backward(loss=loss, labels=labels, as_credit=said)
        for found, feedback in zip(feedback_of(lfp), expected, strict=True):
            assert torch.equal(found, feedback)


def test_the_rule_of_the_pass_says_whether_it_is_credit() -> None:
    (x, labels), loss = data(), LOSSES["spikes"]
    lfp = TemporalLFP(network("spikes"), Epsilon(0.1), backend="torch")
    spikes = lfp.forward(x, steps=T)
    reward = FromLoss(loss, at_silence=True)(spikes, labels)
    lfp.backward(reward, as_credit=True, rule=Rescale(), retain=True)
    expected = feedback_of(lfp)
    lfp.backward(loss=loss, labels=labels, rule=Rescale())
    for found, feedback in zip(feedback_of(lfp), expected, strict=True):
        assert torch.equal(found, feedback)


def test_a_loss_may_take_the_output_alone_and_labels_as_a_list() -> None:
    x, labels = data()
    lfp = TemporalLFP(network("spikes"))
    found = []
    for given in (
        {"loss": LOSSES["spikes"], "labels": labels.tolist()},
        {"loss": lambda spikes: LOSSES["spikes"](spikes, labels)},
    ):
        lfp.forward(x, steps=T)
        lfp.backward(**given)
        found.append(feedback_of(lfp))
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


def test_through_chunks_of_time_it_is_the_same() -> None:
    x, labels = data()
    found = []
    for memory in ("full", "chunked"):
        options: dict[str, Any] = {"memory": memory, "chunk": 3 if memory == "chunked" else None}
        lfp = TemporalLFP(network("membranes").double(), **options)
        lfp.forward(x.double(), steps=T)
        lfp.backward(loss=sf.mse_membrane_loss(), labels=labels)
        found.append(feedback_of(lfp))
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(
    ("given", "error", "told"),
    [
        ({}, ConfigError, "takes a reward or a loss, one of them"),
        (
            {"reward": torch.zeros(T, B, C), "loss": LOSSES["spikes"]},
            ConfigError,
            "takes a reward or a loss",
        ),
        ({"loss": torch.tensor(1.0)}, ConfigError, "as a function, not the number that it gave"),
        ({"loss": LOSSES["spikes"]}, ShapeError, r"takes labels.*loss=ce_count_loss, labels=lab"),
        ({"loss": nn.MSELoss}, ConfigError, r"not the class MSELoss: .*FromLoss\(MSELoss\(\)\)"),
        (
            {"loss": nn.CrossEntropyLoss(), "labels": torch.zeros(B).long()},
            ShapeError,
            "CrossEntropyLoss fails on spikes of shape .*takes a sum over it",
        ),
        ({"reward": torch.tensor(1.0)}, ShapeError, r"lfp.backward\(loss=loss_fn, labels=labels"),
    ],
)
def test_what_is_no_loss_is_told(given: dict[str, Any], error: type[Exception], told: str) -> None:
    lfp = TemporalLFP(network("spikes"))
    lfp.forward(data()[0], steps=T)
    with pytest.raises(error, match=told):
        lfp.backward(**given)
