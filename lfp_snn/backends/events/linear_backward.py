"""Fully connected layer on lists of active inputs, the way back: feedback and credit of the input.

The feedback of a block of 64 outputs gathers the other way round than the currents: for every
input, the credits of the frames in which it was active.
"""

import numpy as np
from numba import njit, prange

from lfp_snn.backends.events.linear import GROUPS, SLAB, LinearTrace, padded_bias
from lfp_snn.backends.events.lists import Lists, scales, transpose
from lfp_snn.backends.events.neuron import Neuron
from lfp_snn.backends.events.rescale import Counted
from lfp_snn.backends.events.scan import SynapseFeedback, credit_scan
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
    parts = -(-inputs // SLAB)
    nothing = n.dtype.type(0)
    for piece in prange(-(-outputs // BLOCK) * parts):
        k, slab = piece // parts, piece % parts * SLAB
        sums = aligned_zeros(LANES * BLOCK, n)
        for start in range(slab, min(slab + SLAB, inputs), LANES):
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
    for piece in prange(bias.size // BLOCK * GROUPS):
        k, g = piece // GROUPS, piece % GROUPS
        positives, negatives = aligned_zeros(BLOCK, bias), aligned_zeros(BLOCK, bias)
        for f in range(g * total // GROUPS, (g + 1) * total // GROUPS):
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
    for g in prange(GROUPS):
        first, end = g * total // GROUPS, (g + 1) * total // GROUPS
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
    n = credit_scan(
        trace.neurons, neuron, split, work, reward=reward, credit=credit, entries=entries,
        as_credit=as_credit, layout="blocks", carried=carried,
    )  # fmt: skip
    return linear_products(
        n, trace.x, trace.blocks, trace.neurons.units, bias, work, input_credit=input_credit,
        feedback=feedback, shares=shares, scaled=scaled,
    )  # fmt: skip


def cut_credit(n: np.ndarray, work: Workspace) -> np.ndarray:
    """The credit [F, out] of currents as blocks [ceil(out/64), F, 64], zero beyond out."""
    frames, outputs = n.shape
    blocks = work.get("n", (-(-outputs // BLOCK), frames, BLOCK), n.dtype)
    for k, block in enumerate(blocks):
        own = n[:, k * BLOCK : (k + 1) * BLOCK]
        block[:, : own.shape[1]] = own
        block[:, own.shape[1] :] = 0
    return blocks


def linear_products(
    n: np.ndarray,
    x: Lists,
    blocks: np.ndarray,
    units: int,
    bias: np.ndarray | None,
    work: Workspace,
    *,
    input_credit: Lists | bool = True,
    feedback: np.ndarray | None = None,
    shares: Shares | None = None,
    scaled: bool = True,
) -> SynapseFeedback:
    """Feedback of the layer and credit of its input from the credit of its currents.

    Args:
        n: the credit of the currents in blocks [ceil(out/64), F, 64], zero beyond out
            (:func:`cut_credit`); a rule that tells signs apart overwrites it.
        x: the input of the forward pass.
        blocks: the weight of the forward pass in blocks.
        units: the number of outputs.
        bias: the bias of the forward pass.
        work: the buffers in which the results live.
        input_credit: whether the credit of the input is wanted, or the entries at which it is.
        feedback: the array [out, in] for the feedback of the weight; a buffer if ``None``.
        shares: the sharing of a rule that tells signs apart; the input must not be negative then.
        scaled: whether feedback has the factor ``|w|``; otherwise it is the sums without it.
    """
    dtype, inputs = blocks.dtype, blocks.shape[1]
    if feedback is None:
        feedback = work.get("feedback", (units, inputs), dtype)
    of_bias = None if bias is None else np.empty(units, dtype)
    asked = x if input_credit is True else input_credit
    handed = work.get("credit", (asked.indices.size,), dtype) if asked else None
    flat = blocks.reshape(-1)
    credits = [(n, 0)]
    if shares is not None:
        other = work.get("other", n.shape, dtype)
        offset = padded_bias(bias, blocks)
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
