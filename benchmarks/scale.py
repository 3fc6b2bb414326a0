"""The cost of a training step as a function of spikes, T, width and devices; see docs/scale.md.

    python -m benchmarks scale [--threads 1] [--rounds 3] [--no-memory] [--out scale.png]

Measures a step (forward, backward, Adam) of the MLP and of the convolutional network on synthetic
spikes over a grid of widths, T, batches and activities, and fits

    seconds = fixed + neuron * (neurons T B) + synapse * (synaptic events) + weight * weights

with coefficients of 0 or more that make the relative errors smallest (neuron and synapse for each
kind of network). A quarter of the grid, and the largest of each kind, is left out of the fit: the
error on these is that of the model. Peak memory, of fresh processes, is fitted in the same way with
neuron steps, spikes and weights. Both are then extrapolated to event streams as large as ImageNet.
"""

import argparse
import json
import os
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from statistics import median
from time import perf_counter, process_time

import numpy as np
import numpy.typing as npt
import torch
from scipy.optimize import nnls

from benchmarks._arguments import at_least_one
from benchmarks.steps.contenders import Ours
from benchmarks.steps.memory import measure_peaks
from benchmarks.steps.problem import RULE, Network, NetworkProblem, synthetic
from benchmarks.steps.timing import threads
from lfp_snn.analysis.measures import work
from lfp_snn.analysis.style import STYLES, WIDTH, new_figure, style
from lfp_snn.data import Batch
from lfp_snn.learners.lfp import LFP
from lfp_snn.rewards import RateCoded

KINDS = ("mlp", "csnn")
Matrix = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Point:
    """A problem, what it consists of, and what it took."""

    kind: str
    neuron_steps: float
    synaptic_events: float  # pairs of an active input and a weight, forwards
    spikes: float  # of input and neurons
    weights: float
    seconds: float
    held_out: bool
    peak: float | None = None

    def time_row(self) -> list[float]:
        """The quantities that the model of time is linear in."""
        own = [float(self.kind == kind) for kind in KINDS]
        neurons = [share * self.neuron_steps for share in own]
        events = [share * self.synaptic_events for share in own]
        return [1.0, self.weights, *neurons, *events]

    def memory_row(self) -> list[float]:
        """The quantities that the model of memory is linear in."""
        return [self.neuron_steps, self.spikes, self.weights]


def problems() -> list[tuple[NetworkProblem, bool]]:
    """The grid of problems, and the ones that are left out of the fit."""
    mlps = [
        (Network("mlp", {"hidden": [width]}, batch), steps, density, 0.05)
        for width, steps, batch, density in product(
            (128, 512, 1500), (10, 30), (16, 64), (0.01, 0.06)
        )
    ]
    convs = [
        (Network("csnn", {}, batch), steps, density, firing)
        for steps, batch, density, firing in product((8, 24), (8, 24), (0.02, 0.08), (0.03, 0.1))
    ]
    found = []
    for grid in (mlps, convs):
        shuffled = np.random.default_rng(0).permutation(len(grid) - 1)
        held = {*shuffled[: len(grid) // 4].tolist(), len(grid) - 1}
        for n, (network, steps, density, firing) in enumerate(grid):
            problem = synthetic(
                network, batch=network.batch, steps=steps, density=density, firing=firing
            )
            found.append((problem, n in held))
    return found


def measure(problem: NetworkProblem, held_out: bool, rounds: int, memory: bool) -> Point:
    """Take the time of a step, count what it consists of, and measure its memory if asked to."""
    ours = Ours()
    ours.prepare(problem)
    # Of one thread, CPU time is what a step takes where nothing else runs.
    clock = process_time if torch.get_num_threads() == 1 else perf_counter
    ours.step()
    times = []
    for _ in range(rounds):
        start = clock()
        ours.step()
        times.append(clock() - start)
    net = problem.build()
    part = Batch(problem.x[:8], problem.labels[:8])
    done = work(LFP(net, RULE, RateCoded()), part)
    ours.lfp.forward(problem.x[:1], record=False)
    units = sum(state[0].numel() for state in ours.lfp.state.values())
    batch = problem.x.batch
    peak = measure_peaks(problem, [Ours]).bytes.get(Ours.name) if memory else None
    return Point(
        problem.network.model,
        units * problem.x.steps * batch,
        done["synaptic_operations"] * batch,
        problem.x.nnz + done["spikes"] * batch,
        sum(p.numel() for p in net.parameters()),
        median(times),
        held_out,
        peak,
    )


def fit(rows: Matrix, values: Matrix) -> Matrix:
    """The coefficients of 0 or more with the smallest sum of squared relative errors."""
    scale = rows.max(0)
    found, _ = nnls(rows / scale / values[:, None], np.ones(len(values)))
    return np.asarray(found / scale)


def errors(rows: Matrix, values: Matrix, coefficients: Matrix) -> Matrix:
    """The relative errors of the model."""
    return np.asarray(rows @ coefficients / values - 1)


def told(name: str, found: Matrix) -> None:
    """Print the errors of a set of points."""
    size = np.abs(found)
    print(
        f"  {name}: median {np.median(size):.0%}, largest {size.max():.0%}, of {len(found)} points"
    )


@dataclass(frozen=True)
class Work:
    """A data set and a network, as published; for one sample."""

    name: str
    samples: float
    steps: int
    neurons: float
    dense_operations: float  # of a step
    active: float  # share of inputs and neurons that spike in a step
    weights: float


#: ResNet-18: 1.8e9 multiplications a picture of 224 x 224, 2.2e6 outputs of convolutions, 11.7e6
#: weights. The activity is an assumption.
WORK = (
    Work("ES-ImageNet, 224 x 224, T=8", 1.28e6, 8, 2.2e6, 1.8e9, 0.05, 11.7e6),
    Work("N-ImageNet, 640 x 480, T=10", 1.28e6, 10, 2.2e6 * 6.1, 1.8e9 * 6.1, 0.05, 11.7e6),
)


def extrapolate(time: Matrix, memory: Matrix | None, batch: int, bandwidth: float) -> None:
    """Print what an epoch of training would take on 1 to 64 devices with the batch shared out."""
    conv = KINDS.index("csnn")
    fixed, weight = time[:2]
    neuron, synapse = time[2 + conv], time[2 + len(KINDS) + conv]
    for task in WORK:
        neuron_steps = task.neurons * task.steps
        events = task.dense_operations * task.steps * task.active
        sample = neuron * neuron_steps + synapse * events
        print(f"\n{task.name}: {sample:.3g} s a sample, of which {synapse * events / sample:.0%} "
              f"synaptic events ({events:.2g}) and {neuron * neuron_steps / sample:.0%} neurons "
              f"({neuron_steps:.2g})")  # fmt: skip
        if memory is not None:
            kept = memory[0] * neuron_steps + memory[1] * neuron_steps * task.active
            held = memory[2] * task.weights
            print(f"  memory: {kept / 2**30:.2g} GiB a sample, {held / 2**30:.2g} GiB for weights")
        print("  devices  samples each  step s  of it sum s  epoch h  efficiency")
        alone = None
        for devices in (1, 2, 4, 8, 16, 32, 64):
            sums = 2 * (devices - 1) / devices * 4 * task.weights / bandwidth
            computed = fixed + weight * task.weights + sample * batch / devices
            # The sum overlaps the way back, which is about half of a step.
            step = max(computed, computed / 2 + sums)
            alone = alone or step
            hours = step * task.samples / batch / 3600
            cells = f"  {devices:7d}  {batch / devices:12.0f}  {step:6.3g}  {sums:11.3g}"
            print(f"{cells}  {hours:7.3g}  {alone / step / devices:10.0%}")


def plot(points: list[Point], time: Matrix, path: Path) -> None:
    """Draw predicted over measured values, and what a step consists of."""
    from matplotlib.ticker import LogLocator

    with style():
        figure = new_figure(WIDTH, 3.4)
        left, right = figure.subplots(1, 2)
        for (colour, _), kind in zip(STYLES, KINDS, strict=False):
            for held, marker in ((False, "o"), (True, "x")):
                own = [p for p in points if p.kind == kind and p.held_out == held]
                measured = [1e3 * p.seconds for p in own]
                guessed = [1e3 * float(np.dot(p.time_row(), time)) for p in own]
                label = f"{kind}, {'held out' if held else 'fitted'}"
                left.plot(measured, guessed, marker, color=colour, label=label, fillstyle="none")
        ends = [1e3 * min(p.seconds for p in points), 1e3 * max(p.seconds for p in points)]
        left.plot(ends, ends, "-", color="0.6", lw=0.8)
        left.set(
            xscale="log", yscale="log", xlabel="measured, ms a step", ylabel="model, ms a step"
        )
        for axis in (left.xaxis, left.yaxis):
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter("{x:g}")
            axis.set_minor_formatter("")
        left.legend(loc="upper left", fontsize="small")
        last = [next(p for p in reversed(points) if p.kind == kind) for kind in KINDS]
        bottom = np.zeros(len(KINDS))
        parts = {"fixed": [0], "weights": [1], "neurons": [2, 3], "synaptic events": [4, 5]}
        for (colour, _), (name, columns) in zip(STYLES, parts.items(), strict=False):
            shares = [sum(p.time_row()[c] * time[c] for c in columns) * 1e3 for p in last]
            right.bar(KINDS, shares, 0.5, bottom=bottom, label=name, color=colour)
            bottom += shares
        right.set(ylabel="ms a step, largest of the grid")
        right.set_xlim(-0.5, 2.9)
        right.legend(loc="center right", fontsize="small")
        figure.savefig(path, dpi=90)


def main() -> None:
    """Measure, fit and print the results."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=at_least_one, default=1)
    parser.add_argument("--rounds", type=at_least_one, default=3)
    parser.add_argument("--memory", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument(
        "--batch", type=at_least_one, default=256, help="samples in a step, extrapolated"
    )
    parser.add_argument("--bandwidth", type=float, default=1.25e9, help="bytes a second")
    parser.add_argument("--out", type=Path, default=Path("scale.png"))
    given = parser.parse_args()
    before = os.getloadavg()[0]
    with threads(given.threads):
        points = []
        for n, (problem, held_out) in enumerate(problems()):
            point = measure(problem, held_out, given.rounds, given.memory and n % 8 == 7)
            points.append(point)
    load = f"load {before:.1f} to {os.getloadavg()[0]:.1f}"
    print(f"{len(points)} points, {given.threads} threads, {load}")
    given.out.with_suffix(".json").write_text(json.dumps([vars(p) for p in points], indent=1))
    rows = np.array([p.time_row() for p in points])
    seconds = np.array([p.seconds for p in points])
    held = np.array([p.held_out for p in points])
    time = fit(rows[~held], seconds[~held])
    names = ["fixed", "weight", *(f"neuron {k}" for k in KINDS), *(f"synapse {k}" for k in KINDS)]
    print(
        "time:",
        ", ".join(f"{name} {value * 1e9:.3g} ns" for name, value in zip(names, time, strict=True)),
    )
    told("fitted", errors(rows[~held], seconds[~held], time))
    told("held out", errors(rows[held], seconds[held], time))
    memory = None
    weighed = [p for p in points if p.peak]
    if weighed:
        rows = np.array([p.memory_row() for p in weighed])
        peaks = np.array([float(p.peak or 0) for p in weighed])
        memory = fit(rows, peaks)
        names = ["neuron step", "spike", "weight"]
        print(
            "memory:", ", ".join(f"{n} {v:.3g} bytes" for n, v in zip(names, memory, strict=True))
        )
        told("fitted", errors(rows, peaks, memory))
    extrapolate(time, memory, given.batch, given.bandwidth)
    plot(points, time, given.out)


if __name__ == "__main__":
    main()
