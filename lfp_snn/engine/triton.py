"""Neurons on CUDA devices: the scans over time as one kernel each; all else is the reference."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from typing_extensions import override

from lfp_snn import lif
from lfp_snn.backends.triton import scan
from lfp_snn.engine.graph import Node, Program
from lfp_snn.engine.neurons import Leaky
from lfp_snn.engine.stage import Credits, Feedback, Pass, Rules
from lfp_snn.rules import EpsilonSplit, Rule

__all__ = ["FusedLeaky", "on_triton"]


def on_triton(program: Program) -> Program:
    """The same program with its neurons on the fused kernels."""
    return Program(
        tuple(
            Node(FusedLeaky(node.stage.name, node.stage.module), node.inputs)
            if type(node.stage) is Leaky and not node.stage.graded
            else node
            for node in program.nodes
        )
    )


class FusedLeaky(Leaky):
    """``snntorch.Leaky`` with both scans fused over time, for rules that split as Epsilon does.

    Others take the reference scan backwards. Spikes are kept as bool; the scans run in the type of
    the network, whatever that of the currents is.
    """

    @override
    def step(
        self, run: Pass, current: Tensor, dynamics: lif.Dynamics, state: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        return scan.forward(current, dynamics, state, steps=run.steps, lengths=run.lengths)

    @override
    def backward(
        self, run: Pass, credit: Tensor, feedback: Feedback, rules: Rules, wanted: Sequence[bool]
    ) -> Credits:
        if not _fused(rules[self.name]):
            return super().backward(run, credit, feedback, rules, wanted)
        return self.learn(run, self._send(run, credit, run.kept[self][1], rules), feedback)

    @override
    def credit_relevance(
        self, run: Pass, relevance: Tensor, feedback: Feedback, rules: Rules, wanted: Sequence[bool]
    ) -> Credits:
        if not _fused(rules[self.name]):
            return super().credit_relevance(run, relevance, feedback, rules, wanted)
        return self.learn(run, self._send(run, relevance, None, rules), feedback)

    def _send(self, run: Pass, arrived: Tensor, spikes: Tensor | None, rules: Rules) -> Tensor:
        """Credit of the current, from credit of the spikes, or from relevance without them."""
        current, _, membranes, state, dynamics = run.kept[self]
        rule = rules[self.name]
        assert isinstance(rule, EpsilonSplit)
        n, run.carried[self.name] = scan.credit(
            arrived,
            spikes,
            membranes,
            current,
            dynamics,
            rule.eps,
            state,
            run.carried.get(self.name),
        )
        return n


def _fused(rule: Rule) -> bool:
    """Does the kernel split as this rule does?"""
    return (
        isinstance(rule, EpsilonSplit)
        and type(rule).split is EpsilonSplit.split
        and not rule.conserving
    )
