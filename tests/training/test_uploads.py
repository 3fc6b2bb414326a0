"""Batches travel ahead, on a stream of their own: with doubles of streams and tensors' moves."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from lfp_snn.data import Batch, Splits
from lfp_snn.models import build
from lfp_snn.spikes import Spikes
from lfp_snn.training import fit
from lfp_snn.training.config import Config, Settings
from lfp_snn.training.configfile import make_config
from lfp_snn.training.loop import Trainer
from lfp_snn.training.uploads import Uploads


class FakeCuda:
    """Notes in which order streams are used."""

    def __init__(self, log: list[str]) -> None:
        self.log = log
        self.now = "step"
        self.events = 0

    def Stream(self, device: torch.device) -> Any:
        return FakeStream(self, "side")

    @contextmanager
    def stream(self, stream: Any) -> Iterator[None]:
        self.now = stream.name
        yield
        self.now = "step"

    def current_stream(self, device: torch.device) -> Any:
        return FakeStream(self, self.now)


class FakeStream:
    def __init__(self, cuda: FakeCuda, name: str) -> None:
        self.cuda, self.name = cuda, name

    def record_event(self) -> int:
        self.cuda.events += 1
        return self.cuda.events

    def wait_event(self, event: int) -> None:
        self.cuda.log.append(f"{self.name} waits for {event}")


def batches(count: int) -> Iterator[Batch]:
    for n in range(count):
        x = Spikes.from_dense(torch.ones(2, 1, 3))
        yield Batch(x, torch.tensor([n]), lengths=torch.tensor([2]))


def test_on_the_cpu_batches_come_as_they_are() -> None:
    got = list(Uploads(torch.device("cpu"))(batches(3)))
    assert [int(batch.labels) for batch in got] == [0, 1, 2]


def test_each_batch_is_sent_before_the_one_before_it_is_worked_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log: list[str] = []
    cuda = FakeCuda(log)

    def send(self: Batch, device: torch.device) -> Batch:
        log.append(f"{int(self.labels)} travels on {cuda.now}")
        return self

    held: list[int] = []
    monkeypatch.setattr(Batch, "to", send)
    monkeypatch.setattr(torch.Tensor, "record_stream", lambda self, _: held.append(self.numel()))
    uploads = Uploads(torch.device("cuda"), cuda)
    for batch in uploads(batches(3)):
        log.append(f"{int(batch.labels)} is worked on")
    assert log == [
        "0 travels on side",
        "1 travels on side",
        "step waits for 1",
        "0 is worked on",
        "2 travels on side",
        "step waits for 2",
        "1 is worked on",
        "step waits for 3",
        "2 is worked on",
    ]
    assert held == 3 * [3, 6, 1, 1]  # row pointers, indices, label, length
    assert list(uploads(iter(()))) == []


def test_a_training_on_resident_data_is_the_same(
    splits: Splits, settings: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def trained() -> tuple[dict[str, torch.Tensor], Trainer]:
        seen: list[Trainer] = []
        monkeypatch.setattr(Trainer, "begin", lambda self, run: seen.append(self))
        torch.manual_seed(0)
        net = build("mlp", splits.train.feature_shape, len(splits.train.classes), hidden=[12])
        fit(net, splits, **settings)
        return net.state_dict(), seen[0]

    usual, trainer = trained()
    assert trainer.splits is splits
    monkeypatch.setattr(Settings, "on_device", True)
    held, trainer = trained()
    assert trainer.splits is not splits
    for name, tensor in usual.items():
        assert torch.equal(tensor, held[name]), name


@pytest.mark.parametrize(("storage", "asked"), [("device", True), ("cached", False)])
def test_a_config_asks_for_it(storage: str, asked: bool) -> None:
    given = {"name": "x", "data": {"name": "nmnist", "storage": storage}, "model": {"name": "mlp"}}
    assert make_config(Config, given, "config").on_device == asked
