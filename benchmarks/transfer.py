"""Transfer: what the digits 0 to 4 taught helps with 5 to 9. How much is it worth?

    python -m benchmarks transfer --config mnist_mlp --root datasets/MNIST
    python -m benchmarks transfer --config nmnist_mlp --root datasets/NMNIST --samples 25 50 100 350

A network learns the digits 0 to 4; its hidden layers are then the start for 5 to 9, with a fresh
head (`transfer:` in a config). Beside it the same network from scratch, with the same samples,
epochs and constant learning rate. `frozen` trains the fresh head alone. Seeds are paired: samples,
order and head are the same. The validation part (of the digits 5 to 9) chooses the learning rate of
each way (seed 0, the most samples) and the epoch; test accuracy is told. `epochs` are those until
the validation accuracy that scratch ends with (its median over the seeds, at that many samples) is
reached.
"""

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from benchmarks._arguments import at_least_one
from benchmarks._tables import PrintedColumn, Table
from lfp_snn.data import Splits
from lfp_snn.training import Result, load_config, train
from lfp_snn.training.assembly import assemble, load_splits, seeded

CONFIGS = Path(__file__).parent.parent / "configs"
#: Overrides of the first task, and what of the second differs.
WAYS: dict[str, tuple[list[str] | None, dict[str, Any]]] = {
    "scratch": (None, {}),
    "lfp, then lfp": ([], {"freeze": []}),
    "lfp, then lfp, frozen": ([], {"freeze": ["1.*"]}),
    "surrogate, then lfp": (["learner={name: surrogate}"], {"freeze": []}),
}
RATES = (0.001, 0.003)
#: So small that fifty samples are more than one step.
BATCH = 25
#: Samples that validate: an epoch of few training samples would spend its time there.
VALIDATION = 500


class TransferStudy:
    """The study of the second task, from every start."""

    def __init__(self, args: argparse.Namespace, folder: Path) -> None:
        self.args, self.folder = args, folder
        self.path = CONFIGS / f"{args.config}.yaml"
        self.target = load_splits(self.config("5, 6, 7, 8, 9"))
        self.rates: dict[str, float] = {}

    def config(self, classes: str, overrides: list[str] | None = None) -> Any:
        """The config with some classes only."""
        common = [f"data.root={self.args.root}", f"data.classes=[{classes}]", "device=cpu"]
        return load_config(self.path, [*common, *(overrides or [])])

    def source(self, way: str, seed: int) -> dict[str, Any] | None:
        """The `transfer` section of a way; the first task is trained where it has not been yet."""
        first, options = WAYS[way]
        if first is None:
            return None
        run = self.folder / f"{'-'.join(first) or 'lfp'}-{seed}"
        if not run.exists():
            epochs = [f"epochs={self.args.source_epochs}", f"seed={seed}"]
            train(self.config("0, 1, 2, 3, 4", [*epochs, *first]), out=run)
        return {"source": str(run), "fresh": ["3.*"], **options}

    def run(self, way: str, samples: int, seed: int, rate: float) -> Result:
        """Train the second task with the first samples of a seed's order."""
        optimizer = {"name": "adam", "lr": rate}
        settings = {
            "seed": seed,
            "epochs": self.args.epochs,
            "batch_size": BATCH,
            "optimizer": optimizer,
            "schedule": {"name": "constant"},
            "transfer": self.source(way, seed),
        }
        changes = [f"{key}={json.dumps(value)}" for key, value in settings.items()]
        config = self.config("5, 6, 7, 8, 9", changes)
        order = np.random.default_rng(seed).permutation(len(self.target.train))[:samples]
        splits: Splits = replace(
            self.target,
            train=self.target.train.subset(order),
            val=self.target.val.subset(range(min(VALIDATION, len(self.target.val)))),
        )
        with seeded(config):
            return assemble(config, splits).train()

    def rate(self, way: str) -> float:
        """The learning rate of a way that validates best."""
        if way not in self.rates:
            most = max(self.args.samples)
            found = {rate: self.run(way, most, 0, rate).val_accuracy for rate in RATES}
            self.rates[way] = max(found, key=lambda rate: found[rate])
        return self.rates[way]


def epochs_to(result: Result, accuracy: float) -> int | None:
    """The first epoch that validates at an accuracy or above."""
    return next((m["epoch"] for m in result.metrics if m["val_accuracy"] >= accuracy), None)


def main() -> None:
    """Train all, and print a row as soon as its seeds are done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--config", default="mnist_mlp")
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--samples", type=at_least_one, nargs="*", default=[50, 200, 1000])
    parser.add_argument("--epochs", type=at_least_one, default=20)
    parser.add_argument("--source-epochs", type=at_least_one, default=3)
    parser.add_argument("--seeds", type=at_least_one, default=5)
    parser.add_argument("--threads", type=at_least_one, default=2, help="1 on a busy machine")
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=list(WAYS))
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    less_scratch = PrintedColumn("less scratch, points", "interval", sign=True)
    rates = PrintedColumn("learning rate", digits=None)
    table = Table("samples", "way", rates, "test, %", less_scratch, "epochs")
    with TemporaryDirectory() as folder:
        study = TransferStudy(args, Path(folder))
        for samples in args.samples:
            scratch: list[Result] = []
            for way in args.ways:
                rate = study.rate(way)
                found = [study.run(way, samples, seed, rate) for seed in range(args.seeds)]
                scratch = scratch or found
                goal = statistics.median(result.val_accuracy for result in scratch)
                needed = [epochs_to(result, goal) for result in found]
                test = [100 * result.test_accuracy for result in found]
                less = [t - 100 * s.test_accuracy for t, s in zip(test, scratch, strict=True)]
                epochs = ", ".join("never" if n is None else str(n) for n in needed)
                ahead = None if way == args.ways[0] else less
                table.row(samples, way, rate, test, ahead, epochs)


if __name__ == "__main__":
    main()
