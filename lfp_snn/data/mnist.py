"""MNIST: handwritten digits as still images, from IDX files.

Y. LeCun, C. Cortes, C. Burges, "The MNIST database of handwritten digits", 1998. CC BY-SA 3.0.
"""

import gzip
import math
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import Field

from lfp_snn.data.images import ImageArray, ImageOptions, Images, Labels, image_splits
from lfp_snn.data.sets import Splits
from lfp_snn.errors import DataError
from lfp_snn.unpacking import allowance, check_size
from lfp_snn.wording import setting

CLASSES = tuple(str(digit) for digit in range(10))
SOURCE = "MNIST, images of handwritten digits (LeCun, Cortes, Burges; CC BY-SA 3.0)"

_RANKS = 4  # images have 3, or 4 in colour, and labels 1
_UINT8 = 0x08  # IDX type code, the third byte of the magic number; the fourth is the rank


class MNISTOptions(ImageOptions):
    """The options of the dataset `mnist`."""

    root: Path = Field(
        default=Path("datasets/MNIST"),
        description="folder that holds the four IDX files, gzip or not",
    )
    validation: float = Field(
        default=1 / 6,
        gt=0,
        lt=1,
        description="share of the training part that is held out to validate",
    )


@dataclass(frozen=True)
class IDXSet:
    """A description of a dataset in MNIST's four files.

    Args:
        title: the title of the dataset.
        url: the address of the files.
        classes: the names of the labels 0, 1 ...
    """

    title: str
    url: str
    classes: tuple[str, ...]


MNIST = IDXSet("MNIST", "https://ossci-datasets.s3.amazonaws.com/mnist", CLASSES)


def read_idx(path: Path) -> npt.NDArray[np.uint8]:
    """Read an IDX file of bytes, compressed with gzip or not.

    The layout is 0, 0, type (8 = unsigned byte), rank; then `rank` big-endian 32-bit lengths; then
    the content, last dimension fastest.

    Raises:
        DataError: the file is missing, is no IDX file of bytes, is shorter or longer than its
            header says, or would unpack to far more than its size.
    """
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            with gzip.open(path) as packed:
                content = packed.read(allowance(path) + 1)
            check_size(path, len(content))
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}); fetch it again") from error
    if len(content) < 4 or content[:3] != bytes([0, 0, _UINT8]) or not 0 < content[3] <= _RANKS:
        raise DataError(
            f"{path} starts with the magic number 0x{content[:4].hex()}, which is not that of an "
            f"IDX file of bytes (0x000008 and the rank, 1 to {_RANKS})"
        )
    rank = content[3]
    start = 4 + 4 * rank
    if len(content) < start:
        raise DataError(f"{path} is truncated within its header; fetch it again")
    shape = tuple(np.frombuffer(content, ">u4", count=rank, offset=4).tolist())
    if len(content) - start != math.prod(shape):
        raise DataError(
            f"{path} holds {len(content) - start} bytes, but its header says "
            f"{' x '.join(map(str, shape))}; it is truncated or damaged, fetch it again"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def read(root: Path, of: IDXSet = MNIST) -> Images:
    """Read all images and labels of a folder.

    Raises:
        DataError: a file is missing or damaged (see `read_idx`), the files do not hold images and
            labels, hold different numbers of them, or a label has no class; or the images of the
            two parts differ in size.
    """
    (train, train_labels), (test, test_labels) = (_part(root, p, of) for p in ("train", "t10k"))
    return Images(train, train_labels, test, test_labels, of.classes, ("train", "t10k"))


def _part(root: Path, part: str, of: IDXSet) -> tuple[ImageArray, Labels]:
    """The images, uint8 [N, 1, rows, columns], and labels, int64 [N], of `train` or `t10k`."""
    image_file = _find(root, f"{part}-images-idx3-ubyte", of)
    label_file = _find(root, f"{part}-labels-idx1-ubyte", of)
    images, labels = read_idx(image_file), read_idx(label_file)
    for path, array, rank in ((image_file, images, 3), (label_file, labels, 1)):
        if array.ndim != rank:
            raise DataError(f"{path} has rank {array.ndim}, expected rank {rank}")
    if len(images) != len(labels):
        raise DataError(
            f"{image_file} holds {len(images)} images, but {label_file} holds {len(labels)} labels"
        )
    if len(labels) and labels.max() >= len(of.classes):
        raise DataError(
            f"{label_file} holds the label {labels.max()}, expected 0 to {len(of.classes) - 1}"
        )
    return images[:, np.newaxis], labels.astype(np.int64)


def _find(root: Path, stem: str, of: IDXSet) -> Path:
    for path in (root / f"{stem}.gz", root / stem):
        if path.is_file():
            return path
    raise DataError(
        f"{root / stem}[.gz] is missing: put the four IDX files of {of.title} there (from "
        f"{of.url}), or name another folder with {setting('data.root')}"
    )


def load(options: MNISTOptions) -> Splits:
    """Load train and validation out of `train` (stratified); test is `t10k`.

    Raises:
        ConfigError, DataError: the errors of `read` and `image_splits`.
    """
    return image_splits(read(options.root), options, name="mnist", source=SOURCE)
