"""Sounds in folders of their class and in zips; FSDD in its published parts and by speaker."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lfp_snn import data
from lfp_snn.errors import ConfigError, DataError
from tests.data.helpers import spikes
from tests.data.test_filter_bank import tone
from tests.data.test_tree import write_folder, write_zip
from tests.data.test_wav import wav

SPEAKERS = ("anna", "ben", "cleo", "dan", "eva", "finn")


def spoken(indices: int = 6, digits: int = 10) -> dict[str, bytes]:
    """FSDD in small: each digit a tone of its own, a little different each time."""
    rng = np.random.default_rng(0)
    sounds = {}
    for digit in range(digits):
        for speaker in SPEAKERS:
            for index in range(indices):
                samples = tone(300 * (digit + 1), seconds=0.1) + 0.1 * rng.standard_normal(800)
                name = f"recordings/{digit}_{speaker}_{index}.wav"
                sounds[name] = wav((samples * 8000).astype(np.int16))
    return sounds


def speakers(part: data.SampleSet) -> set[str]:
    return {name.split("_")[1] for name in part.ids}


def test_the_published_parts(tmp_path: Path) -> None:
    root = write_zip(tmp_path / "FSDD.zip", spoken(7, 2))
    splits = data.load("fsdd", root, validation=0.25)
    assert splits.info["sizes"] == {"train": 18, "val": 6, "test": 60}
    assert splits.test.feature_shape == (2, 1, 64) and splits.test.steps == 100
    for part, indices in ((splits.test, range(5)), (splits.train, (5, 6)), (splits.val, (5, 6))):
        for name, label in zip(part.ids, part.labels, strict=True):
            digit, _, index = Path(name).stem.split("_")
            assert int(digit) == label and int(index) in indices


def test_by_speaker_nobody_is_heard_in_two_parts(tmp_path: Path) -> None:
    root = write_folder(tmp_path, spoken(2, 2))
    for options in ({}, {"test_speaker": "ben"}, {"seed": 1}, {"validation": 0.4}):
        splits = data.load("fsdd", root, split_by="speaker", **options)
        parts = [speakers(part) for part in (splits.train, splits.val, splits.test)]
        assert set.union(*parts) == set(SPEAKERS) and sum(map(len, parts)) == 6
        assert len(parts[2]) == 1 and len(parts[1]) == (2 if "validation" in options else 1)
        if "test_speaker" in options:
            assert parts[2] == {"ben"}
    drawn = [data.load("fsdd", root, split_by="speaker", seed=seed) for seed in range(4)]
    assert len({each.test.ids for each in drawn}) == 1 < len({each.val.ids for each in drawn})
    with pytest.raises(ConfigError, match="is 'zoe', but the speakers are anna, ben"):
        data.load("fsdd", root, split_by="speaker", test_speaker="zoe")
    with pytest.raises(ConfigError, match="^test_speaker is set, but split_by"):
        data.load("fsdd", root, test_speaker="ben")


def test_a_recording_alone_is_encoded_as_the_set(tmp_path: Path) -> None:
    root = write_folder(tmp_path, spoken(6, 2))
    splits = data.load("fsdd", root)
    alone = data.load_file("fsdd", root / splits.test.ids[3], root=root)
    assert alone.batch([0]).x == splits.test.batch([3]).x
    with pytest.raises(DataError, match="cannot be read"):
        data.load_file("fsdd", tmp_path / "none.wav", root=root)


def test_streamed_and_augmented_sounds_come_from_the_zip(tmp_path: Path) -> None:
    root = write_zip(tmp_path / "FSDD.zip", spoken(6, 2))
    kept, streamed = (data.load("fsdd", root, storage=s) for s in ("cached", "streamed"))
    one, other = (spikes(each.test.batch(range(8))).dense() for each in (kept, streamed))
    assert torch.equal(one, other) and one.sum() > 0
    augmented = data.load("fsdd", root, augment=[{"name": "drop_event"}])
    assert len(augmented.train.batch([0, 1]).labels) == 2


def own(root: str = "") -> dict[str, bytes]:
    """Sounds of two classes, of several rates and lengths."""
    return {
        f"{root}{label}/{n}.wav": wav(
            (tone(hertz, rate, 0.1 + 0.02 * n) * 9000).astype(np.int16), rate
        )
        for label, hertz in (("high", 2500), ("low", 250))
        for n, rate in enumerate((8000, 16_000, 22_050, 44_100, 48_000))
    }


def test_sounds_in_folders_of_their_class(tmp_path: Path) -> None:
    options: dict[str, Any] = {"validation": 0.25, "channels": 16, "code": "onset"}
    found = []
    for root in (write_folder(tmp_path / "a", own()), write_zip(tmp_path / "a.zip", own())):
        splits = data.load("sounds", root, **options)
        assert splits.info["sizes"] == {"train": 6, "val": 2, "test": 2}
        assert splits.train.classes == ("high", "low")
        assert splits.train.feature_shape == (1, 1, 16)
        found.append(spikes(splits.train.batch(range(6))).dense())
        # A high tone is in the high channels, whatever the rate of its file.
        channel = found[-1].sum((0, 2, 3)) @ torch.arange(16.0)
        mean = channel / found[-1].sum((0, 2, 3, 4))
        labels = torch.from_numpy(splits.train.labels)
        assert mean[labels == 0].min() > mean[labels == 1].max()
    assert torch.equal(*found)
    parts = own("train/") | own("val/") | own("test/")
    splits = data.load("sounds", write_zip(tmp_path / "b.zip", parts))
    assert splits.info["sizes"] == {"train": 10, "val": 10, "test": 10}


@pytest.mark.parametrize("name", ["fsdd", "sounds"])
def test_what_is_wrong_is_told(name: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="none is missing"):
        data.load(name, tmp_path / "none")
    files = spoken(6, 2) if name == "fsdd" else own()
    first = next(iter(files))
    for content, message in (
        (files[first][:-9], f"{first} is cut short"),
        (b"no sound", f"{first} is no WAV"),
        (wav(np.zeros(800, np.int16)), f"{first} is silent"),
    ):
        root = write_zip(tmp_path / f"{len(content)}.zip", files | {first: content})
        with pytest.raises(DataError, match=message):
            data.load(name, root)
    with pytest.raises(ConfigError, match="do not fit sound of 4000 samples a second"):
        data.load(name, write_folder(tmp_path / "a", files), rate_hz=4000)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="empty has no sounds"):
        data.load(name, tmp_path / "empty")


def test_another_name_among_those_of_fsdd_is_told(tmp_path: Path) -> None:
    root = write_zip(tmp_path / "a.zip", spoken(6, 2) | {"recordings/noise.wav": wav(np.ones(9))})
    with pytest.raises(DataError, match=r"has the file recordings/noise\.wav; expected <digit>"):
        data.load("fsdd", root)


def test_real_digits(real_data: Callable[[str], Path], tmp_path: Path) -> None:
    with zipfile.ZipFile(real_data("FSDD.zip")) as archive:
        some = [n for n in archive.namelist() if n.endswith(("_3.wav", "_7.wav", "_8.wav"))]
        root = write_zip(tmp_path / "FSDD.zip", {name: archive.read(name) for name in some})
    splits = data.load("fsdd", root, validation=0.25)
    assert splits.info["sizes"] == {"train": 90, "val": 30, "test": 60}
    assert len(speakers(splits.test)) == 6
    density = spikes(splits.test.batch(range(60))).density
    assert 0.01 < density < 0.3
