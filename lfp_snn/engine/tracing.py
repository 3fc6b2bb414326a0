"""The translation of a module into a program of stages.

The forward of the module is run on an example, which records what it calls
(:mod:`lfp_snn.engine.recording`), one time step is recognised in that
(:mod:`lfp_snn.engine.unrolled`), and every call of it becomes a stage
(:mod:`lfp_snn.engine.supported`). The module and its neurons stay as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn.activations import Step
from lfp_snn.engine import merges, shapes
from lfp_snn.engine.calls import Call, Value, leaves
from lfp_snn.engine.computed import refuse_computed_weights
from lfp_snn.engine.graph import Node, Program
from lfp_snn.engine.linear_map import LinearMap
from lfp_snn.engine.norms import Normalisation
from lfp_snn.engine.options import Statistics
from lfp_snn.engine.stage import Spiking, Stage
from lfp_snn.engine.supported import (
    ACTIVATIONS,
    DROPOUTS,
    FUNCTIONAL_MODULES,
    LINEAR,
    MAXIMA,
    MERGES,
    MODULES,
    POOL_OPTIONS,
    RESHAPES,
    SAME,
    SCALES,
    SUMS,
)
from lfp_snn.engine.units import Readout
from lfp_snn.engine.unrolled import OneStep
from lfp_snn.errors import NetworkError

__all__ = ["build_program"]


def build_program(step: OneStep, root: nn.Module, statistics: Statistics = "fixed") -> Program:
    """The program of one time step of a module.

    Args:
        step: the calls of the step.
        root: the module whose paths name the calls.
        statistics: how credit goes through normalisations.

    Raises:
        NetworkError: a stage has no rule; the message names the module and says what to do.
    """
    refuse_computed_weights(root)
    return _Builder(root, statistics, step).program(step)


class _Builder:
    """Turns the calls of a step into stages, one by one."""

    def __init__(self, root: nn.Module, statistics: Statistics, step: OneStep) -> None:
        self.root = root
        self.statistics = statistics
        self.nodes: list[Node] = []
        #: The number of each value in the program.
        self.known: dict[Value, int] = dict.fromkeys(step.inputs, 0)
        self.called: Counter[str] = Counter()
        #: Of a call that gives several, only those that are used become a stage.
        self.used = {step.output} | {value for call in step.calls for value in call.operands}

    def program(self, step: OneStep) -> Program:
        for call in step.calls:
            if call.is_module:
                self._module(call)
            else:
                self._function(call, self._name(call))
        output = self.known[step.output]
        if not isinstance(self.nodes[output - 1].stage, Spiking):
            self._add(Readout("(readout)"), [step.output])
        return Program(tuple(self.nodes))

    def _name(self, call: Call) -> str:
        """The name of a function, with a number from its second call on."""
        name = call.name.strip("_")
        self.called[name] += 1
        again = self.called[name] - 1
        return f"{name}_{again}" if again else name

    def _module(self, call: Call) -> None:
        module, name = call.target, call.name
        self.called[name] += 1
        # Neurons are called once; an activation may stand in several places.
        again = f" (call {self.called[name]})" if self.called[name] > 1 else ""
        unit = type(module) is Step or type(module) in ACTIVATIONS
        stage = MODULES[type(module)](name + again * unit, module)
        if isinstance(stage, Normalisation):
            stage.through = self.statistics == "through"
        if isinstance(module, snn.SpikingNeuron):
            _refuse_other_spikes(name, module)
        self._add(stage, [call.args[0] if call.args else next(iter(call.kwargs.values()))], call)

    def _add(self, stage: Stage, sources: Sequence[Any], call: Call | None = None) -> None:
        inputs = tuple(self._number(source, stage.name) for source in sources)
        self.nodes.append(Node(stage, inputs))
        if call is not None:
            self.known[call.parts[0]] = len(self.nodes)

    def _number(self, source: Any, user: str) -> int:
        if isinstance(source, Value) and source in self.known:
            return self.known[source]
        if isinstance(source, Value) and source.call is not None and source.call.is_neuron:
            what = f"the membrane of neuron '{source.call.name}'"
            advice = "only spikes can feed another stage"
        elif isinstance(source, Tensor):
            what = self._constant(source)
            advice = "hold it in a module with a rule, such as nn.Linear"
        else:
            what, advice = f"'{source}'", "it must be a value that the network computed"
        raise NetworkError(f"Stage '{user}' takes {what}, for which there is no rule: {advice}.")

    def _constant(self, tensor: Tensor) -> str:
        named = (*self.root.named_parameters(), *self.root.named_buffers())
        names = [name for name, each in named if each is tensor]
        return f"the parameter or buffer '{names[0]}' itself" if names else "a tensor of its own"

    # ------------------------------------------------------------------ functions

    def _function(self, call: Call, name: str) -> None:
        """Add the stage of a function or method."""
        method = call.name.strip("_")
        sources, options = _arguments(call)
        module = _module_of(call, sources, options)
        if module is not None:
            self._add(MODULES[type(module)](name, module), sources[:1], call)
        elif method in SUMS and _is_sum(sources):
            self._sum(call, name, sources, SUMS[method] * float(options.get("alpha", 1)))
        elif method == "rsub":
            self._sum(call, name, sources[::-1], -1.0)
        elif method in SCALES and _is_scale(sources) and not options.get("rounding_mode"):
            factor = float(sources[1])
            factor = 1 / factor if "div" in method else factor
            self._add(merges.Sum(name, (factor,)), sources[:1], call)
        elif method in MERGES:
            axis = sources[1] if len(sources) > 1 else options.get("dim", options.get("axis", 0))
            self._add(merges.Concatenate(name, int(axis)), list(sources[0]), call)
        elif method in MAXIMA and len(sources) == 2 and isinstance(sources[1], Value):
            self._add(merges.Maximum(name), sources, call)
        elif method in RESHAPES:
            self._reshape(call, name, method, sources, options)
        elif call.name in SAME:
            self._add(shapes.Identity(name), sources[:1], call)
        else:
            self._linear(call, name, method)

    def _sum(self, call: Call, name: str, sources: list[Any], weight: float) -> None:
        a, b = sources
        if isinstance(b, int | float):
            self._add(merges.Sum(name, (1.0,), weight * b), [a], call)
        elif isinstance(a, int | float):
            self._add(merges.Sum(name, (weight,), a), [b], call)
        else:
            self._add(merges.Sum(name, (1.0, weight)), [a, b], call)

    def _reshape(
        self, call: Call, name: str, method: str, sources: list[Any], options: dict[str, Any]
    ) -> None:
        source, *rest = sources
        rest += [options.pop("shape")] if "shape" in options else []
        if len(rest) == 1 and isinstance(rest[0], tuple) and method != "squeeze":
            rest = list(rest[0])
        if method in ("view", "reshape") and rest and rest[0] == source.shape[0]:
            rest[0] = shapes.Size(0)  # whatever the batch is
        change = shapes.Change(method, *rest, **options)
        self._add(shapes.Reshape(name, change), [source], call)

    def _linear(self, call: Call, name: str, method: str) -> None:
        """Add a function that is linear in the values it takes: a stage for each part it gives."""
        if method not in LINEAR:
            if method in SCALES or method in ("rdiv", "rtruediv", "reciprocal"):
                raise _no_product(name)
            raise NetworkError(
                f"The forward calls '{method}' (as '{name}'), for which there is no rule; rules "
                "exist for functions that are linear, concatenation, elementwise maximum, "
                "reshapes, pools and activations (a step is lfp_snn.activations.Step)."
            )
        operands = list(dict.fromkeys(call.operands))
        constants = [each for each in leaves((call.args, call.kwargs)) if isinstance(each, Tensor)]
        if any(each.requires_grad for each in constants) or (
            method in SCALES and len(call.operands) != 1
        ):
            raise _no_product(name)
        shapes_ = [each.shape for each in operands]
        for part, value in call.parts.items():
            if value not in self.used:
                continue
            function = partial(_called, call, operands, part)
            own = name if len(call.parts) == 1 else f"{name} (part {part})"
            self.nodes.append(
                Node(
                    LinearMap(own, function, shapes_),
                    tuple(self._number(each, own) for each in operands),
                )
            )
            self.known[value] = len(self.nodes)


def _no_product(name: str) -> NetworkError:
    return NetworkError(
        f"Stage '{name}' multiplies or divides by a value that the network computed or learns, for "
        "which there is no rule: only products with numbers are linear."
    )


def _called(call: Call, operands: Sequence[Value], part: int, *given: Tensor) -> Tensor:
    """Call a function anew with tensors in the place of its values, and take one of the results."""
    found = dict(zip(operands, given, strict=True))

    def put(value: Any) -> Any:
        if isinstance(value, Value):
            return found[value]
        if isinstance(value, Tensor) and value.is_floating_point():
            return value.detach().to(given[0].dtype)
        if isinstance(value, tuple):
            return tuple(map(put, value))
        return value

    result = call.target(*map(put, call.args), **{k: put(v) for k, v in call.kwargs.items()})
    return [each for each in leaves(result) if isinstance(each, Tensor)][part]


def _arguments(call: Call) -> tuple[list[Any], dict[str, Any]]:
    """The operands and other positional arguments of a call, and its remaining keywords."""
    options = dict(call.kwargs)
    operands = [options.pop(key) for key in ("input", "tensors", "other") if key in options]
    return [*call.args, *operands], options


def _module_of(call: Call, sources: list[Any], options: dict[str, Any]) -> nn.Module | None:
    """The module that does what a function does, if there is one."""
    target = call.target
    if call.name in DROPOUTS:
        return _dropout(*sources[1:], kind=DROPOUTS[call.name], **options)
    kind = FUNCTIONAL_MODULES.get(target) or FUNCTIONAL_MODULES.get(call.name)
    if kind is None:
        return None
    named = zip(POOL_OPTIONS.get(target, ()), sources[1:], strict=False)
    values = () if target in POOL_OPTIONS else sources[1:]
    return kind(*values, **dict(named), **options)


def _dropout(
    p: float = 0.5,
    training: bool = True,
    inplace: bool = False,
    *,
    kind: Callable[[float], nn.Module],
) -> nn.Module:
    """Dropout as a module that stays in the mode in which its function was called."""
    return kind(p).train(training)


def _is_sum(sources: list[Any]) -> bool:
    return len(sources) == 2 and any(isinstance(each, Value) for each in sources)


def _is_scale(sources: list[Any]) -> bool:
    return (
        len(sources) == 2 and isinstance(sources[0], Value) and isinstance(sources[1], int | float)
    )


def _refuse_other_spikes(name: str, neuron: Any) -> None:
    """Refuse a neuron whose spikes are no step of its membrane.

    Raises:
        NetworkError: there is such a neuron; the message names it.
    """
    distance = torch.tensor([-2.0, -0.3, -0.01, 0.0, 0.01, 0.3, 2.0]).repeat(8)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        spikes = neuron.spike_grad(distance)
    if not torch.equal(spikes, (distance > 0).float()):
        raise NetworkError(
            f"Neuron '{name}' ({type(neuron).__name__}) has a spike_grad whose spikes are no step "
            "at the threshold: take one that is, such as snntorch.surrogate.atan(), or leave it "
            "out, since LFP takes no gradient of it."
        )
