"""What users give to rewards and losses, checked: records of outputs, labels, lengths, options."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import numpy.typing as npt

from lfp_snn.errors import ConfigError, ShapeError
from lfp_snn.later import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = [
    "Labels",
    "integers",
    "own_steps",
    "require_finite",
    "require_number",
    "require_open_flag",
    "require_positive",
    "require_record",
    "require_share",
    "require_whole",
    "true_classes",
]

_LONGEST = 80  # characters of a value in a message

#: Integers, one for each sample.
Labels: TypeAlias = "Tensor | Sequence[int] | npt.NDArray[Any]"


def require_record(spikes: object, labels: object = None) -> None:
    """Refuse what is no record of outputs ``[T, B, C]``.

    Args:
        spikes: what was given as the record.
        labels: what was given beside it, where the record may stand by mistake.

    Raises:
        ShapeError: it is something else; the message says what was found, and what to give.
    """
    if isinstance(spikes, torch.Tensor) and spikes.dim() == 3 and spikes.is_floating_point():
        return
    if isinstance(labels, torch.Tensor) and labels.dim() == 3:
        raise ShapeError(
            "Spikes and labels have changed places: call reward(spikes, labels), the output spikes "
            "[T, B, C] first."
        )
    if not isinstance(spikes, torch.Tensor):
        found = f"a {type(spikes).__name__}"
    else:
        kind = str(spikes.dtype).removeprefix("torch.")
        found = f"of the shape {tuple(spikes.shape)} and the type {kind}"
    raise ShapeError(
        f"The output spikes are {found}; expected a tensor [T, B, C] of a floating type, one value "
        "for each step, sample and output, as lfp.forward gives it."
    )


def own_steps(spikes: Tensor, lengths: Labels | None) -> Tensor:
    """The number of steps of each sample, ``[B, 1]``, in the dtype of the spikes.

    One that takes no part, of length 0, counts over one step: what it is divided by is no zero.

    Raises:
        ShapeError: there is not one number per sample, or one is below 0 or above T.
    """
    steps, batch = spikes.shape[:2]
    if lengths is None:
        return torch.full((batch, 1), steps, dtype=spikes.dtype, device=spikes.device)
    lengths = integers("lengths", lengths)
    if lengths.shape != (batch,):
        raise ShapeError(
            f"lengths has the shape {tuple(lengths.shape)}; expected ({batch},), one per sample."
        )
    # On a device a look at them would wait for it.
    if lengths.device.type == "cpu" and bool(((lengths < 0) | (lengths > steps)).any()):
        raise ShapeError(
            f"lengths run from {int(lengths.min())} to {int(lengths.max())}; expected 0 to "
            f"T={steps}."
        )
    return lengths.to(spikes).clamp(min=1)[:, None]


def true_classes(shape: torch.Size, labels: Labels | None, device: torch.device) -> Tensor:
    """Bool ``[B, C]``, true at each sample's class."""
    batch, classes = shape[-2:]
    if labels is None:
        raise ShapeError(f"This reward needs labels: give one class for each of {batch} samples.")
    labels = integers("labels", labels)
    if labels.shape != (batch,):
        hint = (
            ": there are as many labels as time steps, so that the input of forward had its samples"
            " where time belongs; give it x.transpose(0, 1), or, if it has no time, steps=25"
            if labels.shape == shape[:-2]
            else ""
        )
        raise ShapeError(
            f"labels have the shape {tuple(labels.shape)}; expected integers of shape ({batch},), "
            f"one class for each sample, for outputs of shape {tuple(shape)}{hint}."
        )
    labels = labels.to(device)
    truth = labels[:, None] == torch.arange(classes, device=device)
    if device.type == "cpu" and not bool(truth.any(-1).all()):
        raise ShapeError(
            f"labels run from {int(labels.min())} to {int(labels.max())}, but the network has "
            f"{classes} outputs: count classes from 0, and give it one output per class."
        )
    return truth


def integers(what: str, given: Labels) -> Tensor:
    """Integers that a user gives as a tensor, a list or an array, as a tensor.

    Raises:
        ShapeError: the value is something else; the message says what.
    """
    try:
        found = torch.as_tensor(given)
    except (TypeError, ValueError, RuntimeError):
        raise ShapeError(
            f"{what} are {str(given)[:80]}; expected integers, one for each sample: a tensor, a "
            "list or an array."
        ) from None
    if found.is_floating_point() or found.is_complex() or found.dtype == torch.bool:
        cure = "argmax(-1)" if found.dim() == 2 else "long()"
        raise ShapeError(
            f"{what} are of type {found.dtype}; expected integers, such as {what}.{cure}."
        )
    return found


def require_number(name: str, value: object) -> None:
    """Refuse an option that is no number; whether it is in range is another question.

    Raises:
        ConfigError: the option is something else; the message names it.
    """
    if not _is_number(value):
        raise ConfigError(f"{name} is {_shown(value)}; expected a number.")


def require_finite(name: str, value: object) -> None:
    """Refuse an option that is no finite number.

    Raises:
        ConfigError: the option is something else; the message names it.
    """
    if not _is_number(value) or not -math.inf < value < math.inf:
        raise ConfigError(f"{name} is {_shown(value)}; expected a finite number.")


def require_whole(name: str, value: object, least: int) -> None:
    """Refuse an option that is no whole number, or one below the least.

    Raises:
        ConfigError: the option is something else; the message names it.
    """
    if not isinstance(value, Integral) or isinstance(value, bool) or int(value) < least:
        raise ConfigError(
            f"{name} is {_shown(value)}; expected a whole number of at least {least}."
        )


def require_positive(name: str, value: object) -> None:
    """Refuse an option that is not positive and finite.

    Raises:
        ConfigError: the option is not; the message names it.
    """
    if not _is_number(value) or not 0 < value < math.inf:
        raise ConfigError(f"{name} is {_shown(value)}; expected a positive finite number.")


def require_share(name: str, value: object) -> None:
    """Refuse an option that is no share of something that must leave the rest.

    Raises:
        ConfigError: the option is not in [0, 1); the message names it.
    """
    if not _is_number(value) or not 0 <= value < 1:
        raise ConfigError(f"{name} is {_shown(value)}; expected a number in [0, 1).")


def require_open_flag(name: str, value: object) -> None:
    """Refuse an option that neither says yes or no nor leaves it open.

    Raises:
        ConfigError: the option is something else; the message names it.
    """
    if value is not None and not isinstance(value, bool):
        raise ConfigError(f"{name} is {_shown(value)}; expected True, False or None.")


def _is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a real number, of Python or NumPy; yes and no are none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def _shown(value: object) -> str:
    """A value in a message, short."""
    text = str(value) if _is_number(value) else repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
