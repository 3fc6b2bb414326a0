"""Are explanations by LFP faithful? Event flipping on N-MNIST, against other orders.

    python benchmarks/faithfulness.py datasets/NMNIST

Trains the shipped network of a config for some seeds and removes the active entries of test
recordings, the most relevant first and the least relevant first. Prints the area between the two
curves for each method, and how far LFP is ahead of the others on the same recordings: means over
the models, with 95 % bootstrap intervals over recordings, and the spread over models.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from lfp_snn.analysis.explain.attribute import Explainer
from lfp_snn.analysis.explain.faithfulness import FLOAT, interval
from lfp_snn.analysis.explain.measure import Faithfulness, figure_of_curves, measure
from lfp_snn.analysis.explain.pictures import write_png
from lfp_snn.analysis.explain.target import Contrast, OfClass
from lfp_snn.cli.shipped import find_config
from lfp_snn.learners import LEARNERS
from lfp_snn.rules import Epsilon, Gamma, Norm
from lfp_snn.training import load_config
from lfp_snn.training.run import fit, load_splits

RULES = {
    "norm": Norm(),
    "epsilon, conserving": Epsilon(conserving=True),
    "epsilon, eps 0.1": Epsilon(0.1),
    "gamma 0.25": Gamma(gamma=0.25),
}
TARGETS = {"class": OfClass(), "contrast": Contrast()}


def _runs(name: str, overrides: list[str], samples: int) -> dict[tuple[str, str], Faithfulness]:
    """What is measured of one model, by rule and target."""
    config = load_config(find_config(name), overrides)
    splits = load_splits(config)
    torch.manual_seed(config.seed)
    net = config.model.build(splits.train.feature_shape, len(splits.train.classes))
    result = fit(net, splits, **config.model_dump(exclude={"name", "data", "model", "baseline"}))
    print(f"seed {config.seed}: test accuracy {result.test_accuracy:.2%}", flush=True)
    learner = LEARNERS[config.learner.name].from_options(net.eval(), config.learner)
    chosen = np.random.default_rng(0).permutation(len(splits.test))[:samples]
    batch = splits.test.batch(np.sort(chosen))
    return {
        (rule, target): measure(Explainer(learner, RULES[rule]), batch, TARGETS[target])
        for rule in RULES
        for target in TARGETS
    }


def _line(name: str, areas: list[FLOAT]) -> str:
    """Areas ``[models][samples]`` as a line: interval over recordings, mean of each model."""
    each = "  ".join(f"{model.mean():.3f}" for model in areas)
    return f"  {name:28} {interval(np.mean(areas, axis=0))!s:24} models {each}"


def main() -> None:
    """Print a table a rule and target; draw the curves of the first rule."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("root", help="folder of N-MNIST")
    parser.add_argument("--config", default="nmnist_mlp")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--samples", type=int, default=100)
    parser.add_argument("--figure", type=Path, help="a PNG of the curves")
    chosen = parser.parse_args()
    models = [
        _runs(chosen.config, [f"data.root={chosen.root}", f"seed={seed}"], chosen.samples)
        for seed in range(chosen.seeds)
    ]
    for key in models[0]:
        runs = [model[key] for model in models]
        lost = np.mean([run.conservation_error for run in runs])
        stable = np.mean([run.stability.mean for run in runs])
        print(f"{key[0]}, {key[1]}: conservation error {lost:.2%}, stability {stable:.3f}")
        for what in ("areas", "areas_of_accuracy"):
            print(f" {what.replace('_', ' ')}")
            own = {n: [getattr(r.curves[n], what) for r in runs] for n in runs[0].curves}
            for name, areas in own.items():
                print(_line(name, areas))
            for name in list(own)[1:]:
                ahead = [one - other for one, other in zip(own["LFP"], own[name], strict=True)]
                print(_line(f"LFP minus {name}", ahead))
    if chosen.figure is not None:
        write_png(figure_of_curves([model["norm", "class"] for model in models]), chosen.figure)


if __name__ == "__main__":
    main()
