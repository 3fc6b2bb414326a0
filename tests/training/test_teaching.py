"""Rewards and rules as arguments of ``fit``: what they train, what a run notes, what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from snntorch import functional as sf
from torch import Tensor, nn

from lfp_snn.data import Splits
from lfp_snn.errors import ConfigError
from lfp_snn.learners.lfp import LFP, LFPOptions
from lfp_snn.models import build
from lfp_snn.rewards import FromLoss, Function, MembraneCoded, Reward, SoftmaxRate
from lfp_snn.rules import Epsilon, Gamma, Rescale
from lfp_snn.training import TrainedRun, fit
from lfp_snn.training.configfile import read_mapping
from tests.learners.own_objects import Damped, nothing
from tests.training.conftest import CLASSES, UNITS, make_splits


@dataclass(frozen=True)
class Margin(Reward):
    """Rewards the spikes of the right class where it is not ahead by so many."""

    margin: int = 2

    def reward(self, seen: Any) -> Tensor:
        counts = seen.spikes.sum(0)
        best = counts.masked_fill(seen.truth, 0).max(-1, keepdim=True).values
        own = (counts * seen.truth).sum(-1, keepdim=True)
        wanted = (own < best + self.margin).to(counts)
        reward: Tensor = wanted * (seen.truth * 1.0 - seen.spikes * ~seen.truth) / len(seen.spikes)
        return reward


class Least(Margin):
    """Reads the class that spiked least."""

    def scores(self, spikes: Tensor, steps: Tensor, membranes: Tensor | None = None) -> Tensor:
        return -spikes.sum(0)


def new_net() -> nn.Sequential:
    torch.manual_seed(0)
    return build("mlp", (UNITS,), CLASSES, hidden=[12])


def weights(net: nn.Module) -> Tensor:
    return nn.utils.parameters_to_vector(net.parameters()).detach()


def learner_in(run: Path) -> dict[str, Any]:
    learner: dict[str, Any] = read_mapping(run / "config.yaml")["learner"]
    return learner


def trained(settings: dict[str, Any], **given: Any) -> Tensor:
    net = new_net()
    fit(net, make_splits(), progress=False, **{**settings, **given})
    return weights(net)


def test_an_object_trains_as_its_name_does(settings: dict[str, Any], tmp_path: Path) -> None:
    given: dict[str, Any] = {"reward": SoftmaxRate(a=0.5), "rule": Rescale(synapse=Gamma(0.25))}
    found = trained(settings, out=tmp_path / "objects", **given)
    section = {
        "reward": {"name": "softmax_rate", "a": 0.5},
        "rule": {"name": "rescale", "synapse": {"name": "gamma", "gamma": 0.25}},
    }
    assert torch.equal(found, trained(settings, learner=section, out=tmp_path / "names"))
    assert torch.equal(found, trained(settings, **section))
    assert torch.equal(found, trained(settings, reward=given["reward"], learner={
        "rule": section["rule"]}))  # fmt: skip
    assert learner_in(tmp_path / "objects") == learner_in(tmp_path / "names")
    assert not torch.equal(found, trained(settings, reward="softmax_rate", rule="rescale"))
    options = LFPOptions.model_validate({"name": "lfp", "rule": section["rule"]})
    assert torch.equal(found, trained(settings, learner=LFPOptions(
        name="lfp", rule=options.rule, reward=LFPOptions.model_validate(
            {"name": "lfp", "reward": section["reward"]}).reward)))  # fmt: skip


def test_the_run_says_what_the_networks_end_decided(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    default = trained(settings, out=tmp_path / "run")
    assert learner_in(tmp_path / "run")["reward"] == {"name": "rate_coded", "at_silence": None}
    assert torch.equal(default, trained(settings, reward="rate_coded"))
    # Asked for anew by default or by its name, it is the run that is there.
    for given in ({}, {"reward": "rate_coded"}, {"reward": {"name": "auto"}}):
        assert torch.equal(default, trained(settings, out=tmp_path / "run", resume=True, **given))
    with pytest.raises(ConfigError, match="'rate_coded'.* but .*'softmax_rate'.* is asked for"):
        trained(settings, out=tmp_path / "run", resume=True, reward="softmax_rate")


def test_objects_of_ones_own_are_noted_and_given_again(
    splits: Splits, settings: dict[str, Any], tmp_path: Path
) -> None:
    own: dict[str, Any] = {"reward": Margin(3), "rule": Damped(0.4)}
    settings["schedule"] = {"name": "constant"}
    short = {**settings, "epochs": 2}
    run = tmp_path / "run"
    at_once = trained(settings, **own)
    trained(short, out=run, **own)
    noted = learner_in(run)
    assert noted["reward"] == {
        "name": "own", "kind": "Margin", "arguments": {"margin": 3}, "reads": "output",
    }  # fmt: skip
    assert noted["rule"] == {
        "name": "own", "kind": "Damped", "arguments": {"product": "halves", "strength": 0.4},
    }  # fmt: skip
    assert torch.equal(at_once, trained(settings, out=run, resume=True, **own))
    for others in ({}, {"reward": Margin(3)}, {**own, "reward": Margin(2)}, {**own, "rule": None}):
        with pytest.raises(ConfigError, match=r"config.yaml has learner.*is asked for"):
            trained(settings, out=run, resume=True, **others)

    opened = TrainedRun.open(run, net=new_net, data=lambda: splits)
    assert 0 <= opened.evaluate().accuracy <= 1
    learner = opened.learner
    assert isinstance(learner, LFP)
    with pytest.raises(ConfigError, match="rule of this run is a Damped that was given in Python"):
        learner.feedback(splits.train.batch([0, 1]))
    again = TrainedRun.open(run, net=new_net, data=lambda: splits, **own)
    assert isinstance(again.learner, LFP)
    assert again.learner.reward == Margin(3)
    assert again.evaluate() == opened.evaluate()
    again.learner.feedback(splits.train.batch([0, 1]))
    with pytest.raises(
        ConfigError, match=r"reward is Margin\(margin=2\), but .*Margin\(margin=3\)"
    ):
        TrainedRun.open(run, net=new_net, reward=Margin(2))


def test_a_reward_that_reads_by_itself_is_needed_to_read(
    splits: Splits, settings: dict[str, Any], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    trained({**settings, "epochs": 1}, out=run, reward=Least())
    with pytest.raises(ConfigError, match=r"is a Least .* give it again, reward=Least\(...\)"):
        TrainedRun.open(run, net=new_net)
    opened = TrainedRun.open(run, net=new_net, data=lambda: splits, reward=Least())
    assert 0 <= opened.evaluate().accuracy <= 1


def test_a_loss_trains(settings: dict[str, Any], tmp_path: Path) -> None:
    losses: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
        "ce_count_loss": sf.ce_count_loss(), "mse_count_loss": sf.mse_count_loss(0.8, 0.1),
    }  # fmt: skip
    for name, loss in losses.items():
        net = new_net()
        given: dict[str, Any] = {**settings, "epochs": 20, "out": tmp_path / name}
        result = fit(net, make_splits(), reward=FromLoss(loss), **given)
        assert result.test_accuracy > 0.8
        assert learner_in(tmp_path / name)["reward"]["arguments"]["loss"] == name


NEAR: list[tuple[dict[str, Any], str]] = [
    ({"reward": SoftmaxRate}, r"reward is the class SoftmaxRate, .*; call it, SoftmaxRate\(...\)"),
    ({"rule": Epsilon}, r"rule is the class Epsilon, .*; call it, Epsilon\(...\)"),
    ({"reward": sf.ce_count_loss()}, r"the function ce_count_loss, .*rewards.FromLoss\(loss\)"),
    ({"reward": torch.zeros_like}, r"function zeros_like, .*rewards.Function\(function\)"),
    ({"reward": 3}, "reward is 3, expected one such as lfp_snn.rewards.SoftmaxRate"),
    ({"rule": 0.1}, "rule is 0.1, expected one such as lfp_snn.rules.Epsilon"),
    ({"reward": "softmax"}, r"\['reward'\]\['name'\] is 'softmax'.*did you mean softmax_"),
    ({"reward": "own"}, r"learner\['reward'\]\['kind'\] is missing"),
    ({"reward": {"name": "softmax_rate", "a": -1.0}}, "SoftmaxRate.a is -1.0"),
    ({"reward": Margin(), "learner": {"reward": {"name": "tet"}}}, "reward is given, and learner="),
    ({"reward": Margin(), "learner": {"name": "surrogate"}},
     r"the learner surrogate takes none: it descends a loss, learner={'name': 'surrogate', 'loss'"),
    ({"rule": Epsilon(), "learner": {"name": "rstdp"}}, "learner rstdp takes none: leave it out"),
    ({"reward": Margin(), "learner": {"name": "nothing"}}, "is 'nothing', but the learner must be"),
    ({"reward": Margin(), "learner": "lfp"}, "learner is 'lfp', expected a mapping"),
    ({"learner": {"reward": FromLoss(sf.ce_count_loss())}},
     r"an object is the argument reward=FromLoss\(...\)"),
    ({"learner": {"rule": Epsilon()}}, r"an object is the argument rule=Epsilon\(...\)"),
    ({"reward": Function(nothing), "learner": {"name": "online_lfp"}},
     "expected a StepwiseReward"),
    ({"rewards": Margin()}, r"did you mean reward=Margin\(...\)\?"),
    ({"loss": sf.ce_count_loss()}, r"did you mean reward=lfp_snn.rewards.FromLoss\(...\)\?"),
]  # fmt: skip


@pytest.mark.parametrize(("given", "told"), NEAR, ids=[told for _, told in NEAR])
def test_near_misses_name_what_to_give(given: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        fit(new_net(), make_splits(), epochs=1, **given)


def test_a_run_of_a_named_reward_takes_that_one_alone(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    trained({**settings, "epochs": 1}, out=run)
    with pytest.raises(ConfigError, match="but the run has {'name': 'rate_coded'"):
        TrainedRun.open(run, net=new_net, reward=MembraneCoded())
