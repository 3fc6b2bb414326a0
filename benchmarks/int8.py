"""What int8 weights and fixed-point membranes cost on N-MNIST, and what LFP wins back.

    python -m benchmarks int8 datasets/NMNIST

Trains the shipped network of a config for some seeds, quantises it, fine-tunes it, and checks that
the network in integers alone gives the spikes of the quantised torch network, bit by bit.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from benchmarks._arguments import at_least_one, at_least_zero
from lfp_snn.analysis.exchange.finetune import quantise_run
from lfp_snn.analysis.exchange.quantise import QuantisedLFP
from lfp_snn.cli.shipped import find_config
from lfp_snn.data import Splits
from lfp_snn.learners.lfp import LFPOptions
from lfp_snn.spikes import Spikes
from lfp_snn.training import TrainedRun, load_config
from lfp_snn.training.assembly import assemble, load_splits, seeded


@dataclass(frozen=True)
class Row:
    """The test accuracies of one seed, and whether the integers agree."""

    float32: float
    int8: float
    tuned: float
    equal: bool


def _measure(name: str, overrides: list[str], tune: int) -> Row:
    config = load_config(find_config(name), overrides)
    splits = load_splits(config)
    with seeded(config):
        trainer = assemble(config, splits)
        trainer.train()
    trained = TrainedRun(config, trainer.learner, list(splits.train.classes))
    quantised = quantise_run(trained, splits, tune)
    equal = _agrees(QuantisedLFP(quantised.network, LFPOptions()), splits)
    return Row(quantised.before, quantised.rounded, quantised.after, equal)


def _agrees(learner: QuantisedLFP, splits: Splits) -> bool:
    """Whether the spikes of all test samples are those of the network in integers."""
    batch = splits.test.batch(np.arange(len(splits.test)))
    assert isinstance(batch.x, Spikes)
    spikes = learner.run(batch).numpy()
    return np.array_equal(spikes, learner.quantised.integer().run(batch.x.dense().numpy()))


def main() -> None:
    """Print one row a seed, and the means."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", help="folder of N-MNIST")
    parser.add_argument("--config", default="nmnist_mlp")
    parser.add_argument("--seeds", type=at_least_one, default=3)
    parser.add_argument("--tune", type=at_least_zero, default=5, help="epochs of fine-tuning")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    chosen = parser.parse_args()
    print(f"{chosen.config}\nseed  float32  int8     fine-tuned  integers equal")
    rows = []
    for seed in range(chosen.seeds):
        overrides = [f"data.root={chosen.root}", f"seed={seed}", *chosen.set]
        row = _measure(chosen.config, overrides, chosen.tune)
        rows.append(row)
        print(f"{seed:4}  {row.float32:7.2%}  {row.int8:7.2%}  {row.tuned:10.2%}  {row.equal}")
    means = [fmean(getattr(r, what) for r in rows) for what in ("float32", "int8", "tuned")]
    print(f"mean  {means[0]:7.2%}  {means[1]:7.2%}  {means[2]:10.2%}")


if __name__ == "__main__":
    main()
