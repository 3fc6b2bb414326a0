"""Rewards in a configuration, by name, and the reward that goes with what a network ends in."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from pydantic import PlainValidator
from typing_extensions import override

from lfp_snn.errors import OtherOutputError
from lfp_snn.learners.ending import ByOutput, TaskShape
from lfp_snn.learners.own import OwnReward, named
from lfp_snn.options import Choice, choice_of, choose
from lfp_snn.rewards import REWARDS, MembraneTarget, Reward

if TYPE_CHECKING:
    from lfp_snn.engine import TemporalLFP

__all__ = [
    "AutoReward",
    "choose_reward",
    "refuse_other_output",
    "reward_section",
    "reward_sections",
    "settled",
]

# Sections are made when asked for: a program may add to the rewards.
_section = cache(choice_of)


class AutoReward(Choice):
    """The reward that goes with what the network ends in.

    Attributes:
        at_silence: whether to punish a wrong class at every step and not where it spiked alone, as
            credit; null for as published, unless the rule at the output takes credit. Membranes
            have no such option.
    """

    name: Literal["auto"] = "auto"
    at_silence: bool | None = None

    @override
    def make(self) -> ByOutput:
        return ByOutput(self.at_silence)


def reward_sections(kind: type = Reward) -> dict[str, type[Choice]]:
    """The sections of all rewards of a kind, by the name that a config uses."""
    return {
        name: _section(name, reward) for name, reward in REWARDS.items() if issubclass(reward, kind)
    }


def choose_reward(kind: type = Reward) -> PlainValidator:
    """A validator of sections of rewards: of a kind by name, by the output, or a user's own."""
    return choose("reward", _choices(kind), "auto")


def _choices(kind: type) -> Callable[[], dict[str, type[Choice]]]:
    return lambda: {"auto": AutoReward, **reward_sections(kind), "own": OwnReward}


def reward_section(reward: Reward) -> Choice:
    """The section that names a reward, or notes one that no config can name."""
    if type(reward) is ByOutput:
        return AutoReward(at_silence=reward.at_silence)
    return named(reward, reward_sections()) or OwnReward.of(reward)


def settled(section: Choice, engine: TemporalLFP, task: TaskShape | None = None) -> Choice:
    """A section of a reward with the name of the one that is taken, where it left that open.

    Args:
        section: the section.
        engine: the network.
        task: what the samples ask, where it is known; to targets membranes are pulled.
    """
    made: Any = section.make() if isinstance(section, AutoReward) else None
    if not isinstance(made, ByOutput):
        return section
    if task is not None and task.targets and engine.emits == "membranes":
        return reward_section(MembraneTarget())
    return reward_section(
        made.chosen(
            engine.emits,
            takes_credit=engine.takes_credit(engine.rules),
            answers_late=engine.answers_late,
            task=task,
        )
    )


def refuse_other_output(reward: Reward, engine: TemporalLFP) -> None:
    """Refuse a reward that is made for another kind of output than the network has.

    Raises:
        OtherOutputError: reward and output do not fit; the message names both, and the
            rewards that do.
    """
    seen: tuple[str, ...] = (engine.emits,)
    if engine.emits == "spikes" and engine.ends_in_neurons:
        seen = ("spikes", "membranes")
    # Credit of a mean of spikes goes on to those that made it.
    of_votes = reward.looks_at == "spikes" and reward.is_credit
    if reward.looks_at in (*seen, "any") or (of_votes and engine.takes_credit(engine.rules)):
        return
    fitting = [name for name, each in REWARDS.items() if each.looks_at in seen]
    outputs = {
        "spikes": "ends in units that spike",
        "membranes": "ends in neurons that never spike (a readout)",
        "values": "ends in no neurons",
    }
    votes = "; counts of votes are rewarded under the rule rescale, without at_silence: false"
    raise OtherOutputError(
        f"The reward {type(reward).__name__} looks at {reward.looks_at}, but the network "
        f"{outputs[engine.emits]}: leave the reward out, which then goes by that, take one of "
        f"{', '.join(fitting)}, or end the network otherwise{votes if engine.votes else ''}."
    )
