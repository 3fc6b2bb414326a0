r"""Stages of units without a state: activations of ordinary networks, and readouts.

A unit has no kept part, so that all its relevance belongs to what arrived. With the pre-activation
:math:`z`, the activation :math:`a = f(z)` and the credit :math:`c` of :math:`a`, the relevance
:math:`R = a c` is handed on to :math:`z` as it is, and a rule makes of it the credit of :math:`z`:

.. math:: n = \mathrm{sgn}(z)\, \mathrm{split}(R;\; 0,\, 0,\, |z|)
          \;=\; \frac{R}{z + \varepsilon\, \mathrm{sgn}(z)} \quad \text{for Epsilon}

with sgn(0) = 1. ``docs/method.md``, "Networks without time", says why the sign is there.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from typing_extensions import override

from lfp_snn.activations import Step
from lfp_snn.cells import Arriving
from lfp_snn.engine.stage import Credits, Feedback, Rules, Spiking, Tape, Wanted
from lfp_snn.rules import CreditRule, Rule

__all__ = ["Activation", "Readout", "StepUnits"]


class Activation(Spiking):
    r"""An elementwise activation :math:`a = f(z)`.

    What a unit gives without any input, :math:`f(0)`, did not arrive and takes its share of the
    relevance: :math:`R (a - f(0)) / a` goes to :math:`z`. Nearly all activations have
    :math:`f(0) = 0` and hand on all of it; a sigmoid does not.
    """

    stateful: ClassVar[bool] = False
    emits: ClassVar[Literal["spikes", "values"]] = "values"

    def __init__(self, name: str, module: nn.Module) -> None:
        super().__init__(name, module)
        self.rest = float(self.value(torch.zeros((), dtype=torch.float64)))

    @override
    def forward(self, run: Tape, *inputs: Tensor) -> Tensor:
        (z,) = inputs
        drive = self.drive(run, z.to(run.dtype))
        value = self.value(drive)
        alive = run.running(value.dim())
        if alive is not None:
            value = value * alive
        self.note(run, value)
        run.membranes = run.every_step(drive)
        run.keep(self, (drive, value))
        return value

    def drive(self, run: Tape, z: Tensor) -> Tensor:
        """The drive :math:`z`, of which the activation is a function."""
        return z

    def value(self, drive: Tensor) -> Tensor:
        """The activation; the drive stays as it is, also where the module works in place."""
        value: Tensor = self.module(drive.clone() if getattr(self.module, "inplace", 0) else drive)
        return value

    def note(self, run: Tape, value: Tensor) -> None:
        """Count the active units, which give more than they do without any input."""
        repeats = run.steps // value.shape[0]
        run.count(self.name, (value > self.rest).sum() * repeats, value[0, 0].numel())

    @override
    def spikes(self, run: Tape) -> Tensor:
        value: Tensor = run.kept[self][1]
        return value

    @override
    def credit_relevance(
        self, run: Tape, relevance: Tensor, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        drive, value = run.kept[self]
        if self.rest:
            relevance = torch.where(value == 0, 0, relevance * (1 - self.rest / value))
        return (self.credit(rules[self.name], relevance, drive),)

    def credit(self, rule: Rule, relevance: Tensor, drive: Tensor) -> Tensor:
        """The credit ``n`` of the drive."""
        nothing = torch.zeros_like(drive)
        *_, n = rule.split(relevance, nothing, nothing, drive.abs())
        return torch.where(drive < 0, -n, n)

    @override
    def rule(self, rules: Rules) -> str:
        return repr(rules[self.name])


class StepUnits(Activation):
    r"""The step function with or without noise, :class:`lfp_snn.activations.Step`.

    A leaky neuron at its first step: the credit is that of such a neuron, which keeps the sign of
    the reward also where the unit is silent. What arrived includes the noise, which takes its share
    as a bias does. It is drawn once per forward call and kept over time, as dropout is.
    """

    module: Step
    emits: ClassVar[Literal["spikes", "values"]] = "spikes"

    @override
    def drive(self, run: Tape, z: Tensor) -> Tensor:
        if not self.module.noisy:
            return z
        if self not in run.drawn:
            run.drawn[self] = self.module.draw(z[0])
        return z + run.drawn[self]

    @override
    def value(self, drive: Tensor) -> Tensor:
        return (drive > self.module.threshold).to(drive.dtype)

    @override
    def credit(self, rule: Rule, relevance: Tensor, drive: Tensor) -> Tensor:
        nothing = torch.zeros_like(drive)
        *_, n = rule.split(relevance, nothing, nothing, drive)
        return n

    @override
    def receive(
        self, run: Tape, arriving: Arriving, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        rule = rules[self.name]
        credit, relevance, at_output = arriving
        if credit is None or not isinstance(rule, CreditRule):
            return super().receive(run, arriving, feedback, rules, wanted)
        drive = run.kept[self][0]
        threshold = torch.as_tensor(self.module.threshold).to(drive)
        n = rule.slope(drive, threshold, gated=not (at_output or self.votes)) * credit
        return (n if relevance is None else n + self.credit(rule, relevance, drive),)

    @override
    def describe(self) -> str:
        return f"Step({self.module.extra_repr()})"


class Readout(Activation):
    """The values of a network that ends in no neuron, where the reward enters: ``f(z) = z``.

    A reward that is credit goes on unchanged, whatever the rule.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, nn.Identity())

    @override
    def receive(
        self, run: Tape, arriving: Arriving, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        if arriving.credit is not None:
            return (arriving.credit,)
        return super().receive(run, arriving, feedback, rules, wanted)

    @override
    def note(self, run: Tape, value: Tensor) -> None:
        pass

    @override
    def describe(self) -> str:
        return "Readout"
