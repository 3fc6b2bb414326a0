"""Normalisations in a network: one for each time step, and how credit goes through them.

The forward of a network is one step; a list of normalisations, one for each, is :class:`PerStep`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, get_args

import torch
from torch import Tensor, nn
from typing_extensions import override

from lfp_snn.errors import ConfigError, ShapeError
from lfp_snn.statistics import Statistics

__all__ = [
    "PerStep",
    "Statistics",
    "batch_norms",
    "running_statistics",
    "statistics_given_back",
    "statistics_of",
    "with_statistics",
]

_Norm = TypeVar("_Norm", bound=nn.Module)


def with_statistics(norm: _Norm, statistics: Statistics | None) -> _Norm:
    """Set how credit goes through a normalisation, whatever is set for the network.

    Args:
        norm: the normalisation, which is returned.
        statistics: how credit goes through it: ``"fixed"``, ``"through"``, or None for what
            :class:`~lfp_snn.TemporalLFP` is told for all.

    Raises:
        ConfigError: there are no such statistics.
    """
    if statistics not in (None, *get_args(Statistics)):
        raise ConfigError(
            f"There are no statistics {statistics!r}; expected "
            f"{' or '.join(map(repr, get_args(Statistics)))}, or None."
        )
    told: Any = norm
    told.statistics = statistics
    return norm


def statistics_of(norm: nn.Module | None) -> Statistics | None:
    """The statistics that :func:`with_statistics` set for a normalisation, or None."""
    told: Statistics | None = getattr(norm, "statistics", None)
    return told


def batch_norms(net: nn.Module) -> dict[str, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d]:
    """The normalisations of a network that take their statistics over a batch, by name."""
    kinds = nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d
    return {name: each for name, each in net.named_modules() if isinstance(each, kinds)}


def running_statistics(net: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """The running statistics that normalisations of a network keep, each with its name."""
    for name, norm in batch_norms(net).items():
        yield from norm.named_buffers(name, recurse=False)


@contextmanager
def statistics_given_back(net: nn.Module) -> Iterator[None]:
    """Give running statistics back what they were, if the ``with`` block ends in an error.

    Those of another device than the CPU stay: nothing is found to be wrong there.
    """
    held = [each for _, each in running_statistics(net) if each.device.type == "cpu"]
    before = [each.clone() for each in held]
    try:
        yield
    except BaseException:
        with torch.no_grad():
            for each, was in zip(held, before, strict=True):
                each.copy_(was)
        raise


class PerStep(nn.Module):
    """The list that ``snntorch.BatchNormTT1d`` or ``BatchNormTT2d`` makes, as a module.

    The module keeps the step as neurons keep their membrane: each call takes the next normalisation
    of the list, from the first after :meth:`rest`. :class:`~lfp_snn.TemporalLFP` and all learners
    begin with the first.

    Args:
        norms: the list of normalisations, one for each step.

    Raises:
        ShapeError: the module is called more often than there are normalisations, without a rest.

    Example::

        nn.Sequential(nn.Linear(784, 100, bias=False), PerStep(snn.BatchNormTT1d(100, steps=25)),
                      snn.Leaky(beta=0.9, init_hidden=True), ...)
    """

    def __init__(self, norms: Iterable[nn.Module]) -> None:
        super().__init__()
        self.norms = nn.ModuleList(norms)
        self.step = 0

    def rest(self) -> None:
        """Begin with the first step again."""
        self.step = 0

    @override
    def forward(self, x: Tensor) -> Tensor:
        if self.step >= len(self.norms):
            raise ShapeError(
                f"PerStep holds normalisations for {len(self.norms)} steps and was called once "
                "more: build it with as many as the input has, and call rest() between sequences."
            )
        y: Tensor = self.norms[self.step](x)
        self.step += 1
        return y
