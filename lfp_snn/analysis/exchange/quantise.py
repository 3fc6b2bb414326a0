r"""Networks with int8 weights and fixed-point membranes, and LFP that fine-tunes them.

Every value is an integer in units of a power of two. A synapse whose input is in units of
:math:`2^{-k}` (0 bits for spikes; a mean of four of them has k = 2) has the int8 weights

.. math:: W_{int} = \mathrm{clip}(\mathrm{round}(2^f W), -127, 127),

one scale a layer, and gives a current in units of :math:`2^{-(f+k)}`, in which its biases are.
Of the three largest useful f, the one with the least squared error is taken. Membranes have
:data:`~lfp_snn.analysis.exchange.integer.GUARD_BITS` more bits, and decay as
:mod:`lfp_snn.engine.fixed` says.

LFP needs no gradient of the rounding, so no straight-through estimator: the forward pass runs with
the quantised weights and the rounded membranes, the feedback of that pass moves float masters.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lfp_snn.analysis.exchange.integer import GUARD_BITS, IntegerNetwork
from lfp_snn.analysis.exchange.layers import FoldedLayer, layers_of, refuse_neurons
from lfp_snn.engine import merges, neurons, shapes, synapses
from lfp_snn.engine.computed import refuse_computed_weights
from lfp_snn.engine.copying import copy_of
from lfp_snn.engine.fixed import DECAY_BITS, MEMBRANE_LIMIT, FixedPointLeaky
from lfp_snn.engine.options import EngineOptions
from lfp_snn.errors import NetworkError
from lfp_snn.learners.base import TrainingBatch
from lfp_snn.learners.lfp import LFP, LFPOptions
from lfp_snn.learners.unrolled import stepped_at_once

__all__ = ["QuantisedLFP", "QuantisedNetwork", "quantise"]

WEIGHT_LIMIT = 127
BIAS_LIMIT = 2**31 - 1
EXACT = 2**24  # integers up to which float32 has no gaps


@dataclass(frozen=True)
class Grid:
    """The units of a synapse: weights are multiples of ``2^-weight``, biases of ``2^-current``."""

    weight: int
    current: int

    def weights(self, weight: Tensor) -> Tensor:
        """The weights as integers."""
        return (weight * 2.0**self.weight).round().clamp(-WEIGHT_LIMIT, WEIGHT_LIMIT)

    def biases(self, bias: Tensor) -> Tensor:
        """The biases as integers, in the unit of the current."""
        return (bias * 2.0**self.current).round().clamp(-BIAS_LIMIT, BIAS_LIMIT)


class QuantisedNetwork:
    """A network whose neurons are fixed-point and whose weights have a grid.

    Attributes:
        net: the module; its weights are the float masters.
        input_shape: the shape of one input, without time and batch.
        grids: the grid of each synapse, by its path in ``net``.
        stages: the stages of :class:`~lfp_snn.analysis.exchange.integer.IntegerNetwork`.
        paths: the path of the module of each name in ``stages`` that has one.
    """

    def __init__(
        self,
        net: nn.Module,
        input_shape: tuple[int, ...],
        grids: dict[str, Grid],
        stages: list[dict[str, Any]],
        paths: dict[str, str],
    ) -> None:
        self.net = net
        self.input_shape = input_shape
        self.grids = grids
        self.stages = stages
        self.paths = paths

    @contextmanager
    def on_grid(self) -> Iterator[nn.Module]:
        """Round the module's weights to their grids, for the time of a ``with`` block."""
        # Other tensors take the place of the masters' content and not other values: a pass is told
        # when the values of a parameter are changed before its way back.
        masters = []
        try:
            with torch.no_grad():
                for name, grid in self.grids.items():
                    module: Any = self.net.get_submodule(name)
                    masters.append((module.weight, module.weight.data))
                    module.weight.data = grid.weights(module.weight) * 2.0**-grid.weight
                    if module.bias is not None:
                        masters.append((module.bias, module.bias.data))
                        module.bias.data = grid.biases(module.bias) * 2.0**-grid.current
            yield self.net
        finally:
            for parameter, master in masters:
                parameter.data = master

    def integer(self, info: dict[str, Any] | None = None) -> IntegerNetwork:
        """The quantised network in integers alone."""
        arrays: dict[str, Any] = {}
        for name, path in self.paths.items():
            module: Any = self.net.get_submodule(path)
            if path in self.grids:
                grid = self.grids[path]
                weight = grid.weights(module.weight.detach()).cpu().numpy()
                bias = module.bias
                arrays[f"{name}.weight"] = weight.astype(np.int8)
                arrays[f"{name}.bias"] = (
                    np.zeros(len(weight), np.int32)
                    if bias is None
                    else grid.biases(bias.detach().double()).cpu().numpy().astype(np.int32)
                )
            else:
                fraction = module.fraction
                for what, value, bits in (
                    ("threshold", module.threshold, fraction),
                    ("decay", module.beta, DECAY_BITS),
                ):
                    whole = (value.detach().double() * 2.0**bits).cpu().numpy()
                    arrays[f"{name}.{what}"] = whole.astype(np.int32)
        return IntegerNetwork(
            self.stages, arrays, {"input_shape": list(self.input_shape), **(info or {})}
        )


class QuantisedLFP(LFP):
    """LFP whose forward pass is that of the quantised network.

    Credit passes back through the float masters, and the feedback ``|w| sum x n`` takes their size:
    a weight that rounds to zero could not leave it otherwise.

    Args:
        quantised: the quantised network; its float masters learn.
        options: the rule, reward and form of the update. Homeostasis is left out: the thresholds
            are on their grid and stay there.
    """

    def __init__(self, quantised: QuantisedNetwork, options: LFPOptions) -> None:
        rule, reward = options.rule.make(), options.reward.make()
        super().__init__(quantised.net, rule, reward, EngineOptions("torch"), options.update)
        self.quantised = quantised

    def run(self, batch: TrainingBatch, record: bool = False) -> Tensor:
        """The output spikes ``[T, B, C]`` of the quantised network."""
        with self.quantised.on_grid():
            return super().run(batch, record)


def quantise(net: nn.Module, input_shape: Sequence[int]) -> QuantisedNetwork:
    """Choose grids for a trained network, which is not changed.

    Args:
        net: a module whose forward is one time step, in float32.
        input_shape: the shape of one input, without time and batch.

    Raises:
        NetworkError: a stage has no counterpart in integers (the message names it, with the
            reason), or the network cannot be traced, or called at every step.
    """
    shape = tuple(input_shape)
    refuse_computed_weights(net, every=True)
    net = stepped_at_once(net, shape)
    layers = layers_of(net, shape)
    refuse_neurons(layers, "int8", readout=False)
    plan = _Plan(layers)
    copied = copy_of(net).eval()
    for name, module in list(copied.named_modules()):
        if isinstance(module, _FOLDED_OR_IDLE):
            _replace(copied, name, nn.Identity())
    for layer in layers:
        if isinstance(layer.stage, synapses.Synapse):
            module = copied.get_submodule(layer.stage.name)
            module.weight = nn.Parameter(torch.from_numpy(layer.weight).clone())
            if layer.bias is not None:
                module.bias = nn.Parameter(torch.from_numpy(layer.bias).clone())
        elif isinstance(layer.stage, neurons.Leaky):
            _replace(copied, layer.stage.name, plan.neurons[layer.stage.name])
    paths = {
        each.name: each.stage.name
        for each in layers
        if isinstance(each.stage, synapses.Synapse | neurons.Leaky)
    }
    return QuantisedNetwork(copied, shape, plan.grids, plan.stages, paths)


_FOLDED_OR_IDLE = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
)


def _replace(net: nn.Module, name: str, module: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(net.get_submodule(parent), child, module)


class _Plan:
    """The plan of a quantisation: the unit of every value, in order, and the stages."""

    def __init__(self, layers: list[FoldedLayer]) -> None:
        self.bits: list[int] = []  # of each value
        self.grids: dict[str, Grid] = {}  # of each synapse, by its path
        self.neurons: dict[str, FixedPointLeaky] = {}
        self.stages: list[dict[str, Any]] = []
        for layer in layers:
            bits = [0 if i < 0 else self.bits[i] for i in layer.inputs]
            stage, unit = self._stage(layer, bits)
            self.stages.append({"name": layer.name, "inputs": list(layer.inputs), **stage})
            self.bits.append(unit)

    def _stage(self, layer: FoldedLayer, bits: list[int]) -> tuple[dict[str, Any], int]:
        """The stage of a layer in integers, and the bits of its value: the map of modules."""
        stage, widest = layer.stage, max(bits)
        shifts = [widest - each for each in bits]
        if isinstance(stage, synapses.Synapse):
            grid = _grid(layer, widest)
            self.grids[stage.name] = grid
            return _synapse(layer), grid.current
        if type(stage) is neurons.Leaky:  # recurrent and synaptic ones are others
            self.neurons[stage.name] = _neuron(layer, stage, widest)
            module = stage.module
            kept = {"reset": module.reset_mechanism, "delay": bool(module.reset_delay)}
            return {"op": "neuron", **kept}, 0
        if isinstance(stage, shapes.AvgPool | shapes.MaxPool):
            return _pool(layer, stage, widest)
        if isinstance(stage, shapes.Reshape):
            return {"op": "reshape", "shape": list(layer.shape)}, widest
        if isinstance(stage, merges.Sum):
            if stage.offset or any(abs(weight) != 1 for weight in stage.weights):
                raise _refuse(layer, "only sums and differences without factors are known")
            signs = [int(weight) for weight in stage.weights]
            return {"op": "add", "signs": signs, "shifts": shifts}, widest
        if isinstance(stage, merges.Maximum):
            return {"op": "max", "shifts": shifts}, widest
        if isinstance(stage, merges.Concatenate):
            axis = stage.axis if stage.axis < 0 else stage.axis - 1  # there is no time axis
            return {"op": "concat", "shifts": shifts, "axis": axis}, widest
        raise _refuse(layer, "it is not known")


def _refuse(layer: FoldedLayer, reason: str) -> NetworkError:
    return NetworkError(
        f"Stage '{layer.stage.name}' ({layer.stage.describe()}) has no counterpart in integers: "
        f"{reason}."
    )


def _grid(layer: FoldedLayer, bits: int) -> Grid:
    """Grid with the least squared error: the largest f that clips no weight, or one or two more.

    Raises:
        NetworkError: all weights are zero, or so many inputs meet that float32 rounds their sum.
    """
    assert layer.weight is not None
    weight = torch.from_numpy(layer.weight).double()
    largest = float(weight.abs().max())
    if largest == 0:
        raise _refuse(layer, "all its weights are zero")
    if (weight[0].numel() * WEIGHT_LIMIT) << bits >= EXACT:
        raise _refuse(layer, f"{weight[0].numel()} inputs are too many for sums in float32")
    safe = math.floor(math.log2(WEIGHT_LIMIT / largest))
    grids = [Grid(each, each + bits) for each in range(safe, safe + 3)]

    def error(grid: Grid) -> float:
        return float((grid.weights(weight) * 2.0**-grid.weight - weight).square().sum())

    return min(grids, key=error)


def _synapse(layer: FoldedLayer) -> dict[str, Any]:
    stage = layer.stage
    if isinstance(stage, synapses.Linear):
        if len(layer.shape) != 1:
            raise _refuse(layer, "it acts on the last axis of maps; flatten them first")
        return {"op": "linear"}
    assert isinstance(stage, synapses.Convolution)
    if not isinstance(stage.module, nn.Conv2d):
        raise _refuse(layer, "only convolutions of two dimensions are known")
    return {
        "op": "conv",
        "padding": list(stage.padding),
        "stride": list(stage.module.stride),
        "dilation": list(stage.module.dilation),
        "groups": stage.module.groups,
    }


def _pool(
    layer: FoldedLayer, stage: shapes.AvgPool | shapes.MaxPool, bits: int
) -> tuple[dict[str, Any], int]:
    """A pool as a maximum, or as a sum in a smaller unit."""
    pool = stage.pool
    if not isinstance(pool, nn.AvgPool2d | nn.MaxPool2d) or len(layer.shape) != 3 or pool.ceil_mode:
        raise _refuse(layer, "only pools of two dimensions with a fixed window are known")
    options = {
        "kernel": _pair(pool.kernel_size),
        "stride": _pair(pool.stride),
        "padding": _pair(pool.padding),
        "dilation": [1, 1],
    }
    if isinstance(pool, nn.MaxPool2d):
        return {"op": "max_pool", **options, "dilation": _pair(pool.dilation)}, bits
    area = math.prod(options["kernel"])
    padded = any(options["padding"]) and not pool.count_include_pad
    if area & (area - 1) or padded or pool.divisor_override is not None:
        raise _refuse(layer, "a mean must be over 2^k values, which is a shift; use a window of 2")
    return {"op": "sum_pool", **options}, bits + area.bit_length() - 1


def _neuron(layer: FoldedLayer, stage: neurons.Leaky, bits: int) -> FixedPointLeaky:
    """Fixed-point neurons for a current in units of ``2^-bits``."""
    dynamics = stage.dynamics(torch.Size((1, *layer.shape)), torch.float64)
    fraction = bits + GUARD_BITS
    threshold = (dynamics.threshold * 2.0**fraction).round()
    if float(threshold.max()) > MEMBRANE_LIMIT:
        raise _refuse(layer, "its threshold is too large for the unit that its weights need")
    return FixedPointLeaky(
        fraction,
        decay=(dynamics.beta * 2.0**DECAY_BITS).round().cpu(),
        threshold=threshold.cpu(),
        init_hidden=True,
        output=bool(stage.module.output),
        reset_mechanism=dynamics.reset,
        reset_delay=dynamics.delay,
    )


def _pair(value: Any) -> list[int]:
    return [value, value] if isinstance(value, int) else [int(n) for n in value]
