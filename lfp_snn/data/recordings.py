"""The dataset of a user's recordings, from an index that `lfp-snn data import` has made.

Long recordings can be cut into windows; all windows of a recording stay in its part, so that
nothing leaks from one part into another (`lfp_snn.data.parts` draws them). With few groups nothing
validates, or the last stretch of each training recording does, which is cut off in time before any
windows are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from pydantic import Field

from lfp_snn.data.augment import needs_partners
from lfp_snn.data.entries import PARTS, Entry
from lfp_snn.data.event_set import set_of_one
from lfp_snn.data.events import Events
from lfp_snn.data.files import FileOptions, Files, FileSet, file_set, fit
from lfp_snn.data.sets import SampleSet, Splits
from lfp_snn.data.splits import stratified
from lfp_snn.errors import DataError
from lfp_snn.later import later
from lfp_snn.wording import setting

if TYPE_CHECKING:
    from lfp_snn.data import formats
    from lfp_snn.data import index as index_file
    from lfp_snn.data.index import Index
else:
    formats = later("lfp_snn.data.formats")
    index_file = later("lfp_snn.data.index")

SOURCE = "your own recordings, from an index that `lfp-snn data import` has made"
_MILLISECOND = 1000
_LARGER = "the recordings of the index, which the network takes, are not so large"
_CHANGED = "it has changed since: import the folder again"


class RecordingsOptions(FileOptions):
    """Options of the dataset `recordings`; the index holds the split, `validation` is not used."""

    index: Path = Field(
        default=Path("datasets/recordings.json"), description="what `lfp-snn data import` wrote"
    )
    root: Path | None = Field(
        default=None,
        description="where the recordings are, if they have been moved without their index",
    )
    validation_time: float | None = Field(
        default=None,
        ge=0,
        lt=1,
        description="share of each training recording, its last stretch of time, that validates; "
        "0: none; by default what the index says",
    )
    window_ms: float | None = Field(
        default=None, gt=0, description="cut recordings into windows of so many milliseconds"
    )
    window_events: int | None = Field(
        default=None, ge=1, description="cut recordings into windows of so many events"
    )


def load(options: RecordingsOptions) -> Splits:
    """Load the parts of an index, encoded; windows of a recording share its part.

    There may be no part to validate.

    Raises:
        DataError: the index or a file cannot be read, both kinds of windows are asked for, both
            recordings and stretches of time are to validate, or a part is left empty.
    """
    if options.window_ms is not None and options.window_events is not None:
        raise DataError(
            f"{setting('data.window_ms')} and {setting('data.window_events')} exclude each other"
        )
    index = index_file.read_index(options.index, options.root)
    entries = _present(index, options)
    block = index.validation_time
    if options.validation_time is not None:
        block = options.validation_time
    groups = {name: [e for e in entries if e.part == name] for name in PARTS}
    if block and groups["val"]:
        raise DataError(
            f"{options.index} has recordings to validate, so that "
            f"{setting('data.validation_time')} cannot be "
            f"{block:g}; leave it out"
        )
    if block:
        made = {
            "train": _part(groups["train"], index, options, (0.0, 1 - block)),
            "val": _part(groups["train"], index, options, (1 - block, 1.0)),
            "test": _part(groups["test"], index, options),
        }
    else:
        made = _parts(entries, index, options)
    for name in ("train", "test"):
        if name not in made or not len(made[name].samples):
            raise DataError(f"{options.index} leaves nothing for the part {name}")
    parts = {name: each.samples for name, each in made.items()}
    if options.train is not None:
        train = parts["train"]
        parts["train"] = train.subset(_some(train.labels, options))
    splits = Splits.joined(parts, name="recordings", source=f"recordings in {index.folder}")
    read = sum(len(np.unique(each.owners)) for each in made.values())
    wanted = len(index.entries) + (len(groups["train"]) if block else 0)
    splits.info["skipped"] = wanted - read
    if block:
        splits.info["validation"] = f"the last {block:.4g} of the time of each training recording"
    return splits


def _present(index: Index, options: RecordingsOptions) -> list[Entry]:
    """The files of an index that are there."""
    missing = {e.file for e in index.entries if not (index.folder / e.file).is_file()}
    if missing and options.on_bad_file == "error":
        first = next(entry.file for entry in index.entries if entry.file in missing)
        raise DataError(
            f"{index.folder / first} of the index {options.index} is missing; if the recordings "
            f"were moved, say where to with {setting('data.root')}"
        )
    return [entry for entry in index.entries if entry.file not in missing]


def _parts(
    entries: Sequence[Entry], index: Index, options: RecordingsOptions
) -> dict[str, FileSet]:
    """The three parts, cut from one set."""
    samples, owners = _part(entries, index, options)
    part = np.array([PARTS.index(entries[n].part) for n in owners], np.int64)
    rows = {name: np.flatnonzero(part == number) for number, name in enumerate(PARTS)}
    return {name: FileSet(samples.subset(each), owners[each]) for name, each in rows.items()}


def _part(
    entries: Sequence[Entry],
    index: Index,
    options: RecordingsOptions,
    stretch: tuple[float, float] = (0.0, 1.0),
) -> FileSet:
    """The set of some files of an index, or of a stretch of each.

    Args:
        entries: the files.
        index: the index of the files.
        options: how they are read.
        stretch: the beginning and the end of the stretch, in shares of the time of a recording.
    """
    if not entries:
        raise DataError(f"{options.index} leaves nothing for one of its parts")
    number = {name: n for n, name in enumerate(index.classes)}
    late = "@end" if stretch[0] else ""
    files = Files(
        [index.folder / entry.file for entry in entries],
        np.array([number[entry.label] if entry.label else -1 for entry in entries], np.int64),
        [entry.file + late for entry in entries],
        lambda paths: _read(paths, index, options, stretch),
        single=False,
    )
    key = {
        "sensor": index.sensor,
        "windows": (options.window_ms, options.window_events),
        "stretch": stretch,
        "layout": (index.layout.order, index.layout.unit),
    }
    samples, owners = file_set(
        "recordings", files, options, sensor=index.sensor, classes=tuple(index.classes), key=key
    )
    if index.targets:
        if needs_partners(options.steps_of_augmentation()):
            raise DataError(
                f"{setting('data.augment')} mixes recordings, whose targets cannot be mixed"
            )
        numbers = np.array([entries[n].targets for n in owners], np.float32)
        samples = samples.aiming_at(numbers)
    return FileSet(samples, owners)


def load_file(path: Path, options: RecordingsOptions) -> SampleSet:
    """Load one recording, whole, encoded as the set is; its label is unknown (-1).

    Where the set has targets and no classes, the targets are unknown too (NaN).

    Raises:
        DataError: the index or the file cannot be read, or the sensor of the file is larger.
    """
    index = index_file.read_index(options.index, options.root)
    sensor, classes = index.sensor, index.classes
    events = formats.read_mixed(path, index.layout)
    fitting = fit(path, events, sensor, _LARGER)
    samples = set_of_one(path, fitting, options, sensor, tuple(classes))
    if any(entry.label for entry in index.entries):
        return samples
    return samples.aiming_at(np.full((1, len(index.targets)), np.nan, np.float32))


def _some(labels: npt.NDArray[np.int64], options: RecordingsOptions) -> npt.NDArray[np.int64]:
    assert options.train is not None
    if options.train > len(labels):
        raise DataError(
            f"{setting('data.train')} asks for {options.train} training samples, but there are "
            f"{len(labels)}"
        )
    (chosen,) = stratified(labels, [options.train], options.seed)
    return chosen


def _read(
    paths: Sequence[Path],
    index: Index,
    options: RecordingsOptions,
    stretch: tuple[float, float],
) -> Events:
    """All windows of a stretch of a recording."""
    (path,) = paths
    try:
        whole = between(formats.read_mixed(path, index.layout), *stretch)
        events = cut(whole, options.window_ms, options.window_events)
    except DataError as error:
        raise error if str(path) in str(error) else DataError(f"{path}: {error}") from error
    return fit(path, events, index.sensor, _CHANGED)


def between(events: Events, start: float, end: float) -> Events:
    """The events of a stretch of a recording; two that meet share none and lose none.

    Args:
        events: the events of one recording.
        start: the beginning of the stretch, in shares of the time from the first event (0) to the
            last (1).
        end: the end of the stretch, in such shares.

    Raises:
        DataError: there are no events.
    """
    if (start, end) == (0, 1):
        return events
    first, span = int(events.t.min()), int(events.t.max()) - int(events.t.min()) + 1
    borders = [first + round(span * share) for share in (start, end)]
    chosen = (events.t >= borders[0]) & (events.t < borders[1])
    if not chosen.any():
        raise DataError(
            f"there are no events between {start:.4g} and {end:.4g} of the recording's time"
        )
    return events.only(chosen)


def cut(events: Events, window_ms: float | None, window_events: int | None) -> Events:
    """The windows of a recording, laid end to end; the recording itself if none are asked for.

    Windows of time begin with the first event; the last window is left out if it is not whole, and
    so are windows without events. Windows of a number of events leave out what remains.

    Args:
        events: the events of one recording.
        window_ms: the duration of a window in milliseconds.
        window_events: the number of events of a window, in the place of a duration.

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
