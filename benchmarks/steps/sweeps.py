"""Sweeps of how the cost of a training step grows, with activity, steps, width and batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from benchmarks.steps.contenders import Contender
from benchmarks.steps.problem import Network, Problem, synthetic
from benchmarks.steps.timing import StepTimes, compare

__all__ = ["SWEEPS", "Series", "QuantitySweep", "slope", "sweep"]

# Peers keep every step for the backward pass: 400 steps of 50 maps would take some 10 GB.
STEPS_BATCH = 10


@dataclass(frozen=True)
class QuantitySweep:
    """A sweep of one quantity, on synthetic spikes.

    Args:
        name: the name of the quantity.
        label: the label of its axis.
        values: the values of the quantity, from small to large.
        networks: the names of the networks that it is measured on.
        problem: a function that makes the problem at one value.
    """

    name: str
    label: str
    values: tuple[float, ...]
    networks: tuple[str, ...]
    problem: Callable[[Network, float], Problem]


@dataclass(frozen=True)
class Series:
    """A sweep on one network: what was measured at each value."""

    sweep: QuantitySweep
    network: str
    points: tuple[tuple[float, StepTimes], ...]

    def names(self) -> list[str]:
        """The contenders."""
        return list(self.points[0][1].measured)

    def medians(self, name: str) -> list[float]:
        """The seconds of the median step of a contender at each value."""
        return [comparison.measured[name].median for _, comparison in self.points]

    def values(self) -> list[float]:
        """The values that were measured."""
        return [value for value, _ in self.points]

    def slope(self, name: str) -> float:
        """The exponent of a contender's growth (:func:`slope`)."""
        return slope(self.values(), self.medians(name))

    def record(self) -> dict[str, Any]:
        """The series as JSON takes it."""
        return {
            "sweep": self.sweep.name,
            "network": self.network,
            "slopes": {name: self.slope(name) for name in self.names()},
            "points": [{"value": value, **each.record()} for value, each in self.points],
        }


def slope(x: Sequence[float], y: Sequence[float]) -> float:
    """The exponent k of a power law ``y ~ x**k``, by least squares on the logarithms."""
    return float(np.polyfit(np.log(x), np.log(y), 1)[0])


def sweep(
    which: QuantitySweep,
    network: Network,
    kinds: Sequence[type[Contender]],
    rounds: int,
    values: Sequence[float] | None = None,
) -> Series:
    """Measure at each value in turn, with fresh contenders, so that no buffers are left over.

    Args:
        which: the sweep.
        network: the network that is measured.
        kinds: the contenders.
        rounds: the number of timed steps of each contender.
        values: the values, at least two, if not those of the sweep.
    """
    points = []
    for value in values or which.values:
        contenders = [kind() for kind in kinds]
        points.append((value, compare(which.problem(network, value), contenders, rounds, warmup=1)))
    return Series(which, network.model, tuple(points))


def _activity(network: Network, value: float) -> Problem:
    return synthetic(network, batch=network.batch, density=value, firing=value)


def _steps(network: Network, value: float) -> Problem:
    return synthetic(network, batch=STEPS_BATCH, steps=int(value))


def _width(network: Network, value: float) -> Problem:
    wide = replace(network, options={**network.options, "hidden": [int(value)]})
    return synthetic(wide, batch=network.batch)


def _batch(network: Network, value: float) -> Problem:
    return synthetic(network, batch=int(value))


#: By name. Activity is that of the input and of every population alike.
SWEEPS = {
    each.name: each
    for each in (
        QuantitySweep(
            "activity",
            "active entries in a step (input and neurons)",
            (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
            ("mlp", "csnn"),
            _activity,
        ),
        QuantitySweep("steps", "steps T", (10, 25, 50, 100, 200, 400), ("mlp", "csnn"), _steps),
        QuantitySweep("width", "hidden neurons", (250, 500, 1000, 2000, 4000), ("mlp",), _width),
        QuantitySweep("batch", "batch", (5, 10, 25, 50, 100), ("mlp", "csnn"), _batch),
    )
}
