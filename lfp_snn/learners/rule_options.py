"""Rules and composites in a configuration, by name.

``{name: gamma, gamma: 0.5}`` is one rule for all layers, ``{name: epsilon_plus_flat}`` a composite
with a name of its own. A composite that a user makes lists its layers, the most special one
first::

    rule:
      name: composite
      layers:
        - {position: first, rule: {name: flat}}
        - {type: Conv*, rule: {name: gamma, gamma: 0.25}}
        - {name: classifier.*, rule: {name: epsilon, eps: 0.1}}
      default: {name: epsilon, eps: 0.1}
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Annotated, Literal

from pydantic import Field
from typing_extensions import override

from lfp_snn.learners.own import OwnRule, named
from lfp_snn.options import AS_MAPPING, Choice, Section, choice_of, choose
from lfp_snn.rules import COMPOSITES, RULES, Assignment, Composite, Products, Rescale, Rule
from lfp_snn.rules.rescale import Carry, Gate

__all__ = [
    "CompositeOptions",
    "LayerRule",
    "RescaleOptions",
    "RuleChoice",
    "default_rule",
    "rule_section",
    "rule_sections",
]

# Sections are made when asked for: a program may add to the rules.
_section: Callable[[str, type], type[Choice]] = cache(choice_of)


def _single() -> dict[str, type[Choice]]:
    """The sections of rules, not of composites; Rescale holds a rule, and has one of its own."""
    return {
        name: RescaleOptions if rule is Rescale else _section(name, rule)
        for name, rule in RULES.items()
    }


_Rule = Annotated[Choice, choose("rule", _single, "epsilon"), AS_MAPPING]


class RescaleOptions(Choice):
    """The rule that counts neurons against a reference; see :class:`lfp_snn.rules.Rescale`.

    Attributes:
        gate: the gate that lets credit pass, positive or window.
        carry: what a membrane takes from the step that follows, reference or decay; null:
            reference for neurons whose state is the membrane alone, else decay.
        eps: the stabiliser.
        synapse: the rule by which synapses share.
        product: halves or signal, how products share among their factors.
    """

    name: Literal["rescale"] = "rescale"
    gate: Gate = "positive"
    carry: Carry | None = None
    eps: float = 0.1
    synapse: _Rule = Field(default_factory=lambda: _single()["epsilon"](name="epsilon"))
    product: Products = "halves"

    @override
    def make(self) -> Rescale:
        synapse = self.synapse.make()
        return Rescale(self.gate, self.carry, self.eps, synapse, product=self.product)

    @override
    def check(self) -> None:
        self.make()


class LayerRule(Section):
    """A rule and the layers that take it; see :class:`lfp_snn.rules.Assignment`.

    Attributes:
        rule: the rule, by name.
        type: the class name of the module, as a pattern.
        name: the path of the module, as a pattern.
        position: the first or the last synapse of the network.
    """

    rule: _Rule
    type: str | None = None
    name: str | None = None
    position: Literal["first", "last"] | None = None

    def make(self) -> Assignment:
        """Build the assignment that the section describes."""
        return Assignment(self.rule.make(), self.type, self.name, self.position)


class CompositeOptions(Choice):
    """A composite that lists its layers; see :class:`lfp_snn.rules.Composite`.

    Attributes:
        layers: the rules with the layers that take them; the first that fits a layer counts.
        default: the rule of all other layers.
    """

    name: Literal["composite"] = "composite"
    layers: list[LayerRule] = Field(min_length=1)
    default: _Rule = Field(default_factory=lambda: _single()["epsilon"](name="epsilon"))

    @override
    def make(self) -> Composite:
        return Composite(tuple(layer.make() for layer in self.layers), self.default.make())

    @override
    def check(self) -> None:
        self.make()


def rule_sections() -> dict[str, type[Choice]]:
    """The sections of all rules and composites, by the name that a config uses."""
    composites = {name: _section(name, composite) for name, composite in COMPOSITES.items()}
    return {**_single(), **composites, "composite": CompositeOptions}


#: A field that takes any of them; a run that was given a rule of a user's own says so by "own".
RuleChoice = Annotated[
    Choice, choose("rule", lambda: {**rule_sections(), "own": OwnRule}, "rescale"), AS_MAPPING
]


def default_rule() -> Choice:
    """The default rule, Rescale, which trains deep networks better than the published epsilon."""
    return RescaleOptions()


def rule_section(rule: Rule | Composite) -> Choice:
    """The section that names a rule or composite, or notes one that no config can name."""
    return _named(rule) or OwnRule.of(rule)


def _named(rule: Rule | Composite) -> Choice | None:
    if type(rule) is Rescale:
        synapse = named(rule.synapse, _single())
        given = {**vars(rule), "synapse": synapse}
        return None if synapse is None else RescaleOptions(**given)
    if type(rule) is Composite:
        return _listed(rule)
    if isinstance(rule, Composite):
        return _with_its_name(rule)
    return named(rule, rule_sections())


def _with_its_name(composite: Composite) -> Choice | None:
    """The section of a composite that has a name of its own, whose options are of its rules."""
    rules = (composite.default, *(each.rule for each in composite.layers))
    for name, kind in COMPOSITES.items():
        if type(composite) is kind:
            section = rule_sections()[name]
            options = {
                key: getattr(rule, key)
                for key in section.model_fields
                for rule in reversed(rules)
                if hasattr(rule, key)
            }
            found = section.model_validate({**options, "name": name})
            return found if found.make() == composite else None
    return None


def _listed(composite: Composite) -> Choice | None:
    """The section of a composite that lists its layers, if all its rules have names."""
    rules = [_named(each) for each in (composite.default, *(a.rule for a in composite.layers))]
    known = [each for each in rules if each is not None]
    if len(known) < len(rules) or not composite.strict:
        return None
    default, *of_layers = known
    layers = [
        LayerRule(rule=rule, type=each.type, name=each.name, position=each.position)
        for rule, each in zip(of_layers, composite.layers, strict=True)
    ]
    return CompositeOptions(layers=layers, default=default)
