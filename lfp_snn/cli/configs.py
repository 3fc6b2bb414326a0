"""``lfp-snn cp``, ``validate`` and ``show``: copies, checks and views of configs."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path

import torch
import typer
from rich.console import Console

from lfp_snn import hub
from lfp_snn.analysis.experiments import load_any
from lfp_snn.analysis.study.kinds import kinds
from lfp_snn.cli.own import with_network
from lfp_snn.cli.shipped import find_config
from lfp_snn.console import two_columns
from lfp_snn.engine import TemporalLFP
from lfp_snn.errors import ConfigError, RunError
from lfp_snn.models.layer import as_text as shape_text
from lfp_snn.shipped import is_shipped, located
from lfp_snn.training import Config, TrainedRun, load_config
from lfp_snn.training.assembly import build_learner, load_splits
from lfp_snn.training.configfile import read_mapping
from lfp_snn.training.configtext import commented
from lfp_snn.wholefiles import write_whole

__all__ = ["copy", "experiment", "show", "validate"]


def copy(config: str, dest: Path | None, full: bool) -> None:
    """Copy a config; see :func:`lfp_snn.cli.declared.cp`."""
    source = find_config(config)
    text = _in_full(source) if full else source.read_text(encoding="utf-8")
    target = dest or Path(source.name)
    if target.is_dir():
        target /= source.name
    try:
        write_whole(target, text.encode(), new=True)
    except FileExistsError:
        raise RunError(f"{target} exists already; name another file.") from None
    except OSError as error:
        raise RunError(f"{target} cannot be written: {error.strerror}.") from error
    typer.echo(f"copied to {target}")


def validate(config: str, overrides: Sequence[str] | None) -> None:
    """Check a config; see :func:`lfp_snn.cli.declared.validate`."""
    path = find_config(config)
    load_any(path, list(overrides or ()))
    typer.echo(f"{path} is valid")


def show(
    config: str,
    overrides: Sequence[str] | None,
    shape: str | None,
    classes: int,
    resolved: bool,
    net: str | None,
) -> None:
    """Show the network of a config, or all of it; see :func:`lfp_snn.cli.declared.show`."""
    changes = with_network(overrides, net)
    if resolved:
        typer.echo(commented(load_any(find_config(config), changes)), nl=False)
        return
    settings = experiment(config, changes)
    feature = None if shape is None else _input_shape(shape)
    if is_shipped(config):
        Console().print(two_columns(hub.card(located(config).name).rows()))
        trained = TrainedRun.open(config)
        feature, classes = feature or trained.input_shape, len(trained.classes)
    elif feature is None:
        train = load_splits(settings).train
        feature, classes = train.feature_shape, len(train.classes)
    built = settings.model.build(feature, classes).eval()
    own = build_learner(built, settings).engine
    engine = TemporalLFP(built, own.rule, backend="torch")  # a row for every layer
    engine.forward(torch.zeros(1, 1, *feature), record=False)
    typer.echo(f"{settings.model.name} for inputs of {shape_text(feature)}, {classes} classes")
    typer.echo(engine.summary(own.kernels))


def experiment(config: str, overrides: Sequence[str]) -> Config:
    """The config of one training.

    Raises:
        ConfigError: there is no such config, something in it is wrong, or it is one of a study.
    """
    path = find_config(config)
    for section in read_mapping(path).keys() & kinds().keys():
        raise ConfigError(
            f"{config} has a section {section}: run it with lfp-snn {section} {config}."
        )
    return load_config(path, overrides)


def _in_full(path: Path) -> str:
    """Every field of a config, under the comment at the head of the file."""
    head = takewhile(lambda line: line.startswith("#"), path.read_text("utf-8").splitlines())
    return commented(load_any(path, []), [line.removeprefix("#").strip() for line in head])


def _input_shape(given: str) -> tuple[int, ...]:
    sizes = given.lower().split("x")
    if not all(size.strip().isdecimal() and int(size) for size in sizes):
        raise ConfigError(f"--input is {given!r}; expected sizes such as 2x34x34 or 700.")
    return tuple(map(int, sizes))
