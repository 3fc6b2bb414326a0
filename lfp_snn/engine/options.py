"""The options of the engine: on which kernels, in how much memory, in which numbers it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from lfp_snn.backends.support import BACKENDS, HALF_PRECISIONS, PRECISIONS, Precision
from lfp_snn.errors import NetworkError
from lfp_snn.statistics import Statistics

__all__ = ["BUDGET", "EngineOptions", "Memory", "Precision", "Statistics"]

#: What a pass keeps for the way back: every step, or what its chunks are repeated from.
Memory = Literal["full", "chunked"]
#: Bytes for one chunk and the membranes at all borders, unless told.
BUDGET = 256 * 2**20


@dataclass(frozen=True)
class EngineOptions:
    """How the engine runs a network, whatever the network and the rule are.

    :class:`~lfp_snn.TemporalLFP` takes the same options one by one and explains each.

    Args:
        backend: the name of the kernels, or ``"auto"``.
        memory: what is kept for the way back, ``"full"`` or ``"chunked"``.
        chunk: the steps of a chunk; None to choose as many as the budget allows.
        budget: the bytes for one chunk and the membranes at all borders.
        precision: the precision of the products of synapses: ``"exact"``, ``"tf32"``, ``"bf16"`` or
            ``"fp16"``.
        statistics: how credit goes through a normalisation, ``"fixed"`` or ``"through"``; None for
            what the rule wants.

    Raises:
        NetworkError: there is no such backend, memory, precision or statistics, or what is given
            does not fit it.
    """

    backend: str = "auto"
    memory: Memory = "full"
    chunk: int | None = None
    budget: int = BUDGET
    precision: Precision = "tf32"
    statistics: Statistics | None = None

    def __post_init__(self) -> None:
        if self.memory not in get_args(Memory):
            raise NetworkError(
                f"There is no memory '{self.memory}'; expected {', '.join(get_args(Memory))}."
            )
        if self.statistics not in (None, *get_args(Statistics)):
            raise NetworkError(
                f"There are no statistics '{self.statistics}'; expected "
                f"{', '.join(get_args(Statistics))}."
            )
        if self.chunk is not None and (self.chunk < 1 or self.memory == "full"):
            raise NetworkError(
                f"chunk is {self.chunk} with memory='{self.memory}'; expected at least one step, "
                "and memory='chunked', or no chunk."
            )
        if self.budget < 1:
            raise NetworkError(f"budget is {self.budget}; expected a number of bytes above 0.")
        if self.backend not in ("auto", *BACKENDS):
            known = ", ".join(("auto", *BACKENDS))
            raise NetworkError(f"There is no backend '{self.backend}'; expected {known}.")
        if self.precision not in PRECISIONS:
            raise NetworkError(
                f"There is no precision '{self.precision}'; expected {', '.join(PRECISIONS)}."
            )
        if self.precision in HALF_PRECISIONS and self.backend == "events":
            raise NetworkError(
                f"precision is '{self.precision}' with backend='events', which computes in the "
                "type of the network: leave one of them out."
            )
