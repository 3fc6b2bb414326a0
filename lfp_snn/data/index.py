"""The index of a user's recordings: what was found in a folder, and which part each file is in.

`look` reads every file once, and `write_index` keeps what it found: sensor, classes, files with
label, group, part and targets. The dataset `lfp_snn.data.recordings` is read from such an index, so
that a split is drawn once and stays.

**No leakage.** Parts are drawn by group: a recording is a group of its own unless a table says
otherwise (a subject, a session).
"""

import dataclasses
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lfp_snn.data.entries import PARTS, Entry, part_named
from lfp_snn.data.events import sensor_text
from lfp_snn.data.formats import AS_IT_IS, Layout, read_mixed
from lfp_snn.data.formats.base import LARGEST
from lfp_snn.data.notices import RecordingFigures, figures_of, notices, notices_of_folder
from lfp_snn.data.parts import shared_groups
from lfp_snn.errors import ConfigError, DataError
from lfp_snn.unpacking import reading
from lfp_snn.wholefiles import write_whole

_VERSION = 1
#: Recordings of a class, or of the test part, below which a figure tells little.
FEW = 10


@dataclasses.dataclass(frozen=True)
class Index:
    """The content of an index.

    Args:
        folder: the folder of the files.
        sensor: the sensor (polarities, height, width) that holds all of them.
        classes: the names of the classes; of the targets, where files have no classes.
        entries: the files.
        targets: the names of the numbers to learn.
        validation_time: the share of each training recording, its last stretch of time, that
            validates; 0 where other recordings do, or none.
        layout: the columns and the unit of time of files that do not tell them.
    """

    folder: Path
    sensor: tuple[int, int, int]
    classes: list[str]
    entries: list[Entry]
    targets: list[str]
    validation_time: float = 0.0
    layout: Layout = AS_IT_IS


@dataclasses.dataclass(frozen=True)
class FolderContents:
    """What a look at all files of a folder has shown.

    Args:
        entries: the files that can be read.
        sensor: the sensor (polarities, height, width) that holds all of them.
        durations: the seconds of each file.
        counts: the number of events of each file.
        bad: the reasons why the other files cannot be read, by their names.
        notices: what is odd about readable files, with their names.
    """

    entries: list[Entry]
    sensor: tuple[int, int, int]
    durations: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]
    bad: dict[str, str]
    notices: list[str] = dataclasses.field(default_factory=list)


def look(
    folder: Path,
    entries: Sequence[Entry],
    track: Callable[[Sequence[Entry]], Iterable[Entry]],
    layout: Layout = AS_IT_IS,
) -> FolderContents:
    """Look at every file once.

    Args:
        folder: the folder to which the files are relative.
        entries: the files.
        track: a function that yields the entries, and may show the progress.
        layout: the columns and the unit of time of files that do not tell them.

    Raises:
        DataError: no file can be read, or they have fewer than two classes and no targets.
    """
    good, counts, odd = [], [], list[str]()
    measured: list[RecordingFigures] = []
    bad: dict[str, str] = {}
    sensor = [1, 1, 1]
    for entry in track(entries):
        try:
            events = read_mixed(folder / entry.file, layout)
        except DataError as error:
            bad[entry.file] = str(error)
            continue
        good.append(entry)
        sensor = [max(pair) for pair in zip(sensor, events.sensor, strict=True)]
        measured.append(figures_of(entry.file, events))
        counts.append(len(events))
        odd += [f"{entry.file}: {notice}" for notice in notices(events)]
    if not good:
        first = next(iter(bad.values()))
        raise DataError(f"none of {len(bad)} files in {folder} can be read; the first: {first}")
    if not good[0].targets and len({entry.label for entry in good}) < 2:
        raise DataError(f"{folder} has one class only ({good[0].label}); at least two are needed")
    polarities, height, width = sensor
    return FolderContents(
        good,
        (polarities, height, width),
        np.array([each.seconds for each in measured]),
        np.array(counts, np.int64),
        bad,
        [*odd, *notices_of_folder(measured)],
    )


def notices_of_parts(
    folder: Path, entries: Sequence[Entry], validation_time: float = 0.0
) -> list[str]:
    """Notices about classes and parts for the user.

    They tell of folders without recordings, of classes with one recording or without any to train,
    of groups in several parts, and that nothing validates.

    Args:
        folder: the folder that was looked at.
        entries: the files of it that can be read, with parts.
        validation_time: the share of each training recording that validates (:class:`Index`).
    """
    found = [f"{empty} has no recordings that can be read" for empty in _empty(folder, entries)]
    for label, count in sorted(Counter(entry.label for entry in entries if entry.label).items()):
        if count == 1:
            found.append(f"the class {label} has one recording, which is in one part alone")
    trained = {entry.label for entry in entries if entry.part == "train"}
    for label in sorted({entry.label for entry in entries} - trained):
        found.append(f"the class {label} has no recording to train on")
    if not validation_time and not any(entry.part == "val" for entry in entries):
        found.append(
            "nothing validates: the weights of the last epoch will be tested; or let a stretch of "
            "each training recording validate, with --validate-by time"
        )
    for group in shared_groups(entries):
        found.append(f"the group {group} is in several parts, as they were given")
    return found


def caution(entries: Sequence[Entry]) -> str | None:
    """A sentence about how little few recordings tell; ``None`` where there are enough.

    Args:
        entries: the files, with parts.
    """
    counts = Counter(entry.label for entry in entries if entry.label)
    tested = sum(entry.part == "test" for entry in entries)
    few = min(counts.values(), default=len(entries))
    if few >= FEW and tested >= FEW:
        return None
    found = [f"{few} of a class" if counts else f"{few} in all"]
    if tested:
        found.append(f"{tested} in the test part, each of which is {100 / tested:.3g} % of it")
    return (
        f"few recordings ({', '.join(found)}): a test accuracy tells little; record more, or look "
        f"at several splits (data import --seed 1, and so on) before you trust a figure"
    )


def _empty(folder: Path, entries: Sequence[Entry]) -> list[Path]:
    """The folders at the top, or of classes within parts, of which nothing is listed."""
    used = {parent for entry in entries for parent in (folder / entry.file).parents}
    tops = [path for path in sorted(folder.iterdir()) if path.is_dir()]
    inner = [path for top in tops if part_named(top.name) for path in sorted(top.iterdir())]
    return [
        path
        for path in (*tops, *inner)
        if path.is_dir() and not path.name.startswith(".") and path not in used
    ]


def write_index(
    path: Path,
    folder: Path,
    seen: FolderContents,
    entries: Sequence[Entry],
    targets: Sequence[str] = (),
    validation_time: float = 0.0,
    layout: Layout = AS_IT_IS,
) -> None:
    """Write an index; files are kept relative to `folder`.

    The folder is kept relative to the index too, so that both can be moved together.

    Args:
        path: the index to make.
        folder: the folder of the files.
        seen: what a look at the files has shown.
        entries: the files, with parts.
        targets: the names of the targets.
        validation_time: the share of each training recording that validates (:class:`Index`).
        layout: the layout of files that do not tell it (:class:`Index`).

    Raises:
        DataError: the index is there already, or cannot be written.
    """
    content = {
        "version": _VERSION,
        "folder": str(folder.resolve()),
        "from_here": os.path.relpath(folder.resolve(), path.resolve().parent),
        "sensor": list(seen.sensor),
        "classes": sorted({entry.label for entry in entries} - {""}) or list(targets),
        "targets": list(targets),
        "validation_time": validation_time,
        "files": [dataclasses.asdict(entry) for entry in entries],
        "column_order": ",".join(layout.order) or None,
        "time_unit": layout.unit,
    }
    try:
        write_whole(path, json.dumps(content, indent=1, ensure_ascii=False).encode(), new=True)
    except FileExistsError:
        raise DataError(f"{path} exists already; name another file with --out") from None
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror})") from error


def read_index(path: Path, root: Path | None = None) -> Index:
    """Read an index.

    Args:
        path: the index.
        root: the folder of the recordings, if they were moved without the index. By default they
            are looked for relative to the index, then at the place where they were when it was
            made.

    Raises:
        DataError: the index is missing, damaged, or of another version, or a file leads out of its
            folder.
    """
    if not path.exists():
        raise DataError(
            f"there is no index {path}: make one with lfp-snn data import FOLDER --out {path}"
        )
    with reading(path, "index of recordings"):
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["version"] != _VERSION:
            raise DataError(f"{path} is an index of another version; import the folder again")
        polarities, height, width = (int(side) for side in content["sensor"])
        targets = [str(name) for name in content.get("targets", ())]
        entries = [_entry(path, each, len(targets)) for each in content["files"]]
        folder, classes = Path(content["folder"]), [str(name) for name in content["classes"]]
        moved = path.parent / str(content.get("from_here", folder))
        block = float(content.get("validation_time", 0))
        layout = _layout(path, content)
    if not (polarities in (1, 2) and 0 < height <= LARGEST and 0 < width <= LARGEST):
        raise DataError(
            f"{path} tells of a sensor {(polarities, height, width)}, which no camera has"
        )
    for entry in entries:
        inside = Path(os.path.normpath(entry.file))
        if inside.is_absolute() or inside.parts[:1] == (os.pardir,):
            raise DataError(f"{path} names the file {entry.file}, outside of its folder {folder}")
    known = {*classes, ""} if targets else set(classes)
    if any(entry.part not in PARTS or entry.label not in known for entry in entries):
        raise DataError(f"{path} names a part or a class that it does not have")
    if not 0 <= block < 1:
        raise DataError(f"{path} has validation_time {block:g}; expected a share below 1")
    if root is None and entries and (moved / entries[0].file).is_file():
        folder = moved
    return Index(
        root or folder, (polarities, height, width), classes, entries, targets, block, layout
    )


def _layout(path: Path, content: dict[str, Any]) -> Layout:
    """The layout in which the files of an index are read."""
    try:
        return Layout.of(content.get("column_order"), content.get("time_unit"))
    except ConfigError as error:
        raise DataError(f"{path} is damaged: {error}") from error


def _entry(path: Path, content: dict[str, Any], targets: int) -> Entry:
    """A file of an index."""
    numbers = tuple(float(number) for number in content.pop("targets", ()))
    entry = Entry(**content, targets=numbers)
    if not all(isinstance(each, str) for each in content.values()):
        raise DataError(f"{path} has an entry that is no text")
    if len(numbers) != targets or not np.isfinite(numbers).all():
        raise DataError(f"{path} has other targets for {entry.file} than it names")
    return entry


def summary(
    seen: FolderContents, entries: Sequence[Entry], validation_time: float = 0.0
) -> dict[str, Any]:
    """The rows of a table of what an import found."""
    balance = Counter(entry.label for entry in entries)
    parts = Counter(entry.part for entry in entries)
    rates = seen.counts / np.maximum(seen.durations, 1e-6)
    few, many = min(balance.values()), max(balance.values())
    each = f"{few}" if few == many else f"{few} to {many}"
    classes = f"{len(balance)}, with {each} recordings each"
    late = f" (the last {validation_time:.4g} of the time of train)" if validation_time else ""
    if set(balance) == {""}:
        classes = f"none, but {len(entries[0].targets)} targets"
    return {
        "recordings": f"{len(entries):,}",
        "sensor": sensor_text(seen.sensor),
        "duration, median": _spread(seen.durations, "s"),
        "events, median": _spread(seen.counts, ""),
        "rate, median": _spread(rates, "events/s"),
        "classes": classes,
        "groups": f"{len({entry.group for entry in entries}):,}",
        "parts": ", ".join(f"{name} {parts[name]}" for name in PARTS) + late,
        "bad files": str(len(seen.bad)),
    }


def _spread(values: npt.NDArray[Any], unit: str) -> str:
    return f"{np.median(values):,.4g} {unit} (from {values.min():,.4g} to {values.max():,.4g})"
