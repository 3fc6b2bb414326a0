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
from lfp_snn.rewards.base import Output, Seen
from lfp_snn.rewards.given import own_steps, require_share

if TYPE_CHECKING:
    from snntorch import functional, surrogate
    from torch import Tensor
else:
    functional, surrogate = later("snntorch.functional"), later("snntorch.surrogate")

__all__ = [
    "BY_OUTPUT",
    "LOSSES",
    "SMOOTHED",
    "SURROGATES",
    "Loss",
    "LossByOutput",
    "LossFunction",
    "LossName",
    "SpikeFunction",
    "SurrogateName",
    "check_loss",
    "check_surrogate",
    "loss_by_output",
    "make_loss",
    "make_surrogate",
    "step",
    "tet",
]

LossName = Literal[
    "ce_count_loss",
    "ce_rate_loss",
    "ce_max_membrane_loss",
    "ce_mean_membrane_loss",
    "ce_temporal_loss",
    "mse_count_loss",
    "mse_membrane_loss",
    "mse_target_loss",
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


def mean_membrane(a: float = 1.0) -> LossFunction:
    r"""The cross-entropy of a softmax over the mean outputs, :math:`-\log p_y`.

    .. math:: p = \operatorname{softmax}(a m) \qquad m_c = \sum_t o_{t,c} / T

    over each sample's own steps T, where :math:`o_t` are membranes, or values where the network
    ends in no neurons. Minus its derivative is the reward
    :class:`~lfp_snn.rewards.MembraneCoded`.

    Args:
        a: the weight of a unit of membrane.
    """

    def loss(outputs: Tensor, labels: Tensor, lengths: Tensor | None) -> Tensor:
        if lengths is not None:
            outputs = outputs * running(lengths.to(outputs.device), len(outputs), 3)
        mean = outputs.sum(0) / own_steps(outputs, lengths)
        return nn.functional.cross_entropy(a * mean, labels.to(outputs.device))

    return loss


def mse_target() -> LossFunction:
    """The squared difference of outputs and targets, its mean over outputs and own steps.

    The labels of this loss are the targets, ``[T, B, C]``, or ``[B, C]`` for all steps.
    """

    def loss(outputs: Tensor, targets: Tensor, lengths: Tensor | None) -> Tensor:
        seen = Seen(outputs, None, own_steps(outputs, lengths), outputs, targets)
        wanted = seen.output_target()
        assert wanted is not None
        squares = (outputs - wanted).square() * seen.alive
        return (squares.mean(-1).sum(0) / seen.steps[:, 0]).mean()

    return loss


#: The losses, and what each looks at; a name is that of a function of snntorch.
LOSSES: Mapping[LossName, tuple[Callable[..., LossFunction] | str, str]] = {
    "ce_count_loss": ("ce_count_loss", "spikes"),
    "ce_rate_loss": ("ce_rate_loss", "spikes"),
    "ce_max_membrane_loss": ("ce_max_membrane_loss", "membranes"),
    "ce_mean_membrane_loss": (mean_membrane, "membranes"),
    "ce_temporal_loss": ("ce_temporal_loss", "spikes"),
    "mse_count_loss": ("mse_count_loss", "spikes"),
    "mse_membrane_loss": ("mse_membrane_loss", "membranes"),
    "mse_target_loss": (mse_target, "membranes"),
    "mse_temporal_loss": ("mse_temporal_loss", "spikes"),
    "tet_loss": (tet, "spikes"),
    "tet_membrane_loss": (tet_membrane, "membranes"),
}
#: The loss that goes with what a network ends in, as its reward does.
BY_OUTPUT: Mapping[Output, LossName] = {
    "spikes": "ce_count_loss",
    "membranes": "ce_mean_membrane_loss",
    "values": "ce_mean_membrane_loss",
}
#: Cross-entropies of one softmax, or one a step, over the classes: those whose labels can be
#: smoothed. (The classes of ce_temporal_loss are times, those of the other losses have targets.)
SMOOTHED: tuple[LossName, ...] = (
    "ce_count_loss",
    "ce_rate_loss",
    "ce_max_membrane_loss",
    "ce_mean_membrane_loss",
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
        of_targets: whether it goes by targets, which are numbers, and not by classes.
    """

    function: LossFunction
    looks_at: str
    smoothing: float = 0.0
    classes: int | None = None
    of_targets: bool = False

    def __call__(self, out: Unrolled, labels: Tensor, targets: Tensor | None = None) -> Tensor:
        """The loss as a scalar, its mean over the batch.

        Args:
            out: what the outputs did.
            labels: the classes ``[B]``.
            targets: the targets, for a loss that goes by them.

        Raises:
            ConfigError: the loss goes by targets and there are none.
        """
        outputs = getattr(out, self.looks_at)
        if self.of_targets:
            if targets is None:
                raise ConfigError(
                    "The loss mse_target_loss goes by targets, which are numbers, but the samples "
                    "have classes: take mse_membrane_loss, which makes targets of them, or a "
                    "cross-entropy such as ce_mean_membrane_loss."
                )
            return self.function(outputs, targets, out.lengths)
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


@dataclass(frozen=True)
class LossByOutput:
    """The loss that goes with what the network ends in (:data:`BY_OUTPUT`).

    Attributes:
        options: the options of that loss.
        smoothing: the share of each label that all classes divide among them.
    """

    options: Mapping[str, float | bool]
    smoothing: float = 0.0

    def check(self) -> None:
        """Raise ConfigError if no loss that may be chosen has such options."""
        found: list[ConfigError] = []
        names = list(dict.fromkeys(BY_OUTPUT.values()))
        for name in names:
            try:
                check_loss(name, self.options, self.smoothing)
            except ConfigError as error:
                found.append(error)
        if len(found) == len(names):
            raise ConfigError(f"{str(found[0]).rstrip('.')}; nor does {names[1]}: name a loss.")

    def at_output(self, output: Output, *, votes: bool) -> Loss:
        """The loss for an output.

        Args:
            output: what the network ends in.
            votes: whether its values are counts of spikes.

        Raises:
            ConfigError: that loss has no such options.
        """
        return make_loss(loss_by_output(output, votes=votes), self.options, self.smoothing)


def loss_by_output(output: Output, *, votes: bool) -> LossName:
    """The name of the loss that goes with an output; values that are votes count as spikes."""
    return BY_OUTPUT["spikes" if votes else output]


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
    return Loss(function, looks_at, smoothing, classes or None, of_targets=make is mse_target)


def check_loss(
    name: LossName | Literal["auto"], options: Mapping[str, float | bool], smoothing: float
) -> None:
    """Check the options of a loss as :func:`make_loss` does; without any, no torch is needed.

    Raises:
        ConfigError: the loss has no such option, or no labels that could be smoothed; of
            ``auto``, no loss that may be chosen has such options.
    """
    if name == "auto":
        LossByOutput(options, smoothing).check()
        return
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
