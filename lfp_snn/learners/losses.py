"""The losses and surrogate derivatives of snntorch, by name.

A loss is a mean over the batch, as snntorch has it; a learner multiplies it by the batch to fill
``.grad`` with sums.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from snntorch import functional, surrogate
from torch import Tensor

from lfp_snn.errors import ConfigError
from lfp_snn.learners.unrolled import Unrolled

__all__ = [
    "LOSSES",
    "SURROGATES",
    "Loss",
    "LossName",
    "SpikeFunction",
    "SurrogateName",
    "make_loss",
    "make_surrogate",
    "step",
]

LossName = Literal[
    "ce_count_loss",
    "ce_rate_loss",
    "ce_max_membrane_loss",
    "ce_temporal_loss",
    "mse_count_loss",
    "mse_membrane_loss",
    "mse_temporal_loss",
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

#: Turns ``membrane - threshold`` into spikes, with a derivative of its own.
SpikeFunction = Callable[[Tensor], Tensor]

#: snntorch's surrogates: how each is made, and what it calls the number that shapes it. Without its
#: leaky spike operator, which in snntorch 1.0 calls another function and fails.
SURROGATES: Mapping[SurrogateName, tuple[Callable[..., SpikeFunction], str | None]] = {
    "atan": (surrogate.atan, "alpha"),
    "fast_sigmoid": (surrogate.fast_sigmoid, "slope"),
    "sigmoid": (surrogate.sigmoid, "slope"),
    "straight_through": (surrogate.straight_through_estimator, None),
    "triangular": (surrogate.triangular, "threshold"),
    "spike_rate_escape": (surrogate.spike_rate_escape, "slope"),
    "sparse_fast_sigmoid": (surrogate.SFS, "slope"),
    "stochastic_spike_operator": (surrogate.SSO, "variance"),
}

#: snntorch's losses, and what each looks at.
LOSSES: Mapping[LossName, tuple[Callable[..., Any], str]] = {
    "ce_count_loss": (functional.ce_count_loss, "spikes"),
    "ce_rate_loss": (functional.ce_rate_loss, "spikes"),
    "ce_max_membrane_loss": (functional.ce_max_membrane_loss, "membranes"),
    "ce_temporal_loss": (functional.ce_temporal_loss, "spikes"),
    "mse_count_loss": (functional.mse_count_loss, "spikes"),
    "mse_membrane_loss": (functional.mse_membrane_loss, "membranes"),
    "mse_temporal_loss": (functional.mse_temporal_loss, "spikes"),
}


@dataclass(frozen=True)
class Loss:
    """A loss of snntorch, and whether it looks at ``spikes`` or ``membranes``."""

    function: Callable[[Tensor, Tensor], Tensor]
    looks_at: str

    def __call__(self, out: Unrolled, labels: Tensor) -> Tensor:
        """The loss as a scalar, its mean over the batch."""
        # The temporal losses write into the labels.
        value = self.function(getattr(out, self.looks_at), labels.clone())
        return value.reshape(())


def make_loss(name: LossName, options: Mapping[str, float | bool]) -> Loss:
    """A loss by its name in snntorch.

    Raises:
        ConfigError: the loss has no such option.
    """
    function, looks_at = LOSSES[name]
    try:
        return Loss(function(**options), looks_at)
    except TypeError as error:
        raise ConfigError(f"snntorch's {name} does not take {dict(options)}: {error}.") from error


def make_surrogate(name: SurrogateName, slope: float | None) -> SpikeFunction:
    """A surrogate by its name; ``slope`` is its parameter, ``None`` for snntorch's own value.

    Raises:
        ConfigError: the surrogate has no parameter.
    """
    make, argument = SURROGATES[name]
    if slope is not None and argument is None:
        raise ConfigError(f"The surrogate {name} has no slope to set; leave slope out.")
    spike = make() if slope is None else make(**{str(argument): slope})

    def fire(x: Tensor) -> Tensor:
        # snntorch's own spikes are float32 whatever the network is.
        return spike(x).to(x.dtype)

    return fire


class _ZeroGradientStep(torch.autograd.Function):
    """The step function with its true derivative: zero."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        return torch.zeros_like(grads[0])


def step(x: Tensor) -> Tensor:
    """The step function, 1 where ``x > 0``, else 0; its derivative is zero everywhere."""
    result: Tensor = _ZeroGradientStep.apply(x)  # type: ignore[no-untyped-call]
    return result
