"""An experiment put together: network, learner, the weights to start from, and the trainer.

This is the only place that builds them. Whoever trains (:func:`~lfp_snn.training.run.train`, a
study of many trainings, a benchmark) calls :func:`assemble`, and starts from the same weights.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import torch
from torch import nn

from lfp_snn.data import Batch, Splits, load
from lfp_snn.engine import TemporalLFP
from lfp_snn.engine.guesses import note_frame
from lfp_snn.errors import ConfigError
from lfp_snn.learners import LEARNERS, Learner
from lfp_snn.learners.ending import TaskShape
from lfp_snn.training.calibration import calibrate
from lfp_snn.training.config import Config, Settings, pick_device
from lfp_snn.training.conversion import balance
from lfp_snn.training.distributed import ALONE, World, join
from lfp_snn.training.loop import Trainer
from lfp_snn.training.observer import Observer
from lfp_snn.training.transfer import Transfer, freeze, load_into
from lfp_snn.wording import by_config

__all__ = [
    "Start",
    "assemble",
    "build_learner",
    "build_network",
    "load_classes",
    "load_splits",
    "place",
    "prepare",
    "refuse_regression",
    "seeded",
    "settled_learner",
]

AnySettings = TypeVar("AnySettings", bound=Settings)


@dataclass(frozen=True)
class Start:
    """The start of a training: what was done to the weights before the first step.

    Attributes:
        factors: the factors by which calibration scaled the layers, by the name of the layer.
        warnings: the warnings of the calibration.
    """

    factors: dict[str, float] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)


def assemble(
    config: Config,
    splits: Splits,
    *,
    observers: Sequence[Observer] = (),
    wrap: Callable[[Learner], Learner] | None = None,
) -> Trainer:
    """Build the trainer that a config describes; ``assemble(...).train()`` trains.

    The network has its initial weights, or transferred ones, and is calibrated. Random numbers are
    drawn from torch's generator as it stands; within :func:`seeded` the training is the one of
    ``lfp-snn train``::

        config = load_config(Path("my.yaml"))
        with seeded(config):
            result = assemble(config, load_splits(config)).train()

    Args:
        config: the experiment.
        splits: the data of the experiment, for instance from :func:`load_splits`.
        observers: the observers that are told of every step and epoch.
        wrap: a function that puts another learner around the one that the config names, for
            instance to watch it.

    Raises:
        NetworkError: the network cannot be traced, or cannot be calibrated.
        ConfigError: learner and network do not fit, or CUDA is asked for and absent.
        RunError: the weights to transfer cannot be read or do not fit.
    """
    started = time.perf_counter()
    net = build_network(config, splits)
    learner, config = settled_learner(net, config, splits)
    start = prepare(net, splits, config)
    if wrap is not None:
        learner = wrap(learner)
    taken = time.perf_counter() - started
    return Trainer(learner, splits, config, observers, start.warnings, taken)


def load_splits(config: Config) -> Splits:
    """Load the data of a config; the first process of a machine fills the cache for the others."""
    with join(config.device).in_turn(), by_config():
        return load(config.data.name, **config.data.options())


def load_classes(config: Config, *, validated: bool = False) -> Splits:
    """Load the data of a config, for callers that compare or explain classes.

    Args:
        config: the experiment.
        validated: whether a part to validate is needed too.

    Raises:
        ConfigError: samples have targets and no classes, or nothing validates.
    """
    splits = load_splits(config)
    refuse_regression(splits)
    if validated and not len(splits.val):
        raise ConfigError(
            "Nothing validates, but this chooses by validation; let a stretch of each training "
            "recording validate with data.validation_time=0.125."
        )
    return splits


def refuse_regression(splits: Splits) -> None:
    """Refuse data without classes.

    Raises:
        ConfigError: samples have targets and no classes.
    """
    if splits.train.is_regression:
        raise ConfigError(
            "The samples have targets and no classes, but this reads classes; train, evaluate and "
            "predict take targets."
        )


@contextmanager
def seeded(settings: Settings) -> Iterator[None]:
    """Draw torch's random numbers from the seed in a ``with`` block; then restore the caller's."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(settings.seed)
        yield


def build_network(config: Config, splits: Splits, world: World = ALONE) -> nn.Module:
    """Build the network of a config, with initial weights, on its device, frozen where it says so.

    Args:
        config: the experiment.
        splits: the data of the experiment, whose shape and classes the network takes.
        world: the processes that train together; all get the weights of the first.
    """
    net = config.model.build(splits.train.feature_shape, len(splits.train.classes))
    return place(net, config, world)


def place(net: nn.Module, settings: Settings, world: World = ALONE) -> nn.Module:
    """Bring a network to the device of the settings, and freeze what they say; gives the network.

    Raises:
        ConfigError: CUDA is asked for and absent, or a pattern to freeze fits nothing.
    """
    net.to(pick_device(settings.device))
    world.spread(net.state_dict().values())
    if settings.transfer is not None:
        freeze(net, settings.transfer.freeze)
    return net


def build_learner(net: nn.Module, settings: Settings) -> Learner:
    """The learner that the settings name, bound to a network."""
    return LEARNERS[settings.learner.name].from_options(net, settings.learner)


def settled_learner(
    net: nn.Module, settings: AnySettings, splits: Splits
) -> tuple[Learner, AnySettings]:
    """The learner that settings name, and the settings with all that they left open decided.

    A reward or a loss that is left open goes by what the network ends in, by whether samples have
    classes or targets, and by the number of their steps.

    Args:
        net: the network.
        settings: the settings.
        splits: the data.
    """
    note_frame(net, splits.train.feature_shape)
    learner = build_learner(net, settings)
    samples = splits.train
    task = TaskShape(samples.steps, len(samples.classes), samples.is_regression)
    decided = settings.learner.settled(learner.engine, task)
    # Without the samples a learner chooses by the network alone.
    alike = decided == settings.learner.settled(learner.engine)
    settings = settings.model_copy(update={"learner": decided})
    return (learner if alike else build_learner(net, settings)), settings


def prepare(net: nn.Module, splits: Splits, settings: Settings, world: World = ALONE) -> Start:
    """Give a network the weights to start from: transferred, then calibrated on the first batch.

    The weights are the same for every learner.

    Raises:
        RunError: the weights to transfer cannot be read or do not fit.
        NetworkError: the network cannot be calibrated.
    """
    kept = () if settings.transfer is None else _transfer(net, splits, settings, settings.transfer)
    start = _calibrate(net, splits, settings, kept)
    world.spread(net.state_dict().values())
    return start


def _transfer(
    net: nn.Module, splits: Splits, settings: Settings, options: Transfer
) -> tuple[nn.Module, ...]:
    """Load weights that were trained before, balanced if asked for; gives their modules."""
    loaded = load_into(net, options)
    if options.balance is not None:
        balance(
            TemporalLFP(net, check=False), _first_batch(splits, settings), options.balance, loaded
        )
    return loaded


def _calibrate(
    net: nn.Module, splits: Splits, settings: Settings, kept: Sequence[nn.Module]
) -> Start:
    if settings.calibrate is None:
        return Start()
    batch = _first_batch(splits, settings)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RuntimeWarning)
        # The learner's own engine is held against the network, in the first step.
        factors = calibrate(TemporalLFP(net, check=False), batch, settings.calibrate, kept=kept)
    return Start(factors, [str(warning.message) for warning in caught])


def _first_batch(splits: Splits, settings: Settings) -> Batch:
    return next(settings.loader(splits.train).epoch(1)).to(pick_device(settings.device))
