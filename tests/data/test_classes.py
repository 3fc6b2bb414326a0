"""`data.classes`: a part of the classes, numbered anew."""

from __future__ import annotations

import numpy as np
import pytest

from lfp_snn import data
from lfp_snn.errors import ConfigError


def test_samples_and_order_of_the_named_classes() -> None:
    whole, some = data.load("digits", steps=4), data.load("digits", steps=4, classes=[7, "2"])
    for part, kept in ((whole.train, some.train), (whole.val, some.val), (whole.test, some.test)):
        rows = np.flatnonzero(np.isin(part.labels, [7, 2]))
        assert kept.classes == ("7", "2")
        assert np.array_equal(kept.labels, np.where(part.labels[rows] == 7, 0, 1))
        theirs, mine = part.batch(rows[:5]), kept.batch(range(5))
        assert np.array_equal(mine.labels, kept.labels[:5])
        assert type(theirs.x) is type(mine.x)
    assert some.info["sizes"] == {n: len(getattr(some, n)) for n in ("train", "val", "test")}
    assert whole.train.classes == tuple("0123456789")


def test_a_subset_of_some_classes_is_of_them() -> None:
    some = data.load("digits", steps=4, classes=[1, 3]).train
    assert np.array_equal(some.subset([4, 0]).labels, some.labels[[4, 0]])


@pytest.mark.parametrize(
    ("classes", "message"),
    [([1, "x"], "^classes has 'x', but the classes are 0, 1"), ([1, 1], "more than once")],
)
def test_wrong_names(classes: list[int | str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        data.load("digits", steps=4, classes=classes)
