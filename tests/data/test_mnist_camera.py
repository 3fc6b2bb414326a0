"""MNIST images in front of the simulated camera."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lfp_snn.data import load
from lfp_snn.data.camera import Camera
from lfp_snn.data.motion import DURATION_US
from lfp_snn.errors import DataError

RealData = Callable[[str], Path]
SIDE, EXTENT = 34, 25.6  # of the sensor, and what the image covers of it


def test_parts_and_shapes(real_data: RealData) -> None:
    splits = load("mnist_camera", root=real_data("MNIST"), shown=40, test=20, steps=6)
    assert [len(part) for part in (splits.train, splits.val, splits.test)] == [35, 5, 20]
    assert splits.train.feature_shape == (2, 34, 34) and splits.train.steps == 6
    assert np.bincount(splits.test.labels).tolist() == [2] * 10
    assert "simulated" in splits.info["source"]
    batch = splits.train.batch(range(10)).x
    assert 0.005 < batch.dense().mean() < 0.2  # type: ignore[union-attr]
    with pytest.raises(DataError, match="70000 images of train are asked for, but there are 60000"):
        load("mnist_camera", root=real_data("MNIST"), shown=70_000)


def test_a_moving_edge_makes_the_events_of_the_closed_form() -> None:
    """A dark half beside a bright one: log intensity at a pixel that the edge passes changes by
    log(1.3 / 0.3), so that it sends floor of that over the threshold, each way in turn."""
    threshold, size = 0.2, 28
    image = np.zeros((1, size, size))
    image[:, :, size // 2 :] = 1.0
    events = Camera(threshold, 0.0, 0.0, 0).record(image, np.arange(1))
    expected = int(np.log(1.3 / 0.3) / threshold)
    # In the first saccade the image moves to the right: the edge darkens the pixels it passes.
    row = SIDE // 2 + 2
    first = events.t < DURATION_US // 3
    edge = (SIDE - 1 - 7) / 2  # where it is at the start, in the middle of the image
    passed = [x for x in range(SIDE) if edge + EXTENT / size < x < edge + 3.5 - EXTENT / size]
    for x in passed:
        chosen = first & (events.x == x) & (events.y == row)
        assert int(chosen.sum()) == expected
        assert not events.p[chosen].any()
    assert passed
