"""Recipes of training and of reading, for LFP and the surrogate, on validation: which of them help?

    python -m benchmarks recipes --root datasets/NMNIST --seeds 3

Label smoothing, TET, a moving average of the weights, augmentation, and copies that vote, each
against the same training without it, on few DVS-digits (simulated), on N-MNIST with an mlp and a
small convolutional network, and on N-MNIST at half its resolution with a spiking VGG of nine
layers. The weights of the last epoch are read on the validation part, by which nothing is chosen;
nothing is searched, and nothing is looked up on the test part.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from benchmarks._arguments import at_least_one
from benchmarks._tables import TRAINING, PrintedColumn, Table
from lfp_snn.training import evaluate
from lfp_snn.training.assembly import assemble, load_splits, seeded
from lfp_snn.training.config import Config
from lfp_snn.training.configfile import apply_overrides, make_config, read_mapping

CONFIGS = Path(__file__).parent.parent / "configs"
#: Config and overrides of each task; the parts that validate are larger than the configs have them.
TASKS: dict[str, tuple[str, list[str]]] = {
    "digits": ("digits", ["data.train=200", "data.validation=0.285714", "epochs=12"]),
    "mlp": ("nmnist_mlp", ["data.validation=0.375", "epochs=6"]),
    "csnn": ("nmnist_csnn", ["data.validation=0.375", "epochs=6"]),
    "vgg": ("compare_nmnist_vgg", ["data.validation=0.375", "epochs=4"]),
}
#: What every training has: a reward and a loss of the same cross-entropy.
LEARNERS: dict[str, list[str]] = {
    "lfp": ["learner.reward.name=softmax_rate"],
    "surrogate": ["learner.name=surrogate", "clip=null"],
}
CHANGES = "data.augment=[{name: shift, pixels: 1}, {name: crop_time, share: 0.9}]"
#: Overrides of each recipe, where they differ by learner.
RECIPES: dict[str, dict[str, list[str]]] = {
    "as it is": {"lfp": [], "surrogate": []},
    "smoothing 0.1": {
        "lfp": ["learner.reward.smoothing=0.1"],
        "surrogate": ["learner.smoothing=0.1"],
    },
    "TET": {
        "lfp": ["learner.reward.name=tet"],
        "surrogate": ["learner.loss=tet_loss"],
    },
    "EMA 0.9": {"lfp": ["ema=0.9"], "surrogate": ["ema=0.9"]},
    "augmentation": {"lfp": [CHANGES], "surrogate": [CHANGES]},
}
#: Trainings that are read once more by copies that vote.
VOTED = ("as it is", "augmentation")


def main() -> None:
    """Train all, and print a row as soon as its seeds are done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True, help="the folder of N-MNIST")
    parser.add_argument("--seeds", type=at_least_one, default=3)
    parser.add_argument("--votes", type=at_least_one, default=4)
    parser.add_argument("--tasks", nargs="*", default=list(TASKS), choices=list(TASKS))
    parser.add_argument("--learners", nargs="*", default=list(LEARNERS), choices=list(LEARNERS))
    parser.add_argument("--recipes", nargs="*", default=list(RECIPES), choices=list(RECIPES))
    args = parser.parse_args()
    torch.set_num_threads(1)
    table = Table("task", "learner", "recipe", PrintedColumn("validation, %", "seeds"), TRAINING)
    for task in args.tasks:
        for learner in args.learners:
            plan = planned(task, learner, args.root)
            for recipe in args.recipes:
                changes = RECIPES[recipe][learner]
                votes = args.votes if recipe in VOTED else 1
                runs = [trained(plan, changes, seed, votes) for seed in range(args.seeds)]
                alone, voted, seconds = (list(column) for column in zip(*runs, strict=True))
                table.row(task, learner, recipe, alone, seconds)
                if votes > 1:
                    read = f"{recipe}, {args.votes} votes"
                    table.row(task, learner, read, voted, seconds)


def planned(task: str, learner: str, root: Path) -> dict[str, Any]:
    """The config of a task's training by a learner, as a mapping.

    Args:
        task: the name in :data:`TASKS`.
        learner: the name in :data:`LEARNERS`.
        root: the folder of N-MNIST.
    """
    name, overrides = TASKS[task]
    plan = read_mapping(CONFIGS / f"{name}.yaml")
    plan.pop("compare", None)
    if plan["data"]["name"] == "nmnist":
        overrides = [*overrides, f"data.root={root}"]
    return apply_overrides(plan, [*overrides, *LEARNERS[learner], "device=cpu"])


def trained(
    plan: dict[str, Any], changes: Sequence[str], seed: int, votes: int = 1
) -> tuple[float, float, float]:
    """Accuracies in percent of the last epoch, alone and by copies that vote; training seconds."""
    config = make_config(Config, apply_overrides(plan, [*changes, f"seed={seed}"]))
    splits = load_splits(config)
    # Nothing validates, so that the last epoch is read, and what would validate is what tests.
    parts = replace(splits, val=splits.val.subset([]), test=splits.val)
    with seeded(config):
        trainer = assemble(config, parts)
        result = trainer.train()
    voted = result.test_accuracy
    if votes > 1:
        changeable = load_splits(make_config(Config, apply_overrides(plan, [*changes, CHANGES])))
        voted = evaluate(trainer.learner, changeable.val, config.batch_size, votes=votes).accuracy
    return 100 * result.test_accuracy, 100 * voted, result.train_s


if __name__ == "__main__":
    main()
