"""Images of datasets and of folders in front of the simulated camera; single files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lfp_snn import data
from lfp_snn.data.camera import Camera
from lfp_snn.data.images import luminance
from lfp_snn.data.motion import DURATION_US, Saccades
from lfp_snn.data.simulated import simulate_file
from lfp_snn.errors import DataError
from tests.data.helpers import spikes, write_mnist
from tests.data.test_cifar10 import IMAGES, write_records
from tests.data.test_pictures import write_classes, write_gif

CAMERA = Camera(0.2, 0.0, 0.0, 0)


def test_mnist_is_seen_as_by_the_dataset_of_its_own(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 28, 28), dtype=np.uint8)
    write_mnist(tmp_path, images, np.arange(40, dtype=np.uint8) % 10)
    shown: dict[str, Any] = {"root": tmp_path, "shown": 30, "test": 10, "steps": 5}
    own = data.load("mnist_camera", **shown)
    general = data.load("image_camera", images="mnist", **shown)
    assert general.info["sizes"] == own.info["sizes"]
    assert general.train.feature_shape == (2, 34, 34)
    assert spikes(general.val.batch([0, 1])) == spikes(own.val.batch([0, 1]))
    fashion = data.load("image_camera", images="fashion_mnist", side=20, **shown)
    assert fashion.train.feature_shape == (2, 20, 20)
    assert "Sandal" in fashion.train.classes
    with pytest.raises(DataError, match="50 images of train are asked for, but there are 40"):
        data.load("image_camera", images="mnist", **{**shown, "shown": 50})


def test_colours_are_seen_by_their_luminance(tmp_path: Path) -> None:
    write_records(tmp_path)
    splits = data.load("image_camera", images="cifar10", root=tmp_path, validation=0.2, steps=4)
    assert splits.info["sizes"] == {"train": 40, "val": 10, "test": 10}
    x = spikes(splits.test.batch([3]))
    seen = luminance(IMAGES[3:4].reshape(1, 3, 32, 32))
    camera = Camera(0.35, 0.1, 0.3, 0)
    events = camera.record(seen, np.array([53]), Saccades())  # test images come after 50
    units = np.unique(events.units())
    # Binning leaves out the last events, which the rounding of the bins has no room for.
    assert set(np.unique(x.indices)) <= set(units.tolist())
    assert len(np.unique(x.indices)) > 0.99 * len(units)


def test_a_folder_of_images(tmp_path: Path) -> None:
    write_classes(tmp_path)
    splits = data.load("image_camera", root=tmp_path, steps=5, side=16, validation=0.25)
    assert splits.info["sizes"] == {"train": 12, "val": 4, "test": 4}
    assert splits.train.classes == ("bright", "dark")
    assert splits.train.feature_shape == (2, 16, 16)
    for name, label in zip(splits.train.ids, splits.train.labels, strict=True):
        assert name.startswith(splits.train.classes[label])
    # A bright square on black makes more events than a dark one.
    x, labels = splits.test.batch(range(4)), splits.test.labels
    counts = spikes(x).dense().sum((0, 2, 3, 4)).numpy()
    assert counts[labels == 0].min() > counts[labels == 1].max()
    with pytest.raises(DataError, match="dark has no images in folders of their class"):
        data.load("image_camera", root=tmp_path / "dark")


def test_the_edge_of_a_gif_makes_the_events_of_the_closed_form(tmp_path: Path) -> None:
    frames = []
    for edge in range(7):
        frames.append(np.zeros((4, 6), np.uint8))
        frames[-1][:, :edge] = 255
    write_gif(tmp_path / "edge.gif", frames, 40)
    events, seconds = simulate_file(tmp_path / "edge.gif", CAMERA)
    assert events.sensor == (2, 4, 6) and events.p.all() and seconds == pytest.approx(0.24)
    span = np.log(1.3 / 0.3)
    expected = 40_000 * 0.2 * np.arange(1, int(span / 0.2) + 1) / span
    for x in range(6):
        times = events.t[(events.x == x) & (events.y == 2)]
        np.testing.assert_allclose(times, 40_000 * x + expected - 0.5, atol=0.5 + 1e-6)
    rested, _ = simulate_file(tmp_path / "edge.gif", CAMERA, rest_ms=8.0)
    for x in range(6):
        times = rested.t[(rested.x == x) & (rested.y == 2)]
        assert 0 < len(times) < len(expected) and np.diff(times).min() >= 8_000


def test_an_image_of_any_size_is_seen_by_a_sensor_of_any_size(tmp_path: Path) -> None:
    image = np.zeros((300, 200), np.uint8)
    image[100:200, 50:150] = 255
    Image.fromarray(image).save(tmp_path / "a.png")
    for size, side in ((None, 34), (50, 50)):
        events, seconds = simulate_file(tmp_path / "a.png", CAMERA, size=size)
        assert events.sensor == (2, side, side) and seconds == DURATION_US * 1e-6
        # The square lies in the middle of the sensor, and so do its events.
        middle = (side - 1) / 2
        assert abs(events.x.mean() - middle) < side / 12
        assert abs(events.y.mean() - middle) < side / 12


def test_files_without_events(tmp_path: Path) -> None:
    frame = np.full((4, 6), 99, np.uint8)
    for number in range(3):
        Image.fromarray(frame).save(tmp_path / f"{number}.png")
    with pytest.raises(DataError, match="makes no events; lower the threshold"):
        simulate_file(tmp_path, CAMERA, fps=10)
    with pytest.raises(DataError, match="is one image"):
        simulate_file(tmp_path / "0.png", CAMERA, fps=10)
