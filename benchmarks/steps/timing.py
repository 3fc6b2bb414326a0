"""Interleaved timing of contenders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from statistics import median
from time import perf_counter
from typing import Any

import torch

from benchmarks.steps.contenders import OURS, Contender
from benchmarks.steps.problem import Problem
from lfp_snn.analysis.machine import mean_load

__all__ = ["StepTimes", "Measured", "compare", "threads"]


@dataclass(frozen=True)
class Measured:
    """The measured steps of one contender.

    Args:
        seconds: the seconds of each timed step.
        firing: the spikes per neuron and step of each population.
    """

    seconds: tuple[float, ...]
    firing: tuple[float, ...]

    @property
    def median(self) -> float:
        """The seconds of the step in the middle."""
        return median(self.seconds)


@dataclass(frozen=True)
class StepTimes:
    """The times of all contenders on one problem.

    Args:
        facts: the facts about what was measured on.
        measured: the measured steps by the name of the contender.
        left_out: the reason why a contender was not measured, by its name.
        rounds: the number of steps of each that were timed.
        warmup: the number of steps of each that were not counted.
        load: the mean load of the machine over a minute, before and after.
    """

    facts: dict[str, Any]
    measured: dict[str, Measured]
    left_out: dict[str, str]
    rounds: int
    warmup: int
    load: tuple[float, float]

    def ratio(self, name: str, to: str = OURS) -> float:
        """The median step of a contender relative to the median step of ``to``."""
        return self.measured[name].median / self.measured[to].median

    def record(self) -> dict[str, Any]:
        """The times with their medians, as JSON takes them."""
        steps = {
            name: {"median": each.median, **asdict(each)} for name, each in self.measured.items()
        }
        return {
            **self.facts,
            "rounds": self.rounds,
            "warmup": self.warmup,
            "load": self.load,
            "seconds": steps,
            "left_out": self.left_out,
        }


def compare(
    problem: Problem, contenders: Sequence[Contender], rounds: int, warmup: int = 2
) -> StepTimes:
    """Time the training step of each contender, one step of each in turn.

    Args:
        problem: the problem that all contenders get.
        contenders: the contenders; those who are not available are left out.
        rounds: the number of timed steps of each.
        warmup: the number of steps of each before that.
    """
    reasons = {each.name: each.available() for each in contenders}
    left_out = {name: reason for name, reason in reasons.items() if reason is not None}
    running = [each for each in contenders if each.name not in left_out]
    for each in running:
        each.prepare(problem)
    before = mean_load()
    seconds: dict[str, list[float]] = {each.name: [] for each in running}
    for turn in range(warmup + rounds):
        for each in running:
            start = perf_counter()
            each.step()
            elapsed = perf_counter() - start
            if turn >= warmup:
                seconds[each.name].append(elapsed)
    load = before, mean_load()
    measured = {each.name: Measured(tuple(seconds[each.name]), each.firing()) for each in running}
    return StepTimes(problem.facts(), measured, left_out, rounds, warmup, load)


@contextmanager
def threads(number: int) -> Iterator[None]:
    """Let torch, and the kernels that follow it, use a number of threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)
