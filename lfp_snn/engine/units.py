r"""Stages of units without a state: activations of ordinary networks, and readouts.

A unit has no kept part, so that all its relevance belongs to what arrived. With the pre-activation
:math:`z`, the activation :math:`a = f(z)` and the credit :math:`c` of :math:`a`, the relevance
:math:`R = a c` is handed on to :math:`z` as it is, and a rule makes of it the credit of :math:`z`:

.. math:: n = \mathrm{sgn}(z)\, \mathrm{split}(R;\; 0,\, 0,\, |z|)
          \;=\; \frac{R}{z + \varepsilon\, \mathrm{sgn}(z)} \quad \text{for Epsilon}

with sgn(0) = 1. ``docs/method.md``, "Networks without time", says why the sign is there.

A softmax is no function of single units, and has a rule of its own (:class:`Softmax`).
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from typing_extensions import override

from lfp_snn.activations import Step
from lfp_snn.cells import Arriving
from lfp_snn.engine.stage import Credits, Feedback, Rules, Spiking, Tape, Wanted
from lfp_snn.errors import NetworkError
from lfp_snn.rules import CreditRule, Rule

__all__ = ["Activation", "PReLU", "Readout", "Softmax", "StepUnits"]


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
        self.rest = self.resting()

    def resting(self) -> float:
        """The value ``f(0)`` that a unit gives without any input."""
        return float(self.value(torch.zeros((), dtype=torch.float64)))

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


class PReLU(Activation):
    r"""``nn.PReLU``: :math:`a = z` above zero and :math:`a = w z` below, with a slope that learns.

    .. math::

        \mathrm{feedback}(w) = |w| \sum_{t,b} c\, z\, [z < 0]
        = \mathrm{sgn}(w) \sum_{t,b} R\, [z < 0]
    """

    module: nn.PReLU

    @override
    def resting(self) -> float:
        return 0.0

    @override
    def value(self, drive: Tensor) -> Tensor:
        return torch.where(drive < 0, drive * self._slope(drive), drive)

    def _slope(self, drive: Tensor) -> Tensor:
        """The slope in a shape that broadcasts over ``[T, B, C, ...]``."""
        slope = self.module.weight.detach().to(drive.dtype)
        if slope.numel() == 1:
            return slope[0]
        if drive.dim() < 3 or drive.shape[2] != len(slope):
            raise self.misfit(f"{len(slope)} channels", drive.shape)
        return slope.view(-1, *(1,) * (drive.dim() - 3))

    @override
    def credit_relevance(
        self, run: Tape, relevance: Tensor, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        drive, value = run.kept[self]
        if feedback.wanted(self.module.weight):
            below = torch.where((drive < 0) & (value != 0), relevance / value * drive, 0)
            axes = [k for k in range(below.dim()) if k != 2 or self.module.num_parameters == 1]
            feedback.add(self.module.weight, below.sum(axes).view_as(self.module.weight))
        return super().credit_relevance(run, relevance, feedback, rules, wanted)


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


class Softmax(Activation):
    r"""A softmax along an axis of the sample, :math:`a = \mathrm{softmax}(z)`.

    Expanded to first order at :math:`z`, with a constant that takes its share as a bias does, the
    relevance of :math:`z_i` is

    .. math::

        R_i = z_i \Big(R_i^\mathrm{out} - a_i \sum_j R_j^\mathrm{out}\Big) = z_i n_i
        \qquad R^\mathrm{out} = a c

    so that the credit :math:`n` of :math:`z` is that in brackets, whatever the rule.

    Raises:
        NetworkError: the axis is that of the batch, or is not said.

    Source: Achtibat et al., AttnLRP, ICML 2024 (Proposition 3.1).
    """

    module: nn.Softmax

    def __init__(self, name: str, module: nn.Module) -> None:
        super().__init__(name, module)
        if self.module.dim is None:
            raise NetworkError(
                f"Stage '{name}' (Softmax) is not told its axis: give it dim, for instance -1."
            )

    @override
    def forward(self, run: Tape, *inputs: Tensor) -> Tensor:
        (z,) = inputs
        if self._axis(z) < 2:
            raise NetworkError(
                f"Stage '{self.name}' takes a softmax over samples (axis 0); keep that axis, for "
                "instance with x.softmax(-1)."
            )
        return super().forward(run, z)

    def _axis(self, like: Tensor) -> int:
        """The axis of ``[T, B, ...]``."""
        dim, count = self.module.dim, like.dim() - 1  # time is not among those of the module
        assert dim is not None
        if not -count <= dim < count:
            raise self.misfit(f"the axis {dim}", like.shape)
        return dim % count + 1

    @override
    def resting(self) -> float:
        return 0.0  # the constant of the expansion is that of the rule

    @override
    def value(self, drive: Tensor) -> Tensor:
        return drive.softmax(self._axis(drive))

    @override
    def note(self, run: Tape, value: Tensor) -> None:
        """Count the units that have more than an equal share."""
        above = (value * value.shape[self._axis(value)] > 1).sum()
        run.count(self.name, above * (run.steps // len(value)), value[0, 0].numel())

    @override
    def credit_relevance(
        self, run: Tape, relevance: Tensor, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        _, value = run.kept[self]
        return (relevance - value * relevance.sum(self._axis(value), keepdim=True),)

    @override
    def rule(self, rules: Rules) -> str:
        return "R - a sum R"


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
