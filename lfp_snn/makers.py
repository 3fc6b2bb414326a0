"""Functions of a user, named ``module:function`` in a config or on the command line."""

from __future__ import annotations

import inspect
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
                f"{where} {given} makes a {_kind(made)}; expected a torch module{_cure(made)}."
            )
        return made

    return network


def _kind(made: object) -> str:
    return f"class, {made.__name__}" if isinstance(made, type) else type(made).__name__


def _cure(made: object) -> str:
    """What to do about something that is no module."""
    if made is None:
        return ": let the function return it"
    if isinstance(made, type) and issubclass(made, nn.Module):
        return f": return {made.__name__}()"
    inner = getattr(made, "net", None)
    if isinstance(inner, nn.Module):
        return ": return its net"
    if isinstance(made, tuple | list) and any(isinstance(each, nn.Module) for each in made):
        return " alone"
    return ""


def maker(given: str, where: str) -> Callable[[], Any]:
    """A function of the user whose own failures are told in a sentence.

    Args:
        given: the name of the function, ``module:function``.
        where: the option or key that names it, for messages.

    Raises:
        ConfigError: there is no such function.
    """
    function = _function(given, where)
    _refuse_arguments(function, given, where)

    def make() -> Any:
        try:
            return function()
        except LfpSnnError:
            raise
        except SystemExit as error:
            raise ConfigError(
                f"{where} {given} ends the program, sys.exit({error.code!r}), in the place of "
                "returning what it makes: let it return, and read no command line."
            ) from error
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
    except SystemExit as error:
        raise ConfigError(
            f"{where} {given}: the module ends the program when it is imported, "
            f"sys.exit({error.code!r}): put what it runs under if __name__ == '__main__'."
        ) from error
    except Exception as error:  # whatever a user's code raises when it is imported
        raise ConfigError(
            f"{where} {given}: the module cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if not callable(found):
        raise ConfigError(f"{where} {given}: the module {module} has no function {name}.")
    if isinstance(found, nn.Module):
        raise ConfigError(
            f"{where} {given} is a network, a {type(found).__name__}, and no function that makes "
            f"one, of which several may be needed: write one, such as def make_{name}(): return "
            f"{type(found).__name__}(...)."
        )
    return found  # type: ignore[no-any-return]


def _refuse_arguments(function: Callable[..., Any], given: str, where: str) -> None:
    """Refuse a function that cannot be called without arguments, as far as it says what it takes.

    Raises:
        ConfigError: it needs some; the message names them.
    """
    try:
        taken = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # written in C, it may say nothing
        return
    open_ended = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    needed = [p.name for p in taken if p.default is p.empty and p.kind not in open_ended]
    if needed:
        name = given.rpartition(":")[2]
        raise ConfigError(
            f"{where} {given} needs arguments ({', '.join(needed)}); expected a function without: "
            f"give them defaults, or write one that calls it, such as def make(): return "
            f"{name}({', '.join(f'{each}=...' for each in needed)})."
        )
