"""The findings of a convergence study, as tables and in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from lfp_snn.analysis.convergence.study import ConvergenceStudy
from lfp_snn.analysis.study.findings import ALPHA, Findings, corrected, failure_lines
from lfp_snn.analysis.study.report import csv_text
from lfp_snn.analysis.study.session import Ended
from lfp_snn.analysis.study.statistics import Paired, SeedMean, mean, paired

__all__ = ["CaseResult", "ConvergenceFindings", "gather", "known_mean"]

FLOAT = npt.NDArray[np.float64]

#: Share of the comparisons, the last ones, over which "at the end" is averaged: single batches
#: scatter. The start is the first batch alone, since weights change quickly from there.
END = 0.25


@dataclass(frozen=True)
class CaseResult:
    """The finished seeds of a rule at a depth.

    Attributes:
        rule: the name of the rule in the config.
        depth: the name of the depth in the config.
        measured: the measurements on each finished seed.
        failed: the reasons why seeds failed.
    """

    rule: str
    depth: str
    measured: Sequence[Mapping[str, Any]]
    failed: Mapping[str, str]

    @property
    def layers(self) -> list[str]:
        """The names of the synaptic weights, from the input to the output."""
        return list(self.measured[0]["layers"]) if self.measured else []

    @property
    def probed(self) -> list[int]:
        """The steps at which updates were compared."""
        return list(self.measured[0]["probed"])

    @property
    def test(self) -> SeedMean:
        """The test accuracy over the seeds."""
        return mean([each["test_accuracy"] for each in self.measured])

    @cached_property
    def rewards(self) -> FLOAT:
        """The reward of every step, ``[seeds, steps]``."""
        return np.array([each["rewards"] for each in self.measured], np.float64)

    @cached_property
    def cosines(self) -> FLOAT:
        """The cosines ``[seeds, comparisons, layers]``; NaN where a layer had no update."""
        return np.array([each["cosines"] for each in self.measured], np.float64)

    @property
    def start(self) -> FLOAT:
        """The cosines of the first batch, ``[seeds, layers]``."""
        return np.asarray(self.cosines[:, 0])

    @property
    def end(self) -> FLOAT:
        """The cosines at the end, ``[seeds, layers]``."""
        last = max(1, round(END * self.cosines.shape[1]))
        return known_mean(self.cosines[:, -last:], axis=1)

    def fall(self) -> Paired | None:
        """The cosine of the output layer minus that of the first layer, at the end, over the seeds.

        It is ``None`` if there are fewer than two seeds or two layers, or a layer had no update.
        """
        end = self.end if self.measured else np.empty((0, 0))
        if end.shape[0] < 2 or end.shape[1] < 2 or np.isnan(end[:, [0, -1]]).any():
            return None
        return paired(end[:, -1].tolist(), end[:, 0].tolist())


def known_mean(values: FLOAT, axis: int) -> FLOAT:
    """The mean of the values that are not NaN; NaN where there are none."""
    known = ~np.isnan(values)
    total = np.where(known, values, 0.0).sum(axis)
    counted = known.sum(axis)
    return np.where(counted > 0, total / np.maximum(counted, 1), np.nan)


@dataclass(frozen=True)
class ConvergenceFindings(Findings):
    """The findings on how rules converge at several depths.

    Attributes:
        cases: the results of the cases, depth by depth.
        against: the name of the learner with which updates were compared.
        machine: the machine that it ran on, and how.
        data: the name, source and sizes of the data.
    """

    cases: Sequence[CaseResult]
    against: str
    machine: Mapping[str, Any]
    data: Mapping[str, Any]

    @property
    def finished(self) -> Sequence[CaseResult]:
        """The cases of which a seed has finished."""
        return [case for case in self.cases if case.measured]

    @property
    def rules(self) -> list[str]:
        """Names, in the order of the config."""
        return list(dict.fromkeys(case.rule for case in self.finished))

    @property
    def depths(self) -> list[str]:
        """Names, in the order of the config."""
        return list(dict.fromkeys(case.depth for case in self.finished))

    def case(self, rule: str, depth: str) -> CaseResult | None:
        """A case by its names; ``None`` if no seed of it has finished."""
        return next((c for c in self.finished if (c.rule, c.depth) == (rule, depth)), None)

    @cached_property
    def falls(self) -> Mapping[tuple[str, str], Paired]:
        """The fall of the cosine from the output to the first layer, by rule and depth.

        The p values are corrected for all of them together.
        """
        found = {(c.rule, c.depth): fall for c in self.finished if (fall := c.fall()) is not None}
        return corrected(found)

    @property
    @override
    def failures(self) -> Sequence[str]:
        return failure_lines({f"{case.rule}, {case.depth}": case.failed for case in self.cases})

    @override
    def conclusions(self) -> Iterator[str]:
        for case in self.finished:
            fall = self.falls.get((case.rule, case.depth))
            if fall is None:
                yield (
                    f"{case.rule}, {case.depth}: nothing can be said of depth; it takes two seeds "
                    f"and an update of the first and the last of two or more layers."
                )
            else:
                yield self._of_depth(case, fall)
        yield (
            "Cosines are those of single batches, before clipping and the optimizer. A cosine says "
            "how alike two directions are, not which of them learns better; nothing is said of "
            "other networks or data."
        )

    def _of_depth(self, case: CaseResult, fall: Paired) -> str:
        first, last = case.end[:, 0].mean(), case.end[:, -1].mean()
        shown = fall.adjusted < ALPHA
        verdict = "no fall or rise with depth is shown"
        if shown:
            verdict = f"it {'falls' if fall.difference > 0 else 'rises'} towards the input"
        return (
            f"{case.rule}, {case.depth}: at the end the cosine with {self.against} is {last:.2f} "
            f"at the output and {first:.2f} at the first layer (difference {fall.difference:+.2f}, "
            f"95 % interval {fall.low:+.2f} to {fall.high:+.2f}, of {fall.seeds} seeds; "
            f"p = {fall.adjusted:.2g} after Holm's correction): {verdict}."
        )

    @override
    def to_json(self) -> dict[str, Any]:
        return {
            "against": self.against,
            "machine": dict(self.machine),
            "data": dict(self.data),
            "cases": [
                {
                    "rule": case.rule,
                    "depth": case.depth,
                    "seeds": [each["seed"] for each in case.measured],
                    "layers": case.layers,
                    "test_accuracy": asdict(case.test) if case.measured else None,
                    "start": _plain(case.start) if case.measured else None,
                    "end": _plain(case.end) if case.measured else None,
                    "failed": dict(case.failed),
                }
                for case in self.cases
            ],
            "falls": [
                {"rule": rule, "depth": depth, **asdict(fall)}
                for (rule, depth), fall in self.falls.items()
            ],
            "conclusions": list(self.conclusions()),
        }

    def steps_csv(self) -> str:
        """A CSV with a line for each step of every seed."""
        return csv_text(
            ["rule", "depth", "seed", "step", "reward"],
            (
                [case.rule, case.depth, each["seed"], step, f"{reward:.6g}"]
                for case in self.finished
                for each in case.measured
                for step, reward in enumerate(each["rewards"])
            ),
        )

    def alignment_csv(self) -> str:
        """A CSV with a line for each layer and comparison; ``from_output`` is 0 at the output."""
        return csv_text(
            ["rule", "depth", "seed", "step", "layer", "from_output", "cosine"],
            (
                [
                    *(case.rule, case.depth, each["seed"], step, layer),
                    len(case.layers) - 1 - place,
                    "" if value is None else f"{value:.6g}",
                ]
                for case in self.finished
                for each in case.measured
                for step, values in zip(each["probed"], each["cosines"], strict=True)
                for place, (layer, value) in enumerate(zip(case.layers, values, strict=True))
            ),
        )


def gather(study: ConvergenceStudy, ended: Ended) -> ConvergenceFindings:
    """Read back what was noted of every rule at every depth."""
    cases = [
        CaseResult(
            case.rule,
            case.depth,
            [run.measured() for run in ended.finished(case.arm.name)],
            ended.states[case.arm.name].failed,
        )
        for case in study.cases
    ]
    return ConvergenceFindings(cases, study.options.against.name, ended.machine, ended.data)


def _plain(values: FLOAT) -> list[list[float | None]]:
    return [[None if np.isnan(v) else round(float(v), 6) for v in row] for row in values]
