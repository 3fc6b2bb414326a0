"""Does credit reach the hidden layer? Train it, leave it frozen, and compare.

With few hidden neurons a random hidden layer is a poor one, so that the output layer alone cannot
solve the task. The same network, start, data and settings are trained twice; once the hidden
synapses are frozen::

    python -m benchmarks credit_reaches_hidden
    python -m benchmarks credit_reaches_hidden nmnist --root datasets/NMNIST
"""

from __future__ import annotations

import argparse
from statistics import mean
from typing import Any

import torch
from rich.console import Console
from rich.table import Table
from torch import nn

from benchmarks._arguments import at_least_one
from lfp_snn.data import Splits, load
from lfp_snn.models import build
from lfp_snn.training import fit


def accuracy(
    splits: Splits, hidden: int, seed: int, settings: dict[str, Any], *, frozen: bool
) -> float:
    """The test accuracy of one training."""
    torch.manual_seed(seed)
    net = build("mlp", splits.train.feature_shape, len(splits.train.classes), hidden=[hidden])
    first = next(stage for stage in net if isinstance(stage, nn.Linear))
    first.requires_grad_(not frozen)
    return fit(net, splits, seed=seed, **settings).test_accuracy


def main() -> None:
    """Read the arguments, train, print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("dataset", nargs="?", default="digits", choices=["digits", "nmnist"])
    parser.add_argument("--root", help="folder of N-MNIST")
    parser.add_argument("--hidden", type=at_least_one, default=32)
    parser.add_argument("--epochs", type=at_least_one, default=20)
    parser.add_argument("--seeds", type=at_least_one, default=3)
    arguments = parser.parse_args()

    splits = load(arguments.dataset, arguments.root)
    settings = {"epochs": arguments.epochs}
    table = Table("seed", "trained", "frozen", "gain")
    rows = []
    for seed in range(arguments.seeds):
        trained, frozen = (
            accuracy(splits, arguments.hidden, seed, settings, frozen=frozen)
            for frozen in (False, True)
        )
        rows.append((trained, frozen))
        table.add_row(str(seed), *_cells(trained, frozen))
    table.add_section()
    table.add_row("mean", *_cells(*map(mean, zip(*rows, strict=True))))
    sizes = splits.info["sizes"]
    console = Console()
    console.print(f"{splits.info['source']}; {sizes['train']} train, {sizes['test']} test")
    console.print(f"test accuracy, {arguments.hidden} hidden neurons, {arguments.epochs} epochs")
    console.print(table)


def _cells(trained: float, frozen: float) -> tuple[str, str, str]:
    gain = f"{100 * (trained - frozen):+.1f} points"
    return f"{100 * trained:.1f} %", f"{100 * frozen:.1f} %", gain


if __name__ == "__main__":
    main()
