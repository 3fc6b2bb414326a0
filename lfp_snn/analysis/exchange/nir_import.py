"""A file of the Neuromorphic Intermediate Representation as a network that TemporalLFP runs.

The inverse of :mod:`lfp_snn.analysis.exchange.nir_export`, whose equations it reads backwards:
``beta = 1 - dt / tau``, and the membrane is taken in units of ``R dt / tau`` so that current enters
it unscaled. A ``.nir`` file is HDF5 with numbers and names; reading it runs no code of the file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn.analysis.exchange.layers import require
from lfp_snn.analysis.exchange.nir_export import DT
from lfp_snn.data.formats.hdf5 import opened
from lfp_snn.errors import DataError, NetworkError

__all__ = ["NIRNetwork", "from_nir", "load_nir"]


#: What reading a file that is something else trips over.
_DAMAGE = (
    OSError,
    KeyError,
    ValueError,
    TypeError,
    AssertionError,
    AttributeError,
    IndexError,
    RuntimeError,
    RecursionError,
)


def load_nir(path: Path | str, dt: float | None = None) -> NIRNetwork:
    """Build the network that a ``.nir`` file describes.

    Args:
        path: the file.
        dt: seconds of a step; by default what the file says, or 0.1 ms where it says nothing.

    Raises:
        DataError: the file is absent, is not NIR, leads to other files, or describes no network
            that can be built.
        NetworkError: a node has no counterpart in snntorch (it is named, with the reason), or the
            package ``nir`` is not installed.
    """
    require("nir", "exchange")
    import nir

    if not Path(path).exists():
        raise DataError(f"There is no file {path}.")
    try:
        with opened(Path(path)):
            pass  # it refuses links to other files, and what unpacks without end
        graph = nir.read(path)
    except _DAMAGE as problem:
        raise DataError(f"{path} cannot be read as NIR: {problem}.") from problem
    try:
        return from_nir(graph, dt)
    # Sizes and shapes that no module takes.
    except (RuntimeError, ValueError, TypeError, IndexError, KeyError, OverflowError) as problem:
        raise DataError(f"{path} describes a network that cannot be built: {problem}.") from problem


def from_nir(graph: Any, dt: float | None = None) -> NIRNetwork:
    """As :func:`load_nir`, from a ``nir.NIRGraph``."""
    import nir

    if not isinstance(graph, nir.NIRGraph):
        raise NetworkError(f"Expected a nir.NIRGraph, found {type(graph).__name__}.")
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise NetworkError(
            f"The NIR graph has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; "
            "expected one of each."
        )
    step = float(_metadata(graph).get("dt", DT)) if dt is None else dt
    order = _order(graph)
    (source,), (target,) = graph.inputs, graph.outputs
    last = [a for a, b in graph.edges if b == target]
    if len(last) != 1 or not isinstance(graph.nodes[last[0]], nir.LIF | nir.IF):
        raise NetworkError("The output of the NIR graph must be the spikes of one LIF or IF node.")
    stages: dict[str, tuple[nn.Module | float, tuple[str, ...]]] = {}
    for name in order:
        if name in (source, target):
            continue
        stage = _module(name, graph.nodes[name], step, output=name == last[0])
        stages[name] = (stage, tuple(a for a, b in graph.edges if b == name))
    shape = tuple(int(n) for n in np.atleast_1d(graph.nodes[source].input_type["input"]))
    return NIRNetwork(source, stages, shape)


class NIRNetwork(nn.Module):
    """One time step of a network that came from NIR; inputs of a node are added.

    Args:
        source: name of the input.
        stages: module, or factor, of each node, and the nodes that it takes, in order.
        input_shape: of one input, without time and batch.
    """

    def __init__(
        self,
        source: str,
        stages: Mapping[str, tuple[nn.Module | float, tuple[str, ...]]],
        input_shape: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.source = source
        self.input_shape = input_shape
        self.plan: list[tuple[str, str | float, tuple[str, ...]]] = []
        for number, (name, (stage, inputs)) in enumerate(stages.items()):
            if not isinstance(stage, nn.Module):
                self.plan.append((name, stage, inputs))
                continue
            own = name.replace(".", "_")
            own = f"{own}_{number}" if hasattr(self, own) else own
            self.add_module(own, stage)
            self.plan.append((name, own, inputs))

    def forward(self, x: Tensor) -> Tensor:
        """Spikes ``[B, C]`` and membrane of the output neuron for an input ``[B, ...]``."""
        values = {self.source: x}
        for name, stage, inputs in self.plan:
            total = values[inputs[0]]
            for other in inputs[1:]:
                total = total + values[other]
            if isinstance(stage, str):
                values[name] = self.get_submodule(stage)(total)
            else:
                values[name] = total * stage
        return values[name]


def _order(graph: Any) -> list[str]:
    """The nodes, each after those that it takes."""
    inputs = {name: [a for a, b in graph.edges if b == name] for name in graph.nodes}
    order: list[str] = []
    while len(order) < len(inputs):
        ready = [n for n, before in inputs.items() if n not in order and set(before) <= set(order)]
        if not ready:
            waiting = ", ".join(sorted(n for n in inputs if n not in order))
            raise NetworkError(
                f"The NIR graph is recurrent (among {waiting}); recurrent connections have no "
                "rule here."
            )
        order += ready
    return order


def _refuse(name: str, node: Any, reason: str) -> NetworkError:
    return NetworkError(f"NIR node '{name}' ({type(node).__name__}) has {reason}.")


def _module(name: str, node: Any, dt: float, output: bool) -> nn.Module | float:
    """The module of a node, or the factor of a scale; this is the map of nodes."""
    import nir

    if isinstance(node, nir.Affine | nir.Linear):
        if node.weight.ndim != 2:
            raise _refuse(name, node, f"weights of shape {node.weight.shape}; expected a matrix")
        return _weighted(nn.Linear(node.weight.shape[1], node.weight.shape[0]), node)
    if isinstance(node, nir.Conv1d | nir.Conv2d):
        kind = nn.Conv1d if isinstance(node, nir.Conv1d) else nn.Conv2d
        groups = int(node.groups)
        options = {key: _sizes(getattr(node, key)) for key in ("stride", "padding", "dilation")}
        outputs, inputs, *kernel = node.weight.shape
        convolution: Any = kind(inputs * groups, outputs, kernel, groups=groups, **options)
        return _weighted(convolution, node)
    if isinstance(node, nir.AvgPool2d | nir.SumPool2d):
        size = _sizes(node.kernel_size)
        pool = nn.AvgPool2d(size, _sizes(node.stride), _sizes(node.padding))
        if isinstance(node, nir.AvgPool2d):
            return pool
        area = int(np.prod(np.broadcast_to(size, 2)))
        return _SumPool(pool, float(area))
    if isinstance(node, nir.Flatten):
        if int(node.start_dim) != 0 or node.output_type["output"].size != 1:
            raise _refuse(name, node, "other axes than all of them; only flat vectors are known")
        return nn.Flatten()
    if isinstance(node, nir.Scale):
        if np.ptp(node.scale) != 0:
            raise _refuse(name, node, "several factors; only one for all values is known")
        return float(node.scale.flat[0])
    if isinstance(node, nir.LIF | nir.IF):
        neuron: nn.Module = _neuron(name, node, dt, output)
        return neuron
    raise _refuse(
        name,
        node,
        "no counterpart here: known are Affine, Linear, Conv1d, Conv2d, "
        "AvgPool2d, SumPool2d, Flatten, Scale, LIF and IF",
    )


class _SumPool(nn.Module):
    """Sum pooling, as a mean times the size of its window."""

    def __init__(self, pool: nn.AvgPool2d, area: float) -> None:
        super().__init__()
        self.pool = pool
        self.area = area

    def forward(self, x: Tensor) -> Tensor:
        pooled: Tensor = self.pool(x)
        return pooled * self.area


def _weighted(module: Any, node: Any) -> nn.Module:
    """A synapse with the weights of a node."""
    weight = torch.from_numpy(np.ascontiguousarray(node.weight))
    module.weight = nn.Parameter(weight)
    bias = getattr(node, "bias", None)
    module.bias = (
        None if bias is None else nn.Parameter(torch.as_tensor(np.asarray(bias)).to(weight))
    )
    return module  # type: ignore[no-any-return]


def _neuron(name: str, node: Any, dt: float, output: bool) -> snn.Leaky:
    import nir

    if np.any(node.v_reset != 0):
        raise _refuse(name, node, "a reset to another value than zero")
    if isinstance(node, nir.LIF):
        if np.any(node.v_leak != 0):
            raise _refuse(name, node, "a leak to another value than zero")
        decay = np.asarray(dt / node.tau, np.float64)
        beta, gain = 1 - decay, decay * node.r
    else:
        gain = dt * np.asarray(node.r, np.float64)
        beta = np.ones_like(gain)
    if np.any(gain <= 0):
        raise _refuse(name, node, f"a current that enters with the factor {gain.min():g}, not > 0")
    if np.any((beta < -1e-12) | (beta > 1)):
        raise _refuse(
            name, node, f"a decay of {beta.min():g} in a step of {dt:g} s; give a dt <= tau"
        )
    known = _metadata(node)
    dtype = {"float32": torch.float32, "float64": torch.float64}.get(
        str(known.get("dtype", "float32")), torch.float32
    )
    threshold = torch.from_numpy(_narrow(np.asarray(node.v_threshold / gain))).to(dtype)
    return snn.Leaky(
        beta=torch.from_numpy(_narrow(beta)).float(),
        threshold=threshold,
        reset_mechanism=str(known.get("reset_mechanism", "zero")),
        reset_delay=bool(known.get("reset_delay", False)),
        init_hidden=True,
        output=output,
    )


def _narrow(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """One value for all neurons or one a channel, where all of those are equal."""
    flat = values.reshape(-1)
    if flat.size and (flat == flat[0]).all():
        return np.array(flat[0])
    if values.ndim == 3 and (values == values[:, :1, :1]).all():
        return values[:, :1, :1]
    return values


def _metadata(node: Any) -> dict[str, Any]:
    """The metadata of a node, text as text."""
    known = node.metadata if isinstance(node.metadata, dict) else {}
    return {k: v.decode() if isinstance(v, bytes) else v for k, v in known.items()}


def _sizes(value: Any) -> Any:
    """A size as torch takes it: a word, a number or a pair."""
    if isinstance(value, bytes | str):
        return value.decode() if isinstance(value, bytes) else value
    numbers = [int(n) for n in np.atleast_1d(value)]
    return numbers[0] if len(numbers) == 1 else tuple(numbers)
