"""The data that a user gives to ``fit``, made ready for the network."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader

from lfp_snn.data import Splits, own_splits
from lfp_snn.data.layout import OutputsOf
from lfp_snn.engine import TemporalLFP
from lfp_snn.errors import ConfigError, DataError, LfpSnnError, ShapeError
from lfp_snn.rules import Rescale
from lfp_snn.training.configproblems import cut
from lfp_snn.training.observer import Observer

__all__ = ["KINDS", "check_arguments", "outputs_of", "require_module", "settings_of", "splits_for"]


def settings_of(train: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a ``DataLoader`` brings with it, such as the batch size.

    Raises:
        ConfigError: such a setting is given beside the loader.
    """
    if not isinstance(train, DataLoader):
        return {}
    if "batch_size" in settings:
        raise ConfigError(
            "batch_size is given, but the training data is a DataLoader, which has batches of its "
            "own: leave batch_size out, or give the dataset itself."
        )
    return {} if train.batch_size is None else {"batch_size": train.batch_size}


def require_module(net: object) -> None:
    """Refuse what is no network.

    Raises:
        ConfigError: it is something else; the message says what to give.
    """
    if isinstance(net, TemporalLFP):
        raise ConfigError(
            "fit takes the network itself and makes a TemporalLFP of it by its own settings: call "
            f"fit(lfp.net, ...{'' if net.rule == Rescale() else ', rule=lfp.rule'})."
        )
    if not isinstance(net, nn.Module):
        cure = f": call it, {getattr(net, '__name__', 'make')}()" if callable(net) else ""
        raise ConfigError(f"fit takes a torch.nn.Module, not {net!r}{cure}.")
    if not any(each.requires_grad for each in net.parameters()):
        raise ConfigError(
            f"{type(net).__name__} has no parameter that learns: leave requires_grad on for those "
            "that shall."
        )


def check_arguments(**given: Any) -> None:
    """Refuse arguments of :func:`fit` that are of another kind.

    Raises:
        ConfigError: one is; the message names it, and says what is expected.
    """
    for name, value in given.items():
        fits, expected = KINDS[name]
        if not fits(value):
            raise ConfigError(f"fit: {name} is {cut(repr(value))}, expected {expected}.")


def _are_observers(value: Any) -> bool:
    return isinstance(value, list | tuple) and all(isinstance(each, Observer) for each in value)


_SWITCH = (lambda value: isinstance(value, bool), "True or False")
#: Of each argument whether a value fits, and what is expected.
KINDS: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "resume": _SWITCH,
    "progress": _SWITCH,
    "report": _SWITCH,
    "observers": (_are_observers, "a list of observers, such as [EarlyStopping()]"),
    "scheduler_every": (lambda value: value in (None, "step", "epoch"), "'step' or 'epoch'"),
    "out": (
        lambda value: value is None or isinstance(value, str | os.PathLike),
        "the path of a run directory, or None",
    ),
}


def splits_for(net: nn.Module, train: Any, val: Any, test: Any, **said: Any) -> Splits:
    """The three parts of the data of a training, from what the caller gave to :func:`fit`."""
    if not isinstance(train, Splits):
        engine = TemporalLFP(net)
        if said.get("steps") is None and engine.loop is not None and engine.loop.axis is None:
            said["steps"] = engine.loop.steps  # for which it shows an input that has no time
        return own_splits(train, val, test, outputs_of=_outputs_by(engine), **said)
    beside = {"val": val, "test": test, **said}
    if given := [name for name, value in beside.items() if value is not None]:
        raise ConfigError(
            f"{given[0]} is given, but train is Splits, which have all parts: leave {given[0]} out."
        )
    if not train.train.is_regression:
        _check_outputs(net, train)
    return train


def _check_outputs(net: nn.Module, splits: Splits) -> None:
    """Refuse a network that has not one output for each class of the data."""
    classes = len(splits.train.classes)
    try:
        outputs = _outputs_by(TemporalLFP(net, check=False))(splits.train.feature_shape)
    except LfpSnnError:  # which is told when it is run
        return
    if outputs != classes:
        raise DataError(
            f"The network has {outputs} outputs, but the data has {classes} classes: give it one "
            "output for each class."
        )


def outputs_of(net: nn.Module) -> OutputsOf:
    """A function that tells the number of outputs of a network for a shape of frames.

    It runs one step of silence, and raises ShapeError for a shape that the network does not take.
    Nothing of the network changes.

    Raises:
        NetworkError: the network cannot be traced.
    """
    return _outputs_by(TemporalLFP(net))


def _outputs_by(engine: TemporalLFP) -> OutputsOf:
    net = engine.net

    @cache
    def outputs(frame: tuple[int, ...]) -> int:
        modes = [(module, module.training) for module in net.modules()]
        net.eval()
        try:
            silence = torch.zeros(*_time(engine), *frame, device=engine.device, dtype=engine.dtype)
            given = engine.forward(silence, record=False)
        except RuntimeError as error:  # of a torch function, which the engine does not check
            raise ShapeError(str(error).splitlines()[0]) from error
        finally:
            for module, mode in modes:
                module.training = mode
        if given.dim() != 3:
            raise ShapeError(
                f"The outputs of a sample have the shape {tuple(given.shape[2:])}; expected one "
                "axis of outputs: end with a layer such as nn.Flatten, nn.Linear and neurons."
            )
        return given.shape[-1]

    return outputs


def _time(engine: TemporalLFP) -> tuple[int, ...]:
    """The axes of time and batch of one sample, as the forward of the network takes them."""
    if engine.loop is None:
        return 1, 1
    if engine.loop.axis is None:
        return (1,)
    steps = engine.loop.steps or 1
    return (1, steps) if engine.loop.axis else (steps, 1)
