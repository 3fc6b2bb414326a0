"""A part of a network: no more of it than tells how often one population of neurons fires."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

import torch
from torch import Tensor, nn

from lfp_snn.backends.precision import Precision, computed_in
from lfp_snn.engine.execute import advance, begin
from lfp_snn.engine.graph import Program
from lfp_snn.engine.inputs import check_finite
from lfp_snn.engine.tape import Emitted, Tape, Value

__all__ = ["Excerpt"]


class Excerpt:
    """The stages of a network from the first that changes to one population of neurons.

    What runs before them is run once, on one input; what comes after them is not run.

    Args:
        net: the network.
        program: the stages of the network.
        run: a pass of which no stage has run, and which is not recorded.
        value: the input of the network.
        population: the name of the population.
        changing: the parameters that change from one call to the next.
        precision: the precision of products.
    """

    def __init__(
        self,
        net: nn.Module,
        program: Program,
        run: Tape,
        value: Value,
        population: str,
        changing: Collection[Tensor],
        precision: Precision,
    ) -> None:
        self._net = net
        self._program = program
        self._population = population
        self._precision = precision
        self._stop = [node.stage.name for node in program.nodes].index(population) + 1
        self._run = run
        self._values = begin(run, value)
        self._advance(run, self._values, self._first(changing))

    def _first(self, changing: Collection[Tensor]) -> int:
        """The number of stages before the first that has one of these parameters."""
        changed = {id(parameter) for parameter in changing}
        for k, node in enumerate(self._program.nodes[: self._stop]):
            if changed & {id(each) for each in node.stage.parameters().values()}:
                return k
        return self._stop - 1

    def _advance(self, run: Tape, values: list[Emitted | None], stop: int) -> None:
        with torch.no_grad(), computed_in(self._precision):
            self._program.compute_weights()
            advance(self._program, run, values, stop)
        check_finite(run, None, self._net)

    def firing_rate(self) -> float:
        """The mean spikes per neuron and step of the population, with the parameters as they are.

        Raises:
            NotFiniteError: membranes or parameters are not finite (checked on the CPU).
        """
        run = replace(self._run, forms=list(self._run.forms), final_state={})
        self._advance(run, list(self._values), self._stop)
        return run.firing_rates()[self._population]
