"""Resuming a run: a check that settings and data are those that the run was begun with.

A run keeps in ``run.json`` the settings it was begun with, the identity of each part of its data
(:mod:`lfp_snn.data.identity`), and what its network consists of. What differs from them is refused
by name: a split drawn anew would turn test recordings into training recordings without a word, and
a decay that was changed would be that of the checkpoint all the same. :data:`MAY_CHANGE` lists the
settings that a run may go on with other values of; the number of threads is no setting and may
change as well.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import snntorch
import torch
from snntorch import SpikingNeuron
from torch import nn
from torch.nn.modules.lazy import LazyModuleMixin
from torch.optim import Optimizer

from lfp_snn.data import Splits
from lfp_snn.data.identity import identity_of, other
from lfp_snn.errors import ConfigError, RunError
from lfp_snn.learners.own import OwnReward
from lfp_snn.learners.reward_options import AutoReward
from lfp_snn.models import Own
from lfp_snn.training.config import Config, Settings
from lfp_snn.training.configfile import dump_config, make_config, read_mapping
from lfp_snn.training.configproblems import cut
from lfp_snn.training.files import read_json, write_atomic, write_json
from lfp_snn.training.optim import Schedule
from lfp_snn.training.result import Result
from lfp_snn.training.rundir import RunDir
from lfp_snn.training.steering import of_settings

__all__ = [
    "INFO_AGAIN",
    "MAY_CHANGE",
    "Resumed",
    "as_begun",
    "data_identity",
    "find_run",
    "goes_on",
    "network_identity",
    "noted_identity",
    "other_network",
    "read_info",
    "schedule_anew",
    "told",
]

#: Settings of a run that may change when it is resumed.
MAY_CHANGE = ("epochs", "workers", "device")
#: What to do where run.json is not as a run wrote it.
INFO_AGAIN = "bring the file back as the run wrote it, or train again into another folder"

_PARTS = ("train", "val", "test")
_LAZY = "lazy"  # a module that is not made yet


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
        known = noted_identity(self.run)
        now = data_identity(splits)
        for name, before in known.items():
            for what in other(before, now[name]):
                raise RunError(
                    f"{self.run.path} was begun with other data: {told(what, name)} were "
                    f"{before[what]} and are {now[name][what]} now; bring the data back "
                    "as they were (files, labels, split), or start another run."
                )

    def check_network(self, net: nn.Module) -> None:
        """Refuse a network of other modules, or of other constants of its neurons.

        Its weights are those of the checkpoint, whatever they are now.

        Raises:
            RunError: the network differs; the message names the first thing that does.
        """
        differing = other_network(self.run, net)
        if differing is not None:
            raise RunError(
                f"{self.run.path} was begun with another network: {differing} now; resume with the "
                "network of the run, or start another run."
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
        info = read_info(self.run)
        data = {**_mapping(info, "data", self.run), "identity": data_identity(splits)}
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
    noted = read_info(run)
    known = "settings" in noted
    begun_with = written
    if known:
        begun_with = make_config(kind, _mapping(noted, "settings", run), str(run.info))
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
    # Without its best weights a run that has ended goes on: its last checkpoint gives them again.
    whole = run.best.exists() or not run.checkpoints()
    ended = run.result.exists() and whole and "epochs" not in changed
    result = Result.read(run) if ended else None
    begun = bool(run.checkpoints())
    return Resumed(run, result, begun, begun_with.epochs, changed, not known)


def as_begun(settings: Settings, out: Path | None) -> Settings:
    """Settings whose reward or loss is that of the run to go on with, where they leave it open.

    What an open one stands for may depend on the data and on the version of this package; the run
    began with one of them. Whatever else the run lacks or differs in is told by :func:`find_run`.
    """
    if out is None or not RunDir(out).config.is_file():
        return settings
    try:
        begun = make_config(type(settings), read_mapping(RunDir(out).config)).learner
    except ConfigError:
        return settings
    learner: Any = settings.learner
    if type(begun) is not type(learner):
        return settings
    known: Any = begun
    update: dict[str, Any] = {}
    reward = getattr(learner, "reward", None)
    if isinstance(reward, AutoReward) and not isinstance(known.reward, OwnReward):
        silence = getattr(known.reward, "at_silence", None)
        if silence == reward.at_silence:
            update["reward"] = known.reward
    if getattr(learner, "loss", None) == "auto":
        update["loss"] = known.loss
    return settings.model_copy(update={"learner": learner.model_copy(update=update)})


def goes_on(settings: Settings, run: Path) -> str:
    """What to type, or to call in Python, to go on with a run."""
    if isinstance(settings, Config):
        # A config names the function that makes the network, and calls nothing.
        net = f" --net {settings.model.function}" if isinstance(settings.model, Own) else ""
        return f"lfp-snn train {RunDir(run).config} --out {run} --resume{net}"
    return f"fit(..., out={str(run)!r}, resume=True)"


def data_identity(splits: Splits) -> dict[str, dict[str, Any]]:
    """The identity of each part of data."""
    return {name: identity_of(getattr(splits, name)) for name in _PARTS}


def noted_identity(run: RunDir) -> dict[str, dict[str, Any]]:
    """The identity of each part of the data that a run was begun with, as far as it is noted.

    Raises:
        RunError: run.json is missing or damaged.
    """
    parts = _mapping(_mapping(read_info(run), "data", run), "identity", run)
    return {name: _mapping(parts, name, run) for name in parts if name in _PARTS}


def told(what: str, part: str) -> str:
    """What differs of a part of data, in words.

    Args:
        what: the name that :func:`lfp_snn.data.identity.other` gives.
        part: the name of the part.
    """
    if what == "samples":
        return f"the samples of its {part} part"
    if what == "classes":
        return f"the classes of its {part} part"
    if what == "shape":
        return f"the shapes of its {part} part (steps, then a frame)"
    if what == "numbers":
        return f"the inputs of its {part} part (two numbers of some samples)"
    shown = {"content": "inputs"}.get(what, what)
    return f"the {shown} of its {part} part (by their digest)"


def other_network(run: RunDir, net: nn.Module) -> str | None:
    """The first module or constant of a neuron that a run noted otherwise, and both; or None.

    Nothing is said of runs of another version of torch or snntorch, which may write modules in
    another way, or of a version of this package that did not note them.
    """
    noted, now = read_info(run).get("consists_of"), network_identity(net)
    if not isinstance(noted, dict) or noted.get("versions") != now["versions"]:
        return None
    for name in [*noted, *(name for name in now if name not in noted)]:
        before, found = noted.get(name, "not there"), now.get(name, "not there")
        if before != found and _LAZY not in (before, found):
            short = [f"{each:.7g}" if isinstance(each, float) else each for each in (before, found)]
            was, now_is = (before, found) if short[0] == short[1] else short
            return f"{name} was {was} and is {now_is}"
    return None


def network_identity(net: nn.Module) -> dict[str, Any]:
    """The modules of a network by their names, and the constants of its neurons.

    What is learned is no part of it.
    """
    found: dict[str, Any] = {"versions": [str(torch.__version__), str(snntorch.__version__)]}
    for name, module in net.named_modules():
        if isinstance(module, LazyModuleMixin):
            found[name] = _LAZY
        elif not any(module.children()):
            found[name] = re.sub(r" at 0x[0-9a-f]+", "", str(module))
        if isinstance(module, SpikingNeuron):
            held = module.state_dict()
            for constant, _ in module.named_buffers(recurse=False):
                if constant in held:
                    found[f"{name}.{constant}"] = _shown(held[constant])
    return found


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


def _shown(constant: torch.Tensor) -> Any:
    """The value of a constant, or what tells it from others of many values."""
    if constant.numel() == 1:
        return _written(float(constant))
    numbers = constant.detach().double().flatten()
    sums = (float(numbers.sum()), float(numbers.square().sum()))
    return [list(constant.shape), *map(_written, sums)]


def _written(number: float) -> float | str:
    """A number as JSON takes it: a readout has a threshold at infinity."""
    return number if math.isfinite(number) else str(number)


def read_info(run: RunDir) -> dict[str, Any]:
    """The content of run.json.

    Raises:
        RunError: the file is missing or damaged.
    """
    info = read_json(run.info)
    if not isinstance(info, dict):
        raise RunError(
            f"{run.info} does not describe a run: it holds {cut(repr(info))}, expected a mapping "
            f"of what the run noted; {INFO_AGAIN}."
        )
    return info


def _mapping(info: dict[str, Any], key: str, run: RunDir) -> dict[str, Any]:
    """A section of run.json; an empty one if it is not there.

    Raises:
        RunError: it is no mapping.
    """
    found = info.get(key, {})
    if not isinstance(found, dict):
        raise RunError(f"{run.info} is damaged: {key} is {found!r}, expected a mapping.")
    return found


def _differences(before: Settings, now: Settings) -> Iterator[tuple[str, Any, Any]]:
    """The dotted key, earlier and present value of every setting that differs."""
    yield from _differing(before.model_dump(mode="json"), now.model_dump(mode="json"), "")


def _differing(before: Any, now: Any, key: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(before, dict) and isinstance(now, dict) and before.keys() == now.keys():
        for name, value in before.items():
            yield from _differing(value, now[name], f"{key}.{name}" if key else name)
    elif before != now:
        yield key, before, now
