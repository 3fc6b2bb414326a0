"""Fully connected layer with LIF neurons, on lists of active inputs.

Outputs are worked on in blocks of 64: a block of weights ``[in, 64]`` stays in a core's cache while
the samples stream by, its 64 sums stay in registers. The feedback of a block is the same gather the
other way round: per input, the credits of the frames in which it was active.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numba import njit, prange

from lfp_snn.backends.events.lists import Lists, scales, transpose
from lfp_snn.backends.events.neuron import Neuron, constants
from lfp_snn.backends.events.scan import (
    Feedback,
    Trace,
    advance,
    close_trace,
    credit_scan,
    half_words,
    open_trace,
    stand_still,
)
from lfp_snn.backends.events.simd import (
    BLOCK,
    LANES,
    add_rows,
    aligned_zeros,
    copy_run,
    dot_run,
    turn_tile,
)
from lfp_snn.backends.events.workspace import Workspace

_GROUPS = 8
"""Pieces into which samples or frames are cut, to occupy all threads."""
_SLAB = 128
"""Inputs that one thread turns or learns at a time; a multiple of LANES."""


#: Credits of positive and negative contributions from n and the sums of both.
Shares = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


class LinearTrace(NamedTuple):
    """A trace together with what the synapse needs backwards: input and weights in blocks."""

    neurons: Trace
    x: Lists
    blocks: np.ndarray


@njit(cache=True, parallel=True)
def _cut(weight, blocks):  # type: ignore[no-untyped-def]
    """Weight [out, in] -> blocks [ceil(out/64), in, 64], zeros beyond out."""
    outputs, inputs = weight.shape
    flat_weight, flat_blocks = weight.reshape(-1), blocks.reshape(-1)
    parts = -(-inputs // _SLAB)
    for piece in prange(blocks.shape[0] * parts):
        k, slab = piece // parts * BLOCK, piece % parts * _SLAB
        for start in range(slab, min(slab + _SLAB, inputs), LANES):
            for j in range(k, k + BLOCK, LANES):
                at = (k // BLOCK * inputs + start) * BLOCK + j - k
                if j + LANES <= outputs and start + LANES <= inputs:
                    turn_tile(flat_blocks, at, BLOCK, flat_weight, j * inputs + start, inputs)
                    continue
                for i in range(start, min(start + LANES, inputs)):
                    for q in range(LANES):
                        value = weight[j + q, i] if j + q < outputs else weight.dtype.type(0)
                        flat_blocks[at + (i - start) * BLOCK + q] = value


def cut_weight(weight: np.ndarray, work: Workspace) -> np.ndarray:
    """The weight [out, in] as blocks [ceil(out/64), in, 64], zero beyond out; lives in ``work``."""
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
    """``I = W x + b`` at the active inputs and the neurons' step, over all of T.

    Args:
        x: input of B*T frames.
        steps: T.
        weight: [out, in], C-contiguous, float32 or float64; the dtype of all that follows.
        bias: [out] or ``None``.
        neuron: constants of the ``out`` neurons.
        work: buffers; the trace lives in them until the layer's next forward pass.
        lengths: int [B], see :mod:`lfp_snn.lif`.
        state: membranes [B, out] before the first step; zero if ``None``.
        record: keep the membranes for the backward pass.
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
def _feedback(starts, frames, values, step, n, blocks, feedback):  # type: ignore[no-untyped-def]
    """Feedback of (j, i): |w_ji| sum_f x_fi n_fj, every sum by one thread and in the order of f.

    ``blocks`` holds w, or whatever else shall scale the sums.
    """
    outputs, inputs = feedback.shape
    flat = feedback.reshape(-1)
    total = n.size // (blocks.size // inputs)
    parts = -(-inputs // _SLAB)
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
            for q in range(width * BLOCK):
                sums[q] *= abs(blocks[base + q])
            for j in range(0, BLOCK, LANES):
                row = k * BLOCK + j
                if width == LANES and row + LANES <= outputs:
                    turn_tile(flat, row * inputs + start, inputs, sums, j, BLOCK)
                    continue
                for q in range(width):
                    for m in range(min(LANES, outputs - row)):
                        feedback[row + m, start + q] = sums[q * BLOCK + j + m]


@njit(cache=True, parallel=True)
def _bias_feedback(n, bias, feedback):  # type: ignore[no-untyped-def]
    """Feedback of j: |b_j| sum_f n_fj; n is [blocks, F, 64]."""
    for k in prange(n.shape[0]):
        sums = np.zeros(BLOCK, n.dtype)
        for f in range(n.shape[1]):
            for q in range(BLOCK):
                sums[q] += n[k, f, q]
        for q in range(min(BLOCK, bias.size - k * BLOCK)):
            feedback[k * BLOCK + q] = abs(bias[k * BLOCK + q]) * sums[q]


@njit(cache=True, parallel=True)
def _currents(indptr, indices, values, step, blocks, bias, currents):  # type: ignore[no-untyped-def]
    """Currents [blocks, F, 64] of all frames."""
    inputs = blocks.size // bias.size
    total = indptr.size - 1
    for piece in prange(bias.size // BLOCK * _GROUPS):
        k, g = piece // _GROUPS, piece % _GROUPS
        for f in range(g * total // _GROUPS, (g + 1) * total // _GROUPS):
            at = (k * total + f) * BLOCK
            copy_run(currents, at, bias, k * BLOCK, BLOCK)
            add_rows(
                currents, at, blocks, k * BLOCK * inputs, indices, values, step,
                indptr[f], indptr[f + 1],
            )  # fmt: skip


@njit(cache=True, parallel=True)
def _credit(indptr, indices, n, blocks, inputs, credit):  # type: ignore[no-untyped-def]
    """Credit of entry e: sum_j w_ij n_fj; block after block while it is in the cache."""
    total = indptr.size - 1
    for g in prange(_GROUPS):
        first, end = g * total // _GROUPS, (g + 1) * total // _GROUPS
        credit[indptr[first] : indptr[end]] = 0
        for k in range(blocks.size // (inputs * BLOCK)):
            for f in range(first, end):
                row = (k * total + f) * BLOCK
                for e in range(indptr[f], indptr[f + 1]):
                    column = (k * inputs + indices[e]) * BLOCK
                    credit[e] += dot_run(blocks, column, n, row, BLOCK)


class Part(NamedTuple):
    """Weights of one sign: in blocks, and their bias."""

    blocks: np.ndarray
    bias: np.ndarray
    sign: int

    def held(self, blocks: np.ndarray, bias: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """1 where a weight is one of them, a zero counting as positive, and 0 elsewhere."""
        arrays = (blocks >= 0, bias >= 0) if self.sign > 0 else (blocks < 0, bias < 0)
        return arrays[0].astype(blocks.dtype), arrays[1].astype(bias.dtype)


def linear_backward(
    trace: LinearTrace,
    neuron: Neuron,
    bias: np.ndarray | None,
    eps: float,
    work: Workspace,
    *,
    reward: np.ndarray | None = None,
    credit: np.ndarray | None = None,
    input_credit: bool = True,
    feedback: np.ndarray | None = None,
    carried: np.ndarray | None = None,
    shares: Shares | None = None,
    scaled: bool = True,
) -> Feedback:
    """Feedback of the layer and credit of its input, ``c_i = sum_j w_ij n_j`` per entry of it.

    Args:
        trace: of the forward pass, recorded.
        neuron: as in the forward pass.
        bias: as in the forward pass.
        eps: stabiliser of the denominator, or the split that it stands for.
        work: buffers (may be those of the forward pass); the results live in them.
        reward: ``R`` dense [B, T, out] (an output layer), or
        credit: one value per entry of the layer's output list.
        input_credit: whether the credit of the input is wanted.
        feedback: [out, in], where to write the feedback of the weight; a buffer if ``None``.
        shares: of a rule that tells signs apart: credits of the positive and of the negative
            contributions from n and the sums of both, all [P/64, F, 64]. The input must not be
            negative.
        scaled: feedback with the factor ``|w|``; else the sums without it.
        carried: see :func:`~lfp_snn.backends.events.scan.credit_scan`.
    """
    blocks, x = trace.blocks, trace.x
    dtype = blocks.dtype
    inputs, units = blocks.shape[1], trace.neurons.units
    n = credit_scan(
        trace.neurons, neuron, eps, work, reward=reward, credit=credit, layout="blocks",
        carried=carried,
    )  # fmt: skip
    if feedback is None:
        feedback = work.get("feedback", (units, inputs), dtype)
    of_bias = None if bias is None else np.empty(units, dtype)
    handed = work.get("credit", (x.indices.size,), dtype) if input_credit else None
    given = np.zeros(units, dtype) if bias is None else bias
    back = _Back(x, transpose(x, inputs, dtype, work), inputs)
    found = Feedback(feedback, of_bias, handed)
    if shares is None:
        strength = (blocks, given) if scaled else (np.ones_like(blocks), np.ones_like(given))
        back.send(n, blocks, *strength, found)
        return found
    parts = (
        Part(np.maximum(blocks, 0), np.maximum(given, 0), 1),
        Part(np.minimum(blocks, 0), np.minimum(given, 0), -1),
    )
    sums = [back.currents(part, n.shape) for part in parts]
    other = Feedback(
        np.empty_like(feedback),
        None if of_bias is None else np.empty_like(of_bias),
        None if handed is None else np.empty_like(handed),
    )
    for part, g, to in zip(parts, shares(n, *sums), (found, other), strict=True):
        strength = (part.blocks, part.bias) if scaled else part.held(blocks, given)
        back.send(g, part.blocks, *strength, to)
    for total, each in zip(found, other, strict=True):
        if total is not None:
            total += each
    return found


class _Back(NamedTuple):
    """The input of a layer on the way back, by frame and by unit."""

    x: Lists
    by_unit: tuple[np.ndarray, np.ndarray, np.ndarray, int]
    inputs: int

    def send(
        self,
        n: np.ndarray,
        blocks: np.ndarray,
        strength: np.ndarray,
        bias_strength: np.ndarray,
        to: Feedback,
    ) -> None:
        """Write the three products of a credit ``n`` [P/64, F, 64], where there is room."""
        flat = n.reshape(-1)
        _feedback(*self.by_unit, flat, strength.reshape(-1), to.weight)
        if to.bias is not None:
            _bias_feedback(n, bias_strength, to.bias)
        if to.credit is not None:
            x = self.x
            _credit(x.indptr, x.indices, flat, blocks.reshape(-1), self.inputs, to.credit)

    def currents(self, part: Part, shape: tuple[int, ...]) -> np.ndarray:
        """Currents of weights of one sign, [P/64, F, 64]."""
        dtype = part.blocks.dtype
        offset = np.zeros(shape[0] * BLOCK, dtype)
        offset[: part.bias.size] = part.bias
        currents = np.empty(shape, dtype)
        _currents(
            self.x.indptr, self.x.indices, *scales(self.x, dtype), part.blocks.reshape(-1), offset,
            currents.reshape(-1),
        )  # fmt: skip
        return currents
