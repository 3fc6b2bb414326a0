"""Stratified splits: every part holds the classes in the same proportions."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from lfp_snn.errors import DataError

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
            f"data.train asks for {train} training samples, but there are {rest} beside the "
            f"{held_out} that validate"
        )
    val, chosen = stratified(labels, [held_out, rest if train is None else train], seed)
    return chosen, val
