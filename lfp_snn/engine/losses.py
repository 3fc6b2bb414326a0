"""A loss in the place of a reward, for loops written by hand."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

from torch import Tensor

from lfp_snn.errors import ConfigError, ShapeError
from lfp_snn.rewards import FromLoss
from lfp_snn.rewards.base import Output
from lfp_snn.rewards.given import Labels

__all__ = ["reward_of_loss"]

#: ``loss(output, labels)``, or ``loss(output)`` where no labels are given: a number.
Loss = Callable[..., Tensor]


def reward_of_loss(
    loss: Loss,
    labels: Labels | None,
    output: Output,
    *,
    takes_credit: bool,
    at_silence: bool | None,
) -> FromLoss:
    """The reward that a loss of the output asks for.

    Args:
        loss: the loss.
        labels: what it takes beside the output, if anything.
        output: what the network ends in, of which the loss is.
        takes_credit: whether the rule at the output takes credit.
        at_silence: whether the reward is credit; None for what the rule takes.

    Raises:
        ConfigError: the loss is no function.
        ShapeError: the loss takes labels, and there are none.
    """
    if labels is None and callable(loss) and not isinstance(loss, type):
        loss = _of_output_alone(loss)
    if isinstance(loss, Tensor):
        raise ConfigError(
            "backward(loss=...) takes the loss as a function, not the number that it gave, which "
            "carries no graph: lfp.backward(loss=loss_fn, labels=labels)."
        )
    found = FromLoss(loss, at_silence)
    return found.at_output(output, takes_credit=takes_credit)


def _of_output_alone(loss: Loss) -> Loss:
    """A loss that takes the output alone, as one that takes no labels beside it.

    Raises:
        ShapeError: it takes more.
    """
    name = getattr(loss, "__name__", type(loss).__name__)
    try:
        inspect.signature(loss).bind(None)
    except TypeError:
        raise ShapeError(
            f"The loss {name} takes labels beside the output: lfp.backward(loss={name}, "
            "labels=labels)."
        ) from None
    except ValueError:  # written in C, it may say nothing
        pass

    def alone(output: Tensor, _labels: Any) -> Tensor:
        return loss(output)

    return wraps(loss)(alone) if hasattr(loss, "__name__") else alone
