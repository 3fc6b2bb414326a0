"""A task that takes memory: does the second of two cues match the first? Recurrent or not, by LFP.

    python -m benchmarks recurrent_memory --seeds 3

Delayed match to sample: one of two groups of inputs fires for some steps (the cue), then nothing
but noise for a delay, then one of the two again (the probe). Class 1 if they match; chance is 50 %.
The network is the same but for the recurrent synapse of its hidden layer. Membranes decay by 0.9,
which leaves 43 % of what they held after 8 steps and 28 % after 12. Accuracy is that of the test
part, in the epoch that validation chose.
"""

import argparse
from typing import Any

import numpy as np
import snntorch as snn
import torch
from torch import nn

from benchmarks._arguments import at_least_one, at_least_zero
from benchmarks._tables import PrintedColumn, Table
from lfp_snn.data import SpikeSet, Splits
from lfp_snn.data.binning import Binned
from lfp_snn.training import fit

CUE, PROBE, INPUTS = 5, 5, 40
SIZES = (2000, 500, 1000)


def task(delay: int, seed: int) -> Splits:
    """Spike trains [T, 40] and whether the cues match."""
    rng = np.random.default_rng(seed)
    count, steps = sum(SIZES), CUE + delay + PROBE
    cue, probe = rng.integers(0, 2, (2, count))
    rate = np.full((count, steps, INPUTS), 0.02)
    group = np.arange(INPUTS) * 2 // INPUTS
    rate[:, :CUE] += 0.5 * (group == cue[:, None])[:, None]
    rate[:, -PROBE:] += 0.5 * (group == probe[:, None])[:, None]
    spikes = (rng.random(rate.shape) < rate).reshape(-1, INPUTS)
    indptr = np.concatenate([[0], np.cumsum(spikes.sum(1))]).astype(np.int64)
    samples = SpikeSet(
        Binned(indptr, np.nonzero(spikes)[1].astype(np.int32), None),
        (cue == probe).astype(np.int64),
        [str(n) for n in range(count)],
        classes=("other", "match"),
        feature_shape=(INPUTS,),
        steps=steps,
    )
    parts = np.split(np.arange(count), np.cumsum(SIZES)[:-1])
    return Splits.of(samples, *parts, name="match", source="delayed match to sample, synthetic")


def network(hidden: int, recurrent: bool, seed: int) -> nn.Sequential:
    """The network, with an equal start for both but for the recurrent synapse."""
    torch.manual_seed(seed)
    options: dict[str, Any] = {"beta": 0.9, "init_hidden": True}
    first, second = nn.Linear(INPUTS, hidden), nn.Linear(hidden, 2)
    middle: nn.Module = snn.Leaky(**options)
    if recurrent:
        middle = snn.RLeaky(linear_features=hidden, **options)
    return nn.Sequential(first, middle, second, snn.Leaky(**options, output=True))


def main() -> None:
    """Train both, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--delays", type=at_least_zero, nargs="*", default=[3, 8, 12])
    parser.add_argument("--hidden", type=at_least_one, default=128)
    parser.add_argument("--epochs", type=at_least_one, default=30)
    parser.add_argument("--lr", type=float, default=0.005)
    parser.add_argument("--seeds", type=at_least_one, default=3)
    args = parser.parse_args()
    torch.set_num_threads(2)
    table = Table("delay", "hidden layer", PrintedColumn("test, %", "seeds"))
    for delay in args.delays:
        for recurrent in (False, True):
            found = []
            for seed in range(args.seeds):
                net = network(args.hidden, recurrent, seed)
                settings = {"epochs": args.epochs, "seed": seed, "optimizer": {"lr": args.lr}}
                result = fit(net, task(delay, seed), **settings)
                found.append(100 * result.test_accuracy)
            table.row(delay, "recurrent" if recurrent else "feed-forward", found)


if __name__ == "__main__":
    main()
