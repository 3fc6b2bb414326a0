"""A snntorch network stepped over time under autograd, for the rules that need its graph.

This is the loop of snntorch's tutorials, but only the neurons of this network are put to rest:
``snntorch.utils.reset`` walks through every neuron in the process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from lfp_snn import engine
from lfp_snn.errors import NetworkError
from lfp_snn.later import later, snn, torch
from lfp_snn.learners.base import TrainingBatch
from lfp_snn.lif import running
from lfp_snn.spikes import Spikes

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.utils.hooks import RemovableHandle

    from lfp_snn import activations, norms
    from lfp_snn.engine import TemporalLFP, as_step
    from lfp_snn.engine import neurons as stages
else:
    activations, norms = later("lfp_snn.activations"), later("lfp_snn.norms")
    as_step, stages = later("lfp_snn.engine.as_step"), later("lfp_snn.engine.neurons")

__all__ = [
    "FiringCounter",
    "Unrolled",
    "change_states",
    "counted",
    "cut_state",
    "frames",
    "hooked",
    "membranes",
    "neurons",
    "other_steps",
    "refuse_other_steps",
    "rest",
    "set_spike",
    "stepped_at_once",
    "spiking",
    "unroll",
    "unrolled",
]


@dataclass(frozen=True)
class Unrolled:
    """The outputs of an unrolled network, with their graph of autograd.

    Attributes:
        spikes: the output spikes ``[T, B, C]``; 0 after a sample's end.
        membranes: the output membranes ``[T, B, C]``.
        lengths: the number of steps of each sample ``[B]``, ``None`` if all last T.
    """

    spikes: Tensor
    membranes: Tensor
    lengths: Tensor | None = None


@cache
def _states() -> dict[type[nn.Module], tuple[str, ...]]:
    """The names of what each kind of neuron remembers from step to step."""
    return {
        snn.Leaky: ("mem",),
        snn.Lapicque: ("mem",),
        snn.RLeaky: ("mem", "spk"),
        snn.Synaptic: ("mem", "syn"),
        snn.RSynaptic: ("mem", "syn", "spk"),
        snn.Alpha: ("mem", "syn_exc", "syn_inh"),
    }


def neurons(net: nn.Module) -> dict[str, snn.SpikingNeuron]:
    """The neuron modules of a network, by name."""
    kinds = tuple(_states())
    return {name: each for name, each in net.named_modules() if isinstance(each, kinds)}


def spiking(net: nn.Module) -> dict[str, snn.SpikingNeuron]:
    """The neuron modules that can spike, whose threshold is within reach, by name."""
    return {name: each for name, each in neurons(net).items() if stages.can_spike(each)}


def set_spike(net: nn.Module, spike: Callable[[Tensor], Tensor]) -> None:
    """Give neurons and steps a spike function with its derivative."""
    for unit in net.modules():
        if isinstance(unit, snn.SpikingNeuron | activations.Step):
            unit.spike_grad = spike


def change_states(net: nn.Module, change: Callable[[Tensor], Tensor]) -> None:
    """Replace every state that these neurons keep."""
    for neuron in neurons(net).values():
        for kind, states in _states().items():
            if isinstance(neuron, kind):
                for state in states:
                    setattr(neuron, state, change(getattr(neuron, state)))


def rest(net: nn.Module) -> None:
    """Put the neurons of this network, and of no other, to rest; drop the graph that they hold.

    Normalisations of each step begin with the first one.
    """
    change_states(net, torch.zeros_like)
    for module in net.modules():
        if isinstance(module, norms.PerStep):
            module.rest()


def other_steps(engine: TemporalLFP) -> str | None:
    """What keeps a network from being called at every step with neurons put to rest before.

    Args:
        engine: the network, traced where it must have seen an input for that.

    Returns:
        None if it can be called so; else a clause that says why not.
    """
    if engine.loop is not None:
        return f"its forward (of {type(engine.net).__name__}) loops over time"
    for name, neuron in neurons(engine.net).items():
        if not neuron.init_hidden:
            return f"its neuron '{name}' does not keep its own state"
    return None


def stepped_at_once(net: nn.Module, frame: Sequence[int]) -> nn.Module:
    """A network that can be called at every step: itself, or a copy whose forward is one step.

    The copy is that of evaluation.

    Args:
        net: the network.
        frame: the shape of the input of a step, without batch.

    Raises:
        NetworkError: the network cannot be traced or copied.
    """
    modes = [(module, module.training) for module in net.modules()]
    net.eval()
    try:
        traced = engine.TemporalLFP(net)
        as_step.trace_frames(traced, frame)
        if other_steps(traced) is None:
            return net
        return as_step.as_step(traced)
    finally:
        for module, mode in modes:
            module.training = mode


def refuse_other_steps(engine: TemporalLFP, what: str) -> None:
    """Refuse a network that cannot be called at every step, with neurons put to rest before.

    Args:
        engine: the network.
        what: who calls it, for the message.

    Raises:
        NetworkError: its forward loops over time, or a neuron is handed its state.
    """
    found = other_steps(engine)
    if found is not None:
        raise NetworkError(
            f"{what} calls the network once at every step, but {found}: let forward be one time "
            "step, with neurons that keep their own state (init_hidden=True)."
        )


def membranes(net: nn.Module) -> dict[str, Tensor]:
    """The present membranes, by neuron module, without their graph."""
    return {name: neuron.mem.detach() for name, neuron in neurons(net).items()}


def cut_state(net: nn.Module) -> None:
    """Let gradients end at the present states."""
    change_states(net, torch.Tensor.detach)


def frames(batch: TrainingBatch, dtype: torch.dtype) -> Iterator[Tensor]:
    """The dense input of each step ``[B, *feature]``."""
    x = batch.x.dense(dtype) if isinstance(batch.x, Spikes) else batch.x.to(dtype)
    if batch.steps is None:
        yield from x
    else:
        yield from (x for _ in range(batch.steps))


def unroll(
    net: nn.Module,
    inputs: Iterable[Tensor],
    lengths: Tensor | None = None,
    *,
    last: nn.Module | None = None,
) -> Unrolled:
    """Step a network through its inputs, from the state that its neurons have.

    Args:
        net: the network, whose forward is one step, and gives spikes, or spikes and membranes.
        inputs: the input ``[B, *feature]`` of each step.
        lengths: the number of steps of each sample, ``[B]``; beyond them its outputs are silent.
        last: the neurons that are the output; None: the output values stand for membranes too,
            where the network gives no membranes itself.
    """
    spikes, membranes = [], []
    for frame in inputs:
        out = net(frame)
        if isinstance(out, tuple):
            spike, membrane = out[0], out[-1]
        else:
            spike, membrane = out, out if last is None else _membrane(last)
        spikes.append(spike)
        membranes.append(membrane)
    return unrolled(torch.stack(spikes), torch.stack(membranes), lengths)


def _membrane(neuron: Any) -> Tensor:
    membrane: Tensor = neuron.mem
    return membrane


def unrolled(spikes: Tensor, membranes: Tensor, lengths: Tensor | None) -> Unrolled:
    """The outputs ``[T, B, C]`` of a network, whose spikes beyond a sample's end are left out."""
    if lengths is not None:
        spikes = spikes * running(lengths.to(spikes.device), len(spikes), 3)
    return Unrolled(spikes, membranes, lengths)


class FiringCounter:
    """A counter of the spikes of every population while a network is stepped (:func:`counted`)."""

    def __init__(self) -> None:
        self._spikes: dict[str, Tensor] = {}
        self._places: dict[str, int] = {}

    @property
    def rates(self) -> dict[str, float]:
        """The spikes per neuron and step of every neuron module, by name."""
        return {name: float(self._spikes[name]) / self._places[name] for name in self._spikes}

    def count(self, name: str, out: object) -> None:
        """Add the spikes of a population in a step."""
        spikes = out[0] if isinstance(out, tuple) else out
        assert isinstance(spikes, torch.Tensor)
        total = spikes.detach().sum()
        self._spikes[name] = self._spikes[name] + total if name in self._spikes else total
        self._places[name] = self._places.get(name, 0) + spikes.numel()


@contextmanager
def counted(net: nn.Module) -> Iterator[FiringCounter]:
    """Count the spikes of every population that can spike, for the time of a ``with`` block."""
    counter = FiringCounter()
    with hooked(
        neuron.register_forward_hook(lambda _m, _x, out, name=name: counter.count(name, out))
        for name, neuron in spiking(net).items()
    ):
        yield counter


@contextmanager
def hooked(handles: Iterable[RemovableHandle]) -> Iterator[None]:
    """Keep hooks in place for the time of a ``with`` block; they are removed whatever happened."""
    with ExitStack() as stack:
        for handle in handles:
            stack.enter_context(handle)
        yield
