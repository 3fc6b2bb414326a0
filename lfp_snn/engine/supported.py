"""The modules and functions that the forward of a network may call, and the stages they become."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import snntorch as snn
import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from lfp_snn.activations import Sign, Step
from lfp_snn.engine import (
    batch_norms,
    fixed,
    means,
    neurons,
    norms,
    shapes,
    stepped,
    synapses,
    units,
)
from lfp_snn.engine.refused import refusal
from lfp_snn.engine.stage import Stage
from lfp_snn.norms import PerStep

__all__ = [
    "ACTIVATIONS",
    "DROPOUTS",
    "FUNCTIONAL_MODULES",
    "GATES",
    "LIKE",
    "LINEAR",
    "MAXIMA",
    "MAXIMA_OVER",
    "MERGES",
    "METADATA",
    "MODULES",
    "POOL_OPTIONS",
    "PRODUCTS",
    "RESHAPES",
    "SAME",
    "SCALES",
    "SIZED",
    "SUMS",
    "is_leaf",
]

#: Elementwise activations without parameters.
ACTIVATIONS: tuple[type[nn.Module], ...] = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.ELU,
    nn.CELU,
    nn.SELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Softplus,
    nn.Tanh,
    nn.Hardtanh,
    nn.Softsign,
    nn.Sigmoid,
    nn.Hardsigmoid,
    Sign,
)
#: Modules whose values are gates where they multiply a signal.
GATES: tuple[type[nn.Module], ...] = (nn.Sigmoid, nn.Hardsigmoid, nn.Softmax)

MODULES: dict[type[nn.Module], Callable[[str, Any], Stage]] = {
    nn.Linear: synapses.Linear,
    nn.Conv1d: synapses.Convolution,
    nn.Conv2d: synapses.Convolution,
    nn.Conv3d: synapses.OtherConvolution,
    nn.ConvTranspose1d: synapses.OtherConvolution,
    nn.ConvTranspose2d: synapses.OtherConvolution,
    nn.BatchNorm1d: batch_norms.BatchNorm,
    nn.BatchNorm2d: batch_norms.BatchNorm,
    nn.ModuleList: batch_norms.BatchNormTT,  # what snntorch.BatchNormTT1d and BatchNormTT2d make
    PerStep: batch_norms.BatchNormTT,
    nn.LayerNorm: norms.LayerNorm,
    nn.GroupNorm: norms.GroupNorm,
    nn.InstanceNorm1d: norms.InstanceNorm,
    nn.InstanceNorm2d: norms.InstanceNorm,
    nn.MaxPool1d: shapes.MaxPool,
    nn.MaxPool2d: shapes.MaxPool,
    nn.AdaptiveMaxPool1d: shapes.MaxPool,
    nn.AdaptiveMaxPool2d: shapes.MaxPool,
    nn.AvgPool1d: shapes.AvgPool,
    nn.AvgPool2d: shapes.AvgPool,
    nn.AdaptiveAvgPool1d: shapes.AvgPool,
    nn.AdaptiveAvgPool2d: shapes.AvgPool,
    means.MeanOver: means.Mean,
    nn.Flatten: shapes.Reshape,
    nn.Unflatten: shapes.Reshape,
    nn.Dropout: shapes.Dropout,
    nn.Dropout1d: shapes.Dropout,
    nn.Dropout2d: shapes.Dropout,
    nn.Identity: shapes.Identity,
    snn.Leaky: neurons.Leaky,
    snn.Lapicque: stepped.Lapicque,
    snn.RLeaky: stepped.RLeaky,
    snn.Synaptic: stepped.Synaptic,
    snn.RSynaptic: stepped.RSynaptic,
    snn.Alpha: stepped.Alpha,
    fixed.FixedPointLeaky: fixed.FixedPoint,
    Step: units.StepUnits,
    nn.PReLU: units.PReLU,
    nn.Softmax: units.Softmax,
    **dict.fromkeys(ACTIVATIONS, units.Activation),
}

#: Modules of torch that are looked into, since what they call has a rule.
OPENED: tuple[type[nn.Module], ...] = (
    nn.Sequential,
    nn.ModuleDict,
    nn.Upsample,
    nn.UpsamplingNearest2d,
    nn.ZeroPad1d,
    nn.ZeroPad2d,
    nn.PixelShuffle,
    nn.PixelUnshuffle,
    nn.Unfold,
    nn.Fold,
)


#: What says how a layer of torch computes.
_COMPUTES = ("__call__", "forward", "_conv_forward", "_check_input_dim", "weight", "bias")


def kind_of(module: nn.Module) -> type[nn.Module]:
    """Return the class whose rule serves a module: its own, or one of torch's that it extends.

    A user's class that adds a constructor or attributes to a layer computes what the layer does;
    one that changes how it computes does not, and is its own kind.
    """
    own = parametrize.type_before_parametrizations(module)
    layers = (base for base in own.__mro__ if base in MODULES and base.__module__[:5] == "torch")
    for base in layers:
        if all(getattr(own, name, None) is getattr(base, name, None) for name in _COMPUTES):
            return base
    return own


def is_leaf(module: nn.Module) -> bool:
    """Whether a module is looked at as a whole: neurons and torch's own are, users' are not."""
    own = isinstance(module, snn.SpikingNeuron | Step | Sign | PerStep) or refusal(module)
    path = parametrize.type_before_parametrizations(module).__module__
    of_torch = path.startswith("torch.nn") and not path.startswith("torch.nn.utils")
    return bool(own) or (of_torch and not isinstance(module, OPENED)) or kind_of(module) in MODULES


#: Functions, and methods by name, that do what a module does; positional arguments of both agree
#: up to the fourth.
FUNCTIONAL_MODULES: dict[Any, type[nn.Module]] = {
    F.relu: nn.ReLU,
    torch.relu: nn.ReLU,
    "relu": nn.ReLU,
    F.leaky_relu: nn.LeakyReLU,
    F.elu: nn.ELU,
    F.silu: nn.SiLU,
    F.gelu: nn.GELU,
    F.relu6: nn.ReLU6,
    F.celu: nn.CELU,
    F.selu: nn.SELU,
    F.mish: nn.Mish,
    F.softplus: nn.Softplus,
    F.hardtanh: nn.Hardtanh,
    F.softsign: nn.Softsign,
    F.tanh: nn.Tanh,
    torch.tanh: nn.Tanh,
    "tanh": nn.Tanh,
    torch.sigmoid: nn.Sigmoid,
    F.sigmoid: nn.Sigmoid,
    "sigmoid": nn.Sigmoid,
    F.hardsigmoid: nn.Hardsigmoid,
    torch.softmax: nn.Softmax,
    F.softmax: nn.Softmax,
    "softmax": nn.Softmax,
    torch.sign: Sign,
    "sign": Sign,
    F.max_pool1d: nn.MaxPool1d,
    torch.max_pool1d: nn.MaxPool1d,
    F.max_pool2d: nn.MaxPool2d,
    torch.max_pool2d: nn.MaxPool2d,
    F.avg_pool1d: nn.AvgPool1d,
    F.avg_pool2d: nn.AvgPool2d,
    F.adaptive_max_pool1d: nn.AdaptiveMaxPool1d,
    F.adaptive_max_pool2d: nn.AdaptiveMaxPool2d,
    F.adaptive_avg_pool1d: nn.AdaptiveAvgPool1d,
    F.adaptive_avg_pool2d: nn.AdaptiveAvgPool2d,
    torch.mean: means.MeanOver,
    "mean": means.MeanOver,
}
#: Functions whose positional arguments are in another order than the module's.
POOL_OPTIONS: dict[Any, tuple[str, ...]] = dict.fromkeys(
    (torch.max_pool1d, torch.max_pool2d),
    ("kernel_size", "stride", "padding", "dilation", "ceil_mode"),
)
#: Functions and methods by the same name.
SUMS = {"add": 1.0, "add_": 1.0, "iadd": 1.0, "sub": -1.0, "sub_": -1.0, "isub": -1.0}
SCALES = {"mul", "mul_", "imul", "truediv", "div", "div_", "itruediv"}
MERGES = {"cat", "concat", "concatenate"}
MAXIMA = {"maximum", "max"}
MAXIMA_OVER = {"max", "amax"}
RESHAPES = {"flatten", "reshape", "view", "squeeze", "unsqueeze", "unflatten"}
DROPOUTS: dict[str, type[nn.Module]] = {
    "dropout": nn.Dropout,
    "dropout1d": nn.Dropout1d,
    "dropout2d": nn.Dropout2d,
}
#: What gives back its argument, as floating numbers.
SAME = {
    "contiguous", "clone", "detach", "detach_", "float", "double", "to", "type", "type_as",
    "data", "alias", "requires_grad_", "cpu", "cuda", "positive",
}  # fmt: skip
#: Functions that take sizes, of which the first may be that of the batch.
SIZED = {"view", "reshape", "expand"}
#: Functions that may be linear in each of several values; whether a call is, is tried out.
PRODUCTS = {"mul", "imul", "rmul", "multiply", "matmul", "rmatmul", "bmm", "einsum"}
#: Functions that may be linear in what they take; whether a call is, is tried out.
LINEAR = {
    "mean", "sum", "stack", "chunk", "split", "tensor_split", "hsplit", "vsplit", "unbind",
    "getitem", "select", "narrow", "index_select", "transpose", "swapaxes", "swapdims",
    "permute", "movedim", "moveaxis", "t", "T", "mT", "flip", "fliplr", "flipud", "roll",
    "rot90", "pad", "interpolate", "upsample", "pixel_shuffle", "pixel_unshuffle",
    "channel_shuffle", "expand", "broadcast_to", "repeat", "tile", "repeat_interleave", "neg",
    "negative", "cumsum", "diff", "hstack", "vstack", "dstack", "einsum", "matmul", "rmatmul",
    "bmm", "linear", "mul", "rmul", "imul", "multiply", "div", "truediv", "itruediv", "add",
    "radd", "iadd", "sub", "rsub", "isub", "tril", "triu", "diagonal", "cat", "concat",
    "concatenate", "masked_fill", "where", "unfold", "fold", "setitem", "gather",
    "take_along_dim", "lerp", "view_as", "reshape_as", "expand_as", "conv1d", "conv2d", "conv3d",
    "conv_transpose1d", "conv_transpose2d",
}  # fmt: skip
#: What may be asked of a tensor that does not tell its values.
METADATA = {
    "size", "dim", "ndim", "ndimension", "numel", "nelement", "shape", "stride",
    "storage_offset", "device", "dtype", "layout", "len", "is_cuda", "is_cpu", "is_meta",
    "is_sparse", "is_leaf", "requires_grad", "grad", "grad_fn", "is_contiguous", "element_size",
    "is_floating_point", "is_complex", "is_inference", "type", "get_device", "eq", "ne", "hash",
    "repr", "format", "itemsize", "names",
}  # fmt: skip
#: Tensors like another one, whatever its values are.
LIKE = {
    "zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like",
    "new_zeros", "new_ones", "new_full", "new_empty", "new_tensor",
}  # fmt: skip
