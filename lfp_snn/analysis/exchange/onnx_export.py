"""The export of a network as an ONNX graph of ONE time step, with membranes as inputs and outputs.

ONNX has no spiking neuron, so the step is written in its arithmetic, with the equations of
:mod:`lfp_snn.lif`; whoever runs the graph loops over time:

    input, <neuron>_membrane ...  ->  spikes, <neuron>_membrane_next ...

Membranes start at zero, and the output membranes of one step are the inputs of the next. The size
of the batch is free.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from lfp_snn.analysis.exchange.layers import FoldedLayer, layers_of, refuse_neurons
from lfp_snn.engine import merges, neurons, shapes, synapses
from lfp_snn.errors import NetworkError, require

__all__ = ["to_onnx"]

OPSET = 17
IR_VERSION = 8  # of the same release of ONNX, 1.12, so that older runtimes read it


def to_onnx(net: nn.Module, input_shape: Sequence[int]) -> bytes:
    """Export one step of a network in evaluation mode; gives the content of an ``.onnx`` file.

    Args:
        net: a module whose forward is one time step.
        input_shape: the shape of one input, without time and batch.

    Raises:
        NetworkError: a stage cannot be expressed (the message names it), the network cannot be
            traced, or the package ``onnx`` is not installed.
    """
    require("onnx", "onnx")
    layers = layers_of(net, input_shape)
    refuse_neurons(layers, "ONNX", readout=True)
    graph = _Graph(layers, tuple(input_shape))
    content: bytes = graph.model().SerializeToString()
    return content


class _Graph:
    """A graph under construction, to which one layer after the other adds its nodes."""

    def __init__(self, layers: list[FoldedLayer], input_shape: tuple[int, ...]) -> None:
        import onnx

        self.onnx = onnx
        weight = next((x.weight for x in layers if x.weight is not None), np.zeros(1, np.float32))
        self.dtype = weight.dtype
        self.kind = onnx.helper.np_dtype_to_tensor_dtype(self.dtype)
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self.inputs = [self._port("input", input_shape)]
        self.outputs = [self._port("spikes", layers[-1].shape)]
        self.values = [layer.name for layer in layers[:-1]] + ["spikes"]
        for layer, value in zip(layers, self.values, strict=True):
            sources = [self.values[i] if i >= 0 else "input" for i in layer.inputs]
            self._layer(layer, sources, value)

    def model(self) -> Any:
        """The checked model."""
        helper = self.onnx.helper
        graph = helper.make_graph(self.nodes, "one_step", self.inputs, self.outputs, self.constants)
        model = helper.make_model(
            graph,
            opset_imports=[helper.make_opsetid("", OPSET)],
            producer_name="lfp_snn",
            ir_version=IR_VERSION,
        )
        self.onnx.checker.check_model(model, full_check=True)
        return model

    def _port(self, name: str, shape: tuple[int, ...]) -> Any:
        return self.onnx.helper.make_tensor_value_info(name, self.kind, ["batch", *shape])

    def _constant(self, name: str, value: Any) -> str:
        self.constants.append(self.onnx.numpy_helper.from_array(np.asarray(value), name))
        return name

    def _op(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(
            self.onnx.helper.make_node(kind, inputs, [output], name=output, **attributes)
        )
        return output

    def _layer(self, layer: FoldedLayer, sources: list[str], value: str) -> None:
        """Add a layer: the map from modules to ONNX."""
        stage = layer.stage
        if isinstance(stage, synapses.Synapse):
            self._synapse(layer, sources[0], value)
        elif type(stage) is neurons.Leaky:  # recurrent and synaptic ones are others
            self._leaky(layer, stage, sources[0], value)
        elif isinstance(stage, shapes.AvgPool | shapes.MaxPool):
            self._pool(layer, stage.pool, sources[0], value)
        elif isinstance(stage, shapes.Reshape):
            shape = self._constant(f"{layer.name}_shape", np.array([-1, *layer.shape], np.int64))
            self._op("Reshape", [sources[0], shape], value)
        elif isinstance(stage, merges.Sum):
            self._sum(layer, stage, sources, value)
        elif isinstance(stage, merges.Concatenate):
            axis = stage.axis if stage.axis < 0 else stage.axis - 1  # the graph has no time axis
            self._op("Concat", sources, value, axis=axis)
        elif isinstance(stage, merges.Maximum):
            self._op("Max", sources, value)
        else:
            raise _refuse(layer, "its equations are not written there")

    def _synapse(self, layer: FoldedLayer, source: str, value: str) -> None:
        name, stage = layer.name, layer.stage
        assert layer.weight is not None
        inputs = [source]
        bias = [] if layer.bias is None else [self._constant(f"{name}_bias", layer.bias)]
        if isinstance(stage, synapses.Convolution):
            inputs += [self._constant(f"{name}_weight", layer.weight), *bias]
            self._op(
                "Conv",
                inputs,
                value,
                strides=list(stage.module.stride),
                pads=[*stage.padding, *stage.padding],
                dilations=list(stage.module.dilation),
                group=stage.module.groups,
            )
            return
        inputs.append(self._constant(f"{name}_weight", layer.weight.T.copy()))
        if not bias:
            self._op("MatMul", inputs, value)
        else:
            self._op("Add", [self._op("MatMul", inputs, f"{name}_product"), *bias], value)

    def _pool(self, layer: FoldedLayer, pool: nn.Module, source: str, value: str) -> None:
        what = "Max" if isinstance(pool, nn.MaxPool2d | nn.AdaptiveMaxPool2d) else "Average"
        if len(layer.shape) != 3:
            raise _refuse(layer, "only pools over maps of two dimensions are written")
        if isinstance(pool, nn.AdaptiveAvgPool2d | nn.AdaptiveMaxPool2d):
            if layer.shape[1:] != (1, 1):
                raise _refuse(layer, "of adaptive pools only those to one value are written")
            self._op(f"Global{what}Pool", [source], value)
            return
        assert isinstance(pool, nn.AvgPool2d | nn.MaxPool2d)
        padding = _pair(pool.padding)
        options: dict[str, Any] = {"ceil_mode": int(pool.ceil_mode)}
        if isinstance(pool, nn.AvgPool2d):
            if pool.ceil_mode or pool.divisor_override is not None:
                raise _refuse(layer, "neither ceil_mode nor divisor_override is written")
            options["count_include_pad"] = int(pool.count_include_pad)
        else:
            options["dilations"] = _pair(pool.dilation)
        self._op(
            f"{what}Pool",
            [source],
            value,
            kernel_shape=_pair(pool.kernel_size),
            strides=_pair(pool.stride),
            pads=[*padding, *padding],
            **options,
        )

    def _sum(self, layer: FoldedLayer, stage: merges.Sum, sources: list[str], value: str) -> None:
        terms = []
        for k, (weight, source) in enumerate(zip(stage.weights, sources, strict=True)):
            if weight != 1:
                factor = self._constant(f"{layer.name}_factor{k}", self.dtype.type(weight))
                source = self._op("Mul", [source, factor], f"{layer.name}_term{k}")
            terms.append(source)
        if stage.offset:
            terms.append(self._constant(f"{layer.name}_offset", self.dtype.type(stage.offset)))
        if len(terms) == 1:
            self._op("Identity", terms, value)
        else:
            self._op("Sum", terms, value)

    def _leaky(self, layer: FoldedLayer, stage: neurons.Leaky, current: str, value: str) -> None:
        """Add the equations of :class:`lfp_snn.lif.Dynamics`, ``r`` from the old membrane."""
        name = layer.name
        before, after = f"{name}_membrane", f"{name}_membrane_next"
        self.inputs.append(self._port(before, layer.shape))
        self.outputs.append(self._port(after, layer.shape))
        dtype = torch.float64 if self.dtype == np.float64 else torch.float32
        dynamics = stage.dynamics(torch.Size((1, *layer.shape)), dtype)
        beta = self._constant(f"{name}_beta", dynamics.beta.cpu().numpy())
        theta = self._constant(f"{name}_threshold", dynamics.threshold.cpu().numpy())

        def above(membrane: str, output: str) -> str:
            greater = self._op("Greater", [membrane, theta], f"{output}_bool")
            return self._op("Cast", [greater], output, to=self.kind)

        def without(a: str, b: str, output: str) -> str:
            return self._op("Sub", [a, b], output)

        kept, reset, late = before, dynamics.reset, dynamics.delay
        if reset == "subtract" or (reset == "zero" and late):
            pending = above(before, f"{name}_pending")
        if reset == "zero" and late:
            lost = self._op("Mul", [pending, before], f"{name}_lost")
            kept = without(before, lost, f"{name}_kept")
        decayed = self._op("Mul", [beta, kept], f"{name}_decayed")
        is_stored = reset == "none" or (reset == "zero" and late)
        integrated = after if is_stored else f"{name}_integrated"
        self._op("Add", [decayed, current], integrated)
        if is_stored:
            above(integrated, value)
        elif reset == "zero":
            above(integrated, value)
            lost = self._op("Mul", [value, integrated], f"{name}_lost")
            without(integrated, lost, after)
        else:
            taken = self._op("Mul", [pending, theta], f"{name}_taken")
            compared = without(integrated, taken, after if late else f"{name}_compared")
            above(compared, value)
            if not late:
                change = without(value, pending, f"{name}_change")
                drop = self._op("Mul", [change, theta], f"{name}_drop")
                without(compared, drop, after)


def _refuse(layer: FoldedLayer, reason: str) -> NetworkError:
    return NetworkError(
        f"Stage '{layer.stage.name}' ({layer.stage.describe()}) cannot be exported to ONNX: "
        f"{reason}."
    )


def _pair(value: Any) -> list[int]:
    return [value, value] if isinstance(value, int) else [int(n) for n in value]
