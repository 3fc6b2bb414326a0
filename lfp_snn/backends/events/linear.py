"""Fully connected layer with LIF neurons, on lists of active inputs.

Outputs are worked on in blocks of 64: a block of weights ``[in, 64]`` stays in a core's cache while
the samples stream by, and its 64 sums stay in registers. The way back is
:mod:`lfp_snn.backends.events.linear_backward`.
"""

from typing import NamedTuple

import numpy as np
from numba import njit, prange

from lfp_snn.backends.events.lists import Lists, scales
from lfp_snn.backends.events.neuron import Neuron, constants
from lfp_snn.backends.events.scan import (
    Trace,
    advance,
    close_trace,
    half_words,
    open_trace,
    stand_still,
)
from lfp_snn.backends.events.simd import BLOCK, add_rows, aligned_zeros, copy_run, turn_tile
from lfp_snn.backends.events.vectors import LANES
from lfp_snn.backends.events.workspace import Workspace

GROUPS = 8
"""Pieces into which samples or frames are cut, to occupy all threads."""
SLAB = 128
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
    parts = -(-inputs // SLAB)
    for piece in prange(blocks.shape[0] * parts):
        k, slab = piece // parts * BLOCK, piece % parts * SLAB
        for start in range(slab, min(slab + SLAB, inputs), LANES):
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
    for piece in prange(padded // BLOCK * GROUPS):
        k, g = piece // GROUPS, piece % GROUPS
        j = k * BLOCK
        current = aligned_zeros(BLOCK, bias)
        for b in range(g * batch // GROUPS, (g + 1) * batch // GROUPS):
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


@njit(cache=True, parallel=True)
def _currents(indptr, indices, values, step, blocks, bias, currents):  # type: ignore[no-untyped-def]
    """The currents [F, out] of all frames, W x + b."""
    frames, outputs = currents.shape
    padded = bias.size
    inputs = blocks.size // padded
    for piece in prange(padded // BLOCK * GROUPS):
        k, g = piece // GROUPS, piece % GROUPS
        j = k * BLOCK
        current = aligned_zeros(BLOCK, bias)
        for f in range(g * frames // GROUPS, (g + 1) * frames // GROUPS):
            copy_run(current, 0, bias, j, BLOCK)
            add_rows(
                current, 0, blocks, j * inputs, indices, values, step, indptr[f], indptr[f + 1]
            )
            for q in range(min(BLOCK, outputs - j)):
                currents[f, j + q] = current[q]


def linear_currents(
    x: Lists, weight: np.ndarray, bias: np.ndarray | None, work: Workspace
) -> tuple[np.ndarray, np.ndarray]:
    """The currents ``W x + b`` alone, for a stage between them and the neurons.

    Args:
        x: the input, lists of F frames.
        weight: the weight [out, in], C-contiguous, float32 or float64, which is the dtype of the
            currents.
        bias: the bias [out] or ``None``.
        work: the buffers; the weight in blocks lives in them.

    Returns:
        The currents [F, out], in memory of their own, and the weight in blocks
        (:func:`cut_weight`).
    """
    outputs, dtype = weight.shape[0], weight.dtype
    blocks = cut_weight(weight, work)
    currents = np.empty((x.indptr.size - 1, outputs), dtype)
    _currents(
        x.indptr,
        x.indices,
        *scales(x, dtype),
        blocks.reshape(-1),
        padded_bias(bias, blocks),
        currents,
    )
    return currents, blocks


def padded_bias(bias: np.ndarray | None, blocks: np.ndarray) -> np.ndarray:
    """The bias of all outputs in blocks; zero beyond the last, and where there is none."""
    offset = np.zeros(blocks.shape[0] * BLOCK, blocks.dtype)
    if bias is not None:
        offset[: bias.size] = bias
    return offset


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
    offset = padded_bias(bias, blocks)
    _forward(
        x.indptr, x.indices, *scales(x, dtype), blocks.reshape(-1), offset, beta, theta,
        neuron.dynamics, trace.lengths, steps, record, trace.state.reshape(-1),
        trace.w.reshape(-1), trace.u.reshape(-1), half_words(trace.bits),
    )  # fmt: skip
    return LinearTrace(close_trace(trace, work), x, blocks)
