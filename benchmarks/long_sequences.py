"""Memory of a training step against T: everything kept, chunks repeated, online, and BPTT.

    python -m benchmarks long_sequences [--steps 25 50 ...] [--chunk 100] [--out figure.png]

The convolutional network on synthetic spikes, each contender in a fresh process (see
benchmarks/steps/memory.py): the peak above weights and input, in MiB, and beside it the input
as it is stored. A contender whose last two points say that the next would take more than --most is
left out from there on. Times are medians of --rounds interleaved steps, where nothing is left out.
"""

import argparse
import os
from dataclasses import replace
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks._arguments import at_least_one
from benchmarks.steps.contenders import Contender, Ours, OursChunked, OursOnline
from benchmarks.steps.memory import measure_peaks
from benchmarks.steps.peers import SnnTorch
from benchmarks.steps.problem import DENSITY, SENSOR, Network, Problem, synthetic
from benchmarks.steps.timing import compare, threads
from lfp_snn.analysis.style import STYLES, WIDTH, new_figure, style
from lfp_snn.spikes import Spikes

BATCH = 8
STEPS = (25, 50, 100, 200, 400, 800, 1600, 3200)
MEBIBYTE = 2**20
CALIBRATION_STEPS = 50  # of the weights, which are the same for every T


def lengthened(problem: Problem, steps: int) -> Problem:
    """A problem with an input of a given number of steps, made piece by piece."""
    draw = torch.Generator().manual_seed(1)
    pieces = [
        torch.rand(min(25, steps - t), BATCH, *SENSOR, generator=draw) < DENSITY
        for t in range(0, steps, 25)
    ]
    return replace(problem, x=Spikes.from_dense(torch.cat(pieces)))


def grown(sizes: list[tuple[int, int]], steps: int) -> float:
    """The peak for a number of steps, by a straight line through the last two points."""
    if len(sizes) < 2:
        return 0
    (t0, a), (t1, b) = sizes[-2:]
    return b + (b - a) / (t1 - t0) * (steps - t1)


def plot(sizes: dict[str, list[tuple[int, int]]], stored: dict[int, int], path: Path) -> None:
    """Draw the peaks over T, both logarithmic."""
    with style():
        figure = new_figure(WIDTH, 3.8)
        axes = figure.subplots()
        lines = {**sizes, "the input as stored": list(stored.items())}
        for (colour, dash), (name, points) in zip(STYLES, lines.items(), strict=False):
            values = [size / MEBIBYTE for _, size in points]
            axes.plot([t for t, _ in points], values, color=colour, linestyle=dash, label=name)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("steps T")
        axes.set_ylabel("peak of a step above weights and input [MiB]")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:g}")
        axes.legend(fontsize=8)
        figure.savefig(path, dpi=90)


def main() -> None:
    """Measure, print and plot."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=at_least_one, nargs="+", default=STEPS)
    parser.add_argument(
        "--chunk", type=at_least_one, help="steps of a chunk (default: by the budget)"
    )
    parser.add_argument("--most", type=float, default=4096, help="MiB that a contender may take")
    parser.add_argument("--rounds", type=at_least_one, default=3)
    parser.add_argument("--out", type=Path, help="where to write the figure")
    options = parser.parse_args()
    if options.chunk is not None:
        os.environ[OursChunked.VARIABLE] = str(options.chunk)
    kinds: tuple[type[Contender], ...] = (Ours, OursChunked, OursOnline, SnnTorch)
    sizes: dict[str, list[tuple[int, int]]] = {kind.name: [] for kind in kinds}
    stored: dict[int, int] = {}
    names = [kind.name for kind in kinds]
    table = Table("T", "input", *names, "chunked / full, time")
    console = Console()
    with threads(2), console.status(""):
        base = synthetic(Network("csnn", {}, BATCH), batch=BATCH, steps=CALIBRATION_STEPS)
        for steps in sorted(options.steps):
            problem = lengthened(base, steps)
            x = problem.x
            stored[steps] = x.indptr.nbytes + x.indices.nbytes
            able = [k for k in kinds if grown(sizes[k.name], steps) <= options.most * MEBIBYTE]
            peaks = measure_peaks(problem, able)
            for name, size in peaks.bytes.items():
                sizes[name].append((steps, size))
            timed = compare(problem, [Ours(), OursChunked()], options.rounds, warmup=1)
            cells = [
                f"{peaks.bytes[name] / MEBIBYTE:.1f}" if name in peaks.bytes else "left out"
                for name in names
            ]
            ratio = f"{timed.ratio(OursChunked.name):.2f}"
            table.add_row(str(steps), f"{stored[steps] / MEBIBYTE:.1f}", *cells, ratio)
            console.print(steps, stored[steps], peaks.bytes, ratio, highlight=False)
    console.print(table)
    if options.out is not None:
        plot(sizes, stored, options.out)


if __name__ == "__main__":
    main()
