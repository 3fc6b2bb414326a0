"""The report of a comparison and of a sweep: a page, figures, CSV and JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from optuna.trial import FrozenTrial

from lfp_snn.analysis.compare import figures
from lfp_snn.analysis.compare.results import COLUMNS, Results
from lfp_snn.analysis.pages import Illustration, rows, write_page
from lfp_snn.training.files import write_atomic, write_json

__all__ = [
    "DIFFERENCE_TITLES",
    "difference_rows",
    "summary_rows",
    "write_comparison",
    "write_sweep",
]

DIFFERENCE_TITLES = ("compared", "points", "95 % interval", "p", "p, Holm", "effect", "seeds")
UNKNOWN = "\u2013"


def write_comparison(results: Results, folder: Path, name: str) -> Path:
    """Write ``report.html``, ``figures/``, ``results.json``, ``cells.csv`` and ``summary.csv``.

    Returns:
        The path of the page.

    Raises:
        RunError: something cannot be written.
    """
    write_json(folder / "results.json", results.to_json())
    write_atomic(folder / "cells.csv", results.cells_csv().encode())
    write_atomic(folder / "summary.csv", _summary_csv(results).encode())
    return write_page(
        folder,
        "compare.html",
        _figures(results),
        name=name,
        source=results.data.get("source", ""),
        failed=[
            f"{learner.name}, {what}: {why}"
            for learner in results.learners
            for what, why in learner.failed.items()
        ],
        conclusions=list(results.conclusions()),
        columns=COLUMNS,
        summary=summary_rows(results),
        differences=(DIFFERENCE_TITLES, difference_rows(results)) if results.differences else None,
        tables=_tables(results),
    )


def summary_rows(results: Results) -> list[tuple[str, list[str]]]:
    """Name and entries of the summary's columns, for every learner."""
    return [
        (learner.name, [column.text(learner) or UNKNOWN for column in COLUMNS])
        for learner in results.learners
    ]


def difference_rows(results: Results) -> list[list[str]]:
    """Entries below :data:`DIFFERENCE_TITLES`."""
    return [
        [
            f"{results.reference} \u2212 {name}",
            f"{100 * each.difference:+.2f}",
            f"{100 * each.low:+.2f} to {100 * each.high:+.2f}",
            f"{each.p:.3g}",
            f"{each.adjusted:.3g}",
            UNKNOWN if each.effect is None else f"{each.effect:+.2f}",
            str(each.seeds),
        ]
        for name, each in results.differences.items()
    ]


def target_rows(results: Results) -> Iterator[tuple[str, str]]:
    """Training time of each learner to the target, if there is one."""
    if results.target is None:
        return
    for learner in results.learners:
        times = learner.seconds_to(results.target)
        reached = [time for time in times if time is not None]
        shown = ", ".join(UNKNOWN if t is None else f"{t:.1f}" for t in times)
        mean = (
            f"mean {sum(reached) / len(reached):.1f} s; " if len(reached) == len(times) > 0 else ""
        )
        yield learner.name, f"{mean}each seed: {shown} s" if times else UNKNOWN


def _tables(results: Results) -> dict[str, list[tuple[str, str]]]:
    tables: dict[str, list[tuple[str, str]]] = {}
    if results.target is not None:
        title = f"Training time to a validation accuracy of {results.target:.0%}"
        tables[title] = list(target_rows(results))
    for learner in results.learners:
        if learner.tuned is not None:
            found = list(rows(learner.values))
            found.append(("validation accuracy of that trial", f"{learner.tuned:.2%}"))
            found.append(("trials", str(learner.trials)))
            tables[f"What the search found: {learner.name}"] = found
    tables["Data"] = list(rows(results.data))
    tables["How"] = [("seeds", ", ".join(map(str, results.seeds))), *rows(results.machine)]
    return tables


def _figures(results: Results) -> Iterator[Illustration]:
    if not any(learner.cells for learner in results.learners):
        return
    yield (
        "test",
        "Test accuracy",
        "Left: every seed (pale), mean and 95 % interval. Right: the reference minus each other "
        "learner, seed by seed, mean and 95 % interval; right of zero the reference is ahead.",
        figures.test_accuracies(results),
    )
    yield (
        "epochs",
        "Accuracy over epochs",
        "Validation accuracy: mean over the seeds, band from the lowest to the highest.",
        figures.accuracy_over_epochs(results),
    )
    yield (
        "time",
        "Accuracy over time",
        "The best validation accuracy so far against training time on this machine: from when "
        "every seed has ended an epoch; a seed that is through keeps its last value.",
        figures.accuracy_over_time(results),
    )
    yield (
        "costs",
        "What it costs",
        "Medians over the seeds; synaptic operations are those of a test sample.",
        figures.costs(results),
    )


def _summary_csv(results: Results) -> str:
    lines = [["learner", *(column.title for column in COLUMNS)]]
    lines += [[name, *cells] for name, cells in summary_rows(results)]
    return _csv(lines)


def _csv(lines: Sequence[Sequence[str]]) -> str:
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(lines)
    return file.getvalue()


def write_sweep(
    trials: Sequence[FrozenTrial],
    values: dict[str, Any],
    best: float,
    shares: dict[str, float],
    data: dict[str, Any],
    folder: Path,
    name: str,
) -> Path:
    """Write ``report.html``, ``figures/``, ``results.json`` and ``trials.csv`` of a sweep.

    Args:
        trials: all that were spent.
        values: of the best one.
        best: its validation accuracy.
        shares: how much each key mattered; empty if too few trials were completed to tell.
        data: name, source and sizes.
        folder: where to.
        name: of the experiment.
    """
    keys = list(dict.fromkeys(key for trial in trials for key in trial.params))
    columns = ["trial", "validation", "state", *keys]
    lines = [
        [
            str(trial.number),
            UNKNOWN if trial.value is None else f"{trial.value:.4f}",
            trial.state.name.lower(),
            *(_shown(trial.params.get(key)) for key in keys),
        ]
        for trial in sorted(trials, key=lambda trial: -(trial.value or 0.0))
    ]
    content = {"best": {"values": values, "val_accuracy": best}, "importance": shares}
    write_json(folder / "results.json", {**content, "trials": len(trials)})
    write_atomic(folder / "trials.csv", _csv([columns, *lines]).encode())
    illustrations: list[Illustration] = []
    if shares:
        caption = "Which settings the validation accuracy depended on in this search (fANOVA)."
        illustrations.append(("importance", "Importance", caption, figures.importance(shares)))
    return write_page(
        folder,
        "sweep.html",
        illustrations,
        name=name,
        source=data.get("source", ""),
        best=best,
        values=list(rows(values)),
        trials=lines,
        columns=columns,
    )


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
