"""A traced network: what it is made of, and the kernels that it runs on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Literal, Self

import torch
from torch import Tensor, nn

from lfp_snn.backends.support import BACKENDS, unavailable
from lfp_snn.engine.graph import Program
from lfp_snn.engine.neurons import can_spike
from lfp_snn.engine.serving import on_spikes, refuse_rules
from lfp_snn.engine.stage import Rules
from lfp_snn.engine.tracing import build_program
from lfp_snn.engine.units import Readout
from lfp_snn.errors import NetworkError
from lfp_snn.rules import Composite, Epsilon, Rule, assign

__all__ = ["Layer", "TracedNetwork"]


@dataclass(frozen=True)
class Layer:
    """A population of neurons and the synapses that feed it.

    Args:
        name: path of the neuron in the network.
        neuron: the neuron module.
        synapses: ``(path, module)`` of each weighted layer whose current reaches it.
        norms: the normalisations of that current.
    """

    name: str
    neuron: nn.Module
    synapses: tuple[tuple[str, nn.Module], ...]
    norms: tuple[nn.Module, ...] = ()


class TracedNetwork:
    """A network as a program of stages, with the rule of each and a choice of kernels.

    Args:
        net: a module whose forward is one time step.
        rule: of all stages, or a composite.
        backend: name of the kernels, or ``"auto"``.
        half: type of the products of synapses, on ``"triton"``; None for that of the network.

    Raises:
        NetworkError: the network cannot be traced, a stage of it has no rule, or the events
            backend is asked for and does not know a rule.
        ConfigError: a composite assigns a rule to nothing.
    """

    def __init__(
        self,
        net: nn.Module,
        rule: Rule | Composite | None,
        backend: str,
        half: torch.dtype | None,
    ) -> None:
        if backend not in ("auto", *BACKENDS):
            known = ", ".join(("auto", *BACKENDS))
            raise NetworkError(f"There is no backend '{backend}'; expected {known}.")
        self.net = net
        self.rule: Rule | Composite = rule if rule is not None else Epsilon()
        self._backend = backend
        self._reference: Program = build_program(net)
        output = self._reference.output
        readout = output.stateful and not can_spike(output.module)
        #: What the output is: spikes, membranes of a readout, or values where it has no neurons.
        self.emits: Literal["spikes", "membranes", "values"] = (
            "membranes" if readout else output.emits
        )
        self.rules: Rules = assign(self.rule, self._reference.parts())
        if backend == "events":
            refuse_rules(self.rules)
        if half not in (None, torch.bfloat16, torch.float16):
            raise NetworkError(f"half is {half}; expected torch.bfloat16, torch.float16 or None.")
        self.half = half
        self._events: Program | None = None
        self._fused: Program | None = None

    @property
    def device(self) -> torch.device:
        """Where the network lies."""
        return self._example().device

    @property
    def dtype(self) -> torch.dtype:
        """Floating type in which the network computes."""
        return self._example().dtype

    @property
    def backend(self) -> str:
        """Name of the kernels that the next pass uses."""
        if self._backend == "auto":
            device = self.device
            if device.type == "cuda":
                return "torch" if unavailable("triton", device) else "triton"
            spiking = device.type == "cpu" and bool(self._reference.neurons())
            fits = spiking and all(map(on_spikes, self.rules.values()))
            return "events" if fits else "torch"
        return self._backend

    def _choose_program(self) -> Program:
        """The program for the backend; those on kernels are made when they are first needed."""
        backend = self.backend
        reason = unavailable(backend, self.device)
        if reason is not None:
            raise NetworkError(f"The {backend} backend cannot run: {reason}; use backend='auto'.")
        if self.half is not None and backend != "triton":
            raise NetworkError(
                f"half={self.half} is an option of the triton backend, and this network runs on "
                f"{backend}: leave it out."
            )
        if backend == "torch":
            return self._reference
        if backend == "triton":
            from lfp_snn.engine.triton import on_triton

            self._fused = self._fused or on_triton(self._reference)
            return self._fused
        # Imported here, since the kernels take a second to load and others do without.
        from lfp_snn.backends.events.workspace import match_threads
        from lfp_snn.engine.events import on_events

        match_threads(torch.get_num_threads())
        if self._events is None:
            self._events = on_events(self._reference, self.rules)
        return self._events

    def _products(self) -> torch.autocast:
        """Within, products of synapses are of half precision if that was asked for."""
        kind = self.device.type if self.half is not None else "cpu"
        return torch.autocast(kind, self.half or torch.bfloat16, enabled=self.half is not None)

    def _example(self) -> Tensor:
        """A tensor that lies where the network computes, in the type in which it does."""
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
        """Populations of neurons with the synapses that feed them, in the order they run.

        Activations and the values of a readout are none.
        """
        return tuple(
            Layer(
                neuron.name,
                neuron.module,
                tuple((s.name, s.module) for s in self._reference.feeding(neuron)),
                tuple(norm.module for norm in self._reference.norms(neuron)),
            )
            for neuron in self._reference.neurons()
        )

    @property
    def populations(self) -> tuple[str, ...]:
        """Names of the neurons and other units whose firing is counted, in the order they run.

        A readout, which cannot spike, is not among them.
        """
        output = self._reference.output
        return tuple(
            each.name
            for each in self._reference.spiking()
            if each is not output or not (self.is_readout or isinstance(each, Readout))
        )

    @property
    def output(self) -> str:
        """Name of the units whose spikes, membranes or values are the output."""
        return self._reference.output.name

    @property
    def is_readout(self) -> bool:
        """Do the output neurons never spike (an infinite threshold)? Their membranes are read."""
        return self.emits == "membranes"

    @property
    def without_neurons(self) -> list[str]:
        """The units that keep no state, each with what it is."""
        stages = self._reference.spiking()
        return [f"{each.name} ({each.describe()})" for each in stages if not each.stateful]

    @property
    def ends_in_neurons(self) -> bool:
        """Is the output that of neurons, which have membranes?"""
        return self._reference.output.stateful
