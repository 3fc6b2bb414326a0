"""The cost of a training step of a config on this machine, and where the time goes."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from statistics import median
from time import perf_counter
from typing import Any

import torch

from lfp_snn.data import Batch
from lfp_snn.engine.stopwatch import Stopwatch
from lfp_snn.training.loop import Trainer

__all__ = ["Cost", "StageCost", "measure"]

WARMUP = 3  # steps that are not counted: kernels load, the optimizer makes its state


@dataclass(frozen=True)
class StageCost:
    """The cost of a stage of the network in the mean step.

    Attributes:
        name: the name of the stage.
        kernel: the kernel that serves it, as ``lfp.summary()`` shows it.
        forward: the seconds on the way forward.
        backward: the seconds on the way back.
    """

    name: str
    kernel: str
    forward: float
    backward: float


@dataclass(frozen=True)
class Cost:
    """The cost of a training step: seconds, as medians over the steps, and memory.

    Attributes:
        steps: the number of steps that were timed.
        batch: the samples of a step.
        data: the seconds of waiting for a batch.
        feedback: the seconds of forward pass, reward and the way back.
        update: the seconds of clipping and optimizer.
        peak_bytes: the largest memory held: of the device on CUDA, else of the whole process.
        stages: the costs of the stages in order, for networks that the learner runs on the engine;
            empty for others.
    """

    steps: int
    batch: int
    data: float
    feedback: float
    update: float
    peak_bytes: int
    stages: tuple[StageCost, ...]

    @property
    def step(self) -> float:
        """The seconds of a whole step."""
        return self.data + self.feedback + self.update

    def to_json(self) -> dict[str, Any]:
        """The cost as JSON takes it."""
        return {**asdict(self), "step": self.step}


def measure(trainer: Trainer, steps: int, done: Callable[[], object] = lambda: None) -> Cost:
    """Train for some steps, and time them.

    The stages are timed in further steps, since timing them one by one takes time itself.

    Args:
        trainer: the trainer, from :func:`lfp_snn.training.assemble`; its network is trained.
        steps: the number of timed steps; some more come before them and are not counted.
        done: a function that is called after every step.
    """
    batches = _EndlessBatches(trainer)
    rows = []
    for number in range(WARMUP + steps):
        row = _step(trainer, batches)
        if number >= WARMUP:
            rows.append(row)
        done()
    watch = trainer.learner.engine.stopwatch = Stopwatch()
    for _ in range(steps):
        _step(trainer, batches)
        done()
    trainer.learner.engine.stopwatch = None
    data, feedback, update = (median(column) for column in zip(*rows, strict=True))
    size = trainer.settings.batch_size
    return Cost(steps, size, data, feedback, update, _peak(trainer), _stages(trainer, watch, steps))


class _EndlessBatches:
    """Batches without end, epoch after epoch."""

    def __init__(self, trainer: Trainer) -> None:
        self.trainer = trainer
        self.epoch = 0
        self.rest: Iterator[Batch] = iter(())

    def next(self) -> Batch:
        """The next batch, on the device."""
        while True:
            for batch in self.rest:
                return batch.to(self.trainer.learner.device)
            self.epoch += 1
            self.rest = iter(self.trainer.loader.epoch(self.epoch))


def _step(trainer: Trainer, batches: _EndlessBatches) -> tuple[float, float, float]:
    """The seconds of data, feedback and update of one step."""
    learner, limit = trainer.learner, trainer.settings.clip
    learner.net.train()
    start = _now(learner.device)
    batch = batches.next()
    at_hand = _now(learner.device)
    learner.feedback(batch)
    known = _now(learner.device)
    if limit is not None:
        torch.nn.utils.clip_grad_norm_(trainer.parameters, limit)
    trainer.optimizer.step()
    learner.after_step()
    return at_hand - start, known - at_hand, _now(learner.device) - known


def _now(device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return perf_counter()


def _peak(trainer: Trainer) -> int:
    device = trainer.learner.device
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024  # Linux counts in KiB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _stages(trainer: Trainer, watch: Stopwatch, steps: int) -> tuple[StageCost, ...]:
    kernels = trainer.learner.engine.kernels
    names = list(dict.fromkeys(name for name, _ in watch.seconds))
    return tuple(
        StageCost(
            name,
            kernels.get(name, "torch"),
            watch.seconds[name, "forward"] / steps,
            watch.seconds[name, "backward"] / steps,
        )
        for name in names
    )
