"""A stopwatch for the seconds that each stage of a pass takes, forwards and backwards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import Literal

import torch

__all__ = ["Stopwatch", "Way"]

Way = Literal["forward", "backward"]


class Stopwatch:
    """The seconds that stages take, added up; a TemporalLFP uses the one set as its ``stopwatch``.

    On CUDA each stage is waited for, which a training does not do: the shares are right, and their
    sum is more than the step of a training.

    Attributes:
        seconds: the seconds by the name of the stage and the direction.
    """

    def __init__(self) -> None:
        self.seconds: dict[tuple[str, Way], float] = defaultdict(float)

    @contextmanager
    def time(self, stage: str, way: Way) -> Iterator[None]:
        """Add the seconds of a ``with`` block to a stage."""
        self._wait()
        start = perf_counter()
        yield
        self._wait()
        self.seconds[stage, way] += perf_counter() - start

    @staticmethod
    def _wait() -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
