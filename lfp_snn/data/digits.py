"""DVS-digits: scikit-learn's 1797 handwritten digits, shown to a simulated event camera.

The 8 x 8 images come with scikit-learn (a copy of the test part of "Optical Recognition of
Handwritten Digits", E. Alpaydin, C. Kaynak, UCI 1998, CC BY 4.0), so nothing is downloaded. The
events are simulated (see `lfp_snn.data.camera`): they stand in for N-MNIST where that is absent.
"""

import numpy as np
from pydantic import Field

from lfp_snn.data.sets import Splits
from lfp_snn.data.simulated import SimulatedOptions, simulated_set
from lfp_snn.data.splits import split_train, stratified

SOURCE = "DVS-digits, scikit-learn's handwritten digits seen by a simulated event camera"
TEST_SIZE = 397  # of 1797; the others are 1200 to train and 200 to validate, by default


class DigitsOptions(SimulatedOptions):
    """The options of the dataset `digits`, whose events are simulated."""

    validation: float = Field(
        default=1 / 7,
        gt=0,
        lt=1,
        description="share of the 1400 training digits held out to validate",
    )


def load(options: DigitsOptions) -> Splits:
    """Load 1200 simulated recordings to train, 200 to validate, 397 to test, all stratified.

    The test part does not depend on the options.
    """
    from sklearn.datasets import load_digits  # here, for it takes a second to import

    digits = load_digits()
    images = digits.images / digits.images.max()
    labels = digits.target.astype(np.int64)
    recordings = simulated_set(
        "digits",
        images,
        labels,
        [f"digit/{number}" for number in range(len(labels))],
        tuple(str(name) for name in digits.target_names),
        options,
    )
    test, others = stratified(labels, [TEST_SIZE, len(labels) - TEST_SIZE], seed=0)
    train, val = split_train(labels[others], options.validation, options.train, options.seed)
    return Splits.of(recordings, others[train], others[val], test, name="digits", source=SOURCE)
