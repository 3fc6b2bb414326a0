"""The rules of LRP for the oracle: one neuron, one step, one synapse at a time, in plain numbers.

A contribution is ``z = w * x``, a bias being a weight with x = 1. ``0/0`` counts as 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class OracleRule(NamedTuple):
    """A rule by its name, with whatever numbers it has."""

    name: str
    eps: float = 1e-6
    conserving: bool = False
    gamma: float = 0.0
    alpha: float = 0.0
    beta: float = 0.0
    low: float = 0.0
    high: float = 1.0

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


def shares(rule: OracleRule, synapses: Sequence[Synapse], n: float) -> list[float]:
    """The relevance that goes through each synapse, of the ``n * I`` of the current."""
    if rule.name in ("epsilon", "norm", "pass"):
        return [n * s.z for s in synapses]
    current = sum(s.z for s in synapses)
    if rule.name in ("alpha_beta", "zplus"):
        alpha, beta = (1.0, 0.0) if rule.name == "zplus" else (rule.alpha, rule.beta)
        favouring = sum(s.z for s in synapses if sign(s.z) == sign(current))
        opposing = sum(s.z for s in synapses if sign(s.z) == -sign(current))
        if not opposing:
            alpha = 1.0
        return [
            divide(alpha * s.z, favouring) * n * current
            if sign(s.z) == sign(current)
            else -divide(beta * s.z, opposing) * n * current
            for s in synapses
        ]
    measures = [measure(rule, s, current) for s in synapses]
    return [divide(m, sum(measures)) * n * current for m in measures]


def measure(rule: OracleRule, s: Synapse, current: float) -> float:
    if rule.name == "gamma":
        return s.z * (1 + rule.gamma) if sign(s.z) == sign(current) else s.z
    if rule.name == "wsquare":
        return s.w**2
    if rule.name == "flat":
        return 0.0 if s.is_bias else 1.0
    assert rule.name == "zbox"
    if s.is_bias:
        return 0.0
    return s.z - rule.low * max(s.w, 0.0) - rule.high * min(s.w, 0.0)
