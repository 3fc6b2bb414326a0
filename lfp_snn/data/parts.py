"""The parts of a user's recordings: given in a table or by folders, or drawn by group."""

import dataclasses
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np

from lfp_snn.data.entries import PARTS, Entry, part_named
from lfp_snn.data.splits import stratified
from lfp_snn.errors import DataError


def of_folders(entries: Sequence[Entry]) -> list[Entry]:
    """The entries of a folder, with parts where its folders are parts.

    Folders are parts if all at the top are named so and hold folders of classes, or if the other
    folders at the top are the classes that are in them (all that is no part is to train).

    Args:
        entries: the files as <class>/..., or <part>/<class>/...
    """
    inside: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        parts = PurePosixPath(entry.file).parts
        inside[parts[0]].add(parts[1] if len(parts) > 2 else "")
    named = {top for top in inside if part_named(top) and "" not in inside[top]}
    classes = set(inside) - named
    if not named or (classes and any(not inside[top] <= classes for top in named)):
        return list(entries)
    return [_of_folder(entry, named) for entry in entries]


def _of_folder(entry: Entry, named: set[str]) -> Entry:
    top, second, *_ = PurePosixPath(entry.file).parts
    if top not in named:
        return dataclasses.replace(entry, part="train")
    part = part_named(top)
    assert part is not None
    return dataclasses.replace(entry, part=part, label=second)


def draw_parts(entries: Sequence[Entry], validation: float, test: float, seed: int) -> list[Entry]:
    """The entries, each with its part; stratified, and a group never drawn into two parts.

    A group counts as its most frequent class. Parts that are given stay; where there is none to
    validate, it is drawn from the groups that train. Each part gets one group at least, if there
    are enough: of two groups one trains, one is tested, and none validates.

    Args:
        entries: the files.
        validation: the share of the groups that are not tested on, to validate; 0 for none.
        test: the share of the groups, to test, where parts are not given.
        seed: the seed of the draw.

    Raises:
        DataError: some files have a part and others none, or there is nothing to train or to test.
    """
    given = {entry.part for entry in entries}
    if "" in given and len(given) > 1:
        lacking = next(entry.file for entry in entries if not entry.part)
        raise DataError(f"{lacking} has no part, but others have one; give one to each, or to none")
    if "" not in given:
        for name in ("train", "test"):
            if name not in given:
                raise DataError(f"no file is of the part {name}; the parts given need one")
        test = 0
    free = [entry for entry in entries if entry.part in ("", "train")]
    if "val" in given:
        return list(entries)
    sizes = _sizes(len({entry.group for entry in free}), validation, test, "" in given)
    drawn = _drawn(free, sizes, seed)
    return [
        dataclasses.replace(e, part=drawn[e.group]) if e.part in ("", "train") else e
        for e in entries
    ]


def _sizes(groups: int, validation: float, test: float, tested_too: bool) -> list[int]:
    tested = max(1, round(groups * test)) if test else 0
    rest = groups - tested
    validated = min(max(1, round(rest * validation)), rest - 1) if validation else 0
    sizes = [rest - max(validated, 0), max(validated, 0), tested]
    if sizes[0] < 1 or (tested_too and not tested):
        raise DataError(
            f"{groups} groups are split into {sizes[0]} to train, {sizes[1]} to validate and "
            f"{sizes[2]} to test; to train and to test each need one"
        )
    return sizes


def _drawn(entries: Sequence[Entry], sizes: Sequence[int], seed: int) -> dict[str, str]:
    """The part of each group."""
    members: dict[str, list[str]] = defaultdict(list)
    for entry in entries:
        members[entry.group].append(entry.label)
    groups = sorted(members)
    classes = sorted({entry.label for entry in entries})
    main = [classes.index(Counter(members[group]).most_common(1)[0][0]) for group in groups]
    rows = stratified(np.array(main), sizes, seed)
    return {groups[row]: name for name, each in zip(PARTS, rows, strict=True) for row in each}


def shared_groups(entries: Sequence[Entry]) -> list[str]:
    """The groups that are in more than one part, as only given parts can have them."""
    parts: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        parts[entry.group].add(entry.part)
    return sorted(group for group, among in parts.items() if len(among) > 1)
