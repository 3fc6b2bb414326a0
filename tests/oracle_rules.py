"""The rules of LRP for the oracle: one neuron, one step, one synapse at a time, in plain numbers.

A contribution is ``z = w * x``, a bias being a weight with x = 1. ``0/0`` counts as 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Rescaling(NamedTuple):
    """What a neuron under the Rescale rule counts by."""

    gate: str = "positive"
    carry: str = "reference"
    eps: float = 0.1

    def slope(self, u: float, theta: float, gated: bool) -> float:
        """What a unit of credit at the spike, or at its absence, is at the membrane."""
        x = u - theta
        opened = {"positive": u > 0, "window": abs(x) < theta}[self.gate]
        return 1 / (abs(x) + theta + self.eps) if opened or not gated else 0.0

    def size(self, before: float, made: float) -> float:
        return abs(before) + abs(made - before) + self.eps


class OracleRule(NamedTuple):
    """A rule by its name, with whatever numbers it has.

    With ``rescale`` its neurons are under that rule, and the name says how synapses share.
    """

    name: str
    eps: float = 1e-6
    conserving: bool = False
    gamma: float = 0.0
    alpha: float = 0.0
    beta: float = 0.0
    low: float = 0.0
    high: float = 1.0
    rescale: Rescaling | None = None

    @property
    def of_silent(self) -> bool:
        return self.name in ("wsquare", "flat", "zbox")


class Synapse(NamedTuple):
    x: float
    w: float
    is_bias: bool

    @property
    def z(self) -> float:
        return self.w * self.x


def divide(a: float, b: float) -> float:
    return a / b if b else 0.0


def sign(a: float) -> int:
    return (a > 0) - (a < 0)


def split(
    rule: OracleRule, q: float, v: float, decayed: float, current: float
) -> tuple[float, float]:
    """What is carried to the earlier membrane, and the credit of the current."""
    if rule.name == "pass":
        return 0.0, divide(q, abs(current))
    if rule.name == "norm":
        n = divide(q, abs(decayed) + abs(current))
        return n * decayed, n
    if rule.conserving:
        share = divide(q, abs(decayed) + abs(current))
        return share * abs(decayed), share * sign(current)
    n = q / (abs(v) + abs(decayed + current - v) + rule.eps)
    return n * decayed, n


def credits(rule: OracleRule, synapses: Sequence[Synapse], n: float) -> list[float]:
    """What a unit of each input takes of the ``n * I`` of the current; a silent one too.

    A silent input counts as one that is positive, as a spike would be.
    """
    if rule.name in ("epsilon", "norm", "pass"):
        return [n * s.w for s in synapses]
    current = sum(s.z for s in synapses)
    favours = [sign(s.w if s.x >= 0 else -s.w) == sign(current) for s in synapses]
    if rule.name == "gamma":
        factors = [1 + rule.gamma if each else 1.0 for each in favours]
        total = sum(f * s.z for f, s in zip(factors, synapses, strict=True))
        return [
            divide(f * s.w, total) * n * current for f, s in zip(factors, synapses, strict=True)
        ]
    assert rule.name in ("alpha_beta", "zplus")
    alpha, beta = (1.0, 0.0) if rule.name == "zplus" else (rule.alpha, rule.beta)
    favouring = sum(s.z for s in synapses if sign(s.z) == sign(current))
    opposing = sum(s.z for s in synapses if sign(s.z) == -sign(current))
    if not opposing:
        alpha = 1.0
    return [
        divide(alpha * s.w, favouring) * n * current
        if each
        else -divide(beta * s.w, opposing) * n * current
        for each, s in zip(favours, synapses, strict=True)
    ]


def shares(rule: OracleRule, synapses: Sequence[Synapse], n: float) -> list[float]:
    """The relevance that goes through each synapse, of the ``n * I`` of the current."""
    if not rule.of_silent:
        return [c * s.x for c, s in zip(credits(rule, synapses, n), synapses, strict=True)]
    current = sum(s.z for s in synapses)
    measures = [measure(rule, s) for s in synapses]
    return [divide(m, sum(measures)) * n * current for m in measures]


def measure(rule: OracleRule, s: Synapse) -> float:
    """Of the rules that reach silent inputs."""
    if rule.name == "wsquare":
        return s.w**2
    if rule.name == "flat":
        return 0.0 if s.is_bias else 1.0
    assert rule.name == "zbox"
    if s.is_bias:
        return 0.0
    return s.z - rule.low * max(s.w, 0.0) - rule.high * min(s.w, 0.0)
