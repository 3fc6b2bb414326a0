"""Six spiking layers: does LFP still train, and what do start and homeostasis do to it?

    python -m benchmarks depth --root datasets/NMNIST --seeds 3

N-MNIST through 2312-512-256-256-128-128-10, with the settings of `nmnist_mlp` and an equal number
of epochs for all. `frozen` trains the last layer alone: what random features give. The validation
part chooses the epoch; of the ways that are tuned it also chooses, with seed 0, the learner among
three (`TUNED`) and its learning rate (`--rates`), as many trials for LFP as for the surrogate.
"""

import argparse
from pathlib import Path

import torch

from benchmarks._arguments import at_least_one
from benchmarks._tables import TRAINING, Table
from lfp_snn.learners import Learner
from lfp_snn.training import load_config
from lfp_snn.training.assembly import assemble, load_splits, seeded

CONFIG = Path(__file__).parent.parent / "configs" / "nmnist_mlp.yaml"
HIDDEN = [512, 256, 256, 128, 128]
WAYS: dict[str, list[str]] = {
    "lfp, calibrated": [],
    "lfp, calibrated, homeostasis": ["learner.homeostasis={adapt: bias, target: 0.02}"],
    "lfp, scale 2": ["calibrate=null", "model.scale=2.0"],
    "lfp, scale 3": ["calibrate=null", "model.scale=3.0"],
    "lfp, scale 4": ["calibrate=null", "model.scale=4.0"],
    "lfp, scale 2, homeostasis": [
        "calibrate=null",
        "model.scale=2.0",
        "learner.homeostasis={adapt: bias, target: 0.02}",
    ],
    "frozen hidden layers": [],
    "lfp, tuned": [],
    "surrogate, tuned": [],
}
#: Learners among which the validation part chooses, the default first.
TUNED = {
    "lfp, tuned": {
        "rate_coded": [],
        "homeostasis": ["learner.homeostasis={adapt: bias, target: 0.02}"],
        "softmax_rate": ["learner.reward={name: softmax_rate}"],
    },
    "surrogate, tuned": {
        "atan, ce_count_loss": ["learner={name: surrogate}"],
        "fast_sigmoid": ["learner={name: surrogate, surrogate: fast_sigmoid, slope: 10.0}"],
        "mse_count_loss": ["learner={name: surrogate, loss: mse_count_loss}"],
    },
}


def only_outputs_learn(learner: Learner) -> Learner:
    """The learner, which from now on changes nothing but the layer of the outputs."""
    for parameter in list(learner.net.parameters())[:-2]:
        parameter.requires_grad_(False)
    return learner


def run(overrides: list[str], seed: int, frozen: bool) -> tuple[float, float, float]:
    """The validation and test accuracy in percent, and the seconds of training."""
    config = load_config(CONFIG, [*overrides, f"seed={seed}", "device=cpu"])
    splits = load_splits(config)
    with seeded(config):
        result = assemble(config, splits, wrap=only_outputs_learn if frozen else None).train()
    return 100 * result.val_accuracy, 100 * result.test_accuracy, result.train_s


def tuned(way: str, overrides: list[str], rates: list[str], table: Table) -> list[str]:
    """The learner and learning rate with the best validation, seed 0; a row for what was tried."""
    tried: dict[tuple[str, str], float] = {}
    for name, learner in TUNED[way].items():
        for rate in rates:
            options = [*overrides, *learner, f"optimizer.lr={rate}"]
            tried[name, rate] = run(options, 0, False)[0]
            table.row(f"({name}, learning rate {rate})", tried[name, rate], None, None)
    name, rate = max(tried, key=lambda key: tried[key])
    return [*TUNED[way][name], f"optimizer.lr={rate}"]


def main() -> None:
    """Train all, and print a row as soon as its seeds are done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--seeds", type=at_least_one, default=3)
    parser.add_argument("--epochs", type=at_least_one, default=20)
    parser.add_argument("--rates", nargs="*", default=["0.0003", "0.001", "0.003"])
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=list(WAYS))
    args = parser.parse_args()
    torch.set_num_threads(1)
    common = [f"data.root={args.root}", f"model.hidden={HIDDEN}", f"epochs={args.epochs}"]
    table = Table("way", "validation, %", "test, %", TRAINING)
    for way in args.ways:
        overrides = [*common, *WAYS[way]]
        if way in TUNED:
            overrides += tuned(way, overrides, args.rates, table)
        runs = [run(overrides, seed, way.startswith("frozen")) for seed in range(args.seeds)]
        table.row(way, *(list(column) for column in zip(*runs, strict=True)))


if __name__ == "__main__":
    main()
