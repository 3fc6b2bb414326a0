"""``lfp-snn train``: a training from a config, with its report."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape

from lfp_snn.analysis.report import write_report
from lfp_snn.cli.configs import experiment
from lfp_snn.cli.own import with_network
from lfp_snn.console import progress_console, shown, two_columns
from lfp_snn.errors import ConfigError, RunError
from lfp_snn.training import Config, Observer, Result
from lfp_snn.training import train as run_training
from lfp_snn.training.assembly import load_splits
from lfp_snn.training.display import Display
from lfp_snn.training.distributed import World, join
from lfp_snn.training.rundir import RunDir

__all__ = ["train"]

WATCH_PORT = 8470


def train(
    config: str,
    overrides: Sequence[str] | None,
    out: Path | None,
    resume: bool,
    watch: bool,
    port: int | None,
    net: str | None,
) -> None:
    """Train, test and report; see :func:`lfp_snn.cli.declared.train`."""
    if port is not None and not watch:
        raise ConfigError("--port is for --watch.")
    settings = experiment(config, with_network(overrides, net))
    if resume and out is None:
        raise RunError("--resume needs --out RUN, the run to go on with.")
    run = out or Path("runs") / f"{settings.name}-{datetime.now():%Y%m%d-%H%M%S}"
    world = join(settings.device)
    console = progress_console(sys.stdout, quiet=not world.first)
    if watch and port is None:
        port = WATCH_PORT
    with _watched(run, port if world.first else None, console) as observers:
        result = _train(settings, run, resume, console, world, observers)
    if not world.first:
        return
    console.print()
    console.print(two_columns(result.rows()))
    console.print(f"report: {shown(write_report(run))}", soft_wrap=True, highlight=False)


class _Warnings(Observer):
    """An observer that prints the warnings of a training on a console."""

    def __init__(self, console: Console) -> None:
        self.console = console

    def warned(self, message: str) -> None:
        self.console.print(f"[yellow]warning:[/] {escape(message)}", soft_wrap=True)


@contextmanager
def _watched(run: Path, port: int | None, console: Console) -> Iterator[list[Observer]]:
    """The observers of a training that is watched at a port; none without one."""
    if port is None:
        yield []
        return
    from lfp_snn.analysis.watch import Watch  # slow to import

    with Watch(run.name, port) as watch:
        console.print(f"watch: {watch.url}", soft_wrap=True, highlight=False)
        yield [watch]


def _train(
    config: Config,
    run: Path,
    resume: bool,
    console: Console,
    world: World,
    observers: Sequence[Observer],
) -> Result:
    if not resume:
        world.on_first(lambda: RunDir.check_new(run))
    splits = load_splits(config)  # what fails here makes no run
    console.print(f"run: {shown(run)}", soft_wrap=True, highlight=False)
    sizes = f"{len(splits.train)} train, {len(splits.val)} val, {len(splits.test)} test"
    console.print(f"data: {splits.info['source']}; {sizes}", soft_wrap=True, highlight=False)
    if splits.info.get("skipped"):
        console.print(f"skipped: {splits.info['skipped']} files that cannot be read")
    with Display(console, config.epochs) as display:
        told = [display, _Warnings(console), *observers]
        result = run_training(config, run, splits=splits, resume=resume, observers=told)
    several = len(np.unique(splits.train.labels)) > 1  # one class, or targets: nothing to tell
    if config.baseline and result.baseline is None and several and world.first:
        from lfp_snn.analysis.baseline import logistic_baseline  # slow to import

        name = "logistic regression on events summed over time"
        accuracy = logistic_baseline(splits)
        result = replace(result, baseline={"name": name, "test_accuracy": accuracy})
        result.write()
    return result
