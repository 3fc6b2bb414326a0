"""Fashion-MNIST: articles of clothing as still images, in the four IDX files of MNIST.

H. Xiao, K. Rasul, R. Vollgraf, "Fashion-MNIST: a novel image dataset for benchmarking machine
learning algorithms", arXiv 1708.07747, 2017. MIT licence.
"""

from pathlib import Path

from pydantic import Field

from lfp_snn.data.images import image_splits
from lfp_snn.data.mnist import IDXSet, MNISTOptions, read
from lfp_snn.data.sets import Splits

SOURCE = "Fashion-MNIST, images of clothing (Xiao, Rasul, Vollgraf 2017; MIT)"
FASHION = IDXSet(
    "Fashion-MNIST",
    "https://github.com/zalandoresearch/fashion-mnist",
    (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
)


class FashionMNISTOptions(MNISTOptions):
    """The options of the dataset `fashion_mnist`."""

    root: Path = Field(
        default=Path("datasets/FashionMNIST"),
        description="folder that holds the four IDX files, gzip or not",
    )


def load(options: FashionMNISTOptions) -> Splits:
    """Load train and validation out of `train` (stratified); test is `t10k`.

    Raises:
        ConfigError, DataError: the errors of `lfp_snn.data.mnist.read` and `image_splits`.
    """
    images = read(options.root, FASHION)
    return image_splits(images, options, name="fashion_mnist", source=SOURCE)
