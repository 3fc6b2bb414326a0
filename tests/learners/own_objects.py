"""Objects of a user's own: a rule, and a function that is a reward."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lfp_snn.rules import Epsilon, Rule

__all__ = ["Damped", "nothing"]


@dataclass(frozen=True)
class Damped(Rule):
    """Epsilon with a square."""

    strength: float = 0.5

    def split(self, relevance: Tensor, kept: Tensor, *parts: Tensor) -> tuple[Tensor, ...]:
        return Epsilon(self.strength**2).split(relevance, kept, *parts)


def nothing(spikes: Tensor, *_: Any) -> Tensor:
    """No reward for anything."""
    return torch.zeros_like(spikes)
