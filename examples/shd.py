"""Spiking Heidelberg Digits, all of it: 20 spoken digits as spikes of 700 channels.

    lfp-snn data fetch shd --to FOLDER
    python examples/shd.py FOLDER

FOLDER holds shd_train.h5 and shd_test.h5. Time is cut into steps of one duration, so that
recordings have lengths of their own: after its end one has no current, no spike and no reward.

Measured: nothing; the recordings were not at hand.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import snntorch as snn
import torch
from torch import nn

from lfp_snn import fit
from lfp_snn.data import load


def main(arguments: Sequence[str] | None = None) -> float:
    """Train and test; gives the test accuracy."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("root", help="folder of SHD")
    parser.add_argument("--hidden", type=int, default=1000, help="hidden neurons")
    parser.add_argument("--bin-ms", type=float, default=10.0, help="duration of a time step")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument(
        "--validation", type=float, default=0.125, help="share of the training part"
    )
    given = parser.parse_args(arguments)

    splits = load(
        "shd",
        root=given.root,
        binning="duration",
        bin_ms=given.bin_ms,
        validation=given.validation,
    )
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Flatten(),
        nn.Linear(700, given.hidden),
        snn.Leaky(beta=0.95, init_hidden=True),
        nn.Linear(given.hidden, 20),
        snn.Leaky(beta=0.95, init_hidden=True, output=True),
    )
    result = fit(net, splits, epochs=given.epochs, seed=0)
    for name, rate in result.firing.items():
        print(f"{result.layers[name]}: {rate:.1%} spikes per neuron and step")
    print(f"test accuracy {result.test_accuracy:.1%} of {result.samples['test']} recordings")
    return result.test_accuracy


if __name__ == "__main__":
    main()
