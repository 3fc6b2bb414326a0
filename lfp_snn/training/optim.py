"""Optimizers and schedules of a configuration, as torch objects."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import Field

from lfp_snn.errors import ConfigError
from lfp_snn.later import later, torch
from lfp_snn.options import Choice

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import lr_scheduler
    from torch.optim.lr_scheduler import LRScheduler
else:
    lr_scheduler = later("torch.optim.lr_scheduler")

__all__ = [
    "OPTIMIZERS",
    "SCHEDULES",
    "SGD",
    "Adam",
    "AdamW",
    "ConstantSchedule",
    "CosineSchedule",
    "Every",
    "Lion",
    "Muon",
    "OneCycleSchedule",
    "OptimizerOptions",
    "OwnOptimizer",
    "OwnSchedule",
    "Schedule",
    "ScheduleOptions",
    "StepSchedule",
]

#: When a scheduler is stepped: after every step of the optimizer, or at the end of an epoch.
Every = Literal["step", "epoch"]

_WARMUP_START = 0.01  # of the peak

Share = Annotated[float, Field(ge=0, lt=1)]


class OptimizerOptions(Choice):
    """The options that every optimizer has.

    Attributes:
        lr: the learning rate, > 0; its peak if the schedule has one.
        weight_decay: the pull of the weights towards zero, >= 0.
    """

    lr: float = Field(default=3e-3, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)

    @abstractmethod
    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Build the torch optimizer for these parameters."""


class _Adaptive(OptimizerOptions):
    """The options of Adam's family.

    Attributes:
        betas: the decay of the mean of the gradient and of its square, each in [0, 1).
        eps: the number added to the root of the mean square, > 0.
    """

    #: The name of a class of torch.optim.
    kind: ClassVar[str]

    betas: list[Share] = Field(default=[0.9, 0.999], min_length=2, max_length=2)
    eps: float = Field(default=1e-8, gt=0)

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Build torch's optimizer in its fused form, which takes a sixth of the time on the CPU."""
        first, second = self.betas
        kind: Callable[..., torch.optim.Optimizer] = getattr(torch.optim, self.kind)
        return kind(
            parameters,
            lr=self.lr,
            betas=(first, second),
            eps=self.eps,
            weight_decay=self.weight_decay,
            fused=True,
        )


class Adam(_Adaptive):
    """The optimizer Adam, whose weight decay is a part of the gradient."""

    name: Literal["adam"] = "adam"
    kind = "Adam"


class AdamW(_Adaptive):
    """The optimizer AdamW, whose weight decay is a share of the weight.

    A weight shrinks by ``lr * weight_decay`` of itself in a step, however large its feedback is; in
    Adam the decay is divided by the size of the feedback, as the feedback is.

    Source: Loshchilov, Hutter, *Decoupled Weight Decay Regularization*, ICLR 2019.
    """

    name: Literal["adamw"] = "adamw"
    kind = "AdamW"


class Lion(OptimizerOptions):
    """The optimizer Lion, which moves every weight by the same amount.

    Attributes:
        lr: the learning rate, > 0; its peak if the schedule has one. A tenth of Adam's by default.
        betas: the decay of the average that gives the sign of a step, and of the one that is kept,
            each in [0, 1).
    """

    name: Literal["lion"] = "lion"
    lr: float = Field(default=3e-4, gt=0)
    betas: list[Share] = Field(default=[0.9, 0.99], min_length=2, max_length=2)

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Build :class:`~lfp_snn.training.optimizers.LionOptimizer`."""
        from lfp_snn.training.optimizers import LionOptimizer  # a class of torch's

        first, second = self.betas
        return LionOptimizer(
            parameters, lr=self.lr, betas=(first, second), weight_decay=self.weight_decay
        )


class Muon(OptimizerOptions):
    """The optimizer Muon for matrices and kernels, and AdamW for all other parameters.

    Attributes:
        momentum: the decay of the average of gradients of a matrix, in [0, 1).
        betas: the decay of AdamW's mean of the gradient and of its square, each in [0, 1).
        eps: the number added to the root of AdamW's mean square, > 0.
    """

    name: Literal["muon"] = "muon"
    momentum: Share = 0.95
    betas: list[Share] = Field(default=[0.9, 0.999], min_length=2, max_length=2)
    eps: float = Field(default=1e-8, gt=0)

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Build :class:`~lfp_snn.training.optimizers.MuonOptimizer`."""
        from lfp_snn.training.optimizers import MuonOptimizer  # a class of torch's

        first, second = self.betas
        return MuonOptimizer(
            parameters,
            lr=self.lr,
            momentum=self.momentum,
            betas=(first, second),
            eps=self.eps,
            weight_decay=self.weight_decay,
        )


class SGD(OptimizerOptions):
    """Stochastic gradient descent.

    Attributes:
        momentum: the share of the last update that is kept, in [0, 1).
    """

    name: Literal["sgd"] = "sgd"
    momentum: Share = 0.0

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Build torch's SGD."""
        return torch.optim.SGD(
            parameters,
            lr=self.lr,
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            fused=True,
        )


class OwnOptimizer(OptimizerOptions):
    """A torch optimizer that a user gave; it is noted by its class and cannot be built from here.

    Attributes:
        kind: the name of its class.
    """

    name: Literal["own"] = "own"
    kind: str

    def build(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """Refuse to build it, since no file can say how."""
        raise ConfigError(
            f"The optimizer was given to fit, a {self.kind}: give it again with fit(optimizer=...),"
            f" or name one of {', '.join(OPTIMIZERS)}."
        )


class ScheduleOptions(Choice):
    """The base of schedules of the learning rate, which is set anew after every step."""

    @abstractmethod
    def build(
        self, optimizer: torch.optim.Optimizer, epochs: int, steps_per_epoch: int
    ) -> LRScheduler:
        """Build the torch scheduler, which is stepped once after each optimizer step."""


class ConstantSchedule(ScheduleOptions):
    """A schedule on which the learning rate stays as it is."""

    name: Literal["constant"] = "constant"

    def build(
        self, optimizer: torch.optim.Optimizer, epochs: int, steps_per_epoch: int
    ) -> LRScheduler:
        """Build a scheduler that changes nothing."""
        return lr_scheduler.ConstantLR(optimizer, factor=1.0, total_iters=0)


class OneCycleSchedule(ScheduleOptions):
    """A schedule up to the peak and down to almost nothing, once over the whole training.

    Attributes:
        warmup: the share of all steps that the way up takes, in (0, 1).
        start: the peak divided by the rate at the start, >= 1.
    """

    name: Literal["one_cycle"] = "one_cycle"
    warmup: float = Field(default=0.3, gt=0, lt=1)
    start: float = Field(default=25.0, ge=1)

    def build(
        self, optimizer: torch.optim.Optimizer, epochs: int, steps_per_epoch: int
    ) -> LRScheduler:
        """Build torch's OneCycleLR, which leaves the momentum alone."""
        return lr_scheduler.OneCycleLR(
            optimizer,
            max_lr=optimizer.param_groups[0]["lr"],
            # The scheduler is stepped once more than it has rates to set.
            total_steps=epochs * steps_per_epoch + 1,
            pct_start=self.warmup,
            div_factor=self.start,
            cycle_momentum=False,
        )


class CosineSchedule(ScheduleOptions):
    """A schedule along half a cosine, from the learning rate down to ``floor``.

    Attributes:
        floor: the last learning rate, >= 0.
        warmup: share of all steps that the way up takes, in [0, 1); it begins at a hundredth.
    """

    name: Literal["cosine"] = "cosine"
    floor: float = Field(default=0.0, ge=0)
    warmup: Share = 0.0

    def build(
        self, optimizer: torch.optim.Optimizer, epochs: int, steps_per_epoch: int
    ) -> LRScheduler:
        """Build torch's CosineAnnealingLR over all steps, after LinearLR if there is a warm-up."""
        steps = epochs * steps_per_epoch
        up = round(self.warmup * steps)
        down = lr_scheduler.CosineAnnealingLR(
            optimizer, T_max=max(1, steps - up), eta_min=self.floor
        )
        if not up:
            return down
        rise = lr_scheduler.LinearLR(optimizer, _WARMUP_START, total_iters=up)
        return lr_scheduler.SequentialLR(optimizer, [rise, down], milestones=[up])


class StepSchedule(ScheduleOptions):
    """A schedule that multiplies the learning rate by ``factor`` every few epochs.

    Attributes:
        every: the number of epochs between two changes, >= 1.
        factor: the factor of the learning rate at a change, in (0, 1).
    """

    name: Literal["step"] = "step"
    every: int = Field(default=10, ge=1)
    factor: float = Field(default=0.1, gt=0, lt=1)

    def build(
        self, optimizer: torch.optim.Optimizer, epochs: int, steps_per_epoch: int
    ) -> LRScheduler:
        """Build torch's StepLR."""
        return lr_scheduler.StepLR(
            optimizer, step_size=self.every * steps_per_epoch, gamma=self.factor
        )


class OwnSchedule(ScheduleOptions):
    """A torch scheduler that a user gave; it is noted by its class and cannot be built from here.

    Attributes:
        kind: the name of its class.
    """

    name: Literal["own"] = "own"
    kind: str

    def build(
        self, optimizer: torch.optim.Optimizer, epochs: int, steps_per_epoch: int
    ) -> LRScheduler:
        """Refuse to build it, since no file can say how."""
        raise ConfigError(
            f"The scheduler was given to fit, a {self.kind}: give it again with fit(scheduler=...),"
            f" or name one of {', '.join(SCHEDULES)}."
        )


#: Optimizers and schedules by the name that a config uses.
OPTIMIZERS: dict[str, type[OptimizerOptions]] = {
    "adam": Adam,
    "adamw": AdamW,
    "lion": Lion,
    "muon": Muon,
    "sgd": SGD,
}
SCHEDULES: dict[str, type[ScheduleOptions]] = {
    "constant": ConstantSchedule,
    "one_cycle": OneCycleSchedule,
    "cosine": CosineSchedule,
    "step": StepSchedule,
}


class Schedule:
    """A torch scheduler, and the rhythm in which it is stepped.

    Args:
        scheduler: the torch scheduler; ``ReduceLROnPlateau`` looks at the validation accuracy.
        every: the rhythm of its steps, ``step`` or ``epoch``; by default after every step for
            ``OneCycleLR`` and ``CyclicLR``, and at the end of an epoch for all others, as torch
            documents them.
    """

    def __init__(self, scheduler: LRScheduler, every: Every | None = None) -> None:
        self.scheduler = scheduler
        by_step = (lr_scheduler.OneCycleLR, lr_scheduler.CyclicLR)  # as torch documents them
        self.every = every or ("step" if isinstance(scheduler, by_step) else "epoch")
        self.looks_at_accuracy = isinstance(scheduler, lr_scheduler.ReduceLROnPlateau)

    def stepped(self) -> None:
        """Note that the optimizer made a step."""
        if self.every == "step":
            self.scheduler.step()

    def epoch_ended(self, accuracy: float | None) -> None:
        """Note that an epoch ended with this validation accuracy, if anything validates."""
        if self.every == "epoch":
            self.scheduler.step(*((accuracy,) if self.looks_at_accuracy else ()))

    def state_dict(self) -> dict[str, Any]:
        """The state of the scheduler."""
        return dict(self.scheduler.state_dict())

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take over what :meth:`state_dict` gave."""
        self.scheduler.load_state_dict(state)
