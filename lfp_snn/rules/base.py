r"""The base of rules; a rule is data that says how relevance goes through neurons and synapses.

A rule has two halves, and a word on products. A concrete rule is no more than these declarations:

**At the neuron** (:meth:`Rule.split`). The membrane is a sum of what was kept of the earlier
membrane and of what arrived, :math:`u_t = \beta v_t + I_t - \theta r_t`. The relevance of the
membrane, :math:`Q_t = R_t + M_{t+1}`, is split between those parts. Each part gets a *credit* per
unit, so that its relevance is part times credit: :math:`M_t = \beta v_t\, n^v_t` is carried to the
earlier membrane and :math:`A_t = I_t\, n_t` goes into the current.

**At the synapse** (:attr:`Rule.variants`, :meth:`Rule.normalise`). :math:`A_t` is shared among the
synapses. A rule names the *variants* of the current that it needs, each with its own input
:math:`x^k` and weights :math:`w^k`, and turns the credit of the current and the variants' currents
:math:`I^k` into a credit :math:`g^k` of each variant. What goes through synapse (i, j) is

.. math:: R_{i \leftarrow j} = \sum_k x^k_i\, w^k_{ij}\, g^k_j

**At a product of values** (:meth:`Rule.shares_of_factors`), of two spike trains that meet in an
attention, say, or of a signal and its gate. :math:`y = x_1 \cdots x_k` is linear in each factor;
each gets its share :math:`a_i` of the relevance, and so the credit

.. math:: c_i = a_i \frac{\partial y}{\partial x_i} c_y \qquad \sum_i a_i = 1

The same holds for matrix products and all else that is linear in each of several values: the
relevance :math:`\sum x_i c_i` of the factors is that of the value.

What it means for **learning**: a synapse takes the size of the relevance that went through it, in
the direction in which the reward wants the current,

.. math::

    \mathrm{feedback}(w_{ij}) = \sum_{t,b} \mathrm{sgn}(n_j)\, \mathrm{sgn}(x_i)\,
    |R_{i \leftarrow j}|

which is :math:`|w_{ij}| \sum x_i n_j` for LFP-epsilon and
:math:`\mathrm{sgn}(w_{ij}) R_{i \leftarrow j}` (arXiv 2308.12053) wherever relevance has the sign
of the contribution. Positive reward thus strengthens what excited the neuron and weakens what
inhibited it, whatever the rule; a silent input did neither and its synapses learn nothing, even
under a rule that hands relevance to it. A bias is a synapse whose input is always 1.

**What a rule says of itself.** The methods above are the reference, which torch carries out. A
backend has kernels for some of these formulas and finds them by what the rule says, as data:

=================== ========================================================== ================
property            what it says                                               example
=================== ========================================================== ================
:attr:`.at_neuron`  the split, a :class:`Formula`: its name and parameters     ``epsilon, eps``
:attr:`.at_synapse` how relevance is shared among synapses, the same way       ``gamma, gamma``
:attr:`.active`     the entries of a population at which it needs credit       ``"spikes"``
=================== ========================================================== ================

A rule that says ``Formula("epsilon", {"eps": 0.2})`` is served by whatever kernel knows the formula
"epsilon", and nothing but the rule is written. One that says :data:`OWN` (also a class that
overrides the methods and says nothing) runs on the reference. What a formula means is fixed by the
methods of the rules here that bear its name; a rule that says it promises the same numbers.

:attr:`.active` is what a stage tells the one above it: where that must form credit on the way back.
Relevance :math:`R = s c` needs it at spikes alone; a split in which credit itself enters, and that
gives some to silent neurons, needs it wherever its gate is open, or everywhere. What is *learnt*
from needs no such word: feedback is a product with the input and stays at active inputs.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias, get_args

from typing_extensions import override

from lfp_snn.errors import ConfigError
from lfp_snn.later import torch
from lfp_snn.rules.checked import checked_split

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "ACTIVE",
    "CONTRIBUTION",
    "OWN",
    "PLAIN",
    "Active",
    "CreditRule",
    "EpsilonSplit",
    "Formula",
    "Products",
    "Rule",
    "Variant",
    "as_is",
    "membrane_size",
    "ratio",
    "split_by_size",
    "widest",
]

Change: TypeAlias = "Callable[[Tensor], Tensor]"
#: Entries of a value at which credit is needed on the way back: where it spiked (was not zero),
#: where a gate is open (near the threshold, say), or everywhere.
Active = Literal["spikes", "gate", "everywhere"]
#: How a product shares relevance among its factors: equally, or nothing to gates.
Products = Literal["halves", "signal"]
#: All of them, from the narrowest to the widest.
ACTIVE: tuple[Active, ...] = ("spikes", "gate", "everywhere")


def widest(several: Iterable[Active]) -> Active:
    """The widest of the given sets of entries; ``"spikes"`` if none is given."""
    return max(several, key=ACTIVE.index, default="spikes")


@dataclass(frozen=True)
class Formula:
    """A formula by its name and parameters: how a kernel is found and what it is given.

    Args:
        name: the name of the formula, such as ``"epsilon"``.
        parameters: the parameters by name, numbers or words, such as ``{"eps": 0.1}``.
    """

    name: str
    parameters: Mapping[str, Any] = field(default_factory=dict)


#: What a rule says of a formula that no kernel knows: its methods are run as they are.
OWN = Formula("its own")
#: Relevance is shared as the current was made, ``R = x w n``: one credit for all contributions.
CONTRIBUTION = Formula("contribution")


def as_is(weight: Tensor) -> Tensor:
    """The weight itself, unchanged."""
    return weight


@dataclass(frozen=True)
class Variant:
    """One variant of the current, ``I^k = W^k x^k + b^k``.

    Args:
        input: the input ``x^k`` of the variant: the input ``"as it is"``, its ``"positive"`` or
            ``"negative"`` part, or a number that stands for every input, silent or not.
        weight: the function that makes ``W^k`` from the weight.
        bias: the function that makes ``b^k`` from the bias; None if the bias takes no part.
    """

    input: Literal["as it is", "positive", "negative"] | float = "as it is"
    weight: Change = as_is
    bias: Change | None = as_is

    @property
    def of_silent(self) -> bool:
        """Whether silent inputs take part."""
        return not isinstance(self.input, str)

    def holds(self, weight: Tensor) -> Tensor:
        """Whether the variant holds each weight, 1 or 0; a weight of 0 counts as positive."""
        return self.weight(torch.where(weight < 0, -1.0, 1.0).to(weight.dtype)).abs()


#: The variant of a rule that shares relevance as the current was made.
PLAIN = (Variant(),)


@dataclass(frozen=True)
class Rule(ABC):
    """A rule: how relevance is split at a neuron and shared at a synapse.

    Concrete rules are frozen dataclasses. They are applied to one layer or to all; see
    :class:`lfp_snn.rules.Composite`.

    A class that overrides a method and names no formula for it has a formula of its own: the one
    that its parent named is not true of it any more.

    Args:
        product: how products of values share relevance among their factors: in ``"halves"``
            (Achtibat et al., ICML 2024), or all to the ``"signal"`` and nothing to its gate
            (Arras et al., 2017), which then learns nothing.

    Raises:
        ConfigError: there is no such word.
    """

    product: Products = field(default="halves", kw_only=True)

    #: The methods that each formula stands for.
    _stands_for: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "at_neuron": ("split",),
        "at_synapse": ("variants", "normalise"),
    }

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        for said, methods in cls._stands_for.items():
            if said not in vars(cls) and any(method in vars(cls) for method in methods):
                setattr(cls, said, OWN)
        if "split" in vars(cls) and not cls.__module__.startswith("lfp_snn."):
            cls.split = checked_split(vars(cls)["split"])  # type: ignore[method-assign]

    def __post_init__(self) -> None:
        if self.product not in get_args(Products):
            raise ConfigError(
                f"{type(self).__name__}.product is {self.product!r}; expected "
                f"{' or '.join(get_args(Products))}."
            )

    @property
    def at_neuron(self) -> Formula:
        """The formula of :meth:`split`."""
        return OWN

    @property
    def at_synapse(self) -> Formula:
        """The formula of :attr:`variants` and :meth:`normalise`."""
        return CONTRIBUTION

    @property
    def active(self) -> Active:
        """The entries of a population with this rule at which it needs credit."""
        return "spikes"

    def suited(self, states: int) -> Rule:
        """The rule as it serves neurons that keep so many states from step to step."""
        return self

    @property
    def variants(self) -> tuple[Variant, ...]:
        """The variants of the current that the rule needs."""
        return PLAIN

    @property
    def of_silent(self) -> bool:
        """Whether the rule hands relevance to silent inputs."""
        return any(variant.of_silent for variant in self.variants)

    @abstractmethod
    def split(self, relevance: Tensor, kept: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        """The credit per unit of each part of a membrane.

        Args:
            relevance: the relevance ``Q = R + M`` of the membrane.
            kept: the part ``v`` of the earlier membrane that was kept, before it decayed.
            parts: the parts that make the membrane, first what is left of ``kept``, then what
                arrived; for ``Leaky``: ``beta v`` and ``I``. A neuron with more states has more
                parts.

        Returns:
            A credit for each part; its relevance is part times credit.
        """

    def normalise(
        self, n: Tensor, current: Tensor, currents: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        """The credit ``g^k`` of each variant.

        Args:
            n: the credit of the current.
            current: the current ``I``, bias included.
            currents: the current ``I^k`` of each variant.
        """
        return (n,)

    def shares_of_factors(self, gates: Sequence[bool]) -> tuple[float, ...]:
        """The share of the relevance of a product that each of its factors gets.

        Args:
            gates: whether each factor is a gate, which a sigmoid or a softmax made.
        """
        taken = [self.product == "signal" and gate for gate in gates]
        if all(taken):  # of gates alone, each is as good as the other
            taken = [False] * len(gates)
        return tuple(0.0 if none else 1 / taken.count(False) for none in taken)

    def shown(self, *options: str) -> str:
        """The rule by its name and these options, with others that are not as usual."""
        told = [] if self.product == "halves" else [f"product={self.product!r}"]
        return f"{type(self).__name__}({', '.join([*options, *told])})"


@dataclass(frozen=True)
class CreditRule(Rule):
    r"""A rule that takes credit itself at a neuron, so that a silent one has some too.

    The membrane that was compared gets :math:`a_t c_t` of the credit :math:`c_t` that arrives at
    the spike or its absence, and what the step that follows hands on:

    .. math:: n_t = a_t c_t + \tau_t\, h_{t+1}\, n_{t+1}

    with the slope :math:`a` (:meth:`slope`), what a state hands to the one before for each unit of
    its credit, :math:`h` (:meth:`hand`), and what the one before takes of it, :math:`\tau`
    (:meth:`take`). A relevance that arrives beside the credit is split by :meth:`split`.
    """

    _stands_for: ClassVar[Mapping[str, tuple[str, ...]]] = {
        **Rule._stands_for,
        "at_neuron": ("split", "slope", "hand", "take"),
    }

    @property
    @override
    def active(self) -> Active:
        return "gate"

    @property
    def carries_decay(self) -> bool:
        """Whether ``tau h`` is the decay alone, the same whatever the membranes were."""
        return False

    @abstractmethod
    def slope(self, membrane: Tensor, threshold: Tensor, *, gated: bool = True) -> Tensor:
        """Slope ``a_t``: what a unit of credit at the spike is at the membrane that was compared.

        Args:
            membrane: the membrane ``u`` that was compared.
            threshold: the threshold, which broadcasts over it.
            gated: whether the slope is 0 where the gate is shut; there is no gate at the output.
        """

    @abstractmethod
    def hand(self, part: Tensor, factor: Tensor) -> Tensor:
        """The factor ``h``: what a state hands to the state before, for each unit of its credit.

        Args:
            part: what is left in the state of the state before.
            factor: the derivative of ``part`` by the state before, with resets held fixed.
        """

    @abstractmethod
    def take(self, kept: Tensor, *parts: Tensor) -> Tensor | float:
        """Factor ``tau``: the credit of a state, for each unit that the step after it handed on.

        Args:
            kept: the part of the state before that was kept, before it decayed.
            parts: the parts that the state is made of.
        """


@dataclass(frozen=True, kw_only=True)
class EpsilonSplit(Rule):
    """The split at the neuron of :class:`lfp_snn.rules.Epsilon`, which most rules have.

    Args:
        eps: the stabiliser of the reference split, > 0.
        conserving: whether to split without loss instead; ``eps`` is then not used.

    Raises:
        ConfigError: ``eps`` is not a positive finite number.
    """

    eps: float = 1e-6
    conserving: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (math.isfinite(self.eps) and self.eps > 0):
            raise ConfigError(
                f"{type(self).__name__}.eps is {self.eps}; expected a positive finite number such "
                "as 1e-6."
            )

    @property
    @override
    def at_neuron(self) -> Formula:
        return Formula("conserving") if self.conserving else Formula("epsilon", {"eps": self.eps})

    @override
    def split(self, relevance: Tensor, kept: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        if self.conserving:
            share = split_by_size(relevance, parts)
            return tuple(part.sign() * share for part in parts)
        return (relevance / membrane_size(kept, parts, self.eps),) * len(parts)

    def __repr__(self) -> str:
        """The name and the parameters of the rule; ``eps`` only where it counts."""
        hidden = ("product", "eps" if self.conserving else "conserving")
        shown = (f"{f.name}={getattr(self, f.name)}" for f in fields(self) if f.name not in hidden)
        return self.shown(*shown)


def ratio(a: Tensor, b: Tensor) -> Tensor:
    """The ratio ``a / b``, 0 where b is 0: nothing is there to take it."""
    return torch.where(b == 0, 0, a / torch.where(b == 0, 1, b))


def membrane_size(kept: Tensor, parts: Sequence[Tensor], eps: float) -> Tensor:
    """The size ``D = |v| + |p - v| + eps`` of a membrane: what it kept and what made it."""
    membrane = sum(parts[1:], start=parts[0])
    return kept.abs() + (membrane - kept).abs() + eps


def split_by_size(relevance: Tensor, parts: Sequence[Tensor]) -> Tensor:
    """The credit ``Q / sum |part|`` of every part, and 0 where nothing made the membrane."""
    return ratio(relevance, sum((p.abs() for p in parts[1:]), start=parts[0].abs()))
