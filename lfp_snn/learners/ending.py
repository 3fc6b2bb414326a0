"""The reward that goes with what a network ends in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from typing_extensions import override

from lfp_snn.errors import ConfigError
from lfp_snn.rewards import (
    CountTarget,
    MembraneCoded,
    RateCoded,
    Reward,
    SoftmaxRate,
    SoftmaxValues,
)
from lfp_snn.rewards.base import LooksAt, Output, Seen

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["ByOutput", "TaskShape"]


@dataclass(frozen=True)
class TaskShape:
    """What samples ask of a network, for options that go by it.

    Attributes:
        steps: the number of steps T, the largest where samples have their own; 0 if unknown.
        classes: the number of classes; 0 if unknown, or if there are none.
        targets: whether the samples have targets and no classes.
    """

    steps: int = 0
    classes: int = 0
    targets: bool = False


@dataclass(frozen=True)
class ByOutput(Reward):
    """The reward that goes with what the network ends in: spikes, membranes or values.

    ========= ====================================================================
    output    reward
    ========= ====================================================================
    spikes    :class:`~lfp_snn.rewards.RateCoded`; CountTarget where so few steps are known to
              train it that the other would keep a silent network silent, SoftmaxRate where a rule
              that takes credit counts the spikes of neurons that answer late (``snntorch.Alpha``)
    membranes :class:`~lfp_snn.rewards.MembraneCoded`, of a readout that never spikes
    values    :class:`~lfp_snn.rewards.SoftmaxValues`; as for spikes where they are votes, means or
              sums of spikes, and a rule that takes credit hands it on to them
    ========= ====================================================================

    A learner, which knows the network, puts that reward in the place of this one.

    Args:
        at_silence: the option of that reward, if it has one.
    """

    looks_at: ClassVar[LooksAt] = "any"
    at_silence: bool | None = None

    def chosen(
        self,
        output: Output,
        *,
        takes_credit: bool,
        answers_late: bool = False,
        task: TaskShape | None = None,
    ) -> Reward:
        """The reward that goes with an output, with its own options still open.

        Args:
            output: what the network ends in.
            takes_credit: whether the rule at the output takes credit.
            answers_late: whether an input moves the counted neurons at later steps alone. Each
                class by itself is then led to fire as all others do; a softmax lets them compete.
            task: what the samples ask, where it is known.

        Raises:
            ConfigError: ``at_silence`` is given, and a membrane is there at every step.
        """
        if output == "membranes":
            if self.at_silence is not None:
                raise ConfigError(
                    "The reward has at_silence, but the network ends in membranes, which are "
                    "there at every step and are rewarded by MembraneCoded: leave at_silence out."
                )
            return MembraneCoded()
        if output == "spikes" or takes_credit:
            if answers_late and takes_credit:
                return SoftmaxRate(at_silence=self.at_silence)
            usual = RateCoded(at_silence=self.at_silence)
            used = usual.suited(takes_credit=takes_credit)
            if task is not None and task.classes and used.hushes(task.steps, task.classes):
                return CountTarget(at_silence=self.at_silence)
            return usual
        return SoftmaxValues(at_silence=self.at_silence)

    @override
    def at_output(self, output: Output, *, takes_credit: bool) -> Reward:
        return self.chosen(output, takes_credit=takes_credit).suited(takes_credit=takes_credit)

    @override
    def reward(self, seen: Seen) -> Tensor:
        raise ConfigError(
            "This reward goes by what the network ends in, which a learner knows; by hand take one "
            "of lfp_snn.rewards, such as RateCoded()."
        )
