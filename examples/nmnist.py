"""N-MNIST, all of it, with a convolutional network as one writes it for snntorch.

    python examples/nmnist.py FOLDER

FOLDER holds Train/<label>/<id>.bin and Test/<label>/<id>.bin, as they are published.

Measured: this network, as `lfp-snn train nmnist_csnn` makes it, on the first 1000 recordings of the
training part (700 to train, 100 to validate, 200 to test): 94.2 % (93.0 to 95.0) over three seeds,
docs/records/train_nmnist_csnn.json. Not measured: the whole set, which was not at hand.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import snntorch as snn
import torch
from torch import nn

from lfp_snn import fit
from lfp_snn.data import load


def make_net(channels: tuple[int, int] = (12, 32)) -> nn.Sequential:
    """Two convolutions with pools, and a layer of ten neurons; its forward is one time step."""
    first, second = channels
    return nn.Sequential(
        nn.Conv2d(2, first, 5),  # 34 x 34 pixels to 30 x 30
        snn.Leaky(beta=0.9, init_hidden=True),
        nn.MaxPool2d(2),
        nn.Conv2d(first, second, 5),  # 15 x 15 to 11 x 11
        snn.Leaky(beta=0.9, init_hidden=True),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(second * 5 * 5, 10),
        snn.Leaky(beta=0.9, init_hidden=True, output=True),
    )


def main(arguments: Sequence[str] | None = None) -> float:
    """Train and test; gives the test accuracy."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("root", help="folder of N-MNIST")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--steps", type=int, default=25, help="time steps of a recording")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--validation", type=float, default=0.125, help="share of the training part"
    )
    parser.add_argument("--out", help="folder for the run; nothing is kept without it")
    given = parser.parse_args(arguments)

    torch.manual_seed(given.seed)
    result = fit(
        make_net(),
        load("nmnist", root=given.root, steps=given.steps, validation=given.validation),
        epochs=given.epochs,
        optimizer={"name": "adam", "lr": 0.006},
        seed=given.seed,
        out=given.out,
    )
    print(f"test accuracy {result.test_accuracy:.1%} of {result.samples['test']} recordings")
    return result.test_accuracy


if __name__ == "__main__":
    main()
