"""Libraries that take long to import, imported when something of them is first used.

torch takes more than a second. What describes (the options of a config, a rule, a layer that is not
built yet) names it in annotations and in functions that nothing may ever call, so that help, lists
and checks of configs can do without. ``from lfp_snn.later import torch`` stands in the place of
``import torch`` there; a module that makes a class of torch's classes imports torch itself.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import snntorch as snn
    import torch
    from torch import nn

__all__ = ["later", "lazily", "nn", "snn", "torch"]


class _Later(ModuleType):
    """A stand-in of a module, with the attributes of that; each is looked up there once."""

    def __getattr__(self, name: str) -> Any:
        found = getattr(import_module(self.__name__), name)
        setattr(self, name, found)  # so that the next look costs what it does in the module
        return found

    def __dir__(self) -> list[str]:
        return dir(import_module(self.__name__))


def later(name: str) -> Any:
    """A module that is imported when something of it is first used.

    Args:
        name: the dotted name of the module.
    """
    return _Later(name)


def lazily(
    package: str, where: Mapping[str, str]
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """The ``__getattr__`` and ``__dir__`` of a package that imports its names when they are used.

    Its modules are attributes of it as well, as they are of a package that imports them itself.

    Args:
        package: the name of the package.
        where: the dotted names of the modules that the public names are from.
    """

    def __getattr__(name: str) -> Any:
        if name in where:
            return getattr(import_module(where[name]), name)
        module = f"{package}.{name}"
        if name.startswith("__") or find_spec(module) is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return import_module(module)

    def __dir__() -> list[str]:
        return sorted({*vars(sys.modules[package]), *where})

    return __getattr__, __dir__


if not TYPE_CHECKING:
    torch, nn, snn = (later(name) for name in ("torch", "torch.nn", "snntorch"))
