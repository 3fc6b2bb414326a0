"""Objects in the place of names: the section that makes an equal one, or that notes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import torch
from snntorch import functional as sf
from torch import Tensor

from lfp_snn.errors import ConfigError
from lfp_snn.learners.lfp import LFPOptions
from lfp_snn.learners.own import OwnObject, Withheld
from lfp_snn.learners.reward_options import AutoReward, reward_section
from lfp_snn.learners.rule_options import rule_section
from lfp_snn.rewards import (
    REWARDS,
    FirstSpike,
    FromLoss,
    Function,
    MembraneCoded,
    Reward,
    SoftmaxRate,
    VanRossum,
)
from lfp_snn.rules import (
    COMPOSITES,
    RULES,
    Assignment,
    Composite,
    EpsilonGammaBox,
    Flat,
    Gamma,
    Rescale,
    Rule,
    ZBox,
)
from tests.learners.own_objects import Damped, nothing


@dataclass(frozen=True)
class Margin(Reward):
    margin: float = 2.0

    def reward(self, seen: Any) -> Tensor:
        wanted: Tensor = seen.truth - seen.spikes
        return wanted


class Plain(Reward):
    """A reward that is no dataclass."""

    def __init__(self) -> None:
        self.strength, self.weights, self._hidden = float("inf"), torch.ones(3), 1

    def reward(self, seen: Any) -> Tensor:
        return torch.zeros_like(seen.spikes)


class Readout(MembraneCoded):
    """A reward that reads as its parent does."""


class Twice(Margin):
    """A reward that reads in a way of its own."""

    def scores(self, spikes: Tensor, steps: Tensor, membranes: Tensor | None = None) -> Tensor:
        return -spikes.sum(0)


def read_back(section: Any, name: str) -> Any:
    """A section as a file has it, read again."""
    options = LFPOptions.model_validate({"name": "lfp", name: section})
    return getattr(LFPOptions.model_validate(options.model_dump(mode="json")), name)


@pytest.mark.parametrize("name", REWARDS)
def test_every_reward_that_can_be_named_is(name: str) -> None:
    reward = REWARDS[name]()
    section = reward_section(reward)
    assert section.name == name
    assert read_back(section, "reward").make() == reward


composites: list[Any] = list(COMPOSITES.values())  # each has options of its own
NAMED: list[Rule | Composite] = [
    *(kind() for kind in RULES.values()),
    *(kind() for kind in composites),
    EpsilonGammaBox(-1.0, 2.0, 0.1, 1e-3),
    Gamma(0.5),
    Rescale("window", "decay", 0.2, ZBox(-1, 1), product="signal"),
    Composite((Assignment(Flat(), position="first"), Assignment(Gamma(0.1), type="Conv*")),
              Rescale(synapse=Gamma(0.2))),
]  # fmt: skip


@pytest.mark.parametrize("rule", NAMED, ids=repr)
def test_every_rule_that_can_be_named_is(rule: Rule | Composite) -> None:
    section = rule_section(rule)
    assert section.name != "own"
    assert read_back(section, "rule").make() == rule


UNNAMED: list[Rule | Composite] = [
    Damped(),
    Rescale(synapse=Damped()),
    Composite((Assignment(Damped(), position="first"),)),
    Composite((Assignment(Flat(), position="first"),), strict=False),
]


@pytest.mark.parametrize("rule", UNNAMED, ids=repr)
def test_other_rules_are_noted_and_travel_with_their_section(rule: Rule | Composite) -> None:
    section = rule_section(rule)
    assert isinstance(section, OwnObject)
    assert section.make() is rule
    assert section.kind == type(rule).__name__
    later = read_back(section, "rule")
    with pytest.raises(ConfigError, match=f"is a {section.kind} .*: give it again"):
        later.make()
    withheld = later.stand_in().make()
    assert isinstance(withheld, Withheld)
    with pytest.raises(ConfigError, match="give it again"):
        withheld.split(torch.ones(1), torch.ones(1))


@pytest.mark.parametrize(
    ("reward", "arguments", "stand_in"),
    [
        (Margin(3.0), {"margin": 3.0}, AutoReward().make()),
        (Plain(), {"strength": "inf"}, AutoReward().make()),
        (Readout(2.0), {"a": 2.0, "smoothing": 0.0}, MembraneCoded()),
        (FromLoss(sf.ce_count_loss()), {"loss": "ce_count_loss", "at_silence": None, "of": None},
         AutoReward().make()),
        (FromLoss(sf.mse_membrane_loss(), of="membranes"),
         {"loss": "mse_membrane_loss", "at_silence": None, "of": "membranes"}, MembraneCoded()),
        (Function(nothing), {"function": "nothing"}, AutoReward().make()),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_other_rewards_are_noted_with_what_reads_alike(
    reward: Reward, arguments: dict[str, Any], stand_in: Reward
) -> None:
    section = reward_section(reward)
    assert isinstance(section, OwnObject)
    assert section.is_there
    assert section.make() is reward
    assert section.arguments == arguments
    later = read_back(section, "reward")
    assert not later.is_there
    assert later.model_dump() == section.model_dump()
    assert later.stand_in().make() == stand_in


@pytest.mark.parametrize("reward", [Twice(), type("Late", (FirstSpike,), {})()])
def test_what_reads_by_itself_has_nothing_in_its_place(reward: Reward) -> None:
    later = read_back(reward_section(reward), "reward")
    assert later.reads == "itself"
    assert later.stand_in() is later


def test_a_class_that_a_program_named_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert reward_section(Margin(1.0)).name == "own"
    monkeypatch.setitem(REWARDS, "margin", Margin)
    section = reward_section(Margin(1.0))
    assert section.model_dump() == {"name": "margin", "margin": 1.0}
    assert reward_section(SoftmaxRate(a=0.5)).model_dump()["a"] == 0.5
    assert reward_section(VanRossum(period=2)).name == "van_rossum"
