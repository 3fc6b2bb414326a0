"""The shape of a NIR graph: subgraphs in their places, loops of neurons found, nodes in order.

A graph of the Neuromorphic Intermediate Representation is a set of nodes and of edges. Recurrence
is a cycle in it, neurons -> synapse -> the same neurons; in steps of time what goes round arrives a
step later, since the spikes of a step are there only when it is over.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from types import UnionType
from typing import Any

from lfp_snn.errors import NetworkError

__all__ = ["Place", "integrating_nodes", "metadata_of", "places_of", "spiking_nodes"]

Edges = list[tuple[str, str]]


@dataclass(frozen=True)
class Place:
    """A node with its place in the order of a graph.

    Attributes:
        name: the name of the node; ``<subgraph>.<node>`` for a node in a subgraph.
        node: the ``nir.NIRNode``.
        inputs: the names of the nodes whose output it takes, which stand before it.
        loop: the synapse through which neurons hear their own spikes a step later, if any.
    """

    name: str
    node: Any
    inputs: tuple[str, ...]
    loop: Any = None


def spiking_nodes() -> UnionType:
    """The kinds of nodes that spike."""
    import nir

    return nir.LIF | nir.IF | nir.CubaLIF  # type: ignore[no-any-return]


def integrating_nodes() -> UnionType:
    """The kinds of nodes that integrate and never spike."""
    import nir

    return nir.LI | nir.I | nir.CubaLI  # type: ignore[no-any-return]


def places_of(graph: Any) -> list[Place]:
    """The nodes of a ``nir.NIRGraph``, each after those that it takes.

    Raises:
        NetworkError: the graph is recurrent in another way than by loops of neurons through one
            synapse, or a subgraph has several inputs or outputs.
    """
    nodes, edges = _inlined(graph)
    loops = _loops(nodes, edges)
    for name, loop in loops.items():
        edges = [edge for edge in edges if edge not in ((name, loop), (loop, name))]
    inputs = {
        name: tuple(a for a, b in edges if b == name)
        for name in nodes
        if name not in loops.values()
    }
    order: list[str] = []
    while len(order) < len(inputs):
        ready = [n for n, before in inputs.items() if n not in order and set(before) <= set(order)]
        if not ready:
            waiting = ", ".join(sorted(n for n in inputs if n not in order))
            raise NetworkError(
                f"The NIR graph is recurrent (among {waiting}) in a way that has no rule here: "
                "known are loops of LIF or IF neurons through one Linear, Affine, Conv2d or Scale "
                "of their own."
            )
        order += ready
    own = {name: nodes[loop] for name, loop in loops.items()}
    return [Place(name, nodes[name], inputs[name], own.get(name)) for name in order]


def metadata_of(node: Any) -> dict[str, Any]:
    """The metadata of a node or graph, text as text."""
    known = node.metadata if isinstance(node.metadata, dict) else {}
    return {k: v.decode() if isinstance(v, bytes) else v for k, v in known.items()}


def _inlined(graph: Any) -> tuple[dict[str, Any], Edges]:
    """The nodes and edges of a graph and its subgraphs, whose inputs and outputs are gone."""
    import nir

    nodes, edges = dict(graph.nodes), [(str(a), str(b)) for a, b in graph.edges]
    for name in [name for name, node in nodes.items() if isinstance(node, nir.NIRGraph)]:
        part = nodes.pop(name)
        if len(part.inputs) != 1 or len(part.outputs) != 1:
            raise NetworkError(
                f"The subgraph '{name}' of the NIR graph has {len(part.inputs)} inputs and "
                f"{len(part.outputs)} outputs; expected one of each."
            )
        (entry,), (end,) = part.inputs, part.outputs
        inner, inner_edges = _inlined(part)
        nodes |= {f"{name}.{key}": node for key, node in inner.items()}
        edges = [
            (f"{name}.{end}" if a == name else a, f"{name}.{entry}" if b == name else b)
            for a, b in edges
        ]
        edges += [(f"{name}.{a}", f"{name}.{b}") for a, b in inner_edges]
        for port in (f"{name}.{entry}", f"{name}.{end}"):
            del nodes[port]
            edges = _bridged(edges, port)
    return nodes, list(dict.fromkeys(edges))


def _bridged(edges: Iterable[tuple[str, str]], port: str) -> Edges:
    """The edges with those through a node that does nothing joined."""
    edges = list(edges)
    before = [a for a, b in edges if b == port]
    after = [b for a, b in edges if a == port]
    return [edge for edge in edges if port not in edge] + list(product(before, after))


def _loops(nodes: dict[str, Any], edges: Edges) -> dict[str, str]:
    """The synapse that takes and feeds the neurons of one node alone, by the node's name."""
    import nir

    kinds = nir.Linear | nir.Affine | nir.Conv2d | nir.Scale
    found: dict[str, str] = {}
    for name, synapse in edges:
        neurons = isinstance(nodes[name], spiking_nodes())
        if name in found or not neurons or not isinstance(nodes[synapse], kinds):
            continue
        if [edge for edge in edges if synapse in edge] in (
            [(name, synapse), (synapse, name)],
            [(synapse, name), (name, synapse)],
        ):
            found[name] = synapse
    return found
