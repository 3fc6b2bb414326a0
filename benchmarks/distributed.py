"""Steps a second in one process and in two, of one thread each; see docs/scale.md.

    python -m benchmarks distributed [--steps 30] [--processes 1 2] [--out distributed.png]

The same batch of synthetic spikes, whole in one process and shared out over several that gloo joins
on this machine. A step is feedback, clipping and Adam, as the loop of training makes it. Beside the
median time of a step: what of it the first process waited for sums that the credit pass did not
hide, and the bytes of a sum.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks._arguments import at_least_one
from benchmarks.steps.problem import NETWORKS, RULE, synthetic
from lfp_snn.analysis.style import STYLES, WIDTH, new_figure, style
from lfp_snn.data import Batch
from lfp_snn.learners.lfp import LFP
from lfp_snn.rewards import RateCoded
from lfp_snn.training.distributed import BUCKET, Buckets, World, join

WARMUP = 3


class Timed(Buckets):
    """Buckets that note how long the process waited for sums."""

    waited = 0.0

    def collect(self) -> list[Tensor | None]:
        """Wait for the sums, and take the time."""
        start = perf_counter()
        found = super().collect()
        self.waited += perf_counter() - start
        return found


def share(batch: Batch, world: World) -> Batch:
    """The samples of this process."""
    own = torch.arange(len(batch.labels)).tensor_split(world.size)[world.rank].tolist()
    return Batch(batch.x[own[0] : own[-1] + 1], batch.labels[own])


def steps(name: str, world: World, number: int, bucket: int) -> dict[str, float]:
    """Time the steps of a network; every process calls this."""
    problem = synthetic(NETWORKS[name], batch=NETWORKS[name].batch)
    learner = LFP(problem.build(), RULE, RateCoded())
    batch = share(Batch(problem.x, problem.labels), world)
    exchange = Timed(world, bucket)
    if world.size > 1:
        learner.share(exchange)
    feedback = learner.feedback if world.size == 1 else learner.shared_feedback
    parameters = list(learner.parameters())
    optimizer = torch.optim.Adam(parameters, lr=1e-5, fused=True)
    times, waits = [], []
    for _ in range(WARMUP + number):
        before, start = exchange.waited, perf_counter()
        feedback(batch)
        nn.utils.clip_grad_norm_(parameters, 3.0)
        optimizer.step()
        times.append(perf_counter() - start)
        waits.append(exchange.waited - before)
    return {
        "step_s": median(times[WARMUP:]),
        "waited_s": median(waits[WARMUP:]),
        "bytes": float(sum(p.nbytes for p in parameters)),
    }


def worker(given: argparse.Namespace) -> None:
    """Time the steps in a process of torchrun, and write the result."""
    torch.set_num_threads(1)
    world = join("cpu")
    found = {name: steps(name, world, given.steps, given.bucket) for name in NETWORKS}
    if world.first:
        given.record.write_text(json.dumps(found))


def measure(processes: int, given: argparse.Namespace) -> dict[str, Any]:
    """Start a number of processes, and read their results."""
    record = given.out.with_suffix(f".{processes}.json")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={processes}", __file__, "--worker", "--record", str(record)]
    command += ["--steps", str(given.steps), "--bucket", str(given.bucket)]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    found: dict[str, Any] = json.loads(record.read_text())
    record.unlink()
    return found


def plot(found: dict[int, dict[str, Any]], path: Path) -> None:
    """Draw the steps a second over the processes, and the time of waiting."""
    with style():
        figure = new_figure(WIDTH, 3.0)
        left, right = figure.subplots(1, 2)
        sizes = sorted(found)
        for (colour, _), name in zip(STYLES, NETWORKS, strict=False):
            rates = [1 / found[size][name]["step_s"] for size in sizes]
            left.plot(sizes, rates, "o-", color=colour, label=name)
            ideal = [rates[0] * size / sizes[0] for size in sizes]
            left.plot(sizes, ideal, ":", color=colour)
            waits = [100 * found[s][name]["waited_s"] / found[s][name]["step_s"] for s in sizes]
            right.plot(sizes, waits, "o-", color=colour, label=name)
        left.set(xlabel="processes", ylabel="steps a second (dots: ideal)", xticks=sizes, ylim=0)
        right.set(xlabel="processes", ylabel="% of a step waited for sums", xticks=sizes, ylim=0)
        left.legend()
        figure.savefig(path, dpi=90)


def main() -> None:
    """Measure, print a table and draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=at_least_one, nargs="+", default=[1, 2])
    parser.add_argument("--steps", type=at_least_one, default=30)
    parser.add_argument(
        "--bucket", type=at_least_one, default=BUCKET, help="bytes of sums in a message"
    )
    parser.add_argument("--out", type=Path, default=Path("distributed.png"))
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--record", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.worker:
        worker(given)
        return
    before = os.getloadavg()[0]
    found = {processes: measure(processes, given) for processes in given.processes}
    print(f"load {before:.1f} to {os.getloadavg()[0]:.1f}, {given.steps} steps, one thread each")
    for name in NETWORKS:
        for processes, networks in found.items():
            each, alone = networks[name], found[given.processes[0]][name]
            print(
                f"{name:5s} {processes} processes: {1e3 * each['step_s']:6.1f} ms a step, "
                f"{alone['step_s'] / each['step_s']:.2f} times {given.processes[0]}; waited "
                f"{1e3 * each['waited_s']:.1f} ms for sums of {each['bytes'] / 1e6:.2f} MB"
            )
    plot(found, given.out)


if __name__ == "__main__":
    main()
