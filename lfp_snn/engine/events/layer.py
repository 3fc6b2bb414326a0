"""A synapse, its neurons, and the pool behind them, in one pass over lists of spikes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from lfp_snn.backends.events import conv, linear, scan
from lfp_snn.backends.events.formulas import shares_of
from lfp_snn.backends.events.geometry import ConvShape, geometry
from lfp_snn.backends.events.lists import Lists, dense_from_lists, lists_from_dense
from lfp_snn.backends.events.pool import pool_bits
from lfp_snn.backends.events.rescale import Counted
from lfp_snn.backends.events.shares import Shares
from lfp_snn.backends.events.workspace import Workspace
from lfp_snn.engine import shapes, synapses
from lfp_snn.engine.events.pool import EventPool
from lfp_snn.engine.events.stage import (
    Arrived,
    EventNeurons,
    EventStage,
    as_lists,
    as_spikes,
    as_tensor,
    membranes_of,
)
from lfp_snn.engine.kernels import Group
from lfp_snn.engine.neurons import Leaky
from lfp_snn.engine.stage import Credits, Feedback, Form, Rules, Stage, Tape, Value, Wanted
from lfp_snn.errors import NetworkError
from lfp_snn.spikes import Spikes

__all__ = ["EventConvolution", "EventLayer", "EventLinear"]


class EventLayer(EventStage):
    """A synapse, its neurons, and the pool behind them where there is one.

    A dense input takes the way around: current by torch, neurons by :class:`EventNeurons`.

    Args:
        synapse: reference stage of the synapse.
        neurons: reference stage of the neurons.
        pool: the pool that alone takes their spikes, if any (behind a convolution).
        from_input: the synapse takes the input of the network. A silent entry of that needs no
            credit, so that it may be made a list if it comes as a tensor.
        by_sign: the rule tells contributions of one sign from the others. The kernels know them by
            the sign of the weight, so that an input of both signs then takes the way around too.
        is_output: see :class:`EventStage`.
    """

    takes_spikes = True
    #: Share of active inputs above which torch's dense product is faster, as
    #: benchmarks/crossover.py found it (1: never).
    dense: float

    def __init__(
        self,
        synapse: synapses.Synapse,
        neurons: Leaky,
        pool: EventPool | None,
        *,
        from_input: bool,
        by_sign: bool,
        is_output: bool,
    ) -> None:
        super().__init__(neurons, is_output=is_output)
        self.synapse = synapse
        self.pool = pool
        self.from_input = from_input
        self.by_sign = by_sign
        self.given = EventNeurons(neurons, is_output=is_output)
        self.incoming = Workspace()

    @classmethod
    def of(cls, group: Group) -> Self:
        """The stage for a synapse, its neurons, and the pool behind them if there is one."""
        synapse, neurons, *behind = group.stages
        assert isinstance(synapse, synapses.Synapse)
        assert isinstance(neurons, Leaky)
        pools = [EventPool(pool) for pool in behind if isinstance(pool, shapes.Pool)]
        return cls(
            synapse,
            neurons,
            pools[0] if pools else None,
            from_input=group.from_input,
            by_sign=shares_of(group.rules[synapse.name].at_synapse) is not None,
            is_output=group.is_output,
        )

    @override
    def parameters(self) -> dict[str, Tensor]:
        return self.synapse.parameters() | super().parameters()

    @override
    def describe(self) -> str:
        stages: list[Stage] = [self.synapse, self.neurons]
        if self.pool is not None:
            stages.append(self.pool)
        return " + ".join(stage.describe() for stage in stages)

    @override
    def forward(self, run: Tape, *inputs: Value) -> Value:
        (x,) = inputs
        self.synapse.check(x.shape)
        events = self._as_events(run, x)
        if events is not None:
            return self.run_events(run, events, was_tensor=isinstance(x, Tensor))
        dense = x if isinstance(x, Tensor) else x.dense(run.dtype)
        frames = dense.transpose(0, 1).contiguous()
        current = self.synapse.current(
            frames.flatten(0, 1), self.synapse.module.weight, self.synapse.module.bias
        )
        run.keep(self.synapse, frames)
        spikes = self.given.step(run, current.view(*frames.shape[:2], *current.shape[1:]))
        return spikes if isinstance(spikes, Tensor) else self._pooled(run, spikes)

    def _pooled(self, run: Tape, spikes: Spikes) -> Spikes:
        return spikes if self.pool is None else self.pool.forward(run, spikes)

    def _as_events(self, run: Tape, x: Value) -> Spikes | None:
        """The input as a list, where that is the better way."""
        if not self.can_list(x.shape):
            return None
        if isinstance(x, Tensor):
            if not self.from_input or x.shape[0] != run.steps:
                return None
            if int(torch.count_nonzero(x)) > self.dense * x.numel():
                return None
            x = as_spikes(lists_from_dense(x.flatten(2).numpy(), self.incoming), x.shape)
        elif x.density > self.dense:
            return None
        return None if self.by_sign and _has_negative(x) else x

    @override
    def spikes(self, run: Tape) -> Tensor:
        if self not in run.kept:
            return self.given.spikes(run)
        out, frame = self.fired(run)
        return as_tensor(out, (run.steps, run.batch, *frame), run.dtype)

    @override
    def send(
        self, run: Tape, feedback: Feedback, rules: Rules, wanted: Wanted, arrived: Arrived
    ) -> Credits:
        if self in run.kept:
            return (self.send_events(run, feedback, rules, wanted[0], arrived),)
        n = self.given.of_current(run, rules, self._unpooled(run, arrived))
        rule, asked = rules[self.synapse.name], wanted[0] is not None
        of_input = self.synapse.learn(run.kept[self.synapse], n, feedback, rule, asked)
        return (of_input.transpose(0, 1) if isinstance(of_input, Tensor) else None,)

    @override
    def rule(self, rules: Rules) -> str:
        return f"{self.synapse.rule(rules)}, {super().rule(rules)}"

    def _unpooled(self, run: Tape, arrived: Arrived) -> Arrived:
        """What arrived at the pool behind, as it reaches the spikes."""
        if self.pool is None or arrived.credit is None:
            return arrived
        return Arrived(credit=self.pool.entry_credit(run, arrived.credit))

    def hand_back(self, x: Spikes, credit: np.ndarray | None, was_tensor: bool) -> Tensor | None:
        """Credit of the entries of the input, or of all of it if it came as a tensor."""
        if credit is None or not was_tensor:
            return None if credit is None else torch.from_numpy(credit)
        out = np.empty((x.steps, x.batch, x.units), credit.dtype)
        given = as_lists(x)
        dense_from_lists(Lists(given.indptr, given.indices, credit), out)
        return torch.from_numpy(out).view(x.shape)

    def shares(self, rules: Rules, x: Spikes) -> Shares | None:
        """How the kernels share relevance by sign, if the rule does.

        Raises:
            NetworkError: the entries of the forward pass are of both signs.
        """
        rule = rules[self.synapse.name]
        shares = shares_of(rule.at_synapse)
        if shares is not None and _has_negative(x):
            raise NetworkError(
                f"Layer '{self.synapse.name}' ran on events of both signs, which the events "
                f"backend does not share as {rule!r} does: give the rule to TemporalLFP when it is "
                "built, or use backend='torch'."
            )
        return shares

    @abstractmethod
    def can_list(self, shape: Sequence[int]) -> bool:
        """Do the kernels take lists of that dense shape?"""

    @abstractmethod
    def run_events(self, run: Tape, x: Spikes, *, was_tensor: bool) -> Value:
        """The forward pass over lists."""

    @abstractmethod
    def send_events(
        self, run: Tape, feedback: Feedback, rules: Rules, wanted: Form | None, arrived: Arrived
    ) -> Tensor | None:
        """The backward pass over lists."""

    @abstractmethod
    def fired(self, run: Tape) -> tuple[Lists, Sequence[int]]:
        """Spikes of the neurons in a recorded pass, and the shape of their frame."""


class EventLinear(EventLayer):
    """``nn.Linear`` with its neurons."""

    synapse: synapses.Linear
    dense = 0.5

    @override
    def can_list(self, shape: Sequence[int]) -> bool:
        return len(shape) == 3

    @override
    def run_events(self, run: Tape, x: Spikes, *, was_tensor: bool) -> Value:
        module = self.synapse.module
        frame = torch.Size((x.batch, module.out_features))
        neuron = self.constants(frame, run.dtype)
        bias = _optional(module.bias)
        trace = linear.linear_forward(
            as_lists(x),
            run.steps,
            _array(module.weight),
            bias,
            neuron,
            self.ahead,
            **self.start(run, frame),
        )
        run.keep(self, (trace, neuron, x, was_tensor))
        neurons = trace.neurons
        self.finish(run, frame, neurons.state[:, : neurons.units], neurons.out.indices.size)
        if self.is_output:
            run.membranes = membranes_of(neurons, frame)
        return self.emit(run, neurons.out, frame)

    @override
    def send_events(
        self, run: Tape, feedback: Feedback, rules: Rules, wanted: Form | None, arrived: Arrived
    ) -> Tensor | None:
        trace, neuron, x, was_tensor = run.kept[self]
        module = self.synapse.module
        scaled = feedback.update.scales
        of_weight = torch.empty(module.weight.shape, dtype=module.weight.dtype)
        found = linear.linear_backward(
            trace,
            neuron,
            _optional(module.bias),
            self.split(rules),
            self.back,
            input_credit=_entries(x, wanted, was_tensor),
            feedback=of_weight.numpy(),
            carried=self.carried(run, (x.batch, module.out_features)),
            shares=self.shares(rules, x),
            scaled=scaled,
            **arrived._asdict(),
        )
        feedback.add(module.weight, of_weight, scaled=scaled)
        if found.bias is not None:
            feedback.add(module.bias, torch.from_numpy(found.bias), scaled=scaled)
        return self.hand_back(x, found.credit, was_tensor)

    @override
    def listed(self, run: Tape, rule: Counted) -> Lists:
        if self not in run.kept:
            return self.given.listed(run, rule)
        trace, neuron, _, _ = run.kept[self]
        return scan.open_entries(trace.neurons, neuron, rule, self.gate)

    @override
    def fired(self, run: Tape) -> tuple[Lists, Sequence[int]]:
        trace = run.kept[self][0]
        return trace.neurons.out, (self.synapse.module.out_features,)


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
        maps = shape.out_size if len(module.kernel_size) == 2 else shape.out_size[1:]
        frame = torch.Size((x.batch, shape.outputs, *maps))
        neuron = self.constants(frame, run.dtype)
        tables = None if self.pool is None else self.pool.tables((run.steps, *frame))
        fused = tables is not None and tables.disjoint
        trace = conv.conv_forward(
            as_lists(x),
            run.steps,
            shape,
            _array(module.weight),
            _optional(module.bias),
            neuron,
            self.ahead,
            pooling=tables if fused else None,
            **self.start(run, frame),
        )
        run.keep(self, (trace, neuron, x, was_tensor, frame, fused))
        fired = int(np.bitwise_count(trace.bits).sum())
        self.finish(run, frame, _state_by_unit(trace), fired)
        if self.pool is not None and fused:
            return as_spikes(trace.out, (run.steps, x.batch, *self.pool.frame(frame[1:])))
        return self._pooled(run, as_spikes(trace.out, (run.steps, *frame)))

    @override
    def send_events(
        self, run: Tape, feedback: Feedback, rules: Rules, wanted: Form | None, arrived: Arrived
    ) -> Tensor | None:
        trace, neuron, x, was_tensor, frame, fused = run.kept[self]
        module, scaled = self.synapse.module, feedback.update.scales
        split = self.split(rules)
        assert not isinstance(split, Counted), "the table keeps such rules off this kernel"
        if not fused:
            arrived = self._unpooled(run, arrived)
        found = conv.conv_backward(
            trace,
            _array(module.weight),
            _optional(module.bias),
            neuron,
            split,
            self.back,
            input_credit=wanted is not None,
            carried=self.carried(run, frame),
            shares=self.shares(rules, x),
            scaled=scaled,
            reward=arrived.reward,
            credit=arrived.credit,
        )
        feedback.add(module.weight, torch.from_numpy(found.weight.copy()), scaled=scaled)
        if found.bias is not None:
            feedback.add(module.bias, torch.from_numpy(found.bias), scaled=scaled)
        return self.hand_back(x, found.credit, was_tensor)

    @override
    def listed(self, run: Tape, rule: Counted) -> Lists:
        # Such rules are served where the input was dense: the table keeps others off the kernel.
        return self.given.listed(run, rule)

    @override
    def fired(self, run: Tape) -> tuple[Lists, Sequence[int]]:
        trace, _, _, _, frame, _ = run.kept[self]
        order = geometry(trace.shape).order
        out = pool_bits(trace.bits, order, None, trace.shape.units, run.steps, Workspace())
        return out, frame[1:]


def _entries(x: Spikes, wanted: Form | None, was_tensor: bool) -> Lists | bool:
    """At which entries credit of an input is wanted: none, its own, or others."""
    others = isinstance(wanted, Spikes) and wanted is not x and not was_tensor
    return as_lists(wanted) if others else wanted is not None  # type: ignore[arg-type]


def _has_negative(x: Spikes) -> bool:
    return x.values is not None and bool((x.values < 0).any())


def _state_by_unit(trace: conv.ConvTrace) -> np.ndarray:
    """Membranes ``[B, units]`` after the last step; the kernels keep them by lane."""
    order = geometry(trace.shape).order
    state = np.empty((trace.state.shape[0], trace.shape.units), trace.state.dtype)
    state[:, order[order >= 0]] = trace.state[:, order >= 0]
    return state


def _array(parameter: Tensor) -> np.ndarray:
    """A parameter as a contiguous array, sharing memory where it is contiguous itself."""
    return parameter.detach().contiguous().numpy()


def _optional(parameter: Tensor | None) -> np.ndarray | None:
    return None if parameter is None else _array(parameter)
