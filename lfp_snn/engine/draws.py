"""Whether a forward draws random numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from typing_extensions import override

from lfp_snn.engine.calls import leaves

__all__ = ["Draws", "differ"]


class Draws(TorchDispatchMode):
    """A mode of torch that notes whether this thread draws from the process's random numbers."""

    seen = False

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: torch would load its compiler for this mode, which takes a second."""
        return False

    @override
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded in func.tags:
            own = any(isinstance(each, torch.Generator) for each in leaves((args, kwargs)))
            self.seen = self.seen or not own
        return func(*args, **kwargs)


def differ(before: tuple[Any, Any], now: tuple[Any, Any]) -> bool:
    """Whether the states of Python's and numpy's random numbers differ."""
    return before[0] != now[0] or not all(map(np.array_equal, before[1], now[1]))
