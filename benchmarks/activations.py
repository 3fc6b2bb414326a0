"""Ordinary networks trained by LFP without time: which activations, and does credit reach them?

The same network on MNIST (T = 1), start, data and settings, with each activation: trained by LFP,
by LFP with its hidden layers frozen (the control: what the output layer does with random features),
and by backpropagation, for which a step and a sign have no derivative; accuracy on the test part::

    python -m benchmarks activations --root datasets/MNIST
    python -m benchmarks activations --root datasets/MNIST relu step --seeds 5
"""

from __future__ import annotations

import argparse
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks._arguments import at_least_one
from benchmarks._tables import Cell, Table
from lfp_snn.data import Splits
from lfp_snn.models import build
from lfp_snn.training import fit
from lfp_snn.training.assembly import load_splits
from lfp_snn.training.configfile import load_config

CONFIG = Path(__file__).parent.parent / "configs" / "mnist_relu.yaml"
#: By the name in the table, as a config writes them.
ACTIVATIONS: dict[str, Any] = {
    "relu": "relu",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "step": "step",
    "step, noise 0.1": {"step": {"noise": 0.1}},
    "sign": "sign",
}
WAYS = ("lfp", "lfp, frozen", "backpropagation")


def accuracy(
    splits: Splits, activation: Any, way: str, seed: int, sizes: list[int], settings: dict[str, Any]
) -> float:
    """The test accuracy of one training, in percent."""
    hidden = [layer for size in sizes for layer in ({"linear": size}, activation)]
    layers = ["flatten", *hidden, {"linear": "classes"}]
    torch.manual_seed(seed)
    net = build("layers", splits.train.feature_shape, 10, layers=layers, scale=1.0)
    if way == "lfp, frozen":
        synapses = [stage for stage in net if isinstance(stage, nn.Linear)]
        for each, _ in pairwise(synapses):
            each.requires_grad_(False)
    if way == "backpropagation":
        # With the true derivative of a step, which is zero.
        settings = {**settings, "learner": {"name": "step_gradient"}}
    return 100 * fit(net, splits, seed=seed, **settings).test_accuracy


def main() -> None:
    """Read the arguments, train, print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    # argparse would refuse choices of a place where nothing need stand.
    known = ", ".join(f"'{name}'" for name in ACTIVATIONS)
    parser.add_argument("activations", nargs="*", metavar="NAME", help=f"of {known}; or all")
    parser.add_argument("--root", required=True, help="folder of the four IDX files")
    parser.add_argument("--hidden", type=at_least_one, nargs="+", default=[300, 300])
    parser.add_argument("--epochs", type=at_least_one, default=3)
    parser.add_argument("--seeds", type=at_least_one, default=3)
    parser.add_argument(
        "--train", type=at_least_one, default=None, help="only so many training samples"
    )
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=WAYS)
    arguments = parser.parse_args()
    if unknown := [name for name in arguments.activations if name not in ACTIVATIONS]:
        parser.error(f"there is no activation '{unknown[0]}'; there are {known}")

    changes = [f"data.root={arguments.root}"]
    if arguments.train is not None:
        changes.append(f"data.train={arguments.train}")
    config = load_config(CONFIG, changes)
    splits = load_splits(config)
    others = config.model_dump(exclude={"name", "data", "model", "baseline", "seed", "transfer"})
    settings = {**others, "epochs": arguments.epochs}
    table = Table("activation", *(f"{way}: test, %" for way in arguments.ways))
    for activation in arguments.activations or ACTIVATIONS:
        cells: list[Cell] = []
        for way in arguments.ways:
            given = (splits, ACTIVATIONS[activation], way)
            sizes = arguments.hidden
            cells.append([accuracy(*given, k, sizes, settings) for k in range(arguments.seeds)])
        table.row(activation, *cells)


if __name__ == "__main__":
    main()
