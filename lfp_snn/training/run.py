"""The ways to train: :func:`fit` for a network and data in hand, :func:`train` for a config.

Both end in the same loop. A run directory can be evaluated, and used to predict, without the code
that made it.
"""

from __future__ import annotations

import hashlib
import platform
import shlex
import sys
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lfp_snn.data import Batch, Splits, load, load_file
from lfp_snn.engine import TemporalLFP
from lfp_snn.errors import ConfigError, RunError
from lfp_snn.learners import LEARNERS, Learner
from lfp_snn.models.bounded import no_larger_than
from lfp_snn.training.calibration import calibrate
from lfp_snn.training.checkpoint import load_checkpoint, load_net
from lfp_snn.training.config import Config, Settings, pick_device
from lfp_snn.training.configfile import dump_config, load_config, make_config, read_mapping
from lfp_snn.training.conversion import balance
from lfp_snn.training.distributed import join
from lfp_snn.training.evaluation import Evaluation, evaluate
from lfp_snn.training.files import read_json
from lfp_snn.training.lock import locked
from lfp_snn.training.loop import Trainer
from lfp_snn.training.observer import Observer
from lfp_snn.training.outofmemory import advised
from lfp_snn.training.result import Result
from lfp_snn.training.rundir import RunDir
from lfp_snn.training.transfer import Transfer, freeze, load_into
from lfp_snn.unpacking import DAMAGE

__all__ = ["TrainedRun", "fit", "load_splits", "train"]


def fit(
    net: nn.Module,
    splits: Splits,
    *,
    out: Path | str | None = None,
    resume: bool = False,
    observers: Sequence[Observer] = (),
    **settings: Any,
) -> Result:
    """Train a network.

    Args:
        net: a module whose forward is one time step; it is changed in place and ends with the
            weights that did best on the validation set, on the device of the settings.
        splits: the data, for instance of :func:`lfp_snn.data.load`.
        out: a run directory to make, with metrics and checkpoints; ``None`` to keep nothing.
        resume: go on with the run that is in ``out``; of a finished one the result is returned.
        observers: told of every step and epoch.
        settings: the fields of :class:`~lfp_snn.training.config.Settings`, as a config has them:
            ``epochs=5, patience=2, optimizer={"name": "adam", "lr": 1e-3}``.

    Returns:
        The accuracies, metrics of every epoch, and more.

    Raises:
        ConfigError: a setting is unknown or out of range.
        NetworkError: the network cannot be traced, or cannot be calibrated.
        RunError: the run directory is taken, in use, or cannot be written; something is not
            finite; or memory ran out.
        Interrupted: Ctrl-C or SIGTERM.
    """
    checked, path = make_config(Settings, settings, "fit"), _path(out)
    with _own_random_numbers(checked), advised(checked, path):
        return _train(net, splits, checked, path, resume, observers, time.perf_counter())


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
        config: for instance of :func:`~lfp_snn.training.configfile.load_config`.
        out: the run directory to make; ``None`` to keep nothing.
        splits: the data, if it is loaded already.
        resume: go on with the run that is in ``out``; the config must be that run's.
        observers: told of every step and epoch.

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
    with _own_random_numbers(config), advised(config, path):
        net = config.model.build(splits.train.feature_shape, len(splits.train.classes))
        return _train(net, splits, config, path, resume, observers, started)


def load_splits(config: Config) -> Splits:
    """The data of a config; of the processes of a machine, the first fills the cache."""
    with join(config.device).in_turn():
        return load(config.data.name, **config.data.options())


@dataclass(frozen=True)
class TrainedRun:
    """A finished or interrupted run, with its best weights.

    Attributes:
        config: of the run.
        learner: with the network, in evaluation mode.
        classes: names of the classes.
    """

    config: Config
    learner: Learner
    classes: list[str]

    @classmethod
    def open(cls, path: Path | str, overrides: Sequence[str] = ()) -> TrainedRun:
        """Load a run.

        Args:
            path: the run directory.
            overrides: ``key=value`` changes of its config, such as ``data.root=elsewhere``.

        Raises:
            RunError: it is no run, has no checkpoint yet, or was made by :func:`fit` with a
                network that no config describes.
        """
        run = RunDir.open(Path(path))
        from_config, shape, classes = _described(run)
        if not from_config:
            raise RunError(
                f"{run.path} was made by fit() with a network of its own: load "
                f"{run.best} into that network."
            )
        config = load_config(run.config, overrides)
        if not run.best.exists():
            raise RunError(f"{run.path} has no best checkpoint yet: no epoch was finished.")
        tensors, _ = load_checkpoint(run.best)
        with no_larger_than(tensors, run.path, RunError):
            net = config.model.build(shape, len(classes))
        load_net(net, tensors, run.best)
        learner = _learner(net.to(pick_device(config.device)), config)
        net.eval()
        return cls(config, learner, classes)

    def evaluate(self) -> Evaluation:
        """Accuracy and more on the test set."""
        return evaluate(self.learner, load_splits(self.config).test, self.config.batch_size)

    def read(self, path: Path | str) -> Batch:
        """One recording from a file, encoded as the run's dataset is.

        Raises:
            ConfigError: the dataset has no single recordings.
            DataError: the file cannot be read.
        """
        recording = load_file(self.config.data.name, path, **self.config.data.options())
        return recording.batch([0]).to(self.learner.device)


def _train(
    net: nn.Module,
    splits: Splits,
    settings: Settings,
    out: Path | None,
    resume: bool,
    observers: Sequence[Observer],
    started: float,
) -> Result:
    world = join(settings.device)
    if not world.first:
        observers = ()
    run, finished, begun = world.on_first(lambda: _there(out, settings, resume))
    if finished is not None:
        return finished
    with ExitStack() as held:
        if run is not None:
            world.on_first(partial(_hold, run, held))
        net.to(pick_device(settings.device))
        world.spread(net.state_dict().values())
        if settings.transfer is not None:
            freeze(net, settings.transfer.freeze)
        learner = _learner(net, settings)
        if run is not None and begun:
            trainer = Trainer(learner, splits, settings, observers, world=world)
            trainer.restore(run)
            return trainer.train()
        factors, messages = _prepare(net, splits, settings)
        world.spread(net.state_dict().values())
        for observer in observers:
            for message in messages:
                observer.warned(message)
        earlier_s = time.perf_counter() - started
        trainer = Trainer(learner, splits, settings, observers, messages, earlier_s, world)
        if run is None and out is not None:
            info = {**_describe(learner, splits, settings, factors), "processes": world.size}
            run = world.on_first(lambda: RunDir.create(out, dump_config(settings), info))
            world.on_first(partial(_hold, run, held))
        trainer.begin(run)
        return trainer.train()


def _hold(run: RunDir, held: ExitStack) -> None:
    """Keep other trainings out of a run, as long as its process lives or ``held`` is open."""
    held.enter_context(locked(run.path))
    run.clean()


def _learner(net: nn.Module, settings: Settings) -> Learner:
    return LEARNERS[settings.learner.name].from_options(net, settings.learner)


def _first_batch(splits: Splits, settings: Settings) -> Batch:
    return next(settings.loader(splits.train).epoch(1)).to(pick_device(settings.device))


def _transfer(
    net: nn.Module, splits: Splits, settings: Settings, options: Transfer
) -> tuple[nn.Module, ...]:
    """Load and, if asked for, balance what was trained before; the modules that have it."""
    loaded = load_into(net, options)
    if options.balance is not None:
        balance(TemporalLFP(net), _first_batch(splits, settings), options.balance, loaded)
    return loaded


def _prepare(
    net: nn.Module, splits: Splits, settings: Settings
) -> tuple[dict[str, float], list[str]]:
    """The weights to start from: transferred, then calibrated; factors and warnings of that."""
    kept = () if settings.transfer is None else _transfer(net, splits, settings, settings.transfer)
    return _calibrate(net, splits, settings, kept)


def _calibrate(
    net: nn.Module, splits: Splits, settings: Settings, kept: Sequence[nn.Module]
) -> tuple[dict[str, float], list[str]]:
    """Calibrate on the first batch, the same for every learner; factors and warnings."""
    if settings.calibrate is None:
        return {}, []
    batch = _first_batch(splits, settings)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", RuntimeWarning)
        factors = calibrate(TemporalLFP(net), batch, settings.calibrate, kept=kept)
    return factors, [str(warning.message) for warning in caught]


def _there(
    out: Path | None, settings: Settings, resume: bool
) -> tuple[RunDir | None, Result | None, bool]:
    """The run to go on with, its result if it has ended, and whether it has a checkpoint."""
    if not resume:
        if out is not None:
            RunDir.check_new(out)
        return None, None, False
    run = _to_resume(out, settings)
    return run, Result.read(run) if run.result.exists() else None, bool(run.checkpoints())


def _to_resume(out: Path | None, settings: Settings) -> RunDir:
    """The run to go on with, if it is there and has the settings asked for."""
    if out is None:
        raise RunError("Resuming needs the run directory to go on with.")
    run = RunDir.open(out)
    before = make_config(type(settings), read_mapping(run.config), str(run.config))
    old, new = before.model_dump(mode="json"), settings.model_dump(mode="json")
    for key in old:
        if old[key] != new[key]:
            raise ConfigError(
                f"{run.config} has {key}: {old[key]}, but {new[key]} is asked for; resume with "
                f"the run's own config, or start another run."
            )
    return run


def _describe(
    learner: Learner, splits: Splits, settings: Settings, factors: dict[str, float]
) -> dict[str, Any]:
    """The content of run.json."""
    packages = ("lfp_snn", "torch", "snntorch", "numpy")
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": shlex.join(sys.argv),
        "seed": settings.seed,
        "device": str(learner.device),
        "threads": torch.get_num_threads(),
        "versions": {
            "python": platform.python_version(),
            **{name: _version(name) for name in packages},
        },
        "platform": platform.platform(),
        "from_config": isinstance(settings, Config),
        "network": str(learner.net),
        "parameters": sum(p.numel() for p in learner.parameters()),
        "initial_weights": _digest(learner.net),
        "data": {
            **splits.info,
            "feature_shape": list(splits.train.feature_shape),
            "steps": splits.train.steps,
            "classes": list(splits.train.classes),
        },
        "calibration": factors,
    }


def _described(run: RunDir) -> tuple[bool, tuple[int, ...], list[str]]:
    """What run.json says: whether a config makes the network, shape of an input, classes.

    Raises:
        RunError: it says something else.
    """
    info = read_json(run.info)
    try:
        data = info["data"]
        shape = tuple(int(side) for side in data["feature_shape"])
        classes = [str(name) for name in data["classes"]]
        if not shape or min(shape) < 1 or not classes:
            raise ValueError("there is nothing to classify")
        return bool(info["from_config"]), shape, classes
    except DAMAGE as error:
        raise RunError(f"{run.info} does not describe a run: {error!r}.") from error


def _digest(net: nn.Module) -> str:
    """Tells networks with equal weights from others."""
    digest = hashlib.sha256()
    for name, tensor in sorted(net.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()[:16]


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


@contextmanager
def _own_random_numbers(settings: Settings) -> Iterator[None]:
    """Seeded within, and the caller's random numbers untouched."""
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices):
        torch.manual_seed(settings.seed)
        yield


def _path(out: Path | str | None) -> Path | None:
    return None if out is None else Path(out)
