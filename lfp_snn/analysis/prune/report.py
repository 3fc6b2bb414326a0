"""The report of pruned runs: a page, a figure, CSV and JSON."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path

from lfp_snn.analysis.compare.statistics import Mean, mean
from lfp_snn.analysis.pages import write_page
from lfp_snn.analysis.prune.figures import accuracy_over_share
from lfp_snn.analysis.prune.results import MEASURES, Pruned
from lfp_snn.training.files import write_atomic, write_json

__all__ = ["SUMMARY_TITLES", "summary_rows", "write_report"]

SUMMARY_TITLES = ("learner", "pruned by", "accuracy kept", "prunable", "seeds")
DIFFERENCE_TITLES = ("compared", "pruned by", "in", "points", "95 % interval", "p", "p, Holm")


def write_report(pruned: Pruned, folder: Path, name: str, source: str) -> Path:
    """Write ``report.html``, ``figures/``, ``curves.csv`` and ``results.json``.

    Args:
        pruned: what was found.
        folder: where to; exists.
        name: of the experiment.
        source: of the data.

    Returns:
        The path of the page.

    Raises:
        RunError: something cannot be written.
    """
    write_json(folder / "results.json", pruned.to_json())
    write_atomic(folder / "curves.csv", _curves_csv(pruned).encode())
    caption = (
        "Mean over the seeds, band from the lowest to the highest; random orders are averaged for "
        "each seed. Nothing was trained after pruning."
    )
    tables = [
        (
            "Summary",
            "Accuracy kept: mean over the shares pruned, relative to that of the whole network. "
            "Prunable: the largest share up to which less than a point is lost. Means over the "
            "seeds with 95 % intervals (Student's t).",
            SUMMARY_TITLES,
            summary_rows(pruned),
        ),
        ("Before pruning", "", *_before(pruned)),
    ]
    if pruned.differences:
        note = "Seed by seed, paired t-test (two-sided), corrected together by Holm's method."
        tables.append(
            ("Paired differences", note, DIFFERENCE_TITLES, list(_difference_rows(pruned)))
        )
    options = pruned.options
    how = {
        "runs": ", ".join(str(run.path) for run in pruned.runs),
        "weights compete": "in the whole network" if options.scope == "global" else "in each layer",
        "random orders": str(options.draws),
        "training samples for relevance": f"{options.samples}, or all if there are fewer",
    }
    return write_page(
        folder,
        "findings.html",
        [("curves", "Accuracy over the share pruned", caption, accuracy_over_share(pruned))],
        name=name,
        title="pruning",
        lead="What is left of accuracy as weights are set to zero.",
        source=source,
        failed=[],
        conclusions=list(pruned.conclusions()),
        numbers=tables,
        tables={"How": list(how.items())},
    )


def summary_rows(pruned: Pruned) -> list[list[str]]:
    """Entries below :data:`SUMMARY_TITLES`."""
    kept, prunable = MEASURES
    rows = []
    for name, runs in pruned.learners.items():
        for criterion in pruned.options.criteria:
            left = pruned.mean(name, criterion, kept.of)
            share = pruned.mean(name, criterion, prunable.of)
            rows.append(
                [name, str(criterion), _percent(left, 1), _percent(share, 0), str(len(runs))]
            )
    return rows


def _before(pruned: Pruned) -> tuple[Sequence[str], list[list[str]]]:
    first = pruned.options.criteria[0]
    rows = [
        [
            name,
            _percent(pruned.mean(name, first, lambda curve: curve.accuracies[0]), 1),
            f"{mean([run.gini for run in runs]).value:.3f}",
            f"{mean([run.zeros for run in runs]).value:.1%}",
            f"{runs[0].count:,}",
        ]
        for name, runs in pruned.learners.items()
    ]
    titles = ("learner", "test accuracy", "Gini index of the weights", "zeros", "weights")
    return titles, rows


def _difference_rows(pruned: Pruned) -> Iterator[list[str]]:
    for each in pruned.differences:
        pair = each.paired
        yield [
            f"{pruned.reference} \u2212 {each.other}",
            str(each.criterion),
            each.measure.name,
            f"{100 * pair.difference:+.2f}",
            f"{100 * pair.low:+.2f} to {100 * pair.high:+.2f}",
            f"{pair.p:.3g}",
            f"{pair.adjusted:.3g}",
        ]


def _percent(found: Mean, digits: int) -> str:
    """A mean share, of several seeds with its interval, cut to what a share can be."""
    if found.seeds == 1:
        return f"{found.value:.{digits}%}"
    low, high = max(found.low, 0.0), min(found.high, 1.0)
    return f"{found.value:.{digits}%} ({low:.{digits}%} to {high:.{digits}%})"


def _curves_csv(pruned: Pruned) -> str:
    file = io.StringIO()
    lines = csv.writer(file, lineterminator="\n")
    lines.writerow(["run", "learner", "seed", "criterion", "scope", "share", "test_accuracy"])
    for run in pruned.runs:
        for curve in run.curves:
            for share, accuracy in zip(curve.shares, curve.accuracies, strict=True):
                where = [run.path, run.learner, run.seed, curve.criterion, pruned.options.scope]
                lines.writerow([*where, f"{share:g}", f"{accuracy:.6g}"])
    return file.getvalue()
