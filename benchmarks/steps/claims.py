"""Claims of the project on its speed, checked on what was measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from benchmarks.steps.contenders import OURS, OursOnTorch
from benchmarks.steps.memory import Peaks
from benchmarks.steps.peers import LfProp, SnnTorch, SpikingJelly
from benchmarks.steps.sweeps import Series
from benchmarks.steps.timing import StepTimes

__all__ = ["Claim", "claims_on_peaks", "claims_on_series", "claims_on_steps", "claim_on_mnist"]

#: A step of a peer takes at least so many times as long as ours, by network.
STEP_RATIOS: Mapping[str, Mapping[str, float]] = {
    "mlp": {SnnTorch.name: 5, SpikingJelly.name: 3, LfProp.name: 9},
    "csnn": {SnnTorch.name: 5, SpikingJelly.name: 6},
}
PEAK_RATIO = 5  # snntorch to ours, csnn
SPARSE, DENSE, SPARSE_SHARE = 0.01, 0.2, 1 / 5
MOST_OF_TORCH = 1.1
MOST_SLOPE = 1.05
MNIST_SECONDS = 8


@dataclass(frozen=True)
class Claim:
    """A claim: a figure and its bound.

    Args:
        text: what the figure is.
        figure: the measured figure.
        bound: the bound that it is held against.
        least: whether the figure has to be at least the bound; otherwise at most.
    """

    text: str
    figure: float
    bound: float
    least: bool

    @property
    def holds(self) -> bool:
        """Whether the figure keeps its bound."""
        return self.figure >= self.bound if self.least else self.figure <= self.bound

    def __str__(self) -> str:
        verdict = "pass" if self.holds else "FAIL"
        side = "at least" if self.least else "at most"
        return f"{verdict}  {self.text}: {self.figure:.3g}, {side} {self.bound:.3g}"


def claims_on_steps(comparisons: Mapping[str, StepTimes]) -> Iterator[Claim]:
    """The claims on ratios of the training step, by network."""
    for network, comparison in comparisons.items():
        for name, bound in STEP_RATIOS[network].items():
            if name in comparison.measured:
                text = f"training step, {network}: {name} / {OURS}"
                yield Claim(text, comparison.ratio(name), bound, least=True)


def claims_on_peaks(peaks: Peaks) -> Iterator[Claim]:
    """The claims on the ratio of peak memory."""
    if {SnnTorch.name, OURS} <= peaks.bytes.keys():
        text = f"peak memory of a step: {SnnTorch.name} / {OURS}"
        yield Claim(text, peaks.ratio(SnnTorch.name), PEAK_RATIO, least=True)


def claims_on_series(series: Iterable[Series]) -> Iterator[Claim]:
    """The claims on growth with activity and with T."""
    for each in series:
        if each.sweep.name == "activity":
            yield from _on_activity(each)
        elif each.sweep.name == "steps":
            text = f"slope of a step's time against T, {each.network}, {OURS}"
            yield Claim(text, each.slope(OURS), MOST_SLOPE, least=False)


def _on_activity(series: Series) -> Iterator[Claim]:
    ours = dict(zip(series.values(), series.medians(OURS), strict=True))
    if series.network == "csnn" and {SPARSE, DENSE} <= ours.keys():
        text = f"step at {SPARSE:.0%} activity / at {DENSE:.0%}, csnn, {OURS}"
        yield Claim(text, ours[SPARSE] / ours[DENSE], SPARSE_SHARE, least=False)
    ratios: Sequence[tuple[float, float]] = [
        (comparison.measured[OURS].median / comparison.measured[OursOnTorch.name].median, value)
        for value, comparison in series.points
    ]
    worst, value = max(ratios)
    text = f"{OURS} / {OursOnTorch.name}, {series.network}, worst at {value:.1%} activity"
    yield Claim(text, worst, MOST_OF_TORCH, least=False)


def claim_on_mnist(seconds: float) -> Claim:
    """The claim on the time of an epoch."""
    return Claim("an MNIST epoch, seconds", seconds, MNIST_SECONDS, least=False)
