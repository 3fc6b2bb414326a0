"""An exponential moving average of the weights, which is what is evaluated, kept and exported.

After every step of the optimizer the average moves a little towards the weights that learn,

    average <- decay * average + (1 - decay) * weights

from the weights after the first step on. The statistics of normalisations are averaged as weights
are; what holds whole numbers (the batches that a normalisation has seen) is taken as it is.
Learning itself knows nothing of the average.

The average is torch's (:func:`torch.optim.swa_utils.get_ema_multi_avg_fn`). Its ``AveragedModel``
is not used: it waits for a GPU at every step, and copies the module, which a neuron with a state
does not always survive. Here the average stands in the network while that is evaluated, in place,
so that recorded steps find every tensor where it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

__all__ = ["Average"]

#: Moves averages, the first tensors, towards the second ones.
_Move = Callable[[Sequence[Tensor], Sequence[Tensor], int], None]

_STEPS = "steps"  # beside the names of tensors, each of which has a prefix
_TENSOR = "tensor/"


class Average:
    """The moving average of a network's weights and statistics; without a decay, none.

    Args:
        net: the network, whose tensors stay where they are.
        decay: the share of the average that a step leaves, in (0, 1); ``None`` for no average: then
            the weights themselves are evaluated.
    """

    def __init__(self, net: nn.Module, decay: float | None) -> None:
        self._move: _Move | None = None
        if decay is not None:
            self._move = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        self._steps = 0  # in the average
        self._live: dict[str, Tensor] = {}
        if decay is not None:
            state = net.state_dict()
            self._live = {n: each for n, each in state.items() if each.is_floating_point()}
        self._average = {name: tensor.clone() for name, tensor in self._live.items()}

    def tensors(self) -> list[Tensor]:
        """The tensors of the average, in the order of the network's; none without a decay."""
        return list(self._average.values())

    @torch.no_grad()
    def follow(self) -> None:
        """Move the average towards the present weights; nothing waits for the device."""
        if self._move is None:
            return
        if self._steps:
            self._move(self.tensors(), list(self._live.values()), self._steps)
        else:
            self._write(self._average, self._live)
        self._steps += 1

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the network have the averaged weights for the time of a ``with`` block."""
        if not self._steps:
            yield
            return
        kept = {name: tensor.clone() for name, tensor in self._live.items()}
        self._write(self._live, self._average)
        try:
            yield
        finally:
            self._write(self._live, kept)

    def state_dict(self) -> dict[str, Tensor]:
        """The average and the number of steps in it; nothing without a decay."""
        if self._move is None:
            return {}
        named = {f"{_TENSOR}{name}": tensor for name, tensor in self._average.items()}
        return {_STEPS: torch.tensor(self._steps), **named}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over what :meth:`state_dict` gave.

        Raises:
            KeyError: it is of another network, or only one of the two keeps an average.
        """
        if state.keys() != self.state_dict().keys():
            raise KeyError(f"the average has {sorted(self.state_dict())}, but got {sorted(state)}")
        if self._move is not None:
            self._steps = int(state[_STEPS])
            self._write(self._average, {n: state[f"{_TENSOR}{n}"] for n in self._average})

    @torch.no_grad()
    def _write(self, places: Mapping[str, Tensor], tensors: Mapping[str, Tensor]) -> None:
        for name, place in places.items():
            place.copy_(tensors[name])
