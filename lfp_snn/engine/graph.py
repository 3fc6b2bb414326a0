"""A program: the stages of a network in the order in which they run."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from lfp_snn.engine.linear_map import Product
from lfp_snn.engine.made import Made
from lfp_snn.engine.stage import Rules, Spiking, Stage
from lfp_snn.engine.synapses import Synapse
from lfp_snn.engine.units import Readout
from lfp_snn.rules import Active, Part

__all__ = ["Node", "Program"]


@dataclass(frozen=True)
class Node:
    """A stage and its inputs by number: 0 is the network's input, k + 1 the value of node k."""

    stage: Stage
    inputs: tuple[int, ...]


@dataclass(frozen=True)
class Program:
    """The stages of a network in the order in which they run; the last one is the output."""

    nodes: tuple[Node, ...]

    @property
    def output(self) -> Spiking:
        """The stage whose spikes or values are the output."""
        stage = self.nodes[-1].stage
        assert isinstance(stage, Spiking)
        return stage

    def active(self, rules: Rules) -> list[Active]:
        """The entries at which credit is needed, for each value, the input of the network first.

        An entry of the input that was silent has no relevance, and needs no credit.
        """
        found: list[Active] = ["spikes"]
        for node in self.nodes:
            found.append(node.stage.active(rules, [found[i] for i in node.inputs]))
        return found

    def last_used(self, k: int) -> list[int]:
        """The values that node k takes and no node after it."""
        later = {i for node in self.nodes[k + 1 :] for i in node.inputs}
        return [i for i in set(self.nodes[k].inputs) if i not in later]

    def first_used(self, k: int) -> list[Tensor]:
        """The parameters of node k that no node before it has: on the way back node k adds last."""
        before = {id(p) for node in self.nodes[:k] for p in node.stage.parameters().values()}
        return [p for p in self.nodes[k].stage.parameters().values() if id(p) not in before]

    def compute_weights(self) -> None:
        """Compute the weights anew that layers compute from other parameters, before a pass.

        Raises:
            NetworkError: such a weight is another one at each call.
        """
        for made in self.made():
            made.compute()

    def made(self) -> list[Made]:
        """The weights that layers compute from other parameters."""
        # Stages that stand in the place of a synapse and its neurons hold the synapse.
        stages = (getattr(node.stage, "synapse", node.stage) for node in self.nodes)
        own = ((s.made, s.made_bias) for s in stages if isinstance(s, Synapse))
        found = [made for pair in own for made in pair if made is not None]
        return list({id(made): made for made in found}.values())

    def spiking(self) -> list[Spiking]:
        """The stages that end in neurons or other units that are not linear, in order."""
        return [node.stage for node in self.nodes if isinstance(node.stage, Spiking)]

    def neurons(self) -> list[Spiking]:
        """The stages that end in neurons, in order."""
        return [stage for stage in self.spiking() if stage.stateful]

    def voters(self) -> list[Spiking]:
        """The populations whose spikes make the output through linear stages without weights.

        Such voters are neurons behind which a pool takes the mean over each class. There are none
        where neurons are the output, or where anything else reaches the output too.
        """
        return [stage for stage in self.voting() if isinstance(stage, Spiking)]

    def voting(self) -> list[Stage]:
        """The voters (:attr:`voters`) with the linear stages behind them."""
        found: list[Stage] = []
        pending = list(self.nodes[-1].inputs) if isinstance(self.output, Readout) else []
        while pending:
            value = pending.pop()
            stage = self.nodes[value - 1].stage if value else None
            spikes = isinstance(stage, Spiking) and stage.emits == "spikes"
            if stage is None or not (stage.linear or spikes):
                return []
            found.append(stage)
            if not spikes:
                pending.extend(self.nodes[value - 1].inputs)
        return found

    def parts(self) -> list[Part]:
        """The stages that take a rule, in order."""
        parts = []
        for stage in (node.stage for node in self.nodes):
            kind = type(stage if stage.module is None else stage.module).__name__
            if isinstance(stage, Synapse):
                parts.append(Part(stage.name, stage.describe()))
            elif isinstance(stage, Spiking | Product):
                fed = tuple(synapse.name for synapse in self.feeding(stage))
                states = stage.states if isinstance(stage, Spiking) else 0
                parts.append(Part(stage.name, kind, fed, states))
        return parts

    def feeding(self, neuron: Stage) -> list[Synapse]:
        """The synapses whose currents reach a stage without passing a neuron, in order."""
        return [stage for stage in self._before(neuron) if isinstance(stage, Synapse)]

    def norms(self, neuron: Stage) -> list[Stage]:
        """The normalisations between a neuron and the synapses that feed it, in order."""
        return [stage for stage in self._before(neuron) if stage.normalises]

    def _before(self, neuron: Stage) -> list[Stage]:
        """The stages before a neuron, up to its synapses or to other neurons, in order."""
        position = next(k for k, node in enumerate(self.nodes) if node.stage is neuron)
        pending, found = list(self.nodes[position].inputs), set[int]()
        while pending:
            value = pending.pop()
            stage = self.nodes[value - 1].stage if value else None
            if stage is None or isinstance(stage, Spiking):
                continue
            found.add(value - 1)
            if not isinstance(stage, Synapse):
                pending.extend(self.nodes[value - 1].inputs)
        return [self.nodes[k].stage for k in sorted(found)]
