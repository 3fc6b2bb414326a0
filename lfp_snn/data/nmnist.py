"""N-MNIST: MNIST digits recorded by a real event camera during three saccades.

G. Orchard, A. Jayawant, G. Cohen, N. Thakor, "Converting static image datasets to spiking
neuromorphic datasets using saccades", Frontiers in Neuroscience 9, 2015. CC BY-SA 4.0.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
from pydantic import Field

from lfp_snn.compiled import compiled
from lfp_snn.data.event_set import set_of_one
from lfp_snn.data.events import Events
from lfp_snn.data.files import FileOptions, Files, file_set, read_other
from lfp_snn.data.options import SpikeOptions
from lfp_snn.data.published.catalogue import DESCRIPTIONS
from lfp_snn.data.sets import SampleSet, Splits
from lfp_snn.data.splits import split_train
from lfp_snn.errors import DataError
from lfp_snn.later import later
from lfp_snn.wording import setting

if TYPE_CHECKING:
    from lfp_snn.data import formats
    from lfp_snn.data.published import fetch
else:
    formats = later("lfp_snn.data.formats")
    fetch = later("lfp_snn.data.published.fetch")

_DESCRIPTION = DESCRIPTIONS["nmnist"]
SENSOR = _DESCRIPTION.sensor
CLASSES = _DESCRIPTION.classes
LAYOUT = _DESCRIPTION.layout
SOURCE = "N-MNIST, real event camera recordings (Orchard et al. 2015, CC BY-SA 4.0)"

_EVENT_BYTES = 5
_OVERFLOW_ROW = 240  # an "event" in this row says that the clock went round
_OVERFLOW_US = 2**13


class NMNISTOptions(FileOptions):
    """The options of the dataset `nmnist`."""

    root: Path = Field(default=Path("datasets/NMNIST"), description=f"folder that holds {LAYOUT}")
    download: bool = Field(
        default=False,
        description="fetch the full set (1.2 GB) with tonic if the folder has no recordings",
    )


class Recordings(NamedTuple):
    """The files of one part (Train or Test), by label, then by name."""

    paths: list[Path]
    ids: list[str]
    labels: npt.NDArray[np.int64]


def read_events(path: Path) -> Events:
    """Read one N-MNIST `.bin` recording.

    An event takes 5 bytes: x, y, then polarity (1 bit) and microseconds (23 bits), big-endian. A
    row of 240 marks no event but an overflow of the camera's clock: it and all after it are 8192
    microseconds later than written. Overflow marks are left out of the result, which equals, event
    by event, the one of tonic's `read_mnist_file`.

    Raises:
        DataError: the file is missing, empty, truncated, or has an event off the 34 x 34 sensor.
    """
    return read_many([path])


def read_many(paths: Sequence[Path]) -> Events:
    """Read several recordings, laid end to end, each as `read_events` does."""
    contents = [_content(path) for path in paths]
    ends = np.cumsum([len(content) // _EVENT_BYTES for content in contents], dtype=np.int64)
    raw = np.frombuffer(b"".join(contents), dtype=np.uint8).reshape(-1, _EVENT_BYTES)
    x, y, t, p, offsets, bad = _decode(raw, np.concatenate(([0], ends)), *SENSOR[1:])
    if bad >= 0:
        raise DataError(
            f"{paths[int(np.searchsorted(ends, bad, side='right'))]} has an event at "
            f"x={raw[bad, 0]}, y={raw[bad, 1]}, off the {SENSOR[2]} x {SENSOR[1]} sensor; it is "
            "damaged or no N-MNIST recording"
        )
    silent = np.flatnonzero(np.diff(offsets) == 0)
    if silent.size:
        raise DataError(f"{paths[silent[0]]} holds clock overflows, but no events")
    return Events(x, y, t, p, SENSOR, offsets)


def _content(path: Path) -> bytes:
    try:
        with path.open("rb", buffering=0) as file:
            content = file.read()
    except OSError as error:
        raise DataError(f"{path} cannot be read ({error.strerror})") from error
    if not content:
        raise DataError(f"{path} is empty; delete it or fetch it again")
    if len(content) % _EVENT_BYTES:
        raise DataError(
            f"{path} is truncated or of another format: it has {len(content)} bytes, which is no "
            f"multiple of the {_EVENT_BYTES} bytes of an N-MNIST event; fetch it again, or see "
            f"what it is with lfp-snn data info {path}"
        )
    return content


@compiled
def _decode(raw, starts, height, width):  # type: ignore[no-untyped-def]
    """Decode recordings to x, y, t, p, offsets, and the first event off the sensor (or -1)."""
    x = np.empty(len(raw), np.int16)
    y = np.empty(len(raw), np.int16)
    t = np.empty(len(raw), np.int64)
    p = np.empty(len(raw), np.uint8)
    offsets = np.zeros(len(starts), np.int64)
    kept = 0
    for n in range(len(starts) - 1):
        late = 0
        for e in range(starts[n], starts[n + 1]):
            if raw[e, 1] == _OVERFLOW_ROW:
                late += _OVERFLOW_US
                continue
            if raw[e, 0] >= width or raw[e, 1] >= height:
                return x, y, t, p, offsets, e
            x[kept] = raw[e, 0]
            y[kept] = raw[e, 1]
            high = np.int64(raw[e, 2])
            p[kept] = high >> 7
            t[kept] = ((high & 127) << 16 | np.int64(raw[e, 3]) << 8 | np.int64(raw[e, 4])) + late
            kept += 1
        offsets[n + 1] = kept
    return x[:kept], y[:kept], t[:kept], p[:kept], offsets, -1


def list_recordings(root: Path, part: str) -> Recordings:
    """List root/part/<label>/*.bin. Other files, and hidden folders, are passed over.

    Raises:
        DataError: the folder is missing or has no recordings, or a folder in it is no class.
    """
    folder = root / part
    if not folder.is_dir():
        raise DataError(
            f"{folder} is missing: {root} should hold {LAYOUT}; put the recordings there, name "
            f"another folder with {setting('data.root')}, or fetch them all (1.2 GB) into an empty "
            "folder with "
            f"{setting('data.download', True)}"
        )
    names = sorted(d.name for d in folder.iterdir() if d.is_dir() and not d.name.startswith("."))
    strange = [name for name in names if name not in CLASSES]
    if strange:
        raise DataError(
            f"{folder / strange[0]} is no class of N-MNIST: label folders are named 0 to 9"
        )
    paths = [path for name in names for path in sorted((folder / name).glob("*.bin"))]
    if not paths:
        raise DataError(f"{folder} has no recordings: {root} should hold {LAYOUT}")
    labels = np.array([int(path.parent.name) for path in paths], dtype=np.int64)
    ids = [f"{part}/{path.parent.name}/{path.stem}" for path in paths]
    return Recordings(paths, ids, labels)


def load(options: NMNISTOptions) -> Splits:
    """Load train and validation from Train (stratified), test from Test; a partial folder will do.

    Raises:
        DataError: a folder or file cannot be read (`list_recordings`, `read_events`), or Train has
            fewer than two classes.
    """
    root = options.root
    if options.download and not any((root / part).exists() for part in ("Train", "Test")):
        fetch.fetch(_DESCRIPTION, root, lambda *_: None)
    parts = [list_recordings(root, "Train"), list_recordings(root, "Test")]
    present = np.unique(parts[0].labels)
    if len(present) < 2:
        raise DataError(
            f"{root / 'Train'} has recordings of one class only ({present[0]}); "
            "at least two classes are needed to learn to tell them apart"
        )
    files = Files(
        [path for part in parts for path in part.paths],
        np.concatenate([part.labels for part in parts]),
        [name for part in parts for name in part.ids],
        read_many,
    )
    recordings, owners = file_set("nmnist", files, options, sensor=SENSOR, classes=CLASSES)
    learnt = owners < len(parts[0].paths)
    labels = recordings.labels[learnt]
    train, val = split_train(labels, options.validation, options.train, options.seed)
    splits = Splits.of(
        recordings, train, val, np.flatnonzero(~learnt), name="nmnist", source=SOURCE
    )
    splits.info["skipped"] = len(files.paths) - len(owners)
    return splits


def load_file(path: Path, options: SpikeOptions) -> SampleSet:
    """Load one recording of any format, encoded as the set is; its label is unknown (-1)."""
    own = formats.detect(path) is formats.FORMATS["bin"]
    events = read_events(path) if own else read_other(path, SENSOR, ".bin")
    return set_of_one(path, events, options, SENSOR, CLASSES)
