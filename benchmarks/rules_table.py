"""LRP's rules side by side: a shipped config trained with each, on several datasets and seeds.

    python -m benchmarks rules_table --nmnist-root FOLDER --braille-root FOLDER --seeds 3

All else is as the config says: learning rate, reward, epochs. They were chosen for epsilon or, as
the rate of `nmnist_mlp` was, for rescale, so that the table speaks of rules at these settings. The
validation part compares the rules; the test part is shown beside it and chooses nothing.
"""

import argparse
from pathlib import Path

import torch

from benchmarks._arguments import at_least_one
from benchmarks._tables import TRAINING, Cell, Table
from lfp_snn.errors import ConfigError, NetworkError
from lfp_snn.training import load_config, train

CONFIGS = Path(__file__).parent.parent / "configs"
RULES: dict[str, str] = {
    "epsilon 1e-6": "{name: epsilon, eps: 1.0e-6}",
    "epsilon 0.1": "{name: epsilon, eps: 0.1}",
    "epsilon 0.1, conserving": "{name: epsilon, conserving: true}",
    "rescale": "{name: rescale}",
    "norm": "{name: norm}",
    "pass": "{name: pass}",
    "gamma 0.25": "{name: gamma, gamma: 0.25, eps: 0.1}",
    "alpha 2, beta 1": "{name: alpha_beta, alpha: 2.0, beta: 1.0, eps: 0.1}",
    "z+": "{name: zplus, eps: 0.1}",
    "w^2": "{name: wsquare, eps: 0.1}",
    "flat": "{name: flat, eps: 0.1}",
    "z box": "{name: zbox, low: 0.0, high: 1.0, eps: 0.1}",
    "epsilon+, flat": "{name: epsilon_plus_flat}",
}


def run(config: str, overrides: list[str], seed: int) -> tuple[float, float, float]:
    """The validation and test accuracy in percent, and the seconds of training."""
    result = train(
        load_config(CONFIGS / f"{config}.yaml", [*overrides, f"seed={seed}", "device=cpu"])
    )
    return 100 * result.val_accuracy, 100 * result.test_accuracy, result.train_s


def main() -> None:
    """Train all, and print a row as soon as its seeds are done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nmnist-root", type=Path)
    parser.add_argument("--braille-root", type=Path)
    parser.add_argument("--seeds", type=at_least_one, default=3)
    parser.add_argument("--rules", nargs="*", default=list(RULES), choices=list(RULES))
    parser.add_argument("--no-digits", action="store_true", help="leave the generated dataset out")
    args = parser.parse_args()
    torch.set_num_threads(1)
    tasks: dict[str, list[str]] = {} if args.no_digits else {"digits": ["baseline=false"]}
    if args.nmnist_root:
        tasks["nmnist_mlp"] = [f"data.root={args.nmnist_root}"]
    if args.braille_root:
        tasks["braille"] = [f"data.root={args.braille_root}"]
    table = Table("config", "rule", "validation, %", "test, %", TRAINING)
    for task, overrides in tasks.items():
        for rule in args.rules:
            row = _row(task, [*overrides, f"learner.rule={RULES[rule]}"], args.seeds)
            table.row(task, rule, *row)


def _row(task: str, overrides: list[str], seeds: int) -> list[Cell]:
    try:
        runs = [run(task, overrides, seed) for seed in range(seeds)]
    except (ConfigError, NetworkError) as error:  # a rule that does not fit the network
        return [str(error), None, None]
    return [list(column) for column in zip(*runs, strict=True)]


if __name__ == "__main__":
    main()
