"""Stages of neurons that run step by step: with further states, or a synapse of their own.

The mathematics is in :mod:`lfp_snn.cells`, and in :mod:`lfp_snn.engine.recurrent` for what the
spikes of the step before do. One scan forwards and one backwards serve all these neurons.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, NamedTuple

import snntorch as snn
import torch
from torch import Tensor
from typing_extensions import override

from lfp_snn import cells
from lfp_snn.engine.neurons import Population, reduce_to
from lfp_snn.engine.recurrent import Recurrence
from lfp_snn.engine.stage import Credits, Feedback, Rules, Tape, Wanted
from lfp_snn.errors import NetworkError, ShapeError
from lfp_snn.rules import CONTRIBUTION, CreditRule, Rule

__all__ = ["Alpha", "Lapicque", "RLeaky", "RSynaptic", "Stepped", "Synaptic"]


class _Trace(NamedTuple):
    """Record of a pass: ``[T, B, ...]``, states ``[S, T, B, ...]``, and the ``first`` states."""

    arrived: Tensor
    spikes: Tensor
    states: Tensor
    first: Tensor
    cell: cells.Cell


class Stepped(Population):
    """The base of neurons that run step by step.

    The state for a stream is ``[S, B, ...]``, with the membrane last; where there is a recurrent
    synapse, the last spikes stand behind it.
    """

    #: The neurons' own synapse, if they have one.
    recurrence: Recurrence | None = None

    @abstractmethod
    def cell(self, frame: torch.Size, dtype: torch.dtype) -> cells.Cell:
        """The constants of the neurons for currents ``[B, ...]`` of that shape and dtype.

        Raises:
            ShapeError: a constant does not fit the shape of the current.
            NetworkError: a constant is out of range.
        """

    def gained(self, value: Tensor) -> Tensor:
        """A current, or a credit on its way back, times the neuron's gain."""
        return value

    def constant(self, name: str, frame: torch.Size, dtype: torch.dtype) -> Tensor:
        """A decay of the module, by its name, within [0, 1].

        Raises:
            ShapeError: the decay does not fit the shape of the current.
        """
        value: Tensor = getattr(self.module, name)
        self.check_fits(name, value, frame)
        return value.detach().clamp(0, 1).to(dtype)

    @override
    def forward(self, run: Tape, *inputs: Tensor) -> Tensor:
        (current,) = inputs
        frame = current.shape[1:]
        cell = self.cell(frame, current.dtype)
        first = self._first(run, current, cell)
        arrived = self.gained(current).expand(run.steps, *frame)
        arrived = arrived.clone(memory_format=torch.contiguous_format)  # what recurs is added
        spikes = torch.empty_like(arrived)
        states = torch.empty(
            (cell.states, *arrived.shape), dtype=arrived.dtype, device=current.device
        )
        before, spoken = first[: cell.states], first[cell.states :]
        alive = run.running(current.dim())
        for t in range(run.steps):
            if self.recurrence is not None:
                arrived[t] += self.recurrence.current(spoken[0])
            spike, after = cell.step(arrived[t], before)
            if alive is not None:
                after = torch.where(alive[t], after, before)
                spoken = torch.where(alive[t], spike, spoken)
                spike = spike * alive[t]
            else:
                spoken = spike[None]
            spikes[t], states[:, t], before = spike, after, after
        run.final_state[self.name] = torch.cat([before, spoken[: len(first) - cell.states]])
        run.membranes = states[-1]
        run.count(self.name, spikes.sum(), spikes[0, 0].numel())
        run.keep(self, _Trace(arrived, spikes, states, first, cell))
        return spikes

    def _first(self, run: Tape, current: Tensor, cell: cells.Cell) -> Tensor:
        """The states before the first step, and with a recurrent synapse the spikes."""
        expected = (cell.states + (self.recurrence is not None), *current.shape[1:])
        state = run.state.get(self.name)
        if state is None:
            return current.new_zeros(expected)
        if state.shape != expected:
            raise ShapeError(
                f"The state of neuron '{self.name}' ({self.describe()}) has the shape "
                f"{tuple(state.shape)}; its states need {expected}."
            )
        return state

    @override
    def spikes(self, run: Tape) -> Tensor:
        spikes: Tensor = run.kept[self].spikes
        return spikes

    @override
    def credit_relevance(
        self, run: Tape, relevance: Tensor, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        trace: _Trace = run.kept[self]
        rule = rules[self.name]

        def back(t: int, handed: Tensor, later: Tensor, before: Tensor) -> cells.Handed:
            total = relevance[t] + trace.spikes[t] * later[0] if len(later) else relevance[t]
            return trace.cell.credit(rule, total, handed, trace.arrived[t], before)

        return self._scan(run, rule, back, feedback)

    @override
    def receive_credit(
        self, run: Tape, rule: CreditRule, arriving: cells.Arriving, feedback: Feedback
    ) -> Credits:
        trace: _Trace = run.kept[self]
        credit, relevance, at_output = arriving
        direct = torch.zeros_like(trace.arrived)

        def back(t: int, handed: Tensor, later: Tensor, before: Tensor) -> cells.Handed:
            c = None if credit is None else credit[t]
            if len(later):
                c = later[0] if c is None else c + later[0]
            now = cells.Arriving(c, None if relevance is None else relevance[t], at_output)
            found, direct[t] = trace.cell.rescale(rule, now, handed, trace.arrived[t], before)
            return found

        found = self._scan(run, rule, back, feedback)
        self._learn_distance(direct, feedback)
        return found

    def _scan(
        self,
        run: Tape,
        rule: Rule,
        back: Callable[[int, Tensor, Tensor, Tensor], cells.Handed],
        feedback: Feedback,
    ) -> Credits:
        """Go back through all steps, the last one first.

        Args:
            run: the recorded pass.
            rule: the rule of the neurons.
            back: the function that goes back through step t, from what the step that follows hands
                to the states and, as credit ``[1, B, ...]`` where there is a recurrent synapse, to
                the spikes, and from the states before.
            feedback: the sums to which decays, threshold and recurrent synapse add.
        """
        trace: _Trace = run.kept[self]
        arrived, spikes, states, first, cell = trace
        if self.recurrence is not None and rule.at_synapse != CONTRIBUTION:
            raise NetworkError(
                f"Neuron '{self.name}' ({type(self.module).__name__}) has a recurrent synapse, for "
                f"which there is no {rule!r}: give it epsilon, norm, pass or rescale, as a "
                "composite can."
            )
        n, credits = torch.empty_like(arrived), []
        learns = feedback.wanted(*self.module.parameters(recurse=False))
        # What the steps that follow this chunk of time hand back: to the states, and behind that
        # the credit of the last spikes.
        carried = run.carried.get(self.name, torch.zeros_like(first))
        handed, later = carried[: cell.states], carried[cell.states :]
        for t in reversed(range(len(arrived))):
            before = states[:, t - 1] if t else first[: cell.states]
            n[t], handed, each = back(t, handed, later, before)
            if learns:
                credits.append(each)
            if self.recurrence is not None:
                later = self.recurrence.back(n[t])[None]
        run.carried[self.name] = torch.cat([handed, later])
        if self.recurrence is not None:
            self.recurrence.learn(feedback, n, torch.cat([first[-1:], spikes[:-1]]))
        if learns:
            self._learn(trace, torch.stack(credits[::-1], 1), feedback)
        return (self.gained(n),)

    def _learn(self, trace: _Trace, credits: Tensor, feedback: Feedback) -> None:
        """Add to the feedback of decays and threshold."""
        first = trace.first[: trace.cell.states, None]
        before = torch.cat([first, trace.states[:, :-1]], 1)
        for name, each in trace.cell.sums(credits, trace.arrived, before).items():
            parameter = getattr(self.module, name)
            total = reduce_to(each.sum((0, 1)), parameter)
            if name != "threshold":  # decays are clamped: beyond, the membrane does not see them
                total = total * ((parameter >= 0) & (parameter <= 1))
            feedback.add(parameter, total)

    @override
    def parameters(self) -> dict[str, Tensor]:
        own = {} if self.recurrence is None else self.recurrence.parameters()
        return super().parameters() | own


class Lapicque(Stepped):
    r"""``snntorch.Lapicque``: a leaky membrane with the gain and the leak of an RC circuit.

    .. math::

        u_t = o_t \Bigl(\bigl(1 - \tfrac{\Delta t}{RC}\bigr) v_t +
        \tfrac{\Delta t}{C} I_t\Bigr) - \theta r_t

    The current times the gain is what arrives, so that the synapse gets :math:`n_t \Delta t / C`.
    Where ``beta`` is given instead of C, snntorch works C out once, when the neuron is built: a
    ``beta`` that learns would move nothing, and is refused.
    """

    module: snn.Lapicque

    def __init__(self, name: str, module: Any) -> None:
        super().__init__(name, module)
        if module.beta.requires_grad:
            raise NetworkError(
                f"Neuron '{name}' (Lapicque) has learn_beta=True, but snntorch reads its beta only "
                "once, when the neuron is built: build it without, or take snn.Leaky, whose beta "
                "learns."
            )

    @override
    def cell(self, frame: torch.Size, dtype: torch.dtype) -> cells.Cell:
        for name in ("R", "C", "time_step"):
            self.check_fits(name, getattr(self.module, name), frame)
        return cells.Membrane(self.dynamics(frame, dtype))

    @override
    def decay(self) -> Tensor:
        neuron: Any = self.module
        decay: Tensor = 1 - neuron.time_step / (neuron.R * neuron.C)
        return decay

    @override
    def gained(self, value: Tensor) -> Tensor:
        # In snntorch's order of operations, so that equal currents give equal spikes.
        neuron: Any = self.module
        scaled: Tensor = value * neuron.R * (1 / (neuron.R * neuron.C)) * neuron.time_step
        return scaled

    @override
    def parameters(self) -> dict[str, Tensor]:
        own = {name: getattr(self.module, name) for name in ("R", "C")}
        return own | {"threshold": self.module.threshold}


class RLeaky(Stepped):
    """``snntorch.RLeaky``: a leaky membrane that hears the spikes of the step before."""

    module: snn.RLeaky

    def __init__(self, name: str, module: Any) -> None:
        super().__init__(name, module)
        self.recurrence = Recurrence(name, module)

    @override
    def cell(self, frame: torch.Size, dtype: torch.dtype) -> cells.Cell:
        return cells.Membrane(self.dynamics(frame, dtype))


class Synaptic(Stepped):
    """``snntorch.Synaptic``: a synaptic current of its own before the membrane."""

    module: snn.Synaptic
    states = cells.SynapticCell.states

    @override
    def cell(self, frame: torch.Size, dtype: torch.dtype) -> cells.Cell:
        return cells.SynapticCell(self.dynamics(frame, dtype), self.constant("alpha", frame, dtype))

    @override
    def parameters(self) -> dict[str, Tensor]:
        return {"alpha": self.module.alpha} | super().parameters()


class RSynaptic(Synaptic):
    """``snntorch.RSynaptic``: a synaptic current that hears the spikes of the step before."""

    module: snn.RSynaptic

    def __init__(self, name: str, module: Any) -> None:
        super().__init__(name, module)
        if not module.reset_delay:
            raise NetworkError(
                f"Neuron '{name}' (RSynaptic) has reset_delay=False, at which snntorch's own "
                "RSynaptic fails: build it with reset_delay=True."
            )
        self.recurrence = Recurrence(name, module)


class Alpha(Stepped):
    """``snntorch.Alpha``: the membrane as the difference of two synaptic currents."""

    module: snn.Alpha
    states = cells.AlphaCell.states
    answers_late = True

    @override
    def cell(self, frame: torch.Size, dtype: torch.dtype) -> cells.Cell:
        cell = cells.AlphaCell(self.dynamics(frame, dtype), self.constant("alpha", frame, dtype))
        beta = cell.dynamics.beta
        if beta.device.type == "cpu" and bool((cell.alpha <= beta).any()):
            raise NetworkError(
                f"Neuron '{self.name}' (Alpha) has alpha {float(cell.alpha.min()):g} and beta "
                f"{float(beta.max()):g}; expected alpha > beta everywhere, the "
                "excitatory current to last longer."
            )
        return cell

    @override
    def parameters(self) -> dict[str, Tensor]:
        return {"alpha": self.module.alpha} | super().parameters()
