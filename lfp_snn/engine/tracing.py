"""From a module whose forward is one time step to a program of stages.

``torch.fx`` records which modules and functions one time step calls; every call becomes a stage
(:mod:`lfp_snn.engine.supported`). Nothing is run: the module and its neurons stay as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import snntorch as snn
from torch import fx, nn

from lfp_snn.activations import Sign, Step
from lfp_snn.engine import merges, shapes
from lfp_snn.engine.computed import refuse_computed_weights
from lfp_snn.engine.graph import Node, Program
from lfp_snn.engine.norms import Norm
from lfp_snn.engine.options import Statistics
from lfp_snn.engine.stage import Spiking, Stage
from lfp_snn.engine.supported import (
    ACTIVATIONS,
    FUNCTIONAL_MODULES,
    MAXIMA,
    MERGES,
    MODULES,
    POOL_OPTIONS,
    REFUSED,
    RESHAPES,
    SCALES,
    SUMS,
    UNCHANGED,
)
from lfp_snn.engine.units import Readout
from lfp_snn.errors import NetworkError
from lfp_snn.norms import PerStep

__all__ = ["build_program"]

ONE_STEP = (
    "TemporalLFP needs a module whose forward is ONE time step: take one input, no loop over time "
    "and no decision on values, and let the neurons keep their own state "
    "(snn.Leaky(..., init_hidden=True), called as spk = lif(cur)); TemporalLFP runs it over T"
)


def build_program(net: nn.Module, statistics: Statistics = "fixed") -> Program:
    """Trace one time step of a module.

    Args:
        net: the module.
        statistics: how credit goes through normalisations.

    Raises:
        NetworkError: the forward cannot be traced, a stage has no rule, or the output is more
            than spikes or values; names the module and says what to do.
    """
    if not isinstance(net, nn.Module):
        raise NetworkError(f"TemporalLFP takes a torch.nn.Module, not {type(net).__name__}.")
    refuse_computed_weights(net)
    tracer = _Tracer()
    root = nn.Sequential(net) if tracer.is_leaf_module(net, "") else net
    with _undisturbed(root):
        try:
            graph = tracer.trace(root)
        except Exception as problem:
            raise NetworkError(
                f"The forward of {type(net).__name__} cannot be traced ({problem}); {ONE_STEP}."
            ) from problem
    return _Builder(root, statistics).program(graph)


class _Tracer(fx.Tracer):
    """Modules of torch, neurons of snntorch and our activations are leaves.

    A user's modules are looked into.
    """

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        own = (snn.SpikingNeuron, Step, Sign, PerStep, *REFUSED)
        return isinstance(m, own) or super().is_leaf_module(m, module_qualified_name)


@contextmanager
def _undisturbed(net: nn.Module) -> Iterator[None]:
    """Leave no trace of a trace.

    A forward that resets its neurons runs for real, and torch.fx hangs tensors that it meets on
    the module.
    """
    buffers = [(m, dict(m._buffers)) for m in net.modules() if isinstance(m, snn.SpikingNeuron)]
    attributes = set(vars(net))
    try:
        yield
    finally:
        for neuron, known in buffers:
            neuron._buffers.update(known)
        for name in set(vars(net)) - attributes:
            delattr(net, name)


@dataclass(frozen=True)
class _Value:
    """What a node of the graph stands for: a value of the program."""

    index: int
    #: A neuron that also returns its membrane: (spikes, membrane).
    pair: bool = False


@dataclass(frozen=True)
class _Membrane:
    """The membrane that a neuron returned; it may only be returned on."""

    index: int


def _number(argument: Any) -> float:
    return float(argument)


def _arguments(node: fx.Node) -> tuple[list[Any], dict[str, Any]]:
    """Operands and other positional arguments of a call, and its remaining keywords."""
    options = dict(node.kwargs)
    operands = [options.pop(key) for key in ("input", "tensors", "other") if key in options]
    return [*node.args, *operands], options


class _Builder:
    """Turns the nodes of a traced graph into stages, one by one."""

    def __init__(self, root: nn.Module, statistics: Statistics) -> None:
        self.root = root
        self.statistics = statistics
        self.nodes: list[Node] = []
        self.known: dict[fx.Node, object] = {}
        self.calls: Counter[str] = Counter()

    def program(self, graph: fx.Graph) -> Program:
        self._refuse_repeated_neurons(graph)
        for node in graph.nodes:
            if node.op == "output":
                return self._finish(node.args[0])
            if node.op == "placeholder":
                self._input(node)
            elif node.op == "call_module":
                self._module(node)
            elif node.op == "get_attr":
                self.known[node] = None  # an error where it is used
            else:
                self.known[node] = self._function(node)
        raise NetworkError(f"The forward of {type(self.root).__name__} returns nothing.")

    def _refuse_repeated_neurons(self, graph: fx.Graph) -> None:
        calls = Counter(
            str(node.target)
            for node in graph.nodes
            if node.op == "call_module"
            and isinstance(self.root.get_submodule(str(node.target)), snn.SpikingNeuron)
        )
        for name, count in calls.items():
            if count > 1:
                raise NetworkError(
                    f"Neuron '{name}' is called {count} times in one forward; a neuron has one "
                    f"membrane and runs once per step. {ONE_STEP}."
                )

    def _input(self, node: fx.Node) -> None:
        if not self.known:
            self.known[node] = _Value(0)
        elif not node.args:
            raise NetworkError(
                f"The forward of {type(self.root).__name__} takes a second input "
                f"'{node.target}'; {ONE_STEP}."
            )

    def _module(self, node: fx.Node) -> None:
        name = str(node.target)
        module = self.root.get_submodule(name)
        kind = type(module).__name__
        if type(module) in REFUSED:
            raise NetworkError(f"Neuron '{name}' ({kind}) {REFUSED[type(module)]}.")
        if type(module) not in MODULES:
            raise NetworkError(
                f"Stage '{name}' ({kind}) has no rule. Rules exist for "
                f"{', '.join(sorted(m.__name__ for m in MODULES))}, reshapes, sums, "
                "concatenations and elementwise maxima: replace it by one of these."
            )
        is_neuron = isinstance(module, snn.SpikingNeuron)
        if len(node.args) + len(node.kwargs) != 1:
            given = "its state threaded by hand" if is_neuron else "more than one argument"
            raise NetworkError(f"'{name}' ({kind}) is called with {given}; {ONE_STEP}.")
        source = (*node.args, *node.kwargs.values())[0]
        self._refuse_in_place(node, module, source)
        self.calls[name] += 1
        # Neurons are called once; an activation may stand in several places.
        again = f" (call {self.calls[name]})" if self.calls[name] > 1 else ""
        unit = type(module) is Step or type(module) in ACTIVATIONS
        stage = MODULES[type(module)](name + again * unit, module)
        if isinstance(stage, Norm):
            stage.through = self.statistics == "through"
        pair = is_neuron and (module.output or not module.init_hidden)
        self._add(node, stage, [source], pair=bool(pair))

    def _refuse_in_place(self, node: fx.Node, module: nn.Module, source: Any) -> None:
        """Refuse a change of a value that others take too, and would see changed."""
        shared = isinstance(source, fx.Node) and (len(source.users) > 1 or not node.users)
        if shared and getattr(module, "inplace", False):
            raise NetworkError(
                f"'{node.target}' ({type(module).__name__}) works in place on a value that another "
                "stage takes, for which there is no rule: build it with inplace=False and use "
                "what it returns."
            )

    def _add(self, node: fx.Node, stage: Stage, sources: list[Any], pair: bool = False) -> _Value:
        inputs = tuple(self._value(source, stage.name) for source in sources)
        self.nodes.append(Node(stage, inputs))
        value = _Value(len(self.nodes), pair)
        self.known[node] = value
        return value

    def _value(self, source: Any, user: str) -> int:
        value = self.known.get(source) if isinstance(source, fx.Node) else None
        if isinstance(value, _Value) and not value.pair:
            return value.index
        if isinstance(value, _Value):
            what = (
                f"the pair (spikes, membrane) of neuron '{self.nodes[value.index - 1].stage.name}'"
            )
            advice = "take its spikes (spk, _ = lif(cur)) or build it without output=True"
        elif isinstance(value, _Membrane):
            what = f"the membrane of neuron '{self.nodes[value.index - 1].stage.name}'"
            advice = "only spikes can feed another stage"
        elif isinstance(source, fx.Node) and source.op == "get_attr":
            what = f"the parameter or buffer '{source.target}' itself"
            advice = "hold it in a module with a rule, such as nn.Linear"
        else:
            what, advice = f"'{source}'", "it must be a value that the network computed"
        raise NetworkError(f"Stage '{user}' takes {what}, for which there is no rule: {advice}.")

    def _function(self, node: fx.Node) -> object:
        """The stage of a function or method call."""
        method = str(getattr(node.target, "__name__", node.target)).strip("_")
        if node.op == "call_method":
            method = str(node.target)
        sources, options = _arguments(node)
        if node.target in FUNCTIONAL_MODULES:
            named = zip(POOL_OPTIONS.get(node.target, ()), sources[1:], strict=False)
            values = () if node.target in POOL_OPTIONS else sources[1:]
            module = FUNCTIONAL_MODULES[node.target](*values, **dict(named), **options)
            self._refuse_in_place(node, module, sources[0])
            return self._add(node, MODULES[type(module)](node.name, module), sources[:1])
        if method in SUMS:
            return self._sum(node, sources, SUMS[method] * _number(options.get("alpha", 1)))
        if method in SCALES and not options.get("rounding_mode"):
            return self._scale(node, sources, divide="div" in method)
        if method in MERGES:
            axis = sources[1] if len(sources) > 1 else options.get("dim", options.get("axis", 0))
            stage = merges.Concatenate(node.name, int(_number(axis)))
            return self._add(node, stage, list(sources[0]))
        if method in MAXIMA and len(sources) == 2 and isinstance(sources[1], fx.Node):
            return self._add(node, merges.Maximum(node.name), sources)
        if method in RESHAPES:
            return self._reshape(node, method, sources, options)
        if method in UNCHANGED:
            return self._add(node, shapes.Identity(node.name), sources[:1])
        if method in ("size", "getattr", "getitem"):
            return self._metadata(node, method)
        raise NetworkError(
            f"The forward calls '{method}' (as '{node.name}'), for which there is no rule; rules "
            "exist for sums, differences, products with numbers, concatenation, elementwise "
            "maximum, reshapes, pools and activations (a step is lfp_snn.activations.Step)."
        )

    def _sum(self, node: fx.Node, sources: list[Any], weight: float) -> _Value:
        a, b = sources
        if isinstance(a, fx.Node) and isinstance(b, fx.Node):
            return self._add(node, merges.Sum(node.name, (1.0, weight)), [a, b])
        if isinstance(a, fx.Node):
            return self._add(node, merges.Sum(node.name, (1.0,), weight * _number(b)), [a])
        return self._add(node, merges.Sum(node.name, (weight,), _number(a)), [b])

    def _scale(self, node: fx.Node, sources: list[Any], divide: bool) -> _Value:
        a, b = sources
        if isinstance(b, int | float):
            factor = 1 / float(b) if divide else float(b)
            return self._add(node, merges.Sum(node.name, (factor,)), [a])
        if isinstance(a, int | float) and not divide:
            return self._add(node, merges.Sum(node.name, (float(a),)), [b])
        raise NetworkError(
            f"Stage '{node.name}' multiplies or divides by a value that the network computed, for "
            "which there is no rule: only products with numbers are linear."
        )

    def _reshape(
        self, node: fx.Node, method: str, sources: list[Any], options: dict[str, Any]
    ) -> _Value:
        source, *rest = sources
        rest += [options.pop("shape")] if "shape" in options else []
        if len(rest) == 1 and isinstance(rest[0], list | tuple) and method != "squeeze":
            rest = list(rest[0])
        arguments = [self._shape_argument(node, source, a) for a in rest]
        named = {key: self._shape_argument(node, source, a) for key, a in options.items()}
        change = shapes.Change(method, *arguments, **named)
        return self._add(node, shapes.Reshape(node.name, change), [source])

    def _shape_argument(self, node: fx.Node, source: Any, argument: Any) -> object:
        """A number, or the size of an axis of the tensor that is reshaped."""
        if not isinstance(argument, fx.Node):
            return argument
        known = self.known.get(argument)
        if isinstance(known, tuple) and isinstance(known[1], int):
            of, axis = known
            if of is source or axis == 0:
                return shapes.Size(axis)
        raise NetworkError(
            f"Stage '{node.name}' reshapes to a size that is not known when the network is "
            "traced: use nn.Flatten() or torch.flatten(x, 1)."
        )

    def _metadata(self, node: fx.Node, method: str) -> object:
        """``x.shape``, ``x.size(i)``, ``x.shape[i]``, or one of the two that a neuron returns."""
        source = node.args[0]
        known = self.known.get(source) if isinstance(source, fx.Node) else None
        if method == "size":
            return (source, node.args[1] if len(node.args) > 1 else None)
        if method == "getattr" and node.args[1] == "shape":
            return (source, None)
        if method == "getitem" and isinstance(known, tuple) and known[1] is None:
            return (known[0], node.args[1])
        if method == "getitem" and isinstance(known, _Value) and known.pair:
            return _Value(known.index) if node.args[1] in (0, -2) else _Membrane(known.index)
        raise NetworkError(
            f"The forward indexes or inspects a value (as '{node.name}'), for which there is no "
            f"rule; {ONE_STEP}."
        )

    def _finish(self, returned: Any) -> Program:
        """Keep what leads to the output: spikes, or the values of a stage that has none."""
        index = self._output_index(returned)
        if not index:
            raise NetworkError(
                "The network returns its own input, for which there is no rule as the last stage: "
                "end with a synapse such as nn.Linear, or with a neuron such as "
                "snn.Leaky(beta=0.9, init_hidden=True, output=True)."
            )
        if not isinstance(self.nodes[index - 1].stage, Spiking):
            self.nodes.append(Node(Readout("(readout)"), (index,)))
            index = len(self.nodes)
        needed, pending = set[int](), [index]
        while pending:
            value = pending.pop()
            if value and value not in needed:
                needed.add(value)
                pending.extend(self.nodes[value - 1].inputs)
        order = sorted(needed)  # all of them are computed before the output
        renumbered = {0: 0} | {k: i + 1 for i, k in enumerate(order)}
        return Program(
            tuple(
                Node(
                    self.nodes[k - 1].stage,
                    tuple(renumbered[i] for i in self.nodes[k - 1].inputs),
                )
                for k in order
            )
        )

    def _output_index(self, returned: Any) -> int:
        first, *others = returned if isinstance(returned, tuple | list) else (returned,)
        value = self.known.get(first) if isinstance(first, fx.Node) else None
        if isinstance(value, _Value) and len(others) < 2:
            membranes = [self.known.get(o) for o in others if isinstance(o, fx.Node)]
            if all(m == _Membrane(value.index) for m in membranes) and len(membranes) == len(
                others
            ):
                return value.index
        raise NetworkError(
            f"The forward of {type(self.root).__name__} must return the spikes of its last neuron, "
            "or its spikes and membrane, or the value of its last stage, and nothing else."
        )
