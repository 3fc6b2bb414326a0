"""A loss in the place of a reward, for loops written by hand."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor

from lfp_snn.engine.observed import ObservedNetwork
from lfp_snn.engine.stage import Rules
from lfp_snn.errors import ConfigError, ShapeError
from lfp_snn.rewards import FromLoss
from lfp_snn.rewards.given import Labels
from lfp_snn.spikes import Spikes

__all__ = ["one_of", "reward_of_loss"]

#: ``loss(output, labels)``, or ``loss(output)`` where no labels are given: a number.
Loss = Callable[..., Tensor]


def reward_of_loss(
    lfp: ObservedNetwork,
    output: Tensor | Spikes,
    loss: Loss,
    labels: Labels | None,
    *,
    rules: Rules,
    lengths: Tensor | None,
    as_credit: bool | None,
) -> tuple[Tensor, bool]:
    """The reward that a loss of the output asks for, and whether it is credit.

    Args:
        lfp: the network, after a forward pass that was recorded.
        output: what the pass gave.
        loss: the loss, of the output or of the membranes of a readout.
        labels: what it takes beside that, if anything.
        rules: the rule of each stage, by name.
        lengths: the steps of each sample in the pass.
        as_credit: whether the reward is credit; None for what the rule at the output takes.

    Raises:
        ConfigError: the loss is no function.
        ShapeError: the loss takes labels, and there are none; or as :class:`FromLoss` says.
    """
    if isinstance(loss, Tensor):
        raise ConfigError(
            "backward(loss=...) takes the loss as a function, not the number that it gave, which "
            "carries no graph: lfp.backward(loss=loss_fn, labels=labels)."
        )
    if labels is None and callable(loss) and not isinstance(loss, type):
        loss = _of_output_alone(loss)
    takes_credit = lfp.takes_credit(rules)
    made = FromLoss(loss, as_credit).at_output(lfp.emits, takes_credit=takes_credit)
    given = output if isinstance(output, Tensor) else output.dense(lfp.dtype)
    membranes = lfp.membranes if lfp.emits == "membranes" else None
    truth = None if labels is None else torch.as_tensor(labels, device=given.device)
    return made(given, lengths=lengths, membranes=membranes, targets=truth), made.is_credit


def one_of(reward: Tensor | None, loss: Loss | None) -> None:
    """Refuse a reward and a loss together, and neither.

    Raises:
        ConfigError: there are both, or none.
    """
    if (reward is None) == (loss is None):
        raise ConfigError(
            "backward takes a reward or a loss, one of them: lfp.backward(reward(spikes, labels)) "
            "or lfp.backward(loss=loss_fn, labels=labels)."
        )


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
