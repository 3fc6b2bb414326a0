"""The recordings of a user, file by file: found in folders of their class, or listed in a table."""

import codecs
import csv
import dataclasses
import io
import math
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lfp_snn.data.tree import Tree, open_tree
from lfp_snn.errors import DataError
from lfp_snn.later import later
from lfp_snn.unpacking import reading

if TYPE_CHECKING:
    from lfp_snn.data import formats
else:
    formats = later("lfp_snn.data.formats")

#: In the order of :class:`lfp_snn.data.Splits`.
PARTS = ("train", "val", "test")
_SPELLINGS = {
    "train": "train", "training": "train",
    "val": "val", "valid": "val", "validation": "val", "dev": "val",
    "test": "test", "testing": "test",
}  # fmt: skip
_COLUMNS = ("file", "label", "group", "part")  # of a table


@dataclasses.dataclass(frozen=True)
class Entry:
    """A recording of the user, as a file with its label.

    Args:
        file: the path of the file in its folder.
        label: the class of the recording; empty where there are targets only.
        group: the name of its group; recordings of a group are never drawn into two parts.
        part: the part, train, val or test; empty until it is known.
        targets: the numbers to learn.
    """

    file: str
    label: str
    group: str
    part: str = ""
    targets: tuple[float, ...] = ()


def find(folder: Path) -> list[Entry]:
    """Find the recordings in folder/<class>/..., each a group of its own.

    Raises:
        DataError: there are no recordings.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder")
    suffixes = {suffix for each in formats.FORMATS.values() for suffix in each.suffixes}
    return in_classes(open_tree(folder, suffixes), "recordings", suffixes)


def in_classes(tree: Tree, what: str, suffixes: Collection[str]) -> list[Entry]:
    """The files in <class>/..., each a group of its own.

    Args:
        tree: the tree that holds the files.
        what: a word that says what the files are, for the message.
        suffixes: the endings of their names, for the message.

    Raises:
        DataError: there are no files.
    """
    entries = [Entry(name, name.split("/")[0], name) for name in tree.names if "/" in name]
    if not entries:
        raise DataError(
            f"{tree.path} has no {what} in folders of their class: expected "
            f"<class>/<file>, with files of {', '.join(sorted(suffixes))}"
        )
    return entries


def read_table(path: Path, folder: Path, targets: Sequence[str] = ()) -> list[Entry]:
    """Read the files that a CSV lists, in columns file, label and perhaps group, part and targets.

    Columns may be parted by commas, semicolons or tabs, as spreadsheets write them.

    Args:
        path: the CSV.
        folder: the folder to which the files are relative.
        targets: the columns of numbers to learn; in their place no class is learnt, so that with
            them the column label may be missing, and is passed over.

    Raises:
        DataError: the CSV cannot be read, a column is missing, a file leads out of the folder or
            stands there twice, there is no such part, or a target is no number.
    """
    with reading(path, "table of recordings"):
        content = path.read_bytes()
        wide = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        text = content.decode("utf-16" if wide else "utf-8-sig")
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        parted = max(",;\t", key=text.partition("\n")[0].count)
        lines = csv.reader(io.StringIO(text), delimiter=parted)
        titles = [title.strip() for title in next(lines, [])]
        if "file" not in titles or not ("label" in titles or targets):
            raise DataError(
                f"{path} needs the columns file and label (and group, if there are groups, and "
                "part, if the split is given)"
            )
        for name in targets:
            if name not in titles or name in _COLUMNS:
                raise DataError(f"{path} has no column of targets {name!r}; it has {titles}")
        # Columns that are not known are passed over, and may be many.
        wanted = [name for name in _COLUMNS if not (targets and name == "label")]
        columns = {name: titles.index(name) for name in (*wanted, *targets) if name in titles}
        rows = [
            (lines.line_num, {k: line[n].strip() for k, n in columns.items() if n < len(line)})
            for line in lines
            if line
        ]
    given = [name for name in _COLUMNS if name in columns]
    entries = [_entry(path, folder, number, row, given, targets) for number, row in rows]
    if not entries:
        raise DataError(f"{path} lists no files")
    seen: dict[str, int] = {}
    for (number, _), entry in zip(rows, entries, strict=True):
        before = seen.setdefault(os.path.normpath(entry.file), number)
        if before != number:  # it could be in two parts
            raise DataError(f"{path}, line {number}: {entry.file} stands in line {before} already")
    return entries


def _entry(
    path: Path,
    folder: Path,
    number: int,
    row: Mapping[str, str],
    given: Sequence[str],
    targets: Sequence[str],
) -> Entry:
    """The entry of a line of a table, from the columns that are given."""
    file, label, word = row.get("file", ""), row.get("label", ""), row.get("part", "")
    if not file or ("label" in given and not label):
        needed = "a file and a label are" if "label" in given else "a file is"
        raise DataError(f"{path}, line {number}: {needed} needed")
    if "\0" in file:
        raise DataError(f"{path}, line {number}: a name with a null character names no file")
    if not (folder / file).resolve().is_relative_to(folder.resolve()):
        raise DataError(f"{path}, line {number}: {file} lies outside of {folder}")
    part = part_named(word)
    if part is None and "part" in given:
        raise DataError(f"{path}, line {number}: the part is {word!r}; expected train, val or test")
    numbers = tuple(_number(path, number, name, row.get(name, "")) for name in targets)
    return Entry(file, label, row.get("group") or file, part or "", numbers)


def _number(path: Path, line: int, name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{path}, line {line}: {name} is {text!r}; expected a finite number")
    return value


def part_named(word: str) -> str | None:
    """The part that a word means, in any usual spelling; `None` if it means none."""
    return _SPELLINGS.get(word.strip().lower())
