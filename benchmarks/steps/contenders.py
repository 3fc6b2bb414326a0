"""Contenders: the interface of the toolkits that are measured, on any device, and ours."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from typing import Any, Literal

import torch
from torch import nn

from benchmarks.steps.problem import RULE, Problem
from lfp_snn.backends.precision import Precision
from lfp_snn.engine import TemporalLFP
from lfp_snn.engine.graphed import GraphedStep
from lfp_snn.rewards import RateCoded
from lfp_snn.rules import Rescale, Rule
from lfp_snn.spikes import Spikes

__all__ = [
    "CPU",
    "LEARNING_RATE",
    "OURS",
    "Contender",
    "Ours",
    "OursByDefault",
    "OursChunked",
    "OursOnTorch",
    "OursOnline",
    "Way",
    "bytes_of",
]

#: How a step is run: call by call, as a CUDA graph, or call by call under AMP in bfloat16.
Way = Literal["eager", "graph", "amp"]
CPU = torch.device("cpu")

OURS = "lfp_snn, events"  # what the ratios refer to
LEARNING_RATE = 1e-7  # weights, and with them firing rates, stay as they are


class Contender(ABC):
    """The base of contenders: one way to make a training step, made fresh for each problem.

    Args:
        way: how a step is run.
    """

    name: str
    net: nn.Module
    given: int  # the bytes of the input and of its labels
    #: The precision of most products, by which the arithmetic of a device counts.
    precision: Precision = "tf32"
    #: Does torch see all calls of a step? It does not see kernels on lists of events.
    seen = True

    def __init__(self, way: Way = "eager") -> None:
        self.way = way
        self.graphed: GraphedStep[Any] | None = None
        if way == "amp":
            self.precision = "bf16"

    @property
    def title(self) -> str:
        """The name and the way."""
        return f"{self.name}, {self.way}"

    @property
    def reason(self) -> str | None:
        """The reason why a step is no graph, where it was to be one."""
        return None if self.graphed is None or self.way != "graph" else self.graphed.reason

    def held(self) -> int:
        """The bytes of weights, gradients, the optimizer's state and the input."""
        return 4 * sum(parameter.nbytes for parameter in self.net.parameters()) + self.given

    def available(self) -> str | None:
        """The reason why the contender cannot run here; None if it can."""
        return None

    @abstractmethod
    def prepare(self, problem: Problem, device: torch.device = CPU) -> None:
        """Take up network, weights and input on a device; not timed."""

    @abstractmethod
    def step(self) -> None:
        """Make one training step: forward, backward, optimizer."""

    @abstractmethod
    def firing(self) -> tuple[float, ...]:
        """The spikes per neuron and step of each population, input to output; not timed."""


class Ours(Contender):
    """:class:`~lfp_snn.TemporalLFP` with the rate-coded reward, on the kernels for events."""

    name = OURS
    backend = "events"
    rule: Rule = RULE

    def prepare(self, problem: Problem, device: torch.device = CPU) -> None:
        """Take the spikes as the loader yields them."""
        self.x, self.labels = problem.x.to(device), problem.labels.to(device)
        self.given = bytes_of(self.x, self.labels)
        self.net = problem.build().to(device)
        self.lfp = TemporalLFP(self.net, self.rule, backend=self.backend)
        self.seen = self.backend != "events"
        takes_credit = self.lfp.takes_credit(self.lfp.rules)
        self.reward = RateCoded().suited(takes_credit=takes_credit)
        self.optimizer = torch.optim.Adam(self.lfp.parameters(), lr=LEARNING_RATE, fused=True)

    def step(self) -> None:
        """Send spikes forwards and the reward backwards, and step Adam."""
        spikes = self.lfp.forward(self.x)
        self.lfp.backward(self.reward(spikes, self.labels))
        self.optimizer.step()

    def firing(self) -> tuple[float, ...]:
        """The spikes per neuron and step as the engine counts them."""
        self.lfp.forward(self.x, record=False)
        return tuple(self.lfp.firing_rates.values())


class OursByDefault(Ours):
    """Our step under the default rule, whose credit reaches silent neurons."""

    name = "lfp_snn, rescale"
    rule = Rescale()


class OursChunked(Ours):
    """Our step with chunks of time repeated; an environment variable may give their length."""

    name = "lfp_snn, chunked"
    VARIABLE = "LFP_SNN_BENCH_CHUNK"  # read in the process that measures

    def prepare(self, problem: Problem, device: torch.device = CPU) -> None:
        """Take the spikes as the loader yields them."""
        super().prepare(problem, device)
        chunk = int(os.environ.get(self.VARIABLE, 0)) or None
        self.lfp = TemporalLFP(
            self.lfp.net, RULE, backend=self.backend, memory="chunked", chunk=chunk
        )


class OursOnline(Ours):
    """Our step by online LFP: each time step is rewarded and learnt from before the next."""

    name = "lfp_snn, online"

    def step(self) -> None:
        """Run one frame after the other, and step Adam."""
        session = self.lfp.online(self.reward)
        for t in range(self.x.steps):
            session.step(self.x.window(t, t + 1)[0], self.labels)
        session.collect()
        self.optimizer.step()


class OursOnTorch(Ours):
    """Our step on the reference kernels, which are dense."""

    name = "lfp_snn, torch"
    backend = "torch"


def bytes_of(x: Spikes, labels: torch.Tensor) -> int:
    """The bytes of a batch as it is stored."""
    return x.indptr.nbytes + x.indices.nbytes + labels.nbytes
