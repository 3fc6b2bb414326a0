"""The reward that goes with what a network ends in."""

from __future__ import annotations

import math
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest
import snntorch as snn
import torch
from torch import nn

from lfp_snn import TemporalLFP, fit
from lfp_snn.data import Batch
from lfp_snn.errors import ConfigError
from lfp_snn.learners import LEARNERS, Learner
from lfp_snn.learners.ending import ByOutput, TaskShape
from lfp_snn.learners.lfp import LFP
from lfp_snn.learners.losses import make_loss
from lfp_snn.learners.unrolled import Unrolled
from lfp_snn.rewards import (
    CountTarget,
    MembraneCoded,
    RateCoded,
    Reward,
    SoftmaxRate,
    SoftmaxValues,
)
from lfp_snn.rules import Epsilon, Rescale
from lfp_snn.training import TrainedRun
from lfp_snn.training.config import Config
from lfp_snn.training.configfile import make_config

QUICK: dict[str, Any] = {"epochs": 1, "progress": False, "device": "cpu", "report": False}
ENDS = ("spikes", "membranes", "values", "votes")


def network(end: str) -> nn.Sequential:
    """A network for twelve inputs and three classes; of votes there are two for each."""
    torch.manual_seed(0)
    lif = snn.Leaky(0.9, init_hidden=True)
    last: dict[str, list[nn.Module]] = {
        "spikes": [nn.Linear(9, 3), snn.Leaky(0.9, init_hidden=True, output=True)],
        "membranes": [
            nn.Linear(9, 3),
            snn.Leaky(0.9, threshold=math.inf, reset_mechanism="none", init_hidden=True),
        ],
        "values": [nn.Linear(9, 3)],
        "votes": [nn.Linear(9, 6), snn.Leaky(0.9, init_hidden=True), nn.AvgPool1d(2)],
    }
    net = nn.Sequential(nn.Linear(12, 9), lif, *last[end])
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.mul_(3)
    return net


def a_batch() -> Batch:
    draw = torch.Generator().manual_seed(1)
    x = (torch.rand(8, 5, 12, generator=draw) < 0.4).float()
    return Batch(x, torch.tensor([0, 1, 2, 1, 0]))


def learner_of(end: str, **options: Any) -> Learner:
    return learner_of_net(network(end), **options)


def learner_of_net(net: nn.Module, **options: Any) -> Learner:
    kind = LEARNERS[options.pop("name", "lfp")]
    made = kind.Options.model_validate({"name": kind.name, **options})
    return kind.from_options(net, made)


TAKEN: dict[tuple[str, str], Reward] = {
    ("spikes", "rescale"): RateCoded(at_silence=True),
    ("spikes", "epsilon"): RateCoded(at_silence=False),
    ("membranes", "rescale"): MembraneCoded(),
    ("membranes", "epsilon"): MembraneCoded(),
    ("values", "rescale"): SoftmaxValues(at_silence=False),
    ("values", "epsilon"): SoftmaxValues(at_silence=False),
    ("votes", "rescale"): RateCoded(at_silence=True),
    ("votes", "epsilon"): SoftmaxValues(at_silence=False),
}


@pytest.mark.parametrize(("end", "rule"), TAKEN)
def test_the_ending_decides_and_learning_is_that_of_the_reward_by_name(end: str, rule: str) -> None:
    learner = learner_of(end, rule={"name": rule})
    expected = TAKEN[end, rule]
    assert isinstance(learner, LFP)
    assert learner.reward == expected
    told = LFP(network(end), {"rescale": Rescale(), "epsilon": Epsilon()}[rule], expected)
    batch = a_batch()
    assert torch.equal(learner.feedback(batch).classes, told.feedback(batch).classes)
    for found, same in zip(learner.net.parameters(), told.net.parameters(), strict=True):
        assert found.grad is not None and same.grad is not None
        assert torch.equal(found.grad, same.grad)
    assert LFP(network(end), Rescale()).reward == TAKEN[end, "rescale"]


@pytest.mark.parametrize("end", ENDS)
def test_settled_options_name_the_reward_with_its_own_options_open(end: str) -> None:
    learner = learner_of(end)
    options = learner.Options.model_validate({"name": "lfp"})
    name = {"spikes": "rate_coded", "membranes": "membrane_coded", "values": "softmax_values",
            "votes": "rate_coded"}[end]  # fmt: skip
    settled = options.settled(learner.engine)
    told: Any = settled
    assert told.reward.name == name
    assert getattr(told.reward, "at_silence", None) is None
    assert settled.settled(learner.engine) == settled
    assert settled.model_dump(exclude={"reward"}) == options.model_dump(exclude={"reward"})


@pytest.mark.parametrize(
    ("steps", "classes", "name"),
    [
        (4, 10, "count_target"),  # 10 / (1 + e^2) > 1
        (6, 10, "rate_coded"),  # 10 / (1 + e^3) < 1
        (4, 8, "rate_coded"),  # 8 / (1 + e^2) < 1
        (8, 100, "count_target"),
        (10, 100, "rate_coded"),
        (4, 0, "rate_coded"),  # of no known number of classes
    ],
)
def test_few_steps_for_many_classes_take_target_counts(steps: int, classes: int, name: str) -> None:
    """Rewards of silent outputs are below zero in sum if C / (1 + e^(T/2)) > 1, for an even T."""
    learner, task = learner_of("spikes"), TaskShape(steps, classes)
    settled: Any = learner.Options.model_validate({"name": "lfp"}).settled(learner.engine, task)
    assert settled.reward.name == name
    told = {"name": "lfp", "reward": {"name": "rate_coded"}}
    named: Any = learner.Options.model_validate(told).settled(learner.engine, task)
    assert named.reward.name == "rate_coded"
    # As published, silent outputs are not punished.
    published = learner_of("spikes", rule={"name": "epsilon"})
    settled = learner.Options.model_validate({"name": "lfp"}).settled(published.engine, task)
    assert settled.reward.name == "rate_coded"


@pytest.mark.parametrize("behind", [[], [nn.AvgPool1d(2)]])
def test_neurons_that_answer_late_take_a_reward_by_which_classes_compete(
    behind: list[nn.Module],
) -> None:
    """At its own step an input cannot move the membrane of snntorch.Alpha: e - j of both alike."""

    def alphas() -> nn.Sequential:
        torch.manual_seed(0)
        lif = snn.Alpha(0.9, 0.8, init_hidden=True, output=not behind)
        return nn.Sequential(nn.Linear(12, 6), lif, *behind)

    for rule, expected in {
        "rescale": SoftmaxRate(at_silence=True),
        # As published, what rewards spikes alone.
        "epsilon": SoftmaxValues(at_silence=False) if behind else RateCoded(at_silence=False),
    }.items():
        learner = learner_of_net(alphas(), rule={"name": rule})
        assert isinstance(learner, LFP) and learner.reward == expected
        settled: Any = learner.Options.model_validate({"name": "lfp"}).settled(
            learner.engine, TaskShape(steps=4, classes=10)
        )
        assert settled.reward.make().suited(takes_credit=rule == "rescale") == expected
    assert not TemporalLFP(network("spikes")).answers_late
    hidden = nn.Sequential(
        nn.Linear(12, 6),
        snn.Alpha(0.9, 0.8, init_hidden=True),
        nn.Linear(6, 3),
        snn.Leaky(0.9, init_hidden=True, output=True),
    )
    assert not TemporalLFP(hidden).answers_late


def test_a_training_takes_the_reward_that_its_steps_ask_for(tmp_path: Path) -> None:
    x = torch.rand(20, 4, generator=torch.Generator().manual_seed(0))
    y = torch.arange(20) % 10
    for steps, reward in ((4, CountTarget), (8, RateCoded)):
        net = nn.Sequential(nn.Linear(4, 10), snn.Leaky(beta=0.9, init_hidden=True, output=True))
        out = tmp_path / str(steps)
        fit(net, (x, y), (x, y), (x, y), steps=steps, out=out, **QUICK)
        run = TrainedRun.open(out, net=cycle([net]).__next__)
        assert isinstance(run.learner, LFP) and isinstance(run.learner.reward, reward)


def test_a_run_goes_on_with_the_reward_that_it_began_with(tmp_path: Path) -> None:
    """Whatever an open reward would stand for now, as in a run of before or by other data."""
    x = torch.rand(20, 4, generator=torch.Generator().manual_seed(0))
    y = torch.arange(20) % 10

    def net() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Linear(4, 10), snn.Leaky(0.9, init_hidden=True, output=True))

    parts, out = [(x, y)] * 3, tmp_path / "run"
    more: dict[str, Any] = QUICK | {"epochs": 2, "out": out, "resume": True}
    fit(net(), *parts, steps=4, out=out, reward=RateCoded(), **QUICK)
    fit(net(), *parts, steps=4, **more)
    assert "name: rate_coded" in (out / "config.yaml").read_text()
    with pytest.raises(ConfigError, match="softmax_rate"):
        fit(net(), *parts, steps=4, reward=SoftmaxRate(), **more | {"epochs": 3})


def test_a_run_goes_on_with_the_loss_that_it_began_with(tmp_path: Path) -> None:
    x, y = torch.rand(15, 12), torch.arange(15) % 3
    more: dict[str, Any] = QUICK | {"epochs": 2, "out": tmp_path / "run", "resume": True}
    learner = {"name": "surrogate", "loss": "mse_count_loss"}
    parts = [(x, y)] * 3
    fit(network("spikes"), *parts, steps=5, learner=learner, out=tmp_path / "run", **QUICK)
    fit(network("spikes"), *parts, steps=5, learner={"name": "surrogate"}, **more)
    assert "loss: mse_count_loss" in (tmp_path / "run" / "config.yaml").read_text()
    other = {"name": "surrogate", "loss": "ce_rate_loss"}
    with pytest.raises(ConfigError, match="ce_rate_loss"):
        fit(network("spikes"), *parts, steps=5, learner=other, **more | {"epochs": 3})


def test_an_option_of_the_reward_needs_no_name_of_it() -> None:
    for end, reward in (("spikes", RateCoded(at_silence=False)),
                        ("values", SoftmaxValues(at_silence=True))):  # fmt: skip
        learner = learner_of(end, reward={"at_silence": reward.is_credit})
        assert isinstance(learner, LFP)
        assert learner.reward == reward
    with pytest.raises(ConfigError, match="at_silence, but the network ends in membranes"):
        learner_of("membranes", reward={"at_silence": True})


def test_a_reward_that_is_told_stays_and_is_refused_where_it_cannot_be() -> None:
    told = learner_of("spikes", reward={"name": "softmax_rate", "a": 2.0})
    assert isinstance(told, LFP)
    assert told.reward == SoftmaxRate(a=2.0, at_silence=True)
    for end in ("membranes", "values"):
        with pytest.raises(ConfigError, match="RateCoded looks at spikes.* leave the reward out"):
            learner_of(end, reward={"name": "rate_coded"})


def test_while_a_sequence_runs_the_output_must_spike() -> None:
    online = learner_of("spikes", name="online_lfp")
    assert isinstance(online, LFP)
    assert online.reward == RateCoded(at_silence=True)
    assert online.feedback(a_batch()).classes.shape == (5,)
    settled: Any = online.Options(name="online_lfp").settled(online.engine)
    assert settled.reward.name == "rate_coded"
    for end in ("membranes", "values"):
        with pytest.raises(ConfigError, match=f"ends in {end}, for which there is no reward while"):
            learner_of(end, name="online_lfp")


def test_other_learners_have_nothing_to_settle() -> None:
    options = LEARNERS["ottt"].Options(name="ottt")
    assert options.settled(TemporalLFP(network("spikes"))) is options


LOSS_TAKEN = {
    "spikes": "ce_count_loss",
    "membranes": "ce_mean_membrane_loss",
    "values": "ce_mean_membrane_loss",
    "votes": "ce_count_loss",
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("name", ["surrogate", "step_gradient", "dfa"])
def test_a_loss_goes_by_the_end_as_the_reward_does(end: str, name: str) -> None:
    if name == "dfa" and end in ("values", "votes"):
        pytest.skip("direct feedback alignment trains neurons alone")
    open_, named = learner_of(end, name=name), learner_of(end, name=name, loss=LOSS_TAKEN[end])
    batch = a_batch()
    assert float(open_.feedback(batch).reward) == float(named.feedback(batch).reward)
    for one, other in zip(open_.parameters(), named.parameters(), strict=True):
        assert (one.grad is None) is (other.grad is None)
        assert one.grad is None or torch.equal(one.grad, other.grad)  # type: ignore[arg-type]
    kind: Any = LEARNERS[name].Options
    assert kind(name=name).settled(open_.engine).loss == LOSS_TAKEN[end]
    assert kind(name=name, loss="ce_rate_loss").settled(open_.engine).loss == "ce_rate_loss"


@pytest.mark.parametrize("lengths", [None, torch.tensor([3, 8, 5, 7, 1])])
def test_the_loss_of_mean_membranes_is_minus_the_reward_of_them(lengths: Any) -> None:
    out = torch.randn(8, 5, 3, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 1, 2, 1, 0])
    loss = make_loss("ce_mean_membrane_loss", {})(Unrolled(out, out, lengths), labels)
    (slope,) = torch.autograd.grad(5 * loss, out)
    reward = MembraneCoded()(out.detach(), labels, lengths=lengths, membranes=out.detach())
    torch.testing.assert_close(-slope, reward, rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("shape", [(8, 5, 3), (5, 3)])
def test_the_loss_of_targets_is_their_squared_distance(shape: tuple[int, ...]) -> None:
    out, lengths = torch.randn(8, 5, 3), torch.tensor([3, 8, 5, 7, 1])
    targets = torch.randn(shape)
    made = make_loss("mse_target_loss", {})
    value = made(Unrolled(out, out, lengths), torch.zeros(5), targets)
    wanted = targets.expand(8, 5, 3)
    each = [(out - wanted)[:steps, b].square().mean() for b, steps in enumerate(lengths)]
    torch.testing.assert_close(value, torch.stack(each).mean())
    with pytest.raises(ConfigError, match="goes by targets.*take mse_membrane_loss"):
        made(Unrolled(out, out, lengths), torch.zeros(5))


@pytest.mark.parametrize("name", ["lfp", "surrogate"])
def test_a_network_that_ends_in_membranes_is_fitted_to_targets_without_a_word(
    name: str, tmp_path: Path
) -> None:
    x = torch.rand(60, 12, generator=torch.Generator().manual_seed(1))
    parts = [(x[rows], x[rows, :3]) for rows in (slice(30), slice(30, 60))]
    out = tmp_path / "run"
    result = fit(network("membranes"), *parts, steps=6, learner={"name": name}, out=out, **QUICK)
    assert result.val_error is not None and math.isfinite(result.val_error)
    decided = {"lfp": "name: membrane_target", "surrogate": "loss: mse_target_loss"}
    assert decided[name] in (out / "config.yaml").read_text()


def test_spikes_have_no_targets_of_their_own() -> None:
    parts = [(torch.rand(30, 12), torch.rand(30, 3)) for _ in range(2)]
    for name in ("lfp", "surrogate"):
        with pytest.raises(ConfigError, match="have targets and no classes"):
            fit(network("spikes"), *parts, steps=6, learner={"name": name}, **QUICK)


def test_by_hand_it_cannot_know() -> None:
    with pytest.raises(ConfigError, match="a learner knows; by hand take one"):
        ByOutput()(torch.zeros(3, 2, 4), torch.tensor([0, 1]))


def test_a_loss_that_is_none_is_told_in_one_line() -> None:
    with pytest.raises(ConfigError) as told:
        make_config(Config, {"learner": {"name": "surrogate", "loss": "aut"}}, "x")
    message = str(told.value)
    assert "learner.loss is 'aut', expected" in message and "literal[" not in message
