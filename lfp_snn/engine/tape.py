"""What a forward pass leaves for the way back."""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lfp_snn.engine.exchange import Exchange
from lfp_snn.engine.stopwatch import Stopwatch, Way
from lfp_snn.lif import running
from lfp_snn.spikes import Spikes

__all__ = ["Form", "Tape", "Value"]

#: What travels between stages.
Value = Tensor | Spikes
#: The form of a value or of credit: the shape ``[T, B, ...]``, or the list of its entries.
Form = torch.Size | Spikes


@dataclass
class Tape:
    """One forward pass: its sizes, what its stages keep for the way back, and what they measured.

    Args:
        steps: T.
        batch: B.
        lengths: steps of each sample ``[B]``, or None if all run for T.
        state: membranes before the first step, by neuron.
        record: whether a backward pass may follow.
        dtype: floating type of the network.
        kept: what each stage needs on the way back.
        final_state: membranes after the last step, by neuron.
        forms: shape of each value of the program, the input first, or its list of entries.
        membranes: of the neuron that ran last, ``[T, B, C]``.
        carried: ``M`` ``[B, ...]`` by neuron: on the way back, what the steps that follow hand to
            a neuron, and once it has run, what it hands to the steps before.
        drawn: what stages drew at random, once for all chunks of a sequence.
        arrived: relevance ``[B, ...]`` that arrived at each population in the last backward pass.
        opened: entries at which a population asked for credit in this backward pass.
        exchange: with the processes that have the other samples of the batch, if there are any.
        start: steps of the sequence before the first of this pass.
        again: these steps were run before, and running statistics have seen them.
        stopwatch: of what its stages take, if that is asked for.
        taken: what it was run with, by what to call it: each tensor and its version.
    """

    steps: int
    batch: int
    lengths: Tensor | None
    state: dict[str, Tensor]
    record: bool
    dtype: torch.dtype
    kept: dict[Hashable, Any] = field(default_factory=dict)
    final_state: dict[str, Tensor] = field(default_factory=dict)
    forms: list[torch.Size | Spikes] = field(default_factory=list)
    membranes: Tensor | None = None
    carried: dict[str, Tensor] = field(default_factory=dict)
    drawn: dict[Hashable, Tensor] = field(default_factory=dict)
    arrived: dict[str, Tensor] = field(default_factory=dict)
    opened: dict[Hashable, Any] = field(default_factory=dict)
    exchange: Exchange | None = None
    start: int = 0
    again: bool = False
    stopwatch: Stopwatch | None = None
    taken: dict[str, tuple[Tensor, int]] = field(default_factory=dict)
    _spikes: dict[str, tuple[Tensor, int]] = field(default_factory=dict)

    def timed(self, stage: str, way: Way) -> AbstractContextManager[None]:
        """Within, what a stage does is timed if there is a stopwatch."""
        return nullcontext() if self.stopwatch is None else self.stopwatch.time(stage, way)

    def running(self, dims: int) -> Tensor | None:
        """Bool ``[T, B, 1, ...]``, true until a sample's end; None if all run for T."""
        return None if self.lengths is None else running(self.lengths, self.steps, dims)

    def every_step(self, value: Tensor) -> Tensor:
        """``[T, B, ...]``, also where a value is constant over time."""
        return value.expand(self.steps, *value.shape[1:])

    def keep(self, stage: Hashable, what: Any) -> None:
        """Keep something for the way back, if there will be one."""
        if self.record:
            self.kept[stage] = what

    def count(self, neuron: str, spikes: Tensor, units: int) -> None:
        """Note how often a population of so many neurons has fired."""
        self._spikes[neuron] = (spikes, units)

    def add_counts(self, chunk: Tape) -> None:
        """Add the spikes that were counted in a chunk of this pass."""
        for name, (spikes, units) in chunk._spikes.items():
            known = self._spikes.get(name)
            self._spikes[name] = (spikes if known is None else known[0] + spikes, units)

    def firing_rates(self) -> dict[str, float]:
        """Mean spikes per neuron and step, over the steps that the samples run."""
        steps = self.steps * self.batch if self.lengths is None else int(self.lengths.sum())
        return {
            name: float(count) / (steps * units) for name, (count, units) in self._spikes.items()
        }
