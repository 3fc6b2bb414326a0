"""Binning: events become spike trains of T steps, as index lists, with no dense frame in between.

Two ways to cut a recording into T bins:

- `time`: the bins are equal windows of floor((t_last - t_first) / T) whole microseconds, counted
  from the first event.
- `count`: each bin holds floor(E / T) of the recording's E events, in their order.

Both equal tonic's `ToFrame(n_time_bins=T)` and `ToFrame(n_event_bins=T)`, also in that the events
left over by the rounding (under T microseconds, or under T events, at the end of the recording)
belong to no bin. tonic's rounding leaves nothing at all of a recording shorter than T microseconds
or T events; here a window never gets shorter than 1 microsecond, nor a bin smaller than 1 event,
so that these keep every event.
"""

from dataclasses import dataclass
from typing import Literal, NamedTuple

import numba
import numpy as np
import numpy.typing as npt

from lfp_snn.data.events import Events
from lfp_snn.errors import ConfigError, DataError

IntArray = npt.NDArray[np.int64]
IndexArray = npt.NDArray[np.int32]
ValueArray = npt.NDArray[np.float32]

# Multiplying a lone bit by a de Bruijn sequence brings the bit's position to the top six bits.
_DE_BRUIJN = 0x03F79D71B4CB0A89
_BIT_POSITION = np.zeros(64, dtype=np.int64)
for _bit in range(64):
    _BIT_POSITION[((_DE_BRUIJN << _bit) & (2**64 - 1)) >> 58] = _bit


@dataclass(frozen=True)
class Binning:
    """How events become T steps.

    Args:
        steps: T, at least 1.
        by: `time` (equal windows) or `count` (equal numbers of events).
        values: `binary` (an entry is a spike, 1) or `counts` (an entry is how many events it got).
    """

    steps: int
    by: Literal["time", "count"] = "time"
    values: Literal["binary", "counts"] = "binary"

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ConfigError(f"steps is {self.steps}, but at least 1 time step is needed")
        if self.by not in ("time", "count"):
            raise ConfigError(f"binning is {self.by!r}, expected 'time' or 'count'")
        if self.values not in ("binary", "counts"):
            raise ConfigError(f"values is {self.values!r}, expected 'binary' or 'counts'")


class Binned(NamedTuple):
    """Spike trains of N recordings as CSR over their N*T frames (frame n*T + t).

    `indptr` int64 [N*T+1]; `indices` int32 [nnz], ascending and unique within a frame; `values`
    float32 [nnz], or None if all are 1; `entries` int64 [E], the position in `indices` of each
    event (-1: left over at the end), or None if it was not asked for.
    """

    indptr: IntArray
    indices: IndexArray
    values: ValueArray | None
    entries: IntArray | None = None


def bin_events(events: Events, binning: Binning, entries: bool = False) -> Binned:
    """Bins every recording in `events` into `binning.steps` frames.

    The cost is one pass over the events and one look at each 64 units of a frame.

    Args:
        events: one or more recordings.
        binning: how to cut, and what to store.
        entries: also return the entry that each event went to.

    Raises:
        DataError: a recording has no events, or its times run backwards.
    """
    polarities, height, width = events.sensor
    empty = np.flatnonzero(np.diff(events.offsets) == 0)
    if empty.size:
        raise DataError(f"recording {empty[0]} has no events, so it has no duration to cut")
    indptr, indices, values, places, unsorted = _bin(
        events.units(),
        events.t,
        events.offsets,
        polarities * height * width,
        binning.steps,
        binning.by == "time",
        binning.values == "counts",
        entries,
    )
    if unsorted >= 0:
        raise DataError(
            f"recording {unsorted} has times that run backwards; sort its events by time"
        )
    nnz = indptr[-1]
    counted = values[:nnz].copy() if binning.values == "counts" else None
    return Binned(indptr, indices[:nnz].copy(), counted, places if entries else None)


@numba.njit(cache=True, nogil=True)
def _bin(units, t, offsets, size, steps, by_time, counted, traced):  # type: ignore[no-untyped-def]
    """Returns indptr, indices, values, entries, and the first unsorted recording (or -1)."""
    recordings = len(offsets) - 1
    indptr = np.zeros(recordings * steps + 1, np.int64)
    indices = np.empty(len(units), np.int32)
    values = np.empty(len(units) if counted else 0, np.float32)
    entries = np.full(len(units) if traced else 0, -1, np.int64)
    words = np.zeros((size + 63) // 64, np.uint64)  # one bit a unit: is it in this frame?
    tally = np.zeros(size if counted else 0, np.int32)
    place = np.zeros(size if traced else 0, np.int64)
    one = np.uint64(1)
    nnz = 0
    for n in range(recordings):
        first, last = offsets[n], offsets[n + 1]
        for e in range(first + 1, last):
            if t[e] < t[e - 1]:
                return indptr, indices, values, entries, n
        window = max((t[last - 1] - t[first]) // steps, 1)
        share = max((last - first) // steps, 1)
        stop = first
        for step in range(steps):
            start = stop
            if by_time:
                limit = t[first] + (step + 1) * window
                while stop < last and t[stop] < limit:
                    stop += 1
            else:
                stop = min(start + share, last)
            for e in range(start, stop):
                unit = units[e]
                words[unit >> 6] |= one << np.uint64(unit & 63)
                if counted:
                    tally[unit] += 1
            for w in range(len(words)):
                bits = words[w]
                words[w] = np.uint64(0)
                while bits != np.uint64(0):
                    rest = bits & (bits - one)
                    lone = bits ^ rest
                    unit = (w << 6) + _BIT_POSITION[(lone * np.uint64(_DE_BRUIJN)) >> np.uint64(58)]
                    indices[nnz] = unit
                    if counted:
                        values[nnz] = tally[unit]
                        tally[unit] = 0
                    if traced:
                        place[unit] = nnz
                    nnz += 1
                    bits = rest
            if traced:
                for e in range(start, stop):
                    entries[e] = place[units[e]]
            indptr[n * steps + step + 1] = nnz
    return indptr, indices, values, entries, -1
