"""The suite of the whole benchmark: its parts, their order, and their results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

from benchmarks.steps.claims import (
    Claim,
    claim_on_mnist,
    claims_on_peaks,
    claims_on_series,
    claims_on_steps,
)
from benchmarks.steps.contenders import Contender, Ours, OursByDefault, OursOnTorch
from benchmarks.steps.epoch import Epoch, mnist_epoch
from benchmarks.steps.figures import growth
from benchmarks.steps.memory import Peaks, measure_peaks
from benchmarks.steps.peers import LfProp, SnnTorch, SpikingJelly
from benchmarks.steps.problem import NETWORKS, Network, Problem, pose, recorded, synthetic
from benchmarks.steps.sweeps import SWEEPS, Series, sweep
from benchmarks.steps.timing import StepTimes, compare
from lfp_snn.analysis.machine import machine
from lfp_snn.analysis.style import save
from lfp_snn.training.files import write_json

__all__ = ["Outcome", "Results", "Suite"]

#: What a part of the benchmark comes to.
Outcome = StepTimes | Peaks | Series | Epoch

EVERYONE: tuple[type[Contender], ...] = (
    Ours,
    OursByDefault,
    OursOnTorch,
    SnnTorch,
    SpikingJelly,
    LfProp,
)
SWEPT: tuple[type[Contender], ...] = (Ours, OursOnTorch, SnnTorch)
CLAIMED: tuple[type[Contender], ...] = (Ours, OursOnTorch)

STEPS = 25  # T of the training step
MEMORY_BATCH, MEMORY_STEPS = 16, 100
#: Fewer values than a sweep has, for the claims on growth alone.
CLAIM_VALUES = {"activity": (0.005, 0.01, 0.05, 0.2, 0.5), "steps": (10, 50, 200)}

QUICK_NETWORKS = {"mlp": Network("mlp", {"hidden": [16]}, 2), "csnn": Network("csnn", {}, 2)}
QUICK_STEPS = 4
QUICK_VALUES = 2  # of a sweep, the first
QUICK_BATCHES = 3  # of an epoch


@dataclass
class Results:
    """The results that were measured so far."""

    machine: dict[str, Any] = field(default_factory=machine)
    steps: dict[str, StepTimes] = field(default_factory=dict)
    peaks: Peaks | None = None
    series: list[Series] = field(default_factory=list)
    epoch: Epoch | None = None

    def claims(self) -> list[Claim]:
        """The claims that these results bear on."""
        claims = [*claims_on_steps(self.steps)]
        if self.peaks is not None:
            claims += claims_on_peaks(self.peaks)
        claims += claims_on_series(self.series)
        if self.epoch is not None:
            claims.append(claim_on_mnist(self.epoch.seconds))
        return claims

    def record(self) -> dict[str, Any]:
        """The results as JSON takes them."""
        return {
            "machine": self.machine,
            "steps": {network: each.record() for network, each in self.steps.items()},
            "memory": None if self.peaks is None else self.peaks.record(),
            "sweeps": [each.record() for each in self.series],
            "mnist_epoch": None if self.epoch is None else self.epoch.record(),
            "claims": [{**vars(claim), "holds": claim.holds} for claim in self.claims()],
        }

    def write(self, folder: Path) -> None:
        """Write ``bench.json``, and a figure (PNG and SVG) for each sweep.

        Raises:
            RunError: the folder cannot be written to.
        """
        write_json(folder / "bench.json", self.record())
        for (name, _), series in groupby(
            self.series, lambda each: (each.sweep.name, each.values())
        ):
            save(growth([*series]), folder, f"bench-{name}")


class Suite:
    """The suite that runs the parts of the benchmark, and tells of each outcome at once.

    Args:
        root: the folder that holds NMNIST and MNIST.
        rounds: the number of timed steps of each contender.
        quick: whether to use tiny networks and synthetic input, to see that everything runs.
        show: a function that is called with each comparison, peaks, series or epoch.
        doing: a function that is called with a line on what is measured next.
    """

    def __init__(
        self,
        root: Path,
        rounds: int,
        quick: bool,
        show: Callable[[Outcome], None],
        doing: Callable[[str], None],
    ) -> None:
        self.root = root
        self.rounds = 1 if quick else rounds
        self.quick = quick
        self.show = show
        self.doing = doing
        self.networks = QUICK_NETWORKS if quick else NETWORKS
        self.results = Results()

    def step(self) -> None:
        """Measure the training step of every contender, on each network."""
        for name in self.networks:
            self.doing(f"training step, {name}")
            contenders = [kind() for kind in EVERYONE]
            comparison = compare(self.problem(name), contenders, self.rounds)
            self.results.steps[name] = comparison
            self.show(comparison)

    def problem(self, network: str) -> Problem:
        """The problem that the training step is measured on."""
        which = self.networks[network]
        return self._problem(which, which.batch, STEPS)

    def memory(self) -> None:
        """Measure the peak memory of every contender, on the csnn."""
        self.doing("peak memory, csnn")
        problem = self._problem(self.networks["csnn"], MEMORY_BATCH, MEMORY_STEPS)
        self.results.peaks = measure_peaks(problem, EVERYONE)
        self.show(self.results.peaks)

    def sweep(self, name: str) -> None:
        """Measure a sweep, on each of its networks."""
        self._sweep(name, SWEPT, None)

    def claims(self) -> None:
        """Measure what the claims on growth rest on: ours alone, at a few values."""
        for name, values in CLAIM_VALUES.items():
            self._sweep(name, CLAIMED, values)

    def mnist_epoch(self) -> None:
        """Measure an epoch of MNIST."""
        self.doing("MNIST epoch")
        self.results.epoch = mnist_epoch(self.root, QUICK_BATCHES if self.quick else None)
        self.show(self.results.epoch)

    def _sweep(
        self, name: str, kinds: Sequence[type[Contender]], values: Sequence[float] | None
    ) -> None:
        which = SWEEPS[name]
        if self.quick:
            values = which.values[:QUICK_VALUES]
        for network in which.networks:
            self.doing(f"sweep of {name}, {network}")
            series = sweep(which, self.networks[network], kinds, self.rounds, values)
            self.results.series.append(series)
            self.show(series)

    def _problem(self, network: Network, batch: int, steps: int) -> Problem:
        if self.quick:
            return synthetic(network, batch=network.batch, steps=QUICK_STEPS)
        return pose(network, *recorded(self.root, batch, steps))
