"""The learner that trains with online LFP, held against the session that it drives."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from lfp_snn.data import Batch
from lfp_snn.errors import NetworkError
from lfp_snn.learners import LEARNERS
from lfp_snn.learners.lfp import LFP
from lfp_snn.learners.online_lfp import OnlineLFP
from lfp_snn.models import build
from lfp_snn.rewards import FirstSpike, RateCoded, SoftmaxRate
from lfp_snn.rules import Epsilon, Gamma, Rescale
from lfp_snn.spikes import Spikes

STEPS, BATCH = 8, 5


@pytest.fixture
def net() -> Any:
    torch.manual_seed(0)
    return build("mlp", (12,), 3, hidden=[9], scale=4.0)


def batch_of(*, lengths: bool = False, dense: bool = False) -> Batch:
    torch.manual_seed(1)
    x = (torch.rand(STEPS, BATCH, 12) < 0.4).float()
    own = torch.tensor([8, 2, 5, 8, 1]) if lengths else None
    return Batch(x if dense else Spikes.from_dense(x), torch.tensor([0, 1, 2, 1, 0]), own)


def grads(net: nn.Module) -> list[torch.Tensor]:
    return [p.grad.clone() for p in net.parameters() if p.grad is not None]


def test_the_readout_learns_as_lfp_does_from_the_same_rewards(net: Any) -> None:
    batch = batch_of()
    result = OnlineLFP(net, Epsilon(0.1), SoftmaxRate()).feedback(batch)
    found = grads(net)
    lfp = LFP(net, Epsilon(0.1), SoftmaxRate())
    spikes = lfp.run(batch, record=True)
    prefixes = [SoftmaxRate()(spikes[: t + 1], batch.labels)[-1] for t in range(STEPS)]
    rewards = torch.stack([r * (t + 1) / STEPS for t, r in enumerate(prefixes)])
    lfp.engine.backward(rewards)
    exact = grads(net)
    assert len(found) == 4
    for ours, theirs in zip(found[2:], exact[2:], strict=True):
        assert theirs.any()
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
    assert result.reward == pytest.approx(float(rewards.abs().sum()) / BATCH, rel=1e-5)
    assert torch.equal(result.classes, lfp.predict(batch).classes)
    assert torch.equal(result.ties, lfp.predict(batch).ties)
    assert result.firing == pytest.approx(lfp.engine.firing_rates)


@pytest.mark.parametrize("lengths", [False, True])
def test_lists_and_tensors_teach_the_same(net: Any, *, lengths: bool) -> None:
    learner = OnlineLFP(net, Epsilon(0.1), RateCoded(), carry=0.5)
    learner.feedback(batch_of(lengths=lengths))
    expected = grads(net)
    learner.feedback(batch_of(lengths=lengths, dense=True))
    assert all(f.any() for f in expected)
    for ours, theirs in zip(grads(net), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_what_lies_after_a_sample_ends_is_not_seen(net: Any) -> None:
    learner = OnlineLFP(net, Epsilon(0.1), RateCoded())
    batch = batch_of(lengths=True, dense=True)
    learner.feedback(batch)
    expected = grads(net)
    assert isinstance(batch.x, torch.Tensor)
    assert batch.lengths is not None
    beyond = torch.arange(STEPS)[:, None] >= batch.lengths
    noise = torch.where(beyond[..., None], torch.rand(STEPS, BATCH, 12), batch.x)
    assert not torch.equal(noise, batch.x)
    learner.feedback(Batch(noise, batch.labels, batch.lengths))
    for ours, theirs in zip(grads(net), expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_classes_are_read_as_the_reward_reads_them(net: Any) -> None:
    learner, batch = OnlineLFP(net, Epsilon(0.1), FirstSpike()), batch_of()
    first = FirstSpike().predict(learner.run(batch))
    assert torch.equal(learner.predict(batch).classes, first.classes)
    assert torch.equal(learner.feedback(batch).classes, first.classes)


def test_constant_currents_and_options(net: Any) -> None:
    options = LEARNERS["online_lfp"].Options.model_validate(
        {"name": "online_lfp", "carry": 0.25, "reward": {"name": "softmax_rate"}}
    )
    learner = LEARNERS["online_lfp"].from_options(net, options)
    assert isinstance(learner, OnlineLFP)
    assert (learner.carry, learner.reward, learner.engine.rule) == (
        0.25,
        SoftmaxRate(at_silence=True),
        Rescale(),
    )
    still = Batch(torch.rand(4, 12), torch.zeros(4, dtype=torch.int64), steps=6)
    assert learner.feedback(still).classes.shape == (4,)
    assert all(f.any() for f in grads(net))


def test_what_cannot_be_trained_online_is_refused(net: Any) -> None:
    with pytest.raises(NetworkError, match="online\\(\\) knows epsilon"):
        OnlineLFP(net, Gamma(0.2), RateCoded())
    with pytest.raises(ValueError, match="unknown name") as problem:
        LEARNERS["online_lfp"].Options.model_validate(
            {"name": "online_lfp", "reward": {"name": "scalar"}}
        )
    assert "scalar" in str(problem.value)
