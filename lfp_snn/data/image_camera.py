"""Still images of any kind shown to a simulated event camera that makes three saccades.

The images are real, the events are simulated (`lfp_snn.data.camera`). Colour images are seen by
their luminance.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import Field

from lfp_snn.data import cifar10, mnist
from lfp_snn.data.class_files import class_files
from lfp_snn.data.fashion_mnist import FASHION, FashionMNISTOptions
from lfp_snn.data.image_files import read_images
from lfp_snn.data.images import Images, Labels, luminance
from lfp_snn.data.motion import Saccades
from lfp_snn.data.pictures import SUFFIXES
from lfp_snn.data.sets import Splits
from lfp_snn.data.simulated import SimulatedOptions, simulated_set
from lfp_snn.data.splits import split_train, stratified
from lfp_snn.errors import DataError

SOURCE = "images of your choice (data.images) seen by a simulated event camera"
_ROOTS = {
    "mnist": mnist.MNISTOptions().root,
    "fashion_mnist": FashionMNISTOptions().root,
    "cifar10": cifar10.CIFAR10Options().root,
    "folder": Path("datasets/images"),
}


class ImageCameraOptions(SimulatedOptions):
    """The options of the dataset `image_camera`, whose events are simulated."""

    images: Literal["mnist", "fashion_mnist", "cifar10", "folder"] = Field(
        default="folder",
        description="whose images: those of a dataset, or a folder (or zip) with one of images for "
        "each class",
    )
    root: Path | None = Field(
        default=None,
        description="folder that holds them; null: where that dataset lies, or datasets/images",
    )
    side: int = Field(
        default=34,
        ge=8,
        le=1024,
        description="rows and columns of the sensor; the image covers three quarters",
    )
    shown: int | None = Field(
        default=None, ge=2, description="images of the training part that are shown; null: all"
    )
    test: int | None = Field(
        default=None, ge=1, description="images of the test part that are shown; null: all"
    )
    test_share: float = Field(
        default=0.2,
        gt=0,
        lt=1,
        description="share of the images that test, in a folder without train and test",
    )

    def motion(self) -> Saccades:
        """The sensor and its way, in the proportions of N-MNIST."""
        return Saccades.of(self.side)

    def folder(self) -> Path:
        """The folder of the images."""
        if self.root is not None:
            return self.root
        return _ROOTS[self.images]


def load(options: ImageCameraOptions) -> Splits:
    """Load train and validation from the training part of the images, test from their test part.

    Raises:
        DataError: the images are missing or damaged, or more are asked for than there are.
    """
    root, names = options.folder(), None
    if options.images == "folder":
        images, names = _of_classes(root, round(options.motion().extent), options.test_share)
    elif options.images == "cifar10":
        images = cifar10.read(root)
    else:
        images = mnist.read(root, FASHION if options.images == "fashion_mnist" else mnist.MNIST)
    source = f"images ({options.images}) seen by a simulated event camera"
    shown = (options.shown, options.test)
    return camera_splits(images, shown, options, name="image_camera", source=source, ids=names)


def _of_classes(root: Path, side: int, test: float) -> tuple[Images, list[str]]:
    """Grey squares of a folder or a zip of images, and the names of their files.

    A part that validates counts to the training part, out of which one is drawn.
    """
    files = class_files(root, SUFFIXES, "images", test)
    tested = files.parts == "test"
    rows = [np.flatnonzero(~tested), np.flatnonzero(tested)]
    names = [[files.entries[row].file for row in each] for each in rows]
    train, held = (read_images(files.tree, each, colour=False, side=side) for each in names)
    labels = files.labels
    images = Images(train, labels[rows[0]], held, labels[rows[1]], files.classes)
    return images, [*names[0], *names[1]]


def camera_splits(
    images: Images,
    shown: tuple[int | None, int | None],
    options: SimulatedOptions,
    *,
    name: str,
    source: str,
    ids: Sequence[str] | None = None,
) -> Splits:
    """Make simulated recordings of images, in train, validation and test; stratified.

    Args:
        images: the images of both parts.
        shown: the number of images of each part that are shown, of all classes alike (None: all).
        options: the options of camera and encoding.
        name: the name of the dataset.
        source: a phrase about the source (`Splits`).
        ids: the names of all images; None for their numbers among the images that are shown.

    Raises:
        DataError: more images are asked for than there are, or a part is left empty.
    """
    rows = [
        _some(part, labels, number)
        for part, labels, number in zip(
            images.parts, (images.train_labels, images.test_labels), shown, strict=True
        )
    ]
    whole = np.concatenate([images.train[rows[0]], images.test[rows[1]]])
    labels = np.concatenate([images.train_labels[rows[0]], images.test_labels[rows[1]]])
    if ids is None:
        ids = [f"image/{number}" for number in range(len(whole))]
    else:
        ids = [ids[row] for row in np.concatenate([rows[0], len(images.train) + rows[1]])]
    recordings = simulated_set(name, luminance(whole), labels, ids, images.classes, options)
    learnt = labels[: len(rows[0])]
    train, val = split_train(learnt, options.validation, options.train, options.seed)
    test = np.arange(len(learnt), len(whole))
    return Splits.of(recordings, train, val, test, name=name, source=source)


def _some(part: str, labels: Labels, number: int | None) -> Labels:
    """The positions of a number of images of a part, of all classes alike."""
    wanted = len(labels) if number is None else number
    if wanted > len(labels):
        raise DataError(f"{wanted} images of {part} are asked for, but there are {len(labels)}")
    (rows,) = stratified(labels, [wanted], seed=0)
    return rows
