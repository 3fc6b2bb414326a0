"""``lfp-snn bench``: the cost of a training step of a config here, and where the time goes."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import typer
from rich.console import Console
from rich.table import Table

from lfp_snn.analysis.bench import WARMUP, Cost, measure
from lfp_snn.analysis.machine import machine
from lfp_snn.cli.configs import experiment
from lfp_snn.console import percent, progress_console, time_bar, two_columns
from lfp_snn.training import assemble, seeded
from lfp_snn.training.assembly import load_splits

__all__ = ["bench"]

MEBIBYTE = 2**20


def bench(config: str, overrides: Sequence[str] | None, steps: int, as_json: bool) -> None:
    """Measure the training step of a config; see :func:`lfp_snn.cli.declared.bench`."""
    settings = experiment(config, overrides or ())
    splits, here = load_splits(settings), machine()
    with seeded(settings), time_bar(progress_console(sys.stderr)) as bar:
        trainer = assemble(settings, splits)
        task = bar.add_task("measuring", total=WARMUP + 2 * steps)
        cost = measure(trainer, steps, lambda: bar.advance(task))
    engine = trainer.learner.engine
    if as_json:
        found = {"device": str(engine.device), "backend": engine.backend, "machine": here}
        typer.echo(json.dumps({"config": settings.name, **found, **cost.to_json()}))
        return
    console = Console()
    rows = [
        ("machine", f"{here['processor']}, {here['threads']} threads, load {here['load']:.1f}"),
        ("on", f"{engine.device}, backend {engine.backend}, learner {settings.learner.name}"),
        ("step", f"{_ms(cost.step)} ms, {cost.batch / cost.step:,.0f} samples/s"),
        ("  data", f"{_ms(cost.data)} ms, {percent(cost.data / cost.step)}"),
        ("  feedback", f"{_ms(cost.feedback)} ms, {percent(cost.feedback / cost.step)}"),
        ("  update", f"{_ms(cost.update)} ms, {percent(cost.update / cost.step)}"),
        ("peak memory", f"{cost.peak_bytes / MEBIBYTE:,.0f} MiB"),
    ]
    console.print(two_columns(rows))
    if cost.stages:
        console.print()
        console.print(_stages(cost))


def _stages(cost: Cost) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("stage")
    table.add_column("kernel")
    for heading in ("forward, ms", "backward, ms", "share"):
        table.add_column(heading, justify="right")
    whole = sum(each.forward + each.backward for each in cost.stages)
    for each in cost.stages:
        share = percent((each.forward + each.backward) / whole)
        table.add_row(each.name, each.kernel, _ms(each.forward), _ms(each.backward), share)
    return table


def _ms(seconds: float) -> str:
    return f"{1000 * seconds:.2f}"
