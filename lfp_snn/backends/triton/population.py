"""A population over time on the device, in one launch a direction, with its norm and its pool."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import triton
from torch import Tensor

from lfp_snn.backends.packed import STEPS_PER_BYTE, PackedSpikes
from lfp_snn.backends.triton.launch import BLOCK, KINDS, constants, floating, launch
from lfp_snn.backends.triton.population_kernels import (
    CHUNK,
    backward_kernel,
    forward_kernel,
)
from lfp_snn.lif import Dynamics

__all__ = ["Affine", "CancelledCredit", "Ran", "Windows", "backward", "forward"]

assert CHUNK.value == STEPS_PER_BYTE


@dataclass(frozen=True)
class Affine:
    """The normalisation of currents with known statistics, one number a channel ``[C]`` each.

    Args:
        mean: the mean.
        inverse: ``1 / sqrt(var + eps)``.
        gamma: the scale.
        shift: the shift.
    """

    mean: Tensor
    inverse: Tensor
    gamma: Tensor
    shift: Tensor


@dataclass(frozen=True)
class CancelledCredit:
    r"""What statistics cancel of credit: a channel ``[C]`` loses :math:`a + \hat x\, b`."""

    common: Tensor
    slope: Tensor


@dataclass(frozen=True)
class Windows:
    """The windows of a max pool that do not overlap, over the last two axes of maps.

    Args:
        kernel: height and width of a window.
        size: height and width of the maps, of which units have a height of 1.
        whole: whether windows that reach beyond the end of a map are pooled too.
        channels: the shape of the maps of a frame, ``(C,)``, or ``()`` for units.
        axes: the axes of a map, two or one.
    """

    kernel: tuple[int, int]
    size: tuple[int, int]
    whole: bool = False
    channels: tuple[int, ...] = ()
    axes: int = 2

    @property
    def grid(self) -> tuple[int, int]:
        """The windows down and along a map, those that reach beyond its end too."""
        down, along = (-(-n // k) for n, k in zip(self.size, self.kernel, strict=True))
        return down, along

    @property
    def counted(self) -> tuple[int, int]:
        """The windows down and along a map that are pooled."""
        if self.whole:
            return self.grid
        high, wide = (n // k for n, k in zip(self.size, self.kernel, strict=True))
        return high, wide

    @property
    def pooled(self) -> tuple[int, ...]:
        """The shape of the pooled frame."""
        return (*self.channels, *self.counted[-self.axes :])


@dataclass(frozen=True)
class Ran:
    """A pass forwards, as :func:`backward` needs it, and what it came to.

    Args:
        currents: the currents ``[T, B, ...]`` as they were given.
        dynamics: the constants of the population.
        state: the membrane before the first step, or None.
        lengths: the steps of each sample, or None.
        affine: the normalisation, or None.
        windows: the windows of the pool, or None.
        spikes: the spikes as they leave the population, pooled if there is a pool.
        borders: the membranes at every eighth step but the last chunk's.
        final: the membranes after the last step ``[B, ...]``.
        count: the number of spikes of all neurons, before the pool.
    """

    currents: Tensor
    dynamics: Dynamics
    state: Tensor | None
    lengths: Tensor | None
    affine: Affine | None
    windows: Windows | None
    spikes: PackedSpikes
    borders: Tensor
    final: Tensor
    count: Tensor


def forward(
    currents: Tensor,
    dynamics: Dynamics,
    state: Tensor | None = None,
    *,
    steps: int | None = None,
    lengths: Tensor | None = None,
    affine: Affine | None = None,
    windows: Windows | None = None,
) -> Ran:
    """Run a population over time: norm, :func:`lfp_snn.lif.forward` and max pool in one launch.

    Args:
        currents: the currents ``[T, B, ...]``, or ``[1, B, ...]`` if they are constant over
            ``steps``; of any floating type.
        dynamics: the constants of the population.
        state: the membrane before the first step, ``[B, ...]``; zero if None.
        steps: T, needed only for a constant current.
        lengths: the steps of each sample, int ``[B]``.
        affine: the normalisation of the currents, if there is one.
        windows: the windows of the pool of the spikes, if there is one.
    """
    currents = currents.contiguous()
    steps, kind = steps or currents.shape[0], floating(currents)
    frame, device = currents.shape[1:], currents.device
    chunks = -(-steps // STEPS_PER_BYTE)
    out = tuple(frame[1:]) if windows is None else windows.pooled
    packed = torch.empty((chunks, frame[0], *out), dtype=torch.uint8, device=device)
    borders = torch.empty((chunks - 1, *frame), dtype=kind, device=device)
    final = torch.empty(frame, dtype=kind, device=device)
    sizes, members = _sizes(frame, windows, packed[0].numel())
    block = BLOCK // members["MEMBERS"]
    counts = torch.empty(triton.cdiv(sizes[1], block), dtype=torch.int32, device=device)
    beta, theta = constants(dynamics, tuple(frame[1:]), kind)
    state = None if state is None else state.to(kind).contiguous()
    ends = None if lengths is None else lengths.to(torch.int32)
    parts: list[Tensor] = [currents] * 3
    if affine is not None:
        parts = [affine.mean, affine.inverse * affine.gamma, affine.shift]
    launch(
        forward_kernel, sizes[1],
        currents, *parts, beta, theta, _or(state, currents), _or(ends, currents),
        packed, borders, final, counts, steps, *sizes, block=block,
        **_options(dynamics, beta, theta, currents, affine, state, ends), **members,
    )  # fmt: skip
    spikes = PackedSpikes(packed, steps)
    count = counts.sum()
    return Ran(currents, dynamics, state, ends, affine, windows, spikes, borders, final, count)


def backward(
    ran: Ran,
    arrived: Tensor,
    carried: Tensor | None,
    *,
    form: str,
    carry: str,
    eps: float,
    written: torch.dtype | None = None,
    sums: bool = False,
    cancelled: CancelledCredit | None = None,
) -> tuple[Tensor | None, Tensor, Tensor | None]:
    """Send credit back through a population, its pool and its norm, in one launch.

    Args:
        ran: the pass forwards.
        arrived: the credit of the spikes as they left, ``[T, B, ...]``; read where it counts.
        carried: ``M`` ``[B, ...]`` from the steps that follow; zero if None.
        form: ``spikes`` under LFP-epsilon, or the gate of Rescale, ``positive`` or ``window``.
        carry: what a membrane takes from the next step, ``reference`` or ``decay``.
        eps: the stabiliser.
        written: the type in which ``n`` is written; None to write none.
        sums: whether the sums for a norm are wanted.
        cancelled: what its statistics cancel of the credit; None where they are held fixed.

    Returns:
        ``n`` ``[T, B, ...]`` at the currents as they were given, what is handed to the steps
        before ``[B, ...]``, and the sums over T of ``n`` and of ``n * hat`` at the output of the
        norm, ``[2, B, ...]``.
    """
    currents, arrived, kind = ran.currents, arrived.contiguous(), floating(ran.currents)
    frame, steps, affine = currents.shape[1:], ran.spikes.steps, ran.affine
    handed = torch.empty_like(ran.final)
    n = None if written is None else currents.new_empty((steps, *frame), dtype=written)
    totals = currents.new_empty((2, *frame), dtype=kind) if sums else None
    sizes, members = _sizes(frame, ran.windows, ran.spikes.packed[0].numel())
    beta, theta = constants(ran.dynamics, tuple(frame[1:]), kind)
    parts: list[Tensor] = [currents] * 4
    if affine is not None:
        parts = [affine.mean, affine.inverse, affine.gamma, affine.shift]
    lost = [currents] * 2 if cancelled is None else [cancelled.common, cancelled.slope]
    carried = None if carried is None else carried.contiguous()
    launch(
        backward_kernel, sizes[1],
        arrived, currents, *parts, *lost, beta, theta, _or(ran.state, currents),
        _or(ran.lengths, currents), ran.borders, _or(carried, currents), _or(n, handed), handed,
        _or(totals, handed), steps, *sizes, block=BLOCK // members["MEMBERS"],
        **_options(ran.dynamics, beta, theta, currents, affine, ran.state, ran.lengths),
        HAS_CARRIED=carried is not None, WRITES=n is not None, SUMS=sums,
        THROUGH=cancelled is not None, FORM=form, CARRY=carry, EPS=float(eps), **members,
    )  # fmt: skip
    return n, handed, totals


def _or(tensor: Tensor | None, other: Tensor) -> Tensor:
    """A tensor, or where there is none one that is not looked at."""
    return other if tensor is None else tensor


def _options(
    dynamics: Dynamics,
    beta: Tensor,
    theta: Tensor,
    currents: Tensor,
    affine: Affine | None,
    state: Tensor | None,
    lengths: Tensor | None,
) -> dict[str, Any]:
    """What both kernels are compiled for."""
    return {
        "RESET": dynamics.reset,
        "DELAY": dynamics.delay,
        "CONSTANT": currents.shape[0] == 1,
        "BETAS": beta.numel() > 1,
        "THETAS": theta.numel() > 1,
        "NORMED": affine is not None,
        "HAS_STATE": state is not None,
        "HAS_LENGTHS": lengths is not None,
        "FLOAT": KINDS[floating(currents)],
    }


def _sizes(
    frame: torch.Size, windows: Windows | None, pooled: int
) -> tuple[tuple[int, ...], dict[str, int]]:
    """Sizes of a population as both kernels take them, and those they are compiled for.

    Args:
        frame: the shape ``[B, ...]`` of the currents of a step.
        windows: the windows of the pool.
        pooled: the number of pooled units, of all samples.
    """
    columns, units = frame.numel(), frame[1:].numel()
    space = frame[2:].numel()
    if windows is None:
        alone = (columns, columns, pooled, units, space, 1, 1, 1, 1, 1, 1)
        return alone, {"HIGH": 1, "WIDE": 1, "MEMBERS": 1}
    (height, width), (down, along), (high, wide) = windows.size, windows.grid, windows.kernel
    count = columns // (height * width) * down * along
    own = (height, width, down, along, *windows.counted)
    members = triton.next_power_of_2(high * wide)
    options = {"HIGH": high, "WIDE": wide, "MEMBERS": members}
    return (columns, count, pooled, units, space, *own), options
