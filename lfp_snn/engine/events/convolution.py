"""A convolution, its neurons, and the pool behind them, on lists of spikes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from lfp_snn.backends.events import conv, scan
from lfp_snn.backends.events.conv_open import conv_open
from lfp_snn.backends.events.geometry import ConvShape, geometry
from lfp_snn.backends.events.lists import Lists
from lfp_snn.backends.events.neuron import Neuron
from lfp_snn.backends.events.pool import pool_bits
from lfp_snn.backends.events.rescale import Counted
from lfp_snn.backends.events.workspace import Workspace
from lfp_snn.engine import synapses
from lfp_snn.engine.events.layer import EventLayer, array, entries_asked, optional
from lfp_snn.engine.events.stage import Arrived, as_lists, as_spikes
from lfp_snn.engine.stage import Feedback, Form, Rules, Tape, Value
from lfp_snn.spikes import Spikes

__all__ = ["Back", "EventConvolution", "Recorded"]


class Recorded(NamedTuple):
    """A recorded pass over lists: the kernel's trace, and what else the way back takes."""

    trace: conv.ConvTrace
    neuron: Neuron
    x: Spikes
    was_tensor: bool
    frame: torch.Size
    fused: bool
    weight: np.ndarray
    bias: np.ndarray | None


#: The kernel's way back, which waits for how it is to learn.
Back = Callable[..., scan.SynapseFeedback]


class EventConvolution(EventLayer):
    """``nn.Conv1d`` or ``nn.Conv2d`` with its neurons; pools that do not overlap are part of it."""

    synapse: synapses.Convolution
    dense = 1.0

    @override
    def can_list(self, shape: Sequence[int]) -> bool:
        return True

    def shape(self, feature: Sequence[int]) -> ConvShape:
        """The convolution of a frame ``[C, ...]``; one-dimensional maps have the height 1."""
        module = self.synapse.module

        def pair(values: Sequence[int], fill: int) -> tuple[int, int]:
            return (fill, values[0]) if len(values) == 1 else (values[0], values[1])

        return ConvShape(
            channels=module.in_channels,
            size=pair(feature[1:], 1),
            outputs=module.out_channels,
            kernel=pair(module.kernel_size, 1),
            stride=pair(module.stride, 1),
            padding=pair(self.synapse.padding, 0),
            dilation=pair(module.dilation, 1),
            groups=module.groups,
        )

    @override
    def run_events(self, run: Tape, x: Spikes, *, was_tensor: bool) -> Value:
        module, shape = self.synapse.module, self.shape(x.feature_shape)
        weight, bias = self.effective(run, x, shape)
        maps = shape.out_size if len(module.kernel_size) == 2 else shape.out_size[1:]
        frame = torch.Size((x.batch, shape.outputs, *maps))
        neuron = self.constants(frame, run.dtype)
        tables = None if self.pool is None else self.pool.tables((run.steps, *frame))
        fused = tables is not None and tables.disjoint
        trace = conv.conv_forward(
            as_lists(x),
            run.steps,
            shape,
            weight,
            bias,
            neuron,
            self.ahead,
            pooling=tables if fused else None,
            rule=self.expected(run),
            **self.start(run, frame),
        )
        run.keep(self, Recorded(trace, neuron, x, was_tensor, frame, fused, weight, bias))
        fired = int(np.bitwise_count(trace.bits).sum())
        self.finish(run, frame, conv.by_unit(trace.state, shape), fired)
        if self.pool is not None and fused:
            return as_spikes(trace.out, (run.steps, x.batch, *self.pool.frame(frame[1:])))
        return self._pooled(run, as_spikes(trace.out, (run.steps, *frame)))

    @override
    def send_events(
        self, run: Tape, feedback: Feedback, rules: Rules, wanted: Form | None, arrived: Arrived
    ) -> Tensor | None:
        kept: Recorded = run.kept[self]
        if not kept.fused:
            arrived = self._unpooled(run, rules, arrived)
        opened = self._opened(run, rules)
        sent = conv.Sent(arrived.reward, arrived.credit, opened, arrived.as_credit)
        back = partial(
            conv.conv_backward,
            kept.trace,
            kept.weight,
            kept.bias,
            kept.neuron,
            self.split(rules),
            self.back,
            input_credit=entries_asked(kept.x, wanted, kept.was_tensor),
            carried=self.carried(run, kept.frame),
            shares=self.shares(rules, kept.x),
            **sent._asdict(),
        )
        return self.hand_back(kept.x, self.learn(run, feedback, rules, sent, back), kept.was_tensor)

    def effective(
        self, run: Tape, x: Spikes, shape: ConvShape
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """The weight and bias with which the kernels run."""
        return array(self.synapse.weight), optional(self.synapse.bias)

    def learn(
        self, run: Tape, feedback: Feedback, rules: Rules, sent: conv.Sent, back: Back
    ) -> np.ndarray | None:
        """Run the way back and add up what is learnt; gives the credit of the input."""
        scaled = self.synapse.scales(feedback)
        found = back(scaled=scaled)
        feedback.add(self.synapse.weight, torch.from_numpy(found.weight.copy()), scaled=scaled)
        if found.bias is not None:
            feedback.add(self.synapse.bias, torch.from_numpy(found.bias), scaled=scaled)
        return found.credit

    @override
    def listed(self, run: Tape, rule: Counted) -> Lists:
        if self not in run.kept:
            return self.given.listed(run, rule)
        kept: Recorded = run.kept[self]
        opened = conv_open(kept.trace, kept.neuron, rule, self.gate)
        run.opened[self] = opened
        return opened.entries

    @override
    def pools_itself(self, run: Tape) -> bool:
        return self in run.kept and bool(run.kept[self].fused)

    def _opened(self, run: Tape, rules: Rules) -> conv.Opened | None:
        """Entries that credit came to in this backward pass, None if it came to spikes alone."""
        self.open_entries(run, rules)
        opened: conv.Opened | None = run.opened.get(self)
        return opened

    @override
    def fired(self, run: Tape) -> tuple[Lists, Sequence[int]]:
        kept: Recorded = run.kept[self]
        trace = kept.trace
        order = geometry(trace.shape).order
        out = pool_bits(trace.bits, order, None, trace.shape.units, run.steps, Workspace())
        return out, kept.frame[1:]
