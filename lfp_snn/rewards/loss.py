"""The reward that a differentiable loss of the output asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeAlias, get_args

from typing_extensions import override

from lfp_snn.errors import ConfigError, NotFiniteError, ShapeError
from lfp_snn.later import torch
from lfp_snn.rewards.base import LooksAt, Output, Reward, Seen
from lfp_snn.rewards.given import require_open_flag
from lfp_snn.rewards.readout import mean_membranes, require_membranes

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["FromLoss", "FromMembraneLoss", "LossFunction"]

#: ``loss(spikes, labels)``: a number, from output spikes ``[T, B, C]``.
LossFunction: TypeAlias = "Callable[[Tensor, Tensor], Tensor]"


@dataclass(frozen=True)
class FromLoss(Reward):
    r"""The reward that a loss asks of the output: less loss is a reward.

    With :math:`g_{t,c} = \partial L / \partial s_{t,c}`, found by autograd *at the output alone*,

    .. math::

        R_{t,c} = -g_{t,c} \;\text{ where } g_{t,c} < 0 \qquad
        R_{t,c} = -s_{t,c}\, g_{t,c} \;\text{ elsewhere}

    A spike that would lower the loss is rewarded at every step, also where there was none; one that
    raises it is punished where it was. No gradient goes through a neuron: what is below gets
    feedback, as from every reward. It is the form of the published rewards:
    :class:`~lfp_snn.rewards.SoftmaxRate` is T times less than this with the cross-entropy of the
    counts.

    A loss of membranes :math:`w` is rewarded by :math:`-\partial L / \partial w_{t,c}`, as
    :class:`~lfp_snn.rewards.MembraneCoded` rewards them, and one of values :math:`o` (of a network
    that ends in no neurons) by :math:`-o_{t,c}\, \partial L / \partial o_{t,c}`, as
    :class:`~lfp_snn.rewards.SoftmaxValues`. The class is read as theirs: from the counts, the mean
    membranes, the mean values.

    The reward is for Python only, since no config names code. Feedback is summed over the batch:
    take a loss that is summed too, ``reduction="sum"``, so that each sample counts the same in
    every batch.

    Args:
        loss: a function called as ``loss(spikes, labels)`` with spikes ``[T, B, C]`` and labels
            int64 ``[B]`` (targets, if there are any), which returns a number. The losses of
            ``snntorch.functional`` (``ce_rate_loss()``, ``mse_count_loss()``) are such functions.
        at_silence: whether to leave out the factor ``s``: credit :math:`-g` at every step, which
            goes with the rule :class:`~lfp_snn.rules.Rescale`. With None it is left in, unless a
            learner finds at the output a rule that takes credit.
        of: what the loss is of: ``spikes``, ``membranes`` or ``values``. None: what the network
            ends in, where a learner knows it; else the spikes.

    Raises:
        ConfigError: the loss is no function: a class, or what a loss gave; or it is of something
            else.
        ShapeError: the loss does not take the spikes and labels, is no number, or no function of
            the spikes that has a derivative.
        NotFiniteError: the derivative of the loss is not finite.

    Example::

        reward = FromLoss(snntorch.functional.ce_rate_loss())
        spikes = lfp.forward(x)
        lfp.backward(reward(spikes, labels))
        optimizer.step()

    Source: a reward in the place of a loss' gradient, after Weber et al., TMLR 2025.
    """

    loss: LossFunction
    at_silence: bool | None = None
    of: Output | None = None

    def __post_init__(self) -> None:
        if isinstance(self.loss, type) or not callable(self.loss):
            found, cure = "a number that a loss gave", "the loss itself, FromLoss(loss_fn)"
            if isinstance(self.loss, type):
                found = f"the class {self.loss.__name__}"
                cure = f"a loss of it, FromLoss({self.loss.__name__}())"
            elif not isinstance(self.loss, torch.Tensor):
                found = f"a {type(self.loss).__name__}"
            raise ConfigError(
                f"FromLoss takes a function loss(spikes, labels), not {found}: {cure}."
            )
        require_open_flag(f"{type(self).__name__}.at_silence", self.at_silence)
        if self.of not in (None, *get_args(Output)):
            raise ConfigError(
                f"FromLoss.of is {self.of!r}; expected {', '.join(get_args(Output))} or None."
            )

    @property
    @override
    def looks_at(self) -> LooksAt:  # type: ignore[override]
        return "spikes" if self.of is None else self.of

    @property
    @override
    def is_credit(self) -> bool:
        return bool(self.at_silence) and self.of != "membranes"

    @override
    def suited(self, *, takes_credit: bool) -> Self:
        return replace(self, at_silence=takes_credit) if self.at_silence is None else self

    @override
    def at_output(self, output: Output, *, takes_credit: bool) -> FromLoss:
        found = self if self.of is not None else replace(self, of=output)
        return found.suited(takes_credit=takes_credit)

    @override
    def reward(self, seen: Seen) -> Tensor:
        truth = seen.labels if seen.targets is None else seen.targets
        output = seen.spikes
        if self.of == "membranes":
            output = require_membranes(seen.membranes, seen.spikes)
        if self.of in ("membranes", "values"):  # go on after a sample's end, where spikes do not
            output = torch.where(seen.alive, output, 0)
        wanted = -self.slope(output, truth)
        if self.at_silence or self.of == "membranes":
            return wanted
        return wanted * output if self.of == "values" else _at_spikes(wanted, output)

    @override
    def scores(self, spikes: Tensor, steps: Tensor, membranes: Tensor | None = None) -> Tensor:
        if self.of == "membranes":
            return mean_membranes(membranes, spikes, steps)
        if self.of == "values":
            return mean_membranes(spikes, spikes, steps)
        return super().scores(spikes, steps, membranes)

    def slope(self, spikes: Tensor, truth: Tensor | None) -> Tensor:
        """The derivative of the loss by each output spike, ``[T, B, C]``.

        Args:
            spikes: the output spikes ``[T, B, C]``, or what else the loss is of.
            truth: what the loss takes beside the spikes, labels or targets.
        """
        name = getattr(self.loss, "__name__", type(self.loss).__name__)
        with torch.inference_mode(False), torch.enable_grad():
            leaf = spikes.detach().clone().requires_grad_()
            loss = self._of(leaf, truth, name)
            if not isinstance(loss, torch.Tensor) or loss.numel() != 1:
                found = tuple(loss.shape) if isinstance(loss, torch.Tensor) else type(loss).__name__
                raise ShapeError(
                    f"The loss {name} gave {found}; expected one number: sum it over the samples."
                )
            if not loss.requires_grad:
                raise ShapeError(
                    f"The loss {name} is no function of the spikes that has a derivative; expected "
                    "one that torch's autograd can follow back to them."
                )
            (slope,) = torch.autograd.grad(loss, leaf, materialize_grads=True)
        if slope.device.type == "cpu" and not bool(slope.isfinite().all()):
            raise NotFiniteError(f"The derivative of the loss {name} is NaN or infinite.")
        return slope

    def _of(self, spikes: Tensor, truth: Tensor | None, name: str) -> Any:
        """What the loss gives; an error of its own says on what, and how to sum over time."""
        try:
            return self.loss(spikes, truth)  # type: ignore[arg-type]
        except (RuntimeError, ValueError, TypeError, IndexError) as problem:
            beside = "none" if truth is None else f"of shape {tuple(truth.shape)}"
            raise ShapeError(
                f"The loss {name} fails on spikes of shape {tuple(spikes.shape)} (steps, samples, "
                f"outputs) and labels {beside} ({str(problem).splitlines()[0].rstrip('.')}): one "
                "that knows no time takes a sum over it, FromLoss(lambda spikes, labels: "
                f"{name}(spikes.sum(0), labels))."
            ) from problem


@dataclass(frozen=True)
class FromMembraneLoss(FromLoss):
    r"""The reward that a loss asks of the output membranes: less loss is a reward.

    With :math:`g_{t,c} = \partial L / \partial w_{t,c}`, found by autograd *at the output alone*,
    it is :math:`R_{t,c} = -g_{t,c}` at every step: a membrane is always there. It is
    :class:`FromLoss` of membranes, which may be targets to learn too.
    :class:`~lfp_snn.rewards.MembraneCoded` is this with the cross-entropy of the mean membranes.
    Meant for a readout. The class is read from the mean membrane.

    Args:
        loss: a function called as ``loss(membranes, labels)`` with membranes ``[T, B, C]``, as of
            :class:`FromLoss`.

    Raises:
        ConfigError: the loss is no function, or silence is spoken of.
        ShapeError: the membranes are missing, or as of :class:`FromLoss`.
        NotFiniteError: the derivative of the loss is not finite.

    Example::

        reward = FromMembraneLoss(lambda mem, y: F.mse_loss(mem, y, reduction="sum"))
        lfp.forward(x)
        lfp.backward(reward(lfp.membranes, targets=y, membranes=lfp.membranes))

    Source: a reward in the place of a loss' gradient, after Weber et al., TMLR 2025.
    """

    regresses: ClassVar[bool] = True
    of: Output | None = "membranes"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.at_silence:
            raise ConfigError(
                "FromMembraneLoss rewards membranes at every step, silent or not: leave at_silence "
                "out."
            )

    @override
    def suited(self, *, takes_credit: bool) -> Self:
        return self


def _at_spikes(wanted: Tensor, spikes: Tensor) -> Tensor:
    """What is wanted of spikes: more everywhere, less where they were."""
    return torch.where(wanted > 0, wanted, wanted * spikes)
