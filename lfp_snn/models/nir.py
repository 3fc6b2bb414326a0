"""Networks from files of the Neuromorphic Intermediate Representation, for TemporalLFP to run.

This is the inverse of ``lfp_snn.analysis.exchange.nir_export``, whose equations it reads backwards:
``beta = 1 - dt / tau``, and the membrane is taken in units of ``R dt / tau`` so that current enters
it unscaled; of a ``CubaLIF``, ``alpha = 1 - dt / tau_syn`` and the unit is
``w_in dt / tau_syn * R dt / tau_mem``. A ``.nir`` file is HDF5 with numbers and names; reading it
runs no code of the file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn.errors import DataError, NetworkError, require
from lfp_snn.models.nir_graph import Place, metadata_of, places_of
from lfp_snn.models.nir_time import DT, timed
from lfp_snn.unpacking import open_hdf5, reading

__all__ = ["DT", "NIRNetwork", "from_nir", "load_nir"]

_SMALL = frozenset(
    ("dilation", "end_dim", "groups", "input_shape", "input_type", "kernel_size", "output_type",
     "padding", "shape", "start_dim", "stride")
)  # fmt: skip
_MOST_SIZES = 64

FLOAT = npt.NDArray[np.float64]


def load_nir(path: Path | str, dt: float | None = None) -> NIRNetwork:
    """Build the network that a ``.nir`` file describes.

    Args:
        path: the file.
        dt: the seconds of a step; by default what the file says, or 0.1 ms where it says nothing.

    Raises:
        DataError: the file is absent, is not NIR, leads to other files, or describes no network
            that can be built.
        NetworkError: a node has no counterpart in snntorch (the message names it, with the reason),
            or the package ``nir`` is not installed.
    """
    require("nir", "exchange")
    import nir

    if not Path(path).exists():
        raise DataError(f"There is no file {path}.")
    with open_hdf5(Path(path)) as file:  # it refuses links, and what unpacks without end
        _check_sizes(Path(path), file)
    with reading(path, "network in NIR"), np.errstate(all="ignore"):
        try:
            graph = nir.read(path)
        except AssertionError as problem:  # with which the package checks what it reads
            raise ValueError(problem) from problem
    # Sizes and shapes that no module takes; what is not finite is told as such.
    with reading(path, "network that can be built"), np.errstate(all="ignore"):
        return from_nir(graph, dt)


def _check_sizes(path: Path, file: Any) -> None:
    """Refuse shapes and strides of thousands of numbers, of which the package makes lists."""

    def check(name: str, item: Any) -> None:
        if name.rpartition("/")[2] in _SMALL and getattr(item, "size", 0) > _MOST_SIZES:
            raise DataError(f"{path} has {item.size} numbers in {name}; expected a few")

    file.visititems(check)


def from_nir(graph: Any, dt: float | None = None) -> NIRNetwork:
    """Build the network of a ``nir.NIRGraph``; arguments and errors are as of :func:`load_nir`.

    Where neither the file nor the caller says how long a step is, it takes 0.1 ms, or, where the
    numbers can only be meant so, they are taken in steps and a warning says it
    (:mod:`lfp_snn.models.nir_time`).
    """
    import nir

    if not isinstance(graph, nir.NIRGraph):
        raise NetworkError(f"Expected a nir.NIRGraph, found {type(graph).__name__}.")
    if len(graph.inputs) != 1 or len(graph.outputs) != 1:
        raise NetworkError(
            f"The NIR graph has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs; "
            "expected one of each."
        )
    given = metadata_of(graph).get("dt") if dt is None else dt
    places, step = timed(places_of(graph), given)
    (source,), (target,) = graph.inputs, graph.outputs
    (last,) = (place.inputs for place in places if place.name == target)
    neurons = {p.name for p in places if isinstance(p.node, nir.LIF | nir.IF | nir.CubaLIF)}
    if len(last) != 1 or not set(last) <= neurons:
        raise NetworkError(
            "The output of the NIR graph must be the spikes of one LIF, IF or CubaLIF node."
        )
    stages = [
        (place, _module(place, step, output=place.name == last[0]))
        for place in places
        if place.name not in (source, target)
    ]
    shape = tuple(int(n) for n in np.atleast_1d(graph.nodes[source].input_type["input"]))
    return NIRNetwork(source, stages, shape)


class NIRNetwork(nn.Module):
    """A network that came from NIR, as a module of one time step; inputs of a node are added.

    Args:
        source: the name of the input.
        stages: the nodes in the order in which they run, each with its module or factor.
        input_shape: the shape of one input, without time and batch.
    """

    def __init__(
        self,
        source: str,
        stages: Sequence[tuple[Place, nn.Module | float]],
        input_shape: tuple[int, ...],
    ) -> None:
        super().__init__()
        self.source = source
        self.input_shape = input_shape
        self.plan: list[tuple[str, str | float, tuple[str, ...]]] = []
        self.paths: dict[str, str] = {}
        for number, (place, stage) in enumerate(stages):
            name, inputs = place.name, place.inputs
            if not isinstance(stage, nn.Module):
                self.plan.append((name, stage, inputs))
                continue
            own = name.replace(".", "_")
            own = f"{own}_{number}" if hasattr(self, own) else own
            self.add_module(own, stage)
            self.paths[own] = str(metadata_of(place.node).get("module", name))
            self.plan.append((name, own, inputs))

    def weights(self) -> dict[str, Tensor]:
        """Parameters by their names in the network that was exported, in the order of the graph.

        A file of another program knows no such names; the names are then those of the nodes.
        """
        return {
            f"{path}.{key}": parameter.detach()
            for own, path in self.paths.items()
            for key, parameter in self.get_submodule(own).named_parameters()
        }

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


def _refuse(name: str, node: Any, reason: str) -> NetworkError:
    return NetworkError(f"NIR node '{name}' ({type(node).__name__}) has {reason}.")


def _module(place: Place, dt: float, output: bool) -> nn.Module | float:
    """The module of a node, or the factor of a scale: the map from NIR to snntorch."""
    import nir

    name, node = place.name, place.node
    if isinstance(node, nir.Affine | nir.Linear | nir.Conv1d | nir.Conv2d):
        return _synapse(name, node)
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
    if isinstance(node, nir.LIF | nir.IF | nir.CubaLIF):
        return _neuron(place, dt, output)
    raise _refuse(
        name,
        node,
        "no counterpart here: known are Affine, Linear, Conv1d, Conv2d, AvgPool2d, SumPool2d, "
        "Flatten, Scale, LIF, IF and CubaLIF",
    )


def _synapse(name: str, node: Any) -> nn.Module:
    """The synapse of a node, with its weights."""
    import nir

    if isinstance(node, nir.Affine | nir.Linear):
        if node.weight.ndim != 2:
            raise _refuse(name, node, f"weights of shape {node.weight.shape}; expected a matrix")
        return _weighted(nn.Linear(node.weight.shape[1], node.weight.shape[0]), node)
    kind = nn.Conv1d if isinstance(node, nir.Conv1d) else nn.Conv2d
    groups = int(node.groups)
    options = {key: _sizes(getattr(node, key)) for key in ("stride", "padding", "dilation")}
    outputs, inputs, *kernel = node.weight.shape
    convolution: Any = kind(inputs * groups, outputs, kernel, groups=groups, **options)
    return _weighted(convolution, node)


class _SumPool(nn.Module):
    """Sum pooling, computed as a mean times the size of its window."""

    def __init__(self, pool: nn.AvgPool2d, area: float) -> None:
        super().__init__()
        self.pool = pool
        self.area = area

    def forward(self, x: Tensor) -> Tensor:
        pooled: Tensor = self.pool(x)
        return pooled * self.area


def _weighted(module: Any, node: Any) -> nn.Module:
    """A synapse with the weights of a node."""
    for given in (node.weight, getattr(node, "bias", None)):
        if given is not None and np.asarray(given).dtype.kind not in "biuf":
            raise ValueError(f"its weights are of the type {np.asarray(given).dtype}")
    weight = torch.from_numpy(np.ascontiguousarray(node.weight))
    module.weight = nn.Parameter(weight)
    bias = getattr(node, "bias", None)
    module.bias = (
        None if bias is None else nn.Parameter(torch.as_tensor(np.asarray(bias)).to(weight))
    )
    return module  # type: ignore[no-any-return]


def _neuron(place: Place, dt: float, output: bool) -> nn.Module:
    import nir

    name, node = place.name, place.node
    if np.any(node.v_reset != 0):
        raise _refuse(name, node, "a reset to another value than zero")
    if not isinstance(node, nir.IF) and np.any(node.v_leak != 0):
        raise _refuse(name, node, "a leak to another value than zero")
    alpha = None
    if isinstance(node, nir.IF):
        gain = dt * np.asarray(node.r, np.float64)
        beta = np.ones_like(gain)
    elif isinstance(node, nir.LIF):
        beta, gain = _decay(name, node, node.tau, node.r, dt)
    else:
        beta, gain = _decay(name, node, node.tau_mem, node.r, dt)
        alpha, entering = _decay(name, node, node.tau_syn, node.w_in, dt)
        gain = gain * entering
    if not np.all(np.isfinite(gain) & (gain > 0)):
        raise _refuse(name, node, f"a current that enters with the factor {gain.min():g}, not > 0")
    known = metadata_of(node)
    dtype = {"float32": torch.float32, "float64": torch.float64}.get(
        str(known.get("dtype", "float32")), torch.float32
    )
    options = {
        "beta": _constant(beta),
        "threshold": _constant(np.asarray(node.v_threshold / gain), dtype),
        "reset_mechanism": str(known.get("reset_mechanism", "zero")),
        "reset_delay": bool(known.get("reset_delay", False)),
        "init_hidden": True,
        "output": output,
    }
    if place.loop is not None:
        if alpha is None:
            return _recurrent(name, place.loop, snn.RLeaky, options, dtype)
        if not options["reset_delay"]:
            raise _refuse(
                name,
                node,
                "a loop and a reset at once, at which snntorch's RSynaptic fails; it resets one "
                "step after the spike",
            )
        options["alpha"] = _constant(alpha)
        return _recurrent(name, place.loop, snn.RSynaptic, options, dtype)
    neuron: nn.Module = (
        snn.Leaky(**options) if alpha is None else snn.Synaptic(alpha=_constant(alpha), **options)
    )
    return neuron


def _decay(name: str, node: Any, tau: Any, factor: Any, dt: float) -> tuple[FLOAT, FLOAT]:
    """What is left of a state after a step, and the factor with which its input enters."""
    lost = np.asarray(dt / tau, np.float64)
    left = 1 - lost
    if not np.all((left >= -1e-12) & (left <= 1)):
        raise _refuse(
            name, node, f"a decay of {left.min():g} in a step of {dt:g} s; give a dt <= tau"
        )
    return left, lost * factor


def _recurrent(
    name: str, loop: Any, kind: Any, options: dict[str, Any], dtype: torch.dtype
) -> nn.Module:
    """Neurons ``kind`` that hear their own spikes a step later, through the synapse ``loop``."""
    import nir

    neuron: Any
    if isinstance(loop, nir.Scale) or metadata_of(loop).get("recurrent") == "one_to_one":
        factors = loop.scale if isinstance(loop, nir.Scale) else np.diag(loop.weight)
        neuron = kind(V=_constant(factors, dtype), all_to_all=False, **options)
    else:
        synapse: Any = _synapse(name, loop)
        if isinstance(synapse, nn.Linear):
            neuron = kind(linear_features=synapse.out_features, **options)
        else:
            kernel = synapse.kernel_size
            plain = synapse.stride == synapse.dilation == (1, 1) and synapse.groups == 1
            if not plain or synapse.padding != tuple(k // 2 for k in kernel):
                raise _refuse(
                    name,
                    loop,
                    f"stride, dilation, groups or padding that no {kind.__name__} has in snntorch",
                )
            channels = synapse.out_channels
            neuron = kind(conv2d_channels=channels, kernel_size=kernel, **options)
        neuron.recurrent = synapse
    made: nn.Module = neuron
    return made


def _constant(values: FLOAT, dtype: torch.dtype = torch.float32) -> Tensor:
    """A constant of neurons, in the smallest shape that holds it."""
    return torch.tensor(_narrow(values), dtype=dtype)


def _narrow(values: FLOAT) -> FLOAT:
    """One value for all neurons or one a channel, where all of those are equal."""
    flat = values.reshape(-1)
    if flat.size and (flat == flat[0]).all():
        return np.array(flat[0])
    if values.ndim == 3 and (values == values[:, :1, :1]).all():
        return values[:, :1, :1]
    return values


def _sizes(value: Any) -> Any:
    """A size as torch takes it: a word, a number or a pair."""
    if isinstance(value, bytes | str):
        return value.decode() if isinstance(value, bytes) else value
    numbers = [int(n) for n in np.atleast_1d(value)]
    return numbers[0] if len(numbers) == 1 else tuple(numbers)
