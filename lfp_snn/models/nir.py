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
from torch import Tensor, nn

from lfp_snn.errors import DataError, NetworkError, require
from lfp_snn.models.nir_graph import (
    Place,
    integrating_nodes,
    metadata_of,
    places_of,
    spiking_nodes,
)
from lfp_snn.models.nir_neurons import neurons_of
from lfp_snn.models.nir_synapses import InputScaled, refuse, sizes, synapse_of
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
    ends = spiking_nodes() | integrating_nodes()
    if len(last) != 1 or not set(last) <= {p.name for p in places if isinstance(p.node, ends)}:
        raise NetworkError(
            "The output of the NIR graph must be the spikes of one LIF, IF or CubaLIF node, or the "
            "membranes of one LI, I or CubaLI node."
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


def _module(place: Place, dt: float, output: bool) -> nn.Module | float:
    """The module of a node, or the factor of a scale: the map from NIR to snntorch."""
    import nir

    name, node = place.name, place.node
    if isinstance(node, nir.Affine | nir.Linear | nir.Conv1d | nir.Conv2d):
        return synapse_of(name, node)
    if isinstance(node, nir.AvgPool2d | nir.SumPool2d):
        size = sizes(node.kernel_size)
        pool = nn.AvgPool2d(size, sizes(node.stride), sizes(node.padding))
        if isinstance(node, nir.AvgPool2d):
            return pool
        area = int(np.prod(np.broadcast_to(size, 2)))
        return InputScaled(pool, float(area))
    if isinstance(node, nir.Flatten):
        if int(node.start_dim) != 0 or node.output_type["output"].size != 1:
            raise refuse(name, node, "other axes than all of them; only flat vectors are known")
        return nn.Flatten()
    if isinstance(node, nir.Scale):
        if np.ptp(node.scale) != 0:
            raise refuse(name, node, "several factors; only one for all values is known")
        return float(node.scale.flat[0])
    if isinstance(node, spiking_nodes() | integrating_nodes()):
        return neurons_of(place, dt, output)
    raise refuse(
        name,
        node,
        "no counterpart here: known are Affine, Linear, Conv1d, Conv2d, AvgPool2d, SumPool2d, "
        "Flatten, Scale, LIF, IF and CubaLIF, and as the output LI, I and CubaLI",
    )
