"""N-MNIST: the reader against tonic's, the folder, and what is wrong with either."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lfp_snn import data
from lfp_snn.data import Events, nmnist, read_events
from lfp_snn.data.formats import write_recording
from lfp_snn.data.published import Description
from lfp_snn.data.published.fetch import Progress
from lfp_snn.errors import DataError
from tests.data.helpers import encode, random_events, spikes, write_nmnist


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LFP_SNN_CACHE", str(tmp_path / "cache"))


def assert_equal_to_tonic(path: Path, events: Events) -> None:
    tonic_io = pytest.importorskip("tonic.io")
    dtype = np.dtype([(name, int) for name in "xytp"])
    theirs = tonic_io.read_mnist_file(str(path), dtype)
    for name in "xytp":
        np.testing.assert_array_equal(getattr(events, name), theirs[name])


def with_overflows(rng: np.random.Generator, size: int, marks: int) -> bytes:
    """A recording with clock overflow marks (row 240) strewn in."""
    events = random_events(rng, [size], span=5_000)
    events.y[rng.choice(size, marks, replace=False)] = 240
    return encode(events)


@pytest.mark.parametrize("marks", [0, 1, 7])
def test_reads_what_tonic_reads(tmp_path: Path, marks: int) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(with_overflows(np.random.default_rng(marks), 200, marks))
    events = read_events(path)
    assert len(events) == 200 - marks
    assert_equal_to_tonic(path, events)


def test_reads_extreme_values(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(bytes([33, 0, 0x7F, 0xFF, 0xFF, 0, 33, 0x80, 0, 0]))
    events = read_events(path)
    assert [events.x.tolist(), events.y.tolist()] == [[33, 0], [0, 33]]
    assert [events.t.tolist(), events.p.tolist()] == [[2**23 - 1, 0], [0, 1]]


def test_reads_real_recordings(real_data: Callable[[str], Path]) -> None:
    root = real_data("NMNIST")
    for path in sorted((root / "Test").glob("*/*.bin"))[::10]:
        assert_equal_to_tonic(path, read_events(path))


def test_many_recordings_are_each_read_as_if_alone(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    paths = [tmp_path / f"{n}.bin" for n in range(5)]
    for n, path in enumerate(paths):
        path.write_bytes(with_overflows(rng, 50 + n, marks=n))
    many = nmnist.read_many(paths)
    assert many.recordings == 5
    for n, path in enumerate(paths):
        alone = read_events(path)
        part = slice(many.offsets[n], many.offsets[n + 1])
        for name in "xytp":
            np.testing.assert_array_equal(getattr(many, name)[part], getattr(alone, name))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"1234567", "is truncated or of another format: it has 7 bytes"),
        (bytes([34, 0, 0, 0, 0]), "x=34, y=0, off the 34 x 34 sensor"),
        (bytes([0, 241, 0, 0, 0]), "x=0, y=241, off the 34 x 34 sensor"),
        (bytes([0, 240, 0, 0, 0]), "holds clock overflows, but no events"),
    ],
)
def test_names_the_damaged_file(tmp_path: Path, content: bytes, message: str) -> None:
    good = tmp_path / "good.bin"
    good.write_bytes(encode(random_events(np.random.default_rng(0), [9])))
    bad = tmp_path / "bad.bin"
    bad.write_bytes(content)
    with pytest.raises(DataError, match=f"bad.bin.*{message}"):
        nmnist.read_many([good, bad, good])


def test_names_the_missing_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"gone\.bin cannot be read"):
        read_events(tmp_path / "gone.bin")


def test_loads_a_partial_folder(tmp_path: Path) -> None:
    write_nmnist(tmp_path, train={"0": 12, "7": 4}, test={"7": 3, "2": 1})
    (tmp_path / "Train" / "0" / "notes.txt").write_text("not a recording")
    splits = data.load("nmnist", root=tmp_path, steps=5, validation=0.25)
    assert splits.info["sizes"] == {"train": 12, "val": 4, "test": 4}
    assert splits.test.ids == ("Test/2/00000", "Test/7/00000", "Test/7/00001", "Test/7/00002")
    assert splits.test.labels.tolist() == [2, 7, 7, 7]
    assert np.bincount(splits.val.labels).tolist() == [3, 0, 0, 0, 0, 0, 0, 1]
    assert not set(splits.train.ids) & set(splits.val.ids)


def test_batches_hold_the_recordings_asked_for(tmp_path: Path) -> None:
    write_nmnist(tmp_path, train={"0": 8, "1": 8}, test={"3": 5})
    splits = data.load("nmnist", root=tmp_path, steps=5, values="counts")
    batch = splits.test.batch([4, 0])
    assert batch.ids == ("Test/3/00004", "Test/3/00000")
    assert batch.x.shape == (5, 2, 2, 34, 34)
    for b, number in enumerate((4, 0)):
        single = data.load_file(
            "nmnist", tmp_path / f"Test/3/{number:05d}.bin", steps=5, values="counts"
        ).batch([0])
        assert single.labels.tolist() == [-1]
        np.testing.assert_array_equal(spikes(batch).dense()[:, b], spikes(single).dense()[:, 0])


@pytest.mark.parametrize("name", ["foo", "12"])
def test_refuses_a_folder_that_is_no_class(tmp_path: Path, name: str) -> None:
    write_nmnist(tmp_path, train={"0": 2, name: 2}, test={"0": 1})
    with pytest.raises(DataError, match=f"{name} is no class of N-MNIST"):
        data.load("nmnist", root=tmp_path)


def test_refuses_a_single_class(tmp_path: Path) -> None:
    write_nmnist(tmp_path, train={"4": 8}, test={"4": 1})
    with pytest.raises(DataError, match=r"one class only \(4\)"):
        data.load("nmnist", root=tmp_path)


def test_says_what_to_put_where(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere/Train is missing.*Train/<label>/<id>\.bin"):
        data.load("nmnist", root=tmp_path / "nowhere")
    (tmp_path / "Train" / "0").mkdir(parents=True)
    with pytest.raises(DataError, match="has no recordings"):
        data.load("nmnist", root=tmp_path)


def test_a_validation_share_must_leave_both_parts(tmp_path: Path) -> None:
    write_nmnist(tmp_path, train={"0": 1, "1": 1}, test={"0": 1})
    with pytest.raises(DataError, match="both parts need at least one"):
        data.load("nmnist", root=tmp_path, validation=0.01)
    with pytest.raises(DataError, match="asks for 5 training samples, but there are 1"):
        data.load("nmnist", root=tmp_path, validation=0.5, train=5)


def test_fetches_only_what_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched: list[Path] = []

    def fetch(description: Description, root: Path, progress: Progress) -> list[str]:
        assert description.title == "N-MNIST"
        fetched.append(root)
        write_nmnist(root, {"0": 8, "1": 8}, {"0": 8, "1": 8})
        return ["train.zip", "test.zip"]

    monkeypatch.setattr("lfp_snn.data.published.fetch.fetch", fetch)
    for _ in range(2):
        splits = data.load("nmnist", root=tmp_path / "new", download=True, steps=2)
        assert splits.info["sizes"] == {"train": 14, "val": 2, "test": 16}
    assert fetched == [tmp_path / "new"]


def test_a_file_of_another_format_is_read_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "0.bin"
    path.write_bytes(encode(random_events(np.random.default_rng(0), [300])))
    events = read_events(path)
    expected = data.load_file("nmnist", path, steps=5).batch([0])
    for name, form in (("a.csv", "table"), ("a.aedat4", "aedat4"), ("a.npy", "npy")):
        write_recording(events, tmp_path / name, form)
        found = data.load_file("nmnist", tmp_path / name, steps=5).batch([0])
        assert spikes(found) == spikes(expected)


def test_a_file_that_cannot_be_read_as_it_is_is_told_with_a_command(tmp_path: Path) -> None:
    (tmp_path / "large.txt").write_text("t x y p\n0 500 3 1\n9 2 3 0\n")
    (tmp_path / "bare.txt").write_text("3 1 2\n1 7 6\n2 3 4\n" * 9)
    (tmp_path / "words.txt").write_text("no recording\n")
    for name, told in (
        ("large.txt", r"sensor \(2, 4, 501\), larger than \(2, 34, 34\); nothing is cropped"),
        ("bare.txt", r"--column-order.*lfp-snn data convert .*bare.txt bare.bin"),
        ("words.txt", "of no format that is known.*Known: AEDAT 4"),
    ):
        with pytest.raises(DataError, match=told):
            data.load_file("nmnist", tmp_path / name)
    (tmp_path / "short.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + b"0" * 9)  # no option mends it
    with pytest.raises(DataError, match=r"short.h5 is damaged (?!.*option of)"):
        data.load_file("nmnist", tmp_path / "short.h5")
