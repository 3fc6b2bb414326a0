"""Backward kernels of :mod:`lfp_snn.backends.events.conv`: one sample, one map at a time."""

from typing import NamedTuple

import numpy as np
from numba import njit, prange

from lfp_snn.backends.events.conv_kernels import add_products, bank_end, currents, having, repeat
from lfp_snn.backends.events.neuron import SUBTRACT_NOW, credit_step
from lfp_snn.backends.events.rescale import RELEVANCE, rescale_step
from lfp_snn.backends.events.shares import share_out
from lfp_snn.backends.events.simd import (
    MOST,
    add_product,
    add_run,
    aligned_zeros,
    copy_run,
    learn_line,
    lowest_bit,
    sum_vector,
)
from lfp_snn.backends.events.vectors import LANES


class Outlet(NamedTuple):
    """The output that the spike of each lane falls on (-1: none), and the spike's share there.

    ``first_only``: only the first spike of an output takes its credit.
    """

    target: np.ndarray
    share: np.ndarray
    first_only: bool


class Cancelled(NamedTuple):
    """The credit that a norm of the currents leaves out, ``offset + slope * current``.

    Both are by place in a row of each group [groups * width], and empty where nothing is left out.
    """

    offset: np.ndarray
    slope: np.ndarray


class Returned(NamedTuple):
    """The credit that comes back to the stage, one per entry of its output, or a dense reward.

    ``reach`` uint64 [B*T, lanes/64]: silent neurons that credit reaches, if it does so at all.
    """

    indptr: np.ndarray
    indices: np.ndarray
    credit: np.ndarray
    reward: np.ndarray
    reach: np.ndarray


@njit(cache=True)
def _route(bits, f, outlet, arrived, m):  # type: ignore[no-untyped-def]
    """Add to m what arrived at the outlets of the neurons that are marked."""
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


@njit(cache=True)
def _relevance(bits, f, outlet, back, arrived, m):  # type: ignore[no-untyped-def]
    """Add to m the credit of what left the stage, at neurons that spiked, then at silent ones."""
    for e in range(back.indptr[f], back.indptr[f + 1]):
        arrived[back.indices[e]] = back.credit[e]
    _route(bits, f, outlet, arrived, m)
    if back.reach.size:
        _route(back.reach, f, outlet, arrived, m)
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
        begin, end = having(tables, x, start, stop, line)
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
        end = bank_end(tables, x, e, stop)
        if wanted:
            partial[: (end - e) * LANES] = 0
        _learn_bank(tables, x, e, end, weight, n, sums, wanted, partial)
        if wanted:
            for k in range(e, end):
                credit[k] += sum_vector(partial, LANES * (k - e))
        e = end


@njit(cache=True)
def _credit_map(tables, cells, form, eps, u, at, last, last_at, direct, m, n):  # type: ignore[no-untyped-def]
    """One step backwards of all neurons of a map."""
    for row in range(tables.map_rows):
        lane = row * tables.width
        place = tables.margin + row * tables.pitch
        if form == RELEVANCE:
            credit_step(
                u, at + lane, last, last_at + lane, cells.beta, cells.theta, row * cells.step,
                cells.code, eps, m, lane, n, place, tables.width,
            )  # fmt: skip
        else:
            rescale_step(
                u, at + lane, last, last_at + lane, cells.beta, cells.theta, row * cells.step,
                cells.code, form, eps, direct, lane, m, lane, n, place, tables.width,
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
def _centre_map(tables, cancelled, current, n):  # type: ignore[no-untyped-def]
    """Leave out of n what the statistics of a norm cancel."""
    less = n.dtype.type(-1)
    for row in range(tables.map_rows):
        at = tables.margin + row * tables.pitch
        of = row // tables.group_rows * tables.width
        add_run(n, at, less, cancelled.offset, of, tables.width)
        add_product(n, at, less, cancelled.slope, of, current, at, tables.width)


@njit(cache=True)
def _backward_part(  # type: ignore[no-untyped-def]
    begin_b, end_b, tables, x, asked, synapse, first, second, shares, cells, span, form, eps,
    record, bits, outlet, back, raw, cancelled, products, handed, sums, bias_sums, wanted, credit,
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
    direct = aligned_zeros(0 if form == RELEVANCE else lanes, like)
    arrived = np.zeros(outlet.share.size, like.dtype)
    unread = np.empty(lanes // LANES, np.uint16)
    partial = aligned_zeros(tables.place.size * LANES, like)
    frame_products = aligned_zeros(products.size, like)
    for b in range(begin_b, end_b):
        m = handed[b]
        frame = b * span.steps
        w_base, u_base = (b * record.rows * lanes, frame * lanes) if whole else (0, 0)
        for begin in range((span.steps - 1) // every * every, -1, -every):
            end = min(begin + every, span.lengths[b])
            if not whole:
                copy_run(w, 0, record.w, (b * record.rows + begin // every) * lanes, lanes)
                repeat(tables, x, synapse, cells, frame, begin, end, current, w, u, unread)
            for t in range(end - 1, begin - 1, -1):
                into = m if form == RELEVANCE else direct
                _gather_relevance(b, t, span, bits, outlet, back, arrived, into)
                last = w_base + (t - begin) * lanes
                compared, at = (u, u_base + (t - begin) * lanes) if late else (w, last + lanes)
                _credit_map(tables, cells, form, eps, compared, at, w, last, direct, m, n)
                direct[:] = 0
                f = frame + t
                if products.size or cancelled.offset.size:
                    currents(tables, x, f, raw, current)
                if products.size:
                    add_products(tables, n, current, frame_products, products)
                    continue
                if cancelled.offset.size:
                    _centre_map(tables, cancelled, current, n)
                if by_sign:
                    currents(tables, x, f, first, current)
                    currents(tables, x, f, second, negatives)
                    _share_map(tables, shares, n, current, negatives, other)
                for which in range(len(sums)):
                    weight, given = (second.weight, other) if which else (first.weight, n)
                    _add_rows_of(tables, given, bias_sums[which])
                    _learn(tables, asked, f, weight, given, sums[which], wanted, credit, partial)


@njit(cache=True, parallel=True)
def backward(  # type: ignore[no-untyped-def]
    tables, x, asked, synapse, first, second, shares, cells, span, form, eps, record, bits, outlet,
    back, raw, cancelled, products, handed, sums, bias_sums, wanted, credit,
):  # fmt: skip
    """Go back through all samples (:func:`lfp_snn.backends.events.conv.conv_backward`).

    Credit goes back through the synapse ``first``. If there are two sums for each weight, the rule
    shares by sign: ``first`` has the positive weights then, and ``second`` the negative ones. If
    ``cancelled`` is not empty, that is left out of the credit of the currents of the synapse
    ``raw``. If there are ``products``, float64 [pieces, 2, groups * width], n and its products with
    those currents are added up there, and that is all.
    """
    pieces, batch = sums.shape[0], span.lengths.size
    for part in prange(pieces):
        _backward_part(
            np.int64(part * batch // pieces), np.int64((part + 1) * batch // pieces), tables, x,
            asked, synapse, first, second, shares, cells, span, form, eps, record, bits, outlet,
            back, raw, cancelled, products[part], handed, sums[part], bias_sums[part], wanted,
            credit,
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
