"""What is searched for a network of a user: values that fit what it ends in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from lfp_snn.analysis.study.spec import Arm, Range
from lfp_snn.errors import ConfigError, OtherOutputError
from lfp_snn.later import later

if TYPE_CHECKING:
    from torch import nn

    from lfp_snn.training import assembly
else:
    assembly = later("lfp_snn.training.assembly")

__all__ = ["fitting"]


def fitting(arm: Arm) -> Arm:
    """An arm that searches no rewards and losses made for another output than its network has.

    A config's search is written for a network; that of a user may end otherwise, in membranes or
    values. Where no value of a list fits, that key is left to its default, which goes by the
    network. The networks that a config describes itself are searched as it says.

    Args:
        arm: the arm, with a config that fits.

    Raises:
        LfpSnnError: the network cannot be made or traced.
    """
    try:
        make = arm.config({}, 0).model.maker()
    except ConfigError:  # no function of that name may be called, as is told when it would be
        return arm
    if make is None:
        return arm
    tune = dict(arm.tune)
    for key, values in arm.tune.items():
        if isinstance(values, Range) or not key.startswith("learner."):
            continue
        kept = [value for value in values if _fits(arm, make, {key: value})]
        if kept:
            tune[key] = kept
        else:
            del tune[key]
    return arm.model_copy(update={"tune": tune})


def _fits(arm: Arm, make: Callable[[], nn.Module], values: Mapping[str, Any]) -> bool:
    try:
        assembly.build_learner(make(), arm.config(values, 0))
    except OtherOutputError:
        return False
    return True
