"""Images in folders of their class and in zips, with every code."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from lfp_snn import data
from lfp_snn.data.encoders import CODES
from lfp_snn.data.image_files import read_images
from lfp_snn.data.tree import open_tree
from lfp_snn.errors import DataError
from tests.data.helpers import spikes
from tests.data.test_pictures import content, huge, write_classes

RNG = np.random.default_rng(0)
IMAGES = {
    f"{label}/{n}.png": RNG.integers(0, 256, (6, 5, 3), dtype=np.uint8)
    for label in ("cat", "dog")
    for n in range(10)
}


def write(root: Path, images: dict[str, np.ndarray]) -> Path:
    for name, image in images.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(root / name)
    return root


def zipped(folder: Path) -> Path:
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in folder.rglob("*.png"):
            archive.write(file, file.relative_to(folder))
    return path


def pixels(part: data.SampleSet) -> dict[str, np.ndarray]:
    """The images of a part by name, from the constant current."""
    batch = part.batch(range(len(part)))
    assert isinstance(batch.x, torch.Tensor)
    values = torch.round(batch.x * 255).to(torch.uint8).numpy()
    return dict(zip(batch.ids or (), values, strict=True))


def test_all_images_come_as_they_are_and_in_one_part(tmp_path: Path) -> None:
    folder = write(tmp_path / "pets", IMAGES)
    for root in (folder, zipped(folder)):
        splits = data.load("images", root, validation=0.25)
        assert splits.info["sizes"] == {"train": 12, "val": 4, "test": 4}
        assert splits.train.classes == ("cat", "dog")
        parts = [pixels(part) for part in (splits.train, splits.val, splits.test)]
        found = {name: image for part in parts for name, image in part.items()}
        assert found.keys() == IMAGES.keys()
        for name, image in found.items():
            np.testing.assert_array_equal(image, IMAGES[name].transpose(2, 0, 1))
        for part in (splits.train, splits.val, splits.test):
            assert set(np.bincount(part.labels)) == {len(part) // 2}
            for name, label in zip(part.ids, part.labels, strict=True):
                assert name.startswith(part.classes[label])


def test_fewer_that_train_change_nothing_else(tmp_path: Path) -> None:
    root = write(tmp_path, IMAGES)
    rate: dict[str, Any] = {"encoding": "rate", "steps": 5, "validation": 0.25}
    every, some = data.load("images", root, **rate), data.load("images", root, train=4, **rate)
    assert len(some.train) == 4
    for part in ("val", "test"):
        one, other = (getattr(each, part).batch(range(4)) for each in (every, some))
        assert one.ids == other.ids
        assert torch.equal(one.x.dense(), other.x.dense())
    other_seed = data.load("images", root, seed=1, **rate)
    assert other_seed.test.ids == every.test.ids and other_seed.val.ids != every.val.ids


@pytest.mark.parametrize("code", CODES)
def test_every_code(code: str, tmp_path: Path) -> None:
    root = write(tmp_path, IMAGES)
    for colour in (True, False):
        options: dict[str, Any] = {"encoding": code, "steps": 15, "colour": colour, "side": 8}
        splits = data.load("images", root, **options)
        assert splits.test.feature_shape == (3 if colour else 1, 8, 8)
        x = splits.test.batch([0, 1]).x
        dense = x if isinstance(x, torch.Tensor) else x.dense()
        assert dense.shape[-3:] == splits.test.feature_shape and dense.abs().sum() > 0


def test_folders_of_parts(tmp_path: Path) -> None:
    parts = {"train": 6, "val": 3, "test": 1}
    images = {
        f"{part}/{name}": image
        for part, count in parts.items()
        for name, image in IMAGES.items()
        if int(name[4]) < count
    }
    splits = data.load("images", zipped(write(tmp_path / "a", images)))
    for part, count in parts.items():
        ids = getattr(splits, part).ids
        assert len(ids) == 2 * count and all(name.startswith(f"{part}/") for name in ids)
    some = data.load("images", tmp_path / "a", train=4)
    assert len(some.train) == 4 and some.val.ids == splits.val.ids


def test_images_of_the_camera_may_lie_in_a_zip(tmp_path: Path) -> None:
    folder = write(tmp_path / "pets", IMAGES)
    shown: dict[str, Any] = {"side": 16, "steps": 4, "validation": 0.25}
    one, other = (
        data.load("image_camera", root, **shown).train.batch([0, 1])
        for root in (folder, zipped(folder))
    )
    assert one.ids == other.ids and torch.equal(spikes(one).dense(), spikes(other).dense())


def test_what_is_wrong_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none is missing: put images there in <class>/<file>"):
        data.load("images", tmp_path / "none")
    write_classes(tmp_path / "sizes")
    with pytest.raises(DataError, match=r"pixels and .* give all one size with side"):
        data.load("images", tmp_path / "sizes")
    assert len(data.load("images", tmp_path / "sizes", side=8).train) > 0
    with pytest.raises(DataError, match="dark has no images in folders of their class"):
        data.load("images", tmp_path / "sizes" / "dark")
    write(tmp_path / "one", {"a/cat/1.png": GREY, "a/cat/2.png": GREY})
    with pytest.raises(DataError, match="images of 1 class, expected at least 2"):
        data.load("images", tmp_path / "one")
    write(tmp_path / "half", {f"train/{label}/1.png": GREY for label in "ab"})
    with pytest.raises(DataError, match="half: no file is of the part test"):
        data.load("images", tmp_path / "half")


GREY = IMAGES["cat/0.png"][..., 0]


def test_an_image_that_is_none_is_named(tmp_path: Path) -> None:
    root = write(tmp_path, IMAGES)
    (root / "cat" / "3.png").write_bytes(huge(12_000, 12_000))
    with pytest.raises(DataError, match=r"cat/3\.png would unpack to 549 MiB"):
        data.load("images", root)


def test_images_that_together_are_far_more_than_their_files(tmp_path: Path) -> None:
    black = content(Image.new("L", (2500, 2500)))
    for label in "ab":
        (tmp_path / label).mkdir()
        for n in range(6):
            (tmp_path / label / f"{n}.png").write_bytes(black)
    tree = open_tree(tmp_path, (".png",))
    with pytest.raises(DataError, match="would unpack to 72 MiB"):
        read_images(tree, tree.names, colour=False, side=None)
    assert read_images(tree, tree.names, colour=False, side=2).shape == (12, 1, 2, 2)


def test_cifar10_as_jpeg(real_data: Callable[[str], Path]) -> None:
    splits = data.load("images", real_data("CIFAR10_jpeg.zip"), train=20, validation=0.001)
    assert splits.info["sizes"] == {"train": 20, "val": 50, "test": 10_000}
    assert splits.test.feature_shape == (3, 32, 32)
    assert splits.train.classes[:3] == ("airplane", "automobile", "bird")
    assert np.bincount(splits.test.labels).tolist() == [1000] * 10
