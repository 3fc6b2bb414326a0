"""Fully connected layer with LIF neurons, on lists of active inputs.

Outputs are worked on in blocks of 64: a block of weights ``[in, 64]`` stays in a core's cache while
the samples stream by, and its 64 sums stay in registers. The feedback of a block gathers the other
way round: for every input, the credits of the frames in which it was active.
"""

from typing import NamedTuple

import numpy as np
from numba import njit, prange

from lfp_snn.backends.events.lists import Lists, scales, transpose
from lfp_snn.backends.events.neuron import Neuron, constants
from lfp_snn.backends.events.rescale import Counted
from lfp_snn.backends.events.scan import (
    SynapseFeedback,
    Trace,
    advance,
    close_trace,
    credit_scan,
    half_words,
    open_trace,
    stand_still,
)
from lfp_snn.backends.events.shares import Shares, share_out
from lfp_snn.backends.events.simd import (
    BLOCK,
    add_rows,
    add_rows_by_sign,
    aligned_zeros,
    copy_run,
    dot_by_sign,
    turn_tile,
)
from lfp_snn.backends.events.vectors import LANES
from lfp_snn.backends.events.workspace import Workspace

_GROUPS = 8
"""Pieces into which samples or frames are cut, to occupy all threads."""
_SLAB = 128
"""Inputs that one thread turns or learns at a time; a multiple of LANES."""


class LinearTrace(NamedTuple):
    """The trace of a linear layer: the neurons' trace, the input, and the weights in blocks."""

    neurons: Trace
    x: Lists
    blocks: np.ndarray


@njit(cache=True, parallel=True)
def _cut(weight, blocks):  # type: ignore[no-untyped-def]
    """Cut a weight [out, in] into blocks [ceil(out/64), in, 64], with zeros beyond out."""
    outputs, inputs = weight.shape
    flat_weight, flat_blocks = weight.reshape(-1), blocks.reshape(-1)
    parts = -(-inputs // _SLAB)
    for piece in prange(blocks.shape[0] * parts):
        k, slab = piece // parts * BLOCK, piece % parts * _SLAB
        for start in range(slab, min(slab + _SLAB, inputs), LANES):
            for j in range(k, k + BLOCK, LANES):
                at = (k // BLOCK * inputs + start) * BLOCK + j - k
                if j + LANES <= outputs and start + LANES <= inputs:
                    turn_tile(
                        flat_blocks, at, BLOCK, flat_weight, j * inputs + start, inputs, False
                    )
                    continue
                for i in range(start, min(start + LANES, inputs)):
                    for q in range(LANES):
                        value = weight[j + q, i] if j + q < outputs else weight.dtype.type(0)
                        flat_blocks[at + (i - start) * BLOCK + q] = value


def cut_weight(weight: np.ndarray, work: Workspace) -> np.ndarray:
    """The weight [out, in] as blocks [ceil(out/64), in, 64], zero beyond out; in ``work``."""
    outputs, inputs = weight.shape
    blocks = work.get("weight", (-(-outputs // BLOCK), inputs, BLOCK), weight.dtype)
    _cut(weight, blocks)
    return blocks


@njit(cache=True, parallel=True)
def _forward(  # type: ignore[no-untyped-def]
    indptr,
    indices,
    values,
    step,
    blocks,
    bias,
    beta,
    theta,
    code,
    lengths,
    steps,
    record,
    state,
    w,
    u,
    bits,
):
    batch, padded = lengths.size, bias.size
    inputs = blocks.size // padded
    for piece in prange(padded // BLOCK * _GROUPS):
        k, g = piece // _GROUPS, piece % _GROUPS
        j = k * BLOCK
        current = aligned_zeros(BLOCK, bias)
        for b in range(g * batch // _GROUPS, (g + 1) * batch // _GROUPS):
            held = b * padded + j
            for t in range(steps):
                f = b * steps + t
                at = (f if record else b) * padded + j
                word = (f * padded + j) // LANES
                if t < lengths[b]:
                    copy_run(current, 0, bias, j, BLOCK)
                    add_rows(
                        current, 0, blocks, j * inputs, indices, values, step,
                        indptr[f], indptr[f + 1],
                    )  # fmt: skip
                    advance(state, held, current, beta, theta, j, code, w, u, at, bits, word, BLOCK)
                else:
                    stand_still(state, held, w, u, at, bits, word, BLOCK)


def linear_forward(
    x: Lists,
    steps: int,
    weight: np.ndarray,
    bias: np.ndarray | None,
    neuron: Neuron,
    work: Workspace,
    *,
    lengths: np.ndarray | None = None,
    state: np.ndarray | None = None,
    record: bool = True,
) -> LinearTrace:
    """The current ``I = W x + b`` at the active inputs and the neurons' step, over all of T.

    Args:
        x: the input, lists of B*T frames.
        steps: T, the number of time steps.
        weight: the weight [out, in], C-contiguous, float32 or float64, which is the dtype of all
            that follows.
        bias: the bias [out] or ``None``.
        neuron: the constants of the ``out`` neurons.
        work: the buffers; the trace lives in them until the layer's next forward pass.
        lengths: the steps of each sample, int [B] (:mod:`lfp_snn.lif`).
        state: the membranes [B, out] before the first step; zero if ``None``.
        record: whether to keep the membranes for the backward pass.
    """
    outputs = weight.shape[0]
    dtype = weight.dtype
    batch = (x.indptr.size - 1) // steps
    blocks = cut_weight(weight, work)
    trace = open_trace(
        batch, steps, outputs, neuron, dtype, work, lengths=lengths, state=state, record=record
    )
    beta, theta = constants(neuron, outputs, dtype)
    offset = np.zeros(beta.size, dtype)
    if bias is not None:
        offset[:outputs] = bias
    values, step = scales(x, dtype)
    _forward(
        x.indptr, x.indices, values, step, blocks.reshape(-1), offset, beta, theta,
        neuron.dynamics, trace.lengths, steps, record, trace.state.reshape(-1),
        trace.w.reshape(-1), trace.u.reshape(-1), half_words(trace.bits),
    )  # fmt: skip
    return LinearTrace(close_trace(trace, work), x, blocks)


@njit(cache=True, parallel=True)
def _feedback(starts, frames, values, step, n, blocks, scaled, sign, feedback):  # type: ignore[no-untyped-def]
    """The feedback of (j, i), |w_ji| sum_f x_fi n_fj, summed by one thread in the order of f.

    Without ``scaled`` the factor |w| is left out. With a ``sign`` only weights of that sign take
    part (zero counts as positive), and negative ones are added to what is there: one credit after
    the other, since the rows of both would not stay in the cache.
    """
    outputs, inputs = feedback.shape
    flat = feedback.reshape(-1)
    total = n.size // (blocks.size // inputs)
    parts = -(-inputs // _SLAB)
    nothing = n.dtype.type(0)
    for piece in prange(-(-outputs // BLOCK) * parts):
        k, slab = piece // parts, piece % parts * _SLAB
        sums = aligned_zeros(LANES * BLOCK, n)
        for start in range(slab, min(slab + _SLAB, inputs), LANES):
            sums[:] = 0
            width = min(LANES, inputs - start)
            for q in range(width):
                i = start + q
                add_rows(
                    sums, q * BLOCK, n, k * total * BLOCK, frames, values, step,
                    starts[i], starts[i + 1],
                )  # fmt: skip
            base = (k * inputs + start) * BLOCK
            own = blocks[base : base + width * BLOCK]
            if scaled:
                for q in range(own.size):
                    sums[q] *= abs(own[q])
            if sign != 0:
                for q in range(own.size):
                    sums[q] = sums[q] if (own[q] < 0) == (sign < 0) else nothing
            for j in range(0, BLOCK, LANES):
                row = k * BLOCK + j
                if width == LANES and row + LANES <= outputs:
                    turn_tile(flat, row * inputs + start, inputs, sums, j, BLOCK, sign < 0)
                    continue
                for q in range(width):
                    for m in range(min(LANES, outputs - row)):
                        before = feedback[row + m, start + q] if sign < 0 else nothing
                        feedback[row + m, start + q] = before + sums[q * BLOCK + j + m]


@njit(cache=True, parallel=True)
def _bias_feedback(n, bias, scaled, sign, feedback):  # type: ignore[no-untyped-def]
    """Feedback of the bias of j, |b_j| sum_f n_fj, as :func:`_feedback`; n is [blocks, F, 64]."""
    for k in prange(n.shape[0]):
        sums = np.zeros(BLOCK, n.dtype)
        for f in range(n.shape[1]):
            for q in range(BLOCK):
                sums[q] += n[k, f, q]
        for q in range(min(BLOCK, bias.size - k * BLOCK)):
            j = k * BLOCK + q
            if sign == 0 or (bias[j] < 0) == (sign < 0):
                feedback[j] = abs(bias[j]) * sums[q] if scaled else sums[q]


@njit(cache=True, parallel=True)
def _share(indptr, indices, values, step, blocks, bias, shares, n, other):  # type: ignore[no-untyped-def]
    """Turn n [blocks, F, 64] into the credit of positive contributions, beside the other.

    The sums of both kinds are made once more from the input.
    """
    inputs = blocks.size // bias.size
    total = indptr.size - 1
    above, below = np.maximum(bias, bias.dtype.type(0)), np.minimum(bias, bias.dtype.type(0))
    for piece in prange(bias.size // BLOCK * _GROUPS):
        k, g = piece // _GROUPS, piece % _GROUPS
        positives, negatives = aligned_zeros(BLOCK, bias), aligned_zeros(BLOCK, bias)
        for f in range(g * total // _GROUPS, (g + 1) * total // _GROUPS):
            copy_run(positives, 0, above, k * BLOCK, BLOCK)
            copy_run(negatives, 0, below, k * BLOCK, BLOCK)
            add_rows_by_sign(
                positives, negatives, 0, blocks, k * BLOCK * inputs, indices, values, step,
                indptr[f], indptr[f + 1],
            )  # fmt: skip
            share_out(
                n, other, (k * total + f) * BLOCK, positives, negatives, 0, shares.form,
                shares.favour, shares.oppose, BLOCK,
            )  # fmt: skip


@njit(cache=True, parallel=True)
def _credit(indptr, indices, n, other, blocks, inputs, credit):  # type: ignore[no-untyped-def]
    """The credit of entry e, sum_j w_ij n_fj, block after block while it is in the cache.

    Negative weights take the ``other`` instead of n; that may be n itself.
    """
    total = indptr.size - 1
    for g in prange(_GROUPS):
        first, end = g * total // _GROUPS, (g + 1) * total // _GROUPS
        credit[indptr[first] : indptr[end]] = 0
        for k in range(blocks.size // (inputs * BLOCK)):
            for f in range(first, end):
                row = (k * total + f) * BLOCK
                for e in range(indptr[f], indptr[f + 1]):
                    column = (k * inputs + indices[e]) * BLOCK
                    credit[e] += dot_by_sign(blocks, column, n, other, row, BLOCK)


def linear_backward(
    trace: LinearTrace,
    neuron: Neuron,
    bias: np.ndarray | None,
    split: float | Counted,
    work: Workspace,
    *,
    reward: np.ndarray | None = None,
    credit: np.ndarray | None = None,
    entries: Lists | None = None,
    as_credit: bool = False,
    input_credit: Lists | bool = True,
    feedback: np.ndarray | None = None,
    carried: np.ndarray | None = None,
    shares: Shares | None = None,
    scaled: bool = True,
) -> SynapseFeedback:
    """Feedback of the layer and credit of its input, ``c_i = sum_j w_ij n_j`` per entry of it.

    Args:
        trace: the recorded trace of the forward pass.
        neuron: the constants of the forward pass.
        bias: the bias of the forward pass.
        split: the stabiliser of the denominator, or the split that it stands for.
        work: the buffers (may be those of the forward pass); the results live in them.
        reward: the reward ``R``, dense [B, T, out] (an output layer).
        credit: the credit in the place of a reward, one value per entry of the layer's output list,
            or per entry of ``entries``.
        entries: the entries at which the credit is, where the rule asked for others than the
            spikes (:func:`~lfp_snn.backends.events.scan.open_entries`).
        as_credit: whether the reward is credit.
        input_credit: whether the credit of the input is wanted, or the entries at which it is.
        feedback: the array [out, in] for the feedback of the weight; a buffer if ``None``.
        shares: the sharing of a rule that tells signs apart; the input must not be negative then.
        scaled: whether feedback has the factor ``|w|``; otherwise it is the sums without it.
        carried: ``M``, as in :func:`~lfp_snn.backends.events.scan.credit_scan`.
    """
    blocks, x = trace.blocks, trace.x
    dtype = blocks.dtype
    inputs, units = blocks.shape[1], trace.neurons.units
    n = credit_scan(
        trace.neurons, neuron, split, work, reward=reward, credit=credit, entries=entries,
        as_credit=as_credit, layout="blocks", carried=carried,
    )  # fmt: skip
    if feedback is None:
        feedback = work.get("feedback", (units, inputs), dtype)
    of_bias = None if bias is None else np.empty(units, dtype)
    asked = x if input_credit is True else input_credit
    handed = work.get("credit", (asked.indices.size,), dtype) if asked else None
    flat = blocks.reshape(-1)
    credits = [(n, 0)]
    if shares is not None:
        other = work.get("other", n.shape, dtype)
        offset = np.zeros(blocks.shape[0] * BLOCK, dtype)
        if bias is not None:
            offset[:units] = bias
        _share(
            x.indptr, x.indices, *scales(x, dtype), flat, offset, shares.of(dtype),
            n.reshape(-1), other.reshape(-1),
        )  # fmt: skip
        credits = [(n, 1), (other, -1)]
    by_unit = transpose(x, inputs, dtype, work)
    for each, sign in credits:
        _feedback(*by_unit, each.reshape(-1), flat, scaled, sign, feedback)
        if bias is not None:
            _bias_feedback(each, bias, scaled, sign, of_bias)
    if asked and handed is not None:
        _credit(
            asked.indptr,
            asked.indices,
            n.reshape(-1),
            credits[-1][0].reshape(-1),
            flat,
            inputs,
            handed,
        )
    return SynapseFeedback(feedback, of_bias, handed)
