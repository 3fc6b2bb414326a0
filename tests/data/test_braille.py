"""Braille readings: the real ones where they are, made-up ones in the same layout elsewhere."""

from __future__ import annotations

import gzip
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lfp_snn.data import braille, load
from lfp_snn.data.pickles import read_pickle
from lfp_snn.errors import DataError
from lfp_snn.training import load_config, train

PASSES = 10


def write(folder: Path, samples: Any) -> Path:
    folder.mkdir(exist_ok=True)
    path = folder / braille.FILE
    path.write_bytes(gzip.compress(pickle.dumps(samples)))
    return folder


def samples() -> list[dict[str, Any]]:
    rng = np.random.default_rng(0)
    return [
        {
            "letter": letter,
            "repetition": repetition,
            "taxel_data": rng.integers(0, 255, (8 + repetition % 2, braille.TAXELS)).astype(float),
        }
        for letter in "ABC"
        for repetition in range(PASSES)
    ]


def test_parts_share_no_pass_over_the_letters(tmp_path: Path) -> None:
    splits = load("braille", root=write(tmp_path / "braille", samples()))
    passes = [
        {int(name.split("/")[1]) for name in part.ids}
        for part in (splits.train, splits.val, splits.test)
    ]
    assert passes == [set(range(7)), {7}, {8, 9}]
    assert splits.train.classes == ("A", "B", "C")
    assert splits.train.feature_shape == (24,) and splits.train.steps == 9
    assert len(load("braille", root=tmp_path / "braille", train=6).train) == 6


def test_short_readings_hold_their_last_value(tmp_path: Path) -> None:
    readings, letters, repetitions = braille.read(write(tmp_path / "b", samples()))
    assert readings.shape == (30, 9, 12)
    even = repetitions % 2 == 0
    np.testing.assert_array_equal(readings[even][:, 8], readings[even][:, 7])
    assert letters[:2] == ["A", "A"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([{"letter": "A"}], "holds no readings as expected"),
        ([], "not \\[T, 12\\]"),
        ([{"letter": "A", "repetition": 0, "taxel_data": np.zeros((3, 5))}], "not \\[T, 12\\]"),
        (samples()[:3], "each part needs one"),
    ],
)
def test_other_content_is_told(content: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        load("braille", root=write(tmp_path / "b", content))


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="is missing"):
        load("braille", root=tmp_path)


class Call:
    """Unpickling it would call something."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


def test_nothing_is_executed(tmp_path: Path) -> None:
    target = tmp_path / "ran"
    for name, value in (("call", Call(target)), ("nested", [{"taxel_data": Call(target)}])):
        path = tmp_path / name
        path.write_bytes(pickle.dumps(value))
        with pytest.raises(DataError, match="wants to call|no pickle of plain data"):
            read_pickle(path)
    (tmp_path / "eval").write_bytes(b"cbuiltins\neval\n(S'1+1'\ntR.")
    with pytest.raises(DataError, match=r"builtins\.eval"):
        read_pickle(tmp_path / "eval")
    assert not target.exists()


def test_plain_data_and_arrays_are_read(tmp_path: Path) -> None:
    value = [{"a": np.arange(6.0).reshape(2, 3), "b": "text", "c": np.float64(2.5)}]
    for protocol in (3, 4):
        (tmp_path / "p").write_bytes(pickle.dumps(value, protocol=protocol))
        (got,) = read_pickle(tmp_path / "p")
        np.testing.assert_array_equal(got["a"], value[0]["a"])
        assert got["b"] == "text" and got["c"] == 2.5


def test_lfp_reads_braille(real_data: Callable[[str], Path], repository: Path) -> None:
    """27 letters, chance 3.7 %. Three seeds of the whole config gave 95.9, 98.1 and 98.5 %."""
    root = real_data("braille")
    config = load_config(
        repository / "configs" / "braille.yaml",
        [f"data.root={root}", "epochs=12", "baseline=false", "device=cpu"],
    )
    assert train(config).test_accuracy > 0.85
