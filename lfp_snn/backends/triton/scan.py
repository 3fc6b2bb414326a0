"""LIF neurons over time: the pure functions of :mod:`lfp_snn.lif`, each one launch."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from lfp_snn.backends.triton.launch import KINDS, constants, floating, launch
from lfp_snn.backends.triton.scan_kernels import credit_kernel, forward_kernel
from lfp_snn.lif import Dynamics
from lfp_snn.rules import Formula

__all__ = ["credit", "forward", "rescale"]


def forward(
    currents: Tensor,
    dynamics: Dynamics,
    state: Tensor | None = None,
    *,
    steps: int | None = None,
    lengths: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Run a population over time, as :func:`lfp_snn.lif.forward`, but in one launch.

    Spikes are bool, and currents may be of half precision.

    Returns:
        Spikes (bool) and membranes ``[T, B, ...]``, and the state after the last step, both in
        float32 (float64 for float64 currents).
    """
    currents = currents.contiguous()
    steps = steps or currents.shape[0]
    shape, kind = (steps, *currents.shape[1:]), floating(currents)
    columns = currents[0].numel()
    spikes = torch.empty(shape, dtype=torch.bool, device=currents.device)
    membranes = torch.empty(shape, dtype=kind, device=currents.device)
    final = torch.empty_like(membranes[0])
    frame = tuple(currents.shape[2:])
    beta, theta = constants(dynamics, frame, kind)
    launch(
        forward_kernel, columns,
        currents, beta, theta,
        currents if state is None else state.to(kind).contiguous(),
        currents if lengths is None else lengths.to(torch.int32),
        spikes, membranes, final, steps, columns, columns // currents.shape[1],
        RESET=dynamics.reset, DELAY=dynamics.delay,
        CONSTANT=currents.shape[0] == 1,
        BETAS=beta.numel() > 1, THETAS=theta.numel() > 1,
        HAS_STATE=state is not None, HAS_LENGTHS=lengths is not None, FLOAT=KINDS[kind],
    )  # fmt: skip
    return spikes, membranes, final


def credit(
    arrived: Tensor,
    spikes: Tensor | None,
    membranes: Tensor,
    currents: Tensor,
    dynamics: Dynamics,
    eps: float,
    state: Tensor | None = None,
    carried: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """The credit of the currents under LFP-epsilon, as :func:`lfp_snn.lif.credit`.

    Args:
        arrived: the relevance ``R`` at the spikes ``[T, B, ...]``, or their credit ``c``.
        spikes: the spikes that :func:`forward` gave, where credit arrived, so that ``R = s c``;
            else None.
        membranes: the membranes that :func:`forward` gave.
        currents: the currents as given to :func:`forward`.
        dynamics: the constants of the population.
        eps: the stabiliser of the denominator.
        state: the membrane before the first step.
        carried: ``M`` ``[B, ...]`` from the chunk of time that follows.
    """
    return _back(
        arrived, spikes, membranes, currents, dynamics, state, carried,
        FORM="relevance" if spikes is None else "spikes", CARRY="reference", EPS=float(eps),
    )  # fmt: skip


def rescale(
    arrived: Tensor,
    membranes: Tensor,
    currents: Tensor,
    dynamics: Dynamics,
    formula: Formula,
    state: Tensor | None = None,
    carried: Tensor | None = None,
    *,
    at: Literal["gate", "output", "membrane"],
) -> tuple[Tensor, Tensor]:
    """The credit of the currents under Rescale, as :func:`lfp_snn.lif.rescale`.

    Args:
        arrived: the credit ``[T, B, ...]`` at the spikes or at the membrane; where the gate is shut
            it is not read.
        membranes: the membranes that :func:`forward` gave.
        currents: the currents as given to :func:`forward`.
        dynamics: the constants of the population.
        formula: the formula of :class:`lfp_snn.rules.Rescale`.
        state: the membrane before the first step.
        carried: the numerator of ``k_t n_{t+1}`` ``[B, ...]`` from the chunk of time that follows.
        at: the place where credit arrived: spikes behind a gate, spikes of the output, or the
            membrane, where the slope is already counted.
    """
    gate, carry, eps = (formula.parameters[name] for name in ("gate", "carry", "eps"))
    form = {"gate": gate, "output": "open", "membrane": "membrane"}[at]
    return _back(
        arrived, None, membranes, currents, dynamics, state, carried,
        FORM=form, CARRY=carry, EPS=float(eps),
    )  # fmt: skip


def _back(
    arrived: Tensor,
    spikes: Tensor | None,
    membranes: Tensor,
    currents: Tensor,
    dynamics: Dynamics,
    state: Tensor | None,
    carried: Tensor | None,
    **options: Any,
) -> tuple[Tensor, Tensor]:
    """Launch a scan backwards; gives ``n`` and what it hands to the steps before."""
    kind = membranes.dtype
    currents, arrived = currents.contiguous(), arrived.contiguous()
    steps, columns = membranes.shape[0], membranes[0].numel()
    n = torch.empty_like(membranes)
    handed = torch.empty_like(membranes[0])
    frame = tuple(membranes.shape[2:])
    beta, theta = constants(dynamics, frame, kind)
    launch(
        credit_kernel, columns,
        arrived, arrived if spikes is None else spikes, membranes, currents, beta, theta,
        membranes if state is None else state.to(kind).contiguous(),
        membranes if carried is None else carried.contiguous(),
        n, handed, steps, columns * (steps - 1), columns, columns // membranes.shape[1],
        RESET=dynamics.reset, DELAY=dynamics.delay,
        CONSTANT=currents.shape[0] == 1,
        BETAS=beta.numel() > 1, THETAS=theta.numel() > 1,
        HAS_STATE=state is not None, HAS_CARRIED=carried is not None,
        FLOAT=KINDS[kind], **options,
    )  # fmt: skip
    return n, handed
