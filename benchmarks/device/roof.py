r"""The roof of a device: the bandwidth and the arithmetic that it showed on a copy and a product.

The bytes of a step are those of the calls that it makes, each tensor that a call reads or writes
counted once; views move nothing, and what kernels on lists of events do is not seen. The floating
point operations are those of matrix products and convolutions, as torch counts them. No
implementation that makes these calls is faster than

.. math:: \max(\text{bytes} / \text{bandwidth},\; \text{operations} / \text{arithmetic})

Source of the model: Williams, Waterman, Patterson, Roofline, CACM 2009.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import torch

from lfp_snn.backends.precision import (
    HALVES,
    PRECISIONS,
    Precision,
    computed_in,
    product,
    spikes_travel_as,
)
from lfp_snn.backends.support import unavailable
from lfp_snn.errors import RunError

__all__ = ["Roof", "measure_roof", "require", "timed"]


@dataclass(frozen=True)
class Roof:
    """The roof of a device: the bandwidth and arithmetic that it can do.

    Args:
        bandwidth: the bytes per second of a copy, reads and writes together.
        arithmetic: the floating point operations per second of a matrix product, by its precision.
    """

    bandwidth: float
    arithmetic: dict[str, float]

    def seconds(self, moved: int, operations: int, precision: Precision) -> float:
        """The least seconds for that many bytes and operations."""
        return max(moved / self.bandwidth, operations / self.arithmetic[precision])


def require(device: torch.device) -> None:
    """Refuse a device that is not there.

    Raises:
        RunError: the device is not there; the message names it and the reason.
    """
    reason = unavailable("torch", device)
    if reason is not None:
        raise RunError(f"Nothing can be measured on {device}: {reason}; see lfp-snn env.")


def measure_roof(device: torch.device, size: int = 4096, rounds: int = 5) -> Roof:
    """Measure bandwidth by a copy, and arithmetic by a product of ``size`` x ``size`` matrices.

    Under ``exact`` one side of the product is spikes.
    """
    here = torch.empty(size * size, device=device)
    there = torch.empty_like(here)
    copying = min(timed(lambda: there.copy_(here), device, rounds))
    arithmetic: dict[str, float] = {}
    for precision in PRECISIONS:
        matrix = torch.ones(size, size, device=device)
        half = HALVES.get(precision, torch.float32)
        spikes = matrix.to(spikes_travel_as("exact", torch.float32, device))
        a, b = (spikes, matrix) if precision == "exact" else (matrix.to(half), matrix.to(half))
        with computed_in(precision):
            arithmetic[precision] = 2 * size**3 / min(timed(product, device, rounds, a, b))
    return Roof(2 * here.nbytes / copying, arithmetic)


def timed(
    call: Callable[..., object], device: torch.device, rounds: int, *arguments: object
) -> list[float]:
    """The seconds of each call, until the device has done it."""
    seconds = []
    for _ in range(rounds + 1):
        _wait(device)
        start = perf_counter()
        call(*arguments)
        _wait(device)
        seconds.append(perf_counter() - start)
    return seconds[1:]


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
