"""Batches on their way to a device."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from lfp_snn import Spikes
from lfp_snn.data import Batch


class Told:
    """Stands for a tensor, and writes down what it was asked for."""

    device = torch.device("cpu")

    def __init__(self) -> None:
        self.asked: list[Any] = []

    def pin_memory(self) -> Told:
        self.asked.append("pin")
        return self

    def to(self, device: str, non_blocking: bool = False) -> Told:
        self.asked.append((device, non_blocking))
        return self


@pytest.mark.parametrize(
    ("device", "expected"),
    [("cuda:1", ["pin", ("cuda:1", True)]), ("cpu", [("cpu", False)])],
)
def test_the_way_to_a_gpu_is_page_locked_and_waits_for_nothing(
    device: str, expected: list[Any]
) -> None:
    x: Any = Told()
    labels: Any = Told()
    lengths: Any = Told()
    Batch(x, labels, lengths).to(device)
    assert x.asked == labels.asked == lengths.asked == expected


def test_everything_moves() -> None:
    x = Spikes.from_dense(torch.ones(3, 2, 4))
    moved = Batch(x, torch.zeros(2, dtype=torch.int64), torch.tensor([3, 1])).to("meta")
    assert moved.lengths is not None
    assert {moved.x.device.type, moved.labels.device.type, moved.lengths.device.type} == {"meta"}
