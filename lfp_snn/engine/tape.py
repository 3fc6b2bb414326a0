"""The record of a forward pass, for the way back."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from lfp_snn.backends.packed import PackedSpikes
from lfp_snn.engine.exchange import Exchange
from lfp_snn.engine.stopwatch import Stopwatch, Way
from lfp_snn.lif import running
from lfp_snn.rules import Rule
from lfp_snn.spikes import Spikes

__all__ = ["Emitted", "Form", "Tape", "Value"]

#: What travels between stages.
Value = Tensor | Spikes
#: What a stage may give; those that do not take packed spikes are given them dense.
Emitted = Value | PackedSpikes
#: The form of a value or of credit: the shape ``[T, B, ...]``, or the list of its entries.
Form = torch.Size | Spikes


@dataclass
class Tape:
    """One forward pass: its sizes, what its stages keep for the way back, and what they measured.

    Args:
        steps: T, the number of time steps.
        batch: B, the number of samples.
        lengths: the steps of each sample, int64 ``[B]``, or None if all run for T.
        state: the membranes before the first step, by neuron.
        record: whether a backward pass may follow.
        dtype: the floating type of the network.
        kept: what each stage needs on the way back.
        final_state: the membranes after the last step, by neuron.
        forms: the shape of each value of the program, the input first, or its list of entries.
        membranes: the membranes ``[T, B, C]`` of the neurons that ran last.
        carried: ``M`` ``[B, ...]`` by neuron: on the way back, what the steps that follow hand to
            a neuron, and once it has run, what it hands to the steps before.
        drawn: what stages drew at random, once for all chunks of a sequence.
        arrived: the relevance ``[B, ...]`` that arrived at each population in the last backward
            pass.
        opened: the entries at which a population asked for credit in this backward pass.
        exchange: the exchange with the processes that have the other samples of the batch, if any.
        start: the number of steps of the sequence before the first of this pass.
        again: whether these steps were run before, so that running statistics have seen them.
        stopwatch: the stopwatch that times the stages, if any.
        narrow: the type in which spikes travel between stages; None for the type of the network.
        taken: the tensors that the pass was run with, each with its version, by what to call it.
        rules: the rules that the way back is expected to have, so that forwards note what they
            need; any others will do.
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
    narrow: torch.dtype | None = None
    taken: dict[str, tuple[Tensor, int]] = field(default_factory=dict)
    rules: Mapping[str, Rule] = field(default_factory=dict)
    _spikes: dict[str, tuple[Tensor, int]] = field(default_factory=dict)

    def timed(self, stage: str, way: Way) -> AbstractContextManager[None]:
        """Time what a stage does in a ``with`` block, if there is a stopwatch."""
        return nullcontext() if self.stopwatch is None else self.stopwatch.time(stage, way)

    def running(self, dims: int) -> Tensor | None:
        """Bool ``[T, B, 1, ...]``, true until a sample's end; None if all run for T."""
        return None if self.lengths is None else running(self.lengths, self.steps, dims)

    @property
    def spike_dtype(self) -> torch.dtype:
        """The type in which spikes travel between stages."""
        return self.narrow or self.dtype

    def every_step(self, value: Tensor) -> Tensor:
        """A value as ``[T, B, ...]``, also where it is constant over time."""
        return value.expand(self.steps, *value.shape[1:])

    def keep(self, stage: Hashable, what: Any) -> None:
        """Keep what a stage needs on the way back, if there will be one."""
        if self.record:
            self.kept[stage] = what

    def count(self, neuron: str, spikes: Tensor, units: int) -> None:
        """Note the number of spikes of a population, and the number of its neurons."""
        self._spikes[neuron] = (spikes, units)

    def add_counts(self, chunk: Tape) -> None:
        """Add the spikes that were counted in a chunk of this pass."""
        for name, (spikes, units) in chunk._spikes.items():
            known = self._spikes.get(name)
            self._spikes[name] = (spikes if known is None else known[0] + spikes, units)

    def firing(self) -> dict[str, Tensor]:
        """Mean spikes per neuron and step of each population, over the steps that samples run."""
        return {
            name: count.double() / (self._sample_steps() * units)
            for name, (count, units) in self._spikes.items()
        }

    def firing_rates(self) -> dict[str, float]:
        """:meth:`firing` as numbers of the host."""
        return {name: float(rate) for name, rate in self.firing().items()}

    def _sample_steps(self) -> int | Tensor:
        """Steps of all samples together."""
        return self.steps * self.batch if self.lengths is None else self.lengths.sum().clamp(min=1)
