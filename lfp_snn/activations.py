r"""Activations without a useful derivative: a step, a step with noise, and the sign.

Modules for networks without time (``docs/method.md``), used as ``nn.ReLU`` is. A gradient through
them is zero everywhere; LFP does not ask for one.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn
from typing_extensions import override

from lfp_snn.errors import NetworkError

__all__ = ["Sign", "Step"]


def _heaviside(x: Tensor) -> Tensor:
    """The step function: 1 where ``x > 0``, else 0; without a derivative."""
    return (x > 0).to(x.dtype)


class Step(nn.Module):
    r"""The step function, :math:`a = [z + \sigma \xi > \theta]`, without or with noise.

    Without noise this is a leaky neuron that is run for one step from rest. With it,
    :math:`\xi \sim N(0, 1)` is drawn for every unit while training, so that a unit is active with
    probability :math:`\Phi((z - \theta) / \sigma)`; in evaluation mode there is none.

    ``spike_grad`` turns :math:`z - \theta` into the activation, as ``spike_grad`` of a snntorch
    neuron does: learners that need a surrogate derivative set it there. As built it has none.

    Args:
        threshold: :math:`\theta`, >= 0; the comparison is strict.
        noise: :math:`\sigma`, >= 0.

    Raises:
        NetworkError: a number is negative or not finite.

    Source: the activation ``Step`` of the published code of Weber et al., TMLR 2025 (threshold 0,
    no noise).
    """

    def __init__(self, threshold: float = 0.0, noise: float = 0.0) -> None:
        super().__init__()
        for name, value in (("threshold", threshold), ("noise", noise)):
            if not (math.isfinite(value) and value >= 0):
                raise NetworkError(f"Step.{name} is {value}; expected a number of 0 or more.")
        self.threshold = threshold
        self.noise = noise
        self.spike_grad: Callable[[Tensor], Tensor] = _heaviside

    @property
    def noisy(self) -> bool:
        """Whether there is noise in this mode (while training, with a noise above 0)."""
        return self.training and self.noise > 0

    def draw(self, like: Tensor) -> Tensor:
        """Draw noise ``sigma xi`` of the shape of a tensor."""
        return self.noise * torch.randn_like(like)

    @override
    def forward(self, z: Tensor) -> Tensor:
        """Activations, 0 or 1, of the shape of ``z``."""
        drive = z + self.draw(z) if self.noisy else z
        return self.spike_grad(drive - self.threshold)

    @override
    def extra_repr(self) -> str:
        """Threshold, and noise if there is any."""
        noise = f", noise={self.noise:g}" if self.noise else ""
        return f"threshold={self.threshold:g}{noise}"


class Sign(nn.Module):
    """The sign, -1, 0 or 1. Its derivative is zero everywhere."""

    @override
    def forward(self, z: Tensor) -> Tensor:
        """Signs, of the shape of ``z``."""
        return torch.sign(z)
