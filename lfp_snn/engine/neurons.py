"""Stages of spiking neurons: their base class, and leaky neurons."""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import replace
from typing import Any, ClassVar, cast

import snntorch as snn
import torch
from torch import Tensor, nn
from typing_extensions import override

from lfp_snn import lif
from lfp_snn.cells import Arriving
from lfp_snn.engine.stage import Credits, Demand, Feedback, Rules, Spiking, Tape, Wanted
from lfp_snn.errors import NetworkError, ShapeError
from lfp_snn.rules import CreditRule
from lfp_snn.rules.base import ratio

__all__ = ["Leaky", "Population", "can_spike", "is_graded", "made_by", "reduce_to"]

#: The reset that each of snntorch's functions of the next membrane has.
_RESETS = {"_base_sub": "subtract", "_base_zero": "zero", "_base_int": "none"}


def can_spike(neuron: nn.Module) -> bool:
    """Whether neurons can spike; a readout has an infinite threshold, and gives its membrane."""
    threshold: Any = neuron.threshold
    return not bool(torch.isinf(threshold).all())


def is_graded(neuron: nn.Module) -> bool:
    """Whether spikes have a value other than 1, or one that learns."""
    factor: Any = neuron.graded_spikes_factor
    return bool(factor.requires_grad or (factor != 1).any())


def made_by(neuron: nn.Module) -> tuple[object, ...]:
    """The functions and values by which a stage of neurons was accepted, beside plain options."""
    own: Any = neuron
    factor: Tensor | None = getattr(own, "graded_spikes_factor", None)
    seen = factor is not None and factor.device.type == "cpu"  # elsewhere a look would wait
    return own.spike_grad, own.state_quant, seen and is_graded(neuron)


class Population(Spiking):
    """The base of all stages of snntorch neurons: constants, checks, and what a table shows.

    Raises:
        NetworkError: the neuron uses an option for which there is no rule; the message names both.
    """

    module: Any
    #: May their spikes have another value than 1?
    takes_graded: ClassVar[bool] = False
    #: Does the network give their membranes alone, so that nothing looks at their spikes?
    unheard: bool = False

    def __init__(self, name: str, module: Any) -> None:
        super().__init__(name, module)
        graded = is_graded(module)
        for option, used in (
            ("inhibition=True", module.inhibition),
            ("state_quant", module.state_quant),
            (
                "graded spikes, which snntorch gives to Leaky alone",
                graded and not self.takes_graded,
            ),
            (
                "reset_delay, which snntorch does not give to it",
                isinstance(module, snn.Alpha | snn.Lapicque) and hasattr(module, "reset_delay"),
            ),
        ):
            if used:
                raise NetworkError(
                    f"Neuron '{name}' ({type(module).__name__}) uses {option}, which has no rule: "
                    "build the neuron without it."
                )
        _refuse_other_reset(name, module)

    @property
    def is_readout(self) -> bool:
        """Whether the neurons are read by their membranes, since they cannot spike or are unheard.

        Finding it looks at values.
        """
        return self.unheard or not can_spike(self.module)

    def read_membranes(self) -> None:
        """Let the membranes alone be what the network gives.

        Neurons that nothing resets have the same membranes whatever their threshold is, so that
        they run with one out of reach, as a readout does.

        Raises:
            NetworkError: an option of the neuron says what becomes of spikes.
        """
        for option, used in (
            ("graded spikes", is_graded(self.module)),
            ("a threshold that learns", self.module.threshold.requires_grad),
        ):
            if used:
                raise NetworkError(
                    f"Neuron '{self.name}' ({type(self.module).__name__}) has {option}, and the "
                    "network gives its membranes and not its spikes: build the neuron without."
                )
        self.unheard = True

    def dynamics(self, frame: torch.Size, dtype: torch.dtype) -> lif.Dynamics:
        """The constants of the neurons for currents ``[B, ...]`` of that shape and dtype.

        Raises:
            ShapeError: beta or threshold does not fit the shape of the current.
            NetworkError: a threshold is negative, or infinite where it is subtracted or learns.
        """
        neuron = self.module
        self.check_fits("beta", neuron.beta, frame)
        self.check_fits("threshold", neuron.threshold, frame)
        on_cpu = neuron.threshold.device.type == "cpu"  # elsewhere a look at values would wait
        if on_cpu and not bool((neuron.threshold >= 0).all()):
            raise NetworkError(
                f"Neuron '{self.name}' has the threshold {float(neuron.threshold.min()):g}; "
                "expected 0 or more."
            )
        moves = neuron.reset_mechanism == "subtract" or neuron.threshold.requires_grad
        if on_cpu and moves and not can_spike(neuron):
            raise NetworkError(
                f"Neuron '{self.name}' subtracts or learns an infinite threshold: a neuron that "
                "never spikes takes reset_mechanism='none' and learn_threshold=False."
            )
        threshold = neuron.threshold.detach().to(dtype)
        return lif.Dynamics(
            beta=self.decay().to(dtype),
            threshold=torch.full_like(threshold, math.inf) if self.unheard else threshold,
            reset=cast(lif.Reset, neuron.reset_mechanism),
            delay=bool(getattr(neuron, "reset_delay", True)),
        )

    def decay(self) -> Tensor:
        """The decay of the membrane per step, in [0, 1]."""
        decay: Tensor = self.module.beta.detach().clamp(0, 1)
        return decay

    def check_fits(self, what: str, value: Tensor, frame: torch.Size) -> None:
        """Refuse a constant that does not fit the current ``[B, ...]``.

        Raises:
            ShapeError: the constant does not fit; the message names the neuron and the constant.
        """
        if not _fits(value.shape, frame):
            raise ShapeError(
                f"Neuron '{self.name}' has {what} of shape {tuple(value.shape)}, which does "
                f"not broadcast to a sample of its current of shape {tuple(frame)} (batch first): "
                "give one value, one per neuron, or (C, 1, 1) for maps."
            )

    @override
    def receive(
        self, run: Tape, arriving: Arriving, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        rule = rules[self.name]
        if isinstance(rule, CreditRule):
            at_end = arriving._replace(at_output=arriving.at_output or self.votes)
            return self.receive_credit(run, rule, at_end, feedback)
        return super().receive(run, arriving, feedback, rules, wanted)

    @abstractmethod
    def receive_credit(
        self, run: Tape, rule: CreditRule, arriving: Arriving, feedback: Feedback
    ) -> Credits:
        """Send credit back under a rule that credits silent neurons; else as :meth:`receive`."""

    def _learn_distance(self, direct: Tensor, feedback: Feedback) -> None:
        """Learn the threshold from ``a c`` ``[T, B, ...]``, the credit of ``u - theta``."""
        threshold = self.module.threshold
        if feedback.wanted(threshold):
            feedback.add(threshold, -reduce_to(direct.sum((0, 1)), threshold))

    @property
    def reset(self) -> str:
        """The name of the reset: what a spike does to the membrane, and whether at once."""
        reset: str = self.module.reset_mechanism
        late = reset == "none" or getattr(self.module, "reset_delay", True)
        return reset if late else f"{reset}, at once"

    @override
    def demand(self, rules: Rules) -> Demand:
        demand = replace(super().demand(rules), reset=self.reset)
        if self.votes and isinstance(rules[self.name], CreditRule):
            return replace(demand, kind=f"{demand.kind}, voting")  # which no kernel serves
        return demand

    @override
    def rule(self, rules: Rules) -> str:
        return repr(rules[self.name])

    @override
    def parameters(self) -> dict[str, Tensor]:
        return {"beta": self.module.beta, "threshold": self.module.threshold}

    @override
    def describe(self) -> str:
        return f"{type(self.module).__name__}({self.reset})"


class Leaky(Population):
    """``snntorch.Leaky``: the scan over time, forwards and backwards.

    What arrives is the relevance ``R = s * c``, and what leaves is the credit ``n`` of the current
    (see :mod:`lfp_snn.lif`). The module's own membrane is neither read nor written.

    Spikes may be graded: a spike then has the value ``g`` of ``graded_spikes_factor``, and all else
    is as before, with ``R = g * s * c``. A factor that learns gets the feedback
    ``|g| * sum s * c``; at the output, where the reward is a relevance and no credit, ``R / g``
    stands for c.
    """

    module: snn.Leaky
    takes_graded = True

    def __init__(self, name: str, module: snn.Leaky) -> None:
        super().__init__(name, module)
        self.graded = is_graded(module)

    @property
    @override
    def kind(self) -> str:
        neuron = self.module
        learns = any(isinstance(each, nn.Parameter) for each in (neuron.beta, neuron.threshold))
        graded = ", graded" if self.graded else ""
        return f"{super().kind}{graded}{', learning' if learns else ''}"

    @override
    def forward(self, run: Tape, *inputs: Tensor) -> Tensor:
        (current,) = inputs
        dynamics = self.dynamics(current.shape[1:], run.dtype)
        state = self.initial(run, current.shape[1:])
        spikes, membranes, final = self.step(run, current, dynamics, state)
        run.final_state[self.name] = final
        run.membranes = membranes
        run.count(self.name, spikes.sum(), spikes[0, 0].numel())
        run.keep(self, (current, spikes, membranes, state, dynamics))
        return self._sent(spikes.to(run.dtype if self.graded else run.spike_dtype))

    def _sent(self, spikes: Tensor) -> Tensor:
        """The spikes as they leave the stage, with the value that they are graded to."""
        if not self.graded:
            return spikes
        return spikes * self._factor(spikes)

    def _factor(self, spikes: Tensor) -> Tensor:
        factor = self.module.graded_spikes_factor
        self.check_fits("graded_spikes_factor", factor, spikes.shape[1:])
        value: Tensor = factor.detach().to(spikes.dtype)
        return value

    def step(
        self, run: Tape, current: Tensor, dynamics: lif.Dynamics, state: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Spikes and membranes ``[T, B, ...]``, and the membrane after the last step."""
        return lif.forward(current, dynamics, state, steps=run.steps, lengths=run.lengths)

    def initial(self, run: Tape, frame: torch.Size) -> Tensor | None:
        """The membrane ``[B, ...]`` before the first step."""
        state = run.state.get(self.name)
        if state is not None and state.shape != frame:
            raise ShapeError(
                f"The state of neuron '{self.name}' has the shape {tuple(state.shape)}; its "
                f"current needs {tuple(frame)}."
            )
        return state

    @override
    def spikes(self, run: Tape) -> Tensor:
        spikes: Tensor = run.kept[self][1]
        return self._sent(spikes.to(run.dtype))

    @override
    def credit_relevance(
        self, run: Tape, relevance: Tensor, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        current, spikes, membranes, state, dynamics = run.kept[self]
        factor = self.module.graded_spikes_factor
        if feedback.wanted(factor):
            # R = g s c: a factor of zero handed nothing on, and learns nothing.
            total = ratio(spikes * relevance, self._factor(relevance)).sum((0, 1))
            feedback.add(factor, reduce_to(total, factor))
        n, run.carried[self.name] = lif.credit(
            relevance,
            membranes,
            current.to(run.dtype),
            dynamics,
            rules[self.name],
            state,
            run.carried.get(self.name),
        )
        return self.learn(run, n, feedback)

    @override
    def receive_credit(
        self, run: Tape, rule: CreditRule, arriving: Arriving, feedback: Feedback
    ) -> Credits:
        current, spikes, membranes, state, dynamics = run.kept[self]
        factor = self.module.graded_spikes_factor
        credit, relevance, _ = arriving
        if feedback.wanted(factor):
            total = torch.zeros_like(membranes) if credit is None else spikes * credit
            if relevance is not None:
                total = total + ratio(spikes * relevance, self._factor(relevance))
            feedback.add(factor, reduce_to(total.sum((0, 1)), factor))
        n, run.carried[self.name] = lif.rescale(
            self.at_membrane(run, rule, arriving, feedback),
            membranes,
            current.to(run.dtype),
            dynamics,
            rule,
            state,
            run.carried.get(self.name),
        )
        return self.learn(run, n, feedback)

    def at_membrane(
        self, run: Tape, rule: CreditRule, arriving: Arriving, feedback: Feedback
    ) -> Tensor:
        """Credit of the membrane, from what arrived at the spikes; the threshold learns from it."""
        current, _, membranes, state, dynamics = run.kept[self]
        credit, relevance, at_output = arriving
        direct, whole = lif.at_membrane(
            None if credit is None else self._sent(credit),
            relevance,
            membranes,
            current.to(run.dtype),
            dynamics,
            rule,
            state,
            gated=not at_output,
        )
        self._learn_distance(direct, feedback)
        return whole

    def learn(self, run: Tape, n: Tensor, feedback: Feedback) -> Credits:
        """Add to the feedback of decay and threshold; gives the credit of the current."""
        _, _, membranes, state, dynamics = run.kept[self]
        beta, threshold = self.module.beta, self.module.threshold
        if feedback.wanted(beta, threshold):
            of_beta, of_threshold = lif.parameter_feedback(n, membranes, dynamics, state)
            # The forward pass clamps beta: outside [0, 1] the membrane does not depend on it.
            inside = (beta >= 0) & (beta <= 1)
            feedback.add(beta, reduce_to(of_beta, beta) * inside)
            feedback.add(threshold, reduce_to(of_threshold, threshold))
        return (n,)

    @override
    def parameters(self) -> dict[str, Tensor]:
        graded = {"graded_spikes_factor": self.module.graded_spikes_factor} if self.graded else {}
        return super().parameters() | graded


def _fits(shape: torch.Size, frame: torch.Size) -> bool:
    """Whether a shape broadcasts to each sample of a frame alike, and does not enlarge it."""
    pairs = zip(reversed(shape), reversed((1, *frame[1:])), strict=False)
    return len(shape) <= len(frame) and all(n in (1, size) for n, size in pairs)


def reduce_to(total: Tensor, parameter: Tensor) -> Tensor:
    """Sum a frame to the shape of a parameter that broadcasts over it."""
    if parameter.dim() > total.dim():
        total = total.view((1,) * (parameter.dim() - total.dim()) + tuple(total.shape))
    return total.sum_to_size(parameter.shape) if parameter.dim() else total.sum()


def _refuse_other_reset(name: str, neuron: Any) -> None:
    """Refuse a neuron that resets otherwise than it says: snntorch chooses how when it is built.

    Raises:
        NetworkError: there is such a neuron; the message names it.
    """
    function = vars(neuron).get("state_function")
    built = neuron.reset_mechanism if function is None else _RESETS.get(function.__name__)
    if built != neuron.reset_mechanism:
        raise NetworkError(
            f"Neuron '{name}' ({type(neuron).__name__}) says reset_mechanism="
            f"{neuron.reset_mechanism!r}, and steps by {function.__name__}, which snntorch chose "
            "when it was built: build the neuron with the reset that it shall have."
        )
