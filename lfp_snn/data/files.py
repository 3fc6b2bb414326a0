"""The base of datasets whose recordings lie in files of their own."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from pydantic import Field

from lfp_snn.data import cache
from lfp_snn.data.binning import Binned
from lfp_snn.data.event_set import EventSet
from lfp_snn.data.events import Events
from lfp_snn.data.options import SpikeOptions
from lfp_snn.data.sets import IntArray, SampleSet, SpikeSet
from lfp_snn.errors import DataError
from lfp_snn.later import later

if TYPE_CHECKING:
    from lfp_snn.data import formats
else:
    formats = later("lfp_snn.data.formats")

_CHUNK = 16  # recordings decoded at once: they stay in the processor's cache


class FileOptions(SpikeOptions):
    """The options of datasets of files."""

    on_bad_file: Literal["error", "skip"] = Field(
        default="error",
        description="what to do with a file that cannot be read, or of which nothing is left",
    )


class Files(NamedTuple):
    """The files of a dataset.

    Args:
        paths: the paths of the files.
        labels: the class of each file, int64.
        ids: the name of each file.
        read: a function that gives the recordings of some of the files, laid end to end; equally
            many of each file, or any number where it is asked for one file.
        single: whether each file is one recording.
    """

    paths: Sequence[Path]
    labels: IntArray
    ids: Sequence[str]
    read: Callable[[Sequence[Path]], Events]
    single: bool = True


def fit(path: Path, events: Events, sensor: tuple[int, int, int], advice: str) -> Events:
    """The events of a file on a given sensor, which must be at least as large as they need.

    Raises:
        DataError: the sensor is too small; the message ends with the advice.
    """
    if any(own > common for own, common in zip(events.sensor, sensor, strict=True)):
        raise DataError(f"{path} is of a sensor {events.sensor}, larger than {sensor}; {advice}")
    return replace(events, sensor=sensor)


def read_other(path: Path, sensor: tuple[int, int, int], suffix: str) -> Events:
    """The events of a file of any format that is known, on the sensor of a dataset of another one.

    Args:
        path: the file.
        sensor: the sensor (polarities, height, width) of the dataset.
        suffix: the suffix of the dataset's own files.

    Raises:
        DataError: the file cannot be read, its format is not known or needs a word on what is in
            it, or the sensor is larger.
    """
    form = formats.detect(path)
    try:
        events = form.read(path)
    except DataError as error:
        if "as in --" not in str(error):  # damaged, or told with its own command
            raise
        raise DataError(
            f"{error}, an option of lfp-snn data convert {path} {path.stem}{suffix}, which makes a "
            "file that needs none"
        ) from error
    return fit(path, events, sensor, "nothing is cropped or scaled to what the network takes")


class FileSet(NamedTuple):
    """A set, and the number of the file that each of its samples comes from, ascending."""

    samples: SampleSet
    owners: IntArray


def file_set(
    name: str,
    files: Files,
    options: FileOptions,
    *,
    sensor: tuple[int, int, int],
    classes: tuple[str, ...],
    key: Mapping[str, Any] | None = None,
) -> FileSet:
    """Make the set of all recordings in files: encoded once and cached, or read when asked for.

    Args:
        name: the name of the dataset.
        files: the files.
        options: the options that say which of the two, how to encode, and what to do with bad
            files.
        sensor: the sensor (polarities, height, width) of the recordings.
        classes: the name of each class.
        key: what the recordings depend on beside the files and the encoding.

    Raises:
        DataError: a file cannot be read and is not to be skipped, or none can.
    """
    if options.on_demand:
        return _streamed(files, options, sensor, classes)
    encoding = {**options.encoding(), "on_bad_file": options.on_bad_file, **(key or {})}
    trains = cache.fetch(name, files.paths, encoding, lambda: encode(files, options))
    owners = trains.owners
    assert owners is not None
    samples = SpikeSet(
        trains,
        files.labels[owners],
        _names(files, owners),
        classes=classes,
        feature_shape=options.sensor(sensor),
        steps=options.steps,
        augment=options.steps_on_spikes(),
    )
    return FileSet(samples, owners)


def encode(files: Files, options: FileOptions) -> Iterator[Binned]:
    """Encode the files that can be read, chunk by chunk: spike trains with their owners.

    Raises:
        DataError: a file cannot be read and is not to be skipped, or none can.
    """
    some = False
    size = _CHUNK if files.single else 1
    for start in range(0, len(files.paths), size):
        numbers = np.arange(start, min(start + size, len(files.paths)))
        try:
            chunks = [_encode(files, numbers, options)]
        except DataError:
            if options.on_bad_file == "error":
                raise
            chunks = list(_readable(files, numbers, options))
        some = some or bool(chunks)
        yield from chunks
    if not some:
        raise DataError(f"none of the {len(files.paths)} recordings can be read")


def _readable(files: Files, numbers: IntArray, options: FileOptions) -> Iterator[Binned]:
    """The files of a chunk that can be read, with their events, one by one."""
    for number in numbers:
        try:
            yield _encode(files, np.array([number]), options)
        except DataError:
            continue


def _encode(files: Files, numbers: IntArray, options: FileOptions) -> Binned:
    events = files.read([files.paths[number] for number in numbers])
    owners = np.repeat(numbers, events.recordings // len(numbers))
    return options.encode(events)._replace(owners=owners)


def _streamed(
    files: Files, options: FileOptions, sensor: tuple[int, int, int], classes: tuple[str, ...]
) -> FileSet:
    if files.single and options.on_bad_file == "error":
        owners = np.arange(len(files.paths))
    else:  # one pass over the files tells how many recordings there are
        owners = np.concatenate([chunk.owners for chunk in encode(files, options)])

    def read(rows: IntArray) -> Events:
        if files.single:
            return files.read([files.paths[number] for number in owners[rows]])
        within = _within(owners)
        return Events.joined(
            [files.read([files.paths[owners[row]]]).recording(within[row]) for row in rows]
        )

    samples = EventSet(
        read, options, sensor, files.labels[owners], _names(files, owners), classes=classes
    )
    return FileSet(samples, owners)


def _names(files: Files, owners: IntArray) -> list[str]:
    if files.single:
        return [files.ids[number] for number in owners]
    return [f"{files.ids[n]}#{k}" for n, k in zip(owners, _within(owners), strict=True)]


def _within(owners: IntArray) -> IntArray:
    """The number of each sample among the samples of its file; `owners` ascends."""
    return np.arange(len(owners)) - np.searchsorted(owners, owners)
