"""Tensors that a forward computes from tensors of the network alone, whatever its input is.

A slice of an embedding, the exponential of a scale, a transposed weight: such a tensor is noted as
what is to be computed, and computed anew at each pass, so that what is behind it learns. A number
that is read of a tensor, ``float(self.scale)``, is one for good; noted is of which it was read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import snntorch as snn
import torch
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from lfp_snn.engine.calls import leaves, replaced
from lfp_snn.engine.held import options_in
from lfp_snn.engine.supported import METADATA, is_leaf
from lfp_snn.errors import NetworkError

__all__ = ["Derived", "Notes", "constants"]


@dataclass(eq=False)
class Derived:
    """A tensor as the call that gives it.

    Args:
        name: the name of the function that is called.
        target: the function that is called.
        args: the positional arguments, with other derived tensors in the place of tensors.
        kwargs: the keyword arguments, in the same way.
        part: the position of the tensor among those that the call gives.
        shape: the shape of the tensor.
    """

    name: str
    target: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    part: int
    shape: torch.Size

    def compute(self, put: Callable[[Any], Any]) -> Tensor:
        """Compute the tensor, from what is put in the place of each argument."""
        result = self.target(*map(put, self.args), **{k: put(v) for k, v in self.kwargs.items()})
        found: Tensor = [each for each in leaves(result) if isinstance(each, Tensor)][self.part]
        return found


def constants(value: Any) -> Iterator[Tensor]:
    """All tensors in a nest of arguments, with the tensors that derived ones are computed from."""
    for leaf in leaves(value):
        if isinstance(leaf, Derived):
            yield from constants((leaf.args, dict(leaf.kwargs)))
        elif isinstance(leaf, Tensor):
            yield leaf


class Notes:
    """Notes of the tensors that were computed from others which a network holds.

    Args:
        root: the network.
    """

    def __init__(self, root: nn.Module) -> None:
        neurons = [m for m in root.modules() if isinstance(m, snn.SpikingNeuron)]
        states = {id(state) for neuron in neurons for state in neuron.buffers(recurse=False)}
        # snntorch saves the constants of a neuron, and not its states.
        states -= {id(n) for neuron in neurons for n in neuron.state_dict(keep_vars=True).values()}
        # A user may keep a constant in a plain attribute too, which no buffer registers.
        _, own = options_in(module for module in root.modules() if not is_leaf(module))
        held = (*root.parameters(), *root.buffers(), *own)
        self._held = {id(tensor) for tensor in held} - states
        self._derived: Any = WeakIdKeyDictionary()
        #: The tensors of the network of which a value was read, by identity.
        self.read: dict[int, Tensor] = {}

    def leaf(self, value: Any) -> Any:
        """The derivation of a tensor, or the default that is given."""
        known = self._derived.get(value) if isinstance(value, Tensor) else None
        if known is None:
            return value
        derived, version = known
        if value._version != version:
            raise NetworkError(
                f"The forward changes in place what it computed from parameters (by "
                f"'{derived.name}') and takes a view of it, for which there is no rule."
            )
        return derived

    def call(self, name: str, func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Call a function whose arguments do not depend on the input, and note what it gives."""
        taken = [each for each in leaves((args, dict(kwargs))) if isinstance(each, Tensor)]
        if not any(id(each) in self._held or each in self._derived for each in taken):
            return func(*args, **kwargs)
        if id(kwargs.get("out")) in self._held:
            raise NetworkError(
                f"The forward writes what it computes from parameters into a buffer (by '{name}'), "
                "as the power iteration of a spectral norm does in training, for which there is no "
                "rule: call the layer in the place of reading its weight."
            )
        before = tuple(replaced(args, self.leaf)), replaced(dict(kwargs), self.leaf)
        result = func(*args, **kwargs)
        if func is Tensor.__setitem__:
            raise NetworkError(
                "The forward writes parameters into a tensor of its own (by '[...] ='), for which "
                "there is no rule: put it together with torch.cat or torch.stack."
            )
        tensors = [each for each in leaves(result) if isinstance(each, Tensor)]
        if not tensors and name not in METADATA:
            own = (each for each in constants(before) if id(each) in self._held)
            self.read.update((id(each), each) for each in own)
        for part, tensor in enumerate(tensors):
            if id(tensor) not in self._held:
                derived = Derived(name, func, *before, part, tensor.shape)
                self._derived[tensor] = derived, tensor._version
        return result
