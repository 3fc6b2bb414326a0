"""A loss as a reward: its sign against autograd, its size against a published reward."""

from __future__ import annotations

from typing import Any

import pytest
import snntorch.functional as sf
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from lfp_snn import TemporalLFP
from lfp_snn.errors import ConfigError, NotFiniteError, ShapeError
from lfp_snn.models import build
from lfp_snn.rewards import (
    TET,
    CountTarget,
    FromLoss,
    FromMembraneLoss,
    MembraneCoded,
    MembraneTarget,
    RateCoded,
    Reward,
    Sigmoid,
    SigmoidValues,
    SoftmaxRate,
    SoftmaxValues,
    TETReadout,
)
from lfp_snn.rewards.base import Output
from lfp_snn.rules import Epsilon, Rescale

T, B, C = 6, 5, 4
LOSSES: dict[str, Any] = {
    "cross-entropy of counts": lambda s, y: cross_entropy(s.sum(0), y, reduction="sum"),
    "squares": lambda s, y: (s - nn.functional.one_hot(y, C)).square().sum(),
    "ce_rate_loss": sf.ce_rate_loss(),
    "ce_count_loss": sf.ce_count_loss(),
    "mse_count_loss": sf.mse_count_loss(correct_rate=0.8, incorrect_rate=0.1),
}


def outputs() -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(0)
    spikes = (torch.rand(T, B, C, generator=draw) < 0.4).double()
    return spikes, torch.randint(C, (B,), generator=draw)


@pytest.mark.parametrize("name", LOSSES)
def test_it_is_the_gradient_turned_round(name: str) -> None:
    spikes, labels = outputs()
    leaf = spikes.clone().requires_grad_()
    LOSSES[name](leaf, labels).backward()
    assert leaf.grad is not None and leaf.grad.abs().sum() > 0
    credit = FromLoss(LOSSES[name], at_silence=True)
    assert credit.is_credit
    torch.testing.assert_close(credit(spikes, labels), -leaf.grad)
    relevance = FromLoss(LOSSES[name])
    assert not relevance.is_credit
    expected = torch.zeros_like(spikes)
    for t in range(T):
        for b in range(B):
            for c in range(C):
                g = float(leaf.grad[t, b, c])
                expected[t, b, c] = -g if g < 0 else -g * float(spikes[t, b, c])
    torch.testing.assert_close(relevance(spikes, labels), expected)


def test_cross_entropy_of_counts_is_the_softmax_reward() -> None:
    spikes, labels = outputs()
    for silent in (False, True):
        own = FromLoss(LOSSES["cross-entropy of counts"], at_silence=silent)(spikes, labels)
        torch.testing.assert_close(own / T, SoftmaxRate(at_silence=silent)(spikes, labels))


@pytest.mark.parametrize(("rule", "silent"), [(Epsilon(0.1), False), (Rescale(), True)])
def test_following_it_lowers_the_loss(rule: Any, silent: bool) -> None:
    """Descends the loss whose reward it is, by the optimizer that descends gradients."""
    torch.manual_seed(0)
    net = build("mlp", (20,), 3, hidden=[16])
    lfp = TemporalLFP(net, rule)
    x, labels = (torch.rand(8, 30, 20) < 0.4).float(), torch.arange(30) % 3
    for label in range(3):
        x[:, labels == label, label::3] = 1
    loss = LOSSES["cross-entropy of counts"]
    reward = FromLoss(loss, at_silence=silent)
    optimizer = torch.optim.Adam(lfp.parameters(), lr=0.01)
    seen = []
    for _ in range(20):
        spikes = lfp.forward(x)
        seen.append(float(loss(spikes, labels)))
        lfp.backward(reward(spikes, labels), as_credit=reward.is_credit)
        optimizer.step()
    assert seen[-1] < 0.6 * seen[0]


def test_targets_take_the_place_of_labels() -> None:
    spikes, _ = outputs()
    targets = torch.rand(B, C)
    reward = FromLoss(lambda s, y: (s.mean(0) - y).square().sum(), at_silence=True)
    expected = -2 * (spikes.mean(0) - targets) / T
    torch.testing.assert_close(reward(spikes, targets=targets), expected.expand(T, B, C))


def test_nothing_is_paid_after_a_samples_end() -> None:
    spikes, labels = outputs()
    reward = FromLoss(LOSSES["ce_rate_loss"], at_silence=True)
    paid = reward(spikes, labels, lengths=[T, 2, T, T, 1])
    assert bool((paid[2:, 1] == 0).all()) and bool((paid[1:, 4] == 0).all())
    assert bool((paid[:2, 1] != 0).any())


def test_it_works_under_inference_mode() -> None:
    spikes, labels = outputs()
    reward = FromLoss(LOSSES["squares"])
    expected = reward(spikes, labels)
    with torch.inference_mode():
        assert torch.equal(reward(spikes.clone(), labels.clone()), expected)


NOT_TAKEN: dict[str, tuple[Any, type[Exception], str]] = {
    "one a sample": (lambda s, y: s.sum((0, 2)), ShapeError, r"gave \(5,\); expected one number"),
    "a float": (lambda s, y: 3.0, ShapeError, "gave float; expected one number"),
    "no derivative": (lambda s, y: (s > 0).sum() * 1.0, ShapeError, "has a derivative"),
    "infinite": (lambda s, y: s.sqrt().sum(), NotFiniteError, "NaN or infinite"),
}


@pytest.mark.parametrize("name", NOT_TAKEN)
def test_what_is_no_loss_is_refused(name: str) -> None:
    loss, error, told = NOT_TAKEN[name]
    with pytest.raises(error, match=told):
        FromLoss(loss)(*outputs())


@pytest.mark.parametrize(
    ("loss", "told"),
    [
        (nn.CrossEntropyLoss, r"not the class CrossEntropyLoss.*FromLoss\(CrossEntropyLoss\(\)\)"),
        (torch.tensor(0.5), "not a number that a loss gave"),
        ("ce", "not a str"),
    ],
)
def test_what_is_no_function_is_refused(loss: Any, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        FromLoss(loss)


@pytest.mark.parametrize("kind", [FromLoss, FromMembraneLoss])
def test_silence_is_yes_no_or_open(kind: type[FromLoss]) -> None:
    word: Any = "yes"
    told = f"{kind.__name__}.at_silence is 'yes'; expected True, False or None"
    with pytest.raises(ConfigError, match=told):
        kind(LOSSES["squares"], at_silence=word)


def test_a_loss_that_knows_no_time_is_told_to_sum_over_it() -> None:
    spikes, labels = outputs()
    told = r"shape \(6, 5, 4\) .*FromLoss\(lambda .*cross_entropy\(spikes.sum\(0\), labels\)"
    with pytest.raises(ShapeError, match=told):
        FromLoss(cross_entropy)(spikes, labels)


def one_hot(labels: Tensor) -> Tensor:
    return nn.functional.one_hot(labels, C).double()


def each_step(w: Tensor, y: Tensor) -> Tensor:
    return torch.stack([cross_entropy(w[t], y) for t in range(T)]).mean()


bce = nn.BCEWithLogitsLoss(reduction="sum")
#: What docs/rewards.md calls equal: loss, reward, what both are of, and how many times less.
EQUAL: dict[str, tuple[Any, Reward, Output, float]] = {
    "counts": (
        lambda s, y: nn.CrossEntropyLoss()(s.sum(0), y), SoftmaxRate(at_silence=True), "spikes",
        B / T,
    ),
    "smoothed counts": (
        lambda s, y: cross_entropy(s.sum(0), y, label_smoothing=0.1),
        SoftmaxRate(smoothing=0.1, at_silence=True), "spikes", B / T,
    ),
    "ce_count_loss": (sf.ce_count_loss(), SoftmaxRate(at_silence=True), "spikes", B / T),
    "ce_rate_loss": (sf.ce_rate_loss(), TET(so_far=False, at_silence=True), "spikes", B),
    "counts about the middle": (
        lambda s, y: bce(s.sum(0) - T / 2, one_hot(y)), RateCoded(at_silence=True), "spikes", 1 / T,
    ),
    "counts by themselves": (
        lambda s, y: bce(2 * (s.sum(0) - 0.3 * T), one_hot(y)),
        Sigmoid(2.0, 0.3, at_silence=True), "spikes", 1 / (2 * T),
    ),
    "mse_count_loss": (
        sf.mse_count_loss(), CountTarget(at_silence=True), "spikes", B * C / (2 * T),
    ),
    "mse_count_loss, two rates": (
        sf.mse_count_loss(correct_rate=0.5, incorrect_rate=1 / T),
        CountTarget((T // 2) / T, 1 / T, at_silence=True), "spikes", B * C / (2 * T),
    ),
    "mean membranes": (
        lambda w, y: nn.CrossEntropyLoss()(w.mean(0), y), MembraneCoded(), "membranes", B,
    ),
    "summed membranes": (
        lambda w, y: nn.CrossEntropyLoss()(w.sum(0), y), MembraneCoded(a=T), "membranes", B / T,
    ),
    "membranes of each step": (each_step, TETReadout(), "membranes", B),
    "mse_membrane_loss": (
        sf.mse_membrane_loss(), MembraneTarget(scale=9, high=1, low=0), "membranes", B * C / 18,
    ),
    "values": (
        lambda o, y: nn.CrossEntropyLoss()(o.mean(0), y), SoftmaxValues(), "values", B,
    ),
    "smoothed values": (
        lambda o, y: cross_entropy(o.mean(0), y, label_smoothing=0.2),
        SoftmaxValues(smoothing=0.2), "values", B,
    ),
    "values by themselves": (
        lambda o, y: bce(o.mean(0), one_hot(y)), SigmoidValues(), "values", 1,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", EQUAL)
def test_a_reward_stands_for_a_loss(name: str) -> None:
    loss, reward, output, factor = EQUAL[name]
    spikes, labels = outputs()
    membranes = torch.randn(T, B, C, generator=torch.Generator().manual_seed(1)).double()
    seen = membranes if output == "values" else spikes
    own = FromLoss(loss, at_silence=output == "spikes", of=output)
    found = own(seen, labels, membranes=membranes)
    assert found.abs().sum() > 0
    torch.testing.assert_close(factor * found, reward(seen, labels, membranes=membranes),
                               rtol=1e-6, atol=1e-8)  # fmt: skip


def test_what_it_is_of_is_what_it_looks_at_and_is_read_from() -> None:
    spikes, labels = outputs()
    membranes = torch.randn(T, B, C).double()
    loss = LOSSES["squares"]
    assert FromLoss(loss).looks_at == "spikes"
    of_membranes = FromLoss(loss, at_silence=True, of="membranes")
    assert of_membranes.looks_at == "membranes"
    assert not of_membranes.is_credit
    read = of_membranes.predict(spikes, membranes=membranes).classes
    assert torch.equal(read, membranes.mean(0).argmax(-1))
    read = FromLoss(loss, of="values").predict(membranes).classes
    assert torch.equal(read, membranes.mean(0).argmax(-1))
    with pytest.raises(ShapeError, match="membranes=lfp.membranes"):
        of_membranes(spikes, labels)
    wrong: Any = "spike"
    with pytest.raises(ConfigError, match="FromLoss.of is 'spike'; expected spikes, membranes"):
        FromLoss(loss, of=wrong)


def test_a_loss_of_membranes_does_not_see_what_lies_after_the_end() -> None:
    membranes, labels = torch.randn(T, B, C).double(), outputs()[1]
    lengths = torch.tensor([T, 3, 2, 1, T])
    reward = FromLoss(lambda w, y: w.abs().square().sum(), of="membranes")
    found = reward(torch.zeros_like(membranes), labels, lengths=lengths, membranes=membranes)
    alive = torch.arange(T)[:, None, None] < lengths[:, None]
    torch.testing.assert_close(found, -2 * membranes * alive)


@pytest.mark.parametrize("output", ["spikes", "membranes", "values"])
def test_a_learner_decides_what_is_open(output: Output) -> None:
    for credit in (False, True):
        settled = FromLoss(LOSSES["squares"]).at_output(output, takes_credit=credit)
        assert settled == FromLoss(LOSSES["squares"], at_silence=credit, of=output)
    told = FromLoss(LOSSES["squares"], at_silence=False, of="membranes")
    assert told.at_output("spikes", takes_credit=True) == told
