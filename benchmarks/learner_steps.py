"""What a training step costs by LFP and by a surrogate gradient, in the networks of comparisons.

    python -m benchmarks learner_steps --root NMNIST [--configs compare_nmnist_sew] [--repeats 7]
    python -m benchmarks learner_steps --root MNIST --configs compare_mnist_camera
        --set data.shown=2000 data.test=100

Feedback and optimizer on the first batch of a comparison's data, on one thread, interleaved:
median and least processor time in ms, the first step left out. The default rule stands beside the
surrogate that runs each layer over all steps and the one that calls the network at every step; with
``, norm`` behind its name a config has batch normalisation.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import torch

from benchmarks._arguments import at_least_one
from benchmarks._tables import PrintedColumn, Table
from lfp_snn.analysis.compare.study import ComparisonStudy
from lfp_snn.analysis.study.spec import Arm
from lfp_snn.cli.shipped import find_config
from lfp_snn.data import Batch, Loader, Splits
from lfp_snn.training.assembly import assemble, load_splits

CONFIGS = (
    "compare_nmnist_mlp",
    "compare_nmnist_csnn",
    "compare_nmnist_vgg",
    "compare_nmnist_vgg, norm",
    "compare_nmnist_sew",
)
#: What is measured: the arm of the config, by its learner, and what is set for it.
WAYS: dict[str, tuple[str, dict[str, str]]] = {
    "rescale, ms": ("rescale", {}),
    "surrogate by layer, ms": ("surrogate", {}),
    "surrogate by step, ms": ("surrogate", {"learner.unroll": "steps"}),
}


def arm_of(arms: list[Arm], kind: str) -> Arm:
    """The arm whose learner is the surrogate, or LFP under the default rule."""

    def told(arm: Arm) -> str:
        learner = arm.config({}, 0).learner
        return str(getattr(learner, "rule", learner).name)

    return next(arm for arm in arms if told(arm) == kind)


class LearnerStep:
    """A learner with its network and optimizer, and one batch to learn."""

    def __init__(self, arm: Arm, changes: dict[str, str], splits: Splits | None) -> None:
        config = arm.config(changes, 0)
        self.splits = splits or load_splits(config)
        trainer = assemble(config, self.splits)
        self.learner, self.optimizer = trainer.learner, trainer.optimizer
        self.learner.net.train()
        loader = Loader(self.splits.train, config.batch_size, "shuffle", 0)
        self.batch: Batch = next(iter(loader.epoch(1)))

    def step(self) -> float:
        """The milliseconds of processor time of a step."""
        start = time.process_time()
        self.learner.feedback(self.batch)
        self.optimizer.step()
        return 1e3 * (time.process_time() - start)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path("datasets/NMNIST"))
    parser.add_argument("--configs", nargs="*", default=list(CONFIGS))
    parser.add_argument("--set", nargs="*", default=[], dest="changes", help="KEY=VALUE of configs")
    parser.add_argument("--repeats", type=at_least_one, default=7)
    args = parser.parse_args()
    torch.set_num_threads(1)
    times = (PrintedColumn(each, "median") for each in WAYS)
    ratio = PrintedColumn("by layer / rescale", digits=2)
    table = Table("config", *times, ratio)
    for name in args.configs:
        config, _, norm = name.partition(", ")
        normed = ["model.norm=batch"] if norm else []
        changes = [f"data.root={args.root}", *normed, *args.changes]
        arms = list(ComparisonStudy.load(find_config(config), changes).arms)
        found: list[LearnerStep] = []
        for kind, settings in WAYS.values():
            known = found[0].splits if found else None
            found.append(LearnerStep(arm_of(arms, kind), settings, known))
        measured = [[each.step() for each in found] for _ in range(args.repeats + 1)]
        columns = [list(each) for each in zip(*measured[1:], strict=True)]
        ours, theirs = (statistics.median(each) for each in columns[:2])
        table.row(name, *columns, theirs / ours)


if __name__ == "__main__":
    main()
