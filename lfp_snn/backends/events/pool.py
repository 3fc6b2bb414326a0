"""Max and average pooling of spikes, on lists.

Among spikes the maximum of a window is 1 where one of its units spikes, and its winner is the FIRST
of them in row-major order; the average is their sum over the size of the window. A window without
spikes yields nothing.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba import njit, prange

from lfp_snn.backends.events.lists import Lists, lists_from_bits, scales
from lfp_snn.backends.events.simd import lowest_bit
from lfp_snn.backends.events.workspace import Workspace


class Window(NamedTuple):
    """A window along one axis: its units, and the size that an average divides by."""

    start: int
    stop: int
    size: int


@dataclass(frozen=True, eq=False)  # told apart by identity: what is made from tables is kept
class Pooling:
    """The tables of a pooling: unit i belongs to ``windows[starts[i]:starts[i + 1]]``, ascending.

    ``share`` [number of windows] is what one spike adds to its window: 1 for a maximum, 1 / size
    for an average. ``disjoint`` says that no unit belongs to two windows.
    """

    starts: np.ndarray
    windows: np.ndarray
    share: np.ndarray
    maximum: bool
    disjoint: bool

    def target(self) -> np.ndarray:
        """The window of every unit, -1 for none; for disjoint windows only."""
        target = np.full(self.starts.size - 1, -1, np.int64)
        owned = np.diff(self.starts) > 0
        target[owned] = self.windows[self.starts[:-1][owned]]
        return target


def windows(size: int, kernel: int, stride: int, padding: int, ceil: bool) -> tuple[Window, ...]:
    """The windows of MaxPool and AvgPool (whose padding counts in) along one axis."""
    span = size + 2 * padding - kernel
    count = (-(-span // stride) if ceil else span // stride) + 1
    if ceil and (count - 1) * stride >= size + padding:
        count -= 1
    starts = [k * stride - padding for k in range(count)]
    return tuple(
        Window(max(0, s), min(s + kernel, size), min(s + kernel, size + padding) - s)
        for s in starts
    )


def adaptive_windows(size: int, count: int) -> tuple[Window, ...]:
    """The windows of AdaptiveMaxPool and AdaptiveAvgPool along one axis."""
    edges = [(k * size // count, -(-(k + 1) * size // count)) for k in range(count)]
    return tuple(Window(a, b, b - a) for a, b in edges)


@lru_cache(maxsize=64)
def pooling(
    channels: int,
    size: tuple[int, int],
    rows: tuple[Window, ...],
    columns: tuple[Window, ...],
    *,
    maximum: bool,
) -> Pooling:
    """The tables of a pooling of maps (channels, *size) with these windows along its axes."""
    pairs: list[list[int]] = [[] for _ in range(size[0] * size[1])]
    area = np.empty(len(rows) * len(columns))
    for k, (row, column) in enumerate((r, c) for r in rows for c in columns):
        area[k] = 1 if maximum else row.size * column.size
        for y in range(row.start, row.stop):
            for x in range(column.start, column.stop):
                pairs[y * size[1] + x].append(k)
    counts = np.tile([len(p) for p in pairs], channels)
    flat = np.array([k for p in pairs for k in p], np.int64)
    base = np.repeat(np.arange(channels) * area.size, flat.size)
    return Pooling(
        starts=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        windows=np.tile(flat, channels) + base,
        share=np.tile(1 / area, channels),
        maximum=maximum,
        disjoint=bool((counts <= 1).all()),
    )


@njit(cache=True, parallel=True)
def _pool_bits(bits, target, pooled):  # type: ignore[no-untyped-def]
    for f in prange(bits.shape[0]):
        pooled[f] = 0
        for k in range(bits.shape[1]):
            word = bits[f, k]
            while word != 0:
                out = target[64 * k + lowest_bit(word)]
                word &= word - np.uint64(1)
                if out >= 0:
                    pooled[f, out >> 6] |= np.uint64(1) << np.uint64(out & 63)


@njit(cache=True, parallel=True)
def _pooled_values(bits, target, share, steps, indptr, indices, values):  # type: ignore[no-untyped-def]
    for b in prange(bits.shape[0] // steps):
        sums = np.zeros(share.size, share.dtype)
        for f in range(b * steps, (b + 1) * steps):
            for k in range(bits.shape[1]):
                word = bits[f, k]
                while word != 0:
                    out = target[64 * k + lowest_bit(word)]
                    word &= word - np.uint64(1)
                    if out >= 0:
                        sums[out] += share[out]
            for e in range(indptr[f], indptr[f + 1]):
                values[e] = sums[indices[e]]
                sums[indices[e]] = 0


def pool_bits(
    bits: np.ndarray, target: np.ndarray, share: np.ndarray | None, count: int, steps: int,
    work: Workspace,
) -> Lists:  # fmt: skip
    """List the outputs that spikes, given as bits [B*T, words], fall on.

    Bit k belongs to output ``target[k]`` of ``count`` (-1: to none). ``share`` as in
    :class:`Pooling` makes the values of an average; ``None`` says that all are 1.
    """
    pooled = work.get("pooled", (bits.shape[0], -(-count // 64)), np.uint64)
    _pool_bits(bits, target, pooled)
    out = lists_from_bits(pooled, work)
    if share is None:
        return out
    values = work.get("values", (out.indices.size,), share.dtype)
    _pooled_values(bits, target, share, steps, out.indptr, out.indices, values)
    return out._replace(values=values)


@njit(cache=True, parallel=True)
def _mark(indptr, indices, starts, windows, pooled):  # type: ignore[no-untyped-def]
    for f in prange(indptr.size - 1):
        pooled[f] = 0
        for e in range(indptr[f], indptr[f + 1]):
            for k in range(starts[indices[e]], starts[indices[e] + 1]):
                out = windows[k]
                pooled[f, out >> 6] |= np.uint64(1) << np.uint64(out & 63)


@njit(cache=True, parallel=True)
def _reduce(  # type: ignore[no-untyped-def]
    indptr,
    indices,
    values,
    step,
    starts,
    windows,
    share,
    maximum,
    steps,
    out_indptr,
    out_indices,
    out,
):
    for b in prange((indptr.size - 1) // steps):
        held = np.zeros(share.size, share.dtype)
        for f in range(b * steps, (b + 1) * steps):
            for e in range(indptr[f], indptr[f + 1]):
                for k in range(starts[indices[e]], starts[indices[e] + 1]):
                    q, x = windows[k], values[e * step]
                    held[q] = max(held[q], x) if maximum else held[q] + share[q] * x
            for e in range(out_indptr[f], out_indptr[f + 1]):
                out[e] = held[out_indices[e]]
                held[out_indices[e]] = 0


def pool_forward(x: Lists, pool: Pooling, steps: int, dtype: np.dtype, work: Workspace) -> Lists:
    """Pool lists with any windows. Values must be positive; those of a maximum of spikes are 1.

    The result lives in ``work``.
    """
    count = pool.share.size
    pooled = work.get("pooled", (x.indptr.size - 1, -(-count // 64)), np.uint64)
    _mark(x.indptr, x.indices, pool.starts, pool.windows, pooled)
    out = lists_from_bits(pooled, work)
    if pool.maximum and x.values is None:
        return out
    given, step = scales(x, dtype)
    values = work.get("values", (out.indices.size,), dtype)
    _reduce(
        x.indptr, x.indices, given, step, pool.starts, pool.windows, pool.share.astype(dtype),
        pool.maximum, steps, out.indptr, out.indices, values,
    )  # fmt: skip
    return out._replace(values=values)


@njit(cache=True, parallel=True)
def _hand_back(  # type: ignore[no-untyped-def]
    indptr,
    indices,
    values,
    step,
    starts,
    windows,
    share,
    maximum,
    steps,
    out_indptr,
    out_indices,
    out_values,
    out_step,
    out_credit,
    credit,
):
    for b in prange((indptr.size - 1) // steps):
        arrived = np.zeros(share.size, share.dtype)
        largest = np.zeros(share.size, share.dtype)
        for f in range(b * steps, (b + 1) * steps):
            for e in range(out_indptr[f], out_indptr[f + 1]):
                arrived[out_indices[e]] = out_credit[e]
                largest[out_indices[e]] = out_values[e * out_step]
            for e in range(indptr[f], indptr[f + 1]):
                total = credit.dtype.type(0)
                for k in range(starts[indices[e]], starts[indices[e] + 1]):
                    q = windows[k]
                    if not maximum:
                        total += share[q] * arrived[q]
                    elif values[e * step] == largest[q]:
                        total += arrived[q]
                        arrived[q] = 0
                credit[e] = total


def pool_backward(
    x: Lists, out: Lists, credit: np.ndarray, pool: Pooling, steps: int, work: Workspace
) -> np.ndarray:
    """The credit per entry of ``x``, from the credit per entry of ``out = pool_forward(x, ...)``.

    An average hands its credit to every unit, times its share; a maximum to its first winner.
    """
    dtype = credit.dtype
    given, step = scales(x, dtype)
    largest, out_step = scales(out, dtype)
    handed = work.get("credit", (x.indices.size,), dtype)
    _hand_back(
        x.indptr, x.indices, given, step, pool.starts, pool.windows, pool.share.astype(dtype),
        pool.maximum, steps, out.indptr, out.indices, largest, out_step, credit, handed,
    )  # fmt: skip
    return handed
