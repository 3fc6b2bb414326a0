"""Kernels of :mod:`lfp_snn.backends.events.conv`: one sample, one map of neurons at a time."""

from typing import NamedTuple

import numpy as np
from numba import njit, prange

from lfp_snn.backends.events.neuron import SUBTRACT_NOW, credit_step, fire
from lfp_snn.backends.events.simd import (
    LANES,
    MOST,
    add_run,
    aligned_zeros,
    copy_run,
    learn_line,
    lowest_bit,
    sum_vector,
)


class Synapse(NamedTuple):
    """Weights in the layout of the tables, and the bias at every place of the map."""

    weight: np.ndarray
    bias: np.ndarray


class Cells(NamedTuple):
    """Constants of the neurons by lane, and the code of their dynamics."""

    beta: np.ndarray
    theta: np.ndarray
    code: int


class Span(NamedTuple):
    """Steps of every sample, and how many steps apart membranes are kept."""

    lengths: np.ndarray
    steps: int
    every: int


class Outlet(NamedTuple):
    """Where the spike of each lane leaves the stage (-1: nowhere) and its share there.

    ``first_only``: only the first spike of an output takes its credit.
    """

    target: np.ndarray
    share: np.ndarray
    first_only: bool


class Returned(NamedTuple):
    """What comes back to the stage: a credit per entry of its output, or a dense reward."""

    indptr: np.ndarray
    indices: np.ndarray
    credit: np.ndarray
    reward: np.ndarray


class Scratch(NamedTuple):
    """Lists of the inputs that share a line of weights: room for one frame."""

    places: np.ndarray
    scales: np.ndarray
    marks: np.ndarray
    partial: np.ndarray


@njit(cache=True)
def _scratch(inputs, like):  # type: ignore[no-untyped-def]
    return Scratch(
        np.empty(inputs, np.int64),
        np.empty(inputs, like.dtype),
        np.empty(inputs, np.int64),
        aligned_zeros(inputs * LANES, like),
    )


@njit(cache=True)
def _currents(tables, x, f, synapse, current):  # type: ignore[no-untyped-def]
    """Currents of frame f on the map: bias, then the runs of every active input."""
    for row in range(tables.map_rows):
        at = tables.margin + row * tables.pitch
        copy_run(current, at, synapse.bias, row * tables.pitch, tables.pitch)
    for e in range(x.indptr[f], x.indptr[f + 1]):
        i = x.indices[e]
        scale = x.values[e * x.step]
        for line in range(tables.first[i], tables.stop[i]):
            place = tables.place[i] + line * tables.place_line
            source = tables.bank[i] + line * tables.bank_line
            for _ in range(tables.segments):
                add_run(current, place, scale, synapse.weight, source, tables.run)
                place += tables.place_segment
                source += tables.run


@njit(cache=True)
def _fire_map(tables, cells, last, last_at, current, w, w_at, u, u_at, bits, word):  # type: ignore[no-untyped-def]
    """Step all neurons of a map; ``last`` may be ``w``."""
    for row in range(tables.map_rows):
        lane = row * tables.width
        fire(
            last, last_at + lane, current, tables.margin + row * tables.pitch, cells.beta,
            cells.theta, lane, cells.code, w, w_at + lane, u, u_at + lane, bits,
            word + lane // LANES, tables.width,
        )  # fmt: skip


@njit(cache=True)
def _forward_sample(b, tables, x, synapse, cells, span, state, kept, chunks, bits):  # type: ignore[no-untyped-def]
    lanes = tables.lanes
    current = aligned_zeros(tables.map_size, cells.beta)
    u = aligned_zeros(lanes, cells.beta)
    for t in range(span.steps):
        if t % span.every == 0 and chunks:
            copy_run(kept, (b * chunks + t // span.every) * lanes, state, b * lanes, lanes)
        word = (b * span.steps + t) * (lanes // LANES)
        for k in range(word, word + lanes // LANES):
            bits[k] = 0
        if t < span.lengths[b]:
            _currents(tables, x, b * span.steps + t, synapse, current)
            _fire_map(tables, cells, state, b * lanes, current, state, b * lanes, u, 0, bits, word)


@njit(cache=True, parallel=True)
def forward(tables, x, synapse, cells, span, state, kept, chunks, bits):  # type: ignore[no-untyped-def]
    """All samples forwards; see :func:`lfp_snn.backends.events.conv.conv_forward`."""
    for b in prange(span.lengths.size):
        _forward_sample(np.int64(b), tables, x, synapse, cells, span, state, kept, chunks, bits)


@njit(cache=True)
def _relevance(bits, f, outlet, back, arrived, m):  # type: ignore[no-untyped-def]
    """Add R to m: the credit of what left the stage, routed to the neurons that spiked."""
    for e in range(back.indptr[f], back.indptr[f + 1]):
        arrived[back.indices[e]] = back.credit[e]
    for k in range(bits.shape[1]):
        word = bits[f, k]
        while word != 0:
            lane = 64 * k + lowest_bit(word)
            word &= word - np.uint64(1)
            out = outlet.target[lane]
            if out >= 0:
                m[lane] += outlet.share[out] * arrived[out]
                if outlet.first_only:
                    arrived[out] = 0
    for e in range(back.indptr[f], back.indptr[f + 1]):
        arrived[back.indices[e]] = 0


@njit(cache=True)
def _learn_bank(tables, x, start, stop, weight, n, sums, wanted, scratch):  # type: ignore[no-untyped-def]
    """Add x n to the sums of the weights that the entries from start to stop share."""
    bank = tables.bank[x.indices[start]]
    vectors = tables.run // LANES
    tiles = -(-vectors // MOST)
    for line in range(tables.lines):
        count = 0
        for e in range(start, stop):
            i = x.indices[e]
            if tables.first[i] <= line and line < tables.stop[i]:
                scratch.places[count] = tables.place[i] + line * tables.place_line
                scratch.scales[count] = x.values[e * x.step]
                scratch.marks[count] = (e - start) * LANES
                count += 1
        for segment in range(tables.segments):
            at = bank + line * tables.bank_line + segment * tables.run
            for tile in range(tiles):
                skip = tile * vectors // tiles
                learn_line(
                    sums, at + skip * LANES, weight, n, scratch.places, scratch.scales,
                    segment * tables.place_segment + skip * LANES, count, scratch.partial,
                    scratch.marks, (tile + 1) * vectors // tiles - skip, wanted,
                )  # fmt: skip


@njit(cache=True)
def _learn(tables, x, f, weight, n, sums, wanted, credit, scratch):  # type: ignore[no-untyped-def]
    """Frame f: the sums of the weights, and if wanted the credit of every active input."""
    e, stop = x.indptr[f], x.indptr[f + 1]
    while e < stop:
        end = e + 1
        while end < stop and tables.bank[x.indices[end]] == tables.bank[x.indices[e]]:
            end += 1
        if wanted:
            for k in range((end - e) * LANES):
                scratch.partial[k] = 0
        _learn_bank(tables, x, e, end, weight, n, sums, wanted, scratch)
        if wanted:
            for k in range(e, end):
                credit[k] = sum_vector(scratch.partial, LANES * (k - e))
        e = end


@njit(cache=True)
def _credit_map(tables, cells, eps, u, at, last, last_at, m, n, bias_sums):  # type: ignore[no-untyped-def]
    """One step backwards of all neurons of a map, and the sums of n by lane."""
    for row in range(tables.map_rows):
        lane = row * tables.width
        place = tables.margin + row * tables.pitch
        credit_step(
            u, at + lane, last, last_at + lane, cells.beta, cells.theta, lane, cells.code, eps,
            m, lane, n, place, tables.width,
        )  # fmt: skip
        add_run(bias_sums, lane, cells.beta.dtype.type(1), n, place, tables.width)


@njit(cache=True)
def _repeat(tables, x, synapse, cells, first, begin, end, kept, base, current, w, u, dummy):  # type: ignore[no-untyped-def]
    """Membranes of the steps begin to end of a sample once more, into w (and u)."""
    last, last_at = kept, base
    for t in range(begin, end):
        at = (t - begin) * tables.lanes
        _currents(tables, x, first + t, synapse, current)
        _fire_map(tables, cells, last, last_at, current, w, at, u, at, dummy, 0)
        last, last_at = w, at


@njit(cache=True)
def _backward_part(  # type: ignore[no-untyped-def]
    begin_b,
    end_b,
    tables,
    x,
    synapse,
    cells,
    span,
    eps,
    kept,
    chunks,
    bits,
    outlet,
    back,
    sums,
    bias_sums,
    wanted,
    credit,
):
    """Samples begin_b to end_b: their sums, and the credit of their input."""
    lanes, every, like = tables.lanes, span.every, cells.beta
    current, n = aligned_zeros(tables.map_size, like), aligned_zeros(tables.map_size, like)
    w = aligned_zeros(every * lanes, like)
    u = aligned_zeros(every * lanes, like) if cells.code >= SUBTRACT_NOW else w
    m, arrived = aligned_zeros(lanes, like), np.zeros(outlet.share.size, like.dtype)
    dummy = np.empty(lanes // LANES, np.uint16)
    scratch = _scratch(tables.place.size, like)
    for b in range(begin_b, end_b):
        m[:] = 0
        frame = b * span.steps
        for chunk in range(chunks - 1, -1, -1):
            begin, base = chunk * every, (b * chunks + chunk) * lanes
            end = min(begin + every, span.lengths[b])
            _repeat(tables, x, synapse, cells, frame, begin, end, kept, base, current, w, u, dummy)
            for t in range(end - 1, begin - 1, -1):
                at = (t - begin) * lanes
                if back.reward.size:
                    for lane in range(lanes):
                        if outlet.target[lane] >= 0:
                            m[lane] += back.reward[b, t, outlet.target[lane]]
                else:
                    _relevance(bits, frame + t, outlet, back, arrived, m)
                last, last_at = (w, at - lanes) if t > begin else (kept, base)
                _credit_map(tables, cells, eps, u, at, last, last_at, m, n, bias_sums)
                _learn(tables, x, frame + t, synapse.weight, n, sums, wanted, credit, scratch)
        if wanted:
            for e in range(x.indptr[frame + span.lengths[b]], x.indptr[frame + span.steps]):
                credit[e] = 0


@njit(cache=True, parallel=True)
def backward(  # type: ignore[no-untyped-def]
    tables,
    x,
    synapse,
    cells,
    span,
    eps,
    kept,
    chunks,
    bits,
    outlet,
    back,
    sums,
    bias_sums,
    wanted,
    credit,
):
    """All samples backwards; see :func:`lfp_snn.backends.events.conv.conv_backward`."""
    parts, batch = sums.shape[0], span.lengths.size
    for part in prange(parts):
        _backward_part(
            np.int64(part * batch // parts), np.int64((part + 1) * batch // parts), tables, x,
            synapse, cells, span, eps, kept, chunks, bits, outlet, back, sums[part],
            bias_sums[part], wanted, credit,
        )  # fmt: skip


@njit(cache=True, parallel=True)
def collect(sums, gather, original, feedback):  # type: ignore[no-untyped-def]
    """Feedback of each weight: its size times its sums, parts added in order."""
    for q in prange(gather.size):
        if gather[q] >= 0:
            total = sums[0, q]
            for part in range(1, sums.shape[0]):
                total += sums[part, q]
            feedback[gather[q]] = abs(original[gather[q]]) * total
