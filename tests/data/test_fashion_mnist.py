"""Fashion-MNIST, in files that the tests write in its official layout."""

from pathlib import Path

import numpy as np
import pytest

from lfp_snn import data
from lfp_snn.errors import DataError
from tests.data.helpers import write_mnist


def test_loads_its_files_with_names_of_clothes(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (40, 28, 28), dtype=np.uint8)
    write_mnist(tmp_path, images, np.arange(40, dtype=np.uint8) % 10)
    splits = data.load("fashion_mnist", root=tmp_path, validation=0.25, steps=4)
    assert splits.info["sizes"] == {"train": 30, "val": 10, "test": 10}
    assert splits.info["name"] == "fashion_mnist" and "Fashion" in splits.info["source"]
    assert len(splits.train.classes) == 10
    assert splits.train.classes[:2] == ("T-shirt/top", "Trouser")
    batch = splits.test.batch([9])
    assert splits.test.classes[int(batch.labels)] == "Ankle boot"
    np.testing.assert_allclose(np.asarray(batch.x)[0, 0], images[9] / 255, atol=1e-7)


def test_says_whose_files_are_missing_and_from_where(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"four IDX files of Fashion-MNIST there \(from http"):
        data.load("fashion_mnist", root=tmp_path)
