"""Functions of a user, named ``module:function`` in a config or on the command line."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from lfp_snn.errors import ConfigError, LfpSnnError
from lfp_snn.later import nn

__all__ = ["maker", "network_maker", "permit", "permitted", "those_permitted"]

#: The functions that the user has named in this process, beside a config.
_PERMITTED: set[str] = set()


def permit(given: str) -> None:
    """Let configs name a function from now on; the user has named it beside them."""
    _PERMITTED.add(given)


def those_permitted() -> list[str]:
    """The functions that configs may name, for another process of the same command."""
    return sorted(_PERMITTED)


def permitted(given: str) -> bool:
    """Whether a config may name a function; no file calls code by itself (:func:`permit`)."""
    return given in _PERMITTED


def network_maker(given: str, where: str) -> Callable[[], nn.Module]:
    """A function of the user that makes a network, checked when it is called.

    Args:
        given: the name of the function, ``module:function``.
        where: the option or key that names it, for messages.

    Raises:
        ConfigError: there is no such function; when it is called, it fails or makes no network.
    """
    make = maker(given, where)

    def network() -> nn.Module:
        made = make()
        if not isinstance(made, nn.Module):
            raise ConfigError(
                f"{where} {given} makes a {type(made).__name__}; expected a torch module."
            )
        return made

    return network


def maker(given: str, where: str) -> Callable[[], Any]:
    """A function of the user whose own failures are told in a sentence.

    Args:
        given: the name of the function, ``module:function``.
        where: the option or key that names it, for messages.

    Raises:
        ConfigError: there is no such function.
    """
    function = _function(given, where)

    def make() -> Any:
        try:
            return function()
        except LfpSnnError:
            raise
        except Exception as error:  # whatever a user's code raises
            last = traceback.extract_tb(error.__traceback__)[-1]
            raise ConfigError(
                f"{where} {given} fails in line {last.lineno} of {Path(last.filename).name}: "
                f"{type(error).__name__}: {error}"
            ) from error

    return make


def _function(given: str, where: str) -> Callable[[], Any]:
    """The function that ``module:function`` names, seen from the folder where the command is run.

    Raises:
        ConfigError: there is no such function.
    """
    module, colon, name = given.partition(":")
    if not (module and colon and name):
        raise ConfigError(
            f"{where} is {given!r}; expected module:function, such as mine:make_net for the "
            "function make_net of mine.py."
        )
    here = str(Path.cwd())
    if sys.path[:1] != [here]:
        sys.path.insert(0, here)
    try:
        found = getattr(import_module(module.removesuffix(".py").replace("/", ".")), name, None)
    except Exception as error:  # whatever a user's code raises when it is imported
        raise ConfigError(
            f"{where} {given}: the module cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if not callable(found):
        raise ConfigError(f"{where} {given}: the module {module} has no function {name}.")
    return found  # type: ignore[no-any-return]
