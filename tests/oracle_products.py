"""Products of values and softmax for the oracle: one entry at a time, in plain numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from math import exp, prod
from typing import NamedTuple

import torch
from torch import Tensor

from tests.oracle import Network, Node


class Factors(NamedTuple):
    """``output[j] += coefficient * prod_k source_k[entries[k]]``."""

    j: int
    entries: tuple[int, ...]
    coefficient: float


@dataclass(eq=False)
class Product(Node):
    """Sums of products of one entry of each source; each source has a share of the relevance."""

    sources: Sequence[Node]
    terms: list[Factors]
    shares: Sequence[float]

    def forward(self, network: Network) -> None:
        self.value = network.zeros(self.units)
        for t, b in network.frames():
            for j, entries, coefficient in self.terms:
                self.value[t, b, j] += coefficient * prod(self.factors(t, b, entries))

    def factors(self, t: int, b: int, entries: tuple[int, ...]) -> list[float]:
        return [float(s.value[t, b, i]) for s, i in zip(self.sources, entries, strict=True)]

    def backward(self, network: Network) -> None:
        for t, b in network.frames():
            for j, entries, coefficient in self.terms:
                factors = self.factors(t, b, entries)
                for k, (source, i) in enumerate(zip(self.sources, entries, strict=True)):
                    others = prod(factors[:k] + factors[k + 1 :])
                    credit = coefficient * others * float(self.credit[t, b, j])
                    source.credit[t, b, i] += self.shares[k] * credit


@dataclass(eq=False)
class Softmax(Node):
    """A softmax within each group of units: ``R_i = z_i (R_i^out - a_i sum_j R_j^out)``."""

    source: Node
    groups: list[list[int]]

    def forward(self, network: Network) -> None:
        self.value = network.zeros(self.units)
        for t, b in network.frames():
            for group in self.groups:
                raised = [exp(self.source.value[t, b, i]) for i in group]
                for i, each in zip(group, raised, strict=True):
                    self.value[t, b, i] = each / sum(raised)

    def backward(self, network: Network) -> None:
        for t, b in network.frames():
            for group in self.groups:
                relevance = {i: self.value[t, b, i] * self.credit[t, b, i] for i in group}
                for i in group:
                    taken = self.value[t, b, i] * sum(relevance.values())
                    self.source.credit[t, b, i] += relevance[i] - taken


def product_of(
    function: Callable[..., Tensor], sources: Sequence[Node], shares: Sequence[float]
) -> Product:
    """A product as terms, found by its value where one entry of each source is one."""
    units = [torch.eye(s.units, dtype=torch.float64).view(-1, 1, *s.shape) for s in sources]
    shape = tuple(function(*(each[0] for each in units))[0].shape)
    terms = []
    for entries in product(*(range(s.units) for s in sources)):
        value = function(*(each[i] for each, i in zip(units, entries, strict=True)))[0]
        terms += [Factors(j, entries, float(a)) for j, a in enumerate(value.flatten()) if a]
    return Product(shape, sources, terms, shares)
