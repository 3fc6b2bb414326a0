"""The reward and the rule that a user gives as arguments, as a part of the learner's settings."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lfp_snn.errors import ConfigError
from lfp_snn.learners import LEARNERS
from lfp_snn.learners.own import OwnObject
from lfp_snn.learners.reward_options import reward_section
from lfp_snn.learners.rule_options import rule_section
from lfp_snn.options import Choice
from lfp_snn.rewards import Reward
from lfp_snn.rules import Composite, Rule
from lfp_snn.training.config import Settings
from lfp_snn.training.configproblems import cut

__all__ = ["GivenReward", "GivenRule", "given_again", "taught_by", "to_run"]

#: A reward, its name, or a mapping with a name and options as a config has it.
GivenReward = Reward | Mapping[str, Any] | str
#: A rule or a composite, its name, or a mapping with a name and options as a config has it.
GivenRule = Rule | Composite | Mapping[str, Any] | str


def taught_by(
    settings: Mapping[str, Any], reward: GivenReward | None, rule: GivenRule | None
) -> dict[str, Any]:
    """The settings with a reward and a rule in the section of the learner.

    Args:
        settings: the settings as the user gave them.
        reward: the reward, if one is given as an argument.
        rule: the rule, if one is given as an argument.

    Raises:
        ConfigError: one is given twice, is nothing of the kind, or the learner takes none.
    """
    given = {"reward": reward, "rule": rule}
    told = {name: _section(name, each) for name, each in given.items() if each is not None}
    if not told:
        return dict(settings)
    learner = settings.get("learner") or {}
    if isinstance(learner, Choice):
        learner = {"name": learner.name, **learner.options()}
    if not isinstance(learner, Mapping):  # which is told when the settings are checked
        return dict(settings)
    kind = LEARNERS.get(learner.get("name", "lfp"))
    for name in told:
        if kind is not None and name not in kind.Options.model_fields:
            raise ConfigError(_taken_by_none(name, learner["name"], kind.Options.model_fields))
        if name in learner:
            raise ConfigError(
                f"{name} is given, and learner={{{name!r}: ...}} too; leave one of them out."
            )
    return {**settings, "learner": {**learner, **told}}


def _section(name: str, given: Any) -> Any:
    """The section of settings for what is given as an argument."""
    if isinstance(given, str):
        return {"name": given}
    if isinstance(given, Mapping | Choice):
        return given
    kinds, section, example = _KINDS[name]
    if isinstance(given, kinds):
        return section(given)
    found, cure = cut(repr(given)), ""
    if isinstance(given, type):
        found, cure = f"the class {given.__name__}", f"; call it, {given.__name__}(...)"
    elif name == "reward" and callable(given):
        found = f"the function {getattr(given, '__name__', type(given).__name__)}"
        cure = (
            "; a loss of outputs and labels is rewards.FromLoss(loss), a function that gives a "
            "reward for each of them rewards.Function(function)"
        )
    raise ConfigError(f"{name} is {found}, expected one such as {example}, or its name{cure}.")


def _taken_by_none(name: str, learner: str, fields: Mapping[str, Any]) -> str:
    """The sentence for a learner that takes no reward, or no rule."""
    cure = "leave it out"
    if name == "reward" and "loss" in fields:
        cure = f"it descends a loss, learner={{'name': {learner!r}, 'loss': ...}}"
    return f"{name} is given, but the learner {learner} takes none: {cure}."


_Kind = tuple[tuple[type, ...], Callable[[Any], Choice], str]
_KINDS: Mapping[str, _Kind] = {
    "reward": ((Reward,), reward_section, "lfp_snn.rewards.SoftmaxRate()"),
    "rule": ((Rule, Composite), rule_section, "lfp_snn.rules.Epsilon()"),
}


def given_again(settings: Settings, reward: GivenReward | None, rule: GivenRule | None) -> Settings:
    """The settings of a run with the objects that it was given, which no file holds.

    Args:
        settings: the settings as they were read.
        reward: the reward of the run, if it was given as an object.
        rule: the rule of the run, likewise.

    Raises:
        ConfigError: an object is another than the one of the run.
    """
    told: dict[str, Choice] = {}
    for name, given in (("reward", reward), ("rule", rule)):
        if given is None:
            continue
        noted, section = getattr(settings.learner, name, None), _section(name, given)
        if (
            not isinstance(noted, Choice)
            or not isinstance(section, Choice)
            or not _alike(section, noted)
        ):
            raise ConfigError(
                f"{name} is {cut(repr(given))}, but the run has {_told(noted)}: give it that, or "
                "nothing."
            )
        told[name] = section
    learner = settings.learner.model_copy(update=told)
    return settings.model_copy(update={"learner": learner})


def to_run(settings: Settings) -> Settings:
    """Settings by which a network can be run and read, though not taught, without what lacks.

    A reward or a rule of a user's own that is not there has something in its place that runs the
    network and reads the class in the same way. A reward that reads a class by itself has not.
    """
    told: dict[str, Choice] = {}
    for name in _KINDS:
        section = getattr(settings.learner, name, None)
        if isinstance(section, OwnObject) and not section.is_there:
            told[name] = section.stand_in()
    learner = settings.learner.model_copy(update=told)
    return settings.model_copy(update={"learner": learner}) if told else settings


def _alike(one: Choice, other: Choice) -> bool:
    """Whether two sections are the same to a file."""
    return one.model_dump(mode="json") == other.model_dump(mode="json")


def _told(section: Choice | None) -> str:
    """A section in words, as a file has it."""
    if section is None:
        return "none"
    if isinstance(section, OwnObject):
        options = ", ".join(f"{key}={each!r}" for key, each in section.arguments.items())
        return f"{section.kind}({options})"
    return str({"name": section.name, **section.options()})
