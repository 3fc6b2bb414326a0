"""Published datasets that tonic does not know: small folders in their layouts, and real ones."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lfp_snn.data import Events, load
from lfp_snn.data.event_set import EventSet
from lfp_snn.data.formats import write_recording
from lfp_snn.errors import DataError
from tests.cli.conftest import Cli, cli  # noqa: F401 - the fixture
from tests.data.helpers import spikes

SHAPE = (39, 2, 325)


def touches(train: int = 4, test: int = 1) -> dict[str, np.ndarray]:
    """Recordings of EvTouch under their names."""
    rng = np.random.default_rng(0)
    counts = {"train": 20 * train, "test": 20 * test}
    return {
        f"{part}/sample_{n}_label_{n % 20}.npy": (rng.random(SHAPE) < 0.05).astype(np.float32)
        for part, count in counts.items()
        for n in range(count)
    }


def write_touches(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """A zip of them, with the folder that the published one has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            file = io.BytesIO()
            np.save(file, array)
            archive.writestr(f"Ev-Containers/{name}", file.getvalue())
    return path


def test_touches_keep_their_events_and_parts(tmp_path: Path) -> None:
    arrays = touches()
    write_touches(tmp_path / "Ev-Containers.zip", arrays)
    whole = load("evtouch", tmp_path, steps=325, bin_ms=20.0, validation=0.25)
    assert whole.info["sizes"] == {"train": 60, "val": 20, "test": 20}
    assert whole.test.feature_shape == (2, 1, 39) and len(whole.test.classes) == 20
    for number, (name, label) in enumerate(zip(whole.test.ids, whole.test.labels, strict=True)):
        assert name.startswith("test/")
        array = arrays[sorted(n for n in arrays if n.startswith("test"))[number]]
        first = np.flatnonzero(array.any((0, 1)))[0]  # steps are counted from the first event
        seen = spikes(whole.test.batch([number])).dense()[:, 0, :, 0].numpy()
        expected = array.transpose(2, 1, 0)[first:]
        np.testing.assert_array_equal(seen[: len(expected)], expected[: len(seen)])
        assert label == int(sorted(n for n in arrays if n.startswith("test"))[number][-6:-4]
                            .lstrip("_"))  # fmt: skip
    assert load("evtouch", tmp_path).train.steps == 65


def test_a_folder_in_the_place_of_the_zip(tmp_path: Path) -> None:
    path = write_touches(tmp_path / "a" / "Ev-Containers.zip", touches())
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "b")
    one, other = (load("evtouch", tmp_path / name).test.batch(range(20)) for name in "ab")
    assert torch.equal(spikes(one).dense(), spikes(other).dense())
    assert torch.equal(one.labels, other.labels)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"train/sample_0_label_20.npy": np.ones(SHAPE)}, "is no EvTouch Containers"),
        ({"train/a.npy": np.ones(SHAPE)}, "is no EvTouch Containers"),
        (touches() | {"train/sample_0_label_0.npy": np.ones((39, 325))}, r"expected .*39, 2, T"),
        (touches() | {"train/sample_0_label_0.npy": np.zeros(SHAPE)}, "0_label_0.npy has no eve"),
        (
            touches() | {"train/sample_0_label_0.npy": np.full(SHAPE, "a")},
            r"sample_0_label_0\.npy holds <U1",
        ),
    ],
)
def test_wrong_touches_are_told(arrays: dict[str, Any], message: str, tmp_path: Path) -> None:
    write_touches(tmp_path / "Ev-Containers.zip", arrays)
    with pytest.raises(DataError, match=message):
        load("evtouch", tmp_path)


def test_real_touches(real_data: Callable[[str], Path]) -> None:
    splits = load("evtouch", real_data("EvTouch"))
    assert splits.info["sizes"] == {"train": 210, "val": 30, "test": 60}
    assert np.bincount(splits.test.labels).tolist() == [3] * 20


def write_pips(root: Path, each: int = 5) -> Path:
    """Symbols of cards as their first recorder wrote them: in a corner of a DVS128."""
    folder = root / "poker_dvs"
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for suit in ("club", "heart", "diamond", "spade"):
        for n in range(each):
            x, y = (rng.integers(96, 128, 50).astype(np.int16) for _ in range(2))
            t = np.sort(rng.integers(0, 15_000, 50)).astype(np.int64)
            own = Events(x, y, t, rng.integers(0, 2, 50).astype(np.uint8), (2, 128, 128))
            name = f"x{suit}{n:02d}{'i' if n % 2 else ''}.aedat"
            write_recording(own, folder / name, "aedat2")
    return root


def test_symbols_are_split_and_the_split_is_kept(tmp_path: Path) -> None:
    splits = load("pokerdvs_originals", write_pips(tmp_path), validation=0.25)
    assert splits.info["sizes"] == {"train": 12, "val": 4, "test": 4}
    assert splits.test.feature_shape == (2, 35, 35)
    for part in (splits.train, splits.val, splits.test):
        for name, label in zip(part.ids, part.labels, strict=True):
            assert name.startswith(f"poker_dvs/x{splits.test.classes[label][:-1]}")
    assert load("pokerdvs_originals", tmp_path, seed=1).test.ids == splits.test.ids
    (tmp_path / "poker_dvs" / "xjoker01.aedat").write_bytes(b"#!AER-DAT2.0\n")
    with pytest.raises(DataError, match="xjoker01.aedat is of no class of POKER-DVS originals"):
        load("pokerdvs_originals", tmp_path)


def test_the_symbols_of_tonic_are_among_the_originals(
    real_data: Callable[[str], Path], tmp_path: Path
) -> None:
    root = tmp_path / "POKERDVS"
    root.mkdir()
    for part in real_data("POKERDVS").iterdir():
        (root / part.name).symlink_to(part)
    originals = load("pokerdvs_originals", root, storage="streamed").train
    cut = load("pokerdvs", root, storage="streamed").train
    assert isinstance(originals, EventSet) and isinstance(cut, EventSet)

    def contents(samples: EventSet) -> dict[bytes, int]:
        rows = np.arange(len(samples._all_labels))
        each = (samples._read(rows).recording(int(row)).from_zero() for row in rows)
        return {
            e.x.tobytes() + e.y.tobytes() + e.t.tobytes() + e.p.tobytes(): int(label)
            for e, label in zip(each, samples._all_labels, strict=True)
        }

    every, some = contents(originals), contents(cut)
    assert len(every) == 131 and len(some) == 68
    assert some.items() <= every.items()  # the same events, and the same suit


def test_what_no_program_fetches_says_where_it_is(tmp_path: Path, cli: Cli) -> None:  # noqa: F811
    with pytest.raises(DataError, match="poker_dvs is missing: .* get it from http://www2.imse"):
        load("pokerdvs_originals", tmp_path)
    with pytest.raises(DataError, match="Ev-Containers.zip is missing: .* get it from https://git"):
        load("evtouch", tmp_path)
    told = cli("data", "fetch", "evtouch", "--to", tmp_path)
    assert told.exit_code == 2
    assert "EvTouch Containers is not fetched by a program: get it from" in told.output.replace(
        "\n", " "
    )
    assert cli("data", "info", "evtouch").exit_code == 0
    assert "evtouch" in cli("data", "ls").output
