"""Means, intervals and paired differences of a few seeds.

Five seeds are too few for tests on ranks (the smallest two-sided p of a signed-rank test on five
pairs is 0.0625), so differences are taken pair by pair, seed by seed, and tested with Student's t.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

__all__ = ["SeedMean", "Paired", "holm", "mean", "paired"]

LEVEL = 0.95
#: What rounding makes of a difference of float64, as a share of the values; generously.
ROUNDING = 1e-14


@dataclass(frozen=True)
class SeedMean:
    """A mean over seeds with its 95 % interval.

    Attributes:
        value: the mean.
        low: the lower end of its 95 % interval; the mean itself with a single seed.
        high: the upper end of that interval.
        spread: the standard deviation of the seeds; 0 with a single one.
        seeds: the number of seeds.
    """

    value: float
    low: float
    high: float
    spread: float
    seeds: int


@dataclass(frozen=True)
class Paired:
    """A paired difference, taken seed by seed.

    Attributes:
        difference: the mean difference.
        low: the lower end of its 95 % interval.
        high: the upper end of that interval.
        p: the p value of a paired t-test, two-sided; 1 if all differences are zero.
        effect: Cohen's d of paired samples, mean over standard deviation of the differences;
            ``None`` where they do not vary.
        seeds: the number of pairs.
        adjusted: ``p`` corrected by Holm's method for the comparisons made together.
    """

    difference: float
    low: float
    high: float
    p: float
    effect: float | None
    seeds: int
    adjusted: float


def mean(values: Sequence[float]) -> SeedMean:
    """The mean of values and its 95 % interval, by Student's t.

    Raises:
        ValueError: there are no values.
    """
    if not values:
        raise ValueError("a mean of no values")
    sample = np.asarray(values, np.float64)
    center, size = float(sample.mean()), len(sample)
    if size == 1 or np.ptp(sample) == 0:
        return SeedMean(center, center, center, 0.0, size)
    spread = float(sample.std(ddof=1))
    low, high = stats.t.interval(LEVEL, size - 1, loc=center, scale=spread / size**0.5)
    return SeedMean(center, float(low), float(high), spread, size)


def paired(one: Sequence[float], other: Sequence[float]) -> Paired:
    """The paired difference ``one - other``; ``adjusted`` is ``p`` until :func:`holm` corrects it.

    Raises:
        ValueError: there are fewer than two pairs, or the two have different lengths.
    """
    if len(one) != len(other) or len(one) < 2:
        raise ValueError(f"paired differences of {len(one)} and {len(other)} values")
    pairs = np.asarray([one, other], np.float64)
    differences = pairs[0] - pairs[1]
    # Equal differences of decimal numbers, such as 0.9 - 0.8 and 0.8 - 0.7, differ by rounding.
    rounding = ROUNDING * np.abs(pairs).max()
    differences[np.abs(differences) <= rounding] = 0
    if np.ptp(differences) <= rounding:
        differences[:] = differences[0]
    around = mean(differences.tolist())
    if np.ptp(differences) == 0:
        p, effect = (1.0 if around.value == 0 else 0.0), None
    else:
        p = float(stats.ttest_rel(one, other).pvalue)
        effect = around.value / around.spread
    return Paired(around.value, around.low, around.high, p, effect, len(one), p)


def holm(values: Sequence[float]) -> list[float]:
    """The p values corrected for being several, by Holm's step-down method; in the given order.

    The k-th smallest of m is multiplied by m - k + 1, none may fall below a smaller one's, and none
    exceeds 1.

    Source: Holm, *A Simple Sequentially Rejective Multiple Test Procedure*, Scandinavian Journal of
    Statistics 1979.
    """
    order = np.argsort(values, kind="stable")
    adjusted, floor = [0.0] * len(values), 0.0
    for rank, place in enumerate(order):
        floor = max(floor, min(1.0, (len(values) - rank) * values[place]))
        adjusted[place] = floor
    return adjusted
