"""A population on a device with the norm before it and the pool behind it, in one launch a way.

What is kept for the way back are the currents as they were given, the membranes at every eighth
step, and bits of the spikes that left; all else is formed again
(:mod:`lfp_snn.backends.triton.population_kernels`). Credit through the statistics of a norm takes
a second launch: the first finds its means and writes nothing else, which moves less than to write
``n`` and correct it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor, nn
from typing_extensions import override

from lfp_snn.backends.packed import PackedSpikes
from lfp_snn.backends.precision import products_in
from lfp_snn.backends.triton import population, scan
from lfp_snn.backends.triton.population import Affine, CancelledCredit, Ran, Windows
from lfp_snn.cells import Arriving
from lfp_snn.engine.batch_norms import BatchNorm
from lfp_snn.engine.kernels import Group
from lfp_snn.engine.neurons import Leaky
from lfp_snn.engine.norms import Moments
from lfp_snn.engine.shapes import MaxPool
from lfp_snn.engine.stage import Credits, Feedback, Measured, Rules, Spiking, Tape, Wanted
from lfp_snn.rules import Formula

__all__ = ["SPLITS", "FusedPopulation"]

#: Formulas at the neuron that the kernel knows on the way back.
SPLITS = ("epsilon", "rescale")
#: Members of a window that are taken into one program.
MOST_MEMBERS = 16


@dataclass(frozen=True)
class _Kept:
    """A recorded pass, and the statistics of its norm."""

    ran: Ran
    moments: Moments | None


class FusedPopulation(Spiking):
    """``snntorch.Leaky``, the batch norm before it if any, and the max pool behind it if any.

    Relevance beside credit, and rules of one backward pass that the kernel does not know, take the
    stages one by one, on membranes that are formed again as a whole.

    Args:
        neurons: the stage of the neurons, by itself.
        norm: the reference stage of the norm, if there is one.
        pool: the reference stage of the pool that alone takes their spikes, if there is one.
    """

    takes_narrow = True

    def __init__(self, neurons: Leaky, norm: BatchNorm | None, pool: MaxPool | None) -> None:
        super().__init__(neurons.name, neurons.module)
        self.neurons = neurons
        self.norm = norm
        self.pool = pool
        self.votes = neurons.votes

    @classmethod
    def of(cls, group: Group, alone: type[Leaky]) -> Self:
        """The stage for a group; ``alone`` is the kind of its neurons by themselves."""
        parts: dict[type, Any] = {}
        for stage in group.stages:
            kind = next(each for each in (BatchNorm, Leaky, MaxPool) if isinstance(stage, each))
            parts[kind] = stage
        neurons = alone(parts[Leaky].name, parts[Leaky].module)
        neurons.votes = parts[Leaky].votes
        return cls(neurons, parts.get(BatchNorm), parts.get(MaxPool))

    @staticmethod
    def fits(group: Group) -> bool:
        """Whether the windows of the pool, if there is one, neither overlap nor leave gaps."""
        pools = [stage.pool for stage in group.stages if isinstance(stage, MaxPool)]
        return all(_apart(pool) for pool in pools)

    # ------------------------------------------------------------------ forwards

    @override
    def forward(self, run: Tape, *inputs: Tensor) -> PackedSpikes:
        (x,) = inputs
        moments, affine = None, None
        if self.norm is not None:
            x = self.norm.taken(run, x)
            moments = self.norm.moments(run, x.to(run.dtype))
            affine = self._affine(moments)
        frame = x.shape[1:]
        ran = population.forward(
            x,
            self.neurons.dynamics(frame, run.dtype),
            self.neurons.initial(run, frame),
            steps=run.steps,
            lengths=run.lengths,
            affine=affine,
            windows=None if self.pool is None else _windows(self.pool, x.shape),
        )
        run.final_state[self.name] = ran.final
        run.count(self.name, ran.count, frame[1:].numel())
        run.keep(self, _Kept(ran, moments))
        return ran.spikes

    def _affine(self, moments: Moments) -> Affine:
        assert self.norm is not None
        mean, inverse = (each.reshape(-1) for each in moments[:2])
        norm = self.norm.module
        gamma = torch.ones_like(mean) if norm.weight is None else norm.weight.detach()
        shift = torch.zeros_like(mean) if norm.bias is None else norm.bias.detach()
        return Affine(mean, inverse, gamma, shift)

    # ------------------------------------------------------------------ backwards

    @override
    def receive(
        self, run: Tape, arriving: Arriving, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        formula = rules[self.name].at_neuron
        plain = arriving.credit is not None and arriving.relevance is None
        if not plain or self.votes or formula.name not in SPLITS:
            return self._one_by_one(run, arriving, feedback, rules, wanted)
        assert arriving.credit is not None
        kept: _Kept = run.kept[self]
        carried = run.carried.get(self.name)
        given = kept.ran, arriving.credit, carried
        options: dict[str, Any] = _options(formula)
        if wanted[0] is not None:
            options["written"] = products_in() or run.dtype
        if self._through(kept, rules, wanted):
            _, _, totals = population.backward(*given, **_options(formula), sums=True)
            options["cancelled"] = self._cancelled(run, totals, kept, feedback)
        elif self.norm is not None:
            options["sums"] = feedback.wanted(*self.norm.parameters().values())
        n, run.carried[self.name], totals = population.backward(*given, **options)
        if totals is not None:
            self._learn_norm(totals, feedback)
        return (n,)

    def _through(self, kept: _Kept, rules: Rules, wanted: Wanted) -> bool:
        """Whether credit goes through statistics, which must be of these currents."""
        if self.norm is None or kept.moments is None or wanted[0] is None:
            return False
        return self.norm.through(rules) and kept.moments[2] is not None

    def _learn_norm(self, totals: Tensor | None, feedback: Feedback) -> Tensor:
        """Learn scale and shift from the sums of each column; gives those of a channel [2, C]."""
        assert self.norm is not None
        assert totals is not None
        of_channel = totals.sum(1).flatten(2).sum(2) if totals.dim() > 3 else totals.sum(1)
        feedback.add(self.norm.module.bias, of_channel[0])
        feedback.add(self.norm.module.weight, of_channel[1])
        return of_channel

    def _cancelled(
        self, run: Tape, totals: Tensor | None, kept: _Kept, feedback: Feedback
    ) -> CancelledCredit:
        """What the statistics cancel of the credit, from its sums."""
        assert self.norm is not None
        assert kept.moments is not None
        assert kept.ran.affine is not None
        sums = self._learn_norm(totals, feedback) * kept.ran.affine.gamma
        count: Any = kept.moments[2]
        found = self.norm.shared_means(run, sums[:1], sums[1:], count.view(-1, 1))
        return CancelledCredit(*(each.reshape(-1).contiguous() for each in found))

    @override
    def credit_relevance(
        self, run: Tape, relevance: Tensor, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        return self._one_by_one(run, Arriving(None, relevance), feedback, rules, wanted)

    # ------------------------------------------------------------------ one by one

    def _one_by_one(
        self, run: Tape, arriving: Arriving, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        x = self._run_again(run)
        credit, relevance, at_output = arriving
        if self.pool is not None:
            if credit is not None:
                (credit,) = self.pool.hand_on(run, credit.to(run.dtype))
            if relevance is not None:
                (relevance,) = self.pool.hand_on(run, relevance)
        given = Arriving(credit, relevance, at_output)
        found = self.neurons.receive(run, given, feedback, rules, wanted)
        if self.norm is not None:
            (n,) = found
            assert isinstance(n, Tensor)
            n = n.sum_to_size(x.shape)
            found = self.norm.backward(run, n, feedback, rules, wanted)
        for stage in (self.norm, self.neurons, self.pool):
            run.kept.pop(stage, None)
        return found

    def _run_again(self, run: Tape) -> Tensor:
        """Let each stage keep what it would by itself; gives the currents ``[T, B, ...]``."""
        kept: _Kept = run.kept[self]
        ran, given = kept.ran, kept.ran.currents
        x = given.to(run.dtype)
        if self.norm is not None and kept.moments is not None:
            run.kept[self.norm] = (given, *kept.moments)
            x = self.norm.normalised(run, x, *kept.moments[:2])
        known = ran.dynamics, ran.state
        spikes, membranes, _ = scan.forward(x, *known, steps=run.steps, lengths=run.lengths)
        run.kept[self.neurons] = (x, spikes, membranes, ran.state, ran.dynamics)
        if self.pool is not None:
            self.pool.forward(run, spikes.to(run.dtype))
        return x

    @override
    def spikes(self, run: Tape) -> Tensor:
        self._run_again(run)
        found = self.neurons.spikes(run)
        for stage in (self.norm, self.neurons, self.pool):
            run.kept.pop(stage, None)
        return found

    @override
    def sent(self, run: Tape) -> Tensor:
        kept: _Kept = run.kept[self]
        return kept.ran.spikes.dense(run.dtype)

    # ------------------------------------------------------------------ what it is

    @property
    @override
    def measured(self) -> Measured | None:
        return None if self.norm is None else self.norm.measured

    @property
    @override
    def measured_by(self) -> str:
        return self.name if self.norm is None else self.norm.name

    @override
    def sit_out(self, run: Tape) -> None:
        if self.norm is not None:
            self.norm.sit_out(run)

    @override
    def sit_out_backward(self, run: Tape, rules: Rules, *, before: bool) -> None:
        if self.norm is not None:
            self.norm.sit_out_backward(run, rules, before=before)

    @override
    def parameters(self) -> dict[str, Tensor]:
        norm = {} if self.norm is None else self.norm.parameters()
        return {f"norm {name}": value for name, value in norm.items()} | self.neurons.parameters()

    @override
    def describe(self) -> str:
        stages = [each for each in (self.norm, self.neurons, self.pool) if each is not None]
        return " + ".join(stage.describe() for stage in stages)

    @override
    def rule(self, rules: Rules) -> str:
        own = self.neurons.rule(rules)
        return own if self.norm is None else f"{self.norm.rule(rules)}, {own}"


def _options(formula: Formula) -> dict[str, Any]:
    """A formula as the kernel takes it."""
    known = formula.parameters
    if formula.name == "epsilon":
        return {"form": "spikes", "carry": "reference", "eps": known["eps"]}
    return {"form": known["gate"], "carry": known["carry"], "eps": known["eps"]}


def _windows(pool: MaxPool, shape: torch.Size) -> Windows:
    """The windows of a pool over maps ``[T, B, C, ...]``, or units.

    Raises:
        ShapeError: the maps do not fit.
    """
    pool.check(shape)
    module: Any = pool.pool
    kernel = _pair(module.kernel_size)
    size = (1 if pool.axes == 1 else shape[-2], shape[-1])
    windows = Windows(kernel, size, bool(module.ceil_mode), tuple(shape[2 : -pool.axes]), pool.axes)
    if not all(windows.counted):
        raise pool.misfit_of_windows(shape)
    return windows


def _pair(size: Any) -> tuple[int, int]:
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _apart(pool: nn.Module) -> bool:
    if not isinstance(pool, nn.MaxPool2d) or _pair(pool.padding) != (0, 0):
        return False
    high, wide = _pair(pool.kernel_size)
    return _pair(pool.stride) == (high, wide) and high * wide <= MOST_MEMBERS
