"""Rewards at outputs that are values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lfp_snn.errors import ConfigError
from lfp_snn.rewards import REWARDS, Function, MisclassifiedValues, SigmoidValues, SoftmaxValues

GOLDEN = Path(__file__).parent.parent / "golden" / "ann_rewards.npz"
PUBLISHED = {
    "softmax": SoftmaxValues(),
    "bounded": SoftmaxValues(0.05, 0.7),
    "sigmoid": SigmoidValues(),
    "misclassification": MisclassifiedValues(),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_one_step_equals_the_published_code(name: str) -> None:
    golden = np.load(GOLDEN)
    logits, labels = torch.from_numpy(golden["logits"]), torch.from_numpy(golden["labels"])
    reward = PUBLISHED[name](logits[None], labels)
    torch.testing.assert_close(reward[0], torch.from_numpy(golden[name]), rtol=0, atol=1e-12)
    assert torch.equal(PUBLISHED[name].predict(logits[None]).classes, logits.argmax(-1))


@pytest.mark.parametrize("reward", PUBLISHED.values(), ids=repr)
def test_several_steps_take_the_error_of_the_mean(reward: Any) -> None:
    """By hand, one sample at a time; after its end a sample has no evidence and no reward."""
    draw = torch.Generator().manual_seed(0)
    values = 2 * torch.randn(4, 3, 5, generator=draw, dtype=torch.float64)
    labels, lengths = torch.tensor([0, 3, 2]), torch.tensor([4, 1, 3])
    ours = reward(values, labels, lengths=lengths)
    read = reward.predict(values, lengths=lengths).classes
    for b, steps in enumerate(lengths.tolist()):
        mean = values[:steps, b].mean(0)
        assert read[b] == mean.argmax()
        whole = reward(mean[None, None], labels[b : b + 1])[0, 0]
        assert not ours[steps:, b].any()
        share = values[:steps, b] / mean / steps
        expected = whole * share
        if isinstance(reward, MisclassifiedValues):
            expected = (whole / steps).expand(steps, -1)
        torch.testing.assert_close(ours[:steps, b], expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("reward", PUBLISHED.values(), ids=repr)
def test_credit_is_the_error_without_the_value(reward: Any) -> None:
    """The relevance over the value, and where that is zero too."""
    draw = torch.Generator().manual_seed(0)
    values = 2 * torch.rand(4, 3, 5, generator=draw, dtype=torch.float64)
    labels, lengths = torch.tensor([0, 3, 2]), torch.tensor([4, 1, 3])
    credit = replace(reward, at_silence=True)
    assert credit.is_credit and not reward.is_credit
    assert reward.suited(takes_credit=True) == credit
    assert not reward.suited(takes_credit=False).is_credit
    relevance, ours = (each(values, labels, lengths=lengths) for each in (reward, credit))
    of_values = torch.ones_like(values) if isinstance(reward, MisclassifiedValues) else values
    torch.testing.assert_close(ours * of_values, relevance, rtol=1e-9, atol=1e-12)
    silent = credit(torch.zeros_like(values), labels)
    if not isinstance(reward, MisclassifiedValues):
        assert (silent[:, 0, 0] > 0).all()
        assert not reward(torch.zeros_like(values), labels).any()


def test_bounds_are_checked() -> None:
    with pytest.raises(ConfigError, match="lower is 0.6 and upper 0.4; expected 0 <= lower"):
        SoftmaxValues(0.6, 0.4)


def test_what_rewards_look_at() -> None:
    of_values = {name for name, each in REWARDS.items() if each.looks_at == "values"}
    assert of_values == {"softmax_values", "sigmoid_values", "misclassified_values"}
    assert Function.looks_at == "any"


def test_smoothed_labels_are_those_of_torchs_cross_entropy() -> None:
    draw = torch.Generator().manual_seed(0)
    values = torch.randn(1, 6, 5, generator=draw, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 3, 2, 4, 1, 1])
    loss = torch.nn.functional.cross_entropy(
        values[0], labels, label_smoothing=0.2, reduction="sum"
    )
    (slope,) = torch.autograd.grad(loss, values)
    credit = SoftmaxValues(smoothing=0.2, at_silence=True)(values.detach(), labels)
    torch.testing.assert_close(credit, -slope, rtol=0, atol=1e-14)
