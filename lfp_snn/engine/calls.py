"""The calls that a forward was seen to make, and how it is called step after step."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn.errors import NetworkError

__all__ = ["Arguments", "Call", "Recording", "Value", "leaves", "replaced"]


@dataclass(eq=False)
class Value:
    """A tensor that depends on the input.

    Args:
        call: the call that gave the tensor; None for the input itself.
        part: the position of the tensor among what the call gave. A neuron gives its spikes as part
            0, then its states.
        shape: the shape of the tensor.
        forward: the number of the call of the network's forward whose input the tensor is.
    """

    call: Call | None
    part: int
    shape: torch.Size
    forward: int = 0


@dataclass(eq=False)
class Call:
    """One call of a module or function.

    Args:
        name: path of the module, or name of the function without underscores around it.
        target: the module or function that is called.
        args: the positional arguments, with values in the place of tensors that depend on the
            input, and calls in the place of those that depend on parameters alone.
        kwargs: the keyword arguments, with values in the same way.
        forward: the number of the call of the network's forward during which this call was made.
        states: the values of the states of a neuron, None where they are zero.
        parts: the values that the call gave, by part.
    """

    name: str
    target: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    forward: int
    states: dict[str, Value | None] = field(default_factory=dict)
    parts: dict[int, Value] = field(default_factory=dict)

    @property
    def is_module(self) -> bool:
        """Whether a module is called, and no function."""
        return isinstance(self.target, nn.Module)

    @property
    def is_neuron(self) -> bool:
        """Whether a neuron is called."""
        return isinstance(self.target, snn.SpikingNeuron)

    @property
    def operands(self) -> list[Value]:
        """The values that the call takes, states left out."""
        return [each for each in leaves((self.args, self.kwargs)) if isinstance(each, Value)]


@dataclass
class Recording:
    """A few calls of a network's forward, one after the other.

    Args:
        root: the module whose paths name the calls.
        inputs: the input of each call of forward.
        returned: what each call of forward gave: values, and whatever else there was among them.
        calls: all calls of modules and functions, in order.
        arguments: the arguments with which forward is called step after step.
        read: the parameters and buffers of which forward reads a value, by identity.
    """

    root: nn.Module
    arguments: Arguments
    read: dict[int, Tensor] = field(default_factory=dict)
    inputs: list[Value] = field(default_factory=list)
    returned: list[list[Any]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)


def leaves(value: Any) -> Iterator[Any]:
    """The leaves of a nest of tuples, lists, dicts and slices, in order."""
    if isinstance(value, tuple | list):
        for each in value:
            yield from leaves(each)
    elif isinstance(value, dict):
        yield from leaves(list(value.values()))
    else:
        yield value


def replaced(value: Any, change: Callable[[Any], Any]) -> Any:
    """A nest with other leaves."""
    if isinstance(value, tuple | list):
        return tuple(replaced(each, change) for each in value)
    if isinstance(value, dict):
        return {key: replaced(each, change) for key, each in value.items()}
    return change(value)


class Arguments:
    """The arguments that a forward takes beside its input, step after step.

    An argument without a default is a state: it begins as a tensor without entries, as
    ``init_leaky()`` gives, and goes on with whatever of the state the last call returned. If all
    others have the default None and the forward returns as many things behind its output, those
    are handed back in.
    """

    def __init__(self, net: nn.Module) -> None:
        kinds = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        taken = [p for p in inspect.signature(net.forward).parameters.values() if p.kind in kinds]
        if not taken:
            raise NetworkError(
                f"The forward of {type(net).__name__} takes no input; expected one, as in "
                "forward(self, x)."
            )
        self.states = {p.name: torch.zeros(0) for p in taken[1:] if p.default is p.empty}
        self.optional = [p.name for p in taken[1:] if p.default is None]
        #: Where among the things that were returned each state is.
        self.places: dict[str, int] = {}

    def first(self) -> dict[str, Any]:
        """The arguments of the first call."""
        return dict(self.states)

    def following(self, returned: Any) -> dict[str, Any]:
        """The arguments of the next call, from what the last one gave."""
        if self.states:
            found = list(leaves(returned))
            return {name: found[place] for name, place in self.places.items()}
        several = isinstance(returned, tuple | list)
        if self.optional and several and len(returned) == 1 + len(self.optional):
            return dict(zip(self.optional, returned[1:], strict=True))
        return {}
