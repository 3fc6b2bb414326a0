"""Forward kernels of :mod:`lfp_snn.backends.events.conv`: one sample, one map at a time."""

from typing import NamedTuple

import numpy as np
from numba import njit, prange

from lfp_snn.backends.events.neuron import SUBTRACT_NOW, fire
from lfp_snn.backends.events.rescale import open_gate
from lfp_snn.backends.events.simd import (
    MOST,
    add_line,
    add_product,
    add_run,
    aligned_zeros,
    copy_run,
)
from lfp_snn.backends.events.vectors import LANES


class SynapseLayout(NamedTuple):
    """Weights in the layout of the tables, and the bias of the map's rows.

    ``step`` leads from one row to the next; it is 0 where all rows are alike, so that one row stays
    in the L1 cache.
    """

    weight: np.ndarray
    bias: np.ndarray
    step: int


class Cells(NamedTuple):
    """The constants of the neurons by lane, and the code of their dynamics.

    ``step`` leads from one row to the next, as in :class:`SynapseLayout`.
    """

    beta: np.ndarray
    theta: np.ndarray
    step: int
    code: int


class Span(NamedTuple):
    """The steps of every sample, and of the batch."""

    lengths: np.ndarray
    steps: int


class Record(NamedTuple):
    """Membranes that the forward pass leaves: [B, rows, lanes], row k those before step k * every.

    If every is 1, one row more holds those after the last step, and ``u`` [B, steps, lanes] what
    was compared with the threshold where that differs: nothing needs to be repeated then.
    """

    w: np.ndarray
    u: np.ndarray
    rows: int
    every: int


class Gates(NamedTuple):
    """The open gates of a counted rule, as bits by lane like those of spikes; empty: not asked.

    ``window``: whether the gate is the window; otherwise it is the positive one.
    """

    bits: np.ndarray
    window: bool


@njit(cache=True)
def _has_line(tables, i, line):  # type: ignore[no-untyped-def]
    return tables.first[i] <= line and line < tables.stop[i]


@njit(cache=True)
def bank_end(tables, x, e, stop):  # type: ignore[no-untyped-def]
    """The end of the entries from e on that share their weights: those of one channel and phase."""
    end = e + 1
    while end < stop and tables.bank[x.indices[end]] == tables.bank[x.indices[e]]:
        end += 1
    return end


@njit(cache=True)
def having(tables, x, start, stop, line):  # type: ignore[no-untyped-def]
    """The entries that have a line, that is, whose row of outputs exists.

    The entries of one bank ascend, so that the ones which have the line are neighbours.
    """
    while start < stop and not _has_line(tables, x.indices[start], line):
        start += 1
    while start < stop and not _has_line(tables, x.indices[stop - 1], line):
        stop -= 1
    return start, stop


@njit(cache=True)
def _add_bank(tables, x, start, stop, weight, current):  # type: ignore[no-untyped-def]
    """Add to the currents what the entries from start to stop, of one bank, bring."""
    bank = tables.bank[x.indices[start]]
    vectors = tables.run // LANES
    tiles = -(-vectors // MOST)
    for line in range(tables.lines):
        begin, end = having(tables, x, start, stop, line)
        for segment in range(tables.segments):
            at = bank + line * tables.bank_line + segment * tables.run
            shift = line * tables.place_line + segment * tables.place_segment
            for tile in range(tiles):
                skip = tile * vectors // tiles
                count = (tile + 1) * vectors // tiles - skip
                add_line(
                    current, weight, at + skip * LANES, x.indices, tables.place,
                    shift + skip * LANES, x.values, x.step, begin, end, count,
                )  # fmt: skip


@njit(cache=True)
def currents(tables, x, f, synapse, current):  # type: ignore[no-untyped-def]
    """Currents of frame f on the map: bias, then the runs of every active input."""
    for row in range(tables.map_rows):
        at = tables.margin + row * tables.pitch
        copy_run(current, at, synapse.bias, row * synapse.step, tables.pitch)
    e, stop = x.indptr[f], x.indptr[f + 1]
    while e < stop:
        end = bank_end(tables, x, e, stop)
        _add_bank(tables, x, e, end, synapse.weight, current)
        e = end


@njit(cache=True)
def fire_map(tables, cells, last, last_at, current, w, w_at, u, u_at, bits, word):  # type: ignore[no-untyped-def]
    """Step all neurons of a map; ``last`` may be ``w``."""
    for row in range(tables.map_rows):
        lane = row * tables.width
        fire(
            last, last_at + lane, current, tables.margin + row * tables.pitch, cells.beta,
            cells.theta, row * cells.step, cells.code, w, w_at + lane, u, u_at + lane, bits,
            word + lane // LANES, tables.width,
        )  # fmt: skip


@njit(cache=True)
def _open_map(tables, cells, u, u_at, gates, word):  # type: ignore[no-untyped-def]
    """Mark the open gates of a map, from what was compared with the thresholds."""
    for row in range(tables.map_rows):
        lane = row * tables.width
        open_gate(
            u, u_at + lane, cells.theta, row * cells.step, gates.window, gates.bits,
            word + lane // LANES, tables.width,
        )  # fmt: skip


@njit(cache=True)
def _forward_sample(b, tables, x, synapse, cells, span, state, record, bits, gates):  # type: ignore[no-untyped-def]
    lanes = tables.lanes
    current = aligned_zeros(tables.map_size, cells.beta)
    unrecorded = aligned_zeros(lanes, cells.beta)
    whole, late = record.rows > 0 and record.every == 1, cells.code >= SUBTRACT_NOW
    last, last_at = state, b * lanes
    w, w_at, u, u_at = state, b * lanes, unrecorded, 0
    for t in range(span.steps):
        if record.rows and t % record.every == 0:
            row = (b * record.rows + t // record.every) * lanes
            if whole:
                w, w_at = record.w, row + lanes
                u, u_at = (record.u, (b * span.steps + t) * lanes) if record.u.size else (u, 0)
            if t == 0 or not whole:
                copy_run(record.w, row, state, b * lanes, lanes)
        word = (b * span.steps + t) * (lanes // LANES)
        bits[word : word + lanes // LANES] = 0
        gates.bits[word : word + lanes // LANES] = 0
        if t < span.lengths[b]:
            currents(tables, x, b * span.steps + t, synapse, current)
            fire_map(tables, cells, last, last_at, current, w, w_at, u, u_at, bits, word)
            last, last_at = w, w_at
            if gates.bits.size:
                compared, at = (u, u_at) if late else (w, w_at)
                _open_map(tables, cells, compared, at, gates, word)
    if whole:
        copy_run(state, b * lanes, last, last_at, lanes)


@njit(cache=True, parallel=True)
def forward(tables, x, synapse, cells, span, state, record, bits, gates):  # type: ignore[no-untyped-def]
    """Run all samples forwards (:func:`lfp_snn.backends.events.conv.conv_forward`)."""
    for b in prange(span.lengths.size):
        _forward_sample(np.int64(b), tables, x, synapse, cells, span, state, record, bits, gates)


@njit(cache=True)
def add_products(tables, values, current, frame, products):  # type: ignore[no-untyped-def]
    """Add values of a map, and those times the currents, over the rows of each group.

    Rows are added up in ``frame`` [2 * groups * width], in the type of the currents, and the sums
    go to ``products``, float64 [2, groups * width].
    """
    one, frame[:] = frame.dtype.type(1), 0
    half = products.shape[1]
    for row in range(tables.map_rows):
        at = tables.margin + row * tables.pitch
        to = row // tables.group_rows * tables.width
        add_run(frame, to, one, values, at, tables.width)
        add_product(frame, half + to, one, values, at, current, at, tables.width)
    for j in range(half):
        products[0, j] += frame[j]
        products[1, j] += frame[half + j]


@njit(cache=True)
def _moments_part(begin_b, end_b, tables, x, synapse, span, sums):  # type: ignore[no-untyped-def]
    """Add the currents of samples begin_b to end_b, and their squares, over rows and steps."""
    current = aligned_zeros(tables.map_size, synapse.bias)
    frame = aligned_zeros(sums.size, synapse.bias)
    for b in range(begin_b, end_b):
        for t in range(span.lengths[b]):
            currents(tables, x, b * span.steps + t, synapse, current)
            add_products(tables, current, current, frame, sums)


@njit(cache=True, parallel=True)
def moments(tables, x, synapse, span, sums):  # type: ignore[no-untyped-def]
    """The sums of the currents and of their squares, float64 [pieces, 2, groups * width]."""
    pieces, batch = sums.shape[0], span.lengths.size
    for part in prange(pieces):
        _moments_part(
            np.int64(part * batch // pieces), np.int64((part + 1) * batch // pieces), tables, x,
            synapse, span, sums[part],
        )  # fmt: skip


@njit(cache=True)
def repeat(tables, x, synapse, cells, first, begin, end, current, w, u, unread):  # type: ignore[no-untyped-def]
    """Repeat the steps begin to end of a sample; membranes go into w from row 1 on (and into u)."""
    lanes = tables.lanes
    for t in range(begin, end):
        at = (t - begin) * lanes
        currents(tables, x, first + t, synapse, current)
        fire_map(tables, cells, w, at, current, w, at + lanes, u, at, unread, 0)
