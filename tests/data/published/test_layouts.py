"""Every published dataset from a small folder in its official layout, as tonic reads it."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from lfp_snn.data import DATASETS, Events, Splits, load, load_file
from lfp_snn.data.event_set import EventSet
from lfp_snn.data.formats import write_recording
from lfp_snn.data.published import DESCRIPTIONS
from lfp_snn.errors import DataError
from lfp_snn.models import build
from lfp_snn.training import fit

datasets = pytest.importorskip("tonic.datasets")
h5py = pytest.importorskip("h5py")
scipy_io = pytest.importorskip("scipy.io")


def events(seed: int, sensor: tuple[int, int, int], count: int = 40) -> Events:
    rng = np.random.default_rng(seed)
    return Events(
        rng.integers(0, sensor[2], count).astype(np.int16),
        rng.integers(0, sensor[1], count).astype(np.int16),
        np.sort(rng.integers(0, 200_000, count)) // 1000 * 1000,
        rng.integers(0, 2, count).astype(np.uint8),
        sensor,
    )


def columns(own: Events, order: str) -> npt.NDArray[np.int64]:
    named: dict[str, npt.NDArray[Any]] = {"t": own.t, "x": own.x, "y": own.y, "p": own.p}
    return np.stack([named[name].astype(np.int64) for name in order], 1)


def write_many(root: Path, write: Callable[[Path, Events], None], names: list[str]) -> None:
    """Writes a recording under each name; what it holds follows from its number."""
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write(path, events(number, SENSORS.get(root.name, (2, 128, 128))))


SENSORS = {"POKERDVS": (2, 35, 35), "NCALTECH101": (2, 180, 240), "ASLDVS": (2, 180, 240)}
FIVE = range(5)


def poker(root: Path) -> None:
    def write(path: Path, own: Events) -> None:
        np.save(path, columns(own, "txyp"))

    suits = ("cl", "he", "di", "sp")
    names = [f"pips_{part}/{s}/{n}.npy" for part in ("train", "test") for s in suits for n in FIVE]
    write_many(root, write, names)


def gesture(root: Path) -> None:
    def write(path: Path, own: Events) -> None:
        np.save(path, columns(own, "xypt") // [1, 1, 1, 1000])

    names = [
        f"ibmGesture{part}/user{user:02d}_{light}/{label}.npy"
        for part in ("Train", "Test")
        for user, light in ((1, "fluorescent"), (2, "led"))
        for label in (0, 3, 10)
    ]
    write_many(root, write, names)


def cifar(root: Path) -> None:
    def write(path: Path, own: Events) -> None:
        write_recording(own, path, "aedat4")

    names = [f"{c}/cifar10_{c}_{n}.aedat4" for c in ("airplane", "dog", "truck") for n in FIVE]
    write_many(root, write, names)


def caltech(root: Path) -> None:
    def write(path: Path, own: Events) -> None:
        write_recording(own, path, "bin")

    classes = ("ant", "BACKGROUND", "yin")
    write_many(root, write, [f"Caltech101/{c}/image_{n:04d}.bin" for c in classes for n in FIVE])


def lip(root: Path) -> None:
    def write(path: Path, own: Events) -> None:
        table = np.zeros(len(own), [("t", "<i8"), ("x", "<i4"), ("y", "<i4"), ("p", "u1")])
        for name in ("t", "x", "y", "p"):
            table[name] = getattr(own, name)
        np.save(path, table)

    words = [f"{part}/{w}" for part in ("train", "test") for w in ("accused", "spend", "young")]
    write_many(root, write, [f"DVS-Lip/{word}/{n}.npy" for word in words for n in FIVE])


def sign(root: Path) -> None:
    def write(path: Path, own: Events) -> None:
        scipy_io.savemat(path, {"ts": own.t, "x": own.x, "y": own.y, "pol": own.p})

    names = [f"Yin{s}/{c}/{c}_{n:04d}.mat" for s in (1, 2) for c in "aky" for n in FIVE]
    write_many(root, write, names)


def spoken(root: Path, names: dict[str, int], classes: int) -> None:
    root.mkdir()
    vlen = {"f": h5py.vlen_dtype(np.float16), "u": h5py.vlen_dtype(np.uint16)}
    for seed, (name, count) in enumerate(names.items()):
        rng = np.random.default_rng(seed)
        with h5py.File(root / name, "w") as file:
            times = file.create_dataset("spikes/times", (count,), vlen["f"])
            units = file.create_dataset("spikes/units", (count,), vlen["u"])
            for n in range(count):
                times[n] = np.sort(rng.random(30)).astype(np.float16)
                units[n] = rng.integers(0, 700, 30)
            file["labels"] = np.arange(count, dtype=np.uint16) % classes
            file["extra/keys"] = [f"k{n}".encode() for n in range(classes)]
            file["extra/speaker"] = np.zeros(count)


def shd(root: Path) -> None:
    spoken(root, {"shd_train.h5": 60, "shd_test.h5": 21}, 20)


def ssc(root: Path) -> None:
    spoken(root, {"ssc_train.h5": 70, "ssc_valid.h5": 35, "ssc_test.h5": 36}, 35)


def tidigits(root: Path) -> None:
    root.mkdir()
    rng = np.random.default_rng(0)
    with h5py.File(root / "n-tidigits.hdf5", "w") as file:
        for part in ("train", "test"):
            names = [f"man-ae-{label}" for label in ("o", "1", "z", "12", "9", "zz")]
            names += [f"woman-bb-{label}" for label in ("o", "1", "z", "9")]
            file[f"{part}_labels"] = [name.encode() for name in names]
            for name in names:
                file[f"{part}_addresses/{name}"] = rng.integers(0, 64, 25)
                file[f"{part}_timestamps/{name}"] = np.sort(rng.random(25))


def smnist(root: Path) -> None:
    root.mkdir()
    rng = np.random.default_rng(0)
    for part, count in (("train", 20), ("t10k", 8)):
        images = rng.integers(0, 256, (count, 28, 28)).astype(np.uint8)
        images[:, ::2] = 255
        labels = (np.arange(count) % 10).astype(np.uint8)
        shape = b"".join(side.to_bytes(4, "big") for side in (count, 28, 28))
        pixels = (2051).to_bytes(4, "big") + shape + images.tobytes()
        (root / f"{part}-images-idx3-ubyte").write_bytes(pixels)
        named = (2049).to_bytes(4, "big") + shape[:4] + labels.tobytes()
        (root / f"{part}-labels-idx1-ubyte").write_bytes(named)


BOTH: list[dict[str, Any]] = [{"train": True}, {"train": False}]
#: How each is written, samples in its parts with validation=0.25, arguments of tonic's parts.
CASES: dict[str, tuple[Callable[[Path], None], dict[str, int], list[dict[str, Any]]]] = {
    "pokerdvs": (poker, {"train": 15, "val": 5, "test": 20}, BOTH),
    "dvs_gesture": (
        gesture,
        {"train": 4, "val": 2, "test": 6},
        BOTH,
    ),
    "cifar10_dvs": (cifar, {"train": 9, "val": 3, "test": 3}, [{}]),
    "ncaltech101": (caltech, {"train": 9, "val": 3, "test": 3}, [{}]),
    "dvs_lip": (lip, {"train": 11, "val": 4, "test": 15}, BOTH),
    "asl_dvs": (sign, {"train": 18, "val": 6, "test": 6}, [{}]),
    "shd": (shd, {"train": 45, "val": 15, "test": 21}, BOTH),
    "ssc": (
        ssc,
        {"train": 70, "val": 35, "test": 36},
        [{"split": "train"}, {"split": "valid"}, {"split": "test"}],
    ),
    "ntidigits18": (
        tidigits,
        {"train": 6, "val": 2, "test": 8},
        [{"train": True, "single_digits": True}, {"train": False, "single_digits": True}],
    ),
    "smnist": (smnist, {"train": 15, "val": 5, "test": 8}, BOTH),
}


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Splits]:
    """Loads a small copy of a dataset, which is written at first."""
    monkeypatch.setenv("LFP_SNN_CACHE", str(tmp_path / "cache"))

    def loaded(name: str, **options: Any) -> Splits:
        root = tmp_path / DESCRIPTIONS[name].tonic
        if not root.exists():
            CASES[name][0](root)
        return load(name, root, validation=0.25, **options)

    return loaded


def test_the_cases_are_all_there_are() -> None:
    by_tonic = {name for name, each in DESCRIPTIONS.items() if each.tonic}
    assert CASES.keys() == by_tonic - {"nmnist"}
    assert DESCRIPTIONS.keys() <= DATASETS.keys()
    others = {  # of tonic's, not for classification
        "DAVISDATA", "DSEC", "EBSSA", "MVSEC", "NERDD", "ThreeET_Eyetracking", "TUMVIE", "VPR",
    }  # fmt: skip
    of_tonic = {
        name for name, each in vars(datasets).items()
        if isinstance(each, type) and each.__module__.startswith("tonic.datasets")
    }  # fmt: skip
    assert {DESCRIPTIONS[name].tonic for name in by_tonic} | others == of_tonic


@pytest.mark.parametrize("name", sorted(CASES))
def test_a_small_copy_is_loaded(name: str, made: Callable[..., Splits]) -> None:
    splits = made(name, preprocess=[], steps=5, binning="time", bin_ms=None)
    assert splits.info["sizes"] == CASES[name][1]
    known = DESCRIPTIONS[name]
    classes = known.classes or ("BACKGROUND", "ant", "yin")
    for part in (splits.train, splits.val, splits.test):
        assert part.classes == classes
        assert part.feature_shape == known.sensor
    ids = [set(part.ids) for part in (splits.train, splits.val, splits.test)]
    assert not ids[0] & ids[1] and not ids[0] & ids[2] and not ids[1] & ids[2]
    again = made(name, preprocess=[], steps=5, binning="time", bin_ms=None)
    assert again.test.ids == splits.test.ids


@pytest.mark.parametrize("name", sorted(CASES))
def test_events_and_labels_are_those_of_tonic(
    name: str, made: Callable[..., Splits], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    streamed = made(name, preprocess=[], binning="time", bin_ms=None, storage="streamed").train
    assert isinstance(streamed, EventSet)
    whole = streamed._read(np.arange(len(streamed._all_labels)))
    ours = [
        (sorted(map(tuple, columns(whole.recording(n), "txyp").tolist())), int(label))
        for n, label in enumerate(streamed._all_labels)
    ]
    kind = getattr(datasets, DESCRIPTIONS[name].tonic)
    monkeypatch.setattr(kind, "_check_exists", lambda self: True)
    if name == "smnist":
        (tmp_path / "SMNIST").rename(tmp_path / "smnist")
    classes: Any = {"ncaltech101": ["BACKGROUND", "ant", "yin"]}.get(name, [])
    theirs = []
    for arguments in CASES[name][2]:
        for own, target in kind(str(tmp_path), **arguments):
            if name == "asl_dvs":  # tonic counts the letters that are not there
                target = DESCRIPTIONS[name].classes.index(kind.classes[target])
            label = classes.index(target) if isinstance(target, str) and classes else int(target)
            named = own.dtype.names
            zero = np.zeros(len(own), np.int64)
            table = [
                np.ravel(own[each]).astype(np.int64) if each in named else zero for each in "txyp"
            ]
            if DESCRIPTIONS[name].sensor[0] == 1:
                table[3] = zero  # a single polarity is number 0 here and 1 there
            theirs.append((sorted(zip(*(column.tolist() for column in table), strict=True)), label))
    assert len(ours) == len(theirs)
    assert sorted(map(repr, ours)) == sorted(map(repr, theirs))


@pytest.mark.parametrize("name", ["dvs_gesture", "shd"])
def test_a_net_is_trained_with_the_recommended_binning(
    name: str, made: Callable[..., Splits]
) -> None:
    splits = made(name)
    net = build("mlp", splits.train.feature_shape, len(splits.train.classes), hidden=[8])
    result = fit(net, splits, epochs=1, batch_size=5, calibrate=None)
    assert 0 <= result.test_accuracy <= 1


def test_one_recording_is_encoded_as_the_set(made: Callable[..., Splits], tmp_path: Path) -> None:
    splits = made("pokerdvs", steps=4)
    name = splits.test.ids[3]
    alone = load_file("pokerdvs", tmp_path / "POKERDVS" / name, steps=4)
    assert alone.batch([0]).x == splits.test.batch([3]).x


def test_one_recording_of_another_format(made: Callable[..., Splits], tmp_path: Path) -> None:
    made("pokerdvs")
    write_recording(events(3, (2, 20, 20)), tmp_path / "a.aedat4", "aedat4")
    alone = load_file("pokerdvs", tmp_path / "a.aedat4", steps=4)
    assert alone.feature_shape == (2, 35, 35) and alone.batch([0]).x.nnz  # type: ignore[union-attr]


def test_a_stored_split_stays_when_recordings_come_and_go(
    made: Callable[..., Splits], tmp_path: Path
) -> None:
    before = set(made("cifar10_dvs").test.ids)
    root = tmp_path / "CIFAR10DVS"
    gone = sorted(before)[0]
    (root / gone).unlink()
    for number in range(10, 20):
        path = root / "bird" / f"cifar10_bird_{number}.aedat4"
        path.parent.mkdir(exist_ok=True)
        write_recording(events(number, (2, 128, 128)), path, "aedat4")
    after = made("cifar10_dvs")
    assert before - {gone} <= set(after.test.ids)
    others = {*after.train.ids, *after.val.ids}
    assert not before & others
    assert sum("bird" in name for name in after.test.ids) == 2
    (root / "split.json").write_text("{")
    with pytest.raises(DataError, match=r"split.json is damaged"):
        made("cifar10_dvs")


@pytest.mark.parametrize(
    ("name", "harm", "found"),
    [
        ("dvs_gesture", lambda root: (root / "ibmGestureTest").rename(root / "x"), "is missing"),
        (
            "pokerdvs",
            lambda root: (root / "pips_test/cl").rename(root / "pips_test/xx"),
            "no class",
        ),
        ("dvs_lip", lambda root: next(root.rglob("*.npy")).write_bytes(b"no"), "DVS-Lip"),
        ("shd", lambda root: (root / "shd_test.h5").write_bytes(b"no"), "shd_test.h5"),
        ("ssc", lambda root: (root / "ssc_valid.h5").unlink(), "ssc_valid.h5 is missing"),
        ("cifar10_dvs", lambda root: [p.unlink() for p in root.rglob("*.aedat4")], "no recordings"),
    ],
)
def test_what_is_wrong_is_named(
    name: str, harm: Callable[[Path], Any], found: str, made: Callable[..., Splits], tmp_path: Path
) -> None:
    root = tmp_path / DESCRIPTIONS[name].tonic
    CASES[name][0](root)
    harm(root)
    with pytest.raises(DataError, match=found):
        made(name)


def test_gzipped_smnist(made: Callable[..., Splits], tmp_path: Path) -> None:
    plain = made("smnist", steps=5)
    root = tmp_path / "SMNIST"
    for path in list(root.iterdir()):
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    packed = made("smnist", steps=5)
    assert packed.test.batch([0, 1]).x == plain.test.batch([0, 1]).x


def test_the_readme_of_the_datasets_tells_of_each(repository: Path) -> None:
    told = (repository / "datasets" / "README.md").read_text()
    for name, known in DESCRIPTIONS.items():
        assert f"| `{name}` |" in told
        if name != "nmnist":
            assert (
                f"`datasets/{known.folder}`: {known.layout} | {known.licence or 'not stated'}"
                in told
            )
