"""The base of all stages on events, and neurons that are stepped from given currents."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from lfp_snn.backends.events import scan
from lfp_snn.backends.events.formulas import split_of
from lfp_snn.backends.events.lists import Lists, dense_from_lists
from lfp_snn.backends.events.neuron import Neuron, dynamics_code
from lfp_snn.backends.events.rescale import Counted
from lfp_snn.backends.events.workspace import Workspace
from lfp_snn.cells import Arriving
from lfp_snn.engine.kernels import Group
from lfp_snn.engine.neurons import Leaky
from lfp_snn.engine.stage import Credits, Feedback, Form, Rules, Spiking, Tape, Value, Wanted
from lfp_snn.spikes import Spikes

__all__ = [
    "Arrived",
    "EventNeurons",
    "EventStage",
    "as_lists",
    "as_spikes",
    "membranes_of",
    "numpy_dtype",
]


class Arrived(NamedTuple):
    """The credit or reward that arrives at the spikes.

    It is a reward ``[B, T, N]``, or credit, one number per spike. Where the rule asked for other
    entries than the spikes, ``entries`` holds them; ``as_credit`` says that the reward is credit,
    also at silence.
    """

    reward: np.ndarray | None = None
    credit: np.ndarray | None = None
    entries: Lists | None = None
    as_credit: bool = False


class EventStage(Spiking):
    """The base of all stages on events: constants of the neurons, and what a pass leaves.

    The buffers of the last pass stay with the stage, and the next pass uses them again.

    Args:
        neurons: the reference stage of the neurons.
        is_output: whether the spikes are the output of the network; membranes are then kept in
            every pass.
    """

    makes_lists = True

    def __init__(self, neurons: Leaky, *, is_output: bool) -> None:
        super().__init__(neurons.name, neurons.module)
        self.neurons = neurons
        self.is_output = is_output
        self.ahead = Workspace()
        self.back = Workspace()
        self.gate = Workspace()

    @override
    def parameters(self) -> dict[str, Tensor]:
        return self.neurons.parameters()

    @override
    def describe(self) -> str:
        return self.neurons.describe()

    @override
    def rule(self, rules: Rules) -> str:
        return self.neurons.rule(rules)

    def constants(self, frame: torch.Size, dtype: torch.dtype) -> Neuron:
        """Decay and threshold of the neurons for currents ``[B, ...]``, one each or one for all."""
        dynamics = self.neurons.dynamics(frame, dtype)
        beta, threshold = (
            _one_each(value, frame[1:]).reshape(-1).numpy()
            for value in (dynamics.beta, dynamics.threshold)
        )
        return Neuron(beta, threshold, dynamics_code(dynamics.reset, dynamics.delay))

    def start(self, run: Tape, frame: torch.Size) -> dict[str, Any]:
        """The arguments that all forward kernels have in common."""
        state = self.neurons.initial(run, frame)
        return {
            "lengths": None if run.lengths is None else run.lengths.numpy(),
            "state": None if state is None else state.reshape(frame[0], -1).numpy(),
            "record": run.record or self.is_output,
        }

    def carried(self, run: Tape, frame: Sequence[int]) -> np.ndarray:
        """``M`` ``[B, N]`` from the steps that follow, which a kernel replaces by its own."""
        known = run.carried.get(self.name)
        handed = torch.zeros(tuple(frame), dtype=run.dtype) if known is None else known.clone()
        run.carried[self.name] = handed
        return handed.view(frame[0], -1).numpy()

    def finish(self, run: Tape, frame: torch.Size, state: np.ndarray, fired: int) -> None:
        """Note the membranes ``[B, N]`` after the last step, and the number of spikes."""
        run.final_state[self.name] = torch.from_numpy(state.copy()).view(frame)
        run.count(self.name, torch.tensor(fired), frame[1:].numel())

    def emit(self, run: Tape, out: Lists, frame: torch.Size) -> Value:
        """The spikes as they leave the stage: lists for other stages, a tensor for the user."""
        shape = (run.steps, *frame)
        return as_tensor(out, shape, run.dtype) if self.is_output else as_spikes(out, shape)

    @override
    def backward(
        self, run: Tape, credit: Tensor, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        arrived = Arrived(credit=credit.numpy(), entries=self.open_entries(run, rules))
        return self.send(run, feedback, rules, wanted, arrived)

    @override
    def receive(
        self, run: Tape, arriving: Arriving, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        credit, _, at_output = arriving
        if credit is not None and at_output and isinstance(self.split(rules), Counted):
            arrived = Arrived(reward=_by_sample(credit), as_credit=True)
            return self.send(run, feedback, rules, wanted, arrived)
        return super().receive(run, arriving, feedback, rules, wanted)

    @override
    def credit_relevance(
        self, run: Tape, relevance: Tensor, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        return self.send(run, feedback, rules, wanted, Arrived(reward=_by_sample(relevance)))

    @override
    def asks(self, run: Tape, rules: Rules, form: Form, below: Wanted) -> Form:
        opened = self.open_entries(run, rules)
        return form if opened is None else as_spikes(opened, form.shape)  # type: ignore[union-attr]

    def open_entries(self, run: Tape, rules: Rules) -> Lists | None:
        """The entries at which the rule asks for credit, if not at the spikes.

        A backward pass lists them once; the next pass may have other rules.
        """
        rule = self.split(rules)
        if self.is_output or not isinstance(rule, Counted):
            return None
        if self.name not in run.opened:
            run.opened[self.name] = self.listed(run, rule)
        opened: Lists = run.opened[self.name]
        return opened

    def expected(self, run: Tape) -> Counted | None:
        """The rule that the way back of a pass is expected to have, if it asks at open gates."""
        rule = self.split(run.rules) if self.name in run.rules and not self.is_output else None
        return rule if isinstance(rule, Counted) else None

    @abstractmethod
    def listed(self, run: Tape, rule: Counted) -> Lists:
        """The entries of its value at which the gate of a rule is open."""

    def split(self, rules: Rules) -> float | Counted:
        """The split of the rule at the neurons, as the kernels take it."""
        return split_of(rules[self.name].at_neuron)

    @abstractmethod
    def send(
        self, run: Tape, feedback: Feedback, rules: Rules, wanted: Wanted, arrived: Arrived
    ) -> Credits:
        """The credit of the input, from what arrived at the spikes."""


class EventNeurons(EventStage):
    """``snntorch.Leaky`` stepped from given currents; its spikes leave as lists."""

    @classmethod
    def of(cls, group: Group) -> Self:
        """The stage for a group of neurons alone."""
        (neurons,) = group.stages
        assert isinstance(neurons, Leaky)
        return cls(neurons, is_output=group.is_output)

    @override
    def forward(self, run: Tape, *inputs: Tensor) -> Value:
        (current,) = inputs
        return self.step(run, current.transpose(0, 1).contiguous())

    def step(self, run: Tape, current: Tensor) -> Value:
        """Spikes from currents ``[B, T, ...]``, or ``[B, 1, ...]`` if they are constant."""
        frame = torch.Size((current.shape[0], *current.shape[2:]))
        neuron = self.constants(frame, current.dtype)
        trace = scan.lif_forward(
            current.flatten(2).numpy(), run.steps, neuron, self.ahead, **self.start(run, frame)
        )
        run.keep(self, (trace, neuron, current.shape))
        self.finish(run, frame, trace.state[:, : trace.units], trace.out.indices.size)
        if self.is_output:
            run.membranes = membranes_of(trace, frame)
        return self.emit(run, trace.out, frame)

    @override
    def spikes(self, run: Tape) -> Tensor:
        trace, _, shape = run.kept[self]
        return as_tensor(trace.out, (run.steps, shape[0], *shape[2:]), run.dtype)

    @override
    def listed(self, run: Tape, rule: Counted) -> Lists:
        trace, neuron, _ = run.kept[self]
        return scan.open_entries(trace, neuron, rule, self.gate)

    @override
    def send(
        self, run: Tape, feedback: Feedback, rules: Rules, wanted: Wanted, arrived: Arrived
    ) -> Credits:
        return (self.of_current(run, rules, arrived).transpose(0, 1),)

    def of_current(self, run: Tape, rules: Rules, arrived: Arrived) -> Tensor:
        """Credit of the currents in their shape ``[B, T, ...]``, or ``[B, 1, ...]`` (summed)."""
        trace, neuron, shape = run.kept[self]
        layout = "frames" if shape[1] == run.steps else "summed"
        n = scan.credit_scan(
            trace,
            neuron,
            self.split(rules),
            self.back,
            layout=layout,
            carried=self.carried(run, (shape[0], *shape[2:])),
            **arrived._asdict(),
        )
        return torch.from_numpy(n)[:, : trace.units].reshape(shape)


def _by_sample(x: Tensor) -> np.ndarray:
    """Dense ``[T, B, ...]`` as kernels take it, ``[B, T, N]``."""
    return x.transpose(0, 1).flatten(2).contiguous().numpy()


def numpy_dtype(dtype: torch.dtype) -> np.dtype:
    """The dtype of numpy that has the name of a dtype of torch."""
    return torch.empty(0, dtype=dtype).numpy().dtype


def as_spikes(out: Lists, shape: Sequence[int]) -> Spikes:
    """The lists of a kernel as :class:`~lfp_snn.Spikes`; both share memory."""
    values = None if out.values is None else torch.from_numpy(out.values)
    return Spikes(torch.from_numpy(out.indptr), torch.from_numpy(out.indices), shape, values)


def as_tensor(out: Lists, shape: Sequence[int], dtype: torch.dtype) -> Tensor:
    """The lists of a kernel as a dense tensor ``[T, B, ...]`` with memory of its own."""
    dense = np.empty((*shape[:2], math.prod(shape[2:])), numpy_dtype(dtype))
    return torch.from_numpy(dense_from_lists(out, dense)).view(*shape)


def as_lists(x: Spikes) -> Lists:
    """Spikes as the lists of a kernel; both share memory."""
    values = None if x.values is None else x.values.numpy()
    return Lists(x.indptr.numpy(), x.indices.numpy(), values)


def membranes_of(trace: scan.Trace, frame: torch.Size) -> Tensor:
    """Membranes ``[T, B, ...]`` of a recorded trace."""
    w = torch.from_numpy(trace.w[:, :, : trace.units].copy())
    return w.transpose(0, 1).reshape(trace.steps, *frame)


def _one_each(value: Tensor, neurons: torch.Size) -> Tensor:
    """A constant for each neuron of a frame, or one for all."""
    if value.numel() == 1:
        return value
    # An axis of the batch is 1.
    return value.reshape(value.shape[-len(neurons) :]).expand(neurons)
