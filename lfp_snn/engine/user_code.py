"""What the code of a user looks at beside its arguments: closures, defaults, globals and classes.

A forward takes its constants from wherever Python finds a name, and so do the functions that it
calls. What changes there changes what the network computes, as an attribute of a module does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from dis import get_instructions
from functools import _lru_cache_wrapper, cached_property, lru_cache
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

__all__ = ["identity_of", "is_of_a_library", "of_class", "of_function"]

#: Packages whose objects hold no state of a forward that a user keeps there.
_LIBRARIES = frozenset({"torch", "numpy", "snntorch", "lfp_snn", "numba", *sys.stdlib_module_names})
#: Where those that call a function of a user keep it.
_CALLERS: dict[type, str] = {
    MethodType: "__func__",
    staticmethod: "__func__",
    classmethod: "__func__",
    property: "fget",
    cached_property: "func",
    _lru_cache_wrapper: "__wrapped__",
}


def is_of_a_library(module: str | None) -> bool:
    """Whether a module, by its name, is of a package that keeps nothing for a user."""
    return module is None or module.partition(".")[0] in _LIBRARIES


def identity_of(value: Any) -> int:
    """What tells a function, or what calls one, from any other; 0 of what is no code."""
    value = _called(value)
    return id(value) if isinstance(value, FunctionType | BuiltinFunctionType) else 0


def of_function(value: Any) -> Iterator[Any]:
    """What a function of a user takes of its closure, its defaults and the globals it names.

    It may be a method, a property or a cache of results, and nothing is taken of what is no code.
    """
    function = _called(value)
    if not isinstance(function, FunctionType) or is_of_a_library(function.__module__):
        return
    for cell in function.__closure__ or ():
        with suppress(ValueError):  # not filled yet
            yield cell.cell_contents
    yield from (function.__defaults__, function.__kwdefaults__)
    yield from _taken(function)


def of_class(kind: type) -> Iterator[Any]:
    """What a user's class keeps: its functions, and all else."""
    for each in kind.__mro__:
        if not is_of_a_library(each.__module__):
            yield from (value for name, value in vars(each).items() if _is_own(name, value))


def _is_own(name: str, value: Any) -> bool:
    """Whether an attribute of a class is none that Python itself keeps there."""
    return not (name.startswith("__") and name.endswith("__")) or isinstance(value, FunctionType)


def _called(value: Any) -> Any:
    """The function that a value calls, or the value."""
    while type(value) in _CALLERS:
        value = getattr(value, _CALLERS[type(value)])
    return value


def _is_of_a_library(value: Any) -> bool:
    """Whether a value is a module or a class of a library, which nobody changes."""
    if isinstance(value, ModuleType):
        return is_of_a_library(value.__name__)
    return isinstance(value, type) and is_of_a_library(value.__module__)


def _taken(function: FunctionType) -> Iterator[Any]:
    """What a function takes of the globals it names, and of modules and classes among them."""
    named, names, seen = function.__globals__, _names(function.__code__), set[int]()
    pending = [named[each] for each in _loaded(function.__code__) if each in named]
    while pending:
        value = pending.pop()
        if not isinstance(value, ModuleType | type):
            yield value
        elif id(value) not in seen:
            seen.add(id(value))
            for each in value.__mro__ if isinstance(value, type) else (value,):
                if not _is_of_a_library(each):
                    pending += [vars(each)[name] for name in names if name in vars(each)]


@lru_cache(maxsize=10_000)
def _loaded(code: CodeType) -> tuple[str, ...]:
    """The names that code takes from globals, in order, that of functions in it included.

    ``co_names`` has those of attributes as well: a global of the same name may change all the time.
    """
    found = {step.argval: None for step in get_instructions(code) if step.opname == "LOAD_GLOBAL"}
    for inner in code.co_consts:
        found |= dict.fromkeys(_loaded(inner)) if isinstance(inner, CodeType) else {}
    return tuple(found)


@lru_cache(maxsize=10_000)
def _names(code: CodeType) -> tuple[str, ...]:
    """The names of globals and of attributes in code, that of functions in it included."""
    found = dict.fromkeys(code.co_names)
    for inner in code.co_consts:
        found |= dict.fromkeys(_names(inner)) if isinstance(inner, CodeType) else {}
    return tuple(found)
