"""Rewards of spike counts at few steps and at many, on validation: which of them learn?

    python -m benchmarks rewards --root datasets/MNIST --steps 1 2 4 16

DVS-digits (simulated), cut into so many steps, with the network of its config, 8 epochs, and 10 000
images of MNIST, shown for so many steps, with that of `mnist_mlp`, one epoch. All else is as the
configs say; the weights of the last epoch are read on the validation part, by which nothing is
chosen, and nothing is looked up on the test part.
"""

import argparse
from pathlib import Path

import torch

from benchmarks._arguments import at_least_one
from benchmarks._tables import TRAINING, PrintedColumn, Table
from benchmarks.recipes import CONFIGS, trained
from lfp_snn.training.configfile import apply_overrides, read_mapping

#: The config of each task, and what is changed in it.
TASKS: dict[str, list[str]] = {
    "digits": ["epochs=8"],
    "mnist_mlp": ["data.train=10000", "epochs=1"],
}
REWARDS = ("rate_coded", "softmax_rate", "count_target", "misclassification")


def main() -> None:
    """Train all, and print a row as soon as its seeds are done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="the folder of MNIST")
    parser.add_argument("--steps", nargs="+", type=at_least_one, default=[1, 2, 4, 16])
    parser.add_argument("--seeds", type=at_least_one, default=3)
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--rewards", nargs="*", default=list(REWARDS), choices=REWARDS)
    args = parser.parse_args()
    torch.set_num_threads(1)
    table = Table("config", "steps", "reward", PrintedColumn("validation, %", "seeds"), TRAINING)
    for task in args.tasks:
        root = [f"data.root={args.root}"] if task == "mnist_mlp" else []
        changes = [*TASKS[task], *root, "device=cpu"]
        plan = apply_overrides(read_mapping(CONFIGS / f"{task}.yaml"), changes)
        for steps in args.steps:
            for reward in args.rewards:
                given = [f"data.steps={steps}", f"learner.reward.name={reward}"]
                runs = [trained(plan, given, seed) for seed in range(args.seeds)]
                accuracies, _, seconds = (list(column) for column in zip(*runs, strict=True))
                table.row(task, steps, reward, accuracies, seconds)


if __name__ == "__main__":
    main()
