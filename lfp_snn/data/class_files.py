"""Labelled files in folders of their class, in a folder or a zip, with their class and part."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lfp_snn.data.entries import Entry, in_classes
from lfp_snn.data.parts import draw_parts, of_folders
from lfp_snn.data.tree import Tree, open_tree
from lfp_snn.errors import DataError
from lfp_snn.wording import setting


@dataclass(frozen=True)
class ClassFiles:
    """Labelled files with their parts.

    Args:
        tree: the tree that holds the files.
        entries: the files, each with its part.
        classes: the names of the classes, in the order of their numbers.
    """

    tree: Tree
    entries: list[Entry]
    classes: tuple[str, ...]

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """The class of each file, int64 [N]."""
        number = {name: n for n, name in enumerate(self.classes)}
        return np.array([number[entry.label] for entry in self.entries], np.int64)

    @property
    def parts(self) -> npt.NDArray[Any]:
        """The part of each file: train, val or test."""
        return np.array([entry.part for entry in self.entries])


def class_files(root: Path, suffixes: tuple[str, ...], what: str, test: float) -> ClassFiles:
    """Find files of `<class>/<file>`, or of `train/<class>/<file>`, `test/...`, perhaps `val/...`.

    Args:
        root: a folder or a zip.
        suffixes: the endings of the names of the files.
        what: a word that says what the files are, for messages.
        test: the share of the files that test where the folders do not say which, of all classes
            alike, the same in every run.

    Raises:
        DataError: there is no such folder, it has fewer than two classes, or a part is left empty.
    """
    if not root.exists():
        raise DataError(
            f"{root} is missing: put {what} there in <class>/<file>, or train/<class>/<file> and "
            f"test/<class>/<file>, or name another folder or zip with {setting('data.root')}"
        )
    tree = open_tree(root, suffixes)
    entries = of_folders(in_classes(tree, what, suffixes))
    classes = tuple(sorted({entry.label for entry in entries}))
    if len(classes) < 2:
        raise DataError(
            f"{root} has {what} of {len(classes)} class, expected at least 2: put them in "
            "<class>/<file>, or train/<class>/<file> and test/<class>/<file>"
        )
    try:
        return ClassFiles(tree, draw_parts(entries, 0, test, 0), classes)
    except DataError as error:
        raise DataError(f"{root}: {error}") from error
