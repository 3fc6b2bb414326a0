"""Composites: rules that are assigned layer by layer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from lfp_snn.errors import ConfigError
from lfp_snn.rules.base import Rule
from lfp_snn.rules.neuron import Epsilon
from lfp_snn.rules.signed import Gamma, ZPlus
from lfp_snn.rules.silent import Flat, ZBox

__all__ = ["Assignment", "Composite", "EpsilonGammaBox", "EpsilonPlusFlat", "Part", "assign"]


@dataclass(frozen=True)
class Part:
    """A stage that takes a rule: a synapse, a population of neurons, or a product of values.

    Args:
        name: the path of the module in the network; of a product the name of its function.
        kind: the name of the module's class, such as ``Conv2d``; ``Product``.
        synapses: the names of the synapses that feed the neurons or the product; None for a
            synapse.
        states: how many states the neurons keep from step to step: the membrane, currents.
    """

    name: str
    kind: str
    synapses: tuple[str, ...] | None = None
    states: int = 1

    @property
    def is_synapse(self) -> bool:
        """Whether the part is neurons, and no synapse."""
        return self.synapses is None


@dataclass(frozen=True)
class Assignment:
    """A rule for the parts that all given selectors fit.

    Args:
        rule: the rule of the parts that fit.
        type: the class name of the module, as a pattern: ``Conv*``, ``Linear``, ``Leaky``.
        name: the path of the module, as a pattern: ``features.*``.
        position: the ``first`` or ``last`` synapse of the network.

    Raises:
        ConfigError: no selector is given.
    """

    rule: Rule
    type: str | None = None
    name: str | None = None
    position: Literal["first", "last"] | None = None

    def __post_init__(self) -> None:
        if self.type is None and self.name is None and self.position is None:
            raise ConfigError(
                f"A composite assigns {self.rule} to nothing: give a type, a name or a position."
            )
        if self.position not in (None, "first", "last"):
            raise ConfigError(f"position is '{self.position}'; expected first or last.")

    def fits(self, part: Part, synapses: Sequence[str]) -> bool:
        """Whether the assignment fits a part of a network with these synapses."""
        if self.position is not None:
            end = synapses[0 if self.position == "first" else -1] if synapses else None
            if part.name != end:
                return False
        return (self.type is None or fnmatchcase(part.kind, self.type)) and (
            self.name is None or fnmatchcase(part.name, self.name)
        )

    def __str__(self) -> str:
        chosen = (("type", self.type), ("name", self.name), ("position", self.position))
        return " and ".join(f"{what} '{value}'" for what, value in chosen if value is not None)


@dataclass(frozen=True)
class Composite:
    """Rules assigned to layers; the first assignment that fits a layer gives its rule.

    Neurons and products take the rule of the synapse that feeds them (the last one if several do),
    unless an assignment fits them themselves. What nothing fits takes the default.

    Args:
        layers: the assignments, the most special one first.
        default: the rule of all parts that no assignment fits.
        strict: whether an assignment that fits nothing is an error.

    Raises:
        ConfigError: the layers are no sequence of assignments.

    Example::

        Composite((Assignment(Flat(), position="first"),
                   Assignment(Gamma(0.25), type="Conv*")), default=Epsilon())
    """

    layers: tuple[Assignment, ...]
    default: Rule = field(default_factory=Epsilon)
    strict: bool = True

    def __post_init__(self) -> None:
        listed = isinstance(self.layers, list | tuple)
        if not listed or not all(isinstance(each, Assignment) for each in self.layers):
            raise ConfigError(
                f"The layers of a composite are {self.layers!r}; expected assignments in a tuple, "
                "such as (Assignment(Epsilon(), type='Linear'),)."
            )

    def assign(self, parts: Sequence[Part]) -> dict[str, Rule]:
        """The rule of each part, by name.

        Args:
            parts: the parts of a network, in the order in which they run.

        Raises:
            ConfigError: an assignment fits no part.
        """
        synapses = [part.name for part in parts if part.is_synapse]
        if self.strict:
            self._refuse_idle(parts, synapses)
        rules: dict[str, Rule] = {}
        for part in parts:
            fitting = (each.rule for each in self.layers if each.fits(part, synapses))
            fed = (rules[name] for name in reversed(part.synapses or ()))
            rules[part.name] = next(fitting, next(fed, self.default))
        return rules

    def _refuse_idle(self, parts: Sequence[Part], synapses: Sequence[str]) -> None:
        for each in self.layers:
            if not any(each.fits(part, synapses) for part in parts):
                known = ", ".join(f"{part.name} ({part.kind})" for part in parts)
                raise ConfigError(
                    f"The composite assigns {each.rule} to {each}, which fits no layer of the "
                    f"network; it has {known}."
                )


class EpsilonPlusFlat(Composite):
    """The composite of Flat for the first layer, ZPlus for convolutions, Epsilon for the rest.

    Args:
        eps: the stabiliser of the split at the neurons.
        conserving: whether to conserve relevance, for explanation.

    Source: Montavon et al., Layer-Wise Relevance Propagation: An Overview, 2019; zennit's
    composite of the same name.
    """

    def __init__(self, eps: float = 1e-6, conserving: bool = False) -> None:
        first = Assignment(Flat(eps=eps, conserving=conserving), position="first")
        maps = Assignment(ZPlus(eps=eps, conserving=conserving), type="Conv*")
        super().__init__((first, maps), Epsilon(eps, conserving), strict=False)


class EpsilonGammaBox(Composite):
    """The composite of ZBox for the first layer, Gamma for convolutions, Epsilon for the rest.

    Args:
        low: the smallest value of an input.
        high: the largest value of an input; 1 for spikes.
        gamma: the gamma of the rule of the convolutions.
        eps: the stabiliser of the split at the neurons.
        conserving: whether to conserve relevance, for explanation.

    Source: Montavon et al., Layer-Wise Relevance Propagation: An Overview, 2019; zennit's
    composite of the same name.
    """

    def __init__(
        self,
        low: float = 0.0,
        high: float = 1.0,
        gamma: float = 0.25,
        eps: float = 1e-6,
        conserving: bool = False,
    ) -> None:
        first = Assignment(ZBox(low, high, eps=eps, conserving=conserving), position="first")
        maps = Assignment(Gamma(gamma, eps=eps, conserving=conserving), type="Conv*")
        super().__init__((first, maps), Epsilon(eps, conserving), strict=False)


def assign(rule: Rule | Composite, parts: Iterable[Part]) -> Mapping[str, Rule]:
    """The rule of each part of a network, by name: one for all, or as a composite says.

    Raises:
        ConfigError: ``rule`` is neither rule nor composite, or a composite assigns a rule to
            nothing.
    """
    known = list(parts)
    if not isinstance(rule, Rule | Composite):
        raise ConfigError(
            f"The rule is {rule!r}; expected one of lfp_snn.rules, such as Epsilon(0.1), a "
            "subclass of Rule, or a Composite."
        )
    found = rule.assign(known) if isinstance(rule, Composite) else {p.name: rule for p in known}
    return {
        p.name: found[p.name] if p.is_synapse else found[p.name].suited(p.states) for p in known
    }
