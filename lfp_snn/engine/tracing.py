"""The translation of a module into a program of stages.

The forward of the module is run on an example, which records what it calls
(:mod:`lfp_snn.engine.recording`), one time step is recognised in that
(:mod:`lfp_snn.engine.unrolled`), and every call of it becomes a stage
(:mod:`lfp_snn.engine.supported`). The module and its neurons stay as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import partial
from typing import Any

import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn.activations import Step
from lfp_snn.engine import merges, shapes
from lfp_snn.engine.calls import Call, Value, leaves
from lfp_snn.engine.computed import refuse_computed_weights
from lfp_snn.engine.derived import Derived, constants
from lfp_snn.engine.functions import module_of, without_new_axes
from lfp_snn.engine.graph import Node, Program
from lfp_snn.engine.linear_map import LearnedMap, LinearMap, Product
from lfp_snn.engine.made import Made
from lfp_snn.engine.neurons import Population
from lfp_snn.engine.norms import Normalisation
from lfp_snn.engine.one_step import OneStep
from lfp_snn.engine.options import Statistics
from lfp_snn.engine.refused import NO_RULE
from lfp_snn.engine.stage import Spiking, Stage
from lfp_snn.engine.supported import (
    ACTIVATIONS,
    GATES,
    LINEAR,
    MAXIMA,
    MAXIMA_OVER,
    MERGES,
    MODULES,
    PRODUCTS,
    RESHAPES,
    SAME,
    SCALES,
    SUMS,
    kind_of,
)
from lfp_snn.engine.synapses import Synapse
from lfp_snn.engine.units import Readout
from lfp_snn.errors import NetworkError
from lfp_snn.exclusive import PROCESS_WIDE

__all__ = ["build_program"]


def build_program(step: OneStep, root: nn.Module, statistics: Statistics | None = None) -> Program:
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

    def __init__(self, root: nn.Module, statistics: Statistics | None, step: OneStep) -> None:
        self.root = root
        self.statistics = statistics
        self.nodes: list[Node] = []
        self.parameters = {id(p): name for name, p in root.named_parameters()}
        #: The number of each value in the program.
        self.known: dict[Value, int] = dict.fromkeys(step.inputs, 0)
        self.called: Counter[str] = Counter()
        self.made: dict[nn.Module, tuple[Made | None, Made | None]] = {}
        #: Of a call that gives several, only those that are used become a stage.
        self.used = {step.output} | {value for call in step.calls for value in call.operands}

    def program(self, step: OneStep) -> Program:
        for call in without_new_axes(step):
            if call.is_module:
                self._module(call)
            else:
                self._function(call, self._name(call))
        if step.gives_membranes:
            output = self._read_membranes(step.output)
        else:
            output = self.known[step.output]
        if not isinstance(self.nodes[output - 1].stage, Spiking):
            self._add(Readout("(readout)"), [step.output])
        return Program(tuple(self.nodes))

    def _read_membranes(self, membranes: Value) -> int:
        """The number of the value of neurons whose membranes alone are the output."""
        assert membranes.call is not None
        number = self.known[membranes.call.parts[0]]
        stage = self.nodes[number - 1].stage
        assert isinstance(stage, Population)
        stage.read_membranes()
        return number

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
        unit = type(module) in (Step, nn.PReLU, *ACTIVATIONS)
        stage = MODULES[kind_of(module)](name + again * unit, module)
        if isinstance(stage, Synapse):  # one weight, wherever its layer is called
            own = stage.made, stage.made_bias
            stage.made, stage.made_bias = self.made.setdefault(module, own)
        if isinstance(stage, Normalisation):
            stage.told = self.statistics
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
        elif isinstance(source, Tensor | Derived):
            what = self._constant(source)
            advice = "hold it in a module with a rule, such as nn.Linear"
        else:
            what, advice = f"'{source}'", "it must be a value that the network computed"
        raise NetworkError(f"Stage '{user}' takes {what}, for which there is no rule: {advice}.")

    def _constant(self, tensor: Tensor | Derived) -> str:
        if isinstance(tensor, Derived):
            return f"what the forward computes from parameters alone (by '{tensor.name}')"
        named = (*self.root.named_parameters(), *self.root.named_buffers())
        names = [name for name, each in named if each is tensor]
        return f"the parameter or buffer '{names[0]}' itself" if names else "a tensor of its own"

    # ------------------------------------------------------------------ functions

    def _function(self, call: Call, name: str) -> None:
        """Add the stage of a function or method."""
        method = call.name.strip("_")
        sources, options = _arguments(call)
        module = module_of(call, sources, options)
        if module is not None:
            self._add(MODULES[kind_of(module)](name, module), sources[:1], call)
        elif method in SUMS and _is_sum(sources):
            self._sum(call, name, sources, SUMS[method] * float(options.get("alpha", 1)))
        elif method == "rsub" and _is_sum(sources):
            self._sum(call, name, sources[::-1], -1.0)
        elif method in SCALES and _is_scale(sources) and not options.get("rounding_mode"):
            factor = float(sources[1])
            factor = 1 / factor if "div" in method else factor
            self._add(merges.Sum(name, (factor,)), sources[:1], call)
        elif method in MERGES and all(isinstance(each, Value) for each in sources[0]):
            axis = sources[1] if len(sources) > 1 else options.get("dim", options.get("axis", 0))
            self._add(merges.Concatenate(name, int(axis)), list(sources[0]), call)
        elif method in MAXIMA and len(sources) == 2 and isinstance(sources[1], Value):
            self._add(merges.Maximum(name), sources, call)
        elif method in MAXIMA_OVER and merges.takes_axes(sources, options):
            self._maximum_over(call, name, sources, options)
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

    def _maximum_over(
        self, call: Call, name: str, sources: list[Any], options: dict[str, Any]
    ) -> None:
        if any(value in self.used for part, value in call.parts.items() if part):
            raise NetworkError(
                f"Stage '{name}' gives the places of maxima, for which there is no rule: take the "
                "values alone, as x.amax(dim) does."
            )
        self._add(merges.MaximumOver(name, *sources[1:], **options), sources[:1], call)

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
        products = method in PRODUCTS and len(call.operands) > 1
        below = method in ("rdiv", "rtruediv", "reciprocal")
        if below or ("div" in method and call.operands != list(call.args[:1])):
            raise NetworkError(
                f"Stage '{name}' divides by a value that the network computed, for which there is "
                "no rule: divide by numbers, parameters and fixed tensors, or multiply."
            )
        if method in NO_RULE:
            raise NetworkError(
                f"The forward calls '{method}' (as '{name}'), for which there is no rule: it "
                f"{NO_RULE[method]}."
            )
        if method not in LINEAR:
            raise NetworkError(
                f"The forward calls '{method}' (as '{name}'), for which there is no rule; rules "
                "exist for functions that are linear, products, concatenation, elementwise "
                "maximum, reshapes, pools, softmax and activations (a step is "
                "lfp_snn.activations.Step)."
            )
        learned = self._learned(call, name)
        if products and learned:
            raise NetworkError(
                f"Stage '{name}' multiplies what the network computed by parameters and by values "
                "in one call, for which there is no rule: make it two."
            )
        shapes_ = [each.shape for each in call.operands]
        for part, value in call.parts.items():
            if value not in self.used:
                continue
            function = partial(_called, call, part)
            own = name if len(call.parts) == 1 else f"{name} (part {part})"
            inputs = tuple(self._number(each, own) for each in call.operands)
            if products:
                gates = [self._is_gate(i) for i in inputs]
                stage: Stage = Product(own, function, shapes_, gates)
            elif learned:
                stage = LearnedMap(own, function, shapes_, learned)
            else:
                stage = LinearMap(own, function, shapes_)
            self.nodes.append(Node(stage, inputs))
            self.known[value] = len(self.nodes)

    def _learned(self, call: Call, name: str) -> dict[str, nn.Parameter]:
        """The parameters that a call takes, by name."""
        tensors = list(constants((call.args, call.kwargs)))
        found = [each for each in tensors if isinstance(each, nn.Parameter)]
        learning = [each for each in tensors if each.requires_grad]
        unknown = [each for each in (*found, *learning) if id(each) not in self.parameters]
        if unknown:
            raise NetworkError(
                f"Stage '{name}' takes a parameter of shape {tuple(unknown[0].shape)} that is none "
                "of the network's, so that nothing would train it: assign it to an attribute of a "
                "module, or put it into an nn.ParameterList."
            )
        return {self.parameters[id(each)]: each for each in found}

    def _is_gate(self, value: int) -> bool:
        """Is a value of the program made by a gate, perhaps with linear stages behind it?"""
        if not value:
            return False
        stage, inputs = self.nodes[value - 1].stage, self.nodes[value - 1].inputs
        if stage.linear:
            return all(map(self._is_gate, inputs))
        return isinstance(stage.module, GATES)


#: Operators that change what they take.
IN_PLACE = ("iadd", "isub", "imul", "itruediv")


def changes_in_place(name: str, function: Any) -> bool:
    """Whether a function changes what it takes."""
    return function is Tensor.__setitem__ or name.endswith("_") or name in IN_PLACE


def _called(call: Call, part: int, *given: Tensor) -> Tensor:
    """Call a function anew with tensors in the place of its values, and take one of the results."""
    sets = call.target is Tensor.__setitem__
    changed = changes_in_place(call.name, call.target)
    values = iter(given[: len(call.operands)])
    held = constants((call.args, call.kwargs))
    own = dict.fromkeys(id(each) for each in held if isinstance(each, nn.Parameter))
    parameters = dict(zip(own, given[len(call.operands) :], strict=True))

    def put(value: Any) -> Any:
        if isinstance(value, Value):
            return next(values).clone() if changed else next(values)
        if isinstance(value, Derived):
            return value.compute(put)
        if isinstance(value, nn.Parameter):
            return parameters[id(value)]
        if isinstance(value, Tensor) and value.is_floating_point():
            return value.to(given[0].dtype)
        if isinstance(value, tuple):
            return tuple(map(put, value))
        return value

    args, kwargs = [put(each) for each in call.args], {k: put(v) for k, v in call.kwargs.items()}
    if sets and not isinstance(
        call.args[0], Value
    ):  # the forward's own, of which each step has one
        nothing = (given[0] != given[0]).sum().to(given[0].dtype)
        args[0] = args[0] + nothing
    result = call.target(*args, **kwargs)
    if sets:
        written: Tensor = args[0]
        return written
    return [each for each in leaves(result) if isinstance(each, Tensor)][part]


def _arguments(call: Call) -> tuple[list[Any], dict[str, Any]]:
    """The operands and other positional arguments of a call, and its remaining keywords."""
    options = dict(call.kwargs)
    operands = [options.pop(key) for key in ("input", "tensors", "other") if key in options]
    return [*call.args, *operands], options


def _is_sum(sources: list[Any]) -> bool:
    """Values and numbers alone; a sum with a tensor is a function like others."""
    return len(sources) == 2 and not any(isinstance(each, Tensor | Derived) for each in sources)


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
    with PROCESS_WIDE, torch.random.fork_rng(devices=[]), torch.no_grad():
        spikes = neuron.spike_grad(distance)
    if not torch.equal(spikes, (distance > 0).float()):
        raise NetworkError(
            f"Neuron '{name}' ({type(neuron).__name__}) has a spike_grad whose spikes are no step "
            "at the threshold: take one that is, such as snntorch.surrogate.atan(), or leave it "
            "out, since LFP takes no gradient of it."
        )
