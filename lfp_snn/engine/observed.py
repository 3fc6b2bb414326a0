"""A network after a pass: what it did in its last pass, and how it is shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Self

import torch
from torch import Tensor

from lfp_snn.backends.support import unavailable
from lfp_snn.engine import table
from lfp_snn.engine.chunked import Chunks
from lfp_snn.engine.copying import copied
from lfp_snn.engine.graph import Program
from lfp_snn.engine.kernels import Plan
from lfp_snn.engine.network import TracedNetwork
from lfp_snn.engine.stage import Form
from lfp_snn.engine.tape import Tape
from lfp_snn.errors import NetworkError

__all__ = ["ObservedNetwork"]


class ObservedNetwork(TracedNetwork):
    """A traced network with what its last pass left; arguments as of :class:`TracedNetwork`."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._used: Plan  # in the last pass
        self._pass: Tape | None = None
        self._chunks: Chunks | None = None

    if not TYPE_CHECKING:  # to a type checker an unknown attribute is a mistake as it is

        def __getattr__(self, name: str) -> NoReturn:
            own = hasattr(vars(self).get("net"), name)  # there is none while a copy is made
            where = f": ask the network, lfp.net.{name}" if own else ""
            raise AttributeError(f"{type(self).__name__} has no attribute '{name}'{where}.")

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """A copy, with a network of its own.

        Raises:
            NetworkError: the network holds what cannot be copied.
        """
        made = type(self).__new__(type(self))
        memo[id(self)] = made
        vars(made).update(copied(vars(self), self.net, memo))
        return made

    @property
    def _program(self) -> Program:
        """The program of the last pass."""
        return self._used.program

    # ------------------------------------------------------------------ what it saw

    def _last(self) -> Tape:
        if self._pass is None:
            raise NetworkError(
                "There is no forward pass to look at: call forward first, also after calibration, "
                "which runs parts of the network alone and changes it."
            )
        return self._pass

    @property
    def state(self) -> dict[str, Tensor]:
        """The membranes ``[B, ...]`` after the last forward pass, by neuron, to continue a stream.

        Neurons with further states have all of them here, ``[S, B, ...]``.
        """
        return dict(self._last().final_state)

    @property
    def membranes(self) -> Tensor:
        """The membranes of the output neurons in the last forward pass, ``[T, B, C]``.

        For a network that ends in no neuron, they are its values (before an activation).
        """
        membranes = self._last().membranes
        assert membranes is not None
        return membranes

    @property
    def firing(self) -> dict[str, Tensor]:
        """The mean spikes per neuron and step of each population in the last forward pass.

        For activations it is the share of units that give more than they do without any input. A
        readout, which cannot spike, is not among them. The numbers lie where the network does, and
        nothing has waited for them.
        """
        rates = self._last().firing()
        if self.is_readout:
            del rates[self.reference.output.name]
        return rates

    @property
    def firing_rates(self) -> dict[str, float]:
        """:attr:`firing` as numbers of the host."""
        return {name: float(rate) for name, rate in self.firing.items()}

    def layer_spikes(self) -> dict[str, Tensor]:
        """Spikes or values ``[T, B, ...]`` of every population in the last recorded forward pass.

        Raises:
            NetworkError: nothing is kept: the pass was not recorded, or a backward pass consumed
                it.
        """
        run = self._recorded()
        if self._chunks is not None:
            with torch.no_grad(), self._products():
                return self._chunks.spikes()
        return {each.name: run.every_step(each.spikes(run)) for each in self._program.spiking()}

    @property
    def layer_relevance(self) -> dict[str, float]:
        """The sum of the relevance that arrived at each population, in the order in which they run.

        The sums are of the last backward pass that asked for ``input_relevance``. Under conserving
        rules, layers differ by what biases took (and by membranes that nothing had made).
        """
        return {name: float(each.sum()) for name, each in self.neuron_relevance.items()}

    @property
    def neuron_relevance(self) -> dict[str, Tensor]:
        """Relevance that arrived at each neuron of each population, ``[B, ...]``, summed over T.

        Where a kernel runs a pool together with the neurons before it, the units are those of the
        pool.
        """
        arrived = self._last().arrived
        names = (each.name for each in self._program.spiking())
        return {name: arrived[name] for name in names if name in arrived}

    def _recorded(self) -> Tape:
        if self._pass is None or not self._pass.record:
            raise NetworkError(
                "There is no recorded forward pass: call forward (with record=True) before each "
                "backward; one backward consumes the record unless it is called with retain=True."
            )
        return self._pass

    # ------------------------------------------------------------------ how it is shown

    @property
    def kernels(self) -> dict[str, str]:
        """The kernel of each stage that has one, by name, in the last pass or else in the next."""
        return self._shown()[0].kernels

    def summary(self, kernels: Mapping[str, str] | None = None) -> str:
        """A table of the stages: kind, shape in the last pass, parameters, rule, and kernel.

        Stages that a kernel computes in one pass share one row; stages that no kernel of the
        backend serves run on torch.

        Args:
            kernels: the :attr:`kernels` of this network on another machine, shown in place of its
                own.
        """
        plan, forms = self._shown()
        return table.stage_table(self, plan, forms, plan.kernels if kernels is None else kernels)

    def __repr__(self) -> str:
        return table.program_table(self, *self._shown())

    def _repr_html_(self) -> str:
        return table.program_html(self, *self._shown())

    def labels(self) -> dict[str, str]:
        """The label of each population for tables: ``Leaky 512 (4)``, or ``lif1, Leaky 512``.

        The labels are by the name of the population; the number of units is known after a forward
        pass.
        """
        return table.population_labels(*self._shown())

    def _shown(self) -> tuple[Plan, Sequence[Form]]:
        """The plan of the last pass and the forms of its values, or the plan of the next pass."""
        if self._pass is not None:
            return self._used, self._pass.forms
        can_run = unavailable(self.backend, self.device, self.dtype) is None
        return self._plan(self.backend if can_run else "torch"), []
