"""Errors of allocators, turned into a sentence that says what to make smaller."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from lfp_snn.errors import RunError
from lfp_snn.training.config import Settings
from lfp_snn.wording import setting

__all__ = ["advised", "of_memory"]

#: How torch's allocators, those of OpenMP and numba's kernels say it, where no type of error does.
_PHRASES = re.compile(
    r"not enough memory|can't allocate memory|cannot allocate memory|out of memory"
    r"|allocation failed|bad_alloc|failed to allocate|unable to mmap|can't start new thread",
    re.I,
)


@contextmanager
def advised(settings: Settings, run: Path | None = None) -> Iterator[None]:
    """Explain how the settings can save memory when a ``with`` block runs out of it.

    Args:
        settings: the settings of the training.
        run: the run directory, if there is one.

    Raises:
        RunError: memory ran out.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not of_memory(error):
            raise
        kept = "" if run is None else f" What {run} holds is intact."
        raise RunError(f"Memory ran out: {_advice(settings)}.{kept}") from error


def of_memory(error: BaseException) -> bool:
    """Whether an error means that memory ran out."""
    kinds = (MemoryError, torch.cuda.OutOfMemoryError)
    return isinstance(error, kinds) or _PHRASES.search(str(error)) is not None


def _advice(settings: Settings) -> str:
    """The settings that take the memory, with their values."""
    learner = settings.learner
    advice = f"make batch_size smaller than {settings.batch_size}"
    memory = getattr(learner, "memory", None)
    if memory == "full":
        how = setting("learner.memory", "chunked")
        return f"{advice}, or set {how}, which is {memory} (and slower then)"
    if memory == "chunked":
        chunk = getattr(learner, "chunk", None)
        how = setting("learner.chunk")
        return f"{advice}, or set {how}, which is {chunk or 'null'}, to fewer steps"
    return f"{advice}, or {setting('data.steps')}, or the network smaller"
