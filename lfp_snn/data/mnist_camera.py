"""MNIST shown to a simulated event camera that makes three saccades, as N-MNIST was recorded.

The images are those of MNIST, the events are simulated (`lfp_snn.data.camera`). A result on this
dataset says something of N-MNIST, of which it is a model, but is no result on N-MNIST. Other images
can be shown with `lfp_snn.data.image_camera`.
"""

from pathlib import Path

from pydantic import Field

from lfp_snn.data.image_camera import camera_splits
from lfp_snn.data.mnist import read
from lfp_snn.data.sets import Splits
from lfp_snn.data.simulated import SimulatedOptions

SOURCE = "MNIST images (LeCun, Cortes, Burges; CC BY-SA 3.0) seen by a simulated event camera"


class MNISTCameraOptions(SimulatedOptions):
    """The options of the dataset `mnist_camera`, whose events are simulated."""

    root: Path = Field(
        default=Path("datasets/MNIST"),
        description="folder that holds the four IDX files, gzip or not",
    )
    shown: int = Field(
        default=10_000, ge=2, description="images of the training part that are shown"
    )
    test: int = Field(default=2_000, ge=1, description="images of the test part that are shown")


def load(options: MNISTCameraOptions) -> Splits:
    """Load train and validation from MNIST's training part, test from its test part; stratified.

    Raises:
        DataError: the images are missing or damaged, or more are asked for than there are.
    """
    shown = (options.shown, options.test)
    return camera_splits(read(options.root), shown, options, name="mnist_camera", source=SOURCE)
