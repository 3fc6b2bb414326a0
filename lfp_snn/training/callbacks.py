"""Observers that many trainings want: early stopping, the weights of the best epochs, loggers.

All of them depend on the epochs so far alone, with those before a run was resumed, so that a run
that was killed stops, keeps and logs exactly as an uninterrupted one.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

from typing_extensions import override

from lfp_snn.errors import ConfigError, require
from lfp_snn.training.checkpoint import save_checkpoint
from lfp_snn.training.files import read_json, write_atomic, write_json
from lfp_snn.training.observer import Observer, StepReport, Watched

__all__ = ["BestCheckpoints", "CSVLogger", "EarlyStopping", "TensorBoardLogger", "WandbLogger"]

Mode = Literal["max", "min"]

_WANDB = "wandb.json"


class _Watcher(Observer):
    """An observer that asks the training for what it needs."""

    def __init__(self) -> None:
        self._training: Watched | None = None

    @property
    def training(self) -> Watched:
        """The training that the observer was attached to."""
        assert self._training is not None, "it was given to no training"
        return self._training

    @override
    def attached(self, training: Watched) -> None:
        self._training = training

    def _in_run(self, given: Path | str | None, name: str) -> Path:
        """The path that the user gave, or a default path in the run directory.

        Raises:
            ConfigError: there is neither a path nor a run directory.
        """
        if given is not None:
            return Path(given)
        if self.training.folder is None:
            raise ConfigError(
                f"{type(self).__name__} has no place to write to: give it one, or fit a run "
                "directory, out=runs/mine."
            )
        return self.training.folder / name


class _Judge(_Watcher):
    """An observer that compares epochs by a metric."""

    def __init__(self, metric: str, mode: Mode) -> None:
        super().__init__()
        if mode not in ("max", "min"):
            raise ConfigError(f"mode is {mode!r}; expected 'max' or 'min'.")
        self.metric = metric
        self._sign = 1.0 if mode == "max" else -1.0

    def scores(self) -> list[float]:
        """The metric of each epoch so far; higher is better.

        Raises:
            ConfigError: an epoch has no such number.
        """
        return [self._score(each) for each in self.training.metrics]

    def _score(self, metrics: Mapping[str, Any]) -> float:
        value = metrics.get(self.metric)
        if isinstance(value, int | float):
            return self._sign * float(value)
        known = ", ".join(key for key, each in metrics.items() if isinstance(each, int | float))
        raise ConfigError(
            f"{type(self).__name__} looks at {self.metric!r}, but an epoch has no such number; "
            f"expected one of {known}."
        )


class EarlyStopping(_Judge):
    """Ends a training when a metric has not become better for some epochs.

    The setting ``patience`` does so for the validation accuracy alone.

    Args:
        metric: the name of a number in the metrics of an epoch.
        patience: the number of epochs without a better one after which training ends, at least 1.
        mode: whether ``max`` or ``min`` is better.
        min_delta: the least improvement that counts, at least 0.

    Raises:
        ConfigError: an argument is out of range, or (in training) there is no such number.
    """

    def __init__(
        self,
        metric: str = "val_accuracy",
        patience: int = 3,
        mode: Mode = "max",
        min_delta: float = 0.0,
    ) -> None:
        super().__init__(metric, mode)
        if patience < 1 or not min_delta >= 0:
            raise ConfigError(
                f"patience is {patience} and min_delta {min_delta}; expected at least 1 and 0."
            )
        self.patience = patience
        self.min_delta = min_delta

    @override
    def started(self, report: StepReport) -> None:
        self._judge()

    @override
    def epoch_ended(self, metrics: dict[str, Any]) -> None:
        self._judge()

    def _judge(self) -> None:
        best, stale = None, 0
        for score in self.scores():
            better = best is None or score > best + self.min_delta
            best, stale = (score, 0) if better else (best, stale + 1)
        if stale >= self.patience:
            self.training.stop(
                f"Stopped early: {self.metric} has not become better for {stale} epochs."
            )


class BestCheckpoints(_Judge):
    """Keeps the weights of the k best epochs, as ``epoch-0007.safetensors``.

    Load one with ``safetensors.torch.load_file`` and ``net.load_state_dict``.

    Args:
        k: the number of epochs that are kept, at least 1; of equal epochs the later ones are kept.
        metric: the name of a number in the metrics of an epoch.
        mode: whether ``max`` or ``min`` is better.
        folder: the folder to write to; by default ``checkpoints/top`` in the run directory.

    Raises:
        ConfigError: an argument is out of range, there is no such number, or no folder.
    """

    def __init__(
        self,
        k: int = 3,
        metric: str = "val_accuracy",
        mode: Mode = "max",
        folder: Path | str | None = None,
    ) -> None:
        super().__init__(metric, mode)
        if k < 1:
            raise ConfigError(f"k is {k}; expected at least 1.")
        self.k = k
        self._given = folder

    @override
    def started(self, report: StepReport) -> None:
        self._in_run(self._given, "")  # says at once if there is none

    @override
    def epoch_ended(self, metrics: dict[str, Any]) -> None:
        folder = self._in_run(self._given, "checkpoints/top")
        folder.mkdir(parents=True, exist_ok=True)
        epochs = [int(each["epoch"]) for each in self.training.metrics]
        ranked = sorted(zip(self.scores(), epochs, strict=True), reverse=True)
        kept = {folder / f"epoch-{epoch:04d}.safetensors" for _, epoch in ranked[: self.k]}
        own = folder / f"epoch-{metrics['epoch']:04d}.safetensors"
        if own in kept:
            state = {"epoch": metrics["epoch"], self.metric: metrics[self.metric]}
            save_checkpoint(own, self.training.weights(), state)
        for path in set(folder.glob("epoch-*.safetensors")) - kept:
            with suppress(OSError):
                path.unlink()


class CSVLogger(_Watcher):
    """Writes a table with one line an epoch; numbers by layer are columns such as ``firing.1``.

    Args:
        path: the path of the file; by default ``metrics.csv`` in the run directory.

    Raises:
        ConfigError: there is no place to write to.
        RunError: the file cannot be written.
    """

    def __init__(self, path: Path | str | None = None) -> None:
        super().__init__()
        self._given = path

    @override
    def started(self, report: StepReport) -> None:
        self._in_run(self._given, "")  # says at once if there is none

    @override
    def epoch_ended(self, metrics: dict[str, Any]) -> None:
        # Whole each time: what a killed session wrote of the epoch under way is no line of it.
        rows = [flat(each) for each in self.training.metrics]
        text = io.StringIO()
        table = csv.DictWriter(text, list(dict.fromkeys(key for row in rows for key in row)))
        table.writeheader()
        table.writerows(rows)
        write_atomic(self._in_run(self._given, "metrics.csv"), text.getvalue().encode())


class TensorBoardLogger(_Watcher):
    """Writes the metrics of each epoch for TensorBoard (the extra ``tensorboard``).

    Args:
        folder: the folder of the log; by default ``tensorboard`` in the run directory.

    Raises:
        NetworkError: TensorBoard is not installed.
        ConfigError: there is no place to write to.
    """

    def __init__(self, folder: Path | str | None = None) -> None:
        super().__init__()
        require("tensorboard", "tensorboard")
        self._given = folder
        self._writer: Any = None

    @override
    def started(self, report: StepReport) -> None:
        from torch.utils.tensorboard import SummaryWriter

        # Whatever was logged of epochs that are trained once more is passed over.
        folder = self._in_run(self._given, "tensorboard")
        self._writer = SummaryWriter(str(folder), purge_step=report.epoch)

    @override
    def epoch_ended(self, metrics: dict[str, Any]) -> None:
        for name, value in flat(metrics).items():
            if name != "epoch" and value is not None:
                self._writer.add_scalar(name.replace(".", "/", 1), value, metrics["epoch"])
        self._writer.flush()

    @override
    def testing(self) -> None:
        self._writer.close()


class WandbLogger(_Watcher):
    """Logs the metrics of each epoch with Weights & Biases (the extra ``wandb``).

    With ``mode="offline"``, or ``WANDB_MODE=offline`` in the environment, nothing is sent: files
    are written that ``wandb sync`` sends later. A run that is resumed goes on in the same run of
    Weights & Biases, whose id is kept in ``wandb.json`` of the run directory.

    Args:
        project: the name of the project.
        options: what else ``wandb.init`` takes by name, such as ``name``, ``config`` and ``mode``.

    Raises:
        NetworkError: Weights & Biases is not installed.
    """

    def __init__(self, project: str, **options: Any) -> None:
        super().__init__()
        require("wandb", "wandb")
        self._options = {"project": project, **options}
        self._run: Any = None

    @override
    def started(self, report: StepReport) -> None:
        folder, known = self.training.folder, self._known()
        own = {} if folder is None else {"dir": str(folder)}
        if known is not None:
            own |= {"id": known["id"], "resume": "allow"}
        self._run = import_module("wandb").init(**{**own, **self._options})
        # What a killed session trained, and did not come to log.
        logged = 0 if known is None else known["logged"]
        for metrics in self.training.metrics:
            if metrics["epoch"] > logged:
                self._log(metrics)

    @override
    def epoch_ended(self, metrics: dict[str, Any]) -> None:
        self._log(metrics)

    @override
    def testing(self) -> None:
        self._run.finish()

    def _log(self, metrics: Mapping[str, Any]) -> None:
        told = {name.replace(".", "/", 1): each for name, each in flat(metrics).items()}
        known = {name: each for name, each in told.items() if each is not None}
        self._run.log(known, step=metrics["epoch"])
        if self.training.folder is not None:
            noted = {"id": self._run.id, "logged": metrics["epoch"]}
            write_json(self.training.folder / _WANDB, noted)

    def _known(self) -> dict[str, Any] | None:
        """What the run directory notes of an earlier session, if there was one."""
        path = None if self.training.folder is None else self.training.folder / _WANDB
        return read_json(path) if path is not None and path.exists() else None


def flat(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """A flat mapping of metrics, with the numbers of a layer under names such as ``firing.1``."""
    flattened: dict[str, Any] = {}
    for key, value in metrics.items():
        if isinstance(value, Mapping):
            flattened |= {f"{key}.{name}": each for name, each in value.items()}
        else:
            flattened[key] = value
    return flattened
