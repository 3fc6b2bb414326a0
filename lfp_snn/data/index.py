"""The index of one's own recordings: what was found in a folder, and which part each file is in.

`look` reads every file once, and `write_index` keeps what it found: sensor, classes, files with
label, group and part. The dataset `lfp_snn.data.recordings` is read from such an index, so that a
split is drawn once and stays.

**No leakage.** Parts are drawn by group: a recording is a group of its own unless a table says
otherwise (a subject, a session).
"""

import csv
import dataclasses
import io
import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lfp_snn.data.formats import FORMATS, read_recording
from lfp_snn.data.formats.base import LARGEST
from lfp_snn.data.splits import stratified
from lfp_snn.errors import DataError
from lfp_snn.unpacking import reading
from lfp_snn.wholefiles import write_whole

PARTS = ("train", "val", "test")
_VERSION = 1
_COLUMNS = ("file", "label", "group")  # of a table


@dataclasses.dataclass(frozen=True)
class Entry:
    """A file of an index: where it is, its class, its group, and its part."""

    file: str
    label: str
    group: str
    part: str = "train"


@dataclasses.dataclass(frozen=True)
class Seen:
    """What looking at the files has shown.

    Args:
        entries: the files that can be read.
        sensor: (polarities, height, width) that holds all of them.
        durations: seconds of each.
        counts: events of each.
        bad: why the others cannot be read.
    """

    entries: list[Entry]
    sensor: tuple[int, int, int]
    durations: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]
    bad: list[str]


def find(folder: Path) -> list[Entry]:
    """The recordings in folder/<class>/..., each a group of its own.

    Raises:
        DataError: there are none.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder")
    suffixes = {suffix for each in FORMATS.values() for suffix in each.suffixes}
    entries = []
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        hidden = any(part.startswith(".") for part in parts)
        if path.suffix.lower() in suffixes and path.is_file() and len(parts) > 1 and not hidden:
            name = "/".join(parts)
            _check_name(name, folder)
            entries.append(Entry(name, parts[0], name))
    if not entries:
        raise DataError(
            f"{folder} has no recordings in folders of their class: expected "
            f"<class>/<file>, with files of {', '.join(sorted(suffixes))}"
        )
    return entries


def _check_name(name: str, folder: Path) -> None:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{folder} has the file {name!a}, whose name is not UTF-8; rename it"
        ) from error


def read_table(path: Path, folder: Path) -> list[Entry]:
    """The files that a CSV lists, in columns file, label and perhaps group.

    Raises:
        DataError: it cannot be read, a column is missing, or a file leads out of the folder.
    """
    with reading(path, "table of recordings"):
        lines = csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig")))
        titles = [title.strip() for title in next(lines, [])]
        if not {"file", "label"} <= set(titles):
            raise DataError(
                f"{path} needs the columns file and label (and group, if there are groups)"
            )
        # Columns that are not known are passed over, and may be many.
        columns = {name: titles.index(name) for name in _COLUMNS if name in titles}
        rows = [
            (lines.line_num, {k: line[n].strip() for k, n in columns.items() if n < len(line)})
            for line in lines
            if line
        ]
    entries = [_entry(path, folder, number, row) for number, row in rows]
    if not entries:
        raise DataError(f"{path} lists no files")
    return entries


def _entry(path: Path, folder: Path, number: int, row: Mapping[str, str]) -> Entry:
    """What a line of a table says."""
    file, label = row.get("file", ""), row.get("label", "")
    if not file or not label:
        raise DataError(f"{path}, line {number}: a file and a label are needed")
    if "\0" in file:
        raise DataError(f"{path}, line {number}: a name with a null character names no file")
    if not (folder / file).resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{path}, line {number}: {file} lies outside of {folder}")
    return Entry(file, label, row.get("group") or file)


def look(
    folder: Path, entries: Sequence[Entry], track: Callable[[Sequence[Entry]], Iterable[Entry]]
) -> Seen:
    """Read every file once.

    Args:
        folder: to which the files are relative.
        entries: the files.
        track: yields the entries, and may show how far it is.

    Raises:
        DataError: none can be read, or they have fewer than two classes.
    """
    good, durations, counts, bad = [], [], [], []
    sensor = [1, 1, 1]
    for entry in track(entries):
        try:
            events = read_recording(folder / entry.file)
        except DataError as error:
            bad.append(str(error))
            continue
        good.append(entry)
        sensor = [max(pair) for pair in zip(sensor, events.sensor, strict=True)]
        durations.append((int(events.t.max()) - int(events.t.min())) / 1e6)
        counts.append(len(events))
    if not good:
        raise DataError(f"none of {len(bad)} files in {folder} can be read; the first: {bad[0]}")
    if len({entry.label for entry in good}) < 2:
        raise DataError(f"{folder} has one class only ({good[0].label}); at least two are needed")
    polarities, height, width = sensor
    return Seen(
        good, (polarities, height, width), np.array(durations), np.array(counts, np.int64), bad
    )


def draw_parts(entries: Sequence[Entry], validation: float, test: float, seed: int) -> list[Entry]:
    """The entries, each with its part; stratified, and a group never in two parts.

    A group counts as its most frequent class.

    Args:
        entries: the files.
        validation: share of the groups that are not tested on, to validate.
        test: share of the groups, to test.
        seed: draws the parts.

    Raises:
        DataError: a part is left empty.
    """
    members: dict[str, list[str]] = defaultdict(list)
    for entry in entries:
        members[entry.group].append(entry.label)
    groups = sorted(members)
    classes = sorted({entry.label for entry in entries})
    main = [classes.index(Counter(members[group]).most_common(1)[0][0]) for group in groups]
    tested = round(len(groups) * test)
    validated = round((len(groups) - tested) * validation)
    sizes = [len(groups) - tested - validated, validated, tested]
    if min(sizes) < 1:
        raise DataError(
            f"{len(groups)} groups are split into {sizes[0]} to train, {sizes[1]} to validate and "
            f"{sizes[2]} to test; each part needs one"
        )
    rows = stratified(np.array(main), sizes, seed)
    part = {groups[row]: name for name, each in zip(PARTS, rows, strict=True) for row in each}
    return [dataclasses.replace(entry, part=part[entry.group]) for entry in entries]


def write_index(path: Path, folder: Path, seen: Seen, entries: Sequence[Entry]) -> None:
    """Write an index; files are kept relative to `folder`.

    Raises:
        DataError: it is there already, or cannot be written.
    """
    content = {
        "version": _VERSION,
        "folder": str(folder.resolve()),
        "sensor": list(seen.sensor),
        "classes": sorted({entry.label for entry in entries}),
        "files": [dataclasses.asdict(entry) for entry in entries],
    }
    try:
        write_whole(path, json.dumps(content, indent=1, ensure_ascii=False).encode(), new=True)
    except FileExistsError:
        raise DataError(f"{path} exists already; name another file with --out") from None
    except OSError as error:
        raise DataError(f"{path} cannot be written ({error.strerror})") from error


def read_index(path: Path) -> tuple[Path, tuple[int, int, int], list[str], list[Entry]]:
    """Folder, sensor, classes and files of an index.

    Raises:
        DataError: it is missing, damaged, or of another version, or a file leads out of its folder.
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
        entries = [Entry(**each) for each in content["files"]]
        folder, classes = Path(content["folder"]), [str(name) for name in content["classes"]]
        if not all(isinstance(each, str) for e in entries for each in dataclasses.astuple(e)):
            raise DataError(f"{path} has an entry that is no text")
    if not (polarities in (1, 2) and 0 < height <= LARGEST and 0 < width <= LARGEST):
        raise DataError(
            f"{path} tells of a sensor {(polarities, height, width)}, which no camera has"
        )
    for entry in entries:
        inside = Path(os.path.normpath(entry.file))
        if inside.is_absolute() or inside.parts[:1] == (os.pardir,):
            raise DataError(f"{path} names the file {entry.file}, outside of its folder {folder}")
    if any(entry.part not in PARTS or entry.label not in classes for entry in entries):
        raise DataError(f"{path} names a part or a class that it does not have")
    return folder, (polarities, height, width), classes, entries


def summary(seen: Seen, entries: Sequence[Entry]) -> dict[str, Any]:
    """What an import found, for a table."""
    balance = Counter(entry.label for entry in entries)
    parts = Counter(entry.part for entry in entries)
    rates = seen.counts / np.maximum(seen.durations, 1e-6)
    few, many = min(balance.values()), max(balance.values())
    return {
        "recordings": f"{len(entries):,}",
        "sensor": f"{seen.sensor[2]} x {seen.sensor[1]}, {seen.sensor[0]} polarities",
        "duration, median": _spread(seen.durations, "s"),
        "events, median": _spread(seen.counts, ""),
        "rate, median": _spread(rates, "events/s"),
        "classes": f"{len(balance)}, with {few} to {many} recordings each",
        "groups": f"{len({entry.group for entry in entries}):,}",
        "parts": ", ".join(f"{name} {parts[name]}" for name in PARTS),
        "bad files": str(len(seen.bad)),
    }


def _spread(values: npt.NDArray[Any], unit: str) -> str:
    return f"{np.median(values):,.4g} {unit} (from {values.min():,.4g} to {values.max():,.4g})"
