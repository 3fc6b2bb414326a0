"""One time step of a network, as the calls that it makes."""

from __future__ import annotations

from dataclasses import dataclass, field

from lfp_snn.engine.calls import Call, Value
from lfp_snn.engine.readings import Gathering, Reading
from lfp_snn.engine.signature import Signature
from lfp_snn.engine.undisturbed import part_of

__all__ = ["OneStep", "StepCalls", "is_membrane"]


@dataclass(frozen=True)
class OneStep:
    """One time step of a network, as calls.

    Args:
        calls: the calls in order.
        inputs: the values that stand for the input of the step.
        output: the value of the output spikes, or of the last stage; the membranes of the last
            neuron, if forward gives them alone.
        signature: a description that is equal for equal steps.
        loops: whether forward loops over time.
        steps: the number of steps of the loop; None for the forward of one step.
        axis: the axis of time in the sequence that the loop goes over; None if the input is
            constant.
        rearranged: the calls that bring the input of forward into the form of that sequence.
        before: the input of forward, before they are called.
        reading: what forward makes of its output over all steps.
        behind: what the last layer takes of the record of all steps, where it comes behind the loop
            and is called once; else None.
    """

    calls: tuple[Call, ...]
    inputs: frozenset[Value]
    output: Value
    signature: Signature
    loops: bool
    steps: int | None
    axis: int | None
    rearranged: tuple[Call, ...]
    before: Value
    reading: Reading = "mean"
    behind: Gathering | None = None

    @property
    def gives_membranes(self) -> bool:
        """Whether forward gives the membranes of its last neuron and not its spikes."""
        return is_membrane(self.output)


@dataclass
class StepCalls:
    """The calls that lead from the inputs of one step to its output."""

    calls: list[Call] = field(default_factory=list)
    inputs: set[Value] = field(default_factory=set)
    signature: Signature = ()


def is_membrane(value: Value) -> bool:
    """Whether a value is the membrane of a neuron."""
    call = value.call
    return call is not None and call.is_neuron and value.part == part_of(call.target, "mem")
