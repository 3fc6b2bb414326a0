"""What :mod:`tests.training.test_distributed` compares: trainings, in one process or in several.

``torchrun together.py FOLDER CASE...`` trains cases and leaves the weights that each process ends
with in FOLDER. Then the second process kills itself, and what the first has to say of it is left in
FOLDER too.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

import numpy as np
import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn.data import SpikeSet, Splits
from lfp_snn.training import Result, fit
from lfp_snn.training.checkpoint import save_checkpoint
from lfp_snn.training.distributed import LostProcess
from tests.training.conftest import CLASSES, UNITS, make_splits

#: 43 samples in batches of 6: the last one of an epoch has a single sample, and one process none.
SIZES = (43, 15, 7)

#: Settings of each case, eight steps an epoch; those tested always, and the others.
QUICK: dict[str, dict[str, Any]] = {
    "fifty steps": {"epochs": 7},
    "oja": {"learner": {"update": {"form": "oja", "clip": 0.5}}},
    "homeostasis": {"learner": {"homeostasis": {"target": 0.2}}},
    "batch norm": {},
    "batch norm, ema": {"ema": 0.9},
    "batch norm, fixed": {"learner": {"statistics": "fixed"}},
    "votes": {"learner": {"rule": {"name": "rescale"}}},
    "skips": {"on_non_finite": "skip"},
}
OTHERS: dict[str, dict[str, Any]] = {
    "balanced, workers": {"sampling": "balanced", "workers": 2},
    "other rules": {"learner": {"rule": {"name": "flat"}}},
    "thresholds": {"learner": {"homeostasis": {"target": 0.2, "adapt": "threshold"}}},
    "chunked": {"learner": {"memory": "chunked", "chunk": 3}},
    "recurrent": {},
    "normalised": {"learner": {"update": {"normalise": "norm"}}},
    "surrogate": {"learner": {"name": "surrogate"}},
    "surrogate, skips": {"learner": {"name": "surrogate"}, "on_non_finite": "skip"},
    "ottt": {"learner": {"name": "ottt"}, "optimizer": {"weight_decay": 0.1}},
    "rstdp": {"learner": {"name": "rstdp"}, "optimizer": {"weight_decay": 0.1}},
}


CASES = QUICK | OTHERS


def network(case: str) -> nn.Module:
    """A small network in float64, the same each time."""
    torch.manual_seed(0)
    norm = [nn.BatchNorm1d(12)] if case.startswith("batch norm") else []
    recurrent = snn.RLeaky(0.8, linear_features=12, init_hidden=True, learn_beta=True)
    hidden = recurrent if case == "recurrent" else snn.Leaky(0.8, init_hidden=True)
    voters = 2 if case == "votes" else 1
    net = nn.Sequential(
        nn.Linear(UNITS, 12),
        *norm,
        hidden,
        nn.Linear(12, voters * CLASSES),
        snn.Leaky(0.9, init_hidden=True, output=voters == 1),
        *([nn.AvgPool1d(voters)] if voters > 1 else []),
    )
    return net.double()


def data(case: str) -> Splits:
    """Samples; where steps are skipped, a bad one among them, which one of the processes sees."""
    splits = make_splits(SIZES)
    if case.endswith("skips"):
        store = splits.train
        assert isinstance(store, SpikeSet)
        start, end = store.trains.indptr[[0, store.steps]]
        values = np.ones(len(store.trains.indices), dtype=np.float32)
        values[start:end] = np.inf
        store.trains = store.trains._replace(values=values)
    return splits


def train(case: str) -> tuple[dict[str, Tensor], Result]:
    """The weights that a case ends with, and its result."""
    net = network(case)
    given = CASES[case]
    options = {
        "epochs": 2,
        "batch_size": 6,
        "calibrate": 0.1,
        "device": "cpu",
        **given,
        "optimizer": {"lr": 0.03, **given.get("optimizer", {})},
    }
    result = fit(net, data(case), **options)
    return net.state_dict(), result


def main(folder: Path, cases: list[str]) -> None:
    rank = os.environ["RANK"]
    for case in cases:
        weights, result = train(case)
        told = {"metrics": result.metrics, "test": result.test_accuracy, "firing": result.firing}
        save_checkpoint(folder / f"{case}-{rank}.safetensors", weights, told)
    if rank == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # torchrun's, to those that are left
    try:
        train(cases[0])
    except LostProcess as error:
        (folder / "lost.txt").write_text(str(error))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
