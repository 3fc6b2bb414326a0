"""The module that runs branches on one input and merges what they give."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

__all__ = ["Merge"]

_MERGED: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "max": torch.maximum,
    "sum": lambda r, x: r + x,
    "and": lambda r, x: r + x - torch.maximum(r, x),
    "iand": lambda r, x: torch.maximum(r, x) - r,
}


class Merge(nn.Module):
    """Branches that see the same input, and what becomes of their outputs.

    Args:
        branches: the branches by name.
        how: how the outputs are merged: elementwise ``max``, ``sum``, ``and`` or ``iand``, or
            ``concat`` (channels side by side). Of spikes r and x, ``and`` is
            ``r + x - max(r, x)``, and ``iand``, where x spikes and r does not, ``max(r, x) - r``.
    """

    def __init__(self, branches: Mapping[str, nn.Module], how: str) -> None:
        super().__init__()
        for name, branch in branches.items():
            self.add_module(name, branch)
        self.how = how

    def forward(self, x: Tensor) -> Tensor:
        """Run one time step."""
        outputs: list[Tensor] = [branch(x) for branch in self.children()]
        merged, *others = outputs
        if self.how == "concat":
            return torch.cat(outputs, 1)
        for other in others:
            merged = _MERGED[self.how](merged, other)
        return merged

    def extra_repr(self) -> str:
        """How the branches are merged."""
        return f"merge={self.how}"
