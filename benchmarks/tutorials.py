"""The networks of snntorch's tutorials 3, 5, 6 and 7 on digits, by LFP and by their own loop.

    python -m benchmarks tutorials [--seeds 3] [--only 5] [--peaks 0.001 0.003 0.01]

Each network is written in the style of its tutorial, narrowed to the digits of scikit-learn (3, 5
and 6) or to the same digits seen by a simulated event camera (7). LFP trains it through
:func:`lfp_snn.fit` with the default rule and start; the surrogate trains it by the tutorial's own
loop and loss (3 has none: it gets that of 5) from PyTorch's start. Both take as many steps of Adam
on equal batches under one cycle of the learning rate, whose peak is chosen for each, where there
are several, by the validation accuracy of the first seed, and keep the weights of the epoch that
validates best.
"""

from __future__ import annotations

import argparse
import math
import statistics
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import snntorch as snn
import torch
from snntorch import functional as SF
from snntorch import spikegen, surrogate, utils
from torch import Tensor, nn
from torch.optim.lr_scheduler import OneCycleLR

import lfp_snn
from benchmarks._arguments import at_least_one
from benchmarks._tables import PrintedColumn, Table
from lfp_snn.data import load

PEAKS = (1e-3, 3e-3, 1e-2)
BATCH = 50
Part = tuple[Tensor, Tensor]
Record = tuple[Tensor, Tensor]  # spikes and membranes, [T, B, C]


class Net3(nn.Module):
    """Tutorial 3: two layers that are given spikes."""

    def __init__(self, beta: float = 0.99) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(64, 128), snn.Leaky(beta=beta)
        self.fc2, self.lif2 = nn.Linear(128, 10), snn.Leaky(beta=beta)

    def forward(self, spk_in: Tensor) -> Record:
        """All steps of spikes ``[T, B, 64]``."""
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spk2_rec, mem2_rec = [], []
        for step in range(spk_in.size(0)):
            spk1, mem1 = self.lif1(self.fc1(spk_in[step]), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spk2_rec.append(spk2)
            mem2_rec.append(mem2)
        return torch.stack(spk2_rec), torch.stack(mem2_rec)


class Net5(Net3):
    """Tutorial 5: two layers that are given pixels as a constant."""

    def __init__(self, steps: int = 25) -> None:
        super().__init__(beta=0.95)
        self.steps = steps

    def forward(self, x: Tensor) -> Record:
        """All steps of pixels ``[B, 64]``."""
        mem1, mem2 = self.lif1.init_leaky(), self.lif2.init_leaky()
        spk2_rec, mem2_rec = [], []
        for _step in range(self.steps):
            spk1, mem1 = self.lif1(self.fc1(x), mem1)
            spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
            spk2_rec.append(spk2)
            mem2_rec.append(mem2)
        return torch.stack(spk2_rec), torch.stack(mem2_rec)


def net6() -> nn.Module:
    """Tutorial 6: a convolutional network that is given pixels as a constant."""
    own = {"beta": 0.5, "spike_grad": surrogate.fast_sigmoid(slope=25), "init_hidden": True}
    return nn.Sequential(
        nn.Conv2d(1, 12, 3, padding=1),
        nn.MaxPool2d(2),
        snn.Leaky(**own),
        nn.Conv2d(12, 64, 3, padding=1),
        nn.MaxPool2d(2),
        snn.Leaky(**own),
        nn.Flatten(),
        nn.Linear(64 * 2 * 2, 10),
        snn.Leaky(**own, output=True),
    )


def net7() -> nn.Module:
    """Tutorial 7: a convolutional network that is given events of 34 x 34 pixels."""
    own = {"beta": 0.5, "spike_grad": surrogate.atan(), "init_hidden": True}
    return nn.Sequential(
        nn.Conv2d(2, 12, 5),
        nn.MaxPool2d(2),
        snn.Leaky(**own),
        nn.Conv2d(12, 32, 5),
        nn.MaxPool2d(2),
        snn.Leaky(**own),
        nn.Flatten(),
        nn.Linear(32 * 5 * 5, 10),
        snn.Leaky(**own, output=True),
    )


def own_forward(net: nn.Module, x: Tensor) -> Record:
    """A forward that loops over time itself."""
    record: Record = net(x)
    return record


def forward_pass(net: nn.Module, frames: Iterable[Tensor]) -> Record:
    """The loop of tutorials 6 and 7, around a network of one step."""
    utils.reset(net)
    steps = [net(frame) for frame in frames]
    return torch.stack([spk for spk, _ in steps]), torch.stack([mem for _, mem in steps])


def loss_at_each_step(record: Record, targets: Tensor) -> Tensor:
    """The loss of tutorial 5: cross-entropy of the membranes, summed over the steps."""
    return sum(
        (nn.functional.cross_entropy(mem, targets) for mem in record[1]), start=torch.zeros(1)
    )


def of_spikes(loss: Callable[[Tensor, Tensor], Tensor]) -> Callable[[Record, Tensor], Tensor]:
    """A loss of the spikes."""
    return lambda record, targets: loss(record[0], targets)


@dataclass(frozen=True)
class Tutorial:
    """A network, its data, its loop and its loss.

    Args:
        make: the network, with weights drawn.
        parts: the data, ``[B, ...]``, to train, validate and test.
        run: the loop over time; takes the network and a batch ``[B, ...]``.
        loss: the loss of the tutorial.
        steps: T of inputs without time.
        epochs: the passes over the data.
    """

    make: Callable[[], nn.Module]
    parts: tuple[Part, Part, Part]
    run: Callable[[nn.Module, Tensor], Record]
    loss: Callable[[Record, Tensor], Tensor]
    steps: int | None
    epochs: int


def pixels(*shape: int) -> tuple[Part, Part, Part]:
    """The digits of scikit-learn, 0 to 1, in three parts."""
    from sklearn.datasets import load_digits

    images, classes = (torch.as_tensor(each) for each in load_digits(return_X_y=True))
    images = images.float().view(-1, *shape) / 16
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    train, val, test = order.tensor_split((1197, 1497))
    return (
        (images[train], classes[train]),
        (images[val], classes[val]),
        (images[test], classes[test]),
    )


def as_spikes(part: Part) -> Part:
    """Images as spikes ``[B, T, ...]`` at the rates of their pixels, drawn once."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return spikegen.rate(part[0], num_steps=25).transpose(0, 1), part[1]


def events(steps: int) -> tuple[Part, Part, Part]:
    """The recordings of digits, dense ``[B, T, 2, 34, 34]``, in three parts."""
    splits = load("digits", steps=steps)
    parts = []
    for part in (splits.train, splits.val, splits.test):
        batch = part.batch(range(len(part)))
        parts.append((batch.x.dense().transpose(0, 1), batch.labels))  # type: ignore[union-attr]
    return parts[0], parts[1], parts[2]


def tutorial(number: int) -> Tutorial:
    """A tutorial, by its number."""
    if number == 3:
        train, val, test = (as_spikes(part) for part in pixels(64))
        parts = (train, val, test)
        return Tutorial(
            Net3,
            parts,
            lambda net, x: own_forward(net, x.transpose(0, 1)),
            loss_at_each_step,
            None,
            8,
        )
    if number == 5:
        return Tutorial(Net5, pixels(64), own_forward, loss_at_each_step, 25, 8)
    if number == 6:
        loss = of_spikes(SF.ce_rate_loss())
        return Tutorial(
            net6,
            pixels(1, 8, 8),
            lambda net, x: forward_pass(net, [x] * 25),
            loss,
            25,
            4,
        )
    loss = of_spikes(SF.mse_count_loss(correct_rate=0.8, incorrect_rate=0.2))
    return Tutorial(net7, events(10), lambda net, x: forward_pass(net, x.unbind(1)), loss, None, 3)


@dataclass(frozen=True)
class Trained:
    """The accuracies of a training, and the seconds of CPU that it took."""

    val: float
    test: float
    cpu_s: float


def by_lfp(of: Tutorial, peak: float, seed: int) -> Trained:
    """Train by LFP with the default rule."""
    torch.manual_seed(seed)
    started = time.process_time()
    result = lfp_snn.fit(
        of.make(),
        *of.parts,
        steps=of.steps,
        epochs=of.epochs,
        batch_size=BATCH,
        optimizer={"lr": peak},
        seed=seed,
        device="cpu",
        progress=False,
    )
    return Trained(result.val_accuracy, result.test_accuracy, time.process_time() - started)


def by_surrogate(of: Tutorial, peak: float, seed: int) -> Trained:
    """Train by the tutorial's own loop."""
    torch.manual_seed(seed)
    started = time.process_time()
    net, (x, targets) = of.make(), of.parts[0]
    optimizer = torch.optim.Adam(net.parameters(), lr=peak)
    total = of.epochs * math.ceil(len(x) / BATCH)
    schedule = OneCycleLR(optimizer, max_lr=peak, total_steps=total)
    best = (-1.0, -1.0)
    for _epoch in range(of.epochs):
        for rows in batches(torch.randperm(len(x))):
            loss = of.loss(of.run(net, x[rows]), targets[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
        found = accuracy(of, net, of.parts[1]), accuracy(of, net, of.parts[2])
        best = max(best, found, key=lambda each: each[0])
    return Trained(*best, time.process_time() - started)


def batches(of: Tensor) -> list[Tensor]:
    """Equal batches of a tensor, but for the last."""
    return [of[start : start + BATCH] for start in range(0, len(of), BATCH)]


def accuracy(of: Tutorial, net: nn.Module, part: Part) -> float:
    """The share of a part that has most spikes where it should."""
    with torch.no_grad():
        counts = [of.run(net, x)[0].sum(0) for x in batches(part[0])]
    return float((torch.cat(counts).argmax(1) == part[1]).float().mean())


def trainings(
    train: Callable[[Tutorial, float, int], Trained],
    of: Tutorial,
    seeds: int,
    peaks: Sequence[float],
) -> tuple[float, list[Trained]]:
    """The best peak of the learning rate by the first seed, and the trainings of all seeds."""
    first = {peak: train(of, peak, 0) for peak in peaks}
    peak = max(first, key=lambda each: first[each].val)
    return peak, [first[peak], *(train(of, peak, seed) for seed in range(1, seeds))]


def main() -> None:
    """Read the arguments, train, print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--seeds", type=at_least_one, default=3)
    parser.add_argument("--peaks", nargs="*", type=float, default=list(PEAKS))
    parser.add_argument("--only", type=int, choices=(3, 5, 6, 7), help="one tutorial")
    options = parser.parse_args()
    table = Table(
        "tutorial",
        PrintedColumn("LFP, %", "seeds"),
        PrintedColumn("surrogate, %", "seeds"),
        PrintedColumn("LFP - surrogate, points", sign=True),
        PrintedColumn("peaks of the learning rate", "each", digits=None),
        PrintedColumn("CPU time of a training, s", "each"),
    )
    for number in (options.only,) if options.only else (3, 5, 6, 7):
        of = tutorial(number)
        found = [trainings(by, of, options.seeds, options.peaks) for by in (by_lfp, by_surrogate)]
        lfp, its = ([100 * each.test for each in trained] for _, trained in found)
        table.row(
            str(number),
            lfp,
            its,
            statistics.fmean(lfp) - statistics.fmean(its),
            [peak for peak, _ in found],
            [statistics.median(each.cpu_s for each in trained) for _, trained in found],
        )


if __name__ == "__main__":
    main()
