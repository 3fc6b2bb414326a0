"""Published datasets that are folders of files, with one recording in each file."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lfp_snn.data.event_set import set_of_one
from lfp_snn.data.events import Events
from lfp_snn.data.files import FileOptions, Files, file_set, fit, read_other
from lfp_snn.data.published.catalogue import Description
from lfp_snn.data.published.parts import FolderOptions, cut_parts, how_to_get
from lfp_snn.data.published.split import tested
from lfp_snn.data.sets import SampleSet, Splits
from lfp_snn.errors import DataError
from lfp_snn.later import later
from lfp_snn.wording import setting

if TYPE_CHECKING:
    from lfp_snn.data import formats
    from lfp_snn.data.formats import arrays, base
else:
    formats = later("lfp_snn.data.formats")
    arrays = later("lfp_snn.data.formats.arrays")
    base = later("lfp_snn.data.formats.base")

_MILLISECOND = 1000


def _read(path: Path) -> Events:
    """The events of a file of any format."""
    return formats.read_recording(path)


@dataclass(frozen=True)
class Folders:
    """A layout of folders: where the recordings lie, and how they are read.

    Args:
        parts: the folder of each part; of the part "" where there is no published split.
        suffix: the suffix of the files.
        label: a function that gives the class of a file, by its path below the folder of its part.
        read: a function that reads the events of a file.
        names: the values of `label` in the order of the classes, where they are not the names.
    """

    parts: Mapping[str, str]
    suffix: str
    label: Callable[[Path], str]
    read: Callable[[Path], Events] = _read
    names: Sequence[str] = ()


class Found(NamedTuple):
    """The recordings of a folder: file, name, name of its class, part."""

    paths: list[Path]
    ids: list[str]
    labels: list[str]
    parts: list[str]


def by_folder(path: Path) -> str:
    """The class of a file, which is the name of its folder."""
    return path.parent.name


def by_name(path: Path) -> str:
    """The class of a file, which is the name of the file."""
    return path.stem


def by_letter(path: Path) -> str:
    """The class of a file, which is the last letter of its folder."""
    return path.parent.name[-1:].lower()


def by_suit(path: Path) -> str:
    """The class is in the name of the file, between a letter and a number: xclub02i."""
    found = re.fullmatch(r"x([a-z]+)\d+i?", path.stem)
    return found[1] if found else path.stem


def read_gesture(path: Path) -> Events:
    """Read DVS128 Gesture as tonic serves it: an array [E, 4] of x, y, p and t in milliseconds."""
    array = arrays.load_array(path)
    if array.ndim != 2 or array.shape[1] != 4 or array.dtype.kind not in "iuf":
        raise DataError(f"{path} holds an array of the shape {array.shape}; expected [E, 4]")
    x, y, p, t = array.astype(np.int64).T
    return base.events_of(path, x, y, t * _MILLISECOND, p > 0)


def read_pip(path: Path) -> Events:
    """A symbol of POKER-DVS in AEDAT 2.0: as in tonic's files, counted from the other corner."""
    events = formats.read_recording(path, "aedat2")
    return base.events_of(path, 127 - events.x, 127 - events.y, events.t, events.p)


def read_saccades(path: Path) -> Events:
    """Read N-Caltech101, moved as in tonic so that the first column and row with events are 0."""
    events = formats.read_recording(path, "bin")
    return replace(events, x=events.x - events.x.min(), y=events.y - events.y.min())


def read_sign(path: Path) -> Events:
    """Read ASL-DVS, whose rows are counted from below."""
    events = formats.read_recording(path)
    if events.y.max() >= 180:
        raise DataError(f"{path} has an event in row {events.y.max()}; the sensor has 180")
    return replace(events, y=np.int16(179) - events.y, sensor=(2, 180, events.sensor[2]))


LAYOUTS: dict[str, Folders] = {
    "ncaltech101": Folders({"": "Caltech101"}, ".bin", by_folder, read_saccades),
    "pokerdvs": Folders(
        {"train": "pips_train", "test": "pips_test"},
        ".npy",
        by_folder,
        names=("cl", "he", "di", "sp"),
    ),
    "pokerdvs_originals": Folders(
        {"": "poker_dvs"},
        ".aedat",
        by_suit,
        read_pip,
        names=("club", "heart", "diamond", "spade"),
    ),
    "dvs_gesture": Folders(
        {"train": "ibmGestureTrain", "test": "ibmGestureTest"},
        ".npy",
        by_name,
        read_gesture,
        names=tuple(map(str, range(11))),
    ),
    "cifar10_dvs": Folders({"": "."}, ".aedat4", by_folder),
    "dvs_lip": Folders({"train": "DVS-Lip/train", "test": "DVS-Lip/test"}, ".npy", by_folder),
    "asl_dvs": Folders({"": "."}, ".mat", by_letter, read_sign),
}


def find(root: Path, layout: Folders, description: Description) -> Found:
    """Find the recordings in a folder of a layout; a part of them will do.

    Raises:
        DataError: a folder is missing, has no recordings, or has a class that is not known.
    """
    found = Found([], [], [], [])
    expected = f"{root} should hold {description.layout}"
    for part, name in layout.parts.items():
        folder = root / name
        if not folder.is_dir():
            raise DataError(
                f"{folder} is missing: {expected}; put the recordings there, name another folder "
                f"with {setting('data.root')}, or {how_to_get(description)}"
            )
        paths = sorted(
            path
            for path in folder.rglob(f"*{layout.suffix}")
            if not any(each.startswith(".") for each in path.relative_to(folder).parts)
        )
        if not paths:
            raise DataError(f"{folder} has no recordings: {expected}")
        for path in paths:
            found.paths.append(path)
            found.ids.append(path.relative_to(root).as_posix())
            found.labels.append(layout.label(path.relative_to(folder)))
            found.parts.append(part)
    known = layout.names or description.classes
    for path, label in zip(found.paths, found.labels, strict=True):
        if known and label not in known:
            raise DataError(f"{path} is of no class of {description.title}: {expected}")
    return found


def load(name: str, description: Description, options: FolderOptions) -> Splits:
    """Load a dataset of files, in the parts that it was published with or that are stored.

    Raises:
        DataError: the recordings are not found (`find`), a file cannot be read, or a part is left
            empty.
    """
    layout = LAYOUTS[name]
    found = find(options.root, layout, description)
    names = layout.names or description.classes or tuple(sorted(set(found.labels)))
    classes = description.classes or tuple(names)
    labels = np.array([names.index(label) for label in found.labels], np.int64)
    files = Files(found.paths, labels, found.ids, reader(layout, description))
    samples, owners = file_set(name, files, options, sensor=description.sensor, classes=classes)
    parts = np.array(found.parts)
    if "" in layout.parts:
        parts = np.where(tested(options.root, found.ids, labels), "test", "train")
    splits = cut_parts(samples, parts[owners], options, name, description)
    splits.info["skipped"] = len(found.paths) - len(owners)
    return splits


def reader(layout: Folders, description: Description) -> Callable[[Sequence[Path]], Events]:
    """A function that reads recordings of a layout, laid end to end."""

    def read(paths: Sequence[Path]) -> Events:
        advice = f"it is damaged, or no recording of {description.title}"
        parts = [fit(path, layout.read(path), description.sensor, advice) for path in paths]
        return Events.joined(parts)

    return read


def load_file(name: str, description: Description, path: Path, options: FileOptions) -> SampleSet:
    """Load one recording of any format, encoded as the set is; its label is unknown (-1)."""
    layout = LAYOUTS[name]
    if path.suffix == layout.suffix:
        events = reader(layout, description)([path])
    else:
        events = read_other(path, description.sensor, layout.suffix)
    return set_of_one(path, events, options, description.sensor, description.classes)
