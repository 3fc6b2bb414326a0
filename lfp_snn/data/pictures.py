"""Readers of pictures and films as brightness: images, animated images, folders of frames."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, ImageSequence

from lfp_snn.data.images import ImageArray, Images
from lfp_snn.data.motion import FloatArray
from lfp_snn.data.splits import stratified
from lfp_snn.errors import DataError
from lfp_snn.unpacking import DAMAGE, check_size

_PIXEL_BYTES = 4
SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")


@contextmanager
def _opened(path: Path) -> Iterator[Image.Image]:
    """Open an image file; all its errors become DataErrors."""
    try:
        with Image.open(path) as picture:
            check_size(path, _PIXEL_BYTES * picture.width * picture.height)
            yield picture
    except (*DAMAGE, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be read as an image ({error})") from error


def _grey(path: Path, picture: Image.Image) -> Image.Image:
    """The luminance of an image in 8 bits (ITU-R BT.601); transparency is ignored."""
    if picture.mode[0] in "IF":
        raise DataError(
            f"{path} has pixels of 16 or 32 bits (mode {picture.mode}); save it with 8 bits"
        )
    return picture.convert("L")


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


def read_classes(root: Path, side: int, test: float) -> tuple[Images, list[str]]:
    """Read images from a folder for each class.

    Args:
        root: the folder with `train/<class>/<image>` and `test/<class>/<image>`, or
            `<class>/<image>`.
        side: the side in pixels of the grey squares that all images become, scaled to fit, on
            black.
        test: the share of the images that test where the folder does not say which, of all classes
            alike, the same in every run.

    Returns:
        The images, and the names of the files, first those of the training part.

    Raises:
        DataError: there are no images, fewer than two classes, a part is left empty, or an image
            cannot be read.
    """
    split = all((root / part).is_dir() for part in ("train", "test"))
    folders = [root / "train", root / "test"] if split else [root]
    found = [_of_classes(folder) for folder in folders]
    classes = sorted({path.parent.name for paths in found for path in paths})
    if len(classes) < 2:
        raise DataError(
            f"{root} has images of {len(classes)} classes, expected at least 2: put them in "
            "<class>/<image>, or train/<class>/<image> and test/<class>/<image>; or name another "
            f"folder with data.root. Images are {', '.join(SUFFIXES)}"
        )
    if not split:
        paths = found[0]
        labels = np.array([classes.index(path.parent.name) for path in paths], np.int64)
        held = round(len(paths) * test)
        found = [
            [paths[n] for n in rows] for rows in stratified(labels, [len(paths) - held, held], 0)
        ]
    if not all(found):
        raise DataError(f"{root} leaves no images to train or none to test")
    arrays = [_squares(paths, side) for paths in found]
    labels_of = [np.array([classes.index(p.parent.name) for p in paths]) for paths in found]
    images = Images(arrays[0], labels_of[0], arrays[1], labels_of[1], tuple(classes))
    return images, [str(path.relative_to(root)) for paths in found for path in paths]


def _of_classes(folder: Path) -> list[Path]:
    folders = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return [path for each in folders for path in sorted(_pictures(each))]


def _squares(paths: Sequence[Path], side: int) -> ImageArray:
    """The images as grey squares, uint8 [N, 1, side, side]."""
    squares = np.empty((len(paths), 1, side, side), np.uint8)
    for n, path in enumerate(paths):
        with _opened(path) as picture:
            grey = _grey(path, picture)
            squares[n, 0] = np.asarray(ImageOps.pad(grey, (side, side), Image.Resampling.BOX))
    return squares
