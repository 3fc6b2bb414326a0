"""Contenders: the interface of the toolkits that are measured, and ours."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod

import torch

from benchmarks.steps.problem import RULE, Problem
from lfp_snn.engine import TemporalLFP
from lfp_snn.rewards import RateCoded

__all__ = [
    "LEARNING_RATE",
    "OURS",
    "Contender",
    "Ours",
    "OursChunked",
    "OursOnTorch",
    "OursOnline",
]

OURS = "lfp_snn, events"  # what the ratios refer to
LEARNING_RATE = 1e-7  # weights, and with them firing rates, stay as they are


class Contender(ABC):
    """The base of contenders: one way to make a training step, made fresh for each problem."""

    name: str

    def available(self) -> str | None:
        """The reason why the contender cannot run here; None if it can."""
        return None

    @abstractmethod
    def prepare(self, problem: Problem) -> None:
        """Take up network, weights and input; not timed."""

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

    def prepare(self, problem: Problem) -> None:
        """Take the spikes as the loader yields them."""
        self.x, self.labels = problem.x, problem.labels
        self.lfp = TemporalLFP(problem.build(), RULE, backend=self.backend)
        self.reward = RateCoded()
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


class OursChunked(Ours):
    """Our step with chunks of time repeated; an environment variable may give their length."""

    name = "lfp_snn, chunked"
    VARIABLE = "LFP_SNN_BENCH_CHUNK"  # read in the process that measures

    def prepare(self, problem: Problem) -> None:
        """Take the spikes as the loader yields them."""
        super().prepare(problem)
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
