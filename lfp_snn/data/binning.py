"""Binning: events become spike trains of T steps, as index lists, with no dense frame in between.

Ways to cut a recording into bins:

- `time`: the bins are equal windows of floor((t_last - t_first) / T) whole microseconds, counted
  from the first event.
- `count`: each bin holds floor(E / T) of the recording's E events, in their order.
- `duration`: all bins of all recordings last equally long, so that each recording has a number of
  steps of its own; what comes after T bins is left out.

The first two equal tonic's `ToFrame(n_time_bins=T)` and `ToFrame(n_event_bins=T)`, also in that
the events left over by the rounding (under T microseconds, or under T events, at the end of the
recording) belong to no bin. tonic's rounding leaves nothing at all of a recording shorter than T
microseconds or T events; here a window never gets shorter than 1 microsecond, nor a bin smaller
than 1 event, so that these keep every event. And where tonic takes times to ascend, here events
out of order are sorted first (a few cameras write them).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from lfp_snn.compiled import compiled
from lfp_snn.data.column import StoredColumn
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
    """The way in which events become T steps.

    Args:
        steps: T, the number of time steps, at least 1.
        by: how a recording is cut: by `time` (T equal windows), `count` (T equal numbers of
            events), or `duration` (windows of `window_us`, at most T).
        values: what an entry holds: `binary` (a spike, 1) or `counts` (its number of events).
        window_us: the microseconds of a bin by duration, at least 1.
    """

    steps: int
    by: Literal["time", "count", "duration"] = "time"
    values: Literal["binary", "counts"] = "binary"
    window_us: int | None = None

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ConfigError(f"steps is {self.steps}, but at least 1 time step is needed")
        if self.by not in ("time", "count", "duration"):
            raise ConfigError(f"binning is {self.by!r}, expected 'time', 'count' or 'duration'")
        if (self.by == "duration") != (self.window_us is not None):
            raise ConfigError(
                "binning by duration, and no other, takes the length of a step: bin_ms, such as 10"
            )
        if self.window_us is not None and self.window_us < 1:
            raise ConfigError(f"a step of {self.window_us} microseconds; expected at least 1")
        if self.values not in ("binary", "counts"):
            raise ConfigError(f"values is {self.values!r}, expected 'binary' or 'counts'")


class Binned(NamedTuple):
    """Spike trains of N recordings as CSR over their N*T frames (frame n*T + t).

    `indptr` int64 [N*T+1]; `indices` int32 [nnz], ascending and unique within a frame; `values`
    float32 [nnz], or None if all are 1; `entries` int64 [E], the position in `indices` of each
    event (-1: left over at the end), or None if it was not asked for; `owners` int64 [N], the
    number of the file that each comes from, ascending, or None where each is a file of its own;
    `lengths` int64 [N], the steps of each recording where they differ (its frames from there on are
    empty), or None where all have T.
    """

    indptr: IntArray
    indices: IndexArray
    values: ValueArray | None
    entries: IntArray | None = None
    owners: IntArray | None = None
    lengths: IntArray | None = None


class Stored(NamedTuple):
    """Spike trains as a set keeps them, in memory or with long columns in files; as `Binned`."""

    indptr: IntArray
    indices: IndexArray | StoredColumn
    values: ValueArray | StoredColumn | None
    owners: IntArray | None = None
    lengths: IntArray | None = None

    @classmethod
    def of(cls, binned: Binned) -> "Stored":
        """Spike trains that lie in memory."""
        return cls(binned.indptr, binned.indices, binned.values, binned.owners, binned.lengths)


def bin_events(events: Events, binning: Binning, entries: bool = False) -> Binned:
    """Bin every recording in `events` into `binning.steps` frames.

    The cost is one pass over the events and one look at each 64 units of a frame.

    Args:
        events: one or more recordings.
        binning: how to cut, and what to store.
        entries: whether to return also the entry that each event went to.

    Raises:
        DataError: a recording has no events.
    """
    empty = np.flatnonzero(np.diff(events.offsets) == 0)
    if empty.size:
        raise DataError(f"recording {empty[0]} has no events, so it has no duration to cut")
    units, t, offsets = events.units(), events.t, events.offsets
    order = _time_order(events)
    if order is not None:
        units, t = units[order], t[order]
    clock, span = t, t[offsets[1:] - 1] - t[offsets[:-1]]
    lengths = None
    if binning.window_us is not None:
        windows = np.full(events.recordings, binning.window_us, np.int64)
        lengths = np.minimum(span // binning.window_us + 1, binning.steps)
    else:
        if binning.by == "count":
            clock, span = np.arange(len(t)), np.diff(offsets)
        windows = np.maximum(span // binning.steps, 1)
    polarities, height, width = events.sensor
    indptr = np.zeros(events.recordings * binning.steps + 1, np.int64)
    indices = np.empty(len(t), np.int32)
    values = np.empty(len(t), np.float32) if binning.values == "counts" else None
    places = np.full(len(t), -1, np.int64) if entries else None
    _bin(
        units,
        clock,
        offsets,
        windows,
        binning.steps,
        polarities * height * width,
        indptr,
        indices,
        values,
        places,
    )
    if places is not None and order is not None:
        places[order] = places.copy()
    nnz = indptr[-1]
    values = None if values is None else values[:nnz]
    return Binned(indptr, indices[:nnz], values, places, lengths=lengths)


def join(chunks: Iterable[Binned]) -> Binned:
    """Lay chunks of recordings, all of the same binning, end to end. Entries are left out."""
    parts = list(chunks)
    counts = np.concatenate([np.diff(part.indptr) for part in parts])
    values = [part.values for part in parts if part.values is not None]
    owners = [part.owners for part in parts if part.owners is not None]
    lengths = [part.lengths for part in parts if part.lengths is not None]
    return Binned(
        np.concatenate(([0], np.cumsum(counts))),
        np.concatenate([part.indices for part in parts]),
        np.concatenate(values) if values else None,
        owners=np.concatenate(owners) if owners else None,
        lengths=np.concatenate(lengths) if lengths else None,
    )


def _time_order(events: Events) -> IntArray | None:
    """The positions of the events in order of recording, time and position; None if they lie so."""
    backwards = events.t[1:] < events.t[:-1]
    backwards[events.offsets[1:-1] - 1] = False  # a recording starts anew
    if not backwards.any():
        return None
    recording = np.repeat(np.arange(events.recordings), np.diff(events.offsets))
    return np.lexsort((events.t, recording))


@compiled
def _bin(  # type: ignore[no-untyped-def]
    units, clock, offsets, windows, steps, size, indptr, indices, values, entries
):
    """Fill the last four arguments (values and entries if not None).

    The times `clock` ascend within a recording.
    """
    words = np.zeros((size + 63) // 64, np.uint64)  # one bit a unit: is it in this frame?
    tally = np.zeros(size, np.int32)
    place = np.zeros(size, np.int64)
    one = np.uint64(1)
    nnz = 0
    for n in range(len(windows)):
        last = offsets[n + 1]
        e = offsets[n]
        limit = clock[e]
        for step in range(steps):
            start = e
            limit += windows[n]
            while e < last and clock[e] < limit:
                unit = units[e]
                words[unit >> 6] |= one << np.uint64(unit & 63)
                tally[unit] += 1
                e += 1
            for w in range(len(words)):
                bits = words[w]
                words[w] = np.uint64(0)
                while bits != np.uint64(0):
                    rest = bits & (bits - one)
                    lone = bits ^ rest
                    bits = rest
                    unit = (w << 6) + _BIT_POSITION[(lone * np.uint64(_DE_BRUIJN)) >> np.uint64(58)]
                    indices[nnz] = unit
                    if values is not None:
                        values[nnz] = tally[unit]
                    tally[unit] = 0
                    if entries is not None:
                        place[unit] = nnz
                    nnz += 1
            if entries is not None:
                for k in range(start, e):
                    entries[k] = place[units[k]]
            indptr[n * steps + step + 1] = nnz
