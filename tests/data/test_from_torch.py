"""Data of torch and tonic gives the batches that the built-in path gives."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
)

from lfp_snn import data
from lfp_snn.data import Binning, Loader, SampleSet, from_torch, own_splits
from lfp_snn.errors import ConfigError, DataError
from lfp_snn.spikes import Spikes
from tests.data.helpers import spikes, write_nmnist

T = 6
COUNTS = {"steps": T, "values": "counts", "validation": 0.25}


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LFP_SNN_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder in the layout of tonic, and in it of ours."""
    write_nmnist(tmp_path / "NMNIST", train={"0": 6, "7": 6}, test={"0": 3, "7": 4})
    return tmp_path


@pytest.fixture
def tonic_set(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """tonic's N-MNIST, of a folder that does not hold all of it."""
    datasets = pytest.importorskip("tonic.datasets")
    monkeypatch.setattr(datasets.NMNIST, "_check_exists", lambda self: True)
    return lambda root, **options: datasets.NMNIST(str(root), **options)


def _forms(frames: Any, events: Any, root: Path) -> dict[str, SampleSet]:
    """The same samples in every form that is taken."""
    import tonic

    pad = tonic.collation.PadTensors
    x = torch.stack([torch.from_numpy(frame) for frame, _ in frames])
    labels = torch.tensor([label for _, label in frames])
    lists = Spikes.from_dense(x.transpose(0, 1))

    def as_spikes(items: list[Any]) -> Any:
        stacked = torch.stack([torch.from_numpy(frame) for frame, _ in items], 1)
        return Spikes.from_dense(stacked), [label for _, label in items]

    given: dict[str, Any] = {
        "dataset": frames,
        "memory cache": tonic.MemoryCachedDataset(frames),
        "disk cache": tonic.DiskCachedDataset(frames, str(root / "disk")),
        "loader": DataLoader(frames, 3),
        "padded, samples first": DataLoader(frames, 3, collate_fn=pad(batch_first=True)),
        "padded, time first": DataLoader(frames, 3, collate_fn=pad(batch_first=False)),
        "loader of lists": DataLoader(
            frames, 3, collate_fn=lambda items: tuple(zip(*items, strict=True))
        ),
        "loader of spikes": DataLoader(frames, 3, collate_fn=as_spikes),
        "loader with processes": DataLoader(frames, 3, num_workers=2),
        "arrays, samples first": (x, labels),
        "arrays, time first": (x.transpose(0, 1).numpy(), labels.numpy()),
        "spikes": (lists, labels.tolist()),
        "tensors": TensorDataset(x, labels),
    }
    sets = {name: from_torch(each) for name, each in given.items()}
    binning = Binning(T, values="counts")
    sets["events"] = from_torch(events, binning=binning)
    sets["loader of events"] = from_torch(DataLoader(events, 3), binning=binning)
    return sets


def _whole(samples: SampleSet) -> Any:
    return samples.batch(range(len(samples)))


def test_every_form_gives_the_built_in_batches(root: Path, tonic_set: Callable[..., Any]) -> None:
    from tonic import transforms

    to_frame = transforms.ToFrame(sensor_size=(34, 34, 2), n_time_bins=T)
    frames = tonic_set(root, train=False, transform=to_frame)
    events = tonic_set(root, train=False)
    expected = _whole(data.load("nmnist", root / "NMNIST", **COUNTS).test)
    for name, samples in _forms(frames, events, root).items():
        batch = _whole(samples)
        assert spikes(batch) == spikes(expected), name
        assert torch.equal(batch.labels, expected.labels), name
        assert batch.lengths is None, name
        assert np.array_equal(samples.labels, expected.labels), name
        assert samples.feature_shape == (2, 34, 34) and samples.steps == T, name
        batches = list(Loader(samples, 3, "in_order", seed=0).epoch(0))
        assert torch.equal(torch.cat([each.labels for each in batches]), expected.labels), name
        assert spikes(batches[1]) == spikes(expected)[3:6], name


def test_real_recordings_give_the_built_in_batches(tonic_set: Callable[..., Any]) -> None:
    from tonic import transforms

    where = Path(os.environ.get("LFP_SNN_TEST_DATA", ""))
    if not (where / "NMNIST" / "Test").is_dir():
        pytest.skip("no N-MNIST in LFP_SNN_TEST_DATA")
    to_frame = transforms.ToFrame(sensor_size=(34, 34, 2), n_time_bins=25)
    frames = tonic_set(where, train=False, transform=to_frame)
    built_in = data.load("nmnist", where / "NMNIST", steps=25, values="counts").test
    some = np.arange(0, len(built_in), 11)
    ours, theirs = built_in.batch(some), from_torch(frames).batch(some)
    assert spikes(ours) == spikes(theirs)
    assert torch.equal(ours.labels, theirs.labels)


class Ragged(Dataset[Any]):
    """Sample n has n + 1 steps of two units."""

    classes = ("a", "b", "c")

    def __len__(self) -> int:
        return 5

    def __getitem__(self, n: int) -> Any:
        return torch.full((n + 1, 2), n + 1.0), n % 3


def _pad(items: list[Any]) -> Any:
    """As collate functions of users do, without telling the lengths."""
    longest = max(len(x) for x, _ in items)
    padded = [torch.nn.functional.pad(x, (0, 0, 0, longest - len(x))) for x, _ in items]
    return torch.stack(padded), torch.tensor([label for _, label in items])


@pytest.mark.parametrize("given", [Ragged(), DataLoader(Ragged(), 5, collate_fn=_pad)])
def test_samples_keep_their_lengths(given: Any) -> None:
    samples = from_torch(given)
    assert samples.classes == ("a", "b", "c")
    batch = samples.batch([3, 1])
    assert batch.lengths is not None and batch.lengths.tolist() == [4, 2]
    x = spikes(batch).dense()
    assert x.shape == (4, 2, 2)
    assert x[:, 0].tolist() == [[4.0, 4.0]] * 4
    assert x[:, 1].tolist() == [[2.0, 2.0]] * 2 + [[0.0, 0.0]] * 2


class Noisy(Dataset[Any]):
    """Draws from all three sources of random numbers."""

    targets = torch.arange(12) % 2

    def __len__(self) -> int:
        return 12

    def __getitem__(self, n: int) -> Any:
        drawn = [torch.rand(3).mean(), np.random.rand(), random.random()]  # noqa: NPY002
        return torch.tensor([[n, *drawn]]).repeat(2, 1), int(self.targets[n])


def _epoch(samples: SampleSet, number: int, start: int = 0, workers: int = 0) -> torch.Tensor:
    loader = Loader(samples, 4, "shuffle", seed=3, workers=workers)
    return torch.cat([spikes(batch).dense() for batch in loader.epoch(number, start)], 1)


def _loaders() -> list[Any]:
    generator = torch.Generator().manual_seed(5)
    return [
        Noisy(),
        DataLoader(Noisy(), 4, shuffle=True),
        DataLoader(Noisy(), 4, shuffle=True, num_workers=2),
        DataLoader(Noisy(), 4, shuffle=True, generator=generator),
        DataLoader(Noisy(), 4, sampler=WeightedRandomSampler([1.0] * 12, 12)),
    ]


@pytest.mark.parametrize("given", _loaders(), ids=range(5))
def test_what_is_drawn_follows_from_seed_epoch_and_sample(given: Any) -> None:
    samples = from_torch(given)
    before = _random_state()
    first = _epoch(samples, 1)
    assert torch.equal(first, _epoch(samples, 1))
    assert torch.equal(first, _epoch(from_torch(given), 1, workers=2))
    assert torch.equal(first[:, 4:], _epoch(samples, 1, start=1))
    assert not torch.equal(first, _epoch(samples, 2))
    assert _random_state() == before


def _random_state() -> str:
    return repr((torch.get_rng_state().tolist(), np.random.get_state(), random.getstate()))  # noqa: NPY002


def test_processes_change_nothing() -> None:
    plain, processes = (
        _epoch(from_torch(DataLoader(Noisy(), 4, shuffle=True, num_workers=n)), 1) for n in (0, 2)
    )
    assert torch.equal(plain, processes)


def test_a_loader_keeps_its_batches() -> None:
    samples = from_torch(DataLoader(Noisy(), 5, shuffle=True, drop_last=True))
    batches = list(Loader(samples, 4, "shuffle", seed=0).epoch(1))
    assert [len(batch) for batch in batches] == [5, 5]
    assert len(samples) == 12
    assert [len(batch) for batch in Loader(samples, 4, "in_order", seed=0).epoch(1)] == [4, 4, 4]
    some = from_torch(DataLoader(Noisy(), 2, sampler=SubsetRandomSampler([7, 2, 9])))
    assert sorted(some.ids) == ["2", "7", "9"]
    names = [name for batch in Loader(some, 2, "shuffle", seed=0).epoch(1) for name in batch.ids]
    assert sorted(names) == ["2", "7", "9"]
    with pytest.raises(ConfigError, match="draws its own batches"):
        Loader(samples, 4, "balanced", seed=0)


def test_shares_of_a_loaders_batches_make_them() -> None:
    samples = from_torch(DataLoader(Noisy(), 5, shuffle=True))
    whole = list(Loader(samples, 5, "shuffle", seed=0).epoch(1))
    shares = [list(Loader(samples, 5, "shuffle", seed=0, shard=(n, 2)).epoch(1)) for n in (0, 1)]
    for batch, *parts in zip(whole, *shares, strict=True):
        assert list(batch.ids) == [name for part in parts for name in part.ids]


class Counted(IterableDataset[Any]):
    def __iter__(self) -> Any:
        return ((torch.full((3, 2), n + 1.0), n % 2) for n in range(6))


@pytest.mark.parametrize("given", [Counted(), DataLoader(Counted(), 4)])
def test_a_dataset_without_numbers_is_read_once(given: Any) -> None:
    samples = from_torch(given)
    assert len(samples) == 6
    assert spikes(samples.batch([4])).dense()[0, 0].tolist() == [5.0, 5.0]


def test_labels_are_those_of_the_samples() -> None:
    class Turned(Noisy):
        def __getitem__(self, n: int) -> Any:
            x, label = super().__getitem__(n)
            return x, 1 - label  # as a target_transform does; `targets` know nothing of it

    assert np.array_equal(from_torch(Turned()).labels, 1 - Noisy.targets)
    assert np.array_equal(from_torch(Subset(Noisy(), [3, 4])).labels, [1, 0])


def test_constant_currents_and_targets() -> None:
    x, labels = torch.rand(9, 4), torch.arange(9) % 3
    samples = from_torch((x, labels), steps=5)
    batch = samples.batch([8, 0])
    assert batch.steps == 5 and torch.equal(torch.as_tensor(batch.x), x[[8, 0]])
    assert batch.labels.tolist() == [2, 0]
    targets = torch.rand(9, 2)
    learnt = from_torch((torch.rand(9, 7, 4), targets))
    assert learnt.is_regression and len(learnt.classes) == 2
    numbers = learnt.batch([4]).targets
    assert numbers is not None and torch.equal(numbers[0], targets[4])


def _items(*items: Any) -> Any:
    return list(items)


NOT_TAKEN = {
    "no pair": (_items(torch.zeros(3, 2)), "pairs"),
    "three": (_items((torch.zeros(3, 2), 1, 2)), "3 values; expected pairs"),
    "a text": (_items(("word", 1)), "type str; expected tensors"),
    "labels of numbers": (_items((torch.zeros(3, 2), 0.5)), "expected 1 integers"),
    "none": (_items(), "no samples"),
    "a number": (3, "int; expected a torch Dataset"),
    "no batches": (DataLoader(Ragged(), None), "batch_size=None"),
    "other frames": (_items((torch.ones(3, 2), 0), (torch.ones(3, 4), 0)), "shape (3, 4)"),
    "lone labels": ((torch.zeros(4, 5, 2), torch.zeros(3, dtype=torch.long)), "3 labels"),
}


@pytest.mark.parametrize("name", NOT_TAKEN)
def test_what_cannot_be_is_told(name: str) -> None:
    given, told = NOT_TAKEN[name]
    with pytest.raises(DataError) as raised:
        samples = from_torch(given)
        _whole(samples)
    assert told in str(raised.value)


def test_events_must_know_sensor_and_steps() -> None:
    dtype = np.dtype([(name, np.int64) for name in "xytp"])
    events = np.array([(3, 1, 10, 0), (1, 2, 20, 1)], dtype=dtype)
    with pytest.raises(DataError, match="nothing tells the sensor"):
        from_torch([(events, 0)], steps=4)
    with pytest.raises(DataError, match="nothing tells the steps"):
        from_torch([(events, 0)], sensor=(2, 4, 4))
    with pytest.raises(DataError, match="off the sensor of 2 polarities, 3 rows and 3 columns"):
        from_torch([(events, 0)], steps=4, sensor=(2, 3, 3)).batch([0])
    batch = from_torch([(events, 0)], steps=2, sensor=(2, 4, 4)).batch([0])
    assert spikes(batch).dense().nonzero().tolist() == [[0, 0, 0, 1, 3]]  # the rest is left over
    channels = events[["x", "t"]]
    assert from_torch([(channels, 0)], steps=2, sensor=(1, 1, 4)).feature_shape == (1, 1, 4)


def test_parts_must_be_alike() -> None:
    x, labels = torch.rand(6, 5, 2), torch.arange(6) % 3
    splits = own_splits((x, labels), test=(x, labels * 0))
    assert len(splits.val) == 0 and splits.test.classes == ("0", "1", "2")
    with pytest.raises(DataError, match="test part has frames of the shape"):
        own_splits((x, labels), test=(torch.rand(6, 5, 3), labels))
    with pytest.raises(DataError, match="The val part: There are 6 labels"):
        own_splits((x, labels), (torch.rand(2, 2, 2), labels))
    wrong = own_splits((x, labels), DataLoader(TensorDataset(x, labels + 1), 2)).val
    with pytest.raises(DataError, match="from 1 to 3, but there are 3 classes"):
        _whole(wrong)


@pytest.mark.parametrize(
    ("labels", "cure"),
    [
        (["a", "b"] * 3, r"numpy.unique\(words, return_inverse=True\)"),
        (torch.eye(3)[[0, 1, 2, 0, 1, 2]].long(), r"labels.argmax\(1\) makes them of one-hot rows"),
        (torch.tensor([True, False] * 3), r"labels.long\(\) of a tensor"),
    ],
)
def test_labels_of_another_form_are_told_with_the_cure(labels: Any, cure: str) -> None:
    with pytest.raises(DataError, match=rf"expected 6 integers, .*{cure}"):
        from_torch((torch.rand(6, 4), labels), steps=3)


def test_targets_of_inputs_without_time() -> None:
    targets = torch.rand(6, 2)
    learnt = from_torch((torch.rand(6, 4), targets), steps=3)
    assert learnt.is_regression
    numbers = learnt.batch([4]).targets
    assert numbers is not None and torch.equal(numbers[0], targets[4])
