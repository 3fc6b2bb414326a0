"""Stratified splits: every part holds the classes in the same proportions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from lfp_snn.errors import DataError
from lfp_snn.wording import setting

Labels = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]


def stratified(labels: Labels, sizes: Sequence[int], seed: int) -> list[Rows]:
    """Draw disjoint parts of exactly the given sizes, each with the classes of the whole.

    Samples are lined up so that any stretch of the line holds the classes in proportion (the j-th
    of n_c shuffled samples of class c stands at (j + 1/2) / n_c), and the parts are cut from it.

    Args:
        labels: the class of each sample, int64 [N].
        sizes: the number of samples of each part; together at most N.
        seed: the seed of the draw; equal seeds give equal parts.

    Returns:
        One ascending array of positions in `labels` for each size.
    """
    rng = np.random.default_rng(seed)
    shuffled = rng.permutation(len(labels))
    place = np.empty(len(labels))
    for label in np.unique(labels):
        members = shuffled[labels[shuffled] == label]
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    line = shuffled[np.argsort(place[shuffled], kind="stable")]
    ends = np.cumsum(sizes)
    return [np.sort(line[end - size : end]) for size, end in zip(sizes, ends, strict=True)]


def split_train(
    labels: Labels, validation: float, train: int | None, seed: int
) -> tuple[Rows, Rows]:
    """Split the samples of a training part into training and validation.

    Args:
        labels: the class of each sample, int64 [N].
        validation: the share held out to validate.
        train: the number of the others to keep (None: all). The validation part does not depend on
            it.
        seed: the seed of the split.

    Raises:
        DataError: the share leaves one of the two parts empty, or `train` is more than there are.
    """
    held_out = round(len(labels) * validation)
    rest = len(labels) - held_out
    if held_out == 0 or rest == 0:
        raise DataError(
            f"a validation share of {validation:g} splits {len(labels)} training samples into "
            f"{rest} and {held_out}; both parts need at least one"
        )
    if train is not None and train > rest:
        raise DataError(
            f"{setting('data.train')} asks for {train} training samples, but there are {rest} "
            "beside the "
            f"{held_out} that validate"
        )
    val, chosen = stratified(labels, [held_out, rest if train is None else train], seed)
    return chosen, val


def split_parts(
    labels: Labels,
    parts: npt.NDArray[Any],
    *,
    validation: float,
    train: int | None,
    seed: int,
    where: object,
) -> dict[str, Rows]:
    """The samples of each part of a published split; validation out of training if there is none.

    Args:
        labels: class of each sample, int64 [N].
        parts: `train`, `val` or `test` for each.
        validation: share of the training part held out to validate, where none is published.
        train: keep so many of the others (None: all).
        seed: draws the split.
        where: the data is, for messages.

    Raises:
        DataError: a part is left empty, or fewer than two classes train.
    """
    rows = {part: np.flatnonzero(parts == part) for part in ("train", "val", "test")}
    for part in ("train", "test"):
        if not len(rows[part]):
            raise DataError(f"{where} leaves nothing for the part {part}")
    learnt = rows["train"]
    if len(np.unique(labels[learnt])) < 2:
        raise DataError(f"{where} has training samples of one class only; at least two are needed")
    if not len(rows["val"]):
        drawn, held = split_train(labels[learnt], validation, train, seed)
        return {**rows, "train": learnt[drawn], "val": learnt[held]}
    if train is None:
        return rows
    if train > len(learnt):
        raise DataError(
            f"{setting('data.train')} asks for {train} training samples, but there are "
            f"{len(learnt)}"
        )
    (some,) = stratified(labels[learnt], [train], seed)
    return {**rows, "train": learnt[some]}
