"""Are explanations by LFP faithful? Event flipping on N-MNIST, against other orders.

    python -m benchmarks faithfulness datasets/NMNIST

Removes the active entries of recordings, the most relevant first and the least relevant first, and
measures the area between the two curves. First a rule is chosen: models of other seeds, recordings
for validation, all of RULES. Then it and the default are compared with other methods on recordings
for testing: means over the models with 95 % bootstrap intervals over recordings, the means of the
single models, and how far LFP is ahead on the same recordings. All of it twice: for explanations
of the recording as it is, and for smoothed ones (``lfp-snn explain --smooth``).

    python -m benchmarks faithfulness datasets/NMNIST --beside epsilon norm rescale
        [--change learner.rule.name=epsilon learner.rule.eps=0.1]

Compares the named rules alone, on the same models and recordings for testing: nothing is chosen.
The first is the one that the others are compared with; ``gradient`` stands for the surrogate
gradient times input. ``--change`` trains the models otherwise.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import numpy as np
from torch import Tensor

from benchmarks._arguments import at_least_one, at_least_zero
from benchmarks._tables import PrintedColumn, Table
from lfp_snn.analysis.explain.attribute import Attribution, Explainer
from lfp_snn.analysis.explain.faithfulness import (
    FLOAT,
    SHARES,
    Curves,
    flip,
    gradient_times_input,
    interval,
)
from lfp_snn.analysis.explain.measure import Faithfulness, figure_of_curves, measure
from lfp_snn.analysis.explain.smooth import SmoothExplainer
from lfp_snn.analysis.explain.target import Contrast, OfClass, OfOutputs, OfShare
from lfp_snn.analysis.style import save
from lfp_snn.cli.shipped import find_config
from lfp_snn.data import Batch
from lfp_snn.learners import Learner
from lfp_snn.rules import AlphaBeta, Composite, Epsilon, Gamma, Norm, Pass, Rescale, Rule, ZPlus
from lfp_snn.training import load_config
from lfp_snn.training.assembly import assemble, load_splits, seeded

DEFAULT = "norm"
RULES: dict[str, Rule | Composite] = {
    "norm": Norm(),
    "pass": Pass(),
    "epsilon, conserving": Epsilon(conserving=True),
    "epsilon, eps 0.1": Epsilon(0.1),
    "epsilon, eps 1": Epsilon(1.0),
    "epsilon, eps 10": Epsilon(10.0),
    "gamma 0.25": Gamma(gamma=0.25),
    "gamma 0.25, eps 1": Gamma(gamma=0.25, eps=1.0),
    "gamma 1, eps 1": Gamma(gamma=1.0, eps=1.0),
    "alpha 2, beta 1, eps 1": AlphaBeta(2.0, 1.0, eps=1.0),
    "z+, eps 1": ZPlus(eps=1.0),
}
#: What `--beside` takes: those and the rules of training, published and default.
BESIDE: dict[str, Rule | Composite] = {"epsilon": Epsilon(), "rescale": Rescale(), **RULES}
GRADIENT = "gradient"  # among the rules of `--beside`
TARGETS: dict[str, OfOutputs] = {"class": OfClass(), "contrast": Contrast(), "share": OfShare()}
OTHER_SEEDS = 100  # from here on models that nothing is reported of


def explainer(learner: Learner, rule: str, smooth: int) -> Explainer:
    """An explainer that is smoothed over a number of partitions; not at all if 0."""
    if smooth:
        return SmoothExplainer(learner, BESIDE[rule], smooth)
    return Explainer(learner, BESIDE[rule])


def _model(
    name: str, root: str, seed: int, part: str, samples: int, changes: Sequence[str] = ()
) -> tuple[Learner, Batch]:
    """A trained model, and the recordings of a part."""
    config = load_config(find_config(name), [f"data.root={root}", f"seed={seed}", *changes])
    splits = load_splits(config)
    with seeded(config):
        trainer = assemble(config, splits)
        result = trainer.train()
    print(f"{name}, seed {seed}: test accuracy {result.test_accuracy:.2%}", file=sys.stderr)
    recordings = getattr(splits, part)
    count = min(samples, len(recordings))
    chosen = np.random.default_rng(0).permutation(len(recordings))[:count]
    trainer.learner.net.eval()
    return trainer.learner, recordings.batch(np.sort(chosen))


def told(smooth: int) -> str:
    """A phrase that says whether explanations are smoothed."""
    return f"smoothed {smooth} times" if smooth else "not smoothed"


def choose(name: str, root: str, models: int, samples: int, smooth: int) -> dict[str, str]:
    """The rule with the largest area of the share, for each target; prints all of them."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for seed in range(OTHER_SEEDS, OTHER_SEEDS + models):
        learner, batch = _model(name, root, seed, "val", samples)
        runner = Explainer(learner, RULES[DEFAULT])  # all rules have the same forward pass
        for target_name, target in TARGETS.items():
            scores, attribution = _scores(learner, batch, target, list(RULES), smooth)
            weights = target.weights(attribution.outputs, batch)
            scores["gradient x input"] = gradient_times_input(learner.net, batch, weights)
            for rule_name, score in scores.items():
                curves = flip(runner, batch, score, attribution.chosen, SHARES[::2])
                areas = curves.areas.mean(), curves.areas_of_accuracy.mean()
                found.setdefault((target_name, rule_name), []).append(areas)
    chosen = {}
    for target_name in TARGETS:
        print(f"{name}, {target_name}, {told(smooth)}, validation: areas of share and accuracy")
        means = {r: np.mean(found[t, r], axis=0) for t, r in found if t == target_name}
        for rule_name, (share, accuracy) in means.items():
            print(f"  {rule_name:28} {share:.3f}  {accuracy:.3f}")
        chosen[target_name] = max(RULES, key=lambda rule_name: means[rule_name][0])
        print(f"  chosen: {chosen[target_name]}", flush=True)
    return chosen


def _scores(
    learner: Learner, batch: Batch, target: OfOutputs, rules: Sequence[str], smooth: int
) -> tuple[dict[str, Tensor], Attribution]:
    """The relevance of the entries under each rule, and an attribution of the batch."""
    scores = {}
    for rule in rules:
        runner = explainer(learner, DEFAULT if rule == GRADIENT else rule, smooth)
        found = runner.attribute(batch, target)
        scores[rule] = found.relevance
        if rule == GRADIENT:
            weights = target.weights(found.outputs, batch)
            scores[rule] = _gradient(runner, learner, batch, weights)
    return scores, found


def _gradient(runner: Explainer, learner: Learner, batch: Batch, weights: Tensor) -> Tensor:
    """Gradient times input, smoothed as the explainer is."""
    if isinstance(runner, SmoothExplainer):
        return runner.mean(batch, lambda part: gradient_times_input(learner.net, part, weights))
    return gradient_times_input(learner.net, batch, weights)


def beside(
    name: str, models: list[tuple[Learner, Batch]], rules: list[str], smooth: int, table: Table
) -> None:
    """Add the areas of each rule to a table, and by how much it is ahead of the first."""
    for target_name, target in TARGETS.items():
        curves: dict[str, list[Curves]] = {rule: [] for rule in rules}
        for learner, batch in models:
            scores, attribution = _scores(learner, batch, target, rules, smooth)
            runner = Explainer(learner, RULES[DEFAULT])  # all rules have the same forward pass
            for rule, score in scores.items():
                curves[rule].append(flip(runner, batch, score, attribution.chosen, SHARES[::2]))
        for what, areas in (("share", "areas"), ("accuracy", "areas_of_accuracy")):
            found = {rule: np.array([getattr(c, areas) for c in curves[rule]]) for rule in rules}
            means = [found[rule].mean(axis=1).tolist() for rule in rules]
            ahead = [interval((found[rule] - found[rules[0]]).mean(axis=0)) for rule in rules[1:]]
            told_ahead = [[each.mean, each.low, each.high] for each in ahead]
            table.row(f"{name}, {target_name}, {told(smooth)}", what, *means, *told_ahead)


def table_of(rules: list[str]) -> Table:
    """The table that :func:`beside` fills."""
    means = [PrintedColumn(rule, digits=3) for rule in rules]
    ahead = [f"{rule} less {rules[0]}" for rule in rules[1:]]
    differences = [PrintedColumn(title, "bounds", 3, sign=True) for title in ahead]
    return Table("explained", "area of", *means, *differences)


def report(runs: list[Faithfulness]) -> None:
    """Print the areas of all methods, and by how much LFP is ahead."""
    lost = np.mean([run.conservation_error for run in runs])
    stable = np.mean([run.stability.mean for run in runs if run.stability is not None])
    print(f" conservation error {lost:.2%}, stability {stable:.3f}")
    for what in ("areas", "areas_of_accuracy"):
        print(f" {what.replace('_', ' ')}")
        own = {n: [getattr(r.curves[n], what) for r in runs] for n in runs[0].curves}
        for name, areas in own.items():
            print(_line(name, areas))
        for name in list(own)[1:]:
            ahead = [one - other for one, other in zip(own["LFP"], own[name], strict=True)]
            print(_line(f"LFP minus {name}", ahead))


def _line(name: str, areas: list[FLOAT]) -> str:
    """Areas ``[models][samples]`` as a line: interval over recordings, mean of each model."""
    each = "  ".join(f"{model.mean():.3f}" for model in areas)
    return f"  {name:28} {interval(np.mean(areas, axis=0))!s:24} models {each}"


def main() -> None:
    """Choose, print a table a rule and target, and draw the curves of the default."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("root", help="folder of N-MNIST")
    parser.add_argument("--configs", nargs="+", default=["nmnist_csnn", "nmnist_mlp"])
    parser.add_argument("--seeds", type=at_least_one, default=3)
    parser.add_argument("--samples", type=at_least_one, default=100)
    parser.add_argument(
        "--smooth", type=at_least_zero, nargs="+", default=[0, 4], help="partitions; 0: none"
    )
    parser.add_argument(
        "--figure", type=Path, help="a PNG of the curves of the last config and smoothing"
    )
    parser.add_argument("--beside", nargs="+", metavar="RULE", choices=[*BESIDE, GRADIENT])
    parser.add_argument("--change", nargs="*", default=[], help="KEY=VALUE of the configs")
    given = parser.parse_args()
    if given.beside:
        table = table_of(given.beside)
        for name in given.configs:
            models = [
                _model(name, given.root, seed, "test", given.samples, given.change)
                for seed in range(given.seeds)
            ]
            for smooth in given.smooth:
                beside(name, models, given.beside, smooth, table)
        return
    for name, smooth in product(given.configs, given.smooth):
        chosen = choose(name, given.root, 2, given.samples, smooth)
        found: dict[tuple[str, str], list[Faithfulness]] = {}
        for seed in range(given.seeds):
            learner, batch = _model(name, given.root, seed, "test", given.samples, given.change)
            for target_name, target in TARGETS.items():
                for rule in dict.fromkeys([DEFAULT, chosen[target_name]]):
                    measured = measure(explainer(learner, rule, smooth), batch, target)
                    found.setdefault((target_name, rule), []).append(measured)
        for (target_name, rule), runs in found.items():
            print(f"{name}, {target_name}, {rule}, {told(smooth)}: {given.seeds} models, test")
            report(runs)
        if given.figure is not None:
            save(figure_of_curves(found["class", DEFAULT]), given.figure.parent, given.figure.stem)


if __name__ == "__main__":
    main()
