"""Recordings read on demand: equal to the cached ones, augmented in training only."""

from __future__ import annotations

import copy
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lfp_snn.data import Loader, Splits, load
from lfp_snn.data.event_set import EventSet
from lfp_snn.data.options import SpikeOptions
from lfp_snn.data.resident import held_on
from lfp_snn.data.sets import Draw, SampleSet, SpikeSet
from lfp_snn.errors import ConfigError, DataError
from lfp_snn.models import build
from lfp_snn.spikes import Spikes
from lfp_snn.training import fit
from tests.data.helpers import SENSOR, random_events, spikes, write_nmnist

COUNTS = {str(label): 6 for label in range(3)}
Load = Callable[..., Splits]


@pytest.fixture
def recordings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Loads a small N-MNIST with further options."""
    monkeypatch.setenv("LFP_SNN_CACHE", str(tmp_path / "cache"))
    write_nmnist(tmp_path / "data", COUNTS, COUNTS)

    def loaded(**options: Any) -> Splits:
        return load("nmnist", tmp_path / "data", steps=5, validation=1 / 3, **options)

    return loaded


def assert_equal(one: SampleSet, other: SampleSet) -> None:
    assert one.ids == other.ids
    assert one.feature_shape == other.feature_shape
    rows = list(range(len(one)))[::-1]
    a, b = one.batch(rows), other.batch(rows)
    assert a.x == b.x
    assert a.labels.tolist() == b.labels.tolist()
    assert (a.lengths is None) == (b.lengths is None)
    if a.lengths is not None and b.lengths is not None:
        assert a.lengths.tolist() == b.lengths.tolist()


@pytest.mark.parametrize(
    "options", [{}, {"values": "counts"}, {"binning": "duration", "bin_ms": 20.0}]
)
def test_streamed_equals_cached(recordings: Load, tmp_path: Path, options: dict[str, Any]) -> None:
    streamed = recordings(storage="streamed", **options)
    assert isinstance(streamed.train, EventSet)
    assert not (tmp_path / "cache").exists()
    cached = recordings(**options)
    for part in ("train", "val", "test"):
        assert_equal(getattr(streamed, part), getattr(cached, part))


def test_a_bad_file_is_skipped_and_counted(recordings: Load, tmp_path: Path) -> None:
    bad = tmp_path / "data" / "Train" / "1" / "00003.bin"
    bad.write_bytes(b"xyz")
    with pytest.raises(DataError, match="00003.bin is truncated"):
        recordings()
    for storage in ("cached", "streamed"):
        splits = recordings(on_bad_file="skip", storage=storage)
        assert splits.info["skipped"] == 1
        assert splits.info["sizes"] == {"train": 11, "val": 6, "test": 18}
        ids = [*splits.train.ids, *splits.val.ids, *splits.test.ids]
        assert "Train/1/00003" not in ids and len(set(ids)) == 35
        for part in (splits.train, splits.val, splits.test):
            assert [name.split("/")[1] for name in part.ids] == [str(n) for n in part.labels]


SHIFT = [{"name": "shift", "pixels": 3}, {"name": "drop_event"}]


def test_training_is_augmented_and_nothing_else(recordings: Load) -> None:
    plain, changed = recordings(), recordings(augment=SHIFT)
    for part in ("train", "val", "test"):
        assert_equal(getattr(plain, part), getattr(changed, part))
    epochs = [
        [batch.x for batch in Loader(changed.train, 4, "shuffle", 0, workers).epoch(epoch)]
        for epoch, workers in ((1, 0), (1, 2), (2, 0))
    ]
    assert epochs[0] == epochs[1]
    assert epochs[0] != epochs[2]
    kept = [batch.x for batch in Loader(plain.train, 4, "shuffle", 0).epoch(1)]
    assert epochs[0] != kept


def test_what_is_drawn_does_not_depend_on_the_batch(recordings: Load) -> None:
    train = recordings(augment=[*SHIFT, {"name": "mix"}]).train
    draw = Draw(3, 7)
    together = train.batch([4, 0, 2], draw)
    for b, position in enumerate([4, 0, 2]):
        alone = train.batch([position], draw)
        assert torch.equal(spikes(alone).dense()[:, 0], spikes(together).dense()[:, b])
        assert alone.labels[0] == together.labels[b]


def test_a_mix_takes_the_label_of_its_larger_part(recordings: Load) -> None:
    train = recordings(augment=[{"name": "mix", "p": 1.0}]).train
    positions = np.arange(len(train))
    changed = [
        (train.batch(positions, Draw(0, epoch)).labels.numpy() != train.labels).mean()
        for epoch in range(20)
    ]
    assert 0.15 < np.mean(changed) < 0.5  # about half, two thirds of which are of another class


def test_runs_learn_from_variable_lengths_with_augmentation(recordings: Load) -> None:
    halved = [{"name": "downsample", "factor": 2}]
    splits = recordings(augment=SHIFT, binning="duration", bin_ms=70.0, preprocess=halved)
    torch.manual_seed(0)
    net = build("mlp", splits.train.feature_shape, 10, hidden=[8])
    weights = []
    for workers in (0, 2):
        learnt = copy.deepcopy(net)
        fit(learnt, splits, epochs=2, batch_size=5, workers=workers, sampling="balanced")
        weights.append(learnt.state_dict())
    for name, weight in weights[0].items():
        assert torch.equal(weight, weights[1][name])
    assert not torch.equal(weights[0]["1.weight"], net.state_dict()["1.weight"])


MIRROR: list[dict[str, Any]] = [
    {"name": "flip", "axis": "vertical"},
    {"name": "flip", "axis": "polarity"},
]


@pytest.mark.parametrize(
    "options", [{}, {"values": "counts"}, {"binning": "duration", "bin_ms": 20.0}]
)
def test_mirrors_are_the_same_after_binning(recordings: Load, options: dict[str, Any]) -> None:
    """The draws are those of the events; nothing but mirrors leaves the windows as they are."""
    before = recordings(augment=MIRROR, **options)
    cached = recordings(augment=MIRROR, storage="device", **options)
    held = held_on(cached, torch.device("cpu"), asked=True)
    assert isinstance(cached.train, SpikeSet)
    for epoch in (1, 2):
        theirs = [batch.x for batch in Loader(before.train, 4, "shuffle", 0).epoch(epoch)]
        for after in (cached, held):
            ours = [batch.x for batch in Loader(after.train, 4, "shuffle", 0).epoch(epoch)]
            assert ours == theirs
    plain = recordings(**options)
    assert theirs != [batch.x for batch in Loader(plain.train, 4, "shuffle", 0).epoch(2)]
    for part in ("train", "val", "test"):
        assert_equal(getattr(held, part), getattr(plain, part))


def test_memory_does_not_grow_with_the_number_of_recordings() -> None:
    def peak(count: int) -> int:
        options = SpikeOptions(steps=5, storage="streamed")
        one = random_events(np.random.default_rng(0), [20_000])

        def read(rows: Any) -> Any:
            return type(one).joined([one] * len(rows))

        labels = np.zeros(count, np.int64)
        samples = EventSet(read, options, SENSOR, labels, ["r"] * count, classes=("a",))
        tracemalloc.start()
        for _ in Loader(samples, 4, "shuffle", seed=0, workers=1).epoch(1):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    peak(8)  # compiles
    assert peak(64) < 1.3 * peak(16)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"binning": "duration"}, "bin_ms"),
        ({"bin_ms": 10.0}, "bin_ms"),
        ({"storage": "memory"}, "storage"),
        ({"augment": [{"name": "flipp"}]}, "augment"),
        ({"augment": [{"name": "drop_event"}], "storage": "device"}, "drop_event needs the events"),
        ({"augment": [{"name": "mix"}], "storage": "device"}, "mix needs the events"),
        (
            {"augment": [{"name": "flip", "axis": "time"}], "storage": "device"},
            r"flip \(but not along time\), shift, drop_area and cutout",
        ),
    ],
)
def test_refuses_options_that_do_not_fit(
    recordings: Load, options: dict[str, Any], found: str
) -> None:
    with pytest.raises(ConfigError, match=found):
        recordings(**options)


@pytest.mark.parametrize("options", [{}, {"values": "counts"}, {"binning": "count"}])
def test_each_event_is_found_in_the_batch(recordings: Load, options: dict[str, Any]) -> None:
    test = recordings(storage="streamed", **options).test
    assert isinstance(test, EventSet)
    x = test.batch([7]).x
    assert isinstance(x, Spikes)
    events, entries = test.recording(7)
    binned = entries >= 0
    assert binned.sum() > 0.8 * len(events)
    assert (x.indices.numpy()[entries[binned]] == events.units()[binned]).all()
    counts = np.bincount(entries[binned], minlength=x.nnz)
    assert (counts > 0).all()
    if x.values is not None:
        assert counts.tolist() == x.values.tolist()
