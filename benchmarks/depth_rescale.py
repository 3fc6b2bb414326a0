"""Six spiking layers: published LFP, Rescale in its forms, and the surrogate, on validation.

    python -m benchmarks depth_rescale --root datasets/MNIST --seeds 2

The network and the data are those of the config `compare_mnist_deep`: 5000 images of MNIST as a
constant current, 784-512-256-256-128-128-10, six epochs. For each way the validation part chooses
the learning rate with seed 0; what is printed is the accuracy on the validation part, and nothing
is looked up on the test part. "Output" is the reward without its spike factor, counted at the
output neurons; "gate" is the credit of silent hidden neurons.
"""

import argparse
from pathlib import Path

import torch

from benchmarks._arguments import at_least_one
from benchmarks._tables import TRAINING, PrintedColumn, Table
from lfp_snn.training.assembly import assemble, load_splits, seeded
from lfp_snn.training.config import Config
from lfp_snn.training.configfile import apply_overrides, make_config, read_mapping

CONFIG = Path(__file__).parent.parent / "configs" / "compare_mnist_deep.yaml"
EPSILON = "{name: epsilon, eps: 0.1}"
SPEAKS = "learner.reward.at_silence=true"


def rescale(gate: str, carry: str) -> str:
    """The rule Rescale for all layers."""
    return f"learner.rule={{name: rescale, gate: {gate}, carry: {carry}}}"


def at(first: str, last: str) -> str:
    """A composite of one rule for the output, and another for all layers before it."""
    layers = f"[{{position: last, rule: {last}}}]"
    return f"learner.rule={{name: composite, layers: {layers}, default: {first}}}"


WAYS: dict[str, list[str]] = {
    "lfp": [f"learner.rule={EPSILON}"],
    "lfp, softmax": [f"learner.rule={EPSILON}", "learner.reward.name=softmax_rate"],
    "output as relevance": [f"learner.rule={EPSILON}", SPEAKS],
    "output": [at(EPSILON, "{name: rescale}"), SPEAKS],
    "gate": [rescale("positive", "reference"), "learner.reward.at_silence=false"],
    "positive, reference": [rescale("positive", "reference"), SPEAKS],
    "positive, decay": [rescale("positive", "decay"), SPEAKS],
    "window, reference": [rescale("window", "reference"), SPEAKS],
    "window, decay": [rescale("window", "decay"), SPEAKS],
    "positive, reference, softmax": [
        rescale("positive", "reference"),
        SPEAKS,
        "learner.reward.name=softmax_rate",
    ],
    "surrogate": ["learner={name: surrogate}", "clip=null"],
    "surrogate, mse": ["learner={name: surrogate, loss: mse_count_loss}", "clip=null"],
}


def main() -> None:
    """Train all, and print a row as soon as its seeds are done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, required=True)
    parser.add_argument("--seeds", type=at_least_one, default=2)
    parser.add_argument("--epochs", type=at_least_one, default=6)
    parser.add_argument("--rates", nargs="*", default=["0.001", "0.003", "0.006"])
    parser.add_argument("--ways", nargs="*", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--set", nargs="*", default=[], help="further overrides of the config")
    args = parser.parse_args()
    torch.set_num_threads(1)
    plan = read_mapping(CONFIG)
    del plan["compare"]
    common = [f"data.root={args.root}", f"epochs={args.epochs}", "device=cpu", *args.set]
    splits = load_splits(make_config(Config, apply_overrides(plan, common)))

    def run(way: str, rate: str, seed: int) -> tuple[float, float]:
        """Accuracy on the validation part in percent, and seconds of training."""
        overrides = [*common, *WAYS[way], f"optimizer.lr={rate}", f"seed={seed}"]
        config = make_config(Config, apply_overrides(plan, overrides))
        with seeded(config):
            result = assemble(config, splits).train()
        return 100 * result.val_accuracy, result.train_s

    rate_of, searched = (
        PrintedColumn("learning rate", digits=None),
        PrintedColumn("searched, %", "each"),
    )
    table = Table("way", rate_of, searched, PrintedColumn("validation, %", "seeds"), TRAINING)
    for way in args.ways:
        first = {rate: run(way, rate, 0) for rate in args.rates}
        rate = max(args.rates, key=lambda each: first[each][0])
        runs = [first[rate], *(run(way, rate, seed) for seed in range(1, args.seeds))]
        accuracy, seconds = (list(column) for column in zip(*runs, strict=True))
        table.row(way, float(rate), [each[0] for each in first.values()], accuracy, seconds)


if __name__ == "__main__":
    main()
