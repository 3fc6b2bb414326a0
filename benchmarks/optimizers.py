"""Optimizers for LFP and the surrogate, equally searched, on validation: does Lion or Muon help?

    python -m benchmarks optimizers --root datasets/NMNIST --seeds 3

Trains the tasks of the recipes by each optimizer: of five learning rates (Lion's are a tenth of the
others') the one whose training of another seed reads best on the validation part, then all seeds
with it. The weights of the last epoch are read on the validation part; nothing is looked up on the
test part.
"""

import argparse
from pathlib import Path
from typing import Any

import torch

from benchmarks._arguments import at_least_one
from benchmarks._tables import PrintedColumn, Table
from benchmarks.recipes import LEARNERS, TASKS, planned, trained

#: The learning rates of each optimizer.
RATES: dict[str, list[float]] = {
    "adam": [6e-4, 2e-3, 6e-3, 2e-2, 6e-2],
    "lion": [6e-5, 2e-4, 6e-4, 2e-3, 6e-3],
    "muon": [6e-4, 2e-3, 6e-3, 2e-2, 6e-2],
}
OTHER_SEED = 100  # of the trainings that search


def main() -> None:
    """Search and train, and print a row as soon as its seeds are done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="the folder of N-MNIST")
    parser.add_argument("--seeds", type=at_least_one, default=3)
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--learners", nargs="*", default=list(LEARNERS), choices=list(LEARNERS))
    parser.add_argument("--optimizers", nargs="*", default=list(RATES), choices=list(RATES))
    args = parser.parse_args()
    torch.set_num_threads(1)
    searches, rates = PrintedColumn("searched, %", "each"), PrintedColumn("rate", digits=None)
    validation = PrintedColumn("validation, %", "seeds")
    table = Table("task", "learner", "optimizer", searches, rates, validation)
    for task in args.tasks:
        for learner in args.learners:
            plan = planned(task, learner, args.root)
            plan.pop("optimizer", None)
            for name in args.optimizers:
                searched = [_validation(plan, name, rate, OTHER_SEED) for rate in RATES[name]]
                best = RATES[name][searched.index(max(searched))]
                found = [_validation(plan, name, best, seed) for seed in range(args.seeds)]
                table.row(task, learner, name, searched, best, found)


def _validation(plan: dict[str, Any], name: str, rate: float, seed: int) -> float:
    """The accuracy in percent on the validation part after the last epoch."""
    return trained(plan, [f"optimizer.name={name}", f"optimizer.lr={rate}"], seed)[0]


if __name__ == "__main__":
    main()
