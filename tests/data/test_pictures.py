"""Pictures and films in files that the tests write, and files that are none."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lfp_snn.data.pictures import is_film, read_classes, read_film, read_still
from lfp_snn.errors import DataError

GREY = np.random.default_rng(0).integers(0, 256, (12, 20), dtype=np.uint8)


def write_gif(path: Path, frames: list[np.ndarray], milliseconds: int | list[int]) -> None:
    """Grey frames that the palette of a GIF can hold."""
    pictures = [Image.fromarray(frame) for frame in frames]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=milliseconds)


def test_a_grey_image_is_its_brightness(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_still(tmp_path / "a.png"), GREY / 255)
    assert not is_film(tmp_path / "a.png")


def test_a_colour_image_is_its_luminance(tmp_path: Path) -> None:
    colours = np.random.default_rng(1).integers(0, 256, (5, 6, 3), dtype=np.uint8)
    Image.fromarray(colours).save(tmp_path / "a.png")
    expected = colours / 255 @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(read_still(tmp_path / "a.png"), expected, atol=1.01 / 255)


def test_an_image_is_scaled_by_its_longer_side(tmp_path: Path) -> None:
    Image.fromarray(GREY).save(tmp_path / "a.png")
    small = read_still(tmp_path / "a.png", 10)
    assert small.shape == (6, 10)
    means = GREY.reshape(6, 2, 10, 2).mean((1, 3)) / 255  # of the pixels that become one
    np.testing.assert_allclose(small, means, atol=1.01 / 255)


def test_a_gif_says_when_its_frames_are_shown(tmp_path: Path) -> None:
    frames = [np.full((4, 6), level, np.uint8) for level in (0, 100, 255, 30)]
    write_gif(tmp_path / "a.gif", frames, [20, 50, 100, 40])
    assert is_film(tmp_path / "a.gif")
    times, seen = zip(*read_film(tmp_path / "a.gif"), strict=True)
    assert times == (0, 20_000, 70_000, 170_000)
    np.testing.assert_allclose(np.stack(seen), np.stack(frames) / 255, atol=1.01 / 255)
    times, _ = zip(*read_film(tmp_path / "a.gif", fps=1000), strict=True)
    assert times == (0, 1000, 2000, 3000)
    assert next(read_film(tmp_path / "a.gif", side=3))[1].shape == (2, 3)


def test_a_folder_is_read_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    for number in (10, 9, 100):
        Image.fromarray(np.full((3, 3), number, np.uint8)).save(tmp_path / f"f{number}.png")
    (tmp_path / "notes.txt").write_text("no frame")
    times, seen = zip(*read_film(tmp_path, fps=3), strict=True)
    assert times == (0, 333_333, 666_667)
    assert [round(float(frame[0, 0]) * 255) for frame in seen] == [9, 10, 100]


def test_names_what_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"no picture")
    Image.fromarray(GREY).save(tmp_path / "cut.png")
    content = (tmp_path / "cut.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(content[:80])
    Image.fromarray(GREY.astype(np.uint16) * 256).save(tmp_path / "deep.png")
    for name, message in (
        ("a.png", "cannot be read as an image"),
        ("cut.png", "cannot be read as an image"),
        ("none.png", "cannot be read as an image"),
        ("deep.png", "16 or 32 bits"),
    ):
        with pytest.raises(DataError, match=f"{name} .*{message}"):
            read_still(tmp_path / name)
    with pytest.raises(DataError, match="a folder of frames, without times; give fps"):
        next(read_film(tmp_path))
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty has no frames"):
        next(read_film(tmp_path / "empty", fps=10))
    write_gif(tmp_path / "timeless.gif", [GREY, 255 - GREY], 0)
    with pytest.raises(DataError, match="does not say how long frame 0"):
        list(read_film(tmp_path / "timeless.gif"))


def write_classes(root: Path, count: int = 10) -> None:
    """Folders of two classes: dark images and bright ones, of several shapes and modes."""
    for label, level in (("dark", 60), ("bright", 200)):
        (root / label).mkdir(parents=True)
        for n in range(count):
            shape = (8 + n, 16) if n % 2 else (16, 16, 3)
            Image.fromarray(np.full(shape, level, np.uint8)).save(root / label / f"{n}.png")


def test_classes_without_parts_are_split_alike(tmp_path: Path) -> None:
    write_classes(tmp_path)
    images, names = read_classes(tmp_path, 8, test=0.2)
    assert images.classes == ("bright", "dark")
    assert np.bincount(images.train_labels).tolist() == [8, 8]
    assert np.bincount(images.test_labels).tolist() == [2, 2]
    assert images.train.shape == (16, 1, 8, 8)
    assert len(set(names)) == 20 and names[0].startswith("bright/")
    labels = [*images.train_labels, *images.test_labels]
    for name, label, image in zip(names, labels, [*images.train, *images.test], strict=True):
        assert name.startswith(images.classes[label])
        assert image.max() == (60, 200)[name.startswith("bright")]  # the rest may be black rim
    again, _ = read_classes(tmp_path, 8, test=0.2)
    np.testing.assert_array_equal(again.test, images.test)


def test_classes_in_parts_keep_them(tmp_path: Path) -> None:
    write_classes(tmp_path / "train", 4)
    write_classes(tmp_path / "test", 3)
    images, names = read_classes(tmp_path, 8, test=0.5)
    assert (len(images.train), len(images.test)) == (8, 6)
    assert all(name.startswith("train/") for name in names[:8])
    assert all(name.startswith("test/") for name in names[8:])


def test_classes_that_are_missing(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="images of 0 classes, expected at least 2: put them in"):
        read_classes(tmp_path / "none", 8, test=0.5)
    write_classes(tmp_path, 1)
    with pytest.raises(DataError, match="leaves no images"):
        read_classes(tmp_path, 8, test=0.1)
