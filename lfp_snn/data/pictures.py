"""Readers of pictures and films as brightness: images, animated images, folders of frames."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from lfp_snn.data.motion import FloatArray
from lfp_snn.errors import DataError
from lfp_snn.later import later
from lfp_snn.unpacking import DAMAGE, check_size, shown

if TYPE_CHECKING:
    from PIL import Image, ImageOps, ImageSequence
else:
    Image = later("PIL.Image")
    ImageOps = later("PIL.ImageOps")
    ImageSequence = later("PIL.ImageSequence")

_PIXEL_BYTES = 4
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


@contextmanager
def _opened(path: Path | str, content: bytes | None = None) -> Iterator[Image.Image]:
    """Open an image file, or the content of one; all its errors become DataErrors."""
    source: Path | str | io.BytesIO = path
    packed = None
    if content is not None:
        source, packed = io.BytesIO(content), len(content)
    try:
        with _open(source) as picture:
            check_size(path, _PIXEL_BYTES * picture.width * picture.height, packed)
            yield picture
    except (*DAMAGE, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be read as an image ({shown(error)})") from error


def _open(source: Path | str | io.BytesIO) -> Image.Image:
    with warnings.catch_warnings():  # what is too large is refused, and told once
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        return Image.open(source)


def _eight_bits(path: Path | str, picture: Image.Image, mode: Literal["L", "RGB"]) -> Image.Image:
    """An image in grey (ITU-R BT.601), or in red, green and blue; transparency is ignored."""
    if picture.mode[0] in "IF":
        raise DataError(
            f"{path} has pixels of 16 or 32 bits (mode {picture.mode}); save it with 8 bits"
        )
    if picture.mode == "P" and "transparency" in picture.info:
        picture = picture.convert("RGBA")  # to another mode Pillow would warn
    return picture.convert(mode)


def _grey(path: Path, picture: Image.Image) -> Image.Image:
    return _eight_bits(path, picture, "L")


def _brightness(picture: Image.Image, side: int | None) -> FloatArray:
    """The brightness in [0, 1] of an image, scaled so that the longer side has `side` pixels."""
    if side is not None and side != max(picture.size):
        scale = side / max(picture.size)
        width, height = (max(1, round(length * scale)) for length in picture.size)
        picture = picture.resize((width, height), Image.Resampling.BOX)
    return np.asarray(picture) / 255


def is_film(path: Path) -> bool:
    """Whether a path is a folder, or an image file of several frames.

    Raises:
        DataError: the file cannot be read.
    """
    if path.is_dir():
        return True
    with _opened(path) as picture:
        return getattr(picture, "n_frames", 1) > 1


def read_still(path: Path, side: int | None = None) -> FloatArray:
    """Read the brightness of an image in [0, 1], float64 [rows, columns].

    Args:
        path: the file.
        side: the pixels of the longer side, to which the image is scaled; None to leave its size.

    Raises:
        DataError: the file cannot be read.
    """
    with _opened(path) as picture:
        return _brightness(_grey(path, picture), side)


def read_film(
    path: Path, fps: float | None = None, side: int | None = None
) -> Iterator[tuple[int, FloatArray]]:
    """Read a film frame by frame: times in microseconds, from 0, and brightness.

    Args:
        path: an animated image, or a folder of images, in the order of the numbers in their names.
        fps: the frames a second; None as the file says, which a folder does not.
        side: the pixels of the longer side, to which the frames are scaled; None to leave their
            size.

    Raises:
        DataError: a frame cannot be read, nothing says how long frames last, or two frames have the
            same time.
    """
    if fps is None and path.is_dir():
        raise DataError(f"{path} is a folder of frames, without times; give fps")
    t = 0.0
    for n, (picture, milliseconds) in enumerate(_frames(path)):
        yield round(t if fps is None else n * 1e6 / fps), _brightness(picture, side)
        if fps is None and not milliseconds > 0:
            raise DataError(f"{path} does not say how long frame {n} is shown; give fps")
        t += 1e3 * milliseconds


def _frames(path: Path) -> Iterator[tuple[Image.Image, float]]:
    """Grey frames, and the milliseconds for which each is shown (0 if unknown)."""
    if path.is_dir():
        files = sorted(_pictures(path), key=_by_numbers)
        if not files:
            raise DataError(f"{path} has no frames: no file of {', '.join(SUFFIXES)}")
        for file in files:
            with _opened(file) as picture:
                frame = _grey(file, picture)
            yield frame, 0
        return
    with _opened(path) as film:
        for picture in ImageSequence.Iterator(film):
            yield _grey(path, picture), float(picture.info.get("duration", 0))


def _pictures(folder: Path) -> list[Path]:
    return [path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES]


def _by_numbers(path: Path) -> list[tuple[int, str]]:
    """A key that sorts frame2 before frame10."""
    pieces = re.split(r"(\d+)", path.name)
    return [(int(p), "") if p.isdigit() else (0, p) for p in pieces]


def picture(
    path: Path | str, content: bytes, *, colour: bool, side: int | None = None
) -> npt.NDArray[np.uint8]:
    """Decode an image of 8 bits a value from the content of its file.

    Args:
        path: the path that messages name.
        content: the content of the file.
        colour: whether to keep red, green and blue; else grey. Transparency is ignored.
        side: the side in pixels of the square that it becomes, scaled to fit, on black; None to
            leave it as it is.

    Returns:
        The image, uint8 [1 or 3, rows, columns].

    Raises:
        DataError: the file is no image, is damaged, would unpack to far more than its size, or has
            more than 8 bits.
    """
    with _opened(path, content) as opened:
        image = _eight_bits(path, opened, "RGB" if colour else "L")
        if side is not None:
            image = ImageOps.pad(image, (side, side), Image.Resampling.BOX)
        pixels = np.asarray(image)
    return pixels.transpose(2, 0, 1) if colour else pixels[np.newaxis]
