"""A task small enough to be learnt in a second."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lfp_snn.data import SpikeSet, Splits
from lfp_snn.data.binning import Binned
from lfp_snn.models import build

UNITS, STEPS, CLASSES = 20, 8, 3


def make_splits(sizes: tuple[int, int, int] = (42, 15, 15), rate: float = 0.5) -> Splits:
    """Three classes, each with a third of the inputs active; the other inputs are noise."""
    random = np.random.default_rng(0)
    total = sum(sizes)
    labels = np.arange(total) % CLASSES
    chance = np.full((total, STEPS, UNITS), rate / 10)
    for label in range(CLASSES):
        chance[labels == label, :, label::CLASSES] = rate
    active = random.random(chance.shape) < chance
    frames = active.reshape(total * STEPS, UNITS)
    indptr = np.concatenate([[0], np.cumsum(frames.sum(1))]).astype(np.int64)
    whole = SpikeSet(
        Binned(indptr, np.nonzero(frames)[1].astype(np.int32), None),
        labels,
        [f"sample/{n}" for n in range(total)],
        classes=("a", "b", "c"),
        feature_shape=(UNITS,),
        steps=STEPS,
    )
    train, val, test = np.split(np.arange(total), np.cumsum(sizes)[:2])
    return Splits.of(whole, train, val, test, name="tiny", source="made up for the tests")


@pytest.fixture
def splits() -> Splits:
    return make_splits()


@pytest.fixture
def net() -> nn.Sequential:
    torch.manual_seed(0)
    return build("mlp", (UNITS,), CLASSES, hidden=[12])


@pytest.fixture
def settings() -> dict[str, Any]:
    """Seven steps an epoch."""
    return {
        "epochs": 4,
        "batch_size": 6,
        "calibrate": 0.1,
        "device": "cpu",
        "optimizer": {"lr": 0.03},
    }
