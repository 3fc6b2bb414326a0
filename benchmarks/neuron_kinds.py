"""What every kind of neuron learns: published LFP, Rescale and the surrogate, equally searched.

    python -m benchmarks neuron_kinds [--seeds 3] [--kinds alpha ...] [--learners rescale ...]

DVS-digits (simulated), 1200 training samples, T = 12, 3 epochs, 128 hidden neurons of the kind and
10 of it at the output, calibrated. For each learner the validation part chooses the learning rate
with seed 0. Shown are accuracies on the test part, or, to choose between ways, on the validation
part (`--part validation`). One thread.
"""

from __future__ import annotations

import argparse
from typing import Any

import torch

from benchmarks._arguments import at_least_one
from benchmarks._tables import Table
from benchmarks.depth_rescale import EPSILON
from lfp_snn.training.assembly import assemble, load_splits, seeded
from lfp_snn.training.config import Config
from lfp_snn.training.configfile import apply_overrides, make_config

KINDS: dict[str, Any] = {
    "leaky, subtract": {"lif": {}},
    "leaky, subtract at once": {"lif": {"reset_delay": False}},
    "leaky, zero": {"lif": {"reset": "zero"}},
    "leaky, zero at once": {"lif": {"reset": "zero", "reset_delay": False}},
    "leaky, none": {"lif": {"reset": "none"}},
    "lapicque": {"lapicque": {}},
    "synaptic": {"synaptic": {}},
    "alpha": {"alpha_lif": {}},
    "rleaky, all to all": {"rlif": {}},
    "rleaky, one to one": {"rlif": {"recurrent": "one"}},
    "rsynaptic": {"rsynaptic": {}},
}
LEARNERS = {
    "lfp": [f"learner.rule={EPSILON}"],
    "rescale": ["learner.rule={name: rescale}"],
    "rescale, decay": ["learner.rule={name: rescale, carry: decay}"],
    "surrogate": ["learner={name: surrogate}", "clip=null"],
}


def plan(kind: Any) -> dict[str, Any]:
    """The config of the experiment with a kind of neurons."""
    layers = ["flatten", {"linear": 128}, kind, {"linear": "classes"}, kind]
    return {
        "name": "neuron_kinds",
        "data": {"name": "digits", "validation": 0.142857, "steps": 12},
        "model": {"name": "layers", "layers": layers},
        "epochs": 3,
        "device": "cpu",
    }


def main() -> None:
    """Train all, and print a row as soon as its seeds are done."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=at_least_one, default=3)
    parser.add_argument("--rates", nargs="*", default=["0.001", "0.003", "0.01"])
    parser.add_argument("--learners", nargs="*", default=list(LEARNERS), choices=list(LEARNERS))
    parser.add_argument("--part", default="test", choices=["validation", "test"])
    parser.add_argument("--kinds", nargs="*", default=list(KINDS), choices=list(KINDS))
    args = parser.parse_args()
    torch.set_num_threads(1)
    splits = load_splits(make_config(Config, plan(KINDS["leaky, subtract"])))

    def run(kind: str, learner: str, rate: str, seed: int) -> tuple[float, float]:
        """Accuracy on the validation and the test part in percent."""
        overrides = [*LEARNERS[learner], f"optimizer.lr={rate}", f"seed={seed}"]
        config = make_config(Config, apply_overrides(plan(KINDS[kind]), overrides))
        with seeded(config):
            result = assemble(config, splits).train()
        return 100 * result.val_accuracy, 100 * result.test_accuracy

    table = Table("neurons", *args.learners)
    for kind in args.kinds:
        found = {}
        for learner in args.learners:
            first = {rate: run(kind, learner, rate, 0) for rate in args.rates}
            _, rate = max((first[each][0], each) for each in args.rates)
            runs = [first[rate], *(run(kind, learner, rate, seed) for seed in range(1, args.seeds))]
            found[learner] = [test if args.part == "test" else val for val, test in runs]
        table.row(kind, *found.values())


if __name__ == "__main__":
    main()
