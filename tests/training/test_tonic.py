"""tonic's N-MNIST through a DataLoader trains as the built-in set does, on real recordings."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, Sampler, Subset

from lfp_snn.data import Splits, load
from lfp_snn.data.torch_items import drawing
from lfp_snn.models import build
from lfp_snn.training import fit

STEPS, BATCH, EPOCHS = 10, 20, 4


class AsBuiltIn(Sampler[int]):
    """The orders of the built-in loader, known again by the random numbers of each epoch."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.epochs = {}
        for epoch in range(EPOCHS + 1):
            with drawing(0, epoch):
                self.epochs[torch.initial_seed()] = epoch

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[int]:
        draw = np.random.default_rng([0, self.epochs[torch.initial_seed()]])
        return iter(draw.permutation(self.size).tolist())


def new_net() -> nn.Module:
    torch.manual_seed(0)
    return build("mlp", (2, 34, 34), 10, hidden=[64])


def test_a_loader_of_tonic_trains_as_the_built_in_set(
    real_data: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    tonic = pytest.importorskip("tonic")
    root = real_data("NMNIST")
    monkeypatch.setattr(tonic.datasets.NMNIST, "_check_exists", lambda self: True)
    to_frame = tonic.transforms.ToFrame(sensor_size=(34, 34, 2), n_time_bins=STEPS)
    frames = tonic.datasets.NMNIST(str(root.parent), train=False, transform=to_frame)
    rows = np.random.default_rng(0).permutation(len(frames))[:200]
    parts = np.split(rows, (120, 160))
    settings: dict[str, Any] = {"epochs": EPOCHS, "device": "cpu", "progress": False}

    built_in = load("nmnist", root, steps=STEPS, values="counts").test
    own, theirs = new_net(), new_net()
    splits = Splits.of(built_in, *parts, name="nmnist", source="a part of it")
    expected = fit(own, splits, batch_size=BATCH, **settings)

    train, val, test = (Subset(frames, part.tolist()) for part in parts)
    loader = DataLoader(train, BATCH, sampler=AsBuiltIn(len(train)))
    found = fit(theirs, loader, DataLoader(val, 7), DataLoader(test, 40), **settings)
    assert found.test_accuracy == expected.test_accuracy > 0.4
    assert found.confusion == expected.confusion
    for (name, ours), other in zip(
        own.state_dict().items(), theirs.state_dict().values(), strict=True
    ):
        assert torch.equal(ours, other), name
