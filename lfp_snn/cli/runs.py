"""``lfp-snn evaluate`` and ``lfp-snn predict``: tests and predictions of a run that has ended."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import typer
from rich.console import Console

from lfp_snn.analysis.explain.outputs import evidence
from lfp_snn.cli.own import opened
from lfp_snn.cli.recorded import tell_of_corner
from lfp_snn.console import percent, two_columns
from lfp_snn.data import Batch
from lfp_snn.learners import Learner
from lfp_snn.rewards import ties
from lfp_snn.training.evaluation import mean

__all__ = ["evaluate", "predict"]


def evaluate(
    run: Path,
    overrides: Sequence[str] | None,
    votes: int,
    as_json: bool,
    net: str | None,
    data: str | None,
) -> None:
    """Test once more; see :func:`lfp_snn.cli.declared.evaluate`."""
    evaluation = opened(run, overrides, net, data).evaluate(votes)
    if evaluation.error is not None:
        told = json.dumps({"test_error": evaluation.error})
        typer.echo(told if as_json else f"test error  {evaluation.error:.4g}")
        return
    if as_json:
        said = {"test_accuracy": evaluation.accuracy, "test_ties": evaluation.ties}
        typer.echo(json.dumps({**said, "votes": votes} if votes > 1 else said))
        return
    rows = [
        ("test accuracy", percent(evaluation.accuracy, 2)),
        ("ties", percent(evaluation.ties)),
        *([("copies that voted", str(votes))] if votes > 1 else []),
    ]
    Console().print(two_columns(rows))


def predict(
    run: Path,
    file: Path,
    overrides: Sequence[str] | None,
    votes: int,
    as_json: bool,
    net: str | None,
) -> None:
    """Read the class of a recording; see :func:`lfp_snn.cli.declared.predict`."""
    trained = opened(run, overrides, net, None)
    learner, copies = trained.learner, trained.copies(file, votes)
    tell_of_corner(file, copies[0])
    if copies[0].targets is not None:
        estimate = mean([learner.estimate(each) for each in copies])[0].tolist()
        said = {name: round(each, 4) for name, each in zip(trained.classes, estimate, strict=True)}
        told = json.dumps({"file": str(file), "targets": said})
        typer.echo(told if as_json else "  ".join(f"{name}: {n}" for name, n in said.items()))
        return
    prediction = ties(mean([learner.scores(each) for each in copies]))
    evidence, numbers = _outputs(learner, copies)
    name, tie = trained.classes[int(prediction.classes[0])], bool(prediction.ties[0])
    by_class = dict(zip(trained.classes, numbers, strict=True))
    if as_json:
        key = "counts" if evidence == "spikes" else evidence
        typer.echo(json.dumps({"file": str(file), "class": name, "tie": tie, key: by_class}))
        return
    typer.echo(f"class {name}{' (a tie; the first of the best)' if tie else ''}")
    told = "  ".join(f"{each}: {count}" for each, count in by_class.items())
    Console().print(two_columns([(evidence, told)]))


def _outputs(learner: Learner, copies: Sequence[Batch]) -> tuple[str, list[float]]:
    """What classes were read from, and how often or how high, on the mean of several copies."""
    emits = learner.engine.emits
    if emits == "membranes":
        scores = mean([learner.scores(each) for each in copies])[0]
        return emits, [round(each, 4) for each in scores.tolist()]
    if emits == "values":  # as explanations say them
        seen = [evidence(learner.run(each), each.lengths, emits).sum(0) for each in copies]
        return emits, [round(each, 4) for each in mean(seen)[0].tolist()]
    counts = mean([learner.counts(each) for each in copies])[0].tolist()
    return emits, [int(each) if each.is_integer() else round(each, 2) for each in counts]
