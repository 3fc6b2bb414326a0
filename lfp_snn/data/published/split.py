"""A stored split, for datasets that were published without one.

A fifth of the recordings tests, drawn by class. The draw is kept in `split.json` beside the data:
a recording that was tested on once always is, also when others come later or are taken away.
"""

import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from lfp_snn.data.splits import stratified
from lfp_snn.errors import DataError
from lfp_snn.unpacking import DAMAGE, shown
from lfp_snn.wholefiles import write_whole

NAME = "split.json"
_SHARE = 1 / 5
_SEED = 0
_VERSION = 1


def tested(root: Path, ids: Sequence[str], labels: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether each recording tests, bool [N].

    Recordings that the stored split does not know are drawn now and added to it. If it cannot be
    written, a warning says so: the draw then holds as long as the same recordings are there.

    Args:
        root: the folder of the dataset.
        ids: the name of each recording, the same wherever the folder lies.
        labels: the class of each recording.

    Raises:
        DataError: the stored split is damaged.
    """
    path = root / NAME
    known = _read(path)
    new = np.array([n for n, name in enumerate(ids) if name not in known], np.int64)
    if len(new):
        order = new[np.argsort(np.array([ids[n] for n in new]))]  # in whatever order they came
        (drawn,) = stratified(labels[order], [round(len(order) * _SHARE)], _SEED)
        test = set(order[drawn].tolist())
        known |= {ids[n]: n in test for n in order.tolist()}
        _write(path, known)
    return np.array([known[name] for name in ids])


def _read(path: Path) -> dict[str, bool]:
    if not path.exists():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["version"] != _VERSION:
            raise DataError(f"{path} is a split of another version; move it away to draw anew")
        return {
            **{str(name): True for name in content["test"]},
            **{str(name): False for name in content["train"]},
        }
    except DAMAGE as error:
        raise DataError(
            f"{path} is damaged ({shown(error)}); restore it, or move it away to draw a new split"
        ) from error


def _write(path: Path, known: dict[str, bool]) -> None:
    content = {
        "version": _VERSION,
        "seed": _SEED,
        "test": sorted(name for name, test in known.items() if test),
        "train": sorted(name for name, test in known.items() if not test),
    }
    try:
        write_whole(path, json.dumps(content, indent=0).encode())
    except OSError as error:
        warnings.warn(
            f"the split cannot be kept in {path} ({error.strerror}); it is drawn anew in each run, "
            "and stays the same only while the same recordings are there",
            stacklevel=4,
        )
