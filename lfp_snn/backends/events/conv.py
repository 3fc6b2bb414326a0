"""Convolution with LIF neurons and a pooling that does not overlap, on lists of active inputs.

One sample at a time: its map of membranes stays in the cache, events are added and neurons stepped
in one pass (tables: :mod:`lfp_snn.backends.events.geometry`). Nothing of the size T x B x neurons
is stored but one bit per neuron and step; the backward pass repeats the forward steps from
membranes kept every ``every`` steps, with the same additions in the same order, and so finds the
same bits.
"""

from typing import NamedTuple

import numpy as np
from numba import njit, prange

from lfp_snn.backends.events.geometry import ConvShape, Geometry, Tables, geometry
from lfp_snn.backends.events.lists import Lists, lists_from_bits, scales
from lfp_snn.backends.events.neuron import Neuron, credit_step, fire, keeps_u
from lfp_snn.backends.events.pool import Pooling, pool_bits
from lfp_snn.backends.events.scan import Feedback, half_words
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
from lfp_snn.backends.events.workspace import Workspace

_PARTS = 16
"""Pieces of the batch whose feedback is summed apart, whatever the number of threads."""
_TILE = 1 << 19
"""Bytes of membranes that the backward pass repeats at a time: half of a core's L2 cache."""


class ConvTrace(NamedTuple):
    """What a forward pass leaves for the backward pass; it lives in the layer's workspace.

    ``out`` lists what leaves the stage (spikes, or what was pooled from them). ``bits`` uint64
    [B*T, lanes/64] are the neurons' spikes by lane, ``kept`` [B, chunks, lanes] the membranes
    before every ``every``-th step, ``state`` [B, lanes] those after the last.
    """

    out: Lists
    bits: np.ndarray
    kept: np.ndarray
    every: int
    state: np.ndarray
    x: Lists
    weight: np.ndarray
    shape: ConvShape
    pooling: Pooling | None
    lengths: np.ndarray
    steps: int


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
def _currents(tables, indices, values, step, start, stop, weight, bias, current):  # type: ignore[no-untyped-def]
    """Currents of one frame on the map: bias, then the runs of every active input."""
    for row in range(tables.map_rows):
        at = tables.margin + row * tables.pitch
        copy_run(current, at, bias, row * tables.pitch, tables.pitch)
    for e in range(start, stop):
        i = indices[e]
        scale = values[e * step]
        for line in range(tables.first[i], tables.stop[i]):
            place = tables.place[i] + line * tables.place_line
            source = tables.bank[i] + line * tables.bank_line
            for _ in range(tables.segments):
                add_run(current, place, scale, weight, source, tables.run)
                place += tables.place_segment
                source += tables.run


@njit(cache=True)
def _fire_map(tables, last, last_at, current, beta, theta, code, w, w_at, u, u_at, bits, word):  # type: ignore[no-untyped-def]
    """Step all neurons of a map; ``last`` may be ``w``."""
    for row in range(tables.map_rows):
        lane = row * tables.width
        fire(
            last, last_at + lane, current, tables.margin + row * tables.pitch, beta, theta, lane,
            code, w, w_at + lane, u, u_at + lane, bits, word + lane // LANES, tables.width,
        )  # fmt: skip


@njit(cache=True, parallel=True)
def _forward(tables, indptr, indices, values, step, weight, bias, beta, theta, code, lengths, steps, every, state, kept, bits):  # type: ignore[no-untyped-def]  # noqa: E501
    lanes = tables.lanes
    chunks = kept.size // (lengths.size * lanes)
    for b in prange(lengths.size):
        current = aligned_zeros(tables.map_size, beta)
        u = aligned_zeros(lanes, beta)
        held = b * lanes
        for t in range(steps):
            f = b * steps + t
            if t % every == 0 and chunks:
                at = (b * chunks + t // every) * lanes
                copy_run(kept, at, state, held, lanes)
            word = f * (lanes // LANES)
            bits[word : word + lanes // LANES] = 0
            if t < lengths[b]:
                _currents(
                    tables, indices, values, step, indptr[f], indptr[f + 1], weight, bias, current
                )
                _fire_map(
                    tables, state, held, current, beta, theta, code, state, held, u, 0, bits, word
                )


@njit(cache=True)
def _relevance(bits, f, target, share, indptr, indices, credit, first_only, arrived, m):  # type: ignore[no-untyped-def]
    """m += R: the credit of what left the stage, routed to the neurons that spiked."""
    for e in range(indptr[f], indptr[f + 1]):
        arrived[indices[e]] = credit[e]
    for k in range(bits.shape[1]):
        word = bits[f, k]
        while word != 0:
            lane = 64 * k + lowest_bit(word)
            word &= word - np.uint64(1)
            out = target[lane]
            if out >= 0:
                m[lane] += share[out] * arrived[out]
                if first_only:
                    arrived[out] = 0
    for e in range(indptr[f], indptr[f + 1]):
        arrived[indices[e]] = 0


@njit(cache=True)
def _learn_bank(tables, indices, values, step, start, stop, weight, n, sums, wanted, scratch):  # type: ignore[no-untyped-def]
    """Add x n to the sums of the weights that the inputs start to stop share."""
    bank = tables.bank[indices[start]]
    vectors = tables.run // LANES
    tiles = -(-vectors // MOST)
    for line in range(tables.lines):
        count = 0
        for e in range(start, stop):
            i = indices[e]
            if tables.first[i] <= line and line < tables.stop[i]:
                scratch.places[count] = tables.place[i] + line * tables.place_line
                scratch.scales[count] = values[e * step]
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
def _learn(tables, indices, values, step, start, stop, weight, n, sums, wanted, credit, scratch):  # type: ignore[no-untyped-def]
    """One frame: the sums of the weights, and if wanted the credit of every active input."""
    e = start
    while e < stop:
        end = e + 1
        while end < stop and tables.bank[indices[end]] == tables.bank[indices[e]]:
            end += 1
        if wanted:
            scratch.partial[: LANES * (end - e)] = 0
        _learn_bank(tables, indices, values, step, e, end, weight, n, sums, wanted, scratch)
        if wanted:
            for k in range(e, end):
                credit[k] = sum_vector(scratch.partial, LANES * (k - e))
        e = end


@njit(cache=True, parallel=True)
def _backward(tables, indptr, indices, values, step, weight, bias, beta, theta, code, eps, lengths, steps, every, kept, bits, target, share, first_only, out_indptr, out_indices, out_credit, reward, sums, bias_sums, wanted, credit):  # type: ignore[no-untyped-def]  # noqa: E501
    lanes = tables.lanes
    batch, chunks = kept.shape[0], kept.shape[1]
    flat_kept = kept.reshape(-1)
    parts = sums.shape[0]
    one = beta.dtype.type(1)
    for part in prange(parts):
        current = aligned_zeros(tables.map_size, beta)
        n = aligned_zeros(tables.map_size, beta)
        w = aligned_zeros(every * lanes, beta)
        u = aligned_zeros(every * lanes, beta) if code >= 3 else w
        m = aligned_zeros(lanes, beta)
        arrived = np.zeros(share.size, beta.dtype)
        dummy = np.empty(lanes // LANES, np.uint16)
        scratch = _scratch(tables.place.size, beta)
        own, own_bias = sums[part], bias_sums[part]
        own[:] = 0
        own_bias[:] = 0
        for b in range(part * batch // parts, (part + 1) * batch // parts):
            m[:] = 0
            for chunk in range(chunks - 1, -1, -1):
                begin = chunk * every
                end = min(begin + every, lengths[b])
                base = (b * chunks + chunk) * lanes
                for t in range(begin, end):
                    f = b * steps + t
                    at = (t - begin) * lanes
                    _currents(
                        tables, indices, values, step, indptr[f], indptr[f + 1],
                        weight, bias, current,
                    )  # fmt: skip
                    last, last_at = (w, at - lanes) if t > begin else (flat_kept, base)
                    _fire_map(
                        tables, last, last_at, current, beta, theta, code, w, at, u, at, dummy, 0
                    )
                for t in range(end - 1, begin - 1, -1):
                    f = b * steps + t
                    at = (t - begin) * lanes
                    if reward.size:
                        for lane in range(lanes):
                            if target[lane] >= 0:
                                m[lane] += reward[b, t, target[lane]]
                    else:
                        _relevance(
                            bits, f, target, share, out_indptr, out_indices, out_credit,
                            first_only, arrived, m,
                        )  # fmt: skip
                    last, last_at = (w, at - lanes) if t > begin else (flat_kept, base)
                    for row in range(tables.map_rows):
                        lane = row * tables.width
                        place = tables.margin + row * tables.pitch
                        credit_step(
                            u, at + lane, last, last_at + lane, beta, theta, lane, code, eps,
                            m, lane, n, place, tables.width,
                        )  # fmt: skip
                        add_run(own_bias, lane, one, n, place, tables.width)
                    _learn(
                        tables, indices, values, step, indptr[f], indptr[f + 1], weight, n, own,
                        wanted, credit, scratch,
                    )  # fmt: skip
            if wanted:
                for e in range(indptr[b * steps + lengths[b]], indptr[(b + 1) * steps]):
                    credit[e] = 0


@njit(cache=True, parallel=True)
def _collect(sums, weight, gather, original, feedback):  # type: ignore[no-untyped-def]
    """feedback of each weight: its size times its sums, parts added in order."""
    for q in prange(gather.size):
        if gather[q] >= 0:
            total = sums[0, q]
            for part in range(1, sums.shape[0]):
                total += sums[part, q]
            feedback[gather[q]] = abs(original[gather[q]]) * total


def _to_lanes(x: np.ndarray, order: np.ndarray, empty: float, dtype: np.dtype) -> np.ndarray:
    """[..., units] in (channel, row, column) order, or of size 1, laid out by lane."""
    lanes = np.full((*x.shape[:-1], order.size), empty, dtype)
    lanes[..., order >= 0] = x if x.shape[-1] == 1 else x[..., order[order >= 0]]
    return lanes


def _lane_constants(
    neuron: Neuron, layout: Geometry, dtype: np.dtype
) -> tuple[np.ndarray, np.ndarray]:
    beta = _to_lanes(neuron.beta.reshape(-1), layout.order, 0.0, dtype)
    return beta, _to_lanes(neuron.theta.reshape(-1), layout.order, np.inf, dtype)


def _bias_rows(bias: np.ndarray | None, shape: ConvShape, tables: Tables, dtype: np.dtype) -> np.ndarray:
    """The bias at every place of the map, gaps zero."""
    rows = np.zeros((shape.groups, shape.out_size[0], tables.pitch), dtype)
    if bias is not None:
        deep = shape.outputs // shape.groups
        line = np.tile(bias.reshape(shape.groups, 1, deep), (1, 1, shape.out_size[1]))
        rows[:, :, : line.shape[2]] = line
    return rows.reshape(-1)


def conv_forward(
    x: Lists,
    steps: int,
    shape: ConvShape,
    weight: np.ndarray,
    bias: np.ndarray | None,
    neuron: Neuron,
    work: Workspace,
    *,
    pooling: Pooling | None = None,
    lengths: np.ndarray | None = None,
    state: np.ndarray | None = None,
    record: bool = True,
) -> ConvTrace:
    """Convolution at the active inputs, the neurons' step and a pooling, over all of T.

    Args:
        x: input of B*T frames of (channel, row, column).
        steps: T.
        shape: of the convolution.
        weight: [outputs, channels / groups, *kernel], float32 or float64; the dtype of the rest.
        bias: [outputs] or ``None``.
        neuron: constants, of size 1 or one per neuron in (channel, row, column) order.
        work: buffers; the trace lives in them until the layer's next forward pass.
        pooling: of the spikes, disjoint; the output is then that of the pooling.
        lengths: int [B], see :mod:`lfp_snn.lif`.
        state: membranes [B, ...] before the first step; zero if ``None``.
        record: keep what the backward pass needs.
    """
    layout, dtype = geometry(shape), weight.dtype
    tables = layout.tables
    batch = (x.indptr.size - 1) // steps
    laid = work.get("weight", layout.gather.shape, dtype)
    np.take(weight.reshape(-1), layout.gather, out=laid, mode="wrap")
    laid[layout.gather < 0] = 0
    held = work.zeros("state", (batch, tables.lanes), dtype)
    if state is not None:
        held[:] = _to_lanes(state.reshape(batch, -1), layout.order, 0.0, dtype)
    maps = 2 if keeps_u(neuron.dynamics) else 1
    every = int(np.clip(_TILE // (maps * tables.lanes * dtype.itemsize), 1, steps))
    kept = work.get("kept", (batch, -(-steps // every) if record else 0, tables.lanes), dtype)
    bits = work.get("bits", (batch * steps, tables.lanes // 64), np.uint64)
    whole = np.full(batch, steps, np.int64) if lengths is None else lengths.astype(np.int64)
    beta, theta = _lane_constants(neuron, layout, dtype)
    values, step = scales(x, dtype)
    _forward(
        tables, x.indptr, x.indices, values, step, laid, _bias_rows(bias, shape, tables, dtype),
        beta, theta, neuron.dynamics, whole, steps, every, held.reshape(-1), kept.reshape(-1),
        half_words(bits),
    )  # fmt: skip
    target, share = _outlet(layout, pooling, shape, dtype)
    out = pool_bits(
        bits, target, None if pooling is None or pooling.maximum else share, share.size, steps, work
    )
    return ConvTrace(
        out, bits, kept, every, held, x, laid, shape, pooling, whole, steps
    )


def _outlet(
    layout: Geometry, pooling: Pooling | None, shape: ConvShape, dtype: np.dtype
) -> tuple[np.ndarray, np.ndarray]:
    """Where the spike of each lane leaves the stage, and its share there."""
    if pooling is None:
        return layout.order, np.ones(shape.units, dtype)
    if not pooling.disjoint:
        raise ValueError("windows that overlap do not fuse with a convolution: use pool_forward")
    target = np.where(layout.order >= 0, pooling.target()[layout.order], -1)
    return target, pooling.share.astype(dtype)


def conv_backward(
    trace: ConvTrace,
    weight: np.ndarray,
    bias: np.ndarray | None,
    neuron: Neuron,
    eps: float,
    work: Workspace,
    *,
    reward: np.ndarray | None = None,
    credit: np.ndarray | None = None,
    input_credit: bool = True,
) -> Feedback:
    """Feedback of the layer and credit of its input, one value per entry of it.

    Args:
        trace: of the forward pass, recorded.
        weight, bias, neuron: as in the forward pass.
        eps: stabiliser of the denominator.
        work: buffers (may be those of the forward pass); the results live in them.
        reward: ``R`` dense [B, T, units] (an output layer without pooling), or
        credit: one value per entry of ``trace.out``.
        input_credit: whether the credit of the input is wanted.
    """
    if (reward is None) == (credit is None):
        raise ValueError("conv_backward takes either a reward or a credit")
    shape, layout, dtype = trace.shape, geometry(trace.shape), weight.dtype
    tables, x = layout.tables, trace.x
    beta, theta = _lane_constants(neuron, layout, dtype)
    values, step = scales(x, dtype)
    target, share = _outlet(layout, trace.pooling, shape, dtype)
    parts = min(_PARTS, trace.lengths.size)
    sums = work.get("sums", (parts, layout.gather.size), dtype)
    bias_sums = work.get("bias_sums", (parts, tables.lanes), dtype)
    handed = work.get("credit", (x.indices.size if input_credit else 0,), dtype)
    _backward(
        tables, x.indptr, x.indices, values, step, trace.weight,
        _bias_rows(bias, shape, tables, dtype), beta, theta, neuron.dynamics, dtype.type(eps),
        trace.lengths, trace.steps, trace.every, trace.kept, trace.bits, target, share,
        trace.pooling is not None and trace.pooling.maximum, trace.out.indptr, trace.out.indices,
        np.zeros(0, dtype) if credit is None else np.ascontiguousarray(credit, dtype),
        np.zeros((0, 0, 0), dtype) if reward is None else np.ascontiguousarray(reward, dtype),
        sums, bias_sums, input_credit, handed,
    )  # fmt: skip
    feedback = work.get("feedback", weight.shape, dtype)
    _collect(sums, trace.weight, layout.gather, weight.reshape(-1), feedback.reshape(-1))
    of_bias = None
    if bias is not None:
        by_unit = np.zeros(shape.units, dtype)
        inside = layout.order >= 0
        by_unit[layout.order[inside]] = bias_sums.sum(0)[inside]
        of_bias = np.abs(bias) * by_unit.reshape(shape.outputs, -1).sum(1)
    return Feedback(feedback, of_bias, handed if input_credit else None)
