"""Functions of a user that make the network of a run, or its data."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from torch import nn

from lfp_snn.errors import ConfigError, LfpSnnError, RunError
from lfp_snn.training import TrainedRun

__all__ = ["opened"]


def opened(
    run: Path, overrides: Sequence[str] | None, net: str | None, data: str | None
) -> TrainedRun:
    """Open a run, with the network and the data that functions of the user make.

    Args:
        run: the run directory.
        overrides: the changes of its config.
        net: the function that makes the network of a run of :func:`lfp_snn.fit`, as
            ``module:function``.
        data: the function that makes the data of such a run, as ``module:function``.

    Raises:
        ConfigError: there is no such function, or it makes something else.
        RunError: :meth:`~lfp_snn.training.TrainedRun.open` cannot open the run.
    """
    if run.is_file():
        raise RunError(
            f"{run} is a file and no run directory: the run comes first, lfp-snn predict RUN {run}."
        )
    return TrainedRun.open(
        run,
        overrides or (),
        net=None if net is None else _network(net),
        data=None if data is None else _maker(data, "--data"),
    )


def _network(given: str) -> Callable[[], nn.Module]:
    make = _maker(given, "--net")

    def network() -> nn.Module:
        made = make()
        if not isinstance(made, nn.Module):
            raise ConfigError(
                f"--net {given} makes a {type(made).__name__}; expected a torch module."
            )
        return made

    return network


def _maker(given: str, option: str) -> Callable[[], Any]:
    """A function whose own failures are told in a sentence."""
    function = _function(given, option)

    def make() -> Any:
        try:
            return function()
        except LfpSnnError:
            raise
        except Exception as error:  # whatever a user's code raises
            last = traceback.extract_tb(error.__traceback__)[-1]
            raise ConfigError(
                f"{option} {given} fails in line {last.lineno} of {Path(last.filename).name}: "
                f"{type(error).__name__}: {error}"
            ) from error

    return make


def _function(given: str, option: str) -> Callable[[], Any]:
    """The function that ``module:function`` names, seen from the folder where the command is run.

    Raises:
        ConfigError: there is no such function.
    """
    module, colon, name = given.partition(":")
    if not (module and colon and name):
        raise ConfigError(
            f"{option} is {given!r}; expected module:function, such as mine:make_net for the "
            "function make_net of mine.py."
        )
    here = str(Path.cwd())
    if sys.path[:1] != [here]:
        sys.path.insert(0, here)
    try:
        found = getattr(import_module(module.removesuffix(".py").replace("/", ".")), name, None)
    except Exception as error:  # whatever a user's code raises when it is imported
        raise ConfigError(
            f"{option} {given}: the module cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if not callable(found):
        raise ConfigError(f"{option} {given}: the module {module} has no function {name}.")
    return found  # type: ignore[no-any-return]
