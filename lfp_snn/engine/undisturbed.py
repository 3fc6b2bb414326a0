"""Run a module for real and leave no trace of it: attributes, buffers, states, random numbers."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, overload

import numpy as np
import snntorch as snn
import torch
from torch import Tensor, nn
from typing_extensions import override

from lfp_snn.engine.held import OF_TORCH, Undo, given_back
from lfp_snn.errors import NetworkError
from lfp_snn.exclusive import PROCESS_WIDE
from lfp_snn.norms import PerStep

__all__ = ["part_of", "put_to_rest", "random_state", "states_of", "undisturbed", "version_of"]


@contextmanager
def undisturbed(net: nn.Module) -> Iterator[None]:
    """Run a module in a ``with`` block, after which the module is as it was before.

    Given back are attributes of all its modules (with what lists, dicts, sets and plain objects
    hold, there and where functions of theirs look: :mod:`lfp_snn.engine.held`), values
    of buffers and other tensors, states of neurons, and the state of the generators of random
    numbers. ``snntorch.utils.reset``, which resets all networks, reaches this one alone. One thread
    is in such a block at a time; others may go on meanwhile with networks of their own.

    Raises:
        NetworkError: a parameter was changed, which is not given back.
    """
    own = list(net.modules())
    versions = [(name, p, version_of(p)) for name, p in net.named_parameters()]
    with PROCESS_WIDE, _neurons_seen([m for m in own if isinstance(m, snn.SpikingNeuron)]):
        undo = _keep(net, _keep_tensor)
        drawn = random_state()
        try:
            yield
        finally:
            for give_back in undo:
                give_back()
            _set_random_state(drawn)
    for name, parameter, version in versions:
        if version_of(parameter) != version:
            raise NetworkError(
                f"The forward of {type(net).__name__} changes its own parameter '{name}', of which "
                "no rule knows: change it outside, between two passes."
            )


@contextmanager
def attributes_given_back(net: nn.Module) -> Iterator[None]:
    """Give a module's own attributes back after a ``with`` block, as states that are kept there.

    Lists, dicts, sets and plain objects get what they held, and buffers that were replaced are the
    ones of before. Values of tensors, as of running statistics, and states within neurons stay what
    they are then.
    """
    undo = _keep(net, None)
    try:
        yield
    finally:
        for give_back in undo:
            give_back()


class _Neurons(Sequence[snn.SpikingNeuron]):
    """snntorch's list of all neurons, of which one thread sees only those of one network."""

    def __init__(self, own: list[snn.SpikingNeuron], everyone: list[snn.SpikingNeuron]) -> None:
        self.own = own
        self.everyone = everyone
        self.thread = threading.get_ident()

    def _seen(self) -> list[snn.SpikingNeuron]:
        return self.own if threading.get_ident() == self.thread else self.everyone

    @overload
    def __getitem__(self, place: int) -> snn.SpikingNeuron: ...

    @overload
    def __getitem__(self, place: slice) -> list[snn.SpikingNeuron]: ...

    @override
    def __getitem__(self, place: int | slice) -> snn.SpikingNeuron | list[snn.SpikingNeuron]:
        return self._seen()[place]

    @override
    def __len__(self) -> int:
        return len(self._seen())

    def append(self, neuron: snn.SpikingNeuron) -> None:
        """Add a neuron that is made meanwhile."""
        self.everyone.append(neuron)


@contextmanager
def _neurons_seen(own: list[snn.SpikingNeuron]) -> Iterator[None]:
    """Let ``snntorch.utils.reset`` in this thread reach some neurons only, in a ``with`` block."""
    everyone = snn.SpikingNeuron.instances
    snn.SpikingNeuron.instances = _Neurons(own, everyone)
    try:
        yield
    finally:
        snn.SpikingNeuron.instances = everyone


def states_of(neuron: nn.Module) -> tuple[str, ...]:
    """The names of a neuron's states, which are the arguments of its forward behind the current."""
    code = type(neuron).forward.__code__
    return tuple(code.co_varnames[2 : code.co_argcount])


def part_of(neuron: nn.Module, key: str) -> int:
    """The part of what a neuron gives that a state is; the spikes are part 0."""
    states = [each for each in states_of(neuron) if each != "spk"]
    return 0 if key == "spk" else 1 + states.index(key)


def put_to_rest(net: nn.Module) -> None:
    """Clear the states of all neurons of a network, so that each is as before its first step."""
    for module in net.modules():
        if isinstance(module, snn.SpikingNeuron):
            for name in states_of(module):
                held = module._buffers.get(name)
                if held is not None:
                    module._buffers[name] = held.new_zeros(0)
        elif isinstance(module, PerStep):
            module.rest()


def random_state() -> tuple[Any, Any, Tensor, list[Tensor]]:
    """The state of the generators of random numbers."""
    devices = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    numpy = np.random.get_state()  # noqa: NPY002 - whatever a user's module draws from
    return random.getstate(), numpy, torch.get_rng_state(), devices


def _set_random_state(state: tuple[Any, Any, Tensor, list[Tensor]]) -> None:
    python, numpy, cpu, devices = state
    random.setstate(python)
    np.random.set_state(numpy)  # noqa: NPY002
    torch.set_rng_state(cpu)
    if devices:
        torch.cuda.set_rng_state_all(devices)


def _keep(net: nn.Module, of_tensor: Callable[[Tensor], Undo] | None) -> list[Undo]:
    """Functions that give modules their own attributes of now, and all that these hold.

    Args:
        net: the network.
        of_tensor: gives such a function for a tensor; None: tensors keep what they have then, and
            so do the states of neurons.
    """
    undo: list[Undo] = []
    of_torch: list[Any] = []
    for module in net.modules():
        own = vars(module)
        but = OF_TORCH if of_tensor is None else frozenset()
        undo.append(_keep_entries(own, but))
        if of_tensor is not None:
            of_torch += [own[key] for key in OF_TORCH if key in own]
        elif not isinstance(module, snn.SpikingNeuron):
            undo.append(_keep_entries(module._buffers, frozenset()))
    return [*undo, *given_back(net.modules(), of_torch, of_tensor)]


def _keep_entries(held: dict[Any, Any], but: frozenset[str]) -> Undo:
    """A function that gives a dict the entries that it has now, but for some keys."""
    entries = {key: value for key, value in held.items() if key not in but}

    def undo() -> None:
        for key in [key for key in held if key not in but]:
            del held[key]
        held.update(entries)

    return undo


def version_of(tensor: Tensor) -> int:
    """How often a tensor was changed in place; always 0 under inference mode."""
    return 0 if tensor.is_inference() else tensor._version


def _keep_tensor(value: Tensor) -> Undo:
    content, version = value.detach().clone(), version_of(value)

    def undo() -> None:
        if version_of(value) != version and value.shape == content.shape:
            with torch.no_grad():
                value.copy_(content)

    return undo
