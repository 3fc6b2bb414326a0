"""What a training step costs at the size of DVS Gesture, with and without norm, beside snntorch.

    python -m benchmarks gesture_steps [--repeats 9] [--threads 2] [--channels 16] [--ways ...]

Five convolutions of 16 channels with LIF neurons and pools on 128 x 128 pixels, 11 classes, T = 16,
a batch of 4, 2 % of the input active (independent spikes), calibrated to 5 % firing. With norm each
convolution has a batch normalisation in training mode, through whose statistics credit goes. A step
is forward, reward or loss, backward and Adam (learning rate 1e-7, so that firing stays). The ways
take turns; median and least wall time in ms, after two steps that are not counted.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import snntorch as snn
import torch
from snntorch import functional as snn_functional
from torch import nn

from benchmarks._arguments import at_least_one
from benchmarks._tables import PrintedColumn, Table
from lfp_snn import Spikes, TemporalLFP, calibrate
from lfp_snn.data import Batch
from lfp_snn.learners.unrolled import rest
from lfp_snn.rewards import RateCoded
from lfp_snn.rules import Epsilon, Rescale, Rule

STEPS, BATCH, SIDE, CLASSES, ACTIVE = 16, 4, 128, 11, 0.02


def network(channels: int, *, norm: bool) -> nn.Sequential:
    """Five blocks of convolution, norm, neurons and pool, and a linear readout."""
    layers: list[nn.Module] = []
    before = 2
    for _ in range(5):
        layers.append(nn.Conv2d(before, channels, 3, padding=1, bias=not norm))
        layers += [nn.BatchNorm2d(channels)] if norm else []
        layers += [snn.Leaky(beta=0.9, init_hidden=True), nn.MaxPool2d(2)]
        before = channels
    side = SIDE // 2**5
    head = nn.Linear(channels * side * side, CLASSES)
    return nn.Sequential(*layers, nn.Flatten(), head, snn.Leaky(beta=0.9, init_hidden=True))


def ours(net: nn.Module, batch: Batch, rule: Rule) -> Callable[[], None]:
    """A step of LFP on the kernels that the engine picks."""
    lfp = TemporalLFP(net, rule, statistics="through")
    reward = RateCoded().suited(takes_credit=lfp.takes_credit(lfp.rules))
    optimizer = torch.optim.Adam(lfp.parameters(), lr=1e-7, fused=True)

    def step() -> None:
        lfp.backward(reward(lfp.forward(batch.x), batch.labels))
        optimizer.step()

    return step


def bptt(net: nn.Module, batch: Batch) -> Callable[[], None]:
    """A step of snntorch: the module stepped over T, arctan surrogate, cross-entropy of counts."""
    loss = snn_functional.ce_count_loss()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-7, fused=True)
    assert isinstance(batch.x, Spikes)
    x = batch.x.dense()

    def step() -> None:
        rest(net)
        optimizer.zero_grad()
        loss(torch.stack([net(frame) for frame in x]), batch.labels).backward()
        optimizer.step()

    return step


def ways(channels: int) -> dict[str, Callable[[], None]]:
    """What takes turns, each with a network of its own that has the same weights."""
    draw = torch.Generator().manual_seed(0)
    active = torch.rand(STEPS, BATCH, 2, SIDE, SIDE, generator=draw) < ACTIVE
    batch = Batch(Spikes.from_dense(active), torch.arange(BATCH) % CLASSES)
    weights = {}
    for norm in (False, True):
        torch.manual_seed(0)
        net = network(channels, norm=norm)
        calibrate(TemporalLFP(net, Epsilon(0.1)), batch, 0.05, tolerance=0.1)
        weights[norm] = net.state_dict()

    def fresh(*, norm: bool = False) -> nn.Sequential:
        net = network(channels, norm=norm)
        net.load_state_dict(weights[norm])
        return net.train()

    return {
        "epsilon": ours(fresh(), batch, Epsilon(0.1)),
        "rescale": ours(fresh(), batch, Rescale()),
        "snntorch": bptt(fresh(), batch),
        "epsilon, norm": ours(fresh(norm=True), batch, Epsilon(0.1)),
        "rescale, norm": ours(fresh(norm=True), batch, Rescale()),
        "snntorch, norm": bptt(fresh(norm=True), batch),
    }


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=at_least_one, default=9)
    parser.add_argument("--threads", type=at_least_one, default=2)
    parser.add_argument("--channels", type=at_least_one, default=16)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    step_ms = PrintedColumn("step, ms: median (least)", "median", 0)
    table = Table("way", step_ms, PrintedColumn("snntorch's time over it", digits=2))
    steps = ways(args.channels)
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(args.repeats + 2):
        for name, step in steps.items():
            start = time.perf_counter()
            step()
            times[name].append(1e3 * (time.perf_counter() - start))
    for name, measured in times.items():
        peer = "snntorch, norm" if name.endswith("norm") else "snntorch"
        ratio = statistics.median(times[peer][2:]) / statistics.median(measured[2:])
        table.row(name, measured[2:], ratio)


if __name__ == "__main__":
    main()
