"""A recording of what a forward calls, made while it runs for real on an example.

The example has true shapes and types but no content: every synapse and neuron gives zeros of the
right shape, so that sizes, ``isinstance``, ``self.training`` and attributes of the module are what
they are, and reading a value is an error. Nothing of the module is changed
(:mod:`lfp_snn.engine.undisturbed`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import snntorch as snn
import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.weak import WeakIdKeyDictionary
from typing_extensions import override

from lfp_snn.engine.calls import Arguments, Call, Recording, Value, leaves, replaced
from lfp_snn.engine.derived import Notes
from lfp_snn.engine.draws import Draws, differ
from lfp_snn.engine.examples import dropout_example, example_of
from lfp_snn.engine.functions import WRITTEN_OUT
from lfp_snn.engine.made import hook_of, made_of, serves_hooks
from lfp_snn.engine.refused import refusal
from lfp_snn.engine.supported import (
    DROPOUTS,
    LIKE,
    METADATA,
    MODULES,
    RESHAPES,
    SAME,
    is_leaf,
    kind_of,
)
from lfp_snn.engine.undisturbed import (
    part_of,
    put_to_rest,
    random_state,
    states_of,
    undisturbed,
)
from lfp_snn.errors import NetworkError, ShapeError

__all__ = ["ForwardFailedError", "record"]


class ForwardFailedError(ShapeError):
    """The forward of a network fails on an example, perhaps because of its shape."""


class _Recorder(TorchFunctionMode):
    """A mode of torch that notes every call of a function, and of modules looked at as a whole."""

    def __init__(self, root: nn.Module, tolerant: bool) -> None:
        super().__init__()
        self.found = Recording(root, Arguments(root))
        self.notes = Notes(root)
        self.found.read = self.notes.read
        self.tolerant = tolerant
        self.at = ""  # what was called last
        self.forward = 0
        #: Each tensor that depends on the input, with the version at which it does.
        self.values: Any = WeakIdKeyDictionary()
        #: What each slice is of, and at which index.
        self.slices: Any = WeakIdKeyDictionary()
        #: The name, by identity, of what was handed in as a state; and which state each became.
        self.handed: dict[int, str] = {}
        self.taken: dict[str, tuple[nn.Module, int]] = {}

    # ------------------------------------------------------------------ values

    def note(self, tensor: Tensor, value: Value) -> Tensor:
        self.values[tensor] = (value, tensor._version)
        return tensor

    def value(self, leaf: Any) -> Any:
        """The value that a tensor stands for, or the tensor if it does not depend on the input."""
        known = self.values.get(leaf) if isinstance(leaf, Tensor) else None
        if known is None:
            return leaf
        value, version = known
        if leaf._version != version:
            raise NetworkError(
                "The forward changes a tensor in place of which it uses a view as well, for which "
                "there is no rule: write y = y + x in the place of y.add_(x) or y += x."
            )
        return value

    def _leaf(self, leaf: Any) -> Any:
        value = self.value(leaf)
        return self.notes.leaf(leaf) if value is leaf else value

    def _call(self, name: str, target: Any, args: Any, kwargs: Any) -> Call:
        args, kwargs = replaced(args, self._leaf), replaced(kwargs, self._leaf)
        return Call(name, target, args, kwargs, self.forward)

    def _give(self, call: Call, tensor: Tensor, part: int) -> Tensor:
        call.parts[part] = Value(call, part, tensor.shape)
        return self.note(tensor, call.parts[part])

    # ------------------------------------------------------------------ functions

    @override
    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Any = None
    ) -> Any:
        kwargs = kwargs or {}
        self.at = name = _name(func)
        if not any(isinstance(v, Tensor) and v in self.values for v in leaves((args, kwargs))):
            return self.notes.call(name, func, args, kwargs)
        if name in LIKE:
            return func(*args, **kwargs)
        if func in WRITTEN_OUT:
            with self:
                return WRITTEN_OUT[func](*args, **kwargs)
        if func is Tensor.__setitem__ and args[0] not in self.values:
            return self._write(*args)
        call = self._call(name, func, tuple(args), kwargs)
        given = [(each, each._version) for each in leaves(args) if isinstance(each, Tensor)]
        # Dropout would draw, and whether it works in place shows in its argument alone.
        result = dropout_example(*args, **kwargs) if name in DROPOUTS else func(*args, **kwargs)
        if name not in DROPOUTS and any(
            result is each and each._version == version for each, version in given
        ):
            return result  # torch gives what it took where there was nothing to do, as in flatten
        tensors = [each for each in leaves(result) if isinstance(each, Tensor)]
        if name in METADATA and not tensors:
            return result
        if func is Tensor.__setitem__:
            tensors = [args[0]]
        elif not tensors:
            raise NetworkError(
                f"The forward reads values that it computed (by '{name}'), and a decision on "
                "values has no rule: let every step make the same calls, whatever the values are."
            )
        if name in SAME and not tensors[0].is_floating_point():
            call.name = "cast"  # to whole numbers, which is a change
        self.found.calls.append(call)
        for part, tensor in enumerate(tensors):
            self._give(call, tensor, part)
        if name == "getitem":
            self.slices[result] = (args[0], call.args[1])
        elif given and result is given[0][0]:
            self._write_back(call, *given[0])
        return result

    def _write_back(self, call: Call, part: Tensor, version: int) -> None:
        """Note that a slice was changed in place, as ``y[:, :3] *= 2`` does, and with it the whole.

        Args:
            call: the call that changed it.
            part: the slice, as it is now.
            version: the version that it had before, and so had the whole.
        """
        whole, index = self.slices.get(part, (None, None))
        known = None if whole is None or whole is not part._base else self.values.get(whole)
        if known is not None and known[1] == version:
            args = (known[0], index, call.parts[0])
            own = Call("setitem", Tensor.__setitem__, args, {}, self.forward)
            self.found.calls.append(own)
            self._give(own, whole, 0)

    def _write(self, whole: Tensor, index: Any, part: Tensor) -> None:
        """Note that a value is written into a tensor of the forward's own."""
        before = self.notes.leaf(whole)
        before = whole.clone() if before is whole else before
        call = Call(
            "setitem", Tensor.__setitem__, (before, index, self.value(part)), {}, self.forward
        )
        whole[index] = part
        self.found.calls.append(call)
        self._give(call, whole, 0)

    # ------------------------------------------------------------------ modules

    def module(self, module: nn.Module, name: str, *args: Any, **kwargs: Any) -> Any:
        """Note the call of a module that is looked at as a whole, in the place of its forward."""
        with torch._C.DisableTorchFunction():
            self.at, kind = name, kind_of(module)
            why = refusal(module)
            if why is not None:
                raise NetworkError(f"Module '{name}' ({type(module).__name__}) {why}.")
            if kind not in MODULES:
                raise NetworkError(
                    f"Stage '{name}' ({kind.__name__}) has no rule: build it of layers that have "
                    "one (docs/from_snntorch.md lists them), or leave it out."
                )
            first = next(iter((*args, *kwargs.values())), None)
            if not isinstance(first, Tensor):
                what = f"'{name}' ({kind.__name__}) is called with {_shown(first)}"
                raise NetworkError(f"{what}; expected one tensor.")
            if isinstance(module, snn.SpikingNeuron):
                return self._neuron(module, name, *args, **kwargs)
            call = self._call(name, module, args, kwargs)
            if len(args) + len(kwargs) != 1:
                raise NetworkError(
                    f"'{name}' ({kind.__name__}) is called with more than one argument; expected "
                    "its input alone."
                )
            self.found.calls.append(call)
            return self._give(call, example_of(module, first, tolerant=self.tolerant), 0)

    def _neuron(self, neuron: Any, name: str, input_: Tensor, *given: Any, **named: Any) -> Any:
        states = states_of(neuron)
        handed = dict(zip(states, given, strict=False)) | named
        handed = {key: state for key, state in handed.items() if state is not None}
        if handed and neuron.init_hidden:
            raise NetworkError(
                f"Neuron '{name}' ({type(neuron).__name__}) is given its state and keeps its own: "
                f"build it without init_hidden=True, or call {name.rpartition('.')[2]}(cur)."
            )
        call = self._call(name, neuron, (input_,), {})
        for key in states:
            held = handed.get(key, neuron._buffers[key])
            if id(held) in self.handed:
                self.taken[self.handed[id(held)]] = (neuron, part_of(neuron, key))
            call.states[key] = self._state(call, key, held, input_)
        self.found.calls.append(call)
        spikes = self._give(call, torch.zeros_like(input_), 0)
        after = {}
        for key in states:
            part = part_of(neuron, key)
            after[key] = self._give(call, torch.zeros_like(input_), part) if part else spikes
            neuron._buffers[key] = after[key]
        if neuron.init_hidden and not neuron.output:
            return spikes
        return (spikes, *(state for key, state in after.items() if key != "spk"))

    def _state(self, call: Call, key: str, held: Tensor, input_: Tensor) -> Value | None:
        """Value of a state; None for zeros, which snntorch makes of a state that does not fit."""
        value = self.value(held)
        while isinstance(value, Value) and value.call is not None and value.call.name in SAME:
            value = value.call.operands[0]
        if held.shape != input_.shape:
            return None
        if isinstance(value, Value):
            source = value.call
            part = part_of(call.target, key)
            if source is not None and source.target is call.target and value.part == part:
                return value
            raise NetworkError(
                f"Neuron '{call.name}' ({type(call.target).__name__}) is given a '{key}' that is "
                "not its own of the step before, for which there is no rule."
            )
        if bool(held.any()):
            raise NetworkError(
                f"Neuron '{call.name}' ({type(call.target).__name__}) begins with a '{key}' that "
                "is not zero; TemporalLFP begins at rest: reset it, or give forward a state."
            )
        return None


def _shown(value: Any) -> str:
    """A description of what a module was called with in the place of a tensor."""
    if isinstance(value, tuple) and all(isinstance(each, Tensor) for each in value):
        return (
            "a pair of tensors, such as the spikes and the membrane of a neuron (take its spikes, "
            "spk, _ = lif(cur), or build it with init_hidden=True and without output=True)"
        )
    return f"{value!r}"


def _name(func: Any) -> str:
    """The name of a function, method, operator or attribute."""
    name = str(getattr(func, "__name__", func))
    if name in ("__get__", "__set__"):
        name = str(getattr(func.__self__, "__name__", name))
    return name.strip("_") if name.startswith("__") else name


def record(
    net: nn.Module, shape: Sequence[int], like: Tensor, *, tolerant: bool, again: bool = False
) -> Recording:
    """Call a network's forward twice on an example, and record what it does.

    Args:
        net: the network.
        shape: the shape of the input that forward takes.
        like: a tensor with the type and device of the network.
        tolerant: whether a linear layer may be given another number of inputs than it has.
        again: whether random numbers were drawn while it was recorded before.

    Raises:
        NetworkError: forward calls what has no rule, reads values, or takes further inputs.
    """
    root = nn.Sequential(net) if is_leaf(net) else net
    recorder = _Recorder(root, tolerant)
    arguments, draws = recorder.found.arguments, Draws()
    with undisturbed(root), torch.inference_mode(False), torch.no_grad():
        put_to_rest(root)
        for name, module in root.named_modules():
            if is_leaf(module):
                module.__dict__["forward"] = partial(recorder.module, module, name)
                _let_keep_its_weight(module)
        before = random_state()[:2]
        others = arguments.first()
        recorder.handed = {id(each): name for name, each in others.items()}
        for forward in range(2):
            recorder.forward = forward
            x = like.new_zeros(()).expand(tuple(shape))
            recorder.note(x, Value(None, 0, x.shape, forward))
            recorder.found.inputs.append(recorder.value(x))
            with recorder, draws, _explained(recorder, net, shape):
                returned = root(x, **others)
            values = [recorder.value(each) for each in leaves(returned)]
            recorder.found.returned.append(values)
            if not forward:
                _find_states(net, recorder, values)
            others = arguments.following(returned)
        drew = draws.seen or differ(before, random_state()[:2])
    if drew and again:
        raise NetworkError(
            f"The forward of {type(net).__name__} draws random numbers, so that each call computes "
            "something else: leave only dropout to chance, and draw spikes of the input, as "
            "snntorch's spikegen.rate does, before forward."
        )
    # The generators of Python and numpy are the process's: another thread may have drawn of them.
    return record(net, shape, like, tolerant=tolerant, again=True) if drew else recorder.found


def _let_keep_its_weight(module: nn.Module) -> None:
    """Give a layer the tensors that its hooks would compute, and take the hooks away."""
    if serves_hooks(module):
        for key in ("weight", "bias"):
            if hook_of(module, key) is not None:
                module.__dict__[key] = made_of(module, key)
        module.__dict__["_forward_pre_hooks"] = {}


@contextmanager
def _explained(recorder: _Recorder, net: nn.Module, shape: Sequence[int]) -> Iterator[None]:
    """The error of a forward that fails: the input on which it did, and a possible reason."""
    try:
        yield
    except NetworkError:
        raise
    except Exception as problem:
        mixed = [
            call
            for call in recorder.found.calls
            if call.name in RESHAPES and call.parts[0].shape[:1] != call.operands[0].shape[:1]
        ]
        hint = (
            f"; '{mixed[-1].name}' mixes samples: keep axis 0, for instance with "
            "torch.flatten(x, 1)"
            if mixed
            else "; sizes that are written out take batches of one size: take them of x, for "
            "instance with torch.flatten(x, 1)"
            if recorder.at in ("view", "reshape")
            else ""
        )
        raise ForwardFailedError(
            f"The forward of {type(net).__name__} fails on an input of shape {tuple(shape)} at "
            f"'{recorder.at.strip('_')}' ({str(problem).rstrip('.')}){hint}."
        ) from problem


def _find_states(net: nn.Module, recorder: _Recorder, returned: Sequence[Any]) -> None:
    """Find each state that forward takes among what it returned."""
    arguments = recorder.found.arguments
    last = {call.target: call for call in recorder.found.calls if call.is_neuron}
    for name in arguments.states:
        neuron, part = recorder.taken.get(name, (None, 0))
        if neuron is None:
            raise NetworkError(
                f"The forward of {type(net).__name__} takes a second input '{name}', which is no "
                "state of a neuron: TemporalLFP gives a network one input."
            )
        value = last[neuron].parts[part]
        places = [k for k, each in enumerate(returned) if each is value]
        if not places:
            raise NetworkError(
                f"The forward of {type(net).__name__} takes the state '{name}' and does not return "
                "it, so that it could not go on: return it beside the spikes."
            )
        arguments.places[name] = places[0]
