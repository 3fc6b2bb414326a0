"""Spike trains as lists: conversion from and to dense arrays and bitmaps, and transposition.

A batch is a compressed list of rows (CSR) over the frames ``f = b * T + t``, as in
:class:`lfp_snn.spikes.Spikes`. Inside a layer spikes are bits, 64 neurons a word: 32 times smaller
than floats, and sorted by nature. Work is split by frames or samples, each of which one thread
owns: nothing races.
"""

from typing import NamedTuple

import numpy as np
from numba import get_num_threads, njit, prange

from lfp_snn.backends.events.simd import count_bits, lowest_bit
from lfp_snn.backends.events.workspace import Workspace


class Lists(NamedTuple):
    """Active entries of B*T frames: indptr int64 [B*T+1], indices int32 [nnz] ascending in a frame.

    ``values`` float [nnz]; ``None`` says that all are 1.
    """

    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray | None = None


def scales(lists: Lists, dtype: np.dtype) -> tuple[np.ndarray, int]:
    """The values as the kernels take them: an array and the step from one entry to the next."""
    if lists.values is None:
        return np.ones(1, dtype), 0
    return np.ascontiguousarray(lists.values, dtype), 1


class Entries(NamedTuple):
    """Lists and values as kernels take them: entry e has the value ``values[e * step]``."""

    indptr: np.ndarray
    indices: np.ndarray
    values: np.ndarray
    step: int


def entries(lists: Lists, dtype: np.dtype) -> Entries:
    """The lists as kernels take them, with values of the given dtype."""
    return Entries(lists.indptr, lists.indices, *scales(lists, dtype))


@njit(cache=True, parallel=True)
def _count_words(bits, indptr):  # type: ignore[no-untyped-def]
    frames, words = bits.shape
    indptr[0] = 0
    for f in prange(frames):
        count = 0
        for k in range(words):
            count += count_bits(bits[f, k])
        indptr[f + 1] = count


@njit(cache=True, parallel=True)
def _list_words(bits, indptr, indices):  # type: ignore[no-untyped-def]
    frames, words = bits.shape
    for f in prange(frames):
        e = indptr[f]
        for k in range(words):
            word = bits[f, k]
            while word != 0:
                indices[e] = 64 * k + lowest_bit(word)
                e += 1
                word &= word - np.uint64(1)


def lists_from_bits(bits: np.ndarray, work: Workspace) -> Lists:
    """List the set bits of uint64 ``[F, words]``; the lists live in ``work``."""
    indptr = work.get("indptr", (bits.shape[0] + 1,), np.int64)
    _count_words(bits, indptr)
    np.cumsum(indptr, out=indptr)
    indices = work.get("indices", (int(indptr[-1]),), np.int32)
    _list_words(bits, indptr, indices)
    return Lists(indptr, indices)


@njit(cache=True, parallel=True)
def _count_dense(x, time_major, indptr):  # type: ignore[no-untyped-def]
    outer, inner, units = x.shape
    batch, steps = (inner, outer) if time_major else (outer, inner)
    indptr[0] = 0
    for f in prange(batch * steps):
        b, t = f // steps, f % steps
        row = x[t, b] if time_major else x[b, t]
        count = 0
        for j in range(units):
            count += row[j] != 0
        indptr[f + 1] = count


@njit(cache=True, parallel=True)
def _list_dense(x, time_major, indptr, indices, values):  # type: ignore[no-untyped-def]
    outer, inner, _ = x.shape
    batch, steps = (inner, outer) if time_major else (outer, inner)
    odd = 0
    for f in prange(batch * steps):
        b, t = f // steps, f % steps
        row = x[t, b] if time_major else x[b, t]
        e, stop = indptr[f], indptr[f + 1]
        different = 0
        j = 0
        while e < stop:
            if row[j] != 0:
                indices[e] = j
                values[e] = row[j]
                different += row[j] != 1
                e += 1
            j += 1
        odd += different
    return odd


def lists_from_dense(x: np.ndarray, work: Workspace, *, time_major: bool = True) -> Lists:
    """List the nonzero entries of [T, B, N] (or [B, T, N]), with values only if not all are 1."""
    x = np.ascontiguousarray(x)
    indptr = work.get("indptr", (x.shape[0] * x.shape[1] + 1,), np.int64)
    _count_dense(x, time_major, indptr)
    np.cumsum(indptr, out=indptr)
    indices = work.get("indices", (int(indptr[-1]),), np.int32)
    values = work.get("values", (int(indptr[-1]),), x.dtype)
    odd = _list_dense(x, time_major, indptr, indices, values)
    return Lists(indptr, indices, values if odd else None)


@njit(cache=True, parallel=True)
def _fill_dense(indptr, indices, values, step, time_major, out):  # type: ignore[no-untyped-def]
    outer, inner, _ = out.shape
    batch, steps = (inner, outer) if time_major else (outer, inner)
    for f in prange(batch * steps):
        b, t = f // steps, f % steps
        row = out[t, b] if time_major else out[b, t]
        row[:] = 0
        for e in range(indptr[f], indptr[f + 1]):
            row[indices[e]] = values[e * step]


def dense_from_lists(lists: Lists, out: np.ndarray, *, time_major: bool = True) -> np.ndarray:
    """Write the lists into ``out`` ``[T, B, N]`` (or ``[B, T, N]``), C-contiguous; returns it."""
    values, step = scales(lists, out.dtype)
    _fill_dense(lists.indptr, lists.indices, values, step, time_major, out)
    return out


@njit(cache=True, parallel=True)
def _transpose(indptr, indices, values, step, parts, starts, frames, moved):  # type: ignore[no-untyped-def]
    """Counting sort by unit: `parts` pieces of consecutive frames, each with counts of its own."""
    total = indptr.size - 1
    units = starts.size - 1
    counts = np.zeros((parts, units), np.int64)
    for p in prange(parts):
        for e in range(indptr[p * total // parts], indptr[(p + 1) * total // parts]):
            counts[p, indices[e]] += 1
    at = 0
    for i in range(units):
        starts[i] = at
        for p in range(parts):
            held = counts[p, i]
            counts[p, i] = at
            at += held
    starts[units] = at
    for p in prange(parts):
        for f in range(p * total // parts, (p + 1) * total // parts):
            for e in range(indptr[f], indptr[f + 1]):
                i = indices[e]
                at_p = counts[p, i]
                counts[p, i] = at_p + 1
                frames[at_p] = f
                if step:
                    moved[at_p] = values[e]


def transpose(
    lists: Lists, units: int, dtype: np.dtype, work: Workspace
) -> tuple[np.ndarray, np.ndarray, np.ndarray, int]:
    """The entries of lists, sorted by unit, then by frame.

    Returns ``starts`` int64 [units + 1], ``frames`` int32 [nnz], and the values with their step as
    in :func:`scales`. The order does not depend on the number of threads.
    """
    values, step = scales(lists, dtype)
    starts = work.get("starts", (units + 1,), np.int64)
    frames = work.get("frames", (lists.indices.size,), np.int32)
    moved = work.get("moved", (lists.indices.size,), dtype) if step else values
    _transpose(lists.indptr, lists.indices, values, step, get_num_threads(), starts, frames, moved)
    return starts, frames, moved, step


@njit(cache=True, parallel=True)
def _take_values(indptr, indices, of_indptr, of_indices, values, step, taken):  # type: ignore[no-untyped-def]
    none = taken.dtype.type(0)
    for f in prange(indptr.size - 1):
        k, last = of_indptr[f], of_indptr[f + 1] - 1
        if last < k:
            taken[indptr[f] : indptr[f + 1]] = none
            continue
        for e in range(indptr[f], indptr[f + 1]):  # without a branch, which nothing could foresee
            value, found = values[k * step], of_indices[k] == indices[e]
            taken[e] = value if found else none
            k = min(k + found, last)


def take_values(lists: Lists, of: Lists, out: np.ndarray) -> np.ndarray:
    """Write to ``out`` the values that ``of``, a part of the lists, has at each entry; else 0."""
    values, step = scales(of, out.dtype)
    _take_values(lists.indptr, lists.indices, of.indptr, of.indices, values, step, out)
    return out
