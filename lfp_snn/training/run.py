"""The ways to train: :func:`fit` for a network and data in hand, :func:`train` for a config.

Both end in the same loop. A run directory can be evaluated, and used to predict, without the code
that made it.
"""

from __future__ import annotations

import hashlib
import inspect
import logging
import platform
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from functools import cache, partial
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import nn
from typing_extensions import override

from lfp_snn.console import command_line
from lfp_snn.data import Layout, Splits
from lfp_snn.errors import Interrupted
from lfp_snn.learners import Learner
from lfp_snn.options import Choice
from lfp_snn.training.assembly import (
    build_network,
    load_splits,
    place,
    prepare,
    seeded,
    settled_learner,
)
from lfp_snn.training.checkpoint import load_best, load_net
from lfp_snn.training.config import Config, Fitted, Settings
from lfp_snn.training.configfile import dump_config, make_config
from lfp_snn.training.display import displayed
from lfp_snn.training.distributed import join
from lfp_snn.training.feeding import check_arguments, require_module, settings_of, splits_for
from lfp_snn.training.lock import locked
from lfp_snn.training.loop import Trainer
from lfp_snn.training.observer import Observer
from lfp_snn.training.optim import Every
from lfp_snn.training.outofmemory import advised
from lfp_snn.training.reporting import report_on
from lfp_snn.training.result import Result
from lfp_snn.training.resume import (
    Resumed,
    as_begun,
    data_identity,
    find_run,
    goes_on,
    network_identity,
)
from lfp_snn.training.rundir import RunDir
from lfp_snn.training.steering import (
    GivenOptimizer,
    GivenScheduler,
    Steering,
    split_settings,
)
from lfp_snn.training.teaching import GivenReward, GivenRule, taught_by
from lfp_snn.wording import by_config

__all__ = ["fit", "train"]

_LOG = logging.getLogger("lfp_snn")


def fit(
    net: nn.Module,
    train: Any,
    val: Any = None,
    test: Any = None,
    *,
    steps: int | None = None,
    layout: Layout | None = None,
    reward: GivenReward | None = None,
    rule: GivenRule | None = None,
    optimizer: Mapping[str, Any] | Choice | GivenOptimizer | None = None,
    scheduler: GivenScheduler | None = None,
    scheduler_every: Every | None = None,
    out: Path | str | None = None,
    resume: bool = False,
    report: bool = True,
    observers: Sequence[Observer] = (),
    progress: bool = True,
    **settings: Any,
) -> Result:
    """Train a network.

        fit(net, load("digits"), epochs=5)
        fit(net, train_loader, val_loader, test_loader, epochs=5)
        fit(net, (x, labels), test=(x_test, labels_test), steps=25, epochs=5)

    Args:
        net: a module whose forward is one time step, or loops over time; it is changed in place
            and ends with the weights that did best on the validation set, on the device of the
            settings.
        train: the data to learn from: a torch ``Dataset`` or ``DataLoader``, a pair (inputs,
            labels) of arrays, as :func:`lfp_snn.data.from_torch` takes them; or all three parts in
            one :class:`~lfp_snn.data.Splits`, for instance from :func:`lfp_snn.data.load`.
        val: the data by which the best weights are chosen; without it the weights of the last epoch
            are kept.
        test: the data on which they are tested in the end; without it the test accuracy is NaN.
        steps: T of inputs that have no time axis, and of recordings.
        layout: the layout of the axis of time, if nothing else tells it
            (:func:`lfp_snn.data.from_torch`).
        reward: the reward, such as ``SoftmaxRate()``, ``FromLoss(loss)`` or one of a class of one's
            own, its name, or a mapping as a config has it. By default it goes by what the network
            ends in: rate_coded for spikes (count_target where steps are few, softmax_rate of alpha
            neurons), membrane_coded for the membranes of a readout, softmax_values for values.
        rule: the rule, such as ``Epsilon()``, a composite or one of a class of one's own, its name,
            or a mapping as a config has it; rescale by default.
        optimizer: a mapping as a config has it, ``{"name": "adam", "lr": 1e-3}``; a torch optimizer
            of the network's parameters; or a function that makes one, such as
            ``torch.optim.AdamW``. A torch optimizer keeps its learning rate, unless a ``scheduler``
            or the setting ``schedule`` moves it.
        scheduler: a torch scheduler of that optimizer, or a function that makes one from an
            optimizer, in the place of the setting ``schedule``. ``ReduceLROnPlateau`` gets the
            validation accuracy: give it ``mode="max"``.
        scheduler_every: the rhythm in which the scheduler is stepped, ``step`` or ``epoch``; by
            default after every step for ``OneCycleLR`` and ``CyclicLR`` and after every epoch for
            others, as torch documents them.
        out: a run directory to make, with metrics, checkpoints and a report, as the command line
            makes it; ``None`` to keep nothing.
        resume: whether to go on with the run that is in ``out``; for a finished run its result is
            returned. A torch optimizer and scheduler are given anew, and get back their state; a
            reward or rule of a class of one's own is given anew too.
        report: whether a run in ``out`` gets its ``report.html`` and figures when it has ended, for
            which matplotlib is imported.
        observers: the observers that are told of every step and epoch, such as those of
            :mod:`lfp_snn.training.callbacks`.
        progress: whether the training is shown on stderr: a line an epoch, with a bar that tells
            the time left on a terminal; in a notebook a bar and the latest epochs.
        settings: the remaining fields of :class:`~lfp_snn.training.config.Settings`, as a config
            has them: ``epochs=5, patience=2, clip=None``. A ``DataLoader`` has its own batch size.

    Warnings are logged as they arise, by the logger ``lfp_snn``, and stand in the result.

    Returns:
        The result, with accuracies, the metrics of every epoch, and more.

    Raises:
        DataError: the data has another form, or does not fit the network; the message says what to
            change.
        ConfigError: a setting is unknown or out of range.
        NetworkError: the network cannot be traced, or cannot be calibrated.
        RunError: the run directory is taken, in use, or cannot be written; something is not
            finite; or memory ran out.
        Interrupted: Ctrl-C or SIGTERM, after the step under way; a run in ``out`` can be resumed.
            A script that does not catch it ends, without a traceback.
    """
    started = time.perf_counter()
    require_module(net)
    check_arguments(
        out=out,
        resume=resume,
        report=report,
        observers=observers,
        progress=progress,
        scheduler_every=scheduler_every,
    )
    given = taught_by(
        {**settings_of(train, settings), **split_settings(optimizer), **settings}, reward, rule
    )
    beside = [name for name in inspect.signature(fit).parameters if name != "settings"]
    checked: Settings = make_config(Settings, given, "fit", beside)
    path = _path(out)
    splits = splits_for(net, train, val, test, steps=steps, layout=layout)
    given |= {"data": splits.loaded, "steps": steps, "layout": layout}
    checked = make_config(Fitted, given, "fit")
    with ExitStack() as held:
        if progress:
            observers = [held.enter_context(displayed(checked.epochs)), *observers]
        held.enter_context(seeded(checked))
        held.enter_context(advised(checked, path))
        world = join(checked.device)
        place(net, checked, world)
        own = None if isinstance(optimizer, Mapping | Choice) else optimizer
        checked, steering = Steering.own(
            net, checked, own, scheduler, scheduler_every, len(splits.val) > 0
        )
        result = _train(net, splits, checked, path, resume, observers, started, steering)
    if report and result.run is not None and world.first:
        report_on(result.run)
    return result


def train(
    config: Config,
    out: Path | str | None = None,
    *,
    splits: Splits | None = None,
    resume: bool = False,
    observers: Sequence[Observer] = (),
) -> Result:
    """Run the experiment that a config describes.

    Args:
        config: the experiment, for instance from :func:`~lfp_snn.training.configfile.load_config`.
        out: the run directory to make; ``None`` to keep nothing.
        splits: the data, if it is loaded already.
        resume: whether to go on with the run that is in ``out``. Config and data must be the ones
            of that run, but for :data:`~lfp_snn.training.resume.MAY_CHANGE`.
        observers: the observers that are told of every step and epoch.

    Returns, raises:
        As :func:`fit`; and DataError if the data cannot be read.
    """
    started = time.perf_counter()
    path = _path(out)
    world = join(config.device)
    if path is not None and not resume:
        world.on_first(lambda: RunDir.check_new(path))  # before the work of loading data
    if splits is None:
        splits = load_splits(config)
    with by_config(), seeded(config), advised(config, path):
        net = build_network(config, splits, world)
        return _train(net, splits, config, path, resume, observers, started)


class _Logged(Observer):
    """An observer that logs the warnings of a training."""

    @override
    def warned(self, message: str) -> None:
        _LOG.warning(message)


@contextmanager
def _stops_told(settings: Settings, out: Path | None) -> Iterator[None]:
    """Log how a training that a signal stops in a ``with`` block goes on."""
    try:
        yield
    except Interrupted as error:
        _LOG.warning(error)
        raise
    except KeyboardInterrupt:  # the second, or before the first step
        if out is None:
            raise
        if (out / "config.yaml").is_file():
            on = f"it goes on from its last checkpoint with: {goes_on(settings, out)}"
        else:
            on = f"there is nothing yet in {out} to go on from."
        at_once = Interrupted(f"Stopped at once; {on}", signal.SIGINT)
        _LOG.warning(at_once)
        raise at_once from None


def _train(
    net: nn.Module,
    splits: Splits,
    settings: Settings,
    out: Path | None,
    resume: bool,
    observers: Sequence[Observer],
    started: float,
    steering: Steering | None = None,
) -> Result:
    observers = [_Logged(), *observers]
    world = join(settings.device)
    if not world.first:
        observers = ()
    with ExitStack() as held:
        held.enter_context(_stops_told(settings, out))
        if out is not None and not resume:
            world.on_first(lambda: RunDir.check_new(out))
        if resume:
            settings = world.on_first(partial(as_begun, settings, out))
        learner, settings = settled_learner(net, settings, splits)
        resumed = world.on_first(lambda: _resumed(out, settings, splits, net, resume))
        if resumed is not None and resumed.result is not None:
            load_net(net, world.on_first(partial(load_best, resumed.run)), resumed.run.best)
            return resumed.result
        if resumed is not None:
            world.on_first(partial(_hold, resumed.run, held))
        if resumed is not None:
            for message in resumed.warnings():
                for observer in observers:
                    observer.warned(message)
        if resumed is not None and resumed.begun:
            trainer = Trainer(learner, splits, settings, observers, world=world, steering=steering)
            trainer.restore(resumed.run, resumed.epochs)
            world.on_first(partial(resumed.note, settings, splits))
            return trainer.train()
        start = prepare(net, splits, settings, world)
        for observer in observers:
            for message in start.warnings:
                observer.warned(message)
        earlier_s = time.perf_counter() - started
        trainer = Trainer(
            learner, splits, settings, observers, start.warnings, earlier_s, world, steering
        )
        run = None if resumed is None else resumed.run
        if run is None and out is not None:
            info = {**_describe(learner, splits, settings, start.factors), "processes": world.size}
            run = world.on_first(lambda: RunDir.create(out, dump_config(settings), info))
            world.on_first(partial(_hold, run, held))
        elif resumed is not None:
            world.on_first(partial(resumed.note, settings, splits))
        trainer.begin(run)
        return trainer.train()


def _resumed(
    out: Path | None, settings: Settings, splits: Splits, net: nn.Module, resume: bool
) -> Resumed | None:
    """The run to go on with, if one is to go on."""
    if not resume:
        return None
    resumed = find_run(out, settings)
    resumed.check_data(splits)
    resumed.check_network(net)
    return resumed


def _hold(run: RunDir, held: ExitStack) -> None:
    """Keep other trainings out of a run, as long as its process lives or ``held`` is open."""
    held.enter_context(locked(run.path))
    run.clean()


def _describe(
    learner: Learner, splits: Splits, settings: Settings, factors: dict[str, float]
) -> dict[str, Any]:
    """The content of run.json."""
    packages = ("lfp_snn", "torch", "snntorch", "numpy")
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command_line(),
        "seed": settings.seed,
        "device": str(learner.device),
        "threads": torch.get_num_threads(),
        "versions": {
            "python": platform.python_version(),
            **{name: _version(name) for name in packages},
        },
        "platform": platform.platform(),
        "from_config": isinstance(settings, Config),
        "settings": settings.model_dump(mode="json"),
        "network": str(learner.net),
        "consists_of": network_identity(learner.net),
        "parameters": sum(p.numel() for p in learner.parameters()),
        "initial_weights": _digest(learner.net),
        "data": {
            **splits.info,
            "feature_shape": list(splits.train.feature_shape),
            "steps": splits.train.steps,
            "classes": list(splits.train.classes),
            "identity": data_identity(splits),
        },
        "calibration": factors,
    }


def _digest(net: nn.Module) -> str:
    """A digest that is equal for networks with equal weights."""
    digest = hashlib.sha256()
    for name, tensor in sorted(net.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


@cache
def _version(package: str) -> str | None:
    """The version of a package, looked up once: its files are read for it."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _path(out: Path | str | None) -> Path | None:
    return None if out is None else Path(out)
