"""The base classes of stages, and what a kernel must know of one.

A network is a program of stages. Every stage turns values into a value on the way forward, and
the credit of its value into credits of its inputs on the way back. A value is a tensor
``[T, B, ...]``, or ``[1, B, ...]`` where it is constant over time. Credit has the shape of its
value, and a relevance is ``value * credit``. Rules that hand relevance to silent inputs let a
:class:`Relevance` travel beside the credit, ``value * credit + r``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn
from typing_extensions import override

from lfp_snn.cells import Arriving
from lfp_snn.engine.feedback import Feedback
from lfp_snn.engine.tape import Emitted, Form, Tape, Value
from lfp_snn.errors import NetworkError, ShapeError
from lfp_snn.rules import Active, Rule, widest

__all__ = [
    "Credits",
    "Demand",
    "Emitted",
    "Feedback",
    "Form",
    "Measured",
    "Relevance",
    "Routing",
    "Rules",
    "Spiking",
    "Stage",
    "Tape",
    "Value",
    "Wanted",
]

#: In what form each input's credit is wanted; None where it is not.
Wanted = Sequence[Form | None]
#: The rule of each synapse and population of neurons, by name.
Rules = Mapping[str, Rule]


@dataclass(frozen=True)
class Relevance:
    """A relevance ``r`` of a value, dense ``[T, B, ...]``, that is no multiple of the value."""

    value: Tensor


#: Of what a normalisation takes statistics: each sample at each step; a step, over the batch, with
#: what belongs to that step alone; the whole sequence, over the batch.
Measured = Literal["frame", "step", "sequence"]
#: Credit for each input of a stage, or its relevance; None where it was not wanted.
Credits = tuple[Tensor | Relevance | None, ...]


@dataclass(frozen=True)
class Demand:
    """The demands of a stage on a kernel; None where one plays no part in the stage.

    Args:
        kind: the kind of the stage (:attr:`Stage.kind`).
        split: the name of the formula at the neuron.
        sharing: the name of the formula at the synapse.
        reset: the name of the reset of the membrane after a spike.
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

    #: Does it take values and credit of a narrower type than that of the network as they are?
    #: Others are given them in the type of the network.
    takes_narrow: ClassVar[bool] = False

    #: Does forward take :class:`~lfp_snn.backends.packed.PackedSpikes` as they are?
    takes_packed: ClassVar[bool] = False

    #: Does it normalise currents?
    normalises: ClassVar[bool] = False
    #: Is its value linear in its inputs (but for a constant), and are there no weights?
    linear: ClassVar[bool] = False
    #: Are these voters, or behind them (:meth:`lfp_snn.engine.graph.Program.voting`)? A rule that
    #: takes credit has no gate at voters, as it has none at the output.
    votes: bool = False

    @property
    def measured(self) -> Measured | None:
        """The values that the stage takes its statistics of; None if it takes none."""
        return None

    @property
    def measured_by(self) -> str:
        """The name of the module that takes the statistics."""
        return self.name

    @property
    def kind(self) -> str:
        """Kind by which kernels know the stage: its class, and behind a comma what is special."""
        return type(self).__name__

    def demand(self, rules: Rules) -> Demand:
        """The demands of this stage on a kernel that is to serve it."""
        return Demand(self.kind)

    def active(self, rules: Rules, below: Sequence[Active]) -> Active:
        """The entries of the value at which credit is needed, from what the inputs need.

        A stage without weights hands credit on and needs it wherever one of its inputs does.
        """
        return widest(below)

    def asks(self, run: Tape, rules: Rules, form: Form, below: Wanted) -> Form:
        """The form in which this stage needs credit of its value, once a pass has been run.

        Args:
            run: the recorded pass.
            rules: the rules of this backward pass, by the name of the stage.
            form: the form of the value.
            below: the forms that the inputs ask for.

        Returns:
            The form of the value, unless the stage says otherwise: one number for each entry of a
            list, since what was silent has no relevance. A population that gives credit to silent
            neurons asks for a list that holds them too, with its spikes as the values of the
            entries, and stages that hand lists on ask for what their input asks for.
        """
        return form

    @abstractmethod
    def forward(self, run: Tape, *inputs: Any) -> Emitted:
        """Compute the value of this stage from the values of its inputs."""

    @abstractmethod
    def backward(
        self, run: Tape, credit: Tensor, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        """Compute the credit of each input that wants it; add this stage's sums to the feedback.

        Credit arrives in the form that this stage :meth:`asks` for. The credit of an input is dense
        or in the form that ``wanted`` holds. Dense credit may keep the time axis of ``[T, ...]``
        where the input is constant, or any other axis that the input broadcasts over: the program
        sums it to the shape of the value.
        """

    def sit_out(self, run: Tape) -> None:  # noqa: B027 - most stages exchange nothing
        """Take part in what processes exchange in a forward pass, as one without a sample."""

    def sit_out_backward(self, run: Tape, rules: Rules, *, before: bool) -> None:  # noqa: B027
        """Take part in what processes exchange in a backward pass, as one without a sample.

        Args:
            run: the pass.
            rules: the rule of each stage, by name.
            before: whether anything before this stage takes feedback, so that credit goes on.
        """

    def hand_on(self, run: Tape, relevance: Tensor) -> tuple[Tensor, ...]:
        """The relevance of each input, from a relevance ``r`` in the shape of this stage's value.

        Raises:
            NetworkError: the stage cannot tell silent inputs apart.
        """
        raise NetworkError(
            f"Stage '{self.name}' ({self.describe()}) feeds a layer whose rule hands relevance to "
            "silent inputs (Flat, WSquare, ZBox), and cannot hand it on: give that layer another "
            "rule, or put neurons between the two."
        )

    def parameters(self) -> dict[str, Tensor]:
        """The parameters and constants of this stage by name, for the program's table."""
        return {} if self.module is None else dict(self.module.named_parameters(recurse=False))

    def describe(self) -> str:
        """The kind of this stage in a word or two, for the program's table."""
        return type(self).__name__ if self.module is None else type(self.module).__name__

    def rule(self, rules: Rules) -> str:
        """The rule of this stage, for the program's table."""
        return "-"

    def misfit(self, expected: str, shape: Sequence[int], advice: str = "") -> ShapeError:
        """The error for an input that this stage cannot take."""
        return ShapeError(
            f"Stage '{self.name}' ({self.describe()}) expects {expected} for each sample and step, "
            f"but its input has the shape {tuple(shape)[2:]} (after the axes T and B){advice}."
        )


class Routing(Stage):
    """The base of stages without weights that hand credit on as they hand relevance on."""

    @override
    def backward(
        self, run: Tape, credit: Tensor, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        return self.hand_on(run, credit)


class Spiking(Stage):
    """A stage that ends in neurons, or in other units that are not linear.

    Relevance plays a part in such stages only: ``R = s * c``.
    """

    module: nn.Module
    #: Do the units keep a state from step to step, as neurons do?
    stateful: ClassVar[bool] = True
    #: How many states a neuron keeps: the membrane, currents.
    states: ClassVar[int] = 1
    #: Does an input move the membrane at later steps alone, and not at its own?
    answers_late: ClassVar[bool] = False
    #: Are they 0 or 1, or any number?
    emits: ClassVar[Literal["spikes", "values"]] = "spikes"

    @override
    def demand(self, rules: Rules) -> Demand:
        return Demand(self.kind, split=rules[self.name].at_neuron.name)

    @override
    def active(self, rules: Rules, below: Sequence[Active]) -> Active:
        return rules[self.name].active

    @abstractmethod
    def spikes(self, run: Tape) -> Tensor:
        """Spikes or values of a recorded pass, ``[T, B, ...]``, or ``[1, B, ...]`` if constant."""

    def sent(self, run: Tape) -> Tensor:
        """The value of this stage in a recorded pass: :meth:`spikes`, or what it made of them."""
        return self.spikes(run)

    @override
    def backward(
        self, run: Tape, credit: Tensor, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        return self.receive(run, Arriving(credit), feedback, rules, wanted)

    def receive(
        self, run: Tape, arriving: Arriving, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        """Send credit and relevance ``[T, B, ...]`` back; the result is as of :meth:`backward`.

        Unless the stage says otherwise, credit becomes relevance at the spikes. What arrives at the
        output is a reward, which is relevance as it is, also where the output is silent.
        """
        credit, relevance, at_output = arriving
        if credit is not None:
            arrived = credit if at_output else self.spikes(run) * credit
            relevance = arrived if relevance is None else relevance + arrived
        assert relevance is not None
        return self.credit_relevance(run, relevance, feedback, rules, wanted)

    @abstractmethod
    def credit_relevance(
        self, run: Tape, relevance: Tensor, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        """Send relevance ``R`` ``[T, B, ...]`` at the spikes back; see :meth:`backward`."""
