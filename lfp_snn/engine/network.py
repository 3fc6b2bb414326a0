"""A traced network: its program of stages, their rules, and the kernels that it runs on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from itertools import chain
from typing import Literal, Self

import torch
from torch import Tensor, nn

from lfp_snn.backends.precision import HALVES, computed_in, spikes_travel_as
from lfp_snn.backends.support import unavailable
from lfp_snn.engine.check import check_equal
from lfp_snn.engine.graph import Program
from lfp_snn.engine.identity import is_plain
from lfp_snn.engine.inputs import check_device, check_input, check_kind
from lfp_snn.engine.kernel_tables import table_of
from lfp_snn.engine.kernels import Plan, plan, refuse, unknown
from lfp_snn.engine.layers import Layer
from lfp_snn.engine.neurons import Population
from lfp_snn.engine.one_step import OneStep
from lfp_snn.engine.options import EngineOptions
from lfp_snn.engine.readings import Reading
from lfp_snn.engine.recording import ForwardFailedError
from lfp_snn.engine.stage import Rules, Spiking
from lfp_snn.engine.structure import Structure, Structures, shape_needed
from lfp_snn.engine.units import Readout
from lfp_snn.errors import ConfigError, LfpSnnError, NetworkError, ShapeError
from lfp_snn.rules import Composite, CreditRule, Rescale, Rule, Update, assign
from lfp_snn.spikes import Spikes

__all__ = ["TracedNetwork"]


class TracedNetwork:
    """A network as a program of stages, with the rule of each and a choice of kernels.

    Args:
        net: a module whose forward is one time step, or loops over time.
        rule: the rule of all stages, or a composite.
        options: how the network is run.
        update: the form of the update: what a weight makes of the credit that flowed through its
            synapse.
        example: an input of forward, where its shape must be known to trace the network.
        check: whether the engine is held against the module, once in each state of the network.

    Raises:
        NetworkError: the network cannot be traced, a stage of it has no rule, or the events
            backend is asked for and does not know a rule.
        ConfigError: a composite assigns a rule to nothing, or the update is none.
    """

    def __init__(
        self,
        net: nn.Module,
        rule: Rule | Composite | None,
        options: EngineOptions,
        update: Update | None,
        example: Tensor | None = None,
        *,
        check: bool = True,
    ) -> None:
        self.net = net
        self._rule: Rule | Composite = rule if rule is not None else Rescale()
        self.options = options
        if update is not None and not isinstance(update, Update):
            raise ConfigError(
                f"The update is {update!r}; expected lfp_snn.rules.Update, such as "
                "Update('hebbian')."
            )
        self.update = update if update is not None else Update()
        self._structures = Structures(net, options.statistics)
        self._structure: Structure | None = None
        self._rules: Rules = {}
        self._emits: Literal["spikes", "membranes", "values"] = "spikes"
        self.check = check
        self._checked: set[object] = set()  # states of the network in which it was
        found = self._structures.guess(self._example())
        if found is None and example is not None:
            found = self._structures.of(example, None, self._example(), None)
        if found is not None:
            self._adopt(found)

    @property
    def rule(self) -> Rule | Composite:
        """The rule or composite with which the network was traced; it stays."""
        return self._rule

    @rule.setter
    def rule(self, rule: Rule | Composite) -> None:
        raise ConfigError(
            "The rule of a TemporalLFP is settled when it is built: build another one, "
            f"TemporalLFP(net, rule={rule!r}), or give a rule to one pass, backward(rule=...)."
        )

    def _adopt(self, structure: Structure) -> None:
        """Make a structure the one of the network from now on."""
        known = self._structure
        if known is None or known.program is not structure.program:
            rules = assign(self.rule, structure.program.parts())
            if self.options.backend == "events":
                refuse("events", table_of("events"), structure.program, rules)
            for stage in structure.program.voting():
                stage.votes = True
            self._rules = rules
            self._emits = _emitted(structure.program)
        self._structure = structure

    def _find_structure(
        self, x: Tensor | Spikes, steps: int | None
    ) -> tuple[Tensor | Spikes, int | None]:
        """Find the structure of the network on an input; gives the input as its steps take it."""
        before, like = self._structure, self._example()
        check_kind(x)
        check_device(x, like.device)
        try:
            if before is None or not before.step.loops:
                check_input(x, steps)
            self._adopt(self._structures.of(x, steps, like, before))
        except ShapeError as error:
            if steps is not None or 0 in x.shape or not self._takes_constant(x):
                raise
            raise type(error)(
                f"{error} An input without time, [B, ...], is shown for so many steps as are said: "
                "give steps=25, for instance."
            ) from error
        x, steps = self.structure.frames(x, steps)
        check_input(x, steps)
        return x, steps

    def trace(self, x: Tensor | Spikes, steps: int | None = None) -> None:
        """Trace the network on an input, where the shape of one must be known; nothing is run.

        Args:
            x: the input, as ``forward`` takes it.
            steps: T of a constant input.

        Raises:
            ShapeError: the input does not fit the network.
            NetworkError: the network cannot be traced on it.
        """
        self._find_structure(x, steps)

    def _takes_constant(self, x: Tensor | Spikes) -> bool:
        """Whether the network runs on an input as one that is constant over time."""
        if not isinstance(x, Tensor) or x.dim() < 2:
            return False
        try:
            return bool(self._structures.on(x, 1, self._structure))
        except LfpSnnError:
            return False

    def _check(self, x: Tensor | Spikes, steps: int | None) -> None:
        """Hold the engine against the module, once for each state of the network.

        Raises:
            NetworkError: the two differ.
        """
        # Where no code of a user runs, none can tell the mode or the type: one check will do.
        plain = is_plain(self.net)
        known = (None if plain else self._structures.state, id(self.reference))
        if not self.check or known in self._checked:
            return
        structure = self.structure

        def find(x: Tensor) -> Structure:
            return structure if plain else self._structures.on(x, steps, structure)

        try:
            check_equal(self.net, structure.few(x, steps, self.dtype).detach(), steps, find)
        except ForwardFailedError:  # it takes batches of one size only
            whole = x.dense(self.dtype) if isinstance(x, Spikes) else x.detach()
            check_equal(self.net, whole, steps, find)
        self._checked.add(known)

    @property
    def structure(self) -> Structure:
        """The structure of the network on the input of the last pass, or on a guessed one.

        Raises:
            NetworkError: the structure could not be guessed and nothing was run.
        """
        if self._structure is None:
            raise shape_needed(self.net)
        return self._structure

    @property
    def loop(self) -> OneStep | None:
        """The step of a forward that loops over time, as far as it is known; else None."""
        step = None if self._structure is None else self._structure.step
        return step if step is not None and step.loops else None

    @property
    def reference(self) -> Program:
        """The stages on the reference kernels."""
        return self.structure.program

    @property
    def rules(self) -> Rules:
        """The rule of each stage that takes one, by name."""
        _ = self.structure
        return self._rules

    @property
    def emits(self) -> Literal["spikes", "membranes", "values"]:
        """The kind of output: spikes, membranes of a readout, or values if there are no neurons."""
        _ = self.structure
        return self._emits

    @property
    def device(self) -> torch.device:
        """The device of the parameters of the network."""
        return self._example().device

    @property
    def dtype(self) -> torch.dtype:
        """The floating type in which the network computes."""
        return self._example().dtype

    @property
    def backend(self) -> str:
        """The name of the backend that the next pass uses."""
        if self.options.backend == "auto":
            device = self.device
            if device.type == "cuda":
                return "torch" if unavailable("triton", device) else "triton"
            kind = HALVES.get(self.options.precision, self.dtype)
            able = unavailable("events", device, kind) is None
            return "events" if able and self._fits_events else "torch"
        return self.options.backend

    @property
    def _fits_events(self) -> bool:
        """Whether there are neurons, and the events backend knows all rules."""
        if not self.reference.neurons():
            return False
        return unknown(table_of("events"), self.reference, self.rules) is None

    def _choose_plan(self) -> Plan:
        """The program on the kernels of the backend, made when it is first needed."""
        self._structures.refuse()
        backend = self.backend
        reason = unavailable(backend, self.device, self.dtype)
        if reason is not None:
            raise NetworkError(f"The {backend} backend cannot run: {reason}; use backend='auto'.")
        precision = self.options.precision
        if precision in HALVES and self.dtype != torch.float32:
            raise NetworkError(
                f"precision is '{precision}', which is for networks in float32, and this one is in "
                f"{str(self.dtype).removeprefix('torch.')}: leave it out, or call net.float()."
            )
        if backend == "events":
            from lfp_snn.backends.events.workspace import match_threads

            match_threads(torch.get_num_threads())
        return self._plan(backend)

    def _plan(self, backend: str) -> Plan:
        """The program on the kernels of a backend."""
        plans = self.structure.plans
        if backend not in plans:
            plans[backend] = plan(backend, table_of(backend), self.reference, self.rules)
        return plans[backend]

    def _products(self) -> AbstractContextManager[None]:
        """Compute products of synapses in the precision of the options, in a ``with`` block."""
        return computed_in(self.options.precision)

    def _narrow(self) -> torch.dtype:
        """The type in which spikes travel between stages that are not on lists."""
        return spikes_travel_as(self.options.precision, self.dtype, self.device)

    def _input_dtype(self, x: Tensor | Spikes) -> torch.dtype:
        """The type in which a dense input travels; one of booleans is known to be spikes."""
        known = isinstance(x, Tensor) and x.dtype == torch.bool
        return self._narrow() if known else self.dtype

    def _example(self) -> Tensor:
        """A tensor with the device and the floating type of the network."""
        weights = (p for p in self.net.parameters() if p.dim())
        others = (b for b in self.net.buffers() if b.is_floating_point())
        return next(chain(weights, others), torch.empty(0))

    def parameters(self) -> Iterator[nn.Parameter]:
        """The parameters of the network."""
        return self.net.parameters()

    def to(self, device: torch.device | str) -> Self:
        """Move the network to a device; returns itself."""
        self.net.to(device)
        return self

    def train(self, mode: bool = True) -> Self:
        """Set training mode (dropout, batch statistics); returns itself."""
        self.net.train(mode)
        return self

    def eval(self) -> Self:
        """Set evaluation mode; returns itself."""
        return self.train(False)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The populations of neurons with the synapses that feed them, in the order they run.

        Activations and the values of a readout are not among them.
        """
        return tuple(
            Layer(
                neuron.name,
                neuron.module,
                tuple((s.name, s.module) for s in self.reference.feeding(neuron)),
                tuple(n.module for n in self.reference.norms(neuron) if n.module is not None),
                isinstance(neuron, Population) and neuron.unheard,
            )
            for neuron in self.reference.neurons()
        )

    @property
    def populations(self) -> tuple[str, ...]:
        """The names of the neurons and other units whose firing is counted, in the order they run.

        A readout, which cannot spike, is not among them.
        """
        output = self.reference.output
        return tuple(
            each.name
            for each in self.reference.spiking()
            if each is not output or not (self.is_readout or isinstance(each, Readout))
        )

    @property
    def output(self) -> str:
        """The name of the units whose spikes, membranes or values are the output."""
        return self.reference.output.name

    @property
    def is_readout(self) -> bool:
        """Whether the output neurons never spike, so that their membranes are the output."""
        return self.emits == "membranes"

    @property
    def reading(self) -> Reading:
        """What is read of membranes that forward gives alone: their mean, last or highest."""
        step = self.structure.step
        return step.reading if step.gives_membranes else "mean"

    def takes_credit(self, rules: Rules) -> bool:
        """Whether a reward at the output is credit, and no relevance.

        A reward is credit where the spikes that are the output, or vote for it, are under a rule
        that takes credit itself (:class:`lfp_snn.rules.CreditRule`); a spike or its absence is then
        counted at every step.

        Args:
            rules: the rule of each stage, by name.
        """
        return {isinstance(rules[each.name], CreditRule) for each in self._counted} == {True}

    @property
    def answers_late(self) -> bool:
        """Whether units whose spikes are counted answer an input at later steps alone."""
        return any(each.answers_late for each in self._counted)

    @property
    def _counted(self) -> list[Spiking]:
        """The units whose spikes are the output, or make it through stages without weights."""
        return [self.reference.output] if self.emits == "spikes" else self.reference.voters()

    @property
    def votes(self) -> bool:
        """Whether linear stages without weights make the output of spikes."""
        return bool(self.reference.voters())

    @property
    def without_neurons(self) -> list[str]:
        """The units that keep no state, each as its name and its kind in brackets."""
        stages = self.reference.spiking()
        return [f"{each.name} ({each.describe()})" for each in stages if not each.stateful]

    @property
    def ends_in_neurons(self) -> bool:
        """Whether the output is that of neurons, which have membranes."""
        return self.reference.output.stateful

    @property
    def output_neurons(self) -> nn.Module | None:
        """The neurons that are the output, in whatever order modules are held; None for others."""
        output = self.reference.output
        return output.module if output.stateful else None


def _emitted(program: Program) -> Literal["spikes", "membranes", "values"]:
    """The kind of output of a program; finding it looks at values, and so is done once."""
    output = program.output
    readout = isinstance(output, Population) and output.is_readout
    return "membranes" if readout else output.emits
