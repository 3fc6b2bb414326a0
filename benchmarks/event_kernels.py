"""Micro benchmark of the event-driven kernels against dense torch kernels, interleaved.

    python -m benchmarks event_kernels [--root NMNIST/Train] [--repeats 20] [--threads 2]

One line per stage of mlp (2312-1000-10, batch 100) and csnn (batch 50) at T=25: median and least
wall time in ms of ours, and of the same products by torch on dense frames (their neurons left out,
to the advantage of torch). Input is real N-MNIST if --root is given, else random, 4 % active.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from benchmarks._arguments import at_least_one
from lfp_snn.backends.events.conv import conv_backward, conv_forward
from lfp_snn.backends.events.geometry import ConvShape
from lfp_snn.backends.events.linear import linear_forward
from lfp_snn.backends.events.linear_backward import linear_backward
from lfp_snn.backends.events.lists import Lists, dense_from_lists, lists_from_dense
from lfp_snn.backends.events.neuron import Neuron
from lfp_snn.backends.events.pool import pooling, windows
from lfp_snn.backends.events.workspace import Workspace, match_threads

STEPS = 25
SIZE = (34, 34)
EPS = 0.1
Stage = tuple[str, Callable[[], object], Callable[[], object] | None]


def recording(path: Path) -> np.ndarray:
    """One N-MNIST file as [T, 2, 34, 34], active or not, in STEPS windows of equal time."""
    x, y, sign, mid, low = np.fromfile(path, np.uint8).reshape(-1, 5).astype(np.int64).T
    when = ((sign & 127) << 16) | (mid << 8) | low
    step = (when - when[0]) * STEPS // (when[-1] - when[0] + 1)
    frames = np.zeros((STEPS, 2, *SIZE), np.float32)
    frames[step, sign >> 7, y, x] = 1
    return frames


def load(root: Path | None, batch: int) -> np.ndarray:
    """A batch [B, T, 2312]."""
    rng = np.random.default_rng(0)
    if root is None:
        return (rng.random((batch, STEPS, 2 * 34 * 34)) < 0.04).astype(np.float32)
    files = rng.permutation(sorted(root.glob("*/*.bin")))[:batch]
    return np.stack([recording(Path(f)) for f in files]).reshape(batch, STEPS, -1)


def weights(*shape: int) -> tuple[np.ndarray, np.ndarray]:
    """A weight and a bias, uniform at twice torch's default scale."""
    rng = np.random.default_rng(shape[0])
    bound = 2 / np.sqrt(np.prod(shape[1:]))
    weight = rng.uniform(-bound, bound, shape).astype(np.float32)
    return weight, rng.uniform(-bound, bound, shape[0]).astype(np.float32)


def neuron() -> Neuron:
    """The constants of neurons with beta 0.9, threshold 1 and reset by subtraction."""
    return Neuron(np.array([0.9], np.float32), np.array([1.0], np.float32))


def dense(lists: Lists, *shape: int) -> torch.Tensor:
    """The lists as a torch tensor of frames."""
    frames = lists.indptr.size - 1
    x = np.empty((frames, 1, int(np.prod(shape))), np.float32)
    return torch.from_numpy(dense_from_lists(lists, x)).reshape(frames, *shape)


def random_like(lists: Lists) -> np.ndarray:
    """A random credit for every entry."""
    return np.random.default_rng(0).standard_normal(lists.indices.size).astype(np.float32)


def linear_stages(name: str, x: Lists, outputs: int, inputs: int, first: bool) -> list[Stage]:
    """The stages forward and backward of a fully connected layer."""
    weight, bias = weights(outputs, inputs)
    work, cells = Workspace(), neuron()
    trace = linear_forward(x, STEPS, weight, bias, cells, work)
    credit, frames = random_like(trace.neurons.out), dense(x, inputs)
    table, n = torch.from_numpy(weight), torch.randn(frames.shape[0], outputs)

    def back() -> object:
        return linear_backward(trace, cells, bias, EPS, work, credit=credit, input_credit=not first)

    def torch_back() -> object:
        return n.T @ frames, None if first else n @ table

    return [
        (f"{name} forward", lambda: linear_forward(x, STEPS, weight, bias, cells, work),
         lambda: frames @ table.T),
        (f"{name} backward", back, torch_back),
    ]  # fmt: skip


def conv_stages(name: str, x: Lists, shape: ConvShape, first: bool) -> tuple[list[Stage], Lists]:
    """The stages forward and backward of a convolution and a 2x2 maximum, and the output."""
    weight, bias = weights(shape.outputs, shape.channels, *shape.kernel)
    work, cells = Workspace(), neuron()
    rows, columns = (windows(n, 2, 2, 0, False) for n in shape.out_size)
    pool = pooling(shape.outputs, shape.out_size, rows, columns, maximum=True)

    def run() -> object:
        return conv_forward(x, STEPS, shape, weight, bias, cells, work, pooling=pool)

    trace = conv_forward(x, STEPS, shape, weight, bias, cells, work, pooling=pool)
    credit, frames = random_like(trace.out), dense(x, shape.channels, *shape.size)
    table = torch.from_numpy(weight)
    n = torch.randn(frames.shape[0], shape.outputs, *shape.out_size)

    def back() -> object:
        return conv_backward(
            trace, weight, bias, cells, EPS, work, credit=credit, input_credit=not first
        )

    def torch_back() -> object:
        return torch.ops.aten.convolution_backward(
            n, frames, table, [shape.outputs], [1, 1], [0, 0], [1, 1], False, [0, 0], 1,
            [not first, True, True],
        )  # fmt: skip

    stages: list[Stage] = [
        (f"{name} forward", run, lambda: F.conv2d(frames, table)),
        (f"{name} backward", back, torch_back),
    ]
    return stages, trace.out


def stages(root: Path | None) -> list[Stage]:
    """All stages of both networks."""
    x = lists_from_dense(load(root, 100), Workspace(), time_major=False)
    mlp = linear_stages("mlp 2312-1000", x, 1000, 2312, True)
    hidden = linear_forward(x, STEPS, *weights(1000, 2312), neuron(), Workspace())
    mlp += linear_stages("mlp 1000-10", hidden.neurons.out, 10, 1000, False)
    x = lists_from_dense(load(root, 50), Workspace(), time_major=False)
    one, out = conv_stages("csnn 2-12", x, ConvShape(2, SIZE, 12, (5, 5)), True)
    two, out = conv_stages("csnn 12-32", out, ConvShape(12, (15, 15), 32, (5, 5)), False)
    return [*mlp, *one, *two, *linear_stages("csnn 800-10", out, 10, 800, False)]


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, help="folder <label>/<id>.bin of N-MNIST recordings")
    parser.add_argument("--repeats", type=at_least_one, default=20)
    parser.add_argument("--threads", type=at_least_one, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    match_threads(options.threads)
    measured = stages(options.root)
    times: dict[str, list[float]] = {}
    for _ in range(options.repeats + 2):
        for name, ours, torchs in measured:
            for label, call in ((f"{name}", ours), (f"{name} torch", torchs)):
                if call is not None:
                    start = time.perf_counter()
                    call()
                    times.setdefault(label, []).append(1e3 * (time.perf_counter() - start))
    print(f"{'stage':24}{'ours':>9}{'least':>9}{'torch':>9}{'least':>9}   ms")
    for name, _, _ in measured:
        values = [np.array(times[label][2:]) for label in (name, f"{name} torch")]
        cells = "".join(f"{np.median(v):9.2f}{v.min():9.2f}" for v in values)
        print(f"{name:24}{cells}")


if __name__ == "__main__":
    main()
