"""The report of a convergence study: a page, figures, CSV and JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lfp_snn.analysis.compare.statistics import mean
from lfp_snn.analysis.convergence import figures
from lfp_snn.analysis.convergence.results import FLOAT, Results
from lfp_snn.analysis.pages import Illustration, rows, write_page
from lfp_snn.training.files import write_atomic, write_json

__all__ = ["LAYER_TITLES", "SUMMARY_TITLES", "summary_rows", "write_report"]

UNKNOWN = "\u2013"
SUMMARY_TITLES = (
    "rule",
    "depth",
    "test accuracy",
    "cosine: output",
    "first layer",
    "seeds",
)
LAYER_TITLES = ("rule", "depth", "layer", "before the output", "start", "end")


def write_report(results: Results, folder: Path, name: str) -> Path:
    """Write ``report.html``, ``figures/``, ``results.json``, ``steps.csv`` and ``alignment.csv``.

    Returns:
        The path of the page.

    Raises:
        RunError: something cannot be written.
    """
    write_json(folder / "results.json", results.to_json())
    write_atomic(folder / "steps.csv", results.steps_csv().encode())
    write_atomic(folder / "alignment.csv", results.alignment_csv().encode())
    notes = (
        "Means over the seeds; accuracies with 95 % intervals (Student's t), cosines at the first "
        "step and at the end.",
        "Mean over the seeds, and the lowest and highest in brackets.",
    )
    return write_page(
        folder,
        "findings.html",
        _figures(results),
        name=name,
        title="convergence",
        lead=f"Reward over steps, and how the updates of each layer lie to those of "
        f"{results.against} for the same batch at the same weights.",
        source=results.data.get("source", ""),
        failed=[
            f"{case.rule}, {case.depth}, {what}: {why}"
            for case in results.cases
            for what, why in case.failed.items()
        ],
        conclusions=list(results.conclusions()),
        numbers=[
            ("Summary", notes[0], SUMMARY_TITLES, summary_rows(results)),
            ("Layers", notes[1], LAYER_TITLES, list(_layer_rows(results))),
        ],
        tables={"Data": list(rows(results.data)), "How": list(rows(results.machine))},
    )


def _figures(results: Results) -> Iterator[Illustration]:
    if not results.finished:
        return
    yield (
        "reward",
        "Reward over steps",
        "Mean over the samples of a batch of their summed absolute reward (of learners that "
        "descend a loss, the loss): less is handed out as the outputs come to do what is wanted. "
        "Mean over the seeds, band from the lowest to the highest.",
        figures.reward_over_steps(results),
    )
    against = results.against
    yield (
        "alignment",
        "Alignment over steps",
        f"Cosine between the update of each layer and that of {against}: mean over the seeds, band "
        f"from the lowest to the highest. Random directions in n dimensions have a cosine of about "
        f"1 / sqrt(n).",
        figures.alignment_over_steps(results),
    )
    yield (
        "depth",
        "Alignment by depth",
        "The same at the first step (dashed) and in the last quarter (solid), over the distance "
        "from the output; dots are seeds.",
        figures.alignment_by_depth(results),
    )


def summary_rows(results: Results) -> list[list[str]]:
    """Entries below :data:`SUMMARY_TITLES`."""
    return [
        [
            case.rule,
            case.depth,
            f"{case.test.value:.1%} ({max(case.test.low, 0):.1%} to {min(case.test.high, 1):.1%})",
            *(f"{_middle(case.start[:, at])} \u2192 {_middle(case.end[:, at])}" for at in (-1, 0)),
            str(len(case.cells)),
        ]
        for case in results.finished
    ]


def _layer_rows(results: Results) -> Iterator[list[str]]:
    for case in results.finished:
        for place, layer in enumerate(case.layers):
            distance = str(len(case.layers) - 1 - place)
            spread = (_spread(values[:, place]) for values in (case.start, case.end))
            yield [case.rule, case.depth, layer, distance, *spread]


def _middle(values: FLOAT) -> str:
    known = [float(v) for v in values if v == v]
    return f"{mean(known).value:+.2f}" if known else UNKNOWN


def _spread(values: FLOAT) -> str:
    known = [float(v) for v in values if v == v]
    return (
        f"{mean(known).value:+.2f} ({min(known):+.2f} to {max(known):+.2f})" if known else UNKNOWN
    )
