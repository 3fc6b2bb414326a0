"""A synapse, its neurons, and the pool behind them, in one pass over lists of spikes."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Self

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from lfp_snn.backends.events.formulas import shares_of
from lfp_snn.backends.events.lists import Lists, dense_from_lists, lists_from_dense
from lfp_snn.backends.events.rescale import Counted
from lfp_snn.backends.events.shares import Shares
from lfp_snn.backends.events.workspace import Workspace
from lfp_snn.engine import shapes, synapses
from lfp_snn.engine.events.pool import EventPool
from lfp_snn.engine.events.stage import (
    Arrived,
    EventNeurons,
    EventStage,
    as_lists,
    as_spikes,
    as_tensor,
)
from lfp_snn.engine.kernels import Group
from lfp_snn.engine.neurons import Leaky
from lfp_snn.engine.stage import Credits, Feedback, Form, Rules, Stage, Tape, Value, Wanted
from lfp_snn.errors import NetworkError
from lfp_snn.spikes import Spikes

__all__ = ["EventLayer", "array", "entries_asked", "optional"]


class EventLayer(EventStage):
    """A synapse, its neurons, and the pool behind them where there is one.

    A dense input takes a detour: torch computes the current, :class:`EventNeurons` the neurons.

    Args:
        synapse: the reference stage of the synapse.
        neurons: the reference stage of the neurons.
        pool: the pool that alone takes their spikes, if any (behind a convolution).
        from_input: whether the synapse takes the input of the network. A silent entry of the input
            needs no credit, so that a dense input may be made a list.
        by_sign: whether the rule tells positive contributions from negative ones. The kernels know
            them by the sign of the weight, so that an input of both signs takes the detour too.
        is_output: whether the spikes are the output of the network (:class:`EventStage`).
    """

    takes_spikes = True
    #: Share of active inputs above which torch's dense product is faster, as
    #: benchmarks/crossover.py found it (1: never).
    dense: float

    def __init__(
        self,
        synapse: synapses.Synapse,
        neurons: Leaky,
        pool: EventPool | None,
        *,
        from_input: bool,
        by_sign: bool,
        is_output: bool,
    ) -> None:
        super().__init__(neurons, is_output=is_output)
        self.synapse = synapse
        self.pool = pool
        self.from_input = from_input
        self.by_sign = by_sign
        self.given = EventNeurons(neurons, is_output=is_output)
        self.incoming = Workspace()

    @classmethod
    def of(cls, group: Group) -> Self:
        """The stage for a synapse, its neurons, and the pool behind them if there is one."""
        synapse, neurons, *behind = group.stages
        assert isinstance(synapse, synapses.Synapse)
        assert isinstance(neurons, Leaky)
        pools = [EventPool(pool) for pool in behind if isinstance(pool, shapes.Pool)]
        return cls(
            synapse,
            neurons,
            pools[0] if pools else None,
            from_input=group.from_input,
            by_sign=shares_of(group.rules[synapse.name].at_synapse) is not None,
            is_output=group.is_output,
        )

    @override
    def parameters(self) -> dict[str, Tensor]:
        return self.synapse.parameters() | super().parameters()

    @override
    def describe(self) -> str:
        stages: list[Stage] = [self.synapse, self.neurons]
        if self.pool is not None:
            stages.append(self.pool)
        return " + ".join(stage.describe() for stage in stages)

    @override
    def forward(self, run: Tape, *inputs: Value) -> Value:
        (x,) = inputs
        self.synapse.check(x.shape)
        events = self._as_events(run, x)
        if events is not None:
            return self.run_events(run, events, was_tensor=isinstance(x, Tensor))
        dense = x if isinstance(x, Tensor) else x.dense(run.dtype)
        frames = dense.transpose(0, 1).contiguous()
        current = self.synapse.current(frames.flatten(0, 1), self.synapse.weight, self.synapse.bias)
        run.keep(self.synapse, frames)
        current = self.normed(run, current.view(*frames.shape[:2], *current.shape[1:]))
        spikes = self.given.step(run, current)
        return spikes if isinstance(spikes, Tensor) else self._pooled(run, spikes)

    def _pooled(self, run: Tape, spikes: Spikes) -> Spikes:
        return spikes if self.pool is None else self.pool.forward(run, spikes)

    def _as_events(self, run: Tape, x: Value) -> Spikes | None:
        """The input as a list, where a list is the faster form."""
        if not self.can_list(x.shape):
            return None
        if isinstance(x, Tensor):
            if not self.from_input or x.shape[0] != run.steps:
                return None
            if int(torch.count_nonzero(x)) > self.dense * x.numel():
                return None
            x = as_spikes(lists_from_dense(x.flatten(2).numpy(), self.incoming), x.shape)
        elif x.density > self.dense:
            return None
        return None if self.by_sign and _has_negative(x) else x

    @override
    def spikes(self, run: Tape) -> Tensor:
        if self not in run.kept:
            return self.given.spikes(run)
        out, frame = self.fired(run)
        return as_tensor(out, (run.steps, run.batch, *frame), run.dtype)

    @override
    def send(
        self, run: Tape, feedback: Feedback, rules: Rules, wanted: Wanted, arrived: Arrived
    ) -> Credits:
        if self in run.kept:
            return (self.send_events(run, feedback, rules, wanted[0], arrived),)
        n = self.given.of_current(run, rules, self._unpooled(run, rules, arrived))
        rule, asked = rules[self.synapse.name], wanted[0] is not None
        n = self.unnormed(run, n, feedback, rules)
        frames = run.kept[self.synapse]
        if frames.shape[1] < n.shape[1]:  # a norm of each step made many of a constant current
            n = n.sum(1, keepdim=True)
        of_input = self.synapse.learn(frames, n, feedback, rule, asked)
        return (of_input.transpose(0, 1) if isinstance(of_input, Tensor) else None,)

    def normed(self, run: Tape, current: Tensor) -> Tensor:
        """The currents ``[B, T, ...]`` of a dense input as they reach the neurons."""
        return current

    def unnormed(self, run: Tape, n: Tensor, feedback: Feedback, rules: Rules) -> Tensor:
        """The credit of those currents ``[B, T, ...]`` as it reaches the synapse."""
        return n

    @override
    def rule(self, rules: Rules) -> str:
        return f"{self.synapse.rule(rules)}, {super().rule(rules)}"

    @override
    def asks(self, run: Tape, rules: Rules, form: Form, below: Wanted) -> Form:
        # Silent windows that overlap, or of dense neurons, are left to the reference of the pool.
        apart = self.pool is not None and not self.pools_itself(run)
        if apart and isinstance(self.split(rules), Counted) and isinstance(form, Spikes):
            return _all_entries(form, run.dtype)
        return super().asks(run, rules, form, below)

    def pools_itself(self, run: Tape) -> bool:
        """Whether the pool behind is part of the kernel, in a recorded pass."""
        return False

    def _unpooled(self, run: Tape, rules: Rules, arrived: Arrived) -> Arrived:
        """The credit or reward that arrived at the pool behind, as it reaches the neurons."""
        if self.pool is None or arrived.credit is None:
            return arrived
        opened = self.open_entries(run, rules)
        if opened is None:
            return Arrived(credit=self.pool.entry_credit(run, arrived.credit))
        spikes = self.spikes(run)
        each = _through_reference(self.pool.reference, run, rules, spikes, arrived.credit)
        at_open = as_spikes(opened, spikes.shape).gather(each)
        return Arrived(credit=at_open.numpy(), entries=opened)

    def hand_back(self, x: Spikes, credit: np.ndarray | None, was_tensor: bool) -> Tensor | None:
        """The credit of the entries of the input, or of all of it if it came as a tensor."""
        if credit is None or not was_tensor:
            return None if credit is None else torch.from_numpy(credit)
        out = np.empty((x.steps, x.batch, x.units), credit.dtype)
        given = as_lists(x)
        dense_from_lists(Lists(given.indptr, given.indices, credit), out)
        return torch.from_numpy(out).view(x.shape)

    def shares(self, rules: Rules, x: Spikes) -> Shares | None:
        """The sharing by sign as the kernels take it, or None if the rule does not share by sign.

        Raises:
            NetworkError: the input of the forward pass has entries of both signs.
        """
        rule = rules[self.synapse.name]
        shares = shares_of(rule.at_synapse)
        if shares is not None and _has_negative(x):
            raise NetworkError(
                f"Layer '{self.synapse.name}' ran on events of both signs, which the events "
                f"backend does not share as {rule!r} does: give the rule to TemporalLFP when it is "
                "built, or use backend='torch'."
            )
        return shares

    @abstractmethod
    def can_list(self, shape: Sequence[int]) -> bool:
        """Whether the kernels take lists of that dense shape."""

    @abstractmethod
    def run_events(self, run: Tape, x: Spikes, *, was_tensor: bool) -> Value:
        """The forward pass over lists."""

    @abstractmethod
    def send_events(
        self, run: Tape, feedback: Feedback, rules: Rules, wanted: Form | None, arrived: Arrived
    ) -> Tensor | None:
        """The backward pass over lists."""

    @abstractmethod
    def fired(self, run: Tape) -> tuple[Lists, Sequence[int]]:
        """Spikes of the neurons in a recorded pass, and the shape of their frame."""


def _through_reference(
    pool: shapes.Pool, run: Tape, rules: Rules, spikes: Tensor, credit: np.ndarray
) -> Tensor:
    """The credit of everything that was pooled, from the credit of every pooled entry."""
    pooled = pool.forward(run, spikes)
    shape = (run.batch, run.steps, *pooled.shape[2:])
    of_pooled = torch.from_numpy(credit).view(shape).transpose(0, 1)
    (each,) = pool.backward(run, of_pooled, Feedback(), rules, [spikes.shape])
    assert isinstance(each, Tensor)
    return each


def _all_entries(x: Spikes, dtype: torch.dtype) -> Spikes:
    """A list of all entries of the frames of spikes, silent ones too."""
    frames = x.steps * x.batch
    values = x.dense(dtype).transpose(0, 1).reshape(-1)
    indptr = torch.arange(frames + 1) * x.units
    indices = torch.arange(x.units, dtype=torch.int32).repeat(frames)
    return Spikes(indptr, indices, x.shape, values)


def entries_asked(x: Spikes, wanted: Form | None, was_tensor: bool) -> Lists | bool:
    """The entries at which credit of an input is wanted: none, its own, or others."""
    others = isinstance(wanted, Spikes) and wanted is not x and not was_tensor
    return as_lists(wanted) if others else wanted is not None  # type: ignore[arg-type]


def _has_negative(x: Spikes) -> bool:
    return x.values is not None and bool((x.values < 0).any())


def array(parameter: Tensor) -> np.ndarray:
    """A parameter as a contiguous array, sharing memory where it is contiguous itself."""
    return parameter.detach().contiguous().numpy()


def optional(parameter: Tensor | None) -> np.ndarray | None:
    """A parameter as a contiguous array (:func:`array`), or ``None`` where there is none."""
    return None if parameter is None else array(parameter)
