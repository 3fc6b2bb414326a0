"""What a stage is, and what a forward pass remembers.

A network is a program of stages. Every stage turns values into a value on the way forward, and
the credit of its value into credits of its inputs on the way back. A value is a tensor
``[T, B, ...]``, or ``[1, B, ...]`` where it is constant over time. Credit has the shape of its
value, and a relevance is ``value * credit``. Rules that hand relevance to silent inputs let a
:class:`Relevance` travel beside the credit, ``value * credit + r``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from typing_extensions import override

from lfp_snn.cells import Arriving
from lfp_snn.engine.exchange import Exchange
from lfp_snn.errors import NetworkError, ShapeError
from lfp_snn.lif import running
from lfp_snn.rules import Active, Rule, Update, widest
from lfp_snn.spikes import Spikes

__all__ = [
    "Credits",
    "Demand",
    "Feedback",
    "Form",
    "Pass",
    "Relevance",
    "Rules",
    "Spiking",
    "Stage",
    "Value",
    "Wanted",
]

#: What travels between stages.
Value = Tensor | Spikes
#: The form of a value or of credit: the shape ``[T, B, ...]``, or the list of its entries.
Form = torch.Size | Spikes
#: In what form each input's credit is wanted; None where it is not.
Wanted = Sequence[Form | None]
#: The rule of each synapse and population of neurons, by name.
Rules = Mapping[str, Rule]


@dataclass(frozen=True)
class Relevance:
    """Relevance ``r`` of a value, ``[T, B, ...]`` dense, that is no multiple of it."""

    value: Tensor


#: Credit for each input of a stage, or its relevance; None where it was not wanted.
Credits = tuple[Tensor | Relevance | None, ...]


@dataclass
class Pass:
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
        exchange: with the processes that have the other samples of the batch, if there are any.
    """

    steps: int
    batch: int
    lengths: Tensor | None
    state: dict[str, Tensor]
    record: bool
    dtype: torch.dtype
    kept: dict[Stage, Any] = field(default_factory=dict)
    final_state: dict[str, Tensor] = field(default_factory=dict)
    forms: list[torch.Size | Spikes] = field(default_factory=list)
    membranes: Tensor | None = None
    carried: dict[str, Tensor] = field(default_factory=dict)
    drawn: dict[Stage, Tensor] = field(default_factory=dict)
    arrived: dict[str, Tensor] = field(default_factory=dict)
    exchange: Exchange | None = None
    _spikes: dict[str, tuple[Tensor, int]] = field(default_factory=dict)

    def running(self, dims: int) -> Tensor | None:
        """Bool ``[T, B, 1, ...]``, true until a sample's end; None if all run for T."""
        return None if self.lengths is None else running(self.lengths, self.steps, dims)

    def every_step(self, value: Tensor) -> Tensor:
        """``[T, B, ...]``, also where a value is constant over time."""
        return value.expand(self.steps, *value.shape[1:])

    def keep(self, stage: Stage, what: Any) -> None:
        """Keep something for the way back, if there will be one."""
        if self.record:
            self.kept[stage] = what

    def count(self, neuron: str, spikes: Tensor, units: int) -> None:
        """Note how often a population of so many neurons has fired."""
        self._spikes[neuron] = (spikes, units)

    def add_counts(self, chunk: Pass) -> None:
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


class Feedback:
    """Feedback of parameters over their uses, ``|p| * sum n * du/dp``.

    Most stages hand in the sum of each use; the factor is applied once, when all are in. Among
    several processes, sums leave for the others as soon as they are complete, while credit still
    flows through the layers before.

    Args:
        update: what is made of the sums instead.
        exchange: with other processes, if there are any.
    """

    def __init__(self, update: Update | None = None, exchange: Exchange | None = None) -> None:
        self.update = Update() if update is None else update
        self.exchange = exchange
        #: Is more to come for every parameter, of earlier chunks of time?
        self.held = False
        self._sums: dict[nn.Parameter, Tensor] = {}
        self._scaled: dict[nn.Parameter, Tensor] = {}
        self._sent: dict[nn.Parameter, None] = {}
        self._own: set[int] = set()  # sums that were made here, to which more is added in place

    @staticmethod
    def wanted(*parameters: Tensor | None) -> bool:
        """Does any of these take feedback?"""
        return any(isinstance(p, nn.Parameter) and p.requires_grad for p in parameters)

    def add(self, parameter: Tensor | None, total: Tensor | None, *, scaled: bool = False) -> None:
        """Add one use of a parameter; what takes no feedback is dropped.

        Args:
            parameter: may be a buffer or None, which takes none.
            total: ``sum n * du/dp`` of this use.
            scaled: ``total`` is feedback already; it is handed over and not copied.
        """
        if total is None or not isinstance(parameter, nn.Parameter) or not parameter.requires_grad:
            return
        assert parameter not in self._sent, "its sum has already been sent"
        totals = self._scaled if scaled else self._sums
        known = totals.get(parameter)
        if known is None:
            totals[parameter] = total
        elif id(known) in self._own:
            known.add_(total)
        else:
            totals[parameter] = known + total
            self._own.add(id(totals[parameter]))

    def complete(self, parameters: Iterable[Tensor]) -> None:
        """Send the sums of parameters that nothing will be added to, to be summed over processes.

        What has been sent is left alone. Every process says this of the same parameters in the
        same order, whether or not it has anything for them.
        """
        if self.exchange is None or self.held:
            return
        with torch.inference_mode(False), torch.no_grad():
            for p in parameters:
                if isinstance(p, nn.Parameter) and p.requires_grad and p not in self._sent:
                    self._sent[p] = None
                    for part in self._parts(p):
                        self.exchange.add(part, like=p)

    def _parts(self, p: nn.Parameter) -> tuple[Tensor | None, ...]:
        """What is summed over processes: feedback, or what it is made of if it is not linear."""
        total, scaled = self._sums.get(p), self._scaled.get(p)
        if not self.update.linear:
            return total, scaled
        own = None if total is None else self.update.feedback(p, total)
        return (scaled if own is None else own if scaled is None else own + scaled,)

    def _receive(self, exchange: Exchange) -> None:
        """Put the sums over all processes in the place of those of this one."""
        found = iter(exchange.collect())
        self._sums, self._scaled = {}, {}
        kinds = (self._scaled,) if self.update.linear else (self._sums, self._scaled)
        for p in self._sent:
            for kind in kinds:
                total = next(found)
                if total is not None:
                    kind[p] = total

    def collect(self) -> dict[nn.Parameter, Tensor]:
        """The feedback of every parameter, as ordinary tensors."""
        with torch.inference_mode(False), torch.no_grad():
            if self.exchange is not None:
                self._receive(self.exchange)
            feedback = {p: self.update.feedback(p, total) for p, total in self._sums.items()}
            for p, total in self._scaled.items():
                feedback[p] = feedback[p] + total if p in feedback else total
        return feedback

    def hand_out(self, parameters: Iterable[nn.Parameter], *, accumulate: bool = False) -> None:
        """Set ``feedback`` and ``grad = -feedback`` of parameters, or add to what is there.

        Without ``accumulate``, feedback of those that got none is taken away: what was frozen
        since an earlier pass would still be moved by its old gradient.
        """
        parameters = list(parameters)
        self.complete(parameters)  # what no stage names as its own goes last
        totals = self.collect()
        with torch.inference_mode(False), torch.no_grad():
            for parameter, total in totals.items():
                known: Tensor | None = getattr(parameter, "feedback", None)
                grad = parameter.grad
                feedback = known + total if accumulate and known is not None else total
                parameter.feedback = feedback  # type: ignore[attr-defined]
                parameter.grad = grad - total if accumulate and grad is not None else -total
        if accumulate:
            return
        for parameter in parameters:
            if parameter not in totals and hasattr(parameter, "feedback"):
                parameter.feedback = parameter.grad = None


@dataclass(frozen=True)
class Demand:
    """What a kernel must know to serve a stage; None where that plays no part in it.

    Args:
        kind: what the stage is, see :attr:`Stage.kind`.
        split: name of the formula at the neuron.
        sharing: name of the formula at the synapse.
        reset: of the membrane after a spike.
    """

    kind: str
    split: str | None = None
    sharing: str | None = None
    reset: str | None = None


class Stage(ABC):
    """One stage of a program.

    **What a stage says of itself.** Kernels are found by :meth:`demand`. Where credit is needed is
    told from the bottom up, twice: :meth:`active` by rules alone, when kernels are chosen, and
    :meth:`asks` with the entries of a pass, when credit flows. A stage finds what its inputs ask
    for in ``wanted``.

    Args:
        name: the module's path in the network, or the name that torch.fx gave to a function.
        module: the module that it stands for; a description of it if it is a function.
    """

    module: nn.Module | None

    def __init__(self, name: str, module: nn.Module | None = None) -> None:
        self.name = name
        self.module = module

    #: Does forward take Spikes as they are? Others are given tensors.
    takes_spikes: ClassVar[bool] = False
    #: Does a list of spikes leave as a list?
    keeps_lists: ClassVar[bool] = False
    #: Does it leave a list of spikes, whatever it takes?
    makes_lists: ClassVar[bool] = False

    @property
    def kind(self) -> str:
        """What it is to a kernel: its class, and what makes it special behind a comma."""
        return type(self).__name__

    def demand(self, rules: Rules) -> Demand:
        """What a kernel must know to serve it."""
        return Demand(self.kind)

    def active(self, rules: Rules, below: Sequence[Active]) -> Active:
        """The entries of its value at which credit is needed, from what its inputs need.

        A stage without weights hands credit on and needs it wherever one of its inputs does.
        """
        return widest(below)

    def asks(self, run: Pass, rules: Rules, form: Form, below: Wanted) -> Form:
        """In which form it needs credit of its value, once a pass has been run.

        Args:
            run: the recorded pass.
            rules: of this backward pass.
            form: of its value.
            below: what its inputs ask for.

        Returns:
            The form of the value, unless the stage says otherwise: one number for each entry of a
            list, since what was silent has no relevance. A population that gives credit to silent
            neurons asks for the list of those too, with its spikes as the values of the entries,
            and stages that hand lists on ask for what their input asks for.
        """
        return form

    @abstractmethod
    def forward(self, run: Pass, *inputs: Any) -> Value:
        """The value of this stage."""

    @abstractmethod
    def backward(
        self, run: Pass, credit: Tensor, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        """Credit of each input that wants it; adds this stage's sums to the feedback.

        Credit arrives in the form that this stage :meth:`asks` for. That of an input is dense or
        in the form that ``wanted`` holds. A dense one may keep the time axis of ``[T, ...]`` where
        the input is constant, or any other axis that the input broadcasts over: the program sums
        it to the shape of the value.
        """

    def hand_on(self, run: Pass, relevance: Tensor) -> tuple[Tensor, ...]:
        """Relevance of each input from a relevance ``r`` of this stage's value, of its shape.

        Raises:
            NetworkError: the stage cannot tell silent inputs apart.
        """
        raise NetworkError(
            f"Stage '{self.name}' ({self.describe()}) feeds a layer whose rule hands relevance to "
            "silent inputs (Flat, WSquare, ZBox), and cannot hand it on: give that layer another "
            "rule, or put neurons between the two."
        )

    def parameters(self) -> dict[str, Tensor]:
        """Parameters and constants of this stage, for the program's table."""
        return {} if self.module is None else dict(self.module.named_parameters(recurse=False))

    def describe(self) -> str:
        """What kind of stage this is, in a word or two."""
        return type(self).__name__ if self.module is None else type(self.module).__name__

    def rule(self, rules: Rules) -> str:
        """The rule of this stage, for the program's table."""
        return "-"

    def misfit(self, expected: str, shape: Sequence[int]) -> ShapeError:
        """The error of an input that this stage cannot take."""
        return ShapeError(
            f"Stage '{self.name}' ({self.describe()}) expects {expected} for each sample and step, "
            f"but its input has the shape {tuple(shape)[2:]} (after the axes T and B)."
        )


class Spiking(Stage):
    """A stage that ends in neurons, or in other units that are not linear.

    Only here does relevance take part: ``R = s * c``.
    """

    module: nn.Module
    #: Do the units keep a state from step to step, as neurons do?
    stateful: ClassVar[bool] = True
    #: Are they 0 or 1, or any number?
    emits: ClassVar[Literal["spikes", "values"]] = "spikes"

    @override
    def demand(self, rules: Rules) -> Demand:
        return Demand(self.kind, split=rules[self.name].at_neuron.name)

    @override
    def active(self, rules: Rules, below: Sequence[Active]) -> Active:
        return rules[self.name].active

    @abstractmethod
    def spikes(self, run: Pass) -> Tensor:
        """Spikes or values of a recorded pass, ``[T, B, ...]``, or ``[1, B, ...]`` if constant."""

    @override
    def backward(
        self, run: Pass, credit: Tensor, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        return self.receive(run, Arriving(credit), feedback, rules, wanted)

    def receive(
        self, run: Pass, arriving: Arriving, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        """As :meth:`backward`, from credit and relevance ``[T, B, ...]``.

        Unless the stage says otherwise, credit becomes relevance at the spikes. At the output it is
        a reward, which is relevance as it is, also where the output is silent.
        """
        credit, relevance, at_output = arriving
        if credit is not None:
            arrived = credit if at_output else self.spikes(run) * credit
            relevance = arrived if relevance is None else relevance + arrived
        assert relevance is not None
        return self.credit_relevance(run, relevance, feedback, rules, wanted)

    @abstractmethod
    def credit_relevance(
        self, run: Pass, relevance: Tensor, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        """As :meth:`backward`, from the relevance ``R`` ``[T, B, ...]`` at the spikes."""
