"""The optimizer and the schedule of a training, from its settings or from the user.

Settings name an optimizer and a schedule, which are built here. A user's own torch optimizer and
scheduler take their place in the loop; the settings of such a run then only say which they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lfp_snn.errors import ConfigError
from lfp_snn.options import Choice
from lfp_snn.training.config import Settings
from lfp_snn.training.optim import ConstantSchedule, Every, OwnOptimizer, OwnSchedule, Schedule

__all__ = ["GivenOptimizer", "GivenScheduler", "Steering", "of_settings", "split_settings"]

#: An optimizer of the network's parameters, or what makes one of them: ``torch.optim.AdamW``.
GivenOptimizer = Optimizer | Callable[[Iterable[nn.Parameter]], Optimizer]
#: A scheduler of the optimizer, or what makes one of it.
GivenScheduler = LRScheduler | Callable[[Optimizer], LRScheduler]


@dataclass(frozen=True)
class Steering:
    """An optimizer and the schedule of its learning rate.

    Attributes:
        optimizer: the optimizer.
        schedule: the schedule of its learning rate; ``None`` for the one of the settings.
    """

    optimizer: Optimizer
    schedule: Schedule | None

    @classmethod
    def own(
        cls,
        net: nn.Module,
        settings: Settings,
        optimizer: GivenOptimizer | None,
        scheduler: GivenScheduler | None,
        every: Every | None,
        validated: bool,
    ) -> tuple[Settings, Steering | None]:
        """The steering that a user gave, and settings that note it; unchanged if nothing was given.

        Args:
            net: the network on the device of its training, with frozen parameters frozen.
            settings: the settings, which say what the user did not give.
            optimizer: the user's optimizer, if any.
            scheduler: the user's scheduler, if any.
            every: the rhythm in which the scheduler is stepped, if not as torch documents it.
            validated: whether there is a validation accuracy.

        Raises:
            ConfigError: optimizer and scheduler do not fit the network, or each other.
        """
        if optimizer is None and scheduler is None:
            if every is not None:
                raise ConfigError("scheduler_every is given without a scheduler; leave it out.")
            return settings, None
        parameters = [each for each in net.parameters() if each.requires_grad]
        told: dict[str, Any] = {}
        if optimizer is None:
            made = settings.optimizer.build(parameters)
        else:
            if not (isinstance(optimizer, Optimizer) or callable(optimizer)):
                raise ConfigError(
                    f"The optimizer is {optimizer!r}; expected a torch optimizer, what makes one "
                    "of parameters (torch.optim.AdamW), or a mapping such as "
                    "{'name': 'adam', 'lr': 1e-3}."
                )
            made = (
                optimizer
                if isinstance(optimizer, Optimizer)
                else _made_by(optimizer, parameters, "optimizer", "the parameters")
            )
            _check_optimizer(made, net)
            told["optimizer"] = _described(made)
            if settings.schedule == Settings().schedule:
                told["schedule"] = ConstantSchedule()
        schedule = None
        if scheduler is not None:
            schedule = Schedule(_made_of(scheduler, made), every)
            if schedule.looks_at_accuracy and not validated:
                raise ConfigError(
                    "ReduceLROnPlateau looks at the validation accuracy, but nothing validates; "
                    "give fit a val part, or another scheduler."
                )
            told["schedule"] = OwnSchedule(kind=type(schedule.scheduler).__name__)
        return settings.model_copy(update=told), cls(made, schedule)


def of_settings(settings: Settings, optimizer: Optimizer, steps_per_epoch: int) -> Schedule:
    """The schedule that settings describe, for an optimizer."""
    return Schedule(settings.schedule.build(optimizer, settings.epochs, steps_per_epoch), "step")


def split_settings(given: Mapping[str, Any] | Choice | GivenOptimizer | None) -> dict[str, Any]:
    """The section of settings in what is given as an optimizer, if it is one."""
    return {"optimizer": given} if isinstance(given, Mapping | Choice) else {}


def _check_optimizer(made: Any, net: nn.Module) -> None:
    if not isinstance(made, Optimizer):
        raise ConfigError(
            f"The optimizer is a {type(made).__name__}; expected a torch optimizer, what makes one "
            "of parameters (torch.optim.AdamW), or a mapping such as {'name': 'adam', 'lr': 1e-3}."
        )
    own = {id(parameter) for parameter in net.parameters()}
    strange = [p for group in made.param_groups for p in group["params"] if id(p) not in own]
    if strange:
        raise ConfigError(
            f"The optimizer has a parameter of the shape {tuple(strange[0].shape)} that is none of "
            "the network; make it of net.parameters(), of the network that is trained."
        )


def _made_by(factory: Callable[[Any], Any], source: Any, what: str, of: str) -> Any:
    """What a user's function or class makes.

    Raises:
        ConfigError: it cannot be called with that alone.
    """
    try:
        return factory(source)
    except (TypeError, ValueError) as error:
        name = getattr(factory, "__name__", repr(factory)).replace("<lambda>", "make")
        raise ConfigError(
            f"The {what} {name} cannot be made of {of} alone ({error}): give what makes it of "
            f"them, such as lambda given: {name}(given, ...) with its other arguments."
        ) from error


def _described(optimizer: Optimizer) -> OwnOptimizer:
    first = optimizer.param_groups[0]
    return OwnOptimizer(
        kind=type(optimizer).__name__,
        lr=float(first["lr"]),
        weight_decay=float(first.get("weight_decay") or 0.0),
    )


def _made_of(scheduler: GivenScheduler, optimizer: Optimizer) -> LRScheduler:
    made: Any = scheduler
    if not isinstance(scheduler, LRScheduler) and callable(scheduler):
        made = _made_by(scheduler, optimizer, "scheduler", "the optimizer")
    if not isinstance(made, LRScheduler):
        raise ConfigError(
            f"The scheduler is a {type(made).__name__}; expected a torch scheduler, or what makes "
            "one of an optimizer: lambda optimizer: StepLR(optimizer, 10)."
        )
    if getattr(made, "optimizer", optimizer) is not optimizer:
        raise ConfigError(
            "The scheduler is of another optimizer than the one that trains; give both to fit, or "
            "give what makes the scheduler: lambda optimizer: StepLR(optimizer, 10)."
        )
    return made
