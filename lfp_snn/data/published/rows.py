"""Published datasets that hold many recordings in a file: spoken digits and words, and S-MNIST."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from lfp_snn.data.event_set import Read, row_set
from lfp_snn.data.events import Events
from lfp_snn.data.mnist import read as read_mnist
from lfp_snn.data.published.catalogue import Description
from lfp_snn.data.published.parts import PublishedOptions, cut_parts, how_to_get
from lfp_snn.data.sets import IntArray, Splits
from lfp_snn.data.tree import open_tree
from lfp_snn.errors import DataError
from lfp_snn.later import later
from lfp_snn.unpacking import open_hdf5
from lfp_snn.wording import setting

if TYPE_CHECKING:
    from lfp_snn.data.formats import arrays
else:
    arrays = later("lfp_snn.data.formats.arrays")

_SECOND = 1_000_000
_STEP_US = 1_000  # of S-MNIST
_TOUCH_US = 20_000  # of EvTouch
_CONTAINERS = "Ev-Containers"


class Rows(NamedTuple):
    """Recordings of some files of rows: how they are read, their class and part, and the files."""

    read: Read
    labels: IntArray
    parts: npt.NDArray[np.str_]
    files: list[Path]


def load(name: str, description: Description, options: PublishedOptions) -> Splits:
    """Load a dataset of rows, in the parts that it was published with.

    Raises:
        DataError: a file is missing or damaged.
    """
    rows = _FINDERS[name](options.root, description)
    samples = row_set(
        name,
        rows.read,
        options,
        labels=rows.labels,
        ids=[f"{part}/{n}" for n, part in enumerate(rows.parts)],
        sensor=description.sensor,
        classes=description.classes,
        files=rows.files,
    )
    return cut_parts(samples, rows.parts, options, name, description)


def heidelberg(prefix: str, files: dict[str, str]) -> Callable[[Path, Description], Rows]:
    """The rows of SHD and SSC: `spikes/times` in seconds, `spikes/units` and `labels`."""

    def find(root: Path, description: Description) -> Rows:
        paths = [_present(root / f"{prefix}_{file}.h5", description) for file in files.values()]
        labels, parts, starts = [], [], [0]
        for path, part in zip(paths, files, strict=True):
            with open_hdf5(path) as file:
                own = _labels(path, file)
            if own.ndim != 1 or (
                len(own) and not 0 <= own.min() <= own.max() < len(description.classes)
            ):
                raise DataError(
                    f"{path} has labels that are none of 0 to {len(description.classes) - 1}"
                )
            labels.append(own)
            parts += [part] * len(own)
            starts.append(starts[-1] + len(own))

        def read(rows: IntArray) -> Events:
            recordings: list[Events] = []
            for number, own in _runs(np.searchsorted(starts, rows, "right") - 1, rows):
                with open_hdf5(paths[number]) as file:
                    for row in own - starts[number]:
                        seconds = file["spikes/times"][int(row)]
                        units = file["spikes/units"][int(row)]
                        recordings.append(
                            _spikes(paths[number], seconds, units, description.sensor)
                        )
            return Events.joined(recordings)

        return Rows(read, np.concatenate(labels), np.array(parts), paths)

    return find


def _labels(path: Path, file: Any) -> IntArray:
    """The labels of a file, as many as it has recordings, each of which takes at least a byte."""
    labels, recordings = file["labels"], len(file["spikes/times"])
    if labels.shape != (recordings,) or recordings > path.stat().st_size:
        raise DataError(
            f"{path} has labels of the shape {labels.shape} for {recordings} recordings in "
            f"{path.stat().st_size} bytes; it is damaged"
        )
    return np.asarray(labels, np.int64)


def tidigits(root: Path, description: Description) -> Rows:
    """The rows of N-TIDIGITS18: `<part>_labels` names recordings; those of one digit are read."""
    path = _present(root / "n-tidigits.hdf5", description)
    classes = "o123456789z"
    names, parts = [], []
    with open_hdf5(path) as file:
        for part in ("train", "test"):
            for each in file[f"{part}_labels"][()]:
                name = each.decode() if isinstance(each, bytes) else str(each)
                if name.split("-")[-1] in classes and len(name.split("-")[-1]) == 1:
                    names.append(name)
                    parts.append(part)
    labels = np.array([classes.index(name[-1]) for name in names], np.int64)

    def read(rows: IntArray) -> Events:
        with open_hdf5(path) as file:
            return Events.joined(
                [
                    _spikes(
                        path,
                        file[f"{parts[row]}_timestamps"][names[row]][()],
                        file[f"{parts[row]}_addresses"][names[row]][()],
                        description.sensor,
                    )
                    for row in rows
                ]
            )

    return Rows(read, labels, np.array(parts), [path])


def touch(root: Path, description: Description) -> Rows:
    """EvTouch: an array [taxel, polarity, step] of zeros and ones a recording, its class named."""
    path = root / _CONTAINERS
    if not path.is_dir():
        path = _present(path.with_suffix(".zip"), description)
    tree = open_tree(path, (".npy",))
    found = [
        (name, match)
        for name in tree.names
        if (match := re.fullmatch(r"(train|test)/sample_\d+_label_(\d+)\.npy", name))
    ]
    labels = np.array([int(match[2]) for _, match in found], np.int64)
    if not found or labels.max() >= len(description.classes):
        raise DataError(f"{path} is no {description.title}: it should hold {description.layout}")

    def read(rows: IntArray) -> Events:
        names = [found[row][0] for row in rows]
        return Events.joined(
            [_touched(tree.place(name), tree.read(name), description.sensor) for name in names]
        )

    return Rows(read, labels, np.array([match[1] for _, match in found]), tree.files())


def _touched(place: str, content: bytes, sensor: tuple[int, int, int]) -> Events:
    """The events of a recording of EvTouch."""
    array = arrays.array_of(place, content)
    polarities, _, taxels = sensor
    if array.ndim != 3 or array.shape[:2] != (taxels, polarities) or array.dtype.kind not in "biuf":
        raise DataError(
            f"{place} holds {array.dtype} {list(array.shape)}; expected numbers "
            f"[{taxels}, {polarities}, T]"
        )
    step, taxel, p = np.nonzero(array.transpose(2, 0, 1))
    if not len(step):
        raise DataError(f"{place} has no events")
    still = np.zeros(len(step), np.int16)
    t = step.astype(np.int64) * _TOUCH_US
    return Events(taxel.astype(np.int16), still, t, p.astype(np.uint8), sensor)


def smnist(root: Path, description: Description) -> Rows:
    """The rows of S-MNIST: the pixels of an image one after the other, two steps of 1 ms each.

    With N = 49 grey levels from 0 to 254: unit N - k of the ON half spikes when the brightness
    rises to level k or above, that of the OFF half when it falls below, and unit 0 at white (255).
    """
    images = read_mnist(root)
    counts = len(images.train), len(images.test)
    pixels = np.concatenate([images.train, images.test]).reshape(sum(counts), -1)
    labels = np.concatenate([images.train_labels, images.test_labels])
    parts = np.repeat(["train", "test"], counts)
    units = description.sensor[2]

    def read(rows: IntArray) -> Events:
        return Events.joined([_crossings(pixels[row], units) for row in rows])

    files = sorted(path for path in root.iterdir() if "ubyte" in path.name)
    return Rows(read, labels, parts, files)


def _crossings(image: npt.NDArray[np.uint8], units: int) -> Events:
    half = units // 2
    levels = np.linspace(0, 254, half).astype(np.uint8)
    above = image[:, None] >= levels
    rise, up = np.nonzero(~above[:-1] & above[1:])
    fall, down = np.nonzero(above[:-1] & ~above[1:])
    white = np.flatnonzero(image == 255)
    pixel = np.concatenate([rise, fall, white])
    unit = np.concatenate([units - up, units - half - down, np.zeros_like(white)])
    order = np.lexsort((unit, pixel))
    step = 2 * np.repeat(pixel[order], 2)
    step[1::2] += 1
    x = np.repeat(unit[order], 2).astype(np.int16)
    still = np.zeros(len(x), np.uint8)
    return Events(x, still.astype(np.int16), step * _STEP_US, still, (1, 1, units))


def _spikes(
    path: Path, seconds: npt.NDArray[Any], units: npt.NDArray[Any], sensor: tuple[int, int, int]
) -> Events:
    """The spikes of one recording, in seconds and units."""
    if np.asarray(seconds).dtype.kind not in "iuf" or np.asarray(units).dtype.kind not in "iuf":
        raise DataError(f"{path} has a recording that is not of numbers")
    seconds, unit = np.asarray(seconds, np.float64), np.asarray(units, np.float64)
    if seconds.shape != unit.shape or seconds.ndim != 1 or not len(unit):
        raise DataError(f"{path} has a recording of {seconds.shape} times and {unit.shape} units")
    if not np.isfinite(seconds).all() or np.abs(seconds).max() > 1e9:
        raise DataError(f"{path} has times that are no seconds")
    if not 0 <= unit.min() <= unit.max() < sensor[2]:
        raise DataError(f"{path} has a unit {unit.max():g}; expected 0 to {sensor[2] - 1}")
    nothing = np.zeros(len(unit), np.uint8)
    t = (seconds * _SECOND).astype(np.int64)
    return Events(unit.astype(np.int16), nothing.astype(np.int16), t, nothing, sensor)


def _runs(numbers: IntArray, rows: IntArray) -> Iterator[tuple[int, IntArray]]:
    """The stretches of rows that lie in one file, in their order."""
    ends = np.flatnonzero(np.diff(numbers)) + 1
    for run, own in zip(np.split(numbers, ends), np.split(rows, ends), strict=True):
        yield int(run[0]), own


def _present(path: Path, description: Description) -> Path:
    if not path.is_file():
        raise DataError(
            f"{path} is missing: {path.parent} should hold {description.layout}; put it there, "
            f"name another folder with {setting('data.root')}, or {how_to_get(description)}"
        )
    return path


_FINDERS: dict[str, Callable[[Path, Description], Rows]] = {
    "shd": heidelberg("shd", {"train": "train", "test": "test"}),
    "ssc": heidelberg("ssc", {"train": "train", "val": "valid", "test": "test"}),
    "ntidigits18": tidigits,
    "smnist": smnist,
    "evtouch": touch,
}
