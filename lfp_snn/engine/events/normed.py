"""Layers on events whose currents are normalised."""

from __future__ import annotations

from torch import Tensor
from typing_extensions import override

from lfp_snn.engine.events.layer import EventLayer
from lfp_snn.engine.norms import Normalisation
from lfp_snn.engine.stage import Feedback, Measured, Rules, Tape

__all__ = ["EventNormed"]


class EventNormed(EventLayer):
    """A layer with a normalisation between its currents and its neurons.

    Attributes:
        norm: the reference stage of the normalisation.
    """

    norm: Normalisation

    @override
    def normed(self, run: Tape, current: Tensor) -> Tensor:
        return self.norm.forward(run, current.transpose(0, 1)).transpose(0, 1).contiguous()

    @override
    def unnormed(self, run: Tape, n: Tensor, feedback: Feedback, rules: Rules) -> Tensor:
        credit = n.transpose(0, 1)
        (before,) = self.norm.backward(run, credit, feedback, rules, [credit.shape])
        assert isinstance(before, Tensor)
        return before.transpose(0, 1)

    @property
    @override
    def measured(self) -> Measured | None:
        return self.norm.measured

    @property
    @override
    def measured_by(self) -> str:
        return self.norm.name

    @override
    def sit_out(self, run: Tape) -> None:
        self.norm.sit_out(run)

    @override
    def sit_out_backward(self, run: Tape, rules: Rules, *, before: bool) -> None:
        self.norm.sit_out_backward(run, rules, before=True)  # its own synapse is before it

    @override
    def parameters(self) -> dict[str, Tensor]:
        own = {f"norm {name}": value for name, value in self.norm.parameters().items()}
        return super().parameters() | own

    @override
    def describe(self) -> str:
        return f"{super().describe()}, {self.norm.describe()}"
