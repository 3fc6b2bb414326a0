"""The findings of pruning several learners and seeds: means, paired differences, conclusions.

Learners differ in accuracy before anything is pruned, which is no matter of pruning. The comparison
is of what pruning does to each: the accuracy that it keeps, and the share that costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

from typing_extensions import override

from lfp_snn.analysis.prune.criteria import Criterion
from lfp_snn.analysis.prune.curve import Curve, PrunedRun, PruningOptions
from lfp_snn.analysis.study.findings import ALPHA, Findings, concluded, corrected
from lfp_snn.analysis.study.statistics import Paired, SeedMean, mean, paired

__all__ = ["MEASURES", "Difference", "Measure", "PruningFindings"]


@dataclass(frozen=True)
class Measure:
    """A number of a curve, by which learners are compared; more is better.

    Args:
        name: the name in files.
        text: the name in sentences.
        of: a function that gives the number, a share, of a curve.
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
    """A difference: the reference minus another learner, over the seeds of both.

    Attributes:
        other: the name of the other learner.
        criterion: the criterion by which was pruned.
        measure: the measure that is compared.
        paired: the paired difference.
    """

    other: str
    criterion: Criterion
    measure: Measure
    paired: Paired


@dataclass(frozen=True)
class PruningFindings(Findings):
    """The findings on runs that were pruned alike.

    Attributes:
        runs: the results of the runs, in the order in which they were named.
        options: how they were pruned.
        tested: the number of test samples.
    """

    runs: Sequence[PrunedRun]
    options: PruningOptions
    tested: int

    @cached_property
    def learners(self) -> Mapping[str, Sequence[PrunedRun]]:
        """The runs of each learner, lfp first."""
        names = sorted(
            {run.learner for run in self.runs},
            key=lambda name: (name.partition(",")[0] != "lfp", name),
        )
        return {name: [run for run in self.runs if run.learner == name] for name in names}

    @property
    def reference(self) -> str:
        """The learner that the others are held against."""
        return next(iter(self.learners))

    def mean(self, learner: str, criterion: Criterion, of: Callable[[Curve], float]) -> SeedMean:
        """The mean of a number of the curves of a learner, over its seeds."""
        return mean([of(run.curve(criterion)) for run in self.learners[learner]])

    @cached_property
    def differences(self) -> Sequence[Difference]:
        """The differences that are told, corrected together; for two shared seeds or more.

        The curves of random orders are told, but no claim is tested on them.
        """
        found: dict[tuple[str, Criterion, Measure], Paired] = {}
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
                    found[name, criterion, measure] = paired(
                        [measure.of(ours[seed].curve(criterion)) for seed in common],
                        [measure.of(theirs[seed].curve(criterion)) for seed in common],
                    )
        return [Difference(*of, pair) for of, pair in corrected(found).items()]

    @override
    def conclusions(self) -> Iterator[str]:
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

    @override
    def to_json(self) -> dict[str, Any]:
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
