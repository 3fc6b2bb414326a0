"""Functions of a user that make the network of a config or a run, or its data."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lfp_snn.errors import RunError
from lfp_snn.later import later
from lfp_snn.makers import maker, network_maker, permit

if TYPE_CHECKING:
    from lfp_snn.training import trained
    from lfp_snn.training.trained import TrainedRun
else:
    trained = later("lfp_snn.training.trained")

__all__ = ["opened", "with_network"]


def with_network(overrides: Sequence[str] | None, net: str | None) -> list[str]:
    """The changes of a config with the network that a function of the user makes.

    Args:
        overrides: the changes that are given.
        net: the function, as ``module:function``; None for the network of the config.

    Raises:
        ConfigError: there is no such function.
    """
    given = list(overrides or ())
    if net is None:
        return given
    network_maker(net, "--net")  # a wrong name is told before anything is begun
    permit(net)
    return [f"model={json.dumps({'name': 'own', 'function': net})}", *given]


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
            f"{run} is a file and no run directory: the run comes first, as in lfp-snn predict RUN "
            f"{run}."
        )
    return trained.TrainedRun.open(
        run,
        overrides or (),
        net=None if net is None else network_maker(net, "--net"),
        data=None if data is None else maker(data, "--data"),
    )
