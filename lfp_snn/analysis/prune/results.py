"""Pruned runs of several learners and seeds: means, paired differences, and what they allow to say.

Learners differ in accuracy before anything is pruned, which is no matter of pruning. Compared is
what pruning does to each: the accuracy that it keeps, and the share that costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from lfp_snn.analysis.compare.results import ALPHA, concluded
from lfp_snn.analysis.compare.statistics import Mean, Paired, holm, mean, paired
from lfp_snn.analysis.prune.criteria import Criterion
from lfp_snn.analysis.prune.curve import Curve, Options, PrunedRun
from lfp_snn.errors import ConfigError
from lfp_snn.training import Settings

__all__ = ["MEASURES", "Difference", "Measure", "Pruned", "refuse_unlike"]


@dataclass(frozen=True)
class Measure:
    """A number of a curve, by which learners are compared; more is better.

    Args:
        name: in files.
        text: in sentences.
        of: the number, a share.
    """

    name: str
    text: str
    of: Callable[[Curve], float]


MEASURES = (
    Measure(
        "kept",
        "accuracy kept (of its own, mean over the shares pruned)",
        lambda curve: curve.kept,
    ),
    Measure(
        "prunable",
        "the share that can go for less than a point of accuracy",
        lambda curve: curve.prunable,
    ),
)


@dataclass(frozen=True)
class Difference:
    """The reference minus another learner, over the seeds of both.

    Attributes:
        other: the learner.
        criterion: by which was pruned.
        measure: what is compared.
        paired: the difference.
    """

    other: str
    criterion: Criterion
    measure: Measure
    paired: Paired


@dataclass(frozen=True)
class Pruned:
    """Runs, pruned alike.

    Attributes:
        runs: in the order in which they were named.
        options: how they were pruned.
        tested: test samples.
    """

    runs: Sequence[PrunedRun]
    options: Options
    tested: int

    @cached_property
    def learners(self) -> Mapping[str, Sequence[PrunedRun]]:
        """The runs of each learner, lfp first."""
        names = sorted({run.learner for run in self.runs}, key=lambda name: (name != "lfp", name))
        return {name: [run for run in self.runs if run.learner == name] for name in names}

    @property
    def reference(self) -> str:
        """The learner that the others are held against."""
        return next(iter(self.learners))

    def mean(self, learner: str, criterion: Criterion, of: Callable[[Curve], float]) -> Mean:
        """Of a number of the curves of a learner, over its seeds."""
        return mean([of(run.curve(criterion)) for run in self.learners[learner]])

    @cached_property
    def differences(self) -> Sequence[Difference]:
        """All that are told, corrected together; of learners that share fewer than two seeds none.

        What random orders do is told, but no claim is tested on it.
        """
        found = []
        ours = {run.seed: run for run in self.learners[self.reference]}
        for name, runs in self.learners.items():
            theirs = {run.seed: run for run in runs}
            common = sorted(ours.keys() & theirs.keys())
            if name == self.reference or len(common) < 2:
                continue
            for criterion in self.options.criteria:
                if criterion is Criterion.random:
                    continue
                for measure in MEASURES:
                    pair = paired(
                        [measure.of(ours[seed].curve(criterion)) for seed in common],
                        [measure.of(theirs[seed].curve(criterion)) for seed in common],
                    )
                    found.append(Difference(name, criterion, measure, pair))
        adjusted = holm([each.paired.p for each in found])
        return [
            replace(each, paired=replace(each.paired, adjusted=p))
            for each, p in zip(found, adjusted, strict=True)
        ]

    def conclusions(self) -> Iterator[str]:
        """What may and may not be concluded, a sentence or two each."""
        for each in self.differences:
            what = f"{each.measure.text} when pruned by {each.criterion}"
            yield concluded(self.reference, each.other, each.paired, what)
        for name in self.learners:
            told = [each for each in self.differences if each.other == name]
            if told:
                yield self._verdict(name, told)
            elif name != self.reference:
                yield (
                    f"Nothing can be said of {self.reference} and {name}: they share fewer than "
                    f"two seeds."
                )
        yield (
            f"Nothing was trained after pruning. The {self.tested} test samples are those of one "
            f"split, and nothing is said of other networks, data or ways to prune."
        )

    def _verdict(self, name: str, told: Sequence[Difference]) -> str:
        """Whether the reference prunes better, by all that was compared."""
        sides: dict[bool, list[str]] = {True: [], False: []}
        for each in told:
            if each.paired.adjusted < ALPHA:
                text = f"{each.criterion} ({each.measure.name})"
                sides[each.paired.difference > 0].append(text)
        better, worse = (" and ".join(sides[side]) for side in (True, False))
        claim = f"That networks trained with {self.reference} prune better than with {name}"
        if better and worse:
            return f"{claim} is shown by {better}, and the opposite by {worse}."
        if better:
            return f"{claim} is shown here by {better}."
        if worse:
            return f"{claim} is not shown here; the opposite is, by {worse}."
        return f"{claim} is not shown here, and neither is the opposite."

    def to_json(self) -> dict[str, Any]:
        """As plain numbers, texts, lists and mappings."""
        options = self.options
        return {
            "scope": str(options.scope),
            "draws": options.draws,
            "samples": options.samples,
            "shares": list(options.shares),
            "tested": self.tested,
            "runs": [_run_json(run) for run in self.runs],
            "differences": [
                {
                    "reference": self.reference,
                    "other": each.other,
                    "criterion": str(each.criterion),
                    "measure": each.measure.name,
                    **asdict(each.paired),
                }
                for each in self.differences
            ],
            "conclusions": list(self.conclusions()),
        }


def _run_json(run: PrunedRun) -> dict[str, Any]:
    return {
        "run": str(run.path),
        "learner": run.learner,
        "seed": run.seed,
        "weights": {"count": run.count, "gini": run.gini, "zeros": run.zeros},
        "curves": {
            str(curve.criterion): {
                "accuracies": list(curve.accuracies),
                **{measure.name: measure.of(curve) for measure in MEASURES},
            }
            for curve in run.curves
        },
    }


def refuse_unlike(configs: Mapping[Path, Settings]) -> None:
    """Refuse runs that cannot be put side by side.

    Raises:
        ConfigError: a run has another network or other data than the first one, or the learner
            and the seed of one that was named before.
    """
    known: dict[tuple[str, int], Path] = {}
    first, *_ = configs
    for path, config in configs.items():
        for section in ("model", "data"):
            if getattr(config, section, None) != getattr(configs[first], section, None):
                raise ConfigError(
                    f"{path} has another section {section} than {first}: prune them apart."
                )
        place = (config.learner.name, config.seed)
        if place in known:
            raise ConfigError(
                f"{path} and {known[place]} are both of {place[0]} with seed {place[1]}: name one."
            )
        known[place] = path
