"""Kernels of :mod:`lfp_snn.backends.events.conv`: one sample, one map of neurons at a time."""

from typing import NamedTuple

import numpy as np
from numba import njit, prange

from lfp_snn.backends.events.neuron import SUBTRACT_NOW, credit_step, fire
from lfp_snn.backends.events.shares import share_out
from lfp_snn.backends.events.simd import (
    MOST,
    add_line,
    add_run,
    aligned_zeros,
    copy_run,
    learn_line,
    lowest_bit,
    sum_vector,
)
from lfp_snn.backends.events.vectors import LANES


class Synapse(NamedTuple):
    """Weights in the layout of the tables, and the bias of the map's rows.

    ``step``: from one row to the next, 0 where all rows are alike; one row stays in the L1 cache.
    """

    weight: np.ndarray
    bias: np.ndarray
    step: int


class Cells(NamedTuple):
    """Constants of the neurons by lane (``step`` as in Synapse), and the code of their dynamics."""

    beta: np.ndarray
    theta: np.ndarray
    step: int
    code: int


class Span(NamedTuple):
    """Steps of every sample, and of a batch."""

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


@njit(cache=True)
def _has_line(tables, i, line):  # type: ignore[no-untyped-def]
    return tables.first[i] <= line and line < tables.stop[i]


@njit(cache=True)
def _bank_end(tables, x, e, stop):  # type: ignore[no-untyped-def]
    """The end of the entries from e on that share their weights: those of one channel and phase."""
    end = e + 1
    while end < stop and tables.bank[x.indices[end]] == tables.bank[x.indices[e]]:
        end += 1
    return end


@njit(cache=True)
def _having(tables, x, start, stop, line):  # type: ignore[no-untyped-def]
    """Which of the entries have a line, that is, the row of outputs exists.

    Entries of one bank ascend, so that those which have it are neighbours.
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
        begin, end = _having(tables, x, start, stop, line)
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
def _currents(tables, x, f, synapse, current):  # type: ignore[no-untyped-def]
    """Currents of frame f on the map: bias, then the runs of every active input."""
    for row in range(tables.map_rows):
        at = tables.margin + row * tables.pitch
        copy_run(current, at, synapse.bias, row * synapse.step, tables.pitch)
    e, stop = x.indptr[f], x.indptr[f + 1]
    while e < stop:
        end = _bank_end(tables, x, e, stop)
        _add_bank(tables, x, e, end, synapse.weight, current)
        e = end


@njit(cache=True)
def _fire_map(tables, cells, last, last_at, current, w, w_at, u, u_at, bits, word):  # type: ignore[no-untyped-def]
    """Step all neurons of a map; ``last`` may be ``w``."""
    for row in range(tables.map_rows):
        lane = row * tables.width
        fire(
            last, last_at + lane, current, tables.margin + row * tables.pitch, cells.beta,
            cells.theta, row * cells.step, cells.code, w, w_at + lane, u, u_at + lane, bits,
            word + lane // LANES, tables.width,
        )  # fmt: skip


@njit(cache=True)
def _forward_sample(b, tables, x, synapse, cells, span, state, record, bits):  # type: ignore[no-untyped-def]
    lanes = tables.lanes
    current = aligned_zeros(tables.map_size, cells.beta)
    unrecorded = aligned_zeros(lanes, cells.beta)
    whole = record.rows > 0 and record.every == 1
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
        if t < span.lengths[b]:
            _currents(tables, x, b * span.steps + t, synapse, current)
            _fire_map(tables, cells, last, last_at, current, w, w_at, u, u_at, bits, word)
            last, last_at = w, w_at
    if whole:
        copy_run(state, b * lanes, last, last_at, lanes)


@njit(cache=True, parallel=True)
def forward(tables, x, synapse, cells, span, state, record, bits):  # type: ignore[no-untyped-def]
    """All samples forwards; see :func:`lfp_snn.backends.events.conv.conv_forward`."""
    for b in prange(span.lengths.size):
        _forward_sample(np.int64(b), tables, x, synapse, cells, span, state, record, bits)


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
def _gather_relevance(b, t, span, bits, outlet, back, arrived, m):  # type: ignore[no-untyped-def]
    """Add to m what step t of sample b receives, be it a reward or credit."""
    if back.reward.size:
        for lane in range(outlet.target.size):
            if outlet.target[lane] >= 0:
                m[lane] += back.reward[b, t, outlet.target[lane]]
    else:
        _relevance(bits, b * span.steps + t, outlet, back, arrived, m)


@njit(cache=True)
def _learn_bank(tables, x, start, stop, weight, n, sums, wanted, partial):  # type: ignore[no-untyped-def]
    """Add x n to the sums of the weights that the entries from start to stop share."""
    bank = tables.bank[x.indices[start]]
    vectors = tables.run // LANES
    tiles = -(-vectors // MOST)
    for line in range(tables.lines):
        begin, end = _having(tables, x, start, stop, line)
        for segment in range(tables.segments):
            at = bank + line * tables.bank_line + segment * tables.run
            shift = line * tables.place_line + segment * tables.place_segment
            for tile in range(tiles):
                skip = tile * vectors // tiles
                count = (tile + 1) * vectors // tiles - skip
                learn_line(
                    sums, at + skip * LANES, weight, n, x.indices, tables.place,
                    shift + skip * LANES, x.values, x.step, begin, end,
                    partial[(begin - start) * LANES :], count, wanted,
                )  # fmt: skip


@njit(cache=True)
def _learn(tables, x, f, weight, n, sums, wanted, credit, partial):  # type: ignore[no-untyped-def]
    """Frame f: add to the sums of the weights, and if wanted to the credit of active inputs."""
    e, stop = x.indptr[f], x.indptr[f + 1]
    while e < stop:
        end = _bank_end(tables, x, e, stop)
        if wanted:
            partial[: (end - e) * LANES] = 0
        _learn_bank(tables, x, e, end, weight, n, sums, wanted, partial)
        if wanted:
            for k in range(e, end):
                credit[k] += sum_vector(partial, LANES * (k - e))
        e = end


@njit(cache=True)
def _credit_map(tables, cells, eps, u, at, last, last_at, m, n):  # type: ignore[no-untyped-def]
    """One step backwards of all neurons of a map."""
    for row in range(tables.map_rows):
        lane = row * tables.width
        place = tables.margin + row * tables.pitch
        credit_step(
            u, at + lane, last, last_at + lane, cells.beta, cells.theta, row * cells.step,
            cells.code, eps, m, lane, n, place, tables.width,
        )  # fmt: skip


@njit(cache=True)
def _share_map(tables, shares, n, positives, negatives, other):  # type: ignore[no-untyped-def]
    """Turn n into the credit of positive contributions, beside the other; gaps stay zero."""
    for row in range(tables.map_rows):
        at = tables.margin + row * tables.pitch
        share_out(
            n, other, at, positives, negatives, at, shares.form, shares.favour, shares.oppose,
            tables.width,
        )  # fmt: skip


@njit(cache=True)
def _add_rows_of(tables, n, bias_sums):  # type: ignore[no-untyped-def]
    """Add n over the rows of each group."""
    for row in range(tables.map_rows):
        add_run(
            bias_sums, row // tables.group_rows * tables.width, n.dtype.type(1), n,
            tables.margin + row * tables.pitch, tables.width,
        )  # fmt: skip


@njit(cache=True)
def _repeat(tables, x, synapse, cells, first, begin, end, current, w, u, unread):  # type: ignore[no-untyped-def]
    """Membranes of the steps begin to end of a sample once more, into w from row 1 on (and u)."""
    lanes = tables.lanes
    for t in range(begin, end):
        at = (t - begin) * lanes
        _currents(tables, x, first + t, synapse, current)
        _fire_map(tables, cells, w, at, current, w, at + lanes, u, at, unread, 0)


@njit(cache=True)
def _backward_part(  # type: ignore[no-untyped-def]
    begin_b, end_b, tables, x, synapse, first, second, shares, cells, span, eps, record, bits,
    outlet, back, handed, sums, bias_sums, wanted, credit,
):  # fmt: skip
    """Samples begin_b to end_b: their sums, and the credit of their input."""
    by_sign = len(sums) == 2
    lanes, like, late = tables.lanes, cells.beta, cells.code >= SUBTRACT_NOW
    whole = record.every == 1
    every = span.steps if whole else record.every
    current, n = aligned_zeros(tables.map_size, like), aligned_zeros(tables.map_size, like)
    room = tables.map_size if by_sign else 0
    negatives, other = aligned_zeros(room, like), aligned_zeros(room, like)
    w = record.w if whole else aligned_zeros((every + 1) * lanes, like)
    u = record.u if whole else aligned_zeros(every * lanes if late else 0, like)
    arrived = np.zeros(outlet.share.size, like.dtype)
    unread = np.empty(lanes // LANES, np.uint16)
    partial = aligned_zeros(tables.place.size * LANES, like)
    for b in range(begin_b, end_b):
        m = handed[b]
        frame = b * span.steps
        w_base, u_base = (b * record.rows * lanes, frame * lanes) if whole else (0, 0)
        for begin in range((span.steps - 1) // every * every, -1, -every):
            end = min(begin + every, span.lengths[b])
            if not whole:
                copy_run(w, 0, record.w, (b * record.rows + begin // every) * lanes, lanes)
                _repeat(tables, x, synapse, cells, frame, begin, end, current, w, u, unread)
            for t in range(end - 1, begin - 1, -1):
                _gather_relevance(b, t, span, bits, outlet, back, arrived, m)
                last = w_base + (t - begin) * lanes
                compared, at = (u, u_base + (t - begin) * lanes) if late else (w, last + lanes)
                _credit_map(tables, cells, eps, compared, at, w, last, m, n)
                f = frame + t
                if by_sign:
                    _currents(tables, x, f, first, current)
                    _currents(tables, x, f, second, negatives)
                    _share_map(tables, shares, n, current, negatives, other)
                for which in range(len(sums)):
                    weight, given = (second.weight, other) if which else (first.weight, n)
                    _add_rows_of(tables, given, bias_sums[which])
                    _learn(tables, x, f, weight, given, sums[which], wanted, credit, partial)


@njit(cache=True, parallel=True)
def backward(  # type: ignore[no-untyped-def]
    tables, x, synapse, first, second, shares, cells, span, eps, record, bits, outlet, back,
    handed, sums, bias_sums, wanted, credit,
):  # fmt: skip
    """All samples backwards; see :func:`lfp_snn.backends.events.conv.conv_backward`.

    Credit goes back through the synapse ``first``. If there are two sums for every weight the rule
    shares by sign: ``first`` has the positive weights then, and ``second`` the negative ones.
    """
    pieces, batch = sums.shape[0], span.lengths.size
    for part in prange(pieces):
        _backward_part(
            np.int64(part * batch // pieces), np.int64((part + 1) * batch // pieces), tables, x,
            synapse, first, second, shares, cells, span, eps, record, bits, outlet, back, handed,
            sums[part], bias_sums[part], wanted, credit,
        )  # fmt: skip


@njit(cache=True, parallel=True)
def collect(sums, gather, original, scaled, feedback):  # type: ignore[no-untyped-def]
    """Feedback of each weight: its size (if ``scaled``) times its sums, pieces added in order.

    ``sums`` is [pieces, 1 or 2, weights]; of two, negative weights take the second.
    """
    for q in prange(gather.size):
        if gather[q] >= 0:
            w = original[gather[q]]
            which = sums.shape[1] - 1 if w < 0 else 0
            total = sums[0, which, q]
            for piece in range(1, sums.shape[0]):
                total += sums[piece, which, q]
            feedback[gather[q]] = abs(w) * total if scaled else total
