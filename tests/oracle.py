"""A slow, plain oracle of LFP in float64: one time step, one sample, one unit at a time.

It is written from the mathematics (``lfp_snn`` imports nothing here) so that the engine can be held
against it. A network is a list of nodes. A linear node is an explicit list of terms, built by plain
loops from the definition of the operation; what is not linear (pooling by maximum, elementwise
maximum, dropout, neurons) has a node of its own.

The neuron, with its five variants (``r`` is the pending reset, ``w`` the membrane that is kept)::

    p = beta*v + I        r = [w_before > theta]

    subtract, delay      v = w_before         u = p - theta*r   s = [u > theta]   w = u
    zero, delay          v = (1-r)*w_before   u = p             s = [u > theta]   w = u
    none                 v = w_before         u = p             s = [u > theta]   w = u
    subtract, no delay   v = w_before         u = p - theta*r   s = [u > theta]   w = u-theta*(s-r)
    zero, no delay       v = w_before         u = p             s = [u > theta]   w = (1-s)*u

Backwards from the last step, ``R`` the relevance at the spike and ``M`` that at the membrane::

    n = (R + M) / (|v| + |p - v| + eps)      M = n*beta*v      feedback(p) = |p| * sum n * du/dp

That is LFP-epsilon; ``tests/oracle_rules.py`` has the other rules, for the layers that are named.
Neurons under Rescale take the credit ``c`` at the spike also where there is none::

    n_t = a_t c_t + R_t / D_t + k_t n_{t+1}     a = gate / (|u - theta| + theta + eps)
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod, sqrt
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tests.oracle_rules import OracleRule, Rescaling, Synapse, credits, shares, split

Array = NDArray[np.float64]
Shape = tuple[int, ...]


class Parameter(NamedTuple):
    """One entry of a named parameter."""

    name: str
    entry: int


class Term(NamedTuple):
    """``output[j] += coefficient * parameter * source[i]``; what is None counts as 1."""

    j: int
    source: Node | None
    i: int
    coefficient: float
    parameter: Parameter | None = None


@dataclass(eq=False)
class Node(ABC):
    """A stage: its values ``[T, B, units]`` and the credit that arrives at them."""

    shape: Shape
    value: Array = field(init=False)
    credit: Array = field(init=False)
    extra: Array = field(init=False)  # relevance that came beside the credit

    @property
    def units(self) -> int:
        return prod(self.shape)

    @property
    def relevance(self) -> Array:
        """What each unit of this stage receives, ``[T, B, *shape]``."""
        product_ = self.value * self.credit + self.extra
        return product_.reshape(*product_.shape[:2], *self.shape)

    @abstractmethod
    def forward(self, network: Network) -> None:
        """Fill ``value`` from the values of the sources."""

    @abstractmethod
    def backward(self, network: Network) -> None:
        """Add to the credit of the sources and to the feedback of the parameters."""


@dataclass(eq=False)
class Input(Node):
    """The input of the network; its values are given."""

    def forward(self, network: Network) -> None:
        self.value = network.input_values.reshape(network.steps, network.batch, self.units)

    def backward(self, network: Network) -> None:
        pass


@dataclass(eq=False)
class Linear(Node):
    """Any linear or affine stage, as a list of terms."""

    terms: list[Term]

    def forward(self, network: Network) -> None:
        self.value = network.zeros(self.units)
        for t, b in network.frames():
            for j, source, i, coefficient, parameter in self.terms:
                x = 1.0 if source is None else source.value[t, b, i]
                self.value[t, b, j] += coefficient * network.weight(parameter) * x

    @property
    def synapse(self) -> str | None:
        """The name of the layer whose weights these are; None without any."""
        names = {term.parameter.name for term in self.terms if term.parameter is not None}
        return next((name.rpartition(".")[0] for name in names), None)

    def backward(self, network: Network) -> None:
        rule = network.rules.get(self.synapse or "")
        if rule is not None:
            self.share(network, rule)
            return
        sizes = np.zeros(self.units)
        for term in self.terms:
            sizes[term.j] += abs(term.coefficient) if term.source is not None else 0
        for t, b in network.frames():
            for j, source, i, coefficient, parameter in self.terms:
                if source is not None and self.extra[t, b, j]:
                    assert parameter is None, "only stages without weights hand extra on"
                    source.extra[t, b, i] += self.extra[t, b, j] * abs(coefficient) / sizes[j]
                credit = self.credit[t, b, j] * coefficient
                x = 1.0 if source is None else source.value[t, b, i]
                if source is not None:
                    source.credit[t, b, i] += credit * network.weight(parameter)
                if parameter is not None:
                    strength = abs(network.weight(parameter))
                    network.feedback[parameter.name][parameter.entry] += strength * x * credit

    def share(self, network: Network, rule: OracleRule) -> None:
        """Share the relevance ``n I`` of each current among its terms, one synapse at a time."""
        of_unit: dict[int, list[Term]] = {}
        for term in self.terms:
            of_unit.setdefault(term.j, []).append(term)
        for t, b in network.frames():
            for j, terms in of_unit.items():
                n = float(self.credit[t, b, j])
                synapses = [
                    Synapse(
                        1.0 if term.source is None else float(term.source.value[t, b, term.i]),
                        term.coefficient * network.weight(term.parameter),
                        term.source is None,
                    )
                    for term in terms
                ]
                each = shares if rule.of_silent else credits
                for term, synapse, share in zip(
                    terms, synapses, each(rule, synapses, n), strict=True
                ):
                    relevance = share if rule.of_silent else share * synapse.x
                    if term.parameter is not None:
                        name, entry = term.parameter
                        direction = np.sign(n) * np.sign(synapse.x)
                        network.feedback[name][entry] += direction * abs(relevance)
                    if term.source is None:
                        continue
                    if rule.of_silent:
                        term.source.extra[t, b, term.i] += relevance
                    else:
                        term.source.credit[t, b, term.i] += share


@dataclass(eq=False)
class BatchNorm(Linear):
    """An affine stage; in training its statistics are those of the live frames of this batch."""

    source: Node
    module: Any
    name: str

    def forward(self, network: Network) -> None:
        self.terms = []
        channels = self.shape[0]
        size = self.units // channels
        for channel in range(channels):
            units = range(channel * size, (channel + 1) * size)
            if self.module.training or self.module.running_mean is None:
                sample = [self.source.value[t, b, j] for t, b in network.frames() for j in units]
                mean = sum(sample) / len(sample)
                variance = sum((x - mean) ** 2 for x in sample) / len(sample)
            else:
                mean = float(self.module.running_mean[channel])
                variance = float(self.module.running_var[channel])
            scale = 1 / sqrt(variance + self.module.eps)
            gamma = Parameter(f"{self.name}.weight", channel) if self.module.affine else None
            for j in units:
                self.terms.append(Term(j, self.source, j, scale, gamma))
                self.terms.append(Term(j, None, 0, -mean * scale, gamma))
                if self.module.affine:
                    bias = Parameter(f"{self.name}.bias", channel)
                    self.terms.append(Term(j, None, 0, 1.0, bias))
        super().forward(network)


@dataclass(eq=False)
class Mask(Node):
    """Multiplication with a given mask ``[B, units]`` that is the same at every step: dropout."""

    source: Node
    mask: Array

    def forward(self, network: Network) -> None:
        self.value = network.zeros(self.units)
        for t, b in network.frames():
            for j in range(self.units):
                self.value[t, b, j] = self.mask[b, j] * self.source.value[t, b, j]

    def backward(self, network: Network) -> None:
        for t, b in network.frames():
            for j in range(self.units):
                self.source.credit[t, b, j] += self.mask[b, j] * self.credit[t, b, j]
                self.source.extra[t, b, j] += (self.mask[b, j] != 0) * self.extra[t, b, j]


@dataclass(eq=False)
class MaxPool(Node):
    """The maximum of each window; the first one, row-major, takes the credit."""

    source: Node
    windows: list[list[int]]  # the units in the window of each output, row-major

    def winner(self, t: int, b: int, j: int) -> int:
        best = self.windows[j][0]
        for i in self.windows[j]:
            if self.source.value[t, b, i] > self.source.value[t, b, best]:
                best = i
        return best

    def forward(self, network: Network) -> None:
        self.value = network.zeros(self.units)
        for t, b in network.frames():
            for j in range(self.units):
                self.value[t, b, j] = self.source.value[t, b, self.winner(t, b, j)]

    def backward(self, network: Network) -> None:
        for t, b in network.frames():
            for j in range(self.units):
                winner = self.winner(t, b, j)
                self.source.credit[t, b, winner] += self.credit[t, b, j]
                self.source.extra[t, b, winner] += self.extra[t, b, j]


@dataclass(eq=False)
class Maximum(Node):
    """The elementwise maximum of two stages; a tie is shared in halves."""

    left: Node
    right: Node

    def forward(self, network: Network) -> None:
        self.value = network.zeros(self.units)
        for t, b in network.frames():
            for j in range(self.units):
                self.value[t, b, j] = max(self.left.value[t, b, j], self.right.value[t, b, j])

    def backward(self, network: Network) -> None:
        for t, b in network.frames():
            for j in range(self.units):
                left, right = self.left.value[t, b, j], self.right.value[t, b, j]
                share = 0.5 if left == right else float(left > right)
                self.left.credit[t, b, j] += share * self.credit[t, b, j]
                self.right.credit[t, b, j] += (1 - share) * self.credit[t, b, j]
                self.left.extra[t, b, j] += share * self.extra[t, b, j]
                self.right.extra[t, b, j] += (1 - share) * self.extra[t, b, j]


class Moment(NamedTuple):
    """What one neuron did at one step."""

    kept: float
    current: float
    reset: float
    compared: float


@dataclass(eq=False)
class Leaky(Node):
    """Leaky integrate-and-fire neurons; ``beta`` and ``theta`` hold one value for each unit."""

    name: str
    source: Node
    beta: Array
    theta: Array
    reset: str  # subtract, zero or none
    delay: bool
    beta_of: list[Parameter] | None = None  # the parameter entry behind each unit's value
    theta_of: list[Parameter] | None = None
    membrane: Array = field(init=False)
    moments: dict[tuple[int, int, int], Moment] = field(init=False, default_factory=dict)

    def forward(self, network: Network) -> None:
        self.value, self.membrane = network.zeros(self.units), network.zeros(self.units)
        start = network.start.get(self.name, np.zeros(self.value.shape[1:]))
        for b, j in product(range(network.batch), range(self.units)):
            w = float(start[b, j])
            for t in range(network.steps):
                if t < network.lengths[b]:
                    w = self.step(network, t, b, j, w)
                self.membrane[t, b, j] = w

    def step(self, network: Network, t: int, b: int, j: int, w: float) -> float:
        """One step of one neuron: note what it did, return its new membrane."""
        beta, theta = float(self.beta[j]), float(self.theta[j])
        r = float(w > theta)
        v = (1 - r) * w if (self.reset, self.delay) == ("zero", True) else w
        current = float(self.source.value[t, b, j])
        p = beta * v + current
        u = p - theta * r if self.reset == "subtract" else p
        s = float(u > theta)
        self.value[t, b, j] = s
        self.moments[t, b, j] = Moment(v, current, r, u)
        if self.delay or self.reset == "none":
            return u
        return u - theta * (s - r) if self.reset == "subtract" else (1 - s) * u

    def backward(self, network: Network) -> None:
        rule = network.rules.get(self.name, OracleRule("epsilon", network.eps))
        if rule.rescale is not None:
            self.rescale(network, rule.rescale)
            return
        for b, j in product(range(network.batch), range(self.units)):
            handed_on = 0.0
            for t in reversed(range(network.lengths[b])):
                v, current, r, _ = self.moments[t, b, j]
                relevance = network.reward_at(self, t, b, j)
                relevance += self.value[t, b, j] * self.credit[t, b, j] + self.extra[t, b, j]
                handed_on, n = split(rule, relevance + handed_on, v, self.beta[j] * v, current)
                self.source.credit[t, b, j] += n
                self.learn(network, j, n * v, n * r if self.reset == "subtract" else 0.0)

    def learn(self, network: Network, j: int, of_beta: float, against_theta: float) -> None:
        if self.beta_of is not None:
            name, entry = self.beta_of[j]
            network.feedback[name][entry] += abs(self.beta[j]) * of_beta
        if self.theta_of is not None:
            name, entry = self.theta_of[j]
            network.feedback[name][entry] -= abs(self.theta[j]) * against_theta

    def rescale(self, network: Network, rule: Rescaling) -> None:
        """``n_t = a_t c_t + R_t / D_t + k_t n_{t+1}``, with credit for silent neurons."""
        at_end = self is network.nodes[-1] or self in network.voters()
        for b, j in product(range(network.batch), range(self.units)):
            beta, theta, last = float(self.beta[j]), float(self.theta[j]), network.lengths[b] - 1
            n = 0.0
            for t in reversed(range(last + 1)):
                v, current, r, u = self.moments[t, b, j]
                credit, relevance = self.credit[t, b, j], self.extra[t, b, j]
                reward = network.reward_at(self, t, b, j)
                if network.reward_is_credit:
                    credit += reward
                else:
                    relevance += reward
                size = rule.size(v, beta * v + current)
                k = 0.0
                if t < last:
                    later = self.moments[t + 1, b, j]
                    if rule.carry == "reference":
                        k = beta * later.kept / size
                    elif self.reset == "zero" and self.delay:
                        k = beta * (1 - later.reset)
                    elif self.reset == "zero":
                        k = beta * (1 - float(u > theta))
                    else:
                        k = beta
                direct = rule.slope(u, theta, not at_end) * credit
                n = direct + relevance / size + k * n
                self.source.credit[t, b, j] += n
                taken = n * r if self.reset == "subtract" else 0.0
                self.learn(network, j, n * v, taken + direct)


@dataclass(eq=False)
class Units(Node):
    """Units without a state, ``a = f(z)``, or a readout with ``f(z) = z``.

    ``R`` arrives at ``a``; of it ``R (a - f(0)) / a`` belongs to ``z``, and ``n = R / z`` with the
    rule's own way to divide. The divisor has the sign of z, but for steps, which are neurons. A
    readout hands a reward that is credit on as it is.
    """

    name: str
    source: Node
    function: Callable[[float], float]
    signed: bool = True

    def forward(self, network: Network) -> None:
        self.value = network.zeros(self.units)
        for t, b in network.frames():
            for j in range(self.units):
                self.value[t, b, j] = self.function(float(self.source.value[t, b, j]))

    def backward(self, network: Network) -> None:
        rule = network.rules.get(self.name, OracleRule("epsilon", network.eps))
        rest = self.function(0.0)
        for t, b in network.frames():
            for j in range(self.units):
                if self is network.nodes[-1] and network.reward_is_credit:
                    self.source.credit[t, b, j] += network.reward_at(self, t, b, j)
                    continue
                z, a = float(self.source.value[t, b, j]), float(self.value[t, b, j])
                relevance = network.reward_at(self, t, b, j)
                relevance += a * self.credit[t, b, j] + self.extra[t, b, j]
                if rest:
                    relevance *= (a - rest) / a if a else 0  # what gives nothing has none
                _, n = split(rule, relevance, 0.0, 0.0, abs(z) if self.signed else z)
                self.source.credit[t, b, j] += -n if self.signed and z < 0 else n


class Network:
    """The nodes of a network in order, its parameters and its feedback.

    The methods named after operations add a node and return it (``tests/oracle_modules.py`` adds
    modules); ``run`` and ``send_back`` compute; ``feedback`` holds one flat array for each
    parameter of ``module``.
    """

    def __init__(
        self,
        module: nn.Module,
        shape: Shape,
        eps: float = 1e-6,
        rules: Mapping[str, OracleRule] | None = None,
    ) -> None:
        self.eps = eps
        self.rules = rules or {}
        self.parameters = {
            name: parameter.detach().to(torch.float64).numpy().ravel()
            for name, parameter in module.named_parameters()
        }
        self.feedback = {name: np.zeros(value.size) for name, value in self.parameters.items()}
        self.reward_is_credit = False
        self.input = Input(shape)
        self.nodes: list[Node] = [self.input]

    def run(
        self,
        x: Array,
        lengths: Sequence[int] | None = None,
        start: Mapping[str, Array] | None = None,
    ) -> Array:
        """Run ``x`` ``[T, B, ...]``; the spikes of the last node, ``[T, B, *shape]``.

        ``start`` holds the membranes ``[B, ...]`` of neurons before the first step, by name.
        """
        self.steps, self.batch = x.shape[:2]
        self.lengths = [self.steps] * self.batch if lengths is None else list(lengths)
        self.start = {name: w.reshape(self.batch, -1) for name, w in (start or {}).items()}
        self.input_values = x
        for node in self.nodes:
            node.forward(self)
            node.credit, node.extra = self.zeros(node.units), self.zeros(node.units)
        return self.nodes[-1].value.reshape(self.steps, self.batch, *self.nodes[-1].shape)

    def send_back(self, reward: Array, *, as_credit: bool = False) -> None:
        """Send the reward ``[T, B, ...]`` at the last node back to parameters and input."""
        self.reward_is_credit = as_credit
        self.reward = reward.reshape(self.steps, self.batch, -1)
        for node in reversed(self.nodes):
            node.backward(self)

    def zeros(self, units: int) -> Array:
        return np.zeros((self.steps, self.batch, units))

    def frames(self) -> Iterator[tuple[int, int]]:
        """Step and sample of every frame before its sample's end."""
        for t, b in product(range(self.steps), range(self.batch)):
            if t < self.lengths[b]:
                yield t, b

    def weight(self, parameter: Parameter | None) -> float:
        return 1.0 if parameter is None else float(self.parameters[parameter.name][parameter.entry])

    def reward_at(self, node: Node, t: int, b: int, j: int) -> float:
        """At the output the relevance is the reward itself, also where the neuron is silent."""
        return float(self.reward[t, b, j]) if node is self.nodes[-1] else 0.0

    def voters(self) -> list[Node]:
        """Neurons that reach a readout through linear stages without weights."""
        found, pending = list[Node](), [self.nodes[-1]]
        while pending:
            node = pending.pop()
            if isinstance(node, Leaky):
                found.append(node)
            elif isinstance(node, Linear) and node.synapse is None:
                pending += {term.source for term in node.terms if term.source is not None}
            elif isinstance(node, Units) and node is self.nodes[-1]:
                pending.append(node.source)
            else:
                return []
        return found

    def add(self, node: Node) -> Node:
        self.nodes.append(node)
        return node

    def reshape(self, source: Node, shape: Shape) -> Node:
        assert prod(shape) == source.units
        return self.add(Linear(shape, [Term(j, source, j, 1.0) for j in range(source.units)]))

    def combine(self, *weighted: tuple[float, Node]) -> Node:
        """``sum of coefficient * stage``: sum, difference, scaling."""
        shape = weighted[0][1].shape
        terms = [Term(j, node, j, a) for j in range(prod(shape)) for a, node in weighted]
        return self.add(Linear(shape, terms))

    def concatenate(self, *sources: Node) -> Node:
        """Join stages along their first axis (channels)."""
        shape = (sum(node.shape[0] for node in sources), *sources[0].shape[1:])
        joined = [(node, i) for node in sources for i in range(node.units)]
        terms = [Term(j, node, i, 1.0) for j, (node, i) in enumerate(joined)]
        return self.add(Linear(shape, terms))

    def maximum(self, left: Node, right: Node) -> Node:
        return self.add(Maximum(left.shape, left, right))
