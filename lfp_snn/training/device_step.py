"""A training step on a device of which the host learns nothing until it asks.

Nothing in it waits for the device, so that it can be replayed from a CUDA graph: what is not finite
masks the update instead of raising an error, and what the loop counts is summed up on the device.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from lfp_snn.data import Batch
from lfp_snn.engine.graphed import GraphedStep, Recorder
from lfp_snn.engine.synapses import Synapse
from lfp_snn.learners import Learner
from lfp_snn.learners.lfp import LFP
from lfp_snn.norms import running_statistics
from lfp_snn.rewards import FromLoss, Function
from lfp_snn.rules import CONTRIBUTION
from lfp_snn.spikes import Spikes
from lfp_snn.training.distributed import World
from lfp_snn.training.progress import firing_in, firing_named

__all__ = ["READ_EVERY", "DeviceStep", "Reading", "why_not"]

#: Steps after which the host asks, if nothing else makes it ask.
READ_EVERY = 20
#: What is summed up beside firing rates, as :class:`~lfp_snn.training.progress.Totals` names it.
_SUMS = ("batches", "samples", "correct", "ties", "clipped", "skipped", "reward", "norm")
#: Steps since the host asked, the first of them that was not finite (from 1; 0: none), how many in
#: a row were not up to now, and at most; the check that failed there (from 1).
_NOTES = ("steps", "first", "row", "longest", "check")


def why_not(learner: Learner, optimizer: Optimizer, world: World) -> str | None:
    """Why the steps of a training must wait for the device; None if they need not."""
    if world.size > 1:
        return "processes exchange sums during a step"
    if not isinstance(learner, LFP):
        return f"the learner {type(learner).__name__} is none that runs without the host"
    if learner.homeostasis is not None:
        return "homeostasis counts spikes on the host"
    own = type(learner.reward).__module__.split(".")[0] != __name__.split(".")[0]
    if own or isinstance(learner.reward, Function | FromLoss):
        return f"the reward {type(learner.reward).__name__} is code that may look at values"
    for stage in (node.stage for node in learner.engine.reference.nodes):
        if isinstance(stage, Synapse):
            rule = learner.engine.rules[stage.name]
            if rule.at_synapse != CONTRIBUTION:
                return f"the rule {rule!r} of layer '{stage.name}' looks at signs of its input"
    if not getattr(optimizer, "_step_supports_amp_scaling", False):
        kind = type(optimizer).__name__
        return f"the optimizer {kind} cannot pass over a step there (fused=True can)"
    return None


@dataclass(frozen=True)
class Reading:
    """The figures of the steps since the host asked last.

    Attributes:
        sums: the sums by the names of :class:`~lfp_snn.training.progress.Totals`, firing rates
            among them.
        steps: the number of steps that were made.
        first: the first of them that was not finite, from 1; 0 if all were.
        row: the number of steps in a row, up to the last one and with those before, that were not.
        longest: the largest number of steps in a row that were not.
        what: the tensors that were not finite there.
    """

    sums: Mapping[str, float]
    steps: int
    first: int
    row: int
    longest: int
    what: str

    @property
    def firing(self) -> dict[str, float]:
        """Mean firing rates by population; empty if no step counted."""
        samples = self.sums["samples"]
        return {n: rate / samples for n, rate in firing_in(self.sums).items()} if samples else {}


class DeviceStep:
    """The training steps of a learner on a device that nothing waits for.

    A step whose reward, membranes, running statistics or feedback are not finite changes nothing:
    the optimizer passes it over, as under a gradient scaler of torch, and statistics are put back.

    Args:
        learner: one for which :func:`why_not` finds nothing.
        optimizer: the optimizer of its parameters.
        clip: the largest norm of the feedback, if any.
        size: the number of samples of a batch; one with less is filled up.
        alike: whether some batches will have less, so that all should look as those do.
        halt: whether no step changes anything after one that was not finite.
        recorder: records steps as graphs; None: CUDA's, where the batches lie on such a device.
        tell: a function that is told why a step cannot be recorded.
    """

    def __init__(
        self,
        learner: LFP,
        optimizer: Optimizer,
        clip: float | None,
        *,
        size: int,
        alike: bool,
        halt: bool,
        recorder: Recorder | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.learner = learner
        self.optimizer: Any = optimizer
        self.clip = clip
        self.size = size
        # Statistics of a batch cost more where lengths leave frames out: then short batches are
        # steps of another shape.
        self.alike = alike and not any(True for _ in running_statistics(learner.net))
        self.halt = halt
        self.parameters = list(learner.parameters())
        self.populations = learner.populations
        self.graphed = GraphedStep(self._learn, [optimizer], recorder, tell)
        self._checks: list[str] = []
        device = learner.device
        width = len(_SUMS) + len(self.populations)
        self._sums = torch.zeros(width, dtype=torch.float64, device=device)
        self._notes = torch.zeros(len(_NOTES), dtype=torch.float64, device=device)

    @staticmethod
    def serves(device: torch.device) -> bool:
        """Does it pay there? Elsewhere nothing is waited for."""
        return device.type == "cuda"

    def __call__(self, batch: Batch) -> None:
        """One step; a batch with too few samples is filled up with some that take no part."""
        if len(batch) < self.size:
            batch = batch.padded(self.size)
        elif self.alike and batch.lengths is None:
            batch = batch.padded(len(batch))
        self.graphed(batch.x, batch.labels, batch.lengths, batch.targets, batch.steps)

    def go_on(self, row: int) -> None:
        """Begin after so many steps in a row that were not finite."""
        self._notes.zero_()
        self._notes[_NOTES.index("row")] = row

    def read(self) -> Reading:
        """What happened since the last call; this waits for the device."""
        names = (*_SUMS, *map(firing_named, self.populations))
        sums = dict(zip(names, self._sums.tolist(), strict=True))
        steps, first, row, longest, check = map(int, self._notes.tolist())
        self._sums.zero_()
        if not (self.halt and first):  # else nothing is to change any more
            self.go_on(row)
        return Reading(sums, steps, first, row, longest, self._checks[check - 1] if check else "")

    def _learn(
        self,
        x: Spikes | Tensor,
        labels: Tensor,
        lengths: Tensor | None,
        targets: Tensor | None,
        steps: int | None,
    ) -> None:
        statistics = list(running_statistics(self.learner.net))
        before = [(each, each.clone()) for _, each in statistics]
        result = self.learner.feedback(Batch(x, labels, lengths, (), steps, targets))
        largest = math.inf if self.clip is None else self.clip
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, largest)
        reward = torch.as_tensor(result.reward, device=norm.device)
        checked = {
            f"The reward at the output, layer {self.learner.engine.output!r}, is": reward,
            **{f"The membranes of layer {n!r} are": m for n, m in result.membranes.items()},
            "The feedback is": norm,
        }
        if statistics:
            checked["The running statistics are"] = torch.cat([s.flatten() for _, s in statistics])
        self._checks = [f"{what} not finite" for what in checked]
        finite = torch.stack([torch.isfinite(each).all() for each in checked.values()])
        passed = self._note(finite)
        self.optimizer.found_inf = passed.float()
        self.optimizer.step()
        del self.optimizer.found_inf
        for each, was in before:
            each.copy_(torch.where(passed, was, each))
        size = len(labels)
        alive = torch.ones_like(labels, dtype=torch.bool) if lengths is None else lengths > 0
        samples = alive.sum()
        values = {
            "batches": torch.ones_like(norm),
            "samples": samples,
            "correct": ((result.classes == labels) & alive).sum(),
            "ties": (result.ties & alive).sum(),
            "clipped": norm > largest,
            "skipped": torch.zeros_like(norm),
            "reward": reward * size,
            "norm": norm,
        }
        rates = [torch.as_tensor(result.firing[name]) * samples for name in self.populations]
        row = torch.stack([each.double() for each in (*values.values(), *rates)])
        instead = torch.zeros_like(row)
        instead[_SUMS.index("skipped")].fill_(1)
        self._sums.add_(torch.where(passed, instead, row))

    def _note(self, finite: Tensor) -> Tensor:
        """Note which checks of a step were passed; is it to change nothing?"""
        failed = ~finite.all()
        steps, first, row, longest, check = self._notes.clone()
        steps = steps + 1
        now = failed & (first == 0)
        first = torch.where(now, steps, first)
        row = torch.where(failed, row + 1, 0)
        longest = torch.maximum(longest, row)
        check = torch.where(now, (~finite).to(torch.uint8).argmax() + 1, check)
        self._notes.copy_(torch.stack([steps, first, row, longest, check]))
        return failed | (first > 0) if self.halt else failed
