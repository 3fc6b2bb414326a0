"""Modules of torch and snntorch as nodes of the oracle, by the definitions of what they do."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial, reduce
from itertools import product
from math import ceil, erf, exp, floor, log, prod, sqrt, tanh
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from tests.oracle import (
    Array,
    BatchNorm,
    Leaky,
    Linear,
    Mask,
    MaxPool,
    Network,
    Node,
    Parameter,
    Shape,
    Term,
    Units,
)

#: Activations by their definitions.
FUNCTIONS: dict[str, Callable[[Any, float], float]] = {
    "ReLU": lambda m, z: max(z, 0.0),
    "ReLU6": lambda m, z: min(max(z, 0.0), 6.0),
    "LeakyReLU": lambda m, z: z if z > 0 else m.negative_slope * z,
    "ELU": lambda m, z: z if z > 0 else m.alpha * (exp(z) - 1),
    "CELU": lambda m, z: z if z > 0 else m.alpha * (exp(z / m.alpha) - 1),
    "SELU": lambda m, z: 1.0507009873554805 * (z if z > 0 else 1.6732632423543772 * (exp(z) - 1)),
    "GELU": lambda m, z: z * (1 + erf(z / sqrt(2))) / 2,
    "SiLU": lambda m, z: z / (1 + exp(-z)),
    "Mish": lambda m, z: z * tanh(log(1 + exp(z))),
    "Softplus": lambda m, z: log(1 + exp(z)),
    "Tanh": lambda m, z: tanh(z),
    "Hardtanh": lambda m, z: min(max(z, -1.0), 1.0),
    "Softsign": lambda m, z: z / (1 + abs(z)),
    "Sigmoid": lambda m, z: 1 / (1 + exp(-z)),
    "Hardsigmoid": lambda m, z: min(max(z / 6 + 0.5, 0.0), 1.0),
    "Sign": lambda m, z: float(z > 0) - float(z < 0),
    "Step": lambda m, z: float(z > m.threshold),
}


def add_module(
    network: Network, source: Node, module: Any, name: str, mask: Array | None = None
) -> Node:
    """Add a torch or snntorch module that stands at ``name``; ``mask`` is that of a dropout."""
    if isinstance(module, nn.Sequential):
        for key, child in module.named_children():
            source = add_module(network, source, child, f"{name}.{key}" if name else key, mask)
        return source
    kind = type(module).__name__
    if kind == "Identity" or (kind.startswith("Dropout") and not module.training):
        return source
    if kind.startswith("Dropout"):
        assert mask is not None
        return network.add(Mask(source.shape, source, mask.reshape(len(mask), -1)))
    if kind == "Linear":
        return linear(network, source, module, name)
    if kind.startswith("Conv"):
        return convolution(network, source, module, name)
    if kind.startswith("BatchNorm"):
        return network.add(BatchNorm(source.shape, [], source, module, name))
    if "Pool" in kind:
        return pool(network, source, module)
    if kind == "Flatten":
        return network.reshape(source, (source.units,))
    if kind == "Unflatten":
        return network.reshape(source, tuple(module.unflattened_size))
    if kind == "Leaky":
        return leaky(network, source, module, name)
    if kind == "Merge":
        return merge(network, source, module, name)
    if kind in FUNCTIONS:
        function = partial(FUNCTIONS[kind], module)
        return network.add(Units(source.shape, name, source, function, kind != "Step"))
    raise NotImplementedError(kind)


def readout(network: Network) -> Node:
    """The values of the last stage as the output."""
    source = network.nodes[-1]
    return network.add(Units(source.shape, "(readout)", source, lambda z: z))


def linear(network: Network, source: Node, module: Any, name: str) -> Node:
    """``y[..., o] = sum_i weight[o, i] x[..., i] + bias[o]``, over the last axis."""
    n_out, n_in = module.weight.shape
    terms = []
    for row in range(source.units // n_in):
        for o in range(n_out):
            for i in range(n_in):
                weight = Parameter(f"{name}.weight", o * n_in + i)
                terms.append(Term(row * n_out + o, source, row * n_in + i, 1.0, weight))
            if module.bias is not None:
                bias = Parameter(f"{name}.bias", o)
                terms.append(Term(row * n_out + o, None, 0, 1.0, bias))
    return network.add(Linear((*source.shape[:-1], n_out), terms))


def convolution(network: Network, source: Node, module: Any, name: str) -> Node:
    """Cross-correlation with zeros around the input, over one or two axes of space."""
    c_out, c_group, *kernel = module.weight.shape
    size = source.shape[1:]
    stride, dilation = module.stride, module.dilation
    if module.padding == "same":
        before = tuple(d * (k - 1) // 2 for d, k in zip(dilation, kernel, strict=True))
        out = size
    else:
        before = (0,) * len(size) if module.padding == "valid" else module.padding
        out = tuple(
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, p, d, k, s in zip(size, before, dilation, kernel, stride, strict=True)
        )
    shape = (c_out, *out)
    terms = []
    for o, place in product(range(c_out), product(*map(range, out))):
        j = flat((o, *place), shape)
        group = o // (c_out // module.groups)
        for c, tap in product(range(c_group), product(*map(range, kernel))):
            at = tuple(
                q * s - p + k * d
                for q, s, p, k, d in zip(place, stride, before, tap, dilation, strict=True)
            )
            if all(0 <= a < n for a, n in zip(at, size, strict=True)):
                i = flat((group * c_group + c, *at), source.shape)
                index = flat((o, c, *tap), tuple(module.weight.shape))
                terms.append(Term(j, source, i, 1.0, Parameter(f"{name}.weight", index)))
        if module.bias is not None:
            terms.append(Term(j, None, 0, 1.0, Parameter(f"{name}.bias", o)))
    return network.add(Linear(shape, terms))


def pool(network: Network, source: Node, module: Any) -> Node:
    """Average and maximum pooling, by window or adaptive, over one or two axes."""
    if len(source.shape) == 1:  # the units of a layer are one map
        pooled = pool(network, network.reshape(source, (1, source.units)), module)
        return network.reshape(pooled, (pooled.units,))
    kind, size = type(module).__name__, source.shape[1:]
    spans = [spans_of(module, axis, n) for axis, n in enumerate(size)]
    shape = (source.shape[0], *(len(axis) for axis in spans))
    windows, divisors = [], []
    for channel, place in product(range(shape[0]), product(*map(range, shape[1:]))):
        chosen = [spans[axis][q] for axis, q in enumerate(place)]
        inside = product(*(window.inside for window in chosen))
        windows.append([flat((channel, *at), source.shape) for at in inside])
        divisors.append(prod(window.divisor for window in chosen))
    if "Max" in kind:
        return network.add(MaxPool(shape, source, windows))
    terms = [
        Term(j, source, i, 1 / (getattr(module, "divisor_override", None) or divisor))
        for j, (window, divisor) in enumerate(zip(windows, divisors, strict=True))
        for i in window
    ]
    return network.add(Linear(shape, terms))


def leaky(network: Network, source: Node, module: Any, name: str) -> Node:
    """A snntorch Leaky; beta and threshold are broadcast from the right."""
    decay = module.beta.detach().to(torch.float64).clamp(0, 1).numpy()
    theta = module.threshold.detach().to(torch.float64).numpy()
    return network.add(
        Leaky(
            source.shape,
            name,
            source,
            spread(decay, source.shape),
            spread(theta, source.shape),
            method_of(module),
            bool(module.reset_delay),
            entries(module.beta, f"{name}.beta", source.shape),
            entries(module.threshold, f"{name}.threshold", source.shape),
        )
    )


def merge(network: Network, source: Node, module: Any, name: str) -> Node:
    """Branches that see the same input; a maximum of more than two is taken one after another."""
    ends = [
        add_module(network, source, child, f"{name}.{key}")
        for key, child in module.named_children()
    ]
    if module.how == "concat":
        return network.concatenate(*ends)
    if module.how == "sum":
        return network.combine(*((1.0, end) for end in ends))
    return reduce(network.maximum, ends)


class Window(NamedTuple):
    """A pooling window along one axis: its places inside the input, and what a mean divides by."""

    inside: list[int]
    divisor: int


def spans_of(module: Any, axis: int, n: int) -> list[Window]:
    """The windows of a pooling module along one axis of ``n`` places."""
    if "Adaptive" in type(module).__name__:
        out = along(module.output_size, axis)
        out = n if out is None else out
        ranges = [range(floor(q * n / out), ceil((q + 1) * n / out)) for q in range(out)]
        return [Window(list(r), len(r)) for r in ranges]
    k, s, p = (along(getattr(module, key), axis) for key in ("kernel_size", "stride", "padding"))
    d = along(getattr(module, "dilation", 1), axis)
    steps = (n + 2 * p - d * (k - 1) - 1) / s
    out = (ceil(steps) if module.ceil_mode else floor(steps)) + 1
    if module.ceil_mode and (out - 1) * s >= n + p:  # a window may not start in the padding behind
        out -= 1
    windows = []
    for q in range(out):
        places = [q * s - p + tap * d for tap in range(k)]
        inside = [a for a in places if 0 <= a < n]
        padded = [a for a in places if a < n + p]
        count = len(padded) if getattr(module, "count_include_pad", False) else len(inside)
        windows.append(Window(inside, count))
    return windows


def along(setting: Any, axis: int) -> Any:
    return setting[axis] if isinstance(setting, tuple | list) else setting


def flat(position: Shape, shape: Shape) -> int:
    """Row-major index of a position."""
    index = 0
    for p, n in zip(position, shape, strict=True):
        index = index * n + p
    return index


def method_of(module: Any) -> str:
    """The reset of a snntorch neuron, from the value it stores: 0 subtract, 1 zero, 2 none."""
    return ("subtract", "zero", "none")[int(module.reset_mechanism_val)]


def spread(value: NDArray[Any], shape: Shape) -> NDArray[Any]:
    """One value for each unit; the shape of the value counts from the right."""
    extra = (1,) * max(0, value.ndim - len(shape))
    return np.broadcast_to(value, extra + shape).ravel()


def entries(value: torch.Tensor, name: str, shape: Shape) -> list[Parameter] | None:
    """For each unit the entry of a learnable beta or threshold behind it; None if not learnable."""
    if not isinstance(value, nn.Parameter):
        return None
    indices = np.arange(value.numel()).reshape(tuple(value.shape))
    return [Parameter(name, int(index)) for index in spread(indices, shape)]
