r"""The export of a network as a graph of the Neuromorphic Intermediate Representation, version 1.

NIR describes neurons by differential equations, ``LIF`` as
:math:`\tau \dot v = v_{leak} - v + R I`, spiking above :math:`v_{threshold}` and then *at once set
to* :math:`v_{reset}`. Simulators that step by ``dt`` with Euler's method compute

.. math:: v_t = (1 - dt/\tau)\, v_{t-1} + (dt/\tau) R\, I_t,

which is snntorch's :math:`\beta v_{t-1} + I_t` for

.. math:: \tau = dt / (1 - \beta), \qquad R = \tau / dt = 1 / (1 - \beta),
          \qquad v_{leak} = v_{reset} = 0.

A neuron that does not leak (:math:`\beta = 1`) is an ``IF``, :math:`\dot v = R I` with
:math:`R = 1/dt`. ``Synaptic`` is a ``CubaLIF``, whose synaptic current follows
:math:`\tau_{syn} \dot I = -I + w_{in} S`, with :math:`\tau_{syn} = dt / (1 - \alpha)` and
:math:`w_{in} = 1 / (1 - \alpha)`. Constants are written in float64: they come back exactly.

Recurrence is a cycle of the graph. ``RLeaky`` becomes its neurons and its own synapse, each feeding
the other, and ``RSynaptic`` its ``CubaLIF`` likewise; what goes round arrives a step later, as in
snntorch. One to one is a ``Linear`` with a
diagonal, which most simulators read, or a ``Scale`` of maps.

Neurons that never spike, a readout, are an ``LI``, an ``I`` or a ``CubaLI``: these have no
threshold.

NIR has one reset, at once to a value: that is snntorch's ``zero`` without delay. What other
networks do is recorded in the metadata of each neuron (``reset_mechanism``, ``reset_delay``), which
:func:`~lfp_snn.models.nir.load_nir` obeys; other simulators do not know it, and
:func:`meaning_lost` says so.

Source: Pedersen et al., *Neuromorphic intermediate representation: a unified instruction set for
interoperable brain-inspired computing*, Nature Communications 15, 2024.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn.analysis.exchange.layers import FoldedLayer, layers_of, refuse_neurons
from lfp_snn.engine import merges, neurons, shapes, stepped, synapses, units
from lfp_snn.errors import NetworkError, require
from lfp_snn.models.nir import DT

__all__ = ["meaning_lost", "nir_bytes", "to_nir"]

Edges = list[tuple[str, str]]
FLOAT = npt.NDArray[np.float64]


def to_nir(net: nn.Module, input_shape: Sequence[int], dt: float = DT) -> Any:
    """Export a network in evaluation mode as a ``nir.NIRGraph``.

    Args:
        net: a module whose forward is one time step.
        input_shape: the shape of one input, without time and batch.
        dt: the seconds of a step.

    Raises:
        NetworkError: NIR cannot express a stage (the message names it, with the reason), the
            network cannot be traced, or the package ``nir`` is not installed.
    """
    require("nir", "exchange")
    import nir

    layers = layers_of(net, input_shape)
    refuse_neurons(layers[:-1], "NIR", readout=False)  # an LI passes its membrane on
    refuse_neurons(layers[-1:], "NIR", readout=True)
    nodes: dict[str, Any] = {"input": nir.Input(np.array(input_shape))}
    edges: Edges = []
    sources: list[tuple[str, ...]] = []  # nodes whose values add up to that of each layer

    def of(i: int) -> tuple[str, ...]:
        return ("input",) if i < 0 else sources[i]

    for layer in layers:
        if isinstance(layer.stage, merges.Sum):
            sources.append(_branches(layer, [of(i) for i in layer.inputs], nodes, edges))
            continue
        node = nodes[layer.name] = _node(layer, dt)
        # By which a run may start from these weights (transfer.source).
        node.metadata = {**node.metadata, "module": layer.stage.name}
        edges += [(source, layer.name) for source in of(layer.inputs[0])]
        sources.append((layer.name,))
        if isinstance(layer.stage, stepped.RLeaky | stepped.RSynaptic):
            if layer.stage.is_readout:
                raise _refuse(layer, "it never spikes, so that nothing goes round its loop")
            loop = f"{layer.name}.recurrent"  # no other name has a dot
            nodes[loop] = _loop(layer, layer.stage)
            edges += [(layer.name, loop), (loop, layer.name)]
    nodes["output"] = nir.Output(np.array(layers[-1].shape))
    edges.append((layers[-1].name, "output"))
    metadata = {"written_by": "lfp_snn", "dt": dt, "convention": "euler"}
    try:
        return nir.NIRGraph(nodes, edges, metadata=metadata)
    except ValueError as problem:
        raise NetworkError(f"The package nir refuses the graph of this network: {problem}.") from (
            problem
        )


def meaning_lost(net: nn.Module) -> list[str]:
    """The differences of this network in another simulator, a sentence for each kind of neuron."""
    loops = [n.recurrent for n in net.modules() if isinstance(n, snn.RLeaky | snn.RSynaptic)]
    biased = [
        "Recurrent neurons with a bias in their loop: it acts from the first step on, as NIR means "
        "it, but simulators whose loops are silent in that step (SpikingJelly) leave it out there."
    ] * any(getattr(loop, "bias", None) is not None for loop in loops)
    differing = {
        (n.reset_mechanism, bool(n.reset_delay))
        for n in net.modules()
        if isinstance(n, snn.Leaky | snn.RLeaky | snn.Synaptic | snn.RSynaptic)
        and (n.reset_mechanism != "zero" or n.reset_delay)
        and not bool(torch.isinf(torch.as_tensor(n.threshold)).all())  # a readout
    }
    return biased + [
        f"Neurons with reset {mechanism}{', delayed' if delay else ''}: NIR has no such reset; it "
        "is recorded in the metadata and kept by lfp-snn import, but other simulators set the "
        "membrane to zero at once. Train with neurons of reset_mechanism='zero' and "
        "reset_delay=False for them, in a config model.reset=zero model.reset_delay=false."
        for mechanism, delay in sorted(differing)
    ]


def nir_bytes(graph: Any) -> bytes:
    """A graph as the content of a ``.nir`` file (HDF5)."""
    import nir

    descriptor, name = tempfile.mkstemp(suffix=".nir")
    os.close(descriptor)
    try:
        nir.write(name, graph)
        return Path(name).read_bytes()
    finally:
        Path(name).unlink()


def _refuse(layer: FoldedLayer, reason: str) -> NetworkError:
    return NetworkError(
        f"NIR cannot express stage '{layer.stage.name}' ({layer.stage.describe()}): {reason}."
    )


def _node(layer: FoldedLayer, dt: float) -> Any:
    """The node of a layer that is no sum: the map from modules to NIR."""
    stage = layer.stage
    if isinstance(stage, synapses.Linear):
        return _linear(layer)
    if isinstance(stage, synapses.Convolution):
        return _convolution(layer, stage)
    if isinstance(stage, shapes.AvgPool):
        return _average(layer, stage.pool)
    if isinstance(stage, shapes.Reshape):
        return _flatten(layer)
    if isinstance(stage, stepped.Synaptic):  # RSynaptic is one; its loop is a node too
        return _synaptic(layer, stage, dt)
    if isinstance(stage, neurons.Leaky | stepped.RLeaky):  # the loop of the latter is a node too
        return _leaky(layer, stage, dt)
    if isinstance(stage, neurons.Population):
        known = "Leaky, RLeaky, Synaptic and RSynaptic"
        raise _refuse(layer, f"of neurons it has {known}; train with one of them")
    if isinstance(stage, shapes.MaxPool):
        raise _refuse(layer, "it has no max pooling; train with average pooling (model.pool=avg)")
    if isinstance(stage, merges.Maximum):
        raise _refuse(layer, "its branches can only be added; merge by a sum")
    if isinstance(stage, units.Readout):
        raise _refuse(layer, "the network ends in values; end it in neurons")
    if isinstance(stage, merges.Concatenate):
        raise _refuse(layer, "it has no concatenation; merge by a sum")
    raise _refuse(layer, "it has no such node")


def _linear(layer: FoldedLayer) -> Any:
    import nir

    if len(layer.shape) != 1:
        raise _refuse(layer, f"its input has the shape {layer.in_shapes[0]}; flatten it first")
    if layer.bias is None:
        return nir.Linear(weight=layer.weight)
    return nir.Affine(weight=layer.weight, bias=layer.bias)


def _convolution(layer: FoldedLayer, stage: synapses.Convolution) -> Any:
    import nir

    assert layer.weight is not None
    module = stage.module
    kernel = module.kernel_size
    if len(set(kernel)) > 1 or module.groups > 1:
        raise _refuse(
            layer, "the package nir gets the shapes of rectangular or grouped kernels wrong"
        )
    bias = np.zeros(layer.weight.shape[0], layer.weight.dtype) if layer.bias is None else layer.bias
    if isinstance(module, nn.Conv1d):
        return nir.Conv1d(
            input_shape=layer.in_shapes[0][1],
            weight=layer.weight,
            stride=module.stride[0],
            padding=stage.padding[0],
            dilation=module.dilation[0],
            groups=1,
            bias=bias,
        )
    return nir.Conv2d(
        input_shape=layer.in_shapes[0][1:],
        weight=layer.weight,
        stride=tuple(module.stride),
        padding=stage.padding,
        dilation=tuple(module.dilation),
        groups=1,
        bias=bias,
    )


def _average(layer: FoldedLayer, pool: nn.Module) -> Any:
    import nir

    if not isinstance(pool, nn.AvgPool2d):
        raise _refuse(layer, "it has windows of a fixed size only; use nn.AvgPool2d")
    if len(layer.shape) != 3:
        raise _refuse(layer, "it pools maps of two dimensions only")
    if pool.ceil_mode or pool.divisor_override is not None:
        raise _refuse(layer, "it knows neither ceil_mode nor divisor_override")
    if _pair(pool.padding) != (0, 0) and not pool.count_include_pad:
        raise _refuse(layer, "it does not know count_include_pad=False")
    return nir.AvgPool2d(
        kernel_size=np.array(_pair(pool.kernel_size)),
        stride=np.array(_pair(pool.stride)),
        padding=np.array(_pair(pool.padding)),
    )


def _flatten(layer: FoldedLayer) -> Any:
    """The node of a reshape to a flat vector; NIR counts axes without the batch."""
    import nir

    if len(layer.shape) != 1:
        raise _refuse(layer, f"it can flatten, but not give maps the shape {layer.shape}")
    return nir.Flatten({"input": np.array(layer.in_shapes[0])}, start_dim=0, end_dim=-1)


def _leaky(layer: FoldedLayer, stage: neurons.Population, dt: float) -> Any:
    import nir

    beta, threshold, metadata = _constants(layer, stage)
    zeros = np.zeros(layer.shape)
    if (beta == 1).all():
        integral = np.full(layer.shape, 1 / dt)
        if stage.is_readout:
            return nir.I(integral, metadata=metadata)
        return nir.IF(integral, threshold, zeros, metadata=metadata)
    if (beta == 1).any():
        raise _refuse(layer, "some of its neurons leak and others do not; give all beta < 1")
    resistance = 1 / (1 - beta)
    if stage.is_readout:
        return nir.LI(dt * resistance, resistance, zeros, metadata=metadata)
    return nir.LIF(dt * resistance, resistance, zeros, threshold, zeros, metadata=metadata)


def _synaptic(layer: FoldedLayer, stage: stepped.Synaptic, dt: float) -> Any:
    import nir

    beta, threshold, metadata = _constants(layer, stage)
    alpha = _spread(
        stage.constant("alpha", torch.Size((1, *layer.shape)), torch.float64), layer.shape
    )
    if (alpha == 1).any() or (beta == 1).any():
        raise _refuse(layer, "its CubaLIF always leaks; give all alpha < 1 and all beta < 1")
    entering, resistance, zeros = 1 / (1 - alpha), 1 / (1 - beta), np.zeros(layer.shape)
    known = {
        "tau_syn": dt * entering,
        "tau_mem": dt * resistance,
        "r": resistance,
        "v_leak": zeros,
        "w_in": entering,
        "metadata": metadata,
    }
    if stage.is_readout:
        return nir.CubaLI(**known)
    return nir.CubaLIF(v_threshold=threshold, v_reset=zeros, **known)


def _constants(
    layer: FoldedLayer, stage: neurons.Population
) -> tuple[FLOAT, FLOAT, dict[str, Any]]:
    """The decay and threshold of each neuron, and what NIR cannot express of them."""
    dynamics = stage.dynamics(torch.Size((1, *layer.shape)), torch.float64)
    metadata = {
        "reset_mechanism": dynamics.reset,
        "reset_delay": int(dynamics.delay),
        "dtype": str(stage.module.threshold.dtype).removeprefix("torch."),
    }
    beta, threshold = (_spread(value, layer.shape) for value in (dynamics.beta, dynamics.threshold))
    return beta, threshold, metadata


def _loop(layer: FoldedLayer, stage: stepped.RLeaky | stepped.RSynaptic) -> Any:
    """The synapse through which neurons hear their own spikes."""
    import nir

    synapse: Any = stage.module.recurrent
    if isinstance(synapse, nn.Linear | nn.Conv2d):
        weight = synapse.weight.detach().cpu().numpy()
        bias = None if synapse.bias is None else synapse.bias.detach().cpu().numpy()
        own = replace(layer, in_shapes=(layer.shape,), weight=weight, bias=bias)
        if isinstance(synapse, nn.Linear):
            return _linear(own)
        return _convolution(own, synapses.Convolution(f"{layer.name}.recurrent", synapse))
    factors = np.broadcast_to(synapse.V.detach().cpu().numpy(), layer.shape)
    if len(layer.shape) == 1:
        return nir.Linear(np.diag(factors), metadata={"recurrent": "one_to_one"})
    return nir.Scale(factors.copy())


def _branches(
    layer: FoldedLayer, inputs: list[tuple[str, ...]], nodes: dict[str, Any], edges: Edges
) -> tuple[str, ...]:
    """The nodes whose values add up to a sum; branches that are weighted pass through a scale."""
    import nir

    stage = layer.stage
    assert isinstance(stage, merges.Sum)
    if stage.offset:
        raise _refuse(layer, "it cannot add a number; put it into the bias of a synapse")
    if any(shape != layer.shape for shape in layer.in_shapes):
        raise _refuse(layer, f"it adds values of one shape only, not {layer.in_shapes}")
    found: list[str] = []
    for k, (weight, sources) in enumerate(zip(stage.weights, inputs, strict=True)):
        # An edge can be there only once, so what is added twice passes through a scale as well.
        if weight == 1 and not set(sources) & set(found):
            found += sources
            continue
        name = f"{layer.name}_scale{k}"
        nodes[name] = nir.Scale(np.full(layer.shape, weight))
        edges += [(source, name) for source in sources]
        found.append(name)
    return tuple(found)


def _spread(value: Tensor, shape: tuple[int, ...]) -> FLOAT:
    """A constant that broadcasts from the right, as one value for each neuron."""
    return np.broadcast_to(value.cpu().numpy(), shape).astype(np.float64)


def _pair(value: Any) -> tuple[int, int]:
    a, b = (value, value) if isinstance(value, int) else value
    return int(a), int(b)
