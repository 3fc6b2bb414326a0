"""The weights that can go from networks trained by LFP and by the surrogate, pruned alike.

    python -m benchmarks pruning --root datasets/NMNIST --tasks mlp csnn

Trains each network with every learner, with the learning rates that a search gave each on the
validation part, and prunes it by magnitude, by relevance and at random, among all weights and layer
by layer; nothing is trained after pruning. *Kept* is the accuracy on the test part relative to the
network's own, mean over the shares pruned; *prunable* is the share up to which less than a point of
accuracy is lost. The last columns are paired over the seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import torch

from benchmarks._arguments import at_least_one
from benchmarks._tables import PrintedColumn, Table
from lfp_snn.analysis.prune.criteria import Criterion
from lfp_snn.analysis.prune.curve import Curve, PrunedRun, PruningOptions, prune_run
from lfp_snn.analysis.prune.ranking import Scope
from lfp_snn.cli.shipped import find_config
from lfp_snn.training import TrainedRun, load_config
from lfp_snn.training.assembly import assemble, load_splits, seeded

PUBLISHED = ["learner.rule.name=epsilon", "learner.rule.eps=0.1"]
SURROGATE = ["learner.name=surrogate", "learner.loss=mse_count_loss"]


@dataclass(frozen=True)
class Task:
    """A network and the learners that train it, each with what a search chose for it.

    Attributes:
        config: the name of the shipped config.
        learners: the changes of the config, by the name of the learner; the last one is compared
            with the others.
    """

    config: str
    learners: dict[str, list[str]]


TASKS = {
    "mlp": Task(
        "nmnist_mlp",
        {
            "published": [*PUBLISHED, "optimizer.lr=0.00964"],
            "rescale": ["optimizer.lr=0.006"],
            "surrogate": [*SURROGATE, "optimizer.lr=0.003"],
        },
    ),
    "csnn": Task(
        "nmnist_csnn",
        {
            "published": [*PUBLISHED, "optimizer.lr=0.00346"],
            "rescale": ["optimizer.lr=0.00346"],
            "surrogate": [*SURROGATE, "optimizer.lr=0.01", "clip=null"],
        },
    ),
}


def main() -> None:
    """Train and prune, and print a row as soon as its task is done."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--root", type=Path, required=True, help="the folder of N-MNIST")
    parser.add_argument("--seeds", type=at_least_one, default=3)
    parser.add_argument("--epochs", type=at_least_one, default=15)
    parser.add_argument(
        "--draws", type=at_least_one, default=5, help="orders at random, for each network"
    )
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--scopes", nargs="*", default=list(Scope), type=Scope)
    args = parser.parse_args()
    torch.set_num_threads(1)
    names = list(next(iter(TASKS.values())).learners)
    table = Table(
        "network",
        "scope, pruned by",
        *(PrintedColumn(f"{name}: kept, %", "interval") for name in names),
        *(PrintedColumn(f"{name}: prunable, %", digits=0) for name in names),
        *(PrintedColumn(f"kept, {n} less {names[-1]}", "interval", sign=True) for n in names[:-1]),
    )
    for task in args.tasks:
        common = [f"data.root={args.root}", f"epochs={args.epochs}", "device=cpu"]
        found = [
            [
                pruned(TASKS[task], [*common, *changes], seed, args.scopes, args.draws)
                for seed in range(args.seeds)
            ]
            for changes in TASKS[task].learners.values()
        ]
        whole = [[_accuracy(run[args.scopes[0]]) for run in runs] for runs in found]
        table.row(task, "test accuracy of the whole", *whole, *[None] * (2 * len(whole) - 1))
        for scope, criterion in product(args.scopes, Criterion):
            curves = [[run[scope].curve(criterion) for run in runs] for runs in found]
            table.row(task, f"{scope}, {criterion}", *_cells(curves))


def pruned(
    task: Task, changes: Sequence[str], seed: int, scopes: Sequence[Scope], draws: int
) -> dict[Scope, PrunedRun]:
    """Train a network of a task, and prune it in every scope."""
    config = load_config(find_config(task.config), [*changes, f"seed={seed}"])
    splits = load_splits(config)
    with seeded(config):
        trainer = assemble(config, splits)
        trainer.train()
    trained = TrainedRun(config, trainer.learner, list(splits.train.classes))
    return {
        scope: prune_run(Path(), trained, splits, PruningOptions(scope=scope, draws=draws))
        for scope in scopes
    }


def _accuracy(run: PrunedRun) -> float:
    """The accuracy in percent before anything is pruned."""
    return 100 * run.curves[0].accuracies[0]


def _cells(curves: Sequence[Sequence[Curve]]) -> list[list[float]]:
    """What a learner's networks keep, what is prunable, and what is kept more than by the last."""
    kept = [[100 * each.kept for each in own] for own in curves]
    prunable = [[100 * each.prunable for each in own] for own in curves]
    ahead = [[one - last for one, last in zip(own, kept[-1], strict=True)] for own in kept[:-1]]
    return [*kept, *prunable, *ahead]


if __name__ == "__main__":
    main()
