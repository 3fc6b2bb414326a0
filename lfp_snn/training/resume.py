"""Resuming a run: a check that settings and data are those that the run was begun with.

A run keeps in ``run.json`` the settings it was begun with, and digests of the ids and labels of
each part of its data. What differs from them is refused by name: a split drawn anew would turn test
recordings into training recordings without a word. :data:`MAY_CHANGE` lists the settings that a run
may go on with other values of; the number of threads is no setting and may change as well.
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch.optim import Optimizer

from lfp_snn.data import SampleSet, Splits
from lfp_snn.errors import ConfigError, RunError
from lfp_snn.models import Own
from lfp_snn.training.config import Config, Settings
from lfp_snn.training.configfile import dump_config, make_config, read_mapping
from lfp_snn.training.files import read_json, write_atomic, write_json
from lfp_snn.training.optim import Schedule
from lfp_snn.training.result import Result
from lfp_snn.training.rundir import RunDir
from lfp_snn.training.steering import of_settings

__all__ = ["MAY_CHANGE", "Resumed", "data_identity", "find_run", "goes_on", "schedule_anew"]

#: Settings of a run that may change when it is resumed.
MAY_CHANGE = ("epochs", "workers", "device")

_PARTS = ("train", "val", "test")


@dataclass(frozen=True)
class Resumed:
    """A run to go on with.

    Attributes:
        run: the run directory.
        result: the result of the run, if it has ended and nothing more is asked of it.
        begun: whether the run has a checkpoint.
        epochs: the number of epochs that the run was begun with.
        changed: the dotted keys of the settings that may change and did.
        unknown: whether the run was made by a version that did not note settings and data.
    """

    run: RunDir
    result: Result | None
    begun: bool
    epochs: int
    changed: Collection[str]
    unknown: bool

    def check_data(self, splits: Splits) -> None:
        """Refuse other data than the run was begun with.

        Raises:
            RunError: the data differs; the message names the part of it, and what differs.
        """
        known = _noted(self.run).get("data", {}).get("identity")
        if known is None:
            return
        now = data_identity(splits)
        for name, before in known.items():
            for what, value in before.items():
                if now.get(name, {}).get(what) != value:
                    raise RunError(
                        f"{self.run.path} was begun with other data: {_told(name, what)} were "
                        f"{value} and are {now.get(name, {}).get(what)} now; bring the data back "
                        "as they were (files, labels, split), or start another run."
                    )

    def note(self, settings: Settings, splits: Splits) -> None:
        """Write the settings and the data that the run goes on with into it.

        A result of fewer epochs does not hold for the run that goes on, and is removed first.

        Raises:
            RunError: a file cannot be written.
        """
        if not (self.changed or self.unknown):
            return
        if "epochs" in self.changed:
            self.run.result.unlink(missing_ok=True)
        info = _noted(self.run)
        data = {**info.get("data", {}), "identity": data_identity(splits)}
        write_json(
            self.run.info, {**info, "settings": settings.model_dump(mode="json"), "data": data}
        )
        write_atomic(self.run.config, dump_config(settings).encode())

    def warnings(self) -> list[str]:
        """Warnings for the user about this run."""
        if not self.unknown:
            return []
        return [
            f"{self.run.path} was made by an earlier version, which did not note its data: that "
            "they are the same cannot be checked."
        ]


def find_run(out: Path | None, settings: Settings) -> Resumed:
    """Find the run to go on with.

    Args:
        out: the directory of the run.
        settings: the settings that are asked for now.

    Raises:
        RunError: there is no such run.
        ConfigError: the config in the run has been edited, or other settings are asked for; the
            message names the key.
    """
    if out is None:
        raise RunError("Resuming needs the run directory to go on with.")
    run = RunDir.open(out)
    kind = type(settings)
    written = make_config(kind, read_mapping(run.config), str(run.config))
    noted = _noted(run).get("settings")
    begun_with = written if noted is None else make_config(kind, noted, str(run.info))
    for key, before, now in _differences(begun_with, written):
        if key not in MAY_CHANGE:
            raise ConfigError(
                f"{run.config} was edited since the run began: {key} was {before!r} and is "
                f"{now!r} now; put it back, or start another run."
            )
    for key, before, now in _differences(written, settings):
        if key == "data" and before is None:  # of a version that did not note it
            continue
        if key not in MAY_CHANGE:
            raise ConfigError(
                f"{run.config} has {key}: {before!r}, but {now!r} is asked for; resume with the "
                f"run's own config (only {', '.join(MAY_CHANGE)} may change), or start another run."
            )
    # Not what is written: a number of epochs that was edited there is a change as well.
    changed = [key for key, _, _ in _differences(begun_with, settings)]
    ended = run.result.exists() and "epochs" not in changed
    result = Result.read(run) if ended else None
    begun = bool(run.checkpoints())
    return Resumed(run, result, begun, begun_with.epochs, changed, noted is None)


def goes_on(settings: Settings, run: Path) -> str:
    """What to type, or to call in Python, to go on with a run."""
    if isinstance(settings, Config):
        # A config names the function that makes the network, and calls nothing.
        net = f" --net {settings.model.function}" if isinstance(settings.model, Own) else ""
        return f"lfp-snn train {RunDir(run).config} --out {run} --resume{net}"
    return f"fit(..., out={str(run)!r}, resume=True)"


def data_identity(splits: Splits) -> dict[str, dict[str, Any]]:
    """An identity of data: the size of each part, and digests of its ids and labels."""
    return {name: _identity(getattr(splits, name)) for name in _PARTS}


def schedule_anew(
    settings: Settings, optimizer: Optimizer, steps_per_epoch: int, step: int
) -> Schedule:
    """The schedule over the epochs that are asked for now, as it stands after so many steps.

    Args:
        settings: the settings with the schedule, its peak and the epochs.
        optimizer: the optimizer whose learning rate the schedule sets.
        steps_per_epoch: the number of steps of an epoch.
        step: the number of steps that lie behind.
    """
    for group in optimizer.param_groups:
        group["lr"] = settings.optimizer.lr
        group.pop("initial_lr", None)
    schedule = of_settings(settings, optimizer, steps_per_epoch)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the steps were made before, by another
        for _ in range(min(step, settings.epochs * steps_per_epoch)):
            schedule.stepped()
    return schedule


def _identity(samples: SampleSet) -> dict[str, Any]:
    return {
        "samples": len(samples),
        "ids": _digest("\0".join(samples.ids).encode("utf-8", "surrogateescape")),
        "labels": _digest(samples.labels.tobytes()),
        **({} if samples.targets is None else {"targets": _digest(samples.targets.tobytes())}),
    }


def _told(part: str, what: str) -> str:
    """The difference between data and the noted identity, in words."""
    if what == "samples":
        return f"the samples of its {part} part"
    return f"the {what} of its {part} part (by their digest)"


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]


def _noted(run: RunDir) -> dict[str, Any]:
    """The content of run.json.

    Raises:
        RunError: the file is missing or damaged.
    """
    info = read_json(run.info)
    if not isinstance(info, dict):
        raise RunError(f"{run.info} does not describe a run.")
    return info


def _differences(before: Settings, now: Settings) -> Iterator[tuple[str, Any, Any]]:
    """The dotted key, earlier and present value of every setting that differs."""
    yield from _differing(before.model_dump(mode="json"), now.model_dump(mode="json"), "")


def _differing(before: Any, now: Any, key: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(before, dict) and isinstance(now, dict) and before.keys() == now.keys():
        for name, value in before.items():
            yield from _differing(value, now[name], f"{key}.{name}" if key else name)
    elif before != now:
        yield key, before, now
