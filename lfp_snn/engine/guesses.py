"""Shapes of inputs that a network may take, guessed where none was seen yet."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn

__all__ = ["fewest", "frames", "guesses", "note_frame", "sequence"]

#: The most steps that are guessed of a forward that loops over a number of its own.
MOST_STEPS = 1024

#: The shapes of frames that networks are known to take.
_KNOWN_FRAMES: WeakKeyDictionary[nn.Module, tuple[int, ...]] = WeakKeyDictionary()


def note_frame(net: nn.Module, frame: Sequence[int]) -> None:
    """Note the shape of the input of a step that a network takes, without batch.

    Before it has seen an input it is traced on that shape first, and then on guessed ones.
    """
    _KNOWN_FRAMES[net] = tuple(frame)


def guesses(net: nn.Module) -> Iterator[tuple[int, ...]]:
    """The shapes that the forward of a network may take: of a step, and of three steps."""
    known = list(dict.fromkeys(frames(net)))
    yield from ((2, *frame) for frame in known)
    yield from ((3, 2, *frame) for frame in known)


def frames(net: nn.Module) -> Iterator[tuple[int, ...]]:
    """The shapes of one sample: known, or told by the first module that needs one."""
    if net in _KNOWN_FRAMES:
        yield _KNOWN_FRAMES[net]
    for module in net.modules():
        if isinstance(module, nn.Linear):
            yield (module.in_features,)
            return
        if isinstance(module, nn.Unflatten):
            sizes: Any = module.unflattened_size
            yield (math.prod(sizes),)
            return
        if isinstance(module, nn.Conv1d | nn.ConvTranspose1d):
            yield from ((module.in_channels, size) for size in (64, 128, 32, 16, 700))
            return
        if isinstance(module, nn.Conv3d):
            yield from ((module.in_channels, size, size, size) for size in (16, 8))
            return
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            sizes = (64, 32, 28, 34, 128, 16, 8, 4)
            yield from ((module.in_channels, size, size) for size in sizes)
            return
        if isinstance(module, _MAPS):
            yield from ((3, 16, 16), (3, 32), (4,))
            return
    yield from ((4,), (3, 16, 16), (3, 32))


#: Modules that need maps and do not tell of which size.
_MAPS = (
    nn.MaxPool1d,
    nn.MaxPool2d,
    nn.AvgPool1d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d,
    nn.AdaptiveMaxPool1d,
    nn.AdaptiveMaxPool2d,
)


def sequence(frame: tuple[int, ...], axis: int, steps: int) -> tuple[int, ...]:
    """The shape of a sequence of two samples whose time is an axis, 0 or 1."""
    return (2, steps, *frame) if axis else (steps, 2, *frame)


def fewest(runs: Callable[[int], bool]) -> int | None:
    """The fewest steps with which a forward runs that needs some number of them, if any do."""
    enough = 4
    while not runs(enough):
        enough *= 2
        if enough > MOST_STEPS:
            return None
    few = enough // 2
    while enough - few > 1:
        middle = (few + enough) // 2
        few, enough = (few, middle) if runs(middle) else (middle, enough)
    return enough
