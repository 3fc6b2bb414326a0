"""The report of pruned runs: a page, a figure, CSV and JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lfp_snn.analysis.prune.curve import Curve
from lfp_snn.analysis.prune.figures import accuracy_over_share
from lfp_snn.analysis.prune.findings import MEASURES, PruningFindings
from lfp_snn.analysis.study.report import (
    DIFFERENCE,
    csv_text,
    difference_cells,
    mean_share,
    write_findings,
)
from lfp_snn.analysis.study.statistics import SeedMean, mean

__all__ = ["SUMMARY_NOTE", "SUMMARY_TITLES", "curve_tables", "summary_rows", "write_pruning"]

SUMMARY_TITLES = ("learner", "pruned by", "accuracy kept", "prunable", "seeds")
#: What the columns of the summary are.
SUMMARY_NOTE = (
    "Accuracy kept: test accuracy relative to that of the whole network, mean over the shares "
    "pruned. Prunable: the largest share up to which less than a point of accuracy is lost. Means "
    "over the seeds, with 95 % intervals (Student's t) where there are several."
)
DIFFERENCE_TITLES = ("compared", "pruned by", "in", *DIFFERENCE)
CURVE_TITLES = ("run", "learner", "seed", "criterion", "scope", "share", "test_accuracy")


def write_pruning(findings: PruningFindings, folder: Path, name: str, source: str) -> Path:
    """Write ``report.html``, ``figures/``, ``curves.csv`` and ``results.json``.

    Args:
        findings: the findings that are told.
        folder: the folder to write to, which exists.
        name: the name of the experiment.
        source: the source of the data.

    Returns:
        The path of the page.

    Raises:
        RunError: something cannot be written.
    """
    caption = (
        "Mean over the seeds, band from the lowest to the highest; random orders are averaged for "
        "each seed. Nothing was trained after pruning."
    )
    tables = [
        (
            "Summary",
            SUMMARY_NOTE,
            SUMMARY_TITLES,
            summary_rows(findings),
        ),
        ("Before pruning", "", *_before(findings)),
    ]
    if findings.differences:
        note = "Seed by seed, paired t-test (two-sided), corrected together by Holm's method."
        tables.append(
            ("Paired differences", note, DIFFERENCE_TITLES, list(_difference_rows(findings)))
        )
    options = findings.options
    how = {
        "runs": ", ".join(str(run.path) for run in findings.runs),
        "weights compete": "in the whole network" if options.scope == "global" else "in each layer",
        "random orders": str(options.draws),
        "training samples for relevance": f"{options.samples}, or all if there are fewer",
    }
    curves = "Accuracy over the share pruned"
    return write_findings(
        findings,
        folder,
        files={"curves.csv": csv_text(CURVE_TITLES, _curve_rows(findings))},
        figures=[("curves", curves, caption, accuracy_over_share(findings))],
        name=name,
        title="pruning",
        lead="What is left of accuracy as weights are set to zero.",
        source=source,
        numbers=tables,
        tables={"How": list(how.items())},
    )


def summary_rows(findings: PruningFindings) -> list[list[str]]:
    """The rows of the summary, below the titles :data:`SUMMARY_TITLES`."""
    kept, prunable = MEASURES
    rows = []
    for name, runs in findings.learners.items():
        for criterion in findings.options.criteria:
            left = findings.mean(name, criterion, kept.of)
            share = findings.mean(name, criterion, prunable.of)
            rows.append(
                [name, str(criterion), _percent(left, 1), _percent(share, 0), str(len(runs))]
            )
    return rows


def curve_tables(
    findings: PruningFindings, columns: int
) -> Iterator[tuple[list[str], list[list[str]]]]:
    """Titles and rows of tables of accuracy, a column for each share, so many shares in each."""
    shares = findings.options.shares
    for start in range(0, len(shares), columns):
        chosen = range(start, min(start + columns, len(shares)))
        rows = []
        for name in findings.learners:
            for criterion in findings.options.criteria:
                means = (findings.mean(name, criterion, _at(place)).value for place in chosen)
                rows.append([name, str(criterion), *(f"{100 * each:.1f}" for each in means)])
        yield ["learner", "pruned by", *(f"{100 * shares[place]:g} %" for place in chosen)], rows


def _at(place: int) -> Callable[[Curve], float]:
    return lambda curve: curve.accuracies[place]


def _before(findings: PruningFindings) -> tuple[Sequence[str], list[list[str]]]:
    first = findings.options.criteria[0]
    rows = [
        [
            name,
            _percent(findings.mean(name, first, lambda curve: curve.accuracies[0]), 1),
            f"{mean([run.gini for run in runs]).value:.3f}",
            f"{mean([run.zeros for run in runs]).value:.1%}",
            f"{runs[0].count:,}",
        ]
        for name, runs in findings.learners.items()
    ]
    titles = ("learner", "test accuracy", "Gini index of the weights", "zeros", "weights")
    return titles, rows


def _difference_rows(findings: PruningFindings) -> Iterator[list[str]]:
    for each in findings.differences:
        yield [
            f"{findings.reference} \u2212 {each.other}",
            str(each.criterion),
            each.measure.name,
            *difference_cells(each.paired),
        ]


def _percent(found: SeedMean, digits: int) -> str:
    """A mean share as text, with its interval for several seeds."""
    return f"{found.value:.{digits}%}" if found.seeds == 1 else mean_share(found, digits)


def _curve_rows(findings: PruningFindings) -> Iterator[list[Any]]:
    for run in findings.runs:
        for curve in run.curves:
            for share, accuracy in zip(curve.shares, curve.accuracies, strict=True):
                where = [run.path, run.learner, run.seed, curve.criterion, findings.options.scope]
                yield [*where, f"{share:g}", f"{accuracy:.6g}"]
