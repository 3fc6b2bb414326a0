"""What a module holds beside tensors and modules: containers, and plain objects of a user.

A user keeps states and options in lists, dicts, ``SimpleNamespace``, dataclasses and objects of
classes of their own. They are followed wherever a module, or a function of its own, holds them.
"""

from __future__ import annotations

import enum
import sys
from argparse import Namespace
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dis import get_instructions
from functools import lru_cache
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    MethodType,
    ModuleType,
    SimpleNamespace,
)
from typing import Any

import numpy as np
from torch import Tensor, nn

__all__ = ["OF_TORCH", "Undo", "given_back", "held_by", "options_in"]

Undo = Callable[[], None]

#: What torch keeps of every module.
OF_TORCH = frozenset(vars(nn.Module()))
_SIMPLE = frozenset({bool, int, float, complex, str, bytes, type(None)})
#: Packages whose objects hold no state of a forward that a user keeps there.
_LIBRARIES = frozenset({"torch", "numpy", "snntorch", "lfp_snn", "numba", *sys.stdlib_module_names})
#: How many values are looked at, and how many entries of one.
MOST, LONG = 2000, 64
_CONTAINERS = (list, dict, deque, set, np.ndarray)
_WHOLE = (type, nn.Module, Tensor, FunctionType, MethodType, enum.Enum)


def _is_object(value: object) -> bool:
    """Whether a value is an object with attributes of its own that a user may change."""
    kind = type(value)
    if kind in (SimpleNamespace, Namespace):
        return True
    if isinstance(value, _WHOLE) or _is_of_a_library(kind.__module__):
        return False
    return hasattr(value, "__dict__") or bool(_slots(kind))


def _is_of_a_library(module: str | None) -> bool:
    return module is None or module.partition(".")[0] in _LIBRARIES


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


@lru_cache(maxsize=1000)
def _globals_named(function: FunctionType) -> list[str]:
    """The names of globals that a function of a user looks at, and that are no code."""
    code = (ModuleType, type, FunctionType, BuiltinFunctionType)
    found = (name for name in _loaded(function.__code__) if name in function.__globals__)
    return [name for name in found if not isinstance(function.__globals__[name], code)]


def _loaded(code: CodeType) -> dict[str, None]:
    """The names that code takes from globals, in order, that of comprehensions in it included.

    ``co_names`` has those of attributes as well: a global of the same name may change all the time.
    """
    found = {step.argval: None for step in get_instructions(code) if step.opname == "LOAD_GLOBAL"}
    for inner in code.co_consts:
        found |= _loaded(inner) if isinstance(inner, CodeType) else {}
    return found


def _of_function(value: Any) -> Iterator[Any]:
    """What a function of a user keeps: in its closure, and in the globals that it names."""
    function = value.__func__ if isinstance(value, MethodType) else value
    if not isinstance(function, FunctionType) or _is_of_a_library(function.__module__):
        return
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # not filled yet
            yield cell.cell_contents
    for name in _globals_named(function):
        named = function.__globals__.get(name)
        if isinstance(named, _CONTAINERS) or type(named) in _SIMPLE or _is_object(named):
            yield named


@lru_cache(maxsize=1000)
def _of_class(kind: Any) -> list[Any]:
    """The functions and containers of a user's class that could hold something."""
    found: list[Any] = []
    for each in kind.__mro__:
        if _is_of_a_library(each.__module__):
            break
        for value in vars(each).values():
            if isinstance(value, FunctionType):
                found += [value] if value.__closure__ or _globals_named(value) else []
            elif isinstance(value, _CONTAINERS) or _is_object(value):
                found.append(value)
    return found


def _options_of_class(kind: type) -> Iterator[Any]:
    """The numbers and words that a user's class has as attributes, as they are now."""
    for each in kind.__mro__:
        if _is_of_a_library(each.__module__):
            break
        for name, value in vars(each).items():
            if type(value) in _SIMPLE and not name.startswith("__"):
                yield value


def held_by(module: nn.Module) -> Iterator[Any]:
    """What a module holds beside what torch keeps of it, and its class and functions with it."""
    for key, value in vars(module).items():
        if key not in OF_TORCH and type(value) not in _SIMPLE:
            yield value
    kind: Any = type(module)
    yield from _of_class(kind)
    yield from _options_of_class(kind)


def _entries_of(value: Any) -> Iterator[Any]:
    """What a value holds, one level deep."""
    if isinstance(value, dict):
        yield from value.values()
    elif isinstance(value, list | tuple | deque | set | frozenset):
        yield from value
    elif isinstance(value, FunctionType | MethodType):
        yield from _of_function(value)
    elif _is_object(value):
        yield from getattr(value, "__dict__", {}).values()
        yield from _slotted(value).values()


def options_in(module: nn.Module) -> tuple[tuple[Any, ...], list[Any]]:
    """The options in what a module holds, in order, and the tensors there.

    A tensor with a graph of autograd is a state and no option.
    """
    found: list[Any] = []
    tensors: list[Tensor] = []
    seen: set[int] = set()
    pending = list(held_by(module))[::-1]
    while pending:
        value = pending.pop()
        if type(value) in _SIMPLE:
            found.append(value)
        elif isinstance(value, Tensor):
            found.append(Tensor)
            tensors += [value] if value.is_leaf else []
        elif isinstance(value, np.ndarray):
            # Of a long one the look at every pass would take too long.
            found.append(hash(value.tobytes()) if value.size <= MOST else id(value))
        elif id(value) not in seen:
            seen.add(id(value))
            if isinstance(value, dict):
                found += [key for key in value if type(key) in _SIMPLE]
            inner = list(_entries_of(value))
            found.append((type(value), len(inner)))
            pending += inner[::-1] if len(inner) <= LONG and len(seen) < MOST else []
    return tuple(found), tensors


def given_back(values: Iterable[Any], of_tensor: Callable[[Tensor], Undo] | None) -> list[Undo]:
    """Functions that give values, and all that they hold, the content that they have now.

    Args:
        values: the values.
        of_tensor: gives such a function for a tensor; None: tensors keep what they have then.
    """
    undo: list[Undo] = []
    seen: set[int] = set()
    pending = list(values)
    while pending and len(seen) < MOST:
        value = pending.pop()
        if id(value) in seen or type(value) in _SIMPLE:
            continue
        seen.add(id(value))
        if isinstance(value, Tensor):
            if of_tensor is not None and not isinstance(value, nn.Parameter):
                undo.append(of_tensor(value))
            continue
        back = _back(value)
        undo += [] if back is None else [back]
        pending += _entries_of(value)
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
