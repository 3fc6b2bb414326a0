r"""Leaky neurons in fixed-point arithmetic, as neuromorphic chips compute them.

Membranes are integers of 24 bits in units of :math:`2^{-F}`. With :math:`D` = :data:`DECAY_BITS`
the decay is a factor :math:`d / 2^D`, applied as a product and a shift that rounds towards zero:

.. math:: \mathrm{decayed}(v) = \mathrm{sign}(v) \lfloor |v|\, d / 2^D \rfloor

Current and stored membrane saturate at :math:`\pm(2^{23} - 1)`. All else is
:class:`lfp_snn.lif.Dynamics`. The values here are the integers times :math:`2^{-F}`, which float32
holds exactly, so that the arithmetic is that of integers bit by bit.

Source: Davies et al., *Loihi: a neuromorphic manycore processor with on-chip learning*, IEEE Micro
38, 2018 (decay of 12 bits, membrane of 24); the rounding and the saturation of the membrane are
those of the bit-accurate LIF process of Intel's Lava, whose current wraps around instead.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import snntorch as snn
import torch
from torch import Tensor
from typing_extensions import override

from lfp_snn import lif
from lfp_snn.engine.neurons import Leaky

__all__ = ["DECAY_BITS", "MEMBRANE_LIMIT", "FixedPoint", "FixedPointDynamics", "FixedPointLeaky"]

DECAY_BITS = 12
#: Largest size of a membrane or current, as an integer.
MEMBRANE_LIMIT = 2**23 - 1


@dataclass(frozen=True)
class FixedPointDynamics(lif.Dynamics):
    """The constants of a population whose membranes are multiples of ``2^-fraction``."""

    fraction: int = 0

    @override
    def decayed(self, kept: Tensor) -> Tensor:
        # Products have up to 36 bits, which float64 holds.
        scaled = kept.double() * self.beta.double() * 2.0**self.fraction
        return (scaled.trunc() * 2.0**-self.fraction).to(kept.dtype)

    @override
    def step(self, current: Tensor, previous: Tensor) -> tuple[Tensor, Tensor]:
        spike, membrane = super().step(self._saturated(current), previous)
        return spike, self._saturated(membrane)

    def _saturated(self, x: Tensor) -> Tensor:
        limit = MEMBRANE_LIMIT * 2.0**-self.fraction
        return x.clamp(-limit, limit)


class FixedPointLeaky(snn.Leaky):
    """``snntorch.Leaky`` in fixed-point arithmetic, in float32 only.

    Args:
        fraction: F, the bits of the membrane below one.
        decay: d, the decay ``beta`` in units of ``2^-12``, 0 to 4096, in the shape of ``beta``.
        threshold: the threshold in units of ``2^-F``, in the shape of ``threshold``.
        options: the options of ``snntorch.Leaky``.
    """

    def __init__(self, fraction: int, decay: Tensor, threshold: Tensor, **options: Any) -> None:
        beta = (decay.double() * 2.0**-DECAY_BITS).float()
        super().__init__(beta, (threshold.double() * 2.0**-fraction).float(), **options)
        self.fraction = fraction

    def dynamics(self) -> FixedPointDynamics:
        """The constants of these neurons."""
        return FixedPointDynamics(
            beta=self.beta.detach(),
            threshold=self.threshold.detach(),
            reset=self.reset_mechanism,
            delay=bool(self.reset_delay),
            fraction=self.fraction,
        )

    @override
    def forward(self, input_: Tensor, mem: Tensor | None = None) -> Any:
        """Run one time step, with the neuron's own membrane."""
        membrane: Tensor = self._buffers["mem"]
        if membrane.shape != input_.shape:
            membrane = torch.zeros_like(input_)
        spike, membrane = self.dynamics().step(input_, membrane)
        self.mem = membrane
        return (spike, membrane) if self.output else spike


class FixedPoint(Leaky):
    """The stage of :class:`FixedPointLeaky`; credit flows as through the neurons it rounds."""

    module: FixedPointLeaky
    takes_graded = False

    @override
    def dynamics(self, frame: torch.Size, dtype: torch.dtype) -> lif.Dynamics:
        checked = super().dynamics(frame, dtype)  # that the constants fit the current
        return replace(self.module.dynamics(), threshold=checked.threshold)

    @override
    def describe(self) -> str:
        kind = super().describe().replace("FixedPoint", "", 1)
        return f"{kind}, fixed point 2^-{self.module.fraction}"
