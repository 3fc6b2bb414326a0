"""Rewards from outside: a number for each sample, and functions of the user."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lfp_snn import TemporalLFP
from lfp_snn.data import Batch
from lfp_snn.errors import ConfigError, ShapeError
from lfp_snn.learners import LEARNERS
from lfp_snn.learners.lfp import LFP
from lfp_snn.models import build
from lfp_snn.rewards import REWARDS, Function, RateCoded, Scalar, SoftmaxRate
from lfp_snn.rules import Epsilon
from lfp_snn.training.config import Settings
from lfp_snn.training.configfile import make_config


def outputs(seed: int = 0, density: float = 0.3) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return (torch.rand(6, 5, 4, generator=draw) < density).double()


def written_out(spikes: Tensor, numbers: list[float]) -> Tensor:
    expected = torch.zeros_like(spikes)
    for b, number in enumerate(numbers):
        counts = [sum(spikes[:, b, c].tolist()) for c in range(4)]
        acted = counts.index(max(counts))
        for t in range(6):
            if spikes[t, b, acted]:
                expected[t, b, acted] = number / counts[acted]
    return expected


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**16), density=st.floats(0, 1))
def test_a_number_is_given_to_the_spikes_of_the_output_that_acted(
    seed: int, density: float
) -> None:
    spikes = outputs(seed, density)
    numbers = [1.0, -1.0, 0.25, 0.0, -3.0]
    ours = Scalar()(spikes, targets=torch.tensor(numbers))
    torch.testing.assert_close(ours, written_out(spikes, numbers), rtol=0, atol=1e-14)
    some = spikes.any(0).any(-1)
    torch.testing.assert_close(ours.sum((0, 2)), torch.tensor(numbers).double() * some)


def test_labels_only_tell_right_from_wrong() -> None:
    spikes = outputs()
    read = Scalar().predict(spikes).classes
    labels = torch.where(torch.arange(5) < 2, read, (read + 1) % 4)
    ours = Scalar(right=2.0, wrong=-0.5)(spikes, labels)
    assert torch.equal(ours, Scalar()(spikes, targets=torch.tensor([2, 2, -0.5, -0.5, -0.5])))


def test_nothing_is_given_after_the_end() -> None:
    lengths = torch.tensor([6, 1, 3, 2, 6])
    ours = Scalar()(torch.ones(6, 5, 4), targets=torch.ones(5), lengths=lengths)
    assert torch.equal(ours.any(-1).sum(0), lengths)


def test_one_number_per_sample() -> None:
    with pytest.raises(ShapeError, match=r"shape \(4,\); expected \(5,\), one number per sample"):
        Scalar()(outputs(), targets=torch.ones(4))
    numbers = torch.linspace(-1, 1, 5)
    column = Scalar()(outputs(), targets=numbers[:, None])  # as a table of one target gives them
    assert torch.equal(column, Scalar()(outputs(), targets=numbers))


def test_a_network_learns_from_right_and_wrong_alone() -> None:
    """Three patterns, and nobody says which class is which pattern's: only good or bad."""
    draw = torch.Generator().manual_seed(0)
    patterns = torch.rand(3, 30, generator=draw) < 0.3
    labels = torch.arange(60) % 3
    noise = torch.rand(10, 60, 30, generator=draw)
    x = torch.where(patterns[labels], noise < 0.5, noise < 0.05).float()
    torch.manual_seed(0)
    net = build("mlp", (30,), 3, hidden=[40], scale=4.0)
    lfp = TemporalLFP(net, Epsilon(0.1))
    optimizer = torch.optim.Adam(net.parameters(), lr=0.003)
    reward, right = Scalar(), []
    for _ in range(100):
        spikes = lfp.forward(x)
        judged = torch.where(reward.predict(spikes).classes == labels, 1.0, -1.0)
        lfp.backward(reward(spikes, targets=judged))
        optimizer.step()
        right.append(float((judged > 0).float().mean()))
    assert right[0] < 0.5 < 0.8 < right[-1]


# ---------------------------------------------------------------------------- functions


def test_a_function_is_asked_with_what_was_seen_and_rewards_as_a_class_does() -> None:
    asked: list[Any] = []

    def softmax_rate(
        spikes: Tensor, labels: Tensor | None, lengths: Tensor, membranes: Tensor | None
    ) -> Tensor:
        asked.append((labels, lengths, membranes))
        return SoftmaxRate()(spikes, labels, lengths=lengths)

    torch.manual_seed(0)
    net: Any = build("mlp", (12,), 3, hidden=[9], scale=4.0)
    x = (torch.rand(8, 5, 12) < 0.4).float()
    batch = Batch(x, torch.tensor([0, 1, 2, 1, 0]), lengths=torch.tensor([8, 3, 5, 8, 1]))
    LFP(net, Epsilon(), SoftmaxRate()).feedback(batch)
    expected = net[0].weight.grad.clone()
    learner = LFP(net, Epsilon(), Function(softmax_rate))
    result = learner.feedback(batch)
    assert expected.any()
    assert torch.equal(net[0].weight.grad, expected)
    assert torch.equal(result.classes, learner.counts(batch).argmax(-1))
    labels, lengths, membranes = asked[0]
    assert torch.equal(labels, batch.labels)
    assert lengths.tolist() == [8, 3, 5, 8, 1]
    assert torch.equal(membranes, learner.engine.membranes)


def test_what_a_function_returns_after_the_end_is_not_used() -> None:
    lengths = torch.tensor([6, 1, 3, 2, 6])

    def endless(spikes: Tensor, *others: Any) -> Tensor:
        reward = torch.ones_like(spikes)
        reward[-1, 1:4] = torch.nan
        return reward

    ours = Function(endless)(outputs(), lengths=lengths)
    assert torch.equal(ours.sum(0), lengths[:, None].double().expand(-1, 4))


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (torch.ones(5, 4), r"reward function wrong returned \(5, 4\).*\(6, 5, 4\)"),
        (None, "wrong returned NoneType; expected a tensor"),
        (torch.full((6, 5, 4), torch.nan), "wrong returned NaN"),
    ],
)
def test_a_function_that_returns_something_else(returned: Any, message: str) -> None:
    def wrong(*_: Any) -> Any:
        return returned

    with pytest.raises(ShapeError, match=message):
        Function(wrong)(outputs())


# ------------------------------------------------------------------------------ by name


@pytest.mark.parametrize("name", sorted(REWARDS))
def test_every_reward_can_be_named(name: str) -> None:
    given_settings = {"learner": {"name": "lfp", "reward": {"name": name}}}
    options: Any = make_config(Settings, given_settings).learner
    assert options.reward.make() == REWARDS[name]()


def test_no_config_names_code() -> None:
    reward = {"name": "function", "function": "os:getcwd"}
    with pytest.raises(ConfigError, match=r"'reward'\]\['name'\] is 'function'"):
        make_config(Settings, {"learner": {"name": "lfp", "reward": reward}})


def test_a_program_may_name_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    class Mine(RateCoded):
        pass

    monkeypatch.setitem(REWARDS, "mine", Mine)
    options = LEARNERS["lfp"].Options.model_validate({"reward": {"name": "mine"}})
    learner = LEARNERS["lfp"].from_options(build("mlp", (12,), 3), options)
    assert isinstance(learner, LFP)
    assert isinstance(learner.reward, Mine)


def test_what_cannot_be_called_is_no_function() -> None:
    number: Any = 3
    with pytest.raises(ConfigError, match="Function.function is 3; expected a function of"):
        Function(number)
