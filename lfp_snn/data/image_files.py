"""Your own still images, as JPEG, PNG and other files in folders of their class, or in a zip.

CIFAR-10 as JPEG lies so, and ImageNet's subsets; a zip is read as it is, file by file.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydantic import Field

from lfp_snn.data.class_files import class_files
from lfp_snn.data.images import ImageArray, ImageOptions
from lfp_snn.data.pictures import SUFFIXES, picture
from lfp_snn.data.sets import ImageSet, Splits
from lfp_snn.data.splits import split_parts
from lfp_snn.data.tree import Tree
from lfp_snn.errors import DataError
from lfp_snn.unpacking import check_size, reading
from lfp_snn.wording import setting

SOURCE = "your own still images, in folders of their class or in a zip of them"


class ImageFilesOptions(ImageOptions):
    """The options of the dataset `images`."""

    root: Path = Field(
        default=Path("datasets/images"),
        description="folder or zip that holds <class>/<image>, or train/<class>/<image>, "
        "test/<class>/<image> and perhaps val/<class>/<image>",
    )
    colour: bool = Field(
        default=True, description="red, green and blue; false: grey, by the luminance"
    )
    side: int | None = Field(
        default=None,
        ge=1,
        le=1024,
        description="all images become squares of so many pixels, scaled to fit, on black; null: "
        "as they are, all of one size",
    )
    test_share: float = Field(
        default=0.2, gt=0, lt=1, description="share of the images that test, without train and test"
    )


def load(options: ImageFilesOptions) -> Splits:
    """Load the parts that the folders give; else a share tests, and one of the others validates.

    Images that are in no part (`options.train`) are not read.

    Raises:
        ConfigError: the code does not fit the steps.
        DataError: there are no images, one cannot be read, their sizes differ, or a part is left
            empty.
    """
    encoder = options.encoder()
    files = class_files(options.root, SUFFIXES, "images", options.test_share)
    rows = split_parts(
        files.labels,
        files.parts,
        validation=options.validation,
        train=options.train,
        seed=options.seed,
        where=options.root,
    )
    # In this order, an image has the same number, which draws its spikes, however many train.
    order = np.concatenate([rows["test"], rows["val"], rows["train"]])
    names = [files.entries[row].file for row in order]
    samples = ImageSet(
        read_images(files.tree, names, colour=options.colour, side=options.side),
        encoder,
        files.labels[order],
        names,
        classes=files.classes,
    )
    test, val, train = np.split(
        np.arange(len(order)), np.cumsum([len(rows["test"]), len(rows["val"])])
    )
    source = f"images in {options.root.name}"
    return Splits.of(samples, train, val, test, name="images", source=source)


def read_images(tree: Tree, names: Sequence[str], *, colour: bool, side: int | None) -> ImageArray:
    """Read the images of some files.

    Args:
        tree: the tree that holds the files.
        names: the names of at least one of its files.
        colour: whether images have red, green and blue; otherwise they are grey.
        side: the side in pixels of the squares that all images become; None to leave their size.

    Returns:
        The images, uint8 [N, 1 or 3, rows, columns].

    Raises:
        DataError: an image cannot be read, they differ in size, or together they unpack to far more
            than their files hold.
    """

    def read(name: str) -> ImageArray:
        return picture(tree.place(name), tree.read(name), colour=colour, side=side)

    first = read(names[0])
    if side is None:
        check_size(tree.path, len(names) * first.nbytes, sum(map(tree.size, names)))
    with reading(tree.path):
        images = np.empty((len(names), *first.shape), np.uint8)
    for n, name in enumerate(names):
        image = read(name)
        if image.shape != first.shape:
            raise DataError(
                f"{tree.place(name)} has {_size(image)} pixels and {tree.place(names[0])} "
                f"{_size(first)}; give all one size with {setting('data.side')}"
            )
        images[n] = image
    return images


def _size(image: ImageArray) -> str:
    return f"{image.shape[2]} x {image.shape[1]}"
