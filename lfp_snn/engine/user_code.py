"""What the code of a user looks at beside its arguments: closures, defaults, globals and classes.

A forward takes its constants from wherever Python finds a name, and so do the functions that it
calls. What changes there changes what the network computes, as an attribute of a module does.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dis import get_instructions
from functools import _lru_cache_wrapper, cached_property, lru_cache
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType
from typing import Any

__all__ = ["UserCode", "identity_of", "is_of_a_library", "is_special"]

#: Packages whose objects hold no state of a forward that a user keeps there.
_LIBRARIES = frozenset({"torch", "numpy", "snntorch", "lfp_snn", "numba", *sys.stdlib_module_names})
#: Folders of packages that were installed.
_INSTALLED = frozenset({"site-packages", "dist-packages"})
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
    return module is None or _package(module) in _LIBRARIES


def identity_of(value: Any) -> int:
    """What tells a function, or what calls one, from any other; 0 of what is no code."""
    value = _called(value)
    return id(value) if isinstance(value, FunctionType | BuiltinFunctionType) else 0


def is_special(name: str) -> bool:
    """Whether Python itself looks for an attribute of this name."""
    return name.startswith("__") and name.endswith("__")


class UserCode:
    """The code of a user: all but that of packages that were installed.

    Args:
        classes: the classes of the modules of a network, whose packages are a user's in any case.
    """

    def __init__(self, classes: Iterable[type]) -> None:
        self._own = {_package(each.__module__) for each in classes}

    def names(self, value: Any) -> tuple[str, ...]:
        """The names that a function takes of globals and as attributes; () of what is no code."""
        function = self._function(value)
        return () if function is None else _names(function.__code__)

    def of_function(self, value: Any) -> Iterator[Any]:
        """What a function takes of its closure, its defaults and the globals that it names.

        It may be a method, a property or a cache of results, and nothing is taken of what is no
        code. Of modules and classes it takes what they have under the names in it.
        """
        function = self._function(value)
        if function is None:
            return
        for cell in function.__closure__ or ():
            with suppress(ValueError):  # not filled yet
                yield cell.cell_contents
        yield from (function.__defaults__, function.__kwdefaults__)
        named, names, seen = function.__globals__, _names(function.__code__), set[int]()
        pending = [named[name] for name in _loaded(function.__code__) if name in named]
        while pending:
            found = pending.pop()
            if not isinstance(found, ModuleType | type):
                yield found
            elif id(found) not in seen:
                seen.add(id(found))
                pending += self._attributes(found, names)

    def of_class(self, kind: type) -> Iterator[tuple[str, Any]]:
        """The names and values of what a class and its bases keep, functions among them."""
        for each in kind.__mro__:
            if self._is_own(each.__module__):
                own = vars(each).items()
                yield from ((n, v) for n, v in own if not is_special(n) or callable(v))

    def _attributes(self, value: ModuleType | type, names: tuple[str, ...]) -> Iterator[Any]:
        """What a module, or a class with its bases, has under some names."""
        for each in value.__mro__ if isinstance(value, type) else (value,):
            if self._is_own(each.__module__ if isinstance(each, type) else each.__name__):
                yield from (vars(each)[name] for name in names if name in vars(each))

    def _function(self, value: Any) -> FunctionType | None:
        found = _called(value)
        is_own = isinstance(found, FunctionType) and self._is_own(found.__module__)
        return found if is_own else None

    def _is_own(self, module: str | None) -> bool:
        if module is None or is_of_a_library(module):
            return False
        package = _package(module)
        return package in self._own or not _is_installed(package)


def _package(module: str) -> str:
    return module.partition(".")[0]


@lru_cache(maxsize=1000)
def _is_installed(package: str) -> bool:
    spec = getattr(sys.modules.get(package), "__spec__", None)
    places = [spec.origin, *(spec.submodule_search_locations or ())] if spec is not None else []
    return any(not _INSTALLED.isdisjoint(Path(place).parts) for place in places if place)


def _called(value: Any) -> Any:
    """The function that a value calls, or the value."""
    while type(value) in _CALLERS:
        value = getattr(value, _CALLERS[type(value)])
    return value


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
    """The names in code, and its words: ``getattr(self, "scale")`` takes an attribute too."""
    found = dict.fromkeys(code.co_names)
    for inner in code.co_consts:
        if isinstance(inner, str):
            found[inner] = None
        elif isinstance(inner, CodeType):
            found |= dict.fromkeys(_names(inner))
    return tuple(found)
