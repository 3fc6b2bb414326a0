"""``lfp-snn show``: the network of a config, or all of it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import typer
from rich.console import Console

from lfp_snn import hub
from lfp_snn.analysis.experiments import load_any
from lfp_snn.cli.configs import experiment
from lfp_snn.cli.own import with_network
from lfp_snn.cli.shipped import find_config
from lfp_snn.console import two_columns
from lfp_snn.engine import TemporalLFP
from lfp_snn.errors import ConfigError
from lfp_snn.models.layer import as_text as shape_text
from lfp_snn.shipped import is_shipped, located
from lfp_snn.training import TrainedRun
from lfp_snn.training.assembly import build_learner, load_splits
from lfp_snn.training.configtext import commented

__all__ = ["show"]


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


def _input_shape(given: str) -> tuple[int, ...]:
    sizes = given.lower().split("x")
    if not all(size.strip().isdecimal() and int(size) for size in sizes):
        raise ConfigError(f"--input is {given!r}; expected sizes such as 2x34x34 or 700.")
    return tuple(map(int, sizes))
