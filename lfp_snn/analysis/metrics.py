"""The metrics of a trained network that NeuroBench defines, by NeuroBench's own harness.

Source: Yik et al., *The NeuroBench framework for benchmarking neuromorphic computing algorithms and
systems*, Nature Communications 16, 2025; the package ``neurobench`` 2.3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from math import prod
from typing import Any

from torch import nn

from lfp_snn.analysis.energy import Energy, SynapseCount, estimate
from lfp_snn.analysis.exchange.layers import FoldedLayer, layers_of
from lfp_snn.data import SampleSet
from lfp_snn.engine.neurons import Population
from lfp_snn.engine.synapses import Synapse
from lfp_snn.errors import NetworkError, require
from lfp_snn.learners.unrolled import stepped_at_once

__all__ = ["Metrics", "measure"]

#: NeuroBench adds up ones in float32, which counts without error up to here.
EXACT = 2**24


@dataclass(frozen=True)
class Metrics:
    """NeuroBench's metrics of a network on a set; operations and updates are per sample.

    Attributes:
        accuracy: the share of samples of which the right output spiked most.
        footprint: the bytes of parameters and buffers.
        parameters: the number of parameters.
        connection_sparsity: the share of weights that are zero, rounded by NeuroBench to 4 digits.
        activation_sparsity: the share of neurons and steps without a spike.
        synaptic_operations_dense: the pairs of an input and a weight.
        effective_macs: the pairs of a nonzero input and weight in synapses whose input is not
            binary.
        effective_acs: the pairs of a nonzero input and weight in synapses of binary inputs, which
            need additions only.
        membrane_updates: the number of changes of a membrane.
        neuron_steps: the number of neurons times the steps that they run.
        synapses: the operations of each synapse.
        energy: an estimate of the energy.
    """

    accuracy: float
    footprint: int
    parameters: int
    connection_sparsity: float
    activation_sparsity: float
    synaptic_operations_dense: float
    effective_macs: float
    effective_acs: float
    membrane_updates: float
    neuron_steps: float
    synapses: list[SynapseCount]
    energy: Energy

    def to_json(self) -> dict[str, Any]:
        """The metrics as JSON takes them."""
        return asdict(self)


def measure(
    net: nn.Module, samples: SampleSet, done: Callable[[], object] = lambda: None
) -> Metrics:
    """Run NeuroBench's harness.

    Args:
        net: a module whose forward is one time step and that returns ``(spikes, membrane)``; it is
            not changed.
        samples: the set that it is run on.
        done: a function that is called for every sample, to show the progress.

    Raises:
        NetworkError: the package ``neurobench`` is not installed, one of its metrics failed, the
            outputs never spike, or the network cannot be called at every step.
        DataError: the recordings have different lengths.
    """
    require("neurobench", "metrics")
    from lfp_snn.analysis.neurobench import run_harness

    net = stepped_at_once(net, samples.feature_shape)
    layers = layers_of(net, samples.feature_shape)
    output = layers[-1].stage
    if isinstance(output, Population) and output.is_readout:
        raise NetworkError(
            f"NeuroBench reads classes from spikes, and the output neurons '{output.name}' never "
            "spike (they are a readout): measure a network whose outputs have a threshold within "
            "reach and a reset."
        )
    if not isinstance(output, Population):
        raise NetworkError(
            f"NeuroBench reads classes from spikes, and the network ends in '{output.name}' "
            f"({output.describe()}): measure a network that ends in neurons."
        )
    dense = [prod(x.shape) * x.weight[0].size for x in layers if x.weight is not None]
    found, counts, neuron_steps = run_harness(net, samples, max(1, EXACT // max(dense)), done)
    from_input = _from_input(layers)
    synapses = [
        SynapseCount(name, count.effective, count.dense, count.binary, name in from_input)
        for name, count in counts.items()
    ]
    operations = found["SynapticOperations"]
    return Metrics(
        accuracy=found["ClassificationAccuracy"],
        footprint=found["Footprint"],
        parameters=found["ParameterCount"],
        connection_sparsity=found["ConnectionSparsity"],
        activation_sparsity=found["ActivationSparsity"],
        synaptic_operations_dense=operations["Dense"],
        effective_macs=operations["Effective_MACs"],
        effective_acs=operations["Effective_ACs"],
        membrane_updates=found["MembraneUpdates"],
        neuron_steps=neuron_steps,
        synapses=synapses,
        energy=estimate(synapses, neuron_steps, found["MembraneUpdates"]),
    )


def _from_input(layers: list[FoldedLayer]) -> set[str]:
    """The synapses before which nothing learns, so that their input needs no credit."""
    learns: list[bool] = []
    first = set()
    for layer in layers:
        before = any(i >= 0 and learns[i] for i in layer.inputs)
        is_synapse = isinstance(layer.stage, Synapse)
        if is_synapse and not before:
            first.add(layer.stage.name)
        learns.append(before or is_synapse)
    return first
