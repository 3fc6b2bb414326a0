"""The report of a convergence study: a page, figures, CSV and JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lfp_snn.analysis.convergence import figures
from lfp_snn.analysis.convergence.findings import FLOAT, ConvergenceFindings
from lfp_snn.analysis.pages import Illustration, rows
from lfp_snn.analysis.study.report import UNKNOWN, mean_share, write_findings
from lfp_snn.analysis.study.statistics import mean

__all__ = ["LAYER_TITLES", "SUMMARY_TITLES", "summary_rows", "write_convergence"]

SUMMARY_TITLES = (
    "rule",
    "depth",
    "test accuracy",
    "cosine: output",
    "first layer",
    "seeds",
)
LAYER_TITLES = ("rule", "depth", "layer", "before the output", "start", "end")


def write_convergence(findings: ConvergenceFindings, folder: Path, name: str) -> Path:
    """Write ``report.html``, ``figures/``, ``results.json``, ``steps.csv`` and ``alignment.csv``.

    Args:
        findings: what is told.
        folder: where to; exists.
        name: of the experiment.

    Returns:
        The path of the page.

    Raises:
        RunError: something cannot be written.
    """
    notes = (
        "Means over the seeds; accuracies with 95 % intervals (Student's t), cosines at the first "
        "step and at the end.",
        "Mean over the seeds, and the lowest and highest in brackets.",
    )
    return write_findings(
        findings,
        folder,
        files={"steps.csv": findings.steps_csv(), "alignment.csv": findings.alignment_csv()},
        figures=_figures(findings),
        name=name,
        title="convergence",
        lead=f"Reward over steps, and how the updates of each layer lie to those of "
        f"{findings.against} for the same batch at the same weights.",
        source=findings.data.get("source", ""),
        numbers=[
            ("Summary", notes[0], SUMMARY_TITLES, summary_rows(findings)),
            ("Layers", notes[1], LAYER_TITLES, list(_layer_rows(findings))),
        ],
        tables={"Data": list(rows(findings.data)), "How": list(rows(findings.machine))},
    )


def _figures(findings: ConvergenceFindings) -> Iterator[Illustration]:
    if not findings.finished:
        return
    yield (
        "reward",
        "Reward over steps",
        "Mean over the samples of a batch of their summed absolute reward (of learners that "
        "descend a loss, the loss): less is handed out as the outputs come to do what is wanted. "
        "Mean over the seeds, band from the lowest to the highest.",
        figures.reward_over_steps(findings),
    )
    against = findings.against
    yield (
        "alignment",
        "Alignment over steps",
        f"Cosine between the update of each layer and that of {against}: mean over the seeds, band "
        f"from the lowest to the highest. Random directions in n dimensions have a cosine of about "
        f"1 / sqrt(n).",
        figures.alignment_over_steps(findings),
    )
    yield (
        "depth",
        "Alignment by depth",
        "The same at the first step (dashed) and in the last quarter (solid), over the distance "
        "from the output; dots are seeds.",
        figures.alignment_by_depth(findings),
    )


def summary_rows(findings: ConvergenceFindings) -> list[list[str]]:
    """Entries below :data:`SUMMARY_TITLES`."""
    return [
        [
            case.rule,
            case.depth,
            mean_share(case.test),
            *(f"{_middle(case.start[:, at])} \u2192 {_middle(case.end[:, at])}" for at in (-1, 0)),
            str(len(case.measured)),
        ]
        for case in findings.finished
    ]


def _layer_rows(findings: ConvergenceFindings) -> Iterator[list[str]]:
    for case in findings.finished:
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
