"""What is odd about the times of a recording, and what is not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from lfp_snn.data.events import Events
from lfp_snn.data.notices import notices

GOOD = np.sort(np.random.default_rng(0).integers(0, 100_000, 500))
LATE = GOOD + (1 << 32) - 60_000


def at(t: npt.NDArray[np.int64]) -> Events:
    zeros = np.zeros(len(t), np.int16)
    return Events(zeros, zeros, t, zeros.astype(np.uint8), (2, 1, 1))


@pytest.mark.parametrize(
    ("t", "told"),
    [
        (GOOD, []),
        (np.array([5]), ["zero duration: all 1 events"]),
        (np.full(9, 7), ["zero duration: all 9 events"]),
        (np.where(np.arange(500) == 250, GOOD - 5000, GOOD), ["run backwards once"]),
        (LATE % (1 << 32), ["clock wrapped"]),
        (np.concatenate([GOOD, GOOD]), ["fall back to the beginning once"]),
        (np.append(GOOD, 1 << 40), ["1 event lies far from all others"]),
        (np.append(GOOD - (1 << 40), GOOD), []),
        (np.insert(GOOD, 250, 1 << 40), ["run backwards once", "1 event lies far"]),
        (np.concatenate([[-(1 << 40), 3 - (1 << 40)], GOOD]), ["2 events lie far"]),
        (np.concatenate([GOOD, GOOD + 5_000_000]), []),  # a pause is no outlier
        (GOOD[::-1].copy(), ["run backwards 4"]),
    ],
)
def test_odd_times_are_told(t: npt.NDArray[np.int64], told: list[str]) -> None:
    found = notices(at(t))
    assert len(found) == len(told), found
    for sentence, part in zip(found, told, strict=True):
        assert part in sentence
