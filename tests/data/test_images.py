"""What still images share: luminance, and parts that fit together."""

import numpy as np
import pytest

from lfp_snn.data.images import Images, luminance
from lfp_snn.errors import DataError


def test_luminance_weighs_the_colours() -> None:
    colours = np.zeros((5, 3, 1, 1), np.uint8)
    colours[0, 0] = colours[1, 1] = colours[2, 2] = 255
    colours[3] = 255
    seen = luminance(colours)[:, 0, 0]
    np.testing.assert_allclose(seen, [0.299, 0.587, 0.114, 1, 0])
    assert seen.max() <= 1
    np.testing.assert_array_equal(
        luminance(np.array([[[[0, 51, 255]]]], np.uint8)), [[[0, 0.2, 1]]]
    )


def test_both_parts_have_one_size() -> None:
    labels = np.zeros(2, np.int64)
    shapes = [(2, 1, 4, 4), (2, 1, 4, 5)]
    train, test = (np.zeros(shape, np.uint8) for shape in shapes)
    with pytest.raises(DataError, match="training images are 1 x 4 x 4 .* test images 1 x 4 x 5"):
        Images(train, labels, test, labels, ("a",))
