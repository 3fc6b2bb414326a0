"""LIF neurons over time: spikes from given currents, and the credit scan backwards."""

from typing import NamedTuple

import numpy as np
from numba import njit, prange

from lfp_snn.backends.events.lists import Lists, lists_from_bits
from lfp_snn.backends.events.neuron import Neuron, constants, credit_step, fire, keeps_u
from lfp_snn.backends.events.rescale import (
    RELEVANCE,
    Counted,
    open_rows,
    rescale_step,
    split_and_form,
)
from lfp_snn.backends.events.simd import BLOCK, add_run, aligned_zeros, copy_run
from lfp_snn.backends.events.vectors import LANES
from lfp_snn.backends.events.workspace import Workspace


class Trace(NamedTuple):
    """The trace of a forward pass over a row of N neurons; it lives in the layer's workspace.

    Rows are padded to P, the next multiple of 64. ``out`` lists the spikes, ``bits`` uint64
    [B*T, P/64] holds them too; ``w`` [B, T, P] are the membranes and ``u`` what was compared with
    the threshold (the same array for a delayed reset), only one step long if not recorded;
    ``first`` and ``state`` [B, P] are the membranes before the first and after the last step.
    """

    units: int
    steps: int
    out: Lists
    bits: np.ndarray
    w: np.ndarray
    u: np.ndarray
    first: np.ndarray
    state: np.ndarray
    lengths: np.ndarray


class SynapseFeedback(NamedTuple):
    """The result of a backward pass: feedback of weight and bias, credit per entry of the input."""

    weight: np.ndarray
    bias: np.ndarray | None
    credit: np.ndarray | None


def open_trace(
    batch: int,
    steps: int,
    units: int,
    neuron: Neuron,
    dtype: np.dtype,
    work: Workspace,
    *,
    lengths: np.ndarray | None,
    state: np.ndarray | None,
    record: bool,
) -> Trace:
    """An empty trace with its buffers, for a forward kernel to fill; ``state`` is [B, N]."""
    padded = -(-units // BLOCK) * BLOCK
    first = work.zeros("first", (batch, padded), dtype)
    if state is not None:
        first[:, :units] = state.reshape(batch, units)
    last = work.get("state", (batch, padded), dtype)
    last[:] = first
    shape = (batch, steps if record else 1, padded)
    w = work.get("w", shape, dtype)
    u = work.get("u", shape, dtype) if keeps_u(neuron.dynamics) else w
    bits = work.get("bits", (batch * steps, padded // BLOCK), np.uint64)
    whole = np.full(batch, steps, np.int64) if lengths is None else lengths.astype(np.int64)
    nothing = Lists(np.zeros(1, np.int64), np.zeros(0, np.int32))
    return Trace(units, steps, nothing, bits, w, u, first, last, whole)


def close_trace(trace: Trace, work: Workspace) -> Trace:
    """The trace of a finished pass, with the spikes listed."""
    return trace._replace(out=lists_from_bits(trace.bits, work))


@njit(cache=True)
def advance(state, held, current, beta, theta, j, code, w, u, at, bits, word, length):  # type: ignore[no-untyped-def]
    """Step ``length`` neurons from j on, and update their membranes in ``state``."""
    fire(state, held, current, 0, beta, theta, j, code, w, at, u, at, bits, word, length)
    copy_run(state, held, w, at, length)


@njit(cache=True)
def stand_still(state, held, w, u, at, bits, word, length):  # type: ignore[no-untyped-def]
    """Run a step after the end of the sample: no spike, and the membrane stays."""
    copy_run(w, at, state, held, length)
    copy_run(u, at, state, held, length)
    for q in range(length // LANES):
        bits[word + q] = 0


@njit(cache=True, parallel=True)
def _forward(currents, beta, theta, code, lengths, steps, record, state, w, u, bits):  # type: ignore[no-untyped-def]
    batch, given, units = currents.shape
    padded = beta.size
    for b in prange(batch):
        current = aligned_zeros(padded, beta)
        for t in range(steps):
            at = (b * steps + t if record else b) * padded
            word = (b * steps + t) * (padded // LANES)
            if t < lengths[b]:
                row = currents[b, t if given > 1 else 0]
                for j in range(units):
                    current[j] = row[j]
                advance(
                    state, b * padded, current, beta, theta, 0, code, w, u, at, bits, word, padded
                )
            else:
                stand_still(state, b * padded, w, u, at, bits, word, padded)


def lif_forward(
    currents: np.ndarray,
    steps: int,
    neuron: Neuron,
    work: Workspace,
    *,
    lengths: np.ndarray | None = None,
    state: np.ndarray | None = None,
    record: bool = True,
) -> Trace:
    """Run N neurons over ``currents`` [B, T, N], or [B, 1, N] for a constant current.

    Args:
        currents: the synaptic currents with bias, C-contiguous.
        steps: T, the number of time steps.
        neuron: the constants of the neurons.
        work: the buffers in which the trace lives.
        lengths: the steps of each sample, int [B] (:mod:`lfp_snn.lif`).
        state: the membranes [B, N] before the first step; zero if ``None``.
        record: whether to keep the membranes for the backward pass.
    """
    batch, _, units = currents.shape
    dtype = currents.dtype
    trace = open_trace(
        batch, steps, units, neuron, dtype, work, lengths=lengths, state=state, record=record
    )
    beta, theta = constants(neuron, units, dtype)
    _forward(
        currents, beta, theta, neuron.dynamics, trace.lengths, steps, record,
        trace.state.reshape(-1), trace.w.reshape(-1), trace.u.reshape(-1), half_words(trace.bits),
    )  # fmt: skip
    return close_trace(trace, work)


def half_words(bits: np.ndarray) -> np.ndarray:
    """Bitmap words as the kernels write them: flat, 16 bits at a time."""
    return bits.reshape(-1).view(np.uint16)


@njit(cache=True, parallel=True)
def _credit_scan(  # type: ignore[no-untyped-def]
    reward,
    indptr,
    indices,
    credit,
    lengths,
    beta,
    theta,
    code,
    form,
    eps,
    first,
    w,
    u,
    m,
    n,
    block_step,
    frame_step,
    summed,
):
    batch, padded = first.shape
    steps = w.size // first.size
    flat_first = first.reshape(-1)
    for b in prange(batch):
        own = aligned_zeros(padded, beta)
        direct = aligned_zeros(0 if form == RELEVANCE else padded, beta)
        arrived, base = (m, b * padded) if form == RELEVANCE else (direct, 0)
        for t in range(steps - 1, -1, -1):
            f = b * steps + t
            out, at = (own, 0) if summed else (n, f * frame_step)
            if t >= lengths[b]:
                for k in range(0 if summed else padded // BLOCK):
                    for q in range(BLOCK):
                        n[at + k * block_step + q] = 0
                continue
            if reward.size:
                for j in range(reward.shape[2]):
                    arrived[base + j] += reward[b, t, j]
            else:
                for e in range(indptr[f], indptr[f + 1]):
                    arrived[base + indices[e]] += credit[e]
            last, last_at = (w, (f - 1) * padded) if t else (flat_first, b * padded)
            for k in range(padded // BLOCK):
                j = k * BLOCK
                to = at + (j if summed else k * block_step)
                if form == RELEVANCE:
                    credit_step(
                        u, f * padded + j, last, last_at + j, beta, theta, j, code, eps,
                        m, b * padded + j, out, to, BLOCK,
                    )  # fmt: skip
                else:
                    rescale_step(
                        u, f * padded + j, last, last_at + j, beta, theta, j, code, form, eps,
                        direct, j, m, b * padded + j, out, to, BLOCK,
                    )  # fmt: skip
            direct[:] = 0
            if summed:
                add_run(n, b * padded, n.dtype.type(1), own, 0, padded)


def credit_scan(
    trace: Trace,
    neuron: Neuron,
    split: float | Counted,
    work: Workspace,
    *,
    reward: np.ndarray | None = None,
    credit: np.ndarray | None = None,
    entries: Lists | None = None,
    as_credit: bool = False,
    layout: str = "frames",
    carried: np.ndarray | None = None,
) -> np.ndarray:
    """The credit ``n`` of the currents of a recorded trace (equations in :mod:`lfp_snn.lif`).

    Args:
        trace: the recorded trace of the forward pass.
        neuron: the constants of the forward pass.
        split: the stabiliser of the denominator, or the split that it stands for.
        work: the buffers in which the result lives.
        reward: the reward ``R``, dense [B, T, N] (an output layer).
        credit: the credit in the place of a reward, one value per entry of ``trace.out``, so that
            ``R = s * c``, or per entry of ``entries``.
        entries: the entries at which the credit is, where the rule asked for others than the
            spikes (:func:`open_entries`).
        as_credit: whether the reward is credit, for a rule that counts it at silence too.
        layout: the layout of the result: "frames" [B*T, P], "blocks" [P/64, B*T, 64], or "summed"
            over time [B, P].
        carried: ``M`` [B, N] (the numerator of ``k n``) from the steps that follow; it is
            overwritten with ``M`` for the steps before.
    """
    if (reward is None) == (credit is None):
        raise ValueError("credit_scan takes either a reward or a credit")
    dtype = trace.w.dtype
    batch, padded = trace.first.shape
    frames = batch * trace.steps
    shape = {
        "frames": (frames, padded),
        "blocks": (padded // BLOCK, frames, BLOCK),
        "summed": (batch, padded),
    }[layout]
    n = work.get("n", shape, dtype)
    if layout == "summed":
        n.fill(0)
    block_step, frame_step = (frames * BLOCK, BLOCK) if layout == "blocks" else (BLOCK, padded)
    beta, theta = constants(neuron, trace.units, dtype)
    m = work.zeros("m", (batch, padded), dtype)
    if carried is not None:
        m[:, : trace.units] = carried
    eps, form = split_and_form(split, dense=reward is not None, as_credit=as_credit)
    given = trace.out if entries is None else entries
    _credit_scan(
        np.zeros((0, 0, 0), dtype) if reward is None else np.ascontiguousarray(reward, dtype),
        given.indptr, given.indices,
        np.zeros(0, dtype) if credit is None else np.ascontiguousarray(credit, dtype),
        trace.lengths, beta, theta, neuron.dynamics, form, dtype.type(eps), trace.first,
        trace.w.reshape(-1), trace.u.reshape(-1), m.reshape(-1), n.reshape(-1), block_step,
        frame_step, layout == "summed",
    )  # fmt: skip
    if carried is not None:
        carried[:] = m[:, : trace.units]
    return n


def open_entries(trace: Trace, neuron: Neuron, rule: Counted, work: Workspace) -> Lists:
    """The entries of a recorded trace at which the gate of a rule is open.

    The values of the entries are the spikes, 0 or 1; the lists live in ``work``.
    """
    _, theta = constants(neuron, trace.units, trace.w.dtype)
    return open_rows(trace.u, trace.bits, theta, trace.lengths, trace.units, rule.window, work)
