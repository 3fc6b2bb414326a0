"""The losses and surrogate derivatives of snntorch, by name, and the losses of TET.

A loss is a mean over the batch, as snntorch has it; a learner multiplies it by the batch to fill
``.grad`` with sums.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from lfp_snn.errors import ConfigError
from lfp_snn.later import later, nn, torch
from lfp_snn.learners.unrolled import Unrolled
from lfp_snn.lif import running
from lfp_snn.rewards.given import own_steps, require_share

if TYPE_CHECKING:
    from snntorch import functional, surrogate
    from torch import Tensor
else:
    functional, surrogate = later("snntorch.functional"), later("snntorch.surrogate")

__all__ = [
    "LOSSES",
    "SMOOTHED",
    "SURROGATES",
    "Loss",
    "LossFunction",
    "LossName",
    "SpikeFunction",
    "SurrogateName",
    "check_loss",
    "check_surrogate",
    "make_loss",
    "make_surrogate",
    "step",
    "tet",
]

LossName = Literal[
    "ce_count_loss",
    "ce_rate_loss",
    "ce_max_membrane_loss",
    "ce_temporal_loss",
    "mse_count_loss",
    "mse_membrane_loss",
    "mse_temporal_loss",
    "tet_loss",
    "tet_membrane_loss",
]
SurrogateName = Literal[
    "atan",
    "fast_sigmoid",
    "sigmoid",
    "straight_through",
    "triangular",
    "spike_rate_escape",
    "sparse_fast_sigmoid",
    "stochastic_spike_operator",
]

#: Turns outputs ``[T, B, C]``, labels ``[B]`` and lengths ``[B]``, if there are any, into a loss.
LossFunction: TypeAlias = "Callable[[Tensor, Tensor, Tensor | None], Tensor]"
#: Turns ``membrane - threshold`` into spikes, with a derivative of its own.
SpikeFunction: TypeAlias = "Callable[[Tensor], Tensor]"

#: snntorch's surrogates: what makes each, and what it calls the number that shapes it. Without its
#: leaky spike operator, which in snntorch 1.0 calls another function and fails.
SURROGATES: Mapping[SurrogateName, tuple[str, str | None]] = {
    "atan": ("atan", "alpha"),
    "fast_sigmoid": ("fast_sigmoid", "slope"),
    "sigmoid": ("sigmoid", "slope"),
    "straight_through": ("straight_through_estimator", None),
    "triangular": ("triangular", "threshold"),
    "spike_rate_escape": ("spike_rate_escape", "slope"),
    "sparse_fast_sigmoid": ("SFS", "slope"),
    "stochastic_spike_operator": ("SSO", "variance"),
}


def tet(a: float = 1.0, so_far: bool = True) -> LossFunction:
    r"""The loss of temporal efficient training: the mean of every step's own cross-entropy.

    .. math:: \frac{1}{T} \sum_t -\log p_{t,y} \qquad p_t = \operatorname{softmax}(a\, o_t)

    over each sample's own steps T, then the mean over the batch. :math:`o_t` ``[B, C]`` is what the
    outputs were in step t, or the sum of that so far. Of the spikes of single steps and with a = 1
    it is snntorch's ``ce_rate_loss``.

    Args:
        a: the weight of one spike, or of a unit of membrane.
        so_far: whether the output of a step is the sum over the steps so far.

    Source: Deng, Li, Zhang, Gu, *Temporal Efficient Training of Spiking Neural Network via Gradient
    Re-weighting*, ICLR 2022, without their second term, which holds membranes near a value.
    """

    def loss(outputs: Tensor, labels: Tensor, lengths: Tensor | None) -> Tensor:
        steps, batch = outputs.shape[:2]
        seen = a * (outputs.cumsum(0) if so_far else outputs)
        targets = labels.to(outputs.device).expand(steps, batch)
        each = nn.functional.cross_entropy(seen.movedim(-1, 1), targets, reduction="none")
        if lengths is None:
            return each.mean()
        each = each * running(lengths.to(each.device), steps, 2)
        return (each.sum(0) / own_steps(outputs, lengths)[:, 0]).mean()

    return loss


def tet_membrane(a: float = 1.0) -> LossFunction:
    """The loss :func:`tet` of single steps: a membrane is a sum over the steps so far by itself."""
    return tet(a, so_far=False)


#: The losses, and what each looks at; a name is that of a function of snntorch.
LOSSES: Mapping[LossName, tuple[Callable[..., LossFunction] | str, str]] = {
    "ce_count_loss": ("ce_count_loss", "spikes"),
    "ce_rate_loss": ("ce_rate_loss", "spikes"),
    "ce_max_membrane_loss": ("ce_max_membrane_loss", "membranes"),
    "ce_temporal_loss": ("ce_temporal_loss", "spikes"),
    "mse_count_loss": ("mse_count_loss", "spikes"),
    "mse_membrane_loss": ("mse_membrane_loss", "membranes"),
    "mse_temporal_loss": ("mse_temporal_loss", "spikes"),
    "tet_loss": (tet, "spikes"),
    "tet_membrane_loss": (tet_membrane, "membranes"),
}
#: Cross-entropies of one softmax, or one a step, over the classes: those whose labels can be
#: smoothed. (The classes of ce_temporal_loss are times, those of the other losses have targets.)
SMOOTHED: tuple[LossName, ...] = (
    "ce_count_loss",
    "ce_rate_loss",
    "ce_max_membrane_loss",
    "tet_loss",
    "tet_membrane_loss",
)


@dataclass(frozen=True)
class Loss:
    """A loss on the outputs, a mean over the batch.

    Attributes:
        function: the loss of outputs ``[T, B, C]``, labels ``[B]`` and lengths ``[B]``.
        looks_at: what it looks at, ``spikes`` or ``membranes``.
        smoothing: the share of each label that all classes divide among them.
        classes: the number of classes, if it is not that of the outputs (population codes).
    """

    function: LossFunction
    looks_at: str
    smoothing: float = 0.0
    classes: int | None = None

    def __call__(self, out: Unrolled, labels: Tensor) -> Tensor:
        """The loss as a scalar, its mean over the batch."""
        outputs = getattr(out, self.looks_at)
        # The temporal losses write into the labels.
        value = self.function(outputs, labels.clone(), out.lengths).reshape(())
        if not self.smoothing:
            return value
        even = self._of_every_class(outputs, out.lengths)
        return (1 - self.smoothing) * value + self.smoothing * even

    def _of_every_class(self, outputs: Tensor, lengths: Tensor | None) -> Tensor:
        """The mean of the losses with every class as the label.

        A cross-entropy is linear in what it expects, so that this is the loss with all classes
        expected alike; each sample stands in one batch once for each class.
        """
        classes, batch = self.classes or outputs.shape[2], outputs.shape[1]
        labels = torch.arange(classes, device=outputs.device).repeat_interleave(batch)
        repeated = None if lengths is None else lengths.repeat(classes)
        return self.function(outputs.repeat(1, classes, 1), labels, repeated).reshape(())


def make_loss(name: LossName, options: Mapping[str, float | bool], smoothing: float = 0.0) -> Loss:
    """A loss by its name.

    Args:
        name: the name of the loss.
        options: the options of the loss.
        smoothing: the share of each label that all classes divide among them, in [0, 1).

    Raises:
        ConfigError: the loss has no such option, or no labels that could be smoothed.
    """
    make, looks_at = LOSSES[name]
    _check_smoothing(name, smoothing)
    try:
        function: LossFunction
        if isinstance(make, str):
            function = _of_outputs_and_labels(getattr(functional, make)(**options))
        else:
            function = make(**options)
    except TypeError as error:
        raise ConfigError(f"The loss {name} does not take {dict(options)}: {error}.") from error
    classes = int(options.get("num_classes", 0)) if options.get("population_code") else 0
    return Loss(function, looks_at, smoothing, classes or None)


def check_loss(name: LossName, options: Mapping[str, float | bool], smoothing: float) -> None:
    """Check the options of a loss as :func:`make_loss` does; without any, no torch is needed.

    Raises:
        ConfigError: the loss has no such option, or no labels that could be smoothed.
    """
    _check_smoothing(name, smoothing)
    if options:
        make_loss(name, options, smoothing)


def _check_smoothing(name: LossName, smoothing: float) -> None:
    require_share("smoothing", smoothing)
    if smoothing and name not in SMOOTHED:
        raise ConfigError(
            f"smoothing is {smoothing}, but {name} is no cross-entropy over classes, whose labels "
            f"could be smoothed; take one of {', '.join(SMOOTHED)}, or leave smoothing out."
        )


def _of_outputs_and_labels(function: Callable[[Tensor, Tensor], Tensor]) -> LossFunction:
    """A loss of snntorch as one that takes lengths too; after its end a sample is silent."""
    return lambda outputs, labels, _lengths: function(outputs, labels)


def make_surrogate(name: SurrogateName, slope: float | None) -> SpikeFunction:
    """A surrogate by its name; ``slope`` is its parameter, ``None`` for snntorch's own value.

    Raises:
        ConfigError: the surrogate has no parameter.
    """
    check_surrogate(name, slope)
    maker, argument = SURROGATES[name]
    make = getattr(surrogate, maker)
    spike: SpikeFunction = make() if slope is None else make(**{str(argument): slope})

    def fire(x: Tensor) -> Tensor:
        # snntorch's own spikes are float32 whatever the network is.
        return spike(x).to(x.dtype)

    return fire


def check_surrogate(name: SurrogateName, slope: float | None) -> None:
    """Check the parameter of a surrogate as :func:`make_surrogate` does, without torch.

    Raises:
        ConfigError: the surrogate has no parameter.
    """
    _, argument = SURROGATES[name]
    if slope is not None and argument is None:
        raise ConfigError(f"The surrogate {name} has no slope to set; leave slope out.")


@cache
def _zero_gradient_step() -> Any:
    """The class of torch of the step function with its true derivative: zero."""

    class ZeroGradientStep(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return (x > 0).to(x.dtype)

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> Tensor:
            return torch.zeros_like(grads[0])

    return ZeroGradientStep


def step(x: Tensor) -> Tensor:
    """The step function, 1 where ``x > 0``, else 0; its derivative is zero everywhere."""
    result: Tensor = _zero_gradient_step().apply(x)
    return result
