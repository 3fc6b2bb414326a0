"""From a program of reference stages to one on events."""

from __future__ import annotations

from collections import Counter
from typing import TypeGuard

from torch import nn

from lfp_snn.engine import shapes, synapses
from lfp_snn.engine.events.layer import EventConvolution, EventLinear
from lfp_snn.engine.events.pool import EventPool, has_windows
from lfp_snn.engine.events.stage import EventNeurons, EventStage
from lfp_snn.engine.graph import Node, Program
from lfp_snn.engine.neurons import Leaky
from lfp_snn.engine.stage import Rules, Stage
from lfp_snn.rules import BySign

__all__ = ["on_events"]

#: Stages that leave a list of spikes a list.
KEEPS_LISTS = (shapes.Reshape, shapes.Identity, shapes.Dropout, EventPool)


def on_events(program: Program, rules: Rules) -> Program:
    """The same program with its spiking stages on events.

    Neurons take in the synapse that feeds them alone; those of a convolution also the pool that
    alone takes their spikes. Other pools of spikes become :class:`EventPool`. Neurons that learn
    their decay or threshold stay as they are, and those whose spikes are graded.
    """
    return _Planner(program, rules).plan()


class _Planner:
    """Walks a program once, in order."""

    def __init__(self, program: Program, rules: Rules) -> None:
        self.rules = rules
        self.old = program.nodes
        self.uses = Counter(i for node in program.nodes for i in node.inputs)
        self.users = {i: k for k, node in enumerate(program.nodes) for i in node.inputs}
        self.new: list[Node] = []
        self.place = {0: 0}  # of each old value among the new ones

    def plan(self) -> Program:
        for k, node in enumerate(self.old):
            taken_in = k + 1 in self.place or self._neurons_of(k) is not None
            if taken_in:
                continue
            if isinstance(node.stage, Leaky) and _on_events(node.stage):
                self._plan_neurons(k, node.stage)
            elif _is_pool(node.stage) and self._lists(node):
                self._add(k, EventPool(node.stage), node.inputs)
            else:
                self._add(k, node.stage, node.inputs)
        return Program(tuple(self.new))

    def _add(self, k: int, stage: Stage, inputs: tuple[int, ...]) -> None:
        self.new.append(Node(stage, tuple(self.place[i] for i in inputs)))
        self.place[k + 1] = len(self.new)

    def _plan_neurons(self, k: int, neurons: Leaky) -> None:
        """Neurons with the synapse before them and the pool behind them."""
        is_output = k == len(self.old) - 1
        (current,) = self.old[k].inputs
        synapse = self.old[current - 1].stage if current else None
        if not isinstance(synapse, synapses.Synapse) or self._neurons_of(current - 1) != k:
            self._add(k, EventNeurons(neurons, is_output=is_output), (current,))
            return
        behind = self._pool_behind(k) if isinstance(synapse, synapses.Convolution) else None
        pool = None
        if behind is not None and _is_pool(stage := self.old[behind].stage):
            pool = EventPool(stage)
        inputs = self.old[current - 1].inputs
        kind = EventLinear if isinstance(synapse, synapses.Linear) else EventConvolution
        layer = kind(
            synapse,
            neurons,
            pool,
            from_input=inputs == (0,),
            by_sign=isinstance(self.rules[synapse.name], BySign),
            is_output=is_output,
        )
        self._add(k, layer, inputs)
        if behind is not None:
            self.place[behind + 1] = self.place[k + 1]

    def _neurons_of(self, k: int) -> int | None:
        """The neurons that take in the synapse of node k, if any do.

        Membranes of the output are kept, which the kernel of a convolution does not.
        """
        user = self.users.get(k + 1)
        if user is None or self.uses[k + 1] != 1:
            return None
        neurons = self.old[user].stage
        if not isinstance(neurons, Leaky) or not _on_events(neurons):
            return None
        is_output = user == len(self.old) - 1
        stage = self.old[k].stage
        fits = isinstance(stage, synapses.Linear) or (
            isinstance(stage, synapses.Convolution) and not is_output
        )
        return user if fits else None

    def _pool_behind(self, k: int) -> int | None:
        """The pool that alone takes the value of node k."""
        user = self.users.get(k + 1)
        if user is None or self.uses[k + 1] != 1:
            return None
        return user if _is_pool(self.old[user].stage) else None

    def _lists(self, node: Node) -> bool:
        """Do the inputs of a node arrive as lists of spikes?"""
        stage = self.new[self.place[node.inputs[0]] - 1].stage if node.inputs[0] else None
        while isinstance(stage, KEEPS_LISTS):
            above = next(n for n in self.new if n.stage is stage).inputs[0]
            stage = self.new[above - 1].stage if above else None
        return isinstance(stage, EventStage)


def _on_events(neurons: Leaky) -> bool:
    """Do the kernels know these neurons?"""
    leaky = neurons.module
    return type(neurons) is Leaky and not (
        neurons.graded
        or isinstance(leaky.beta, nn.Parameter)
        or isinstance(leaky.threshold, nn.Parameter)
    )


def _is_pool(stage: Stage) -> TypeGuard[shapes.MaxPool | shapes.AvgPool]:
    """Is it a pool that the kernels know?"""
    return isinstance(stage, shapes.MaxPool | shapes.AvgPool) and has_windows(stage)
