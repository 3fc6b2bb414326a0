"""The dataset of one's own recordings, from an index that `lfp-snn data import` has made.

Long recordings can be cut into windows; all windows of a recording stay in its part, so that
nothing leaks from one part into another (`lfp_snn.data.index` draws them).
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import Field

from lfp_snn.data.events import Events
from lfp_snn.data.files import FileOptions, Files, file_set, fit
from lfp_snn.data.formats import Layout, read_mixed
from lfp_snn.data.index import PARTS, read_index, read_layout
from lfp_snn.data.sets import SpikeSet, Splits
from lfp_snn.data.splits import stratified
from lfp_snn.errors import DataError

SOURCE = "your own recordings, from an index that `lfp-snn data import` has made"
_MILLISECOND = 1000
_LARGER = "the recordings of the index, which the network takes, are not so large"
_CHANGED = "it has changed since: import the folder again"


class RecordingsOptions(FileOptions):
    """Options of the dataset `recordings`. The index holds the split; `validation` is not used."""

    index: Path = Field(
        default=Path("datasets/recordings.json"), description="what `lfp-snn data import` wrote"
    )
    window_ms: float | None = Field(
        default=None, gt=0, description="cut recordings into windows of so many milliseconds"
    )
    window_events: int | None = Field(
        default=None, ge=1, description="cut recordings into windows of so many events"
    )


def load(options: RecordingsOptions) -> Splits:
    """The parts of an index, encoded; windows of a recording share its part.

    Raises:
        DataError: the index or a file cannot be read, both kinds of windows are asked for, or a
            part is left empty.
    """
    if options.window_ms is not None and options.window_events is not None:
        raise DataError("data.window_ms and data.window_events exclude each other")
    folder, sensor, classes, entries = read_index(options.index)
    layout = read_layout(options.index)
    missing = [entry.file for entry in entries if not (folder / entry.file).is_file()]
    if missing and options.on_bad_file == "error":
        raise DataError(f"{folder / missing[0]} of the index {options.index} is missing")
    entries = [entry for entry in entries if entry.file not in set(missing)]
    index = {name: number for number, name in enumerate(classes)}
    files = Files(
        [folder / entry.file for entry in entries],
        np.array([index[entry.label] for entry in entries], np.int64),
        [entry.file for entry in entries],
        lambda paths: _read(paths, sensor, layout, options),
        single=False,
    )
    key = {
        "sensor": sensor,
        "windows": (options.window_ms, options.window_events),
        "layout": (layout.order, layout.unit),
    }
    samples, owners = file_set(
        "recordings", files, options, sensor=sensor, classes=tuple(classes), key=key
    )
    part = np.array([PARTS.index(entries[n].part) for n in owners], np.int64)
    rows = [np.flatnonzero(part == number) for number in range(3)]
    empty = [name for name, each in zip(PARTS, rows, strict=True) if not len(each)]
    if empty:
        raise DataError(f"{options.index} leaves nothing for the part {empty[0]}")
    if options.train is not None:
        rows[0] = rows[0][_some(samples.labels[rows[0]], options)]
    splits = Splits.of(samples, *rows, name="recordings", source=f"recordings in {folder}")
    splits.info["skipped"] = len(missing) + len(entries) - len(np.unique(owners))
    return splits


def load_file(path: Path, options: RecordingsOptions) -> SpikeSet:
    """One recording, encoded as the set is, whole; its label is unknown (-1).

    Raises:
        DataError: the index or the file cannot be read, or its sensor is larger.
    """
    _, sensor, classes, _ = read_index(options.index)
    events = read_mixed(path, read_layout(options.index))
    return SpikeSet(
        options.encode(fit(path, events, sensor, _LARGER)),
        labels=np.array([-1]),
        ids=[str(path)],
        feature_shape=options.sensor(sensor),
        steps=options.steps,
        classes=tuple(classes),
    )


def _some(labels: npt.NDArray[np.int64], options: RecordingsOptions) -> npt.NDArray[np.int64]:
    assert options.train is not None
    if options.train > len(labels):
        raise DataError(
            f"data.train asks for {options.train} training samples, but there are {len(labels)}"
        )
    (chosen,) = stratified(labels, [options.train], options.seed)
    return chosen


def _read(
    paths: Sequence[Path],
    sensor: tuple[int, int, int],
    layout: Layout,
    options: RecordingsOptions,
) -> Events:
    """All windows of a recording."""
    (path,) = paths
    events = cut(read_mixed(path, layout), options.window_ms, options.window_events)
    return fit(path, events, sensor, _CHANGED)


def cut(events: Events, window_ms: float | None, window_events: int | None) -> Events:
    """The windows of a recording, laid end to end; the recording itself if none are asked for.

    Windows of time begin with the first event and leave out the last, if it is not whole, and such
    as have no events; windows of a number of events leave out what remains.

    Args:
        events: of one recording.
        window_ms: duration in milliseconds, or
        window_events: number of events.

    Raises:
        DataError: the recording is shorter than a window.
    """
    if window_ms is None and window_events is None:
        return events
    order = np.argsort(events.t, kind="stable")
    t = events.t[order]
    if window_events is not None:
        ends = np.arange(0, len(t) + 1, window_events)
    else:
        assert window_ms is not None
        length = max(1, round(window_ms * _MILLISECOND))
        whole = (int(t[-1]) - int(t[0]) + 1) // length
        ends = np.searchsorted(t, t[0] + length * np.arange(whole + 1))
        ends = np.unique(ends)  # a window without events has no duration to cut
    if len(ends) < 2:
        raise DataError(f"a recording of {len(t)} events is shorter than a window")
    kept = order[: ends[-1]]
    return Events(
        events.x[kept], events.y[kept], events.t[kept], events.p[kept], events.sensor,
        ends.astype(np.int64),
    )  # fmt: skip
