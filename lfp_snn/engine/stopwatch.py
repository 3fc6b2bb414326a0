"""Where the time of a pass goes: seconds of each stage, forwards and backwards."""

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
    """Adds up the seconds that stages take; a TemporalLFP with one as its ``stopwatch`` uses it.

    On CUDA each stage is waited for, which a training does not do: shares are right, and their sum
    is more than the step of a training.

    Attributes:
        seconds: by the name of the stage and the way.
    """

    def __init__(self) -> None:
        self.seconds: dict[tuple[str, Way], float] = defaultdict(float)

    @contextmanager
    def time(self, stage: str, way: Way) -> Iterator[None]:
        """Add what is done within to a stage."""
        self._wait()
        start = perf_counter()
        yield
        self._wait()
        self.seconds[stage, way] += perf_counter() - start

    @staticmethod
    def _wait() -> None:
        if torch.cuda.is_available():
            torch.cuda.synchronize()
