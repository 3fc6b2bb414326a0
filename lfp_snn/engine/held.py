"""What a module holds beside tensors and modules: containers, and plain objects of a user.

A user keeps states and options in lists, dicts, ``SimpleNamespace``, dataclasses and objects of
classes of their own. They are followed wherever a module holds them, its class, or what its code
looks at (:mod:`lfp_snn.engine.user_code`).
"""

from __future__ import annotations

import enum
from argparse import Namespace
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from types import FunctionType, MethodType, SimpleNamespace
from typing import Any

import numpy as np
from torch import Tensor, nn

from lfp_snn.engine.user_code import UserCode, identity_of, is_of_a_library, is_special

__all__ = ["OF_TORCH", "Undo", "given_back", "options_in"]

Undo = Callable[[], None]

#: What torch keeps of every module.
OF_TORCH = frozenset(vars(nn.Module()))
_SIMPLE = frozenset({bool, int, float, complex, str, bytes, type(None)})
#: How many values are looked at for each module, and how many entries of one.
MOST, LONG = 2000, 64
_WHOLE = (type, nn.Module, Tensor, FunctionType, MethodType, enum.Enum)


def _is_object(value: object) -> bool:
    """Whether a value is an object with attributes of its own that a user may change."""
    kind = type(value)
    if kind in (SimpleNamespace, Namespace):
        return True
    if isinstance(value, _WHOLE) or is_of_a_library(kind.__module__):
        return False
    return hasattr(value, "__dict__") or bool(_slots(kind))


def _slots(kind: type) -> list[str]:
    """The names of the attributes that a class keeps in slots."""
    found: list[str] = []
    for each in kind.__mro__:
        own = vars(each).get("__slots__", ())
        found += [own] if isinstance(own, str) else list(own)
    return [name for name in found if name not in ("__dict__", "__weakref__")]


def _slotted(value: object) -> dict[str, Any]:
    """The attributes of an object that are in slots."""
    names = _slots(type(value))
    return {name: getattr(value, name) for name in names if hasattr(value, name)}


def _attributes_of(module: nn.Module) -> Iterator[Any]:
    """What a module has in attributes of its own, beside numbers and what torch keeps there."""
    for key, value in vars(module).items():
        if key not in OF_TORCH and type(value) not in _SIMPLE:
            yield value


def _walk(
    modules: Iterable[nn.Module], also: Iterable[Any] = (), longest: int = MOST
) -> Iterator[tuple[Any, list[Any]]]:
    """Walk over what modules hold and their code takes: each value, with what it holds, once.

    Of the classes of the modules it is what their forwards reach, by the names in code: what else a
    user does in a class may change at every step.

    Args:
        modules: the modules.
        also: other values to begin with.
        longest: the number of entries up to which a value is followed.
    """
    modules = list(modules)
    kinds = dict.fromkeys(map(type, modules))
    code = UserCode(kinds)
    unnamed: dict[str, list[Any]] = defaultdict(list)
    pending = [*also, *(value for module in modules for value in _attributes_of(module))]
    for kind in kinds:
        own = list(code.of_class(kind))
        # Where forward is a library's, it may call any of the others.
        every = "forward" not in dict(own)
        for name, value in own:
            called = name == "forward" or (is_special(name) and name != "__init__")
            (pending if every or called else unnamed[name]).append(value)
    pending.reverse()
    seen: set[int] = set()
    most = MOST * len(modules)
    while pending:
        value = pending.pop()
        if type(value) in _SIMPLE:
            yield value, []
        elif id(value) not in seen and len(seen) < most:
            seen.add(id(value))
            inner = list(_entries_of(value, code))
            yield value, inner
            pending += inner[::-1] if len(inner) <= longest else []
            for name in code.names(value):
                pending += unnamed.pop(name, ())


def _entries_of(value: Any, code: UserCode) -> Iterator[Any]:
    """What a value holds, one level deep."""
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list | tuple | deque | set | frozenset):
        yield from value
    elif isinstance(value, partial):
        yield from (value.func, value.args, value.keywords)
    elif _is_object(value):
        yield from getattr(value, "__dict__", {}).values()
        yield from _slotted(value).values()
        yield from (each for _, each in code.of_class(type(value)))
    else:
        yield from code.of_function(value)


def options_in(modules: Iterable[nn.Module]) -> tuple[tuple[Any, ...], list[Tensor]]:
    """The options in what modules hold and their code takes, in order, and the tensors there.

    A tensor with a graph of autograd is a state and no option.
    """
    found: list[Any] = []
    tensors: list[Tensor] = []
    for value, inner in _walk(modules, longest=LONG):
        if type(value) in _SIMPLE:
            found.append(value)
        elif isinstance(value, Tensor):
            found.append(Tensor)
            tensors += [value] if value.is_leaf else []
        elif isinstance(value, np.ndarray):
            # Of a long one the look at every pass would take too long.
            found.append(hash(value.tobytes()) if value.size <= MOST else id(value))
        else:
            if isinstance(value, dict):
                found += [key for key in value if type(key) in _SIMPLE]
            found.append((type(value), len(inner), identity_of(value)))
    return tuple(found), tensors


def given_back(
    modules: Iterable[nn.Module], also: Iterable[Any], of_tensor: Callable[[Tensor], Undo] | None
) -> list[Undo]:
    """Functions that give what modules hold and their code takes the content that it has now.

    Args:
        modules: the modules.
        also: other values to give back.
        of_tensor: gives such a function for a tensor; None: tensors keep what they have then.
    """
    undo: list[Undo] = []
    for value, _ in _walk(modules, also):
        if isinstance(value, Tensor):
            if of_tensor is not None and not isinstance(value, nn.Parameter):
                undo.append(of_tensor(value))
        elif type(value) not in _SIMPLE:
            back = _back(value)
            undo += [] if back is None else [back]
    return undo


def _back(value: Any) -> Undo | None:
    """A function that gives one value the entries that it has now."""
    if isinstance(value, dict):
        return _back_in(value, value.clear, value.update)
    if isinstance(value, list | deque):
        return _back_in(value, value.clear, value.extend)
    if isinstance(value, set):
        return _back_in(value, value.clear, value.update)
    if isinstance(value, tuple | frozenset | FunctionType | MethodType) or not _is_object(value):
        return None
    own, slots = dict(getattr(value, "__dict__", {})), _slotted(value)

    def undo() -> None:
        if hasattr(value, "__dict__"):
            vars(value).clear()
            vars(value).update(own)
        for name, each in slots.items():
            object.__setattr__(value, name, each)

    return undo


def _back_in(value: Any, clear: Callable[[], None], fill: Callable[[Any], None]) -> Undo:
    entries = type(value)(value) if type(value) in (dict, list, set) else _plain(value)

    def undo() -> None:
        clear()
        fill(entries)

    return undo


def _plain(value: Any) -> Any:
    """The entries of a container of another class, in one of Python's."""
    if isinstance(value, dict):
        return dict(value)
    return set(value) if isinstance(value, set) else list(value)
