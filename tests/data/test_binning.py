"""Binning against a slow oracle, against tonic, and by its properties."""

from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lfp_snn.data import Binning, Events, bin_events
from lfp_snn.data.binning import Binned
from lfp_snn.errors import ConfigError, DataError
from tests.data.helpers import SENSOR, random_events

UNITS = 2 * 34 * 34
By = Literal["time", "count"]
FEW = settings(max_examples=25, deadline=None)


def oracle(events: Events, steps: int, by: By) -> tuple[np.ndarray, list[int]]:
    """Counts [N*T, units] and the frame of each event (-1: none), one event at a time."""
    frames = np.zeros((events.recordings * steps, UNITS))
    where = []
    for n, (first, last) in enumerate(zip(events.offsets[:-1], events.offsets[1:], strict=True)):
        window = max(int(events.t[last - 1] - events.t[first]) // steps, 1)
        share = max(int(last - first) // steps, 1)
        for e in range(first, last):
            if by == "time":
                step = int(events.t[e] - events.t[first]) // window
            else:
                step = int(e - first) // share
            if step >= steps:
                where.append(-1)
                continue
            where.append(n * steps + step)
            flat = (int(events.p[e]) * 34 + int(events.y[e])) * 34 + int(events.x[e])
            frames[n * steps + step, flat] += 1
    return frames, where


def dense(binned: Binned) -> np.ndarray:
    frames = np.zeros((len(binned.indptr) - 1, UNITS))
    for f, (start, stop) in enumerate(zip(binned.indptr[:-1], binned.indptr[1:], strict=True)):
        values = 1 if binned.values is None else binned.values[start:stop]
        frames[f, binned.indices[start:stop]] = values
    return frames


recordings = st.builds(
    lambda sizes, span, seed: random_events(np.random.default_rng(seed), sizes, span),
    st.lists(st.integers(1, 80), min_size=1, max_size=4),
    st.sampled_from([1, 7, 1000, 300_000]),
    st.integers(0, 2**16),
)


@FEW
@given(recordings, st.integers(1, 40), st.sampled_from(["time", "count"]))
def test_equals_the_oracle(events: Events, steps: int, by: By) -> None:
    frames, where = oracle(events, steps, by)
    counts = bin_events(events, Binning(steps, by, "counts"), entries=True)
    binary = bin_events(events, Binning(steps, by, "binary"))
    np.testing.assert_array_equal(dense(counts), frames)
    np.testing.assert_array_equal(dense(binary), frames > 0)
    assert binary.values is None
    assert binary.entries is None
    # The entry of an event lies in the event's frame, at the event's unit.
    assert counts.entries is not None
    found = np.searchsorted(counts.indptr, counts.entries, side="right") - 1
    kept = np.array(where) >= 0
    np.testing.assert_array_equal(counts.entries >= 0, kept)
    np.testing.assert_array_equal(found[kept], np.array(where)[kept])
    np.testing.assert_array_equal(counts.indices[counts.entries[kept]], events.units()[kept])


@FEW
@given(recordings, st.integers(1, 40), st.sampled_from(["time", "count"]))
def test_indices_ascend_within_a_frame(events: Events, steps: int, by: By) -> None:
    binned = bin_events(events, Binning(steps, by))
    assert binned.indptr[0] == 0
    assert binned.indptr[-1] == len(binned.indices)
    for start, stop in zip(binned.indptr[:-1], binned.indptr[1:], strict=True):
        assert np.all(np.diff(binned.indices[start:stop]) > 0)


@FEW
@given(recordings, st.integers(1, 40), st.sampled_from(["time", "count"]))
def test_few_events_are_left_over(events: Events, steps: int, by: By) -> None:
    binned = bin_events(events, Binning(steps, by), entries=True)
    assert binned.entries is not None
    for first, last in zip(events.offsets[:-1], events.offsets[1:], strict=True):
        left = np.flatnonzero(binned.entries[first:last] == -1)
        times = events.t[first:last]
        if by == "time":
            assert np.all(times[-1] - times[left] < steps)
        else:
            assert len(left) < steps
        if len(left):  # they stand at the end
            assert left[0] == last - first - len(left)


@pytest.mark.parametrize(("by", "option"), [("time", "n_time_bins"), ("count", "n_event_bins")])
@pytest.mark.parametrize("steps", [1, 10, 25, 37])
def test_equals_tonic(by: By, option: str, steps: int) -> None:
    transforms = pytest.importorskip("tonic.transforms")
    to_frame = transforms.ToFrame(sensor_size=(34, 34, 2), **{option: steps})
    rng = np.random.default_rng(steps)
    events = random_events(rng, [int(rng.integers(100, 3000)) for _ in range(5)])
    binned = dense(bin_events(events, Binning(steps, by, "counts")))
    for n, (first, last) in enumerate(zip(events.offsets[:-1], events.offsets[1:], strict=True)):
        record = np.empty(last - first, dtype=[(name, np.int64) for name in "xytp"])
        for name in "xytp":
            record[name] = getattr(events, name)[first:last]
        frames = to_frame(record).reshape(steps, -1)
        np.testing.assert_array_equal(binned[n * steps : (n + 1) * steps], frames)


@pytest.mark.parametrize("by", ["time", "count"])
def test_a_short_recording_keeps_all_events(by: By) -> None:
    events = random_events(np.random.default_rng(0), [3], span=5)
    assert bin_events(events, Binning(400, by, "counts")).indices.size == 3


def test_sensors_of_any_size() -> None:
    zero = np.zeros(3, np.int16)
    x = np.array([639, 0, 63], np.int16)
    events = Events(
        x, zero + 479, np.arange(3, dtype=np.int64), zero.astype(np.uint8), (2, 480, 640)
    )
    binned = bin_events(events, Binning(1, "count"))
    np.testing.assert_array_equal(binned.indices, 479 * 640 + np.array([0, 63, 639]))


@FEW
@given(recordings, st.integers(1, 40), st.integers(1, 100_000))
def test_steps_of_one_duration(events: Events, steps: int, window: int) -> None:
    frames = np.zeros((events.recordings, steps, UNITS))
    lengths = []
    for n, (first, last) in enumerate(zip(events.offsets[:-1], events.offsets[1:], strict=True)):
        step = 0
        for e in range(first, last):
            step = int(events.t[e] - events.t[first]) // window
            if step < steps:
                flat = (int(events.p[e]) * 34 + int(events.y[e])) * 34 + int(events.x[e])
                frames[n, step, flat] += 1
        lengths.append(min(step + 1, steps))
    binned = bin_events(events, Binning(steps, "duration", "counts", window))
    assert np.array_equal(dense(binned).reshape(frames.shape), frames)
    assert binned.lengths is not None
    assert binned.lengths.tolist() == lengths


@pytest.mark.parametrize("binning", [("duration", None), ("time", 1000), ("duration", 0)])
def test_refuses_a_duration_that_does_not_fit(
    binning: tuple[Literal["time", "duration"], int | None],
) -> None:
    by, window = binning
    with pytest.raises(ConfigError, match="bin_ms|at least 1"):
        Binning(5, by, window_us=window)


@pytest.mark.parametrize("steps", [0, -3])
def test_refuses_no_steps(steps: int) -> None:
    with pytest.raises(ConfigError, match=f"steps is {steps}"):
        Binning(steps)


@pytest.mark.parametrize("by", ["time", "count"])
def test_events_out_of_order_are_sorted(by: By) -> None:
    rng = np.random.default_rng(0)
    events = random_events(rng, [40, 1, 60])
    mixed = np.concatenate([rng.permutation(40), [40], 41 + rng.permutation(60)])
    columns = {name: getattr(events, name)[mixed] for name in "xytp"}
    shuffled = Events(**columns, sensor=SENSOR, offsets=events.offsets)
    expected = bin_events(events, Binning(7, by, "counts"), entries=True)
    found = bin_events(shuffled, Binning(7, by, "counts"), entries=True)
    np.testing.assert_array_equal(found.indptr, expected.indptr)
    np.testing.assert_array_equal(found.indices, expected.indices)
    np.testing.assert_array_equal(found.values, expected.values)
    assert expected.entries is not None
    np.testing.assert_array_equal(found.entries, expected.entries[mixed])


def test_refuses_a_recording_without_events() -> None:
    events = random_events(np.random.default_rng(0), [5, 0, 5])
    with pytest.raises(DataError, match="recording 1 has no events"):
        bin_events(events, Binning(5))


def test_shape_of_a_frame_is_polarity_row_column() -> None:
    events = Events(
        x=np.array([3], np.int16),
        y=np.array([2], np.int16),
        t=np.array([0]),
        p=np.array([1], np.uint8),
        sensor=SENSOR,
    )
    (unit,) = bin_events(events, Binning(1)).indices
    assert np.unravel_index(unit, SENSOR) == (1, 2, 3)
