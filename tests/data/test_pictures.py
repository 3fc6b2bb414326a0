"""Pictures and films in files that the tests write, and files that are none."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lfp_snn.data.pictures import is_film, picture, read_film, read_still
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


def content(image: Image.Image, form: str = "png", **options: Any) -> bytes:
    """The file of an image."""
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


COLOURS = np.random.default_rng(1).integers(0, 256, (5, 6, 3), dtype=np.uint8)
CMYK = Image.fromarray(COLOURS).convert("CMYK")
#: The same colours in every mode that keeps them.
MODES = {
    "RGB": content(Image.fromarray(COLOURS)),
    "RGBA": content(Image.fromarray(np.dstack([COLOURS, np.full((5, 6), 9, np.uint8)]))),
    "P": content(Image.fromarray(COLOURS).quantize(64)),
    "P, transparent": content(Image.fromarray(COLOURS).quantize(64), transparency=b"\x00\x09"),
    "CMYK": content(CMYK, "tiff"),
}


@pytest.mark.parametrize("mode", MODES)
def test_an_image_of_any_mode_is_its_colours(mode: str) -> None:
    seen = picture("a", MODES[mode], colour=True)
    assert seen.shape == (3, 5, 6) and seen.dtype == np.uint8
    np.testing.assert_allclose(seen, COLOURS.transpose(2, 0, 1), atol=1)
    grey = picture("a", MODES[mode], colour=False)
    assert grey.shape == (1, 5, 6)
    np.testing.assert_allclose(grey[0], COLOURS @ [0.299, 0.587, 0.114], atol=2)


def test_grey_and_black_and_white_have_three_equal_colours() -> None:
    for image, expected in (
        (Image.fromarray(GREY), GREY),
        (Image.fromarray(GREY > 127), (GREY > 127) * 255),
        (Image.merge("LA", [Image.fromarray(GREY)] * 2), GREY),
    ):
        seen = picture("a", content(image), colour=True)
        np.testing.assert_array_equal(seen, np.stack([expected] * 3))


def test_a_square_holds_the_whole_image_on_black() -> None:
    bright = content(Image.fromarray(np.full((6, 12), 200, np.uint8)))
    square = picture("a", bright, colour=False, side=4)
    np.testing.assert_array_equal(square[0], np.repeat([0, 200, 200, 0], 4).reshape(4, 4))


def huge(width: int, height: int) -> bytes:
    """A PNG that says that it has so many pixels, and has none."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    chunk = b"IHDR" + header
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk + struct.pack(
        ">I", zlib.crc32(chunk)
    ) + struct.pack(">I", 0) + b"IDAT" + struct.pack(">I", zlib.crc32(b"IDAT"))  # fmt: skip


@pytest.mark.parametrize(
    ("damaged", "message"),
    [
        (MODES["RGB"][:60], "cannot be read as an image"),
        (b"words", "cannot be read as an image"),
        (b"", "cannot be read as an image"),
        (huge(12_000, 12_000), "would unpack to 549 MiB"),  # Pillow would warn
        (huge(60_000, 60_000), "cannot be read as an image"),  # Pillow would refuse
        (content(Image.fromarray(GREY.astype(np.uint16))), "16 or 32 bits"),
        (content(Image.fromarray(GREY.astype(np.float32)), "tiff"), "16 or 32 bits"),
    ],
)
def test_no_image_is_told_by_its_name(damaged: bytes, message: str) -> None:
    with pytest.raises(DataError, match=f"^cats/1.png .*{message}"):
        picture("cats/1.png", damaged, colour=True)
