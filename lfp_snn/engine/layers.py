"""A population of neurons as its users see it, with what feeds it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from lfp_snn.engine.neurons import can_spike

__all__ = ["Layer"]


@dataclass(frozen=True)
class Layer:
    """A population of neurons and the synapses that feed it.

    Args:
        name: the path of the neuron in the network.
        neuron: the neuron module.
        synapses: the pair ``(path, module)`` of each weighted layer whose current reaches the
            neuron.
        norms: the normalisations of that current.
        unheard: whether the network gives their membranes alone, so that nothing hears them spike.
    """

    name: str
    neuron: nn.Module
    synapses: tuple[tuple[str, nn.Module], ...]
    norms: tuple[nn.Module, ...] = ()
    unheard: bool = False

    @property
    def spikes(self) -> bool:
        """Whether they spike; a readout does not."""
        return not self.unheard and can_spike(self.neuron)
