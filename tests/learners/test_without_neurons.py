"""Learners on networks without time: what they do, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lfp_snn.activations import Step
from lfp_snn.data import Batch
from lfp_snn.errors import ConfigError, NetworkError
from lfp_snn.learners import LEARNERS, Learner
from tests.engine.compare import leaky


def make_net(activation: nn.Module, *last: nn.Module) -> Any:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 9), activation, nn.Linear(9, 3), *last).double()


@pytest.fixture
def batch() -> Batch:
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(8, 6, generator=draw, dtype=torch.float64)
    return Batch(x, torch.arange(8) % 3, steps=1)


def make_learner(name: str, net: nn.Module, **options: Any) -> Learner:
    kind = LEARNERS[name]
    return kind.from_options(net, kind.Options.model_validate({"name": name, **options}))


def gradients(net: nn.Module) -> list[Tensor]:
    return [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in net.parameters()]


def test_lfp_of_relus_is_the_gradient_times_the_weight(batch: Batch) -> None:
    """For Epsilon as eps goes to 0, and the error of a softmax: |w| times the true gradient."""
    net = make_net(nn.ReLU())
    learner = make_learner(
        "lfp", net, reward={"name": "softmax_values"}, rule={"name": "epsilon", "eps": 1e-12}
    )
    result = learner.feedback(batch)
    ours = gradients(net)
    net.zero_grad()
    logits = net(batch.x)
    F.cross_entropy(logits, batch.labels, reduction="sum").backward()  # type: ignore[no-untyped-call]
    for parameter, found in zip(net.parameters(), ours, strict=True):
        assert parameter.grad is not None
        torch.testing.assert_close(found, parameter.abs() * parameter.grad, rtol=1e-6, atol=1e-9)
    assert torch.equal(result.classes, logits.argmax(-1))
    assert set(result.firing) == {"1"}


def test_surrogate_of_relus_is_backpropagation(batch: Batch) -> None:
    net = make_net(nn.ReLU())
    for loss in ("ce_count_loss", "ce_rate_loss", "ce_max_membrane_loss"):
        result = make_learner("surrogate", net, loss=loss).feedback(batch)
        ours = gradients(net)
        net.zero_grad()
        expected = F.cross_entropy(net(batch.x), batch.labels, reduction="sum")
        expected.backward()  # type: ignore[no-untyped-call]
        for found, theirs in zip(ours, gradients(net), strict=True):
            torch.testing.assert_close(found, theirs)
        assert result.reward == pytest.approx(expected.item() / 8)


def test_only_a_surrogate_reaches_what_is_before_a_step(batch: Batch) -> None:
    net = make_net(Step())
    make_learner("step_gradient", net).feedback(batch)
    assert [bool(g.any()) for g in gradients(net)] == [False, False, True, True]
    make_learner("surrogate", net).feedback(batch)
    assert all(g.any() for g in gradients(net))
    make_learner("lfp", net, reward={"name": "softmax_values"}).feedback(batch)
    assert all(g.any() for g in gradients(net))


def test_a_readout_behind_neurons_learns(batch: Batch) -> None:
    """Its membranes are its values, and not those of the neurons before it."""
    net = make_net(leaky(threshold=0.2))
    for name, options in (
        ("lfp", {"reward": {"name": "sigmoid_values"}}),
        ("surrogate", {"loss": "ce_max_membrane_loss"}),
    ):
        learner = make_learner(name, net, **options)
        learner.feedback(batch)
        assert all(g.any() for g in gradients(net)), name
        assert torch.equal(learner.predict(batch).classes, learner.counts(batch).argmax(-1))


def test_rewards_must_fit_the_output() -> None:
    message = (
        r"RateCoded looks at spikes, but the network ends in no neurons: leave the reward out, "
        r"which then goes by that, take one of softmax_values, sigmoid_values, "
        r"misclassified_values, or end the network otherwise\."
    )
    with pytest.raises(ConfigError, match=message):
        make_learner("lfp", make_net(nn.ReLU()), reward={"name": "rate_coded"})
    make_learner("lfp", make_net(nn.ReLU()))
    message = (
        r"SoftmaxValues looks at values, but .* ends in units that spike: .* take one of rate_co"
    )
    for last in (leaky(), Step()):
        with pytest.raises(ConfigError, match=message):
            make_learner("lfp", make_net(nn.ReLU(), last), reward={"name": "softmax_values"})
    with pytest.raises(ConfigError, match="MembraneCoded looks at membranes, but .* units that sp"):
        make_learner("lfp", make_net(nn.ReLU(), Step()), reward={"name": "membrane_coded"})
    make_learner("lfp", make_net(nn.ReLU(), Step()))


def test_homeostasis_without_neurons_is_refused() -> None:
    with pytest.raises(NetworkError, match="Homeostasis wakes neurons, and the network has none"):
        make_learner("lfp", make_net(nn.ReLU(), Step()), homeostasis={})


@pytest.mark.parametrize("name", ["dfa", "ottt", "rstdp"])
def test_learners_that_need_membranes_say_so(name: str) -> None:
    message = rf"{name.upper()} trains spiking neurons alone.*other units: 1 \(Tanh\)\. Put neurons"
    with pytest.raises(NetworkError, match=message):
        make_learner(name, make_net(nn.Tanh(), leaky()))
