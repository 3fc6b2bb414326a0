"""The learner of the plain gradient through the step function, which is zero: a control."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from lfp_snn.learners.base import LearnerOptions
from lfp_snn.learners.gradient import LossOptions
from lfp_snn.learners.losses import step
from lfp_snn.learners.surrogate import BPTT

if TYPE_CHECKING:
    from torch import nn

__all__ = ["StepGradient", "StepGradientOptions"]


class StepGradientOptions(LossOptions):
    """The options of the plain gradient: the loss."""

    name: Literal["step_gradient"] = "step_gradient"


class StepGradient(BPTT, name="step_gradient"):
    """The plain gradient: the derivative of the step function is zero, as it truly is.

    With a loss on spikes no weight ever changes, so that this learner stays at chance; whatever
    another rule reaches beyond that, it has learnt. (snntorch's neurons do not show this by
    themselves: their default derivative is the arctan surrogate, and its ``Heaviside`` passes
    gradients at spikes.) A loss on membranes still trains the last layer.
    """

    Options: ClassVar[type[LearnerOptions]] = StepGradientOptions

    @classmethod
    def from_options(cls, net: nn.Module, options: Any) -> StepGradient:
        """Bind the loss to ``net``."""
        return cls(net, options.make_loss(), step, engine_options=options.engine_options())
