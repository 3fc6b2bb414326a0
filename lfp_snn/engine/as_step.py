"""One time step of a network as a module, whatever its forward does: loops, states by hand.

The calls that were recorded of one step are made again, on a copy of the network whose neurons keep
their own states. So what calls a network at every step takes one that loops over time.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lfp_snn.engine.calls import Call, Value, leaves, replaced
from lfp_snn.engine.copying import copied
from lfp_snn.engine.derived import Derived
from lfp_snn.engine.network import TracedNetwork
from lfp_snn.engine.supported import SIZED
from lfp_snn.engine.tracing import changes_in_place
from lfp_snn.engine.undisturbed import part_of, put_to_rest, states_of
from lfp_snn.errors import LfpSnnError, NetworkError
from lfp_snn.spikes import Spikes

__all__ = ["as_step", "trace_frames"]


@dataclass(frozen=True)
class _Given:
    """What an operation of the step gave, in the place of a tensor.

    Args:
        index: the position among all that the step computes; 0 is its input.
    """

    index: int


@dataclass(frozen=True)
class _Operation:
    """A call of the step.

    Args:
        name: the path of the module, or the name of the function.
        function: the function; None for a module.
        args: the positional arguments.
        kwargs: the keyword arguments.
        parts: what it gives: the part, and the position among all that the step computes.
        states: the states of a neuron, by the parts that it gives them as; none of all else.
        batch: the number of samples when it was recorded.
    """

    name: str
    function: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    parts: tuple[tuple[int, int], ...]
    states: dict[int, str]
    batch: int


class _Step:
    """The forward of one step, which calls the modules of a network.

    Args:
        net: the network, a copy.
        operations: the calls, in order.
        output: the position of the output among what they give.
        membrane: the neuron and the name of its state that is given beside the output, if any.
    """

    def __init__(
        self,
        net: nn.Module,
        operations: Sequence[_Operation],
        output: int,
        membrane: tuple[str, str] | None,
    ) -> None:
        self.net = net
        self.operations = operations
        self.output = output
        self.membrane = membrane

    def __call__(self, x: Tensor) -> Any:
        known: dict[int, Tensor] = {0: x}
        for each in self.operations:
            self._call(each, known)
        out = known[self.output]
        if self.membrane is None:
            return out
        name, state = self.membrane
        return out, self.net.get_submodule(name)._buffers[state]

    def _call(self, of: _Operation, known: dict[int, Tensor]) -> None:
        def put(leaf: Any) -> Any:
            if isinstance(leaf, _Given):
                return known[leaf.index]
            if isinstance(leaf, Derived):
                return leaf.compute(lambda inner: replaced(inner, put))
            return leaf

        args, kwargs = replaced(of.args, put), replaced(of.kwargs, put)
        if of.function is None:
            module = self.net.get_submodule(of.name)
            out = module(*args, **kwargs)
            found = {0: out[0] if isinstance(out, tuple) else out}
            for part, state in of.states.items():
                found[part] = module._buffers[state]
        else:
            found = dict(enumerate(_result(of, args, kwargs)))
        known |= {index: found[part] for part, index in of.parts}


def _result(of: _Operation, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Tensor]:
    """What a function gives for other samples than those with which it was recorded."""
    if changes_in_place(of.name, of.function):
        args = tuple(each.clone() if isinstance(each, Tensor) else each for each in args)
    if of.name in SIZED:
        samples = next(each.shape[0] for each in args if isinstance(each, Tensor))
        sizes = args[1] if len(args) == 2 and isinstance(args[1], tuple) else args[1:]
        if sizes and sizes[0] == of.batch:
            args = (args[0], samples, *sizes[1:])
    result = of.function(*args, **kwargs)
    changed = args[0] if of.function is Tensor.__setitem__ else result
    return [each for each in leaves(changed) if isinstance(each, Tensor)]


def as_step(network: TracedNetwork) -> nn.Module:
    """A copy of a network whose forward is one time step, with neurons that keep their own states.

    The copy has the modules of the network under their names; its forward gives the spikes and the
    membrane of the output neurons, or the value of the last stage.

    Args:
        network: the network, traced on an input where it must have seen one for that.

    Raises:
        NetworkError: the network cannot be copied, or each step calls modules of its own.
    """
    step = network.structure.step
    if any(isinstance(call.target, nn.ModuleList) for call in step.calls):
        raise NetworkError(
            f"{type(network.net).__name__} has a list of normalisations of which each step calls "
            "its own, so that none of its steps stands for all: this takes one step alone."
        )
    places: dict[Value, int] = dict.fromkeys(step.inputs, 0)
    operations = [_noted(call, places) for call in step.calls]
    source = step.output.call
    membrane = None
    if source is not None and source.is_neuron and not step.gives_membranes:
        membrane = (source.name, "mem")
    made = _Step(network.net, operations, places[step.output], membrane)
    held: _Step = copied(made, network.net, {})
    net = held.net
    for call in step.calls:
        if call.is_neuron:
            neuron: Any = net.get_submodule(call.name)
            neuron.init_hidden, neuron.output = True, False
    net.__dict__["forward"] = held
    put_to_rest(net)
    return net


def trace_frames(network: TracedNetwork, frame: Sequence[int]) -> None:
    """Trace a network on silence: a constant input or a sequence, as its forward takes it.

    Args:
        network: the network.
        frame: the shape of the input of a step, without batch.

    Raises:
        NetworkError: the network cannot be traced.
        ShapeError: the input does not fit.
    """
    constant = torch.zeros(1, *frame).to(network.device, network.dtype)
    sequence = Spikes.from_dense(torch.zeros(4, 1, *frame))
    try:
        _ = network.structure
    except NetworkError:  # the shape of its input must be known
        try:
            network.trace(sequence)
        except LfpSnnError:
            network.trace(constant)
    else:
        loop = network.loop
        network.trace(constant if loop is not None and loop.axis is None else sequence)


def _noted(call: Call, places: dict[Value, int]) -> _Operation:
    """An operation for a call, which refers to nothing that the recording holds."""

    def note(leaf: Any) -> Any:
        if isinstance(leaf, Value):
            return _Given(places[leaf])
        return leaf.detach() if type(leaf) is Tensor else leaf

    args, kwargs = replaced(call.args, note), replaced(call.kwargs, note)
    batch = call.operands[0].shape[0] if call.operands and call.operands[0].shape else 0
    start = max(places.values()) + 1
    places |= {value: start + k for k, value in enumerate(call.parts.values())}
    kept = states_of(call.target) if call.is_neuron else ()
    return _Operation(
        call.name,
        None if call.is_module else call.target,
        args,
        kwargs,
        tuple((part, places[value]) for part, value in call.parts.items()),
        {part: key for key in kept if (part := part_of(call.target, key))},
        batch,
    )
