"""``lfp-snn evaluate`` and ``lfp-snn predict``: tests and predictions of a run that has ended."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console

from lfp_snn.cli.console import percent, two_columns
from lfp_snn.cli.own import opened

__all__ = ["evaluate", "predict"]


def evaluate(
    run: Path, overrides: Sequence[str] | None, as_json: bool, net: str | None, data: str | None
) -> None:
    """Test once more; see :func:`lfp_snn.cli.declared.evaluate`."""
    evaluation = opened(run, overrides, net, data).evaluate()
    if evaluation.error is not None:
        told = json.dumps({"test_error": evaluation.error})
        typer.echo(told if as_json else f"test error  {evaluation.error:.4g}")
        return
    if as_json:
        typer.echo(json.dumps({"test_accuracy": evaluation.accuracy, "test_ties": evaluation.ties}))
        return
    rows = [
        ("test accuracy", percent(evaluation.accuracy, 2)),
        ("ties", percent(evaluation.ties)),
    ]
    Console().print(two_columns(rows))


def predict(run: Path, file: Path, as_json: bool, net: str | None) -> None:
    """Read the class of a recording; see :func:`lfp_snn.cli.declared.predict`."""
    trained = opened(run, None, net, None)
    batch = trained.read(file)
    if batch.targets is not None:
        estimate = trained.learner.estimate(batch)[0].tolist()
        said = {name: round(each, 4) for name, each in zip(trained.classes, estimate, strict=True)}
        told = json.dumps({"file": str(file), "targets": said})
        typer.echo(told if as_json else "  ".join(f"{name}: {n}" for name, n in said.items()))
        return
    prediction = trained.learner.predict(batch)
    evidence, numbers = "spikes", trained.learner.counts(batch)[0].long().tolist()
    if trained.learner.engine.is_readout:
        mean = trained.learner.engine.membranes[:, 0].mean(0)
        evidence, numbers = "membranes", [round(each, 4) for each in mean.tolist()]
    name, tie = trained.classes[int(prediction.classes[0])], bool(prediction.ties[0])
    by_class = dict(zip(trained.classes, numbers, strict=True))
    if as_json:
        key = "counts" if evidence == "spikes" else evidence
        typer.echo(json.dumps({"file": str(file), "class": name, "tie": tie, key: by_class}))
        return
    typer.echo(f"class {name}{' (a tie; the first of the best)' if tie else ''}")
    told = "  ".join(f"{each}: {count}" for each, count in by_class.items())
    Console().print(two_columns([(evidence, told)]))
