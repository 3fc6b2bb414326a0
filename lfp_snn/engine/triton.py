"""Neurons on CUDA devices: in one launch a way with norm and pool, or scans as a kernel each."""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from typing_extensions import override

from lfp_snn import lif
from lfp_snn.backends.triton import scan
from lfp_snn.cells import Arriving
from lfp_snn.engine.fused import SPLITS, FusedPopulation
from lfp_snn.engine.kernels import ANY, Group, Kernel, Table
from lfp_snn.engine.neurons import Leaky
from lfp_snn.engine.stage import Credits, Feedback, Rules, Tape, Wanted
from lfp_snn.rules import CreditRule, Formula

__all__ = ["TABLE", "FusedLeaky"]


class FusedLeaky(Leaky):
    """``snntorch.Leaky`` with both scans fused over time, for the splits that the kernels know.

    Others take the reference scan backwards. Spikes are kept as bool; the scans run in the type of
    the network, whatever that of the currents is.
    """

    takes_narrow = True

    @override
    def step(
        self, run: Tape, current: Tensor, dynamics: lif.Dynamics, state: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        return scan.forward(current, dynamics, state, steps=run.steps, lengths=run.lengths)

    @override
    def backward(
        self, run: Tape, credit: Tensor, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        formula = rules[self.name].at_neuron
        if formula.name != "epsilon":
            return super().backward(run, credit, feedback, rules, wanted)
        return self.learn(run, self._send(run, credit, run.kept[self][1], formula), feedback)

    @override
    def credit_relevance(
        self, run: Tape, relevance: Tensor, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        formula = rules[self.name].at_neuron
        if formula.name != "epsilon":
            return super().credit_relevance(run, relevance, feedback, rules, wanted)
        return self.learn(run, self._send(run, relevance, None, formula), feedback)

    def _send(self, run: Tape, arrived: Tensor, spikes: Tensor | None, formula: Formula) -> Tensor:
        """Credit of the current, from credit of the spikes, or from relevance without them."""
        current, _, membranes, state, dynamics = run.kept[self]
        n, run.carried[self.name] = scan.credit(
            arrived,
            spikes,
            membranes,
            current,
            dynamics,
            formula.parameters["eps"],
            state,
            run.carried.get(self.name),
        )
        return n

    @override
    def receive_credit(
        self, run: Tape, rule: CreditRule, arriving: Arriving, feedback: Feedback
    ) -> Credits:
        if rule.at_neuron.name != "rescale":
            return super().receive_credit(run, rule, arriving, feedback)
        current, _, membranes, state, dynamics = run.kept[self]
        arrived, beside, at_output = arriving
        at: Literal["gate", "output", "membrane"] = "output" if at_output else "gate"
        if arrived is None or beside is not None or feedback.wanted(self.module.threshold):
            arrived, at = self.at_membrane(run, rule, arriving, feedback), "membrane"
        n, run.carried[self.name] = scan.rescale(
            arrived,
            membranes,
            current,
            dynamics,
            rule.at_neuron,
            state,
            run.carried.get(self.name),
            at=at,
        )
        return self.learn(run, n, feedback)


def _scans(group: Group) -> FusedLeaky:
    (neurons,) = group.stages
    fused = FusedLeaky(neurons.name, neurons.module)
    fused.votes = neurons.votes
    return fused


def _population(group: Group) -> FusedPopulation:
    return FusedPopulation.of(group, FusedLeaky)


#: Rows that take in more come first. The output keeps its membranes, and neurons that learn their
#: decay or threshold need theirs: they have the scans. Under other splits neurons run forwards on
#: the kernel, and backwards on the reference.
TABLE: Table = (
    *(
        Kernel(
            ", ".join(filter(None, ("norm" * bool(norm), "neurons", "pool" * bool(pool)))),
            (*norm, "Leaky", *pool),
            _population,
            SPLITS,
            as_output=False,
            fits=FusedPopulation.fits,
        )
        for norm in (("BatchNorm",), ())
        for pool in (("MaxPool",), ())
    ),
    *(
        Kernel(name, (kind,), _scans, splits)
        for name, splits in (("scans", SPLITS), ("scan forwards", ANY))
        for kind in ("Leaky", "Leaky, learning")
    ),
)
