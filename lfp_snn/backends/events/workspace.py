"""Reusable buffers and the thread count of the kernels."""

from math import prod
from typing import Any

import numba
import numpy as np
import torch
from numpy.typing import DTypeLike

_ALIGN = 64


class Workspace:
    """Named numpy buffers that are kept and reused.

    A fresh array of tens of megabytes costs more in page faults than the arithmetic that fills it,
    so kernels ask here for their scratch and for what they hand out. Ownership: what a kernel
    returns lives in the workspace that it was given and is valid until the next call with the same
    workspace asks for the same name; use one workspace per layer and direction. Not thread-safe.
    """

    def __init__(self) -> None:
        self._bytes: dict[str, np.ndarray] = {}

    def get(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
        """An array of that shape, aligned to a cache line, with undefined content."""
        kind = np.dtype(dtype)
        size = prod(shape) * kind.itemsize
        held = self._bytes.get(name)
        if held is None or held.size < size:
            room = size + size // 8
            raw = np.empty(room + _ALIGN, np.uint8)
            skip = -raw.ctypes.data % _ALIGN
            held = self._bytes[name] = raw[skip : skip + room]
        return held[:size].view(kind).reshape(shape)

    def zeros(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> np.ndarray:
        """An array of that shape, as of :meth:`get`, filled with zero."""
        array = self.get(name, shape, dtype)
        array.fill(0)
        return array

    @property
    def nbytes(self) -> int:
        """The bytes held at present."""
        return sum(array.size for array in self._bytes.values())


def match_threads(count: int) -> int:
    """Let the kernels use `count` threads (at most what numba has); returns the number set.

    Results do not depend on it. Call it with torch.get_num_threads() ahead of a pass.
    """
    chosen: int = max(1, min(count, numba.config.NUMBA_NUM_THREADS))
    if numba.get_num_threads() != chosen:
        numba.set_num_threads(chosen)
    # When numba starts its threads, it sets OpenMP's number of threads, also torch's, to the cores.
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)
    return chosen


def threads() -> Any:
    """The number of threads that the kernels use now."""
    return numba.get_num_threads()
