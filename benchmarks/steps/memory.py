"""The peak memory of a training step, each contender in a process of its own."""

from __future__ import annotations

import ctypes
import gc
import pickle
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch

from benchmarks.steps.contenders import OURS, Contender
from benchmarks.steps.problem import Problem

__all__ = ["Peaks", "measure_peaks"]

STEPS = 3  # the optimizer's state is made in the first, buffers are reused in the others
TINY = (2, 2)  # T and B of the problem on which kernels are loaded
STATUS = Path("/proc/self/status")
CLEAR = Path("/proc/self/clear_refs")  # writing 5 forgets the peak so far


@dataclass(frozen=True)
class Peaks:
    """The peak resident sizes of a step above weights and input.

    Args:
        facts: the facts about what was measured on.
        bytes: the bytes by the name of the contender.
        left_out: the reason why a contender was not measured, by its name.
    """

    facts: dict[str, Any]
    bytes: dict[str, int]
    left_out: dict[str, str]

    def ratio(self, name: str, to: str = OURS) -> float:
        """The memory of a contender relative to that of ``to``."""
        return self.bytes[name] / self.bytes[to]

    def record(self) -> dict[str, Any]:
        """The measurement as JSON takes it."""
        return {**self.facts, "bytes": self.bytes, "left_out": self.left_out}


def measure_peaks(problem: Problem, makes: Sequence[Callable[[], Contender]]) -> Peaks:
    """Measure every contender in a fresh process.

    There, kernels are loaded on a tiny problem (compiling them takes memory that no step needs),
    then weights and input are taken up in the form that the contender wants. The resident size at
    that point is subtracted from its peak over three steps; the peak is the kernel's own count
    (VmHWM, started anew). This needs Linux.
    """
    peaks: dict[str, int] = {}
    left_out: dict[str, str] = {}
    payload = pickle.dumps(problem)
    for make in makes:
        name, reason = make().name, make().available() or _unsupported()
        if reason is None:
            try:
                peaks[name] = _in_fresh_process(make, payload)
                continue
            except BrokenProcessPool:
                reason = "its process was killed, as where memory runs out"
        left_out[name] = reason
    return Peaks(problem.facts(), peaks, left_out)


def _in_fresh_process(make: Callable[[], Contender], payload: bytes) -> int:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(_peak, make, payload, torch.get_num_threads()).result()


def _peak(make: Callable[[], Contender], payload: bytes, number: int) -> int:
    """Measure the peak, in the fresh process."""
    torch.set_num_threads(number)
    problem: Problem = pickle.loads(payload)
    steps, batch = TINY
    x = problem.x[:batch].dense()[:steps]
    tiny = replace(problem, x=type(problem.x).from_dense(x), labels=problem.labels[:batch])
    _run(make, tiny, 1)
    contender = make()
    contender.prepare(problem)
    del problem, tiny, x, payload
    _give_back()
    CLEAR.write_text("5")
    before = _status("VmRSS")
    for _ in range(STEPS):
        contender.step()
    return _status("VmHWM") - before


def _run(make: Callable[[], Contender], problem: Problem, steps: int) -> None:
    contender = make()
    contender.prepare(problem)
    for _ in range(steps):
        contender.step()


def _give_back() -> None:
    """Return freed memory to the system: what a step took from it would not show as growth."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
    if trim is not None:
        trim(0)


def _status(key: str) -> int:
    """A size in bytes that the system knows of this process."""
    for line in STATUS.read_text().splitlines():
        if line.startswith(f"{key}:"):
            return int(line.split()[1]) * 1024
    raise KeyError(key)


def _unsupported() -> str | None:
    if CLEAR.exists() and STATUS.exists():
        return None
    return "peak memory is measured on Linux only"
