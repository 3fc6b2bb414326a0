"""The report of a comparison: a page, figures, CSV and JSON."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from lfp_snn.analysis.compare import figures
from lfp_snn.analysis.compare.columns import COLUMNS
from lfp_snn.analysis.compare.findings import ComparisonFindings, LearnerResult
from lfp_snn.analysis.pages import Illustration, rows
from lfp_snn.analysis.study.report import (
    DIFFERENCE,
    UNKNOWN,
    difference_cells,
    write_findings,
)

__all__ = [
    "SEARCHED",
    "SETTINGS_TITLES",
    "difference_rows",
    "settings_rows",
    "summary_rows",
    "target_rows",
    "write_comparison",
]

DIFFERENCE_TITLES = ("compared", *DIFFERENCE, "effect", "seeds")
#: By which setting a learner says what it is taught by, if it has one of them.
TAUGHT_BY = ("learner.reward.name", "learner.loss")
#: What the star of a setting means.
SEARCHED = "* chosen by the search on validation data; the rest was set"
SETTINGS_TITLES = ("learner", "rule", "epochs", "learning rate", "reward or loss", "trials")


def write_comparison(findings: ComparisonFindings, folder: Path, name: str) -> Path:
    """Write ``report.html``, ``figures/``, ``results.json``, ``cells.csv`` and ``summary.csv``.

    The files go into ``folder``, which exists, for the experiment ``name``. Returns the path of the
    page.

    Raises:
        RunError: something cannot be written.
    """
    summary = summary_rows(findings)
    told = (DIFFERENCE_TITLES, difference_rows(findings)) if findings.differences else None
    return write_findings(
        findings,
        folder,
        template="compare.html",
        files={
            "cells.csv": findings.cells_csv(),
            "summary.csv": findings.summary_csv(),
        },
        figures=_figures(findings),
        name=name,
        source=findings.data.get("source", ""),
        columns=COLUMNS,
        summary=summary,
        command=findings.command,
        settings=(SETTINGS_TITLES, settings_rows(findings)),
        searched=SEARCHED if findings.searched else "",
        differences=told,
        tables=_tables(findings),
    )


def summary_rows(findings: ComparisonFindings) -> list[tuple[str, list[str]]]:
    """The rows of the summary: the name of each learner and its entries."""
    return [
        (learner.name, [column.text(learner) or UNKNOWN for column in COLUMNS])
        for learner in findings.learners
    ]


def difference_rows(findings: ComparisonFindings) -> list[list[str]]:
    """The rows of differences, below the titles :data:`DIFFERENCE_TITLES`."""
    return [
        [
            f"{findings.reference} \u2212 {name}",
            *difference_cells(each),
            UNKNOWN if each.effect is None else f"{each.effect:+.2f}",
            str(each.seeds),
        ]
        for name, each in findings.differences.items()
    ]


def settings_rows(findings: ComparisonFindings) -> list[list[str]]:
    """The rows of the settings of each learner, below the titles :data:`SETTINGS_TITLES`.

    What the search chose has a star (:data:`SEARCHED`); everything else was set by the config.
    """
    found = []
    for learner in findings.learners:
        settings = dict(rows(learner.settings, digits=3))
        taught = next((key for key in TAUGHT_BY if key in settings), "")
        shown = ("epochs", "optimizer.lr", taught)
        cells = [_setting(learner, settings, key) for key in shown]
        trials = (
            f"{learner.trials} of {_epochs(learner.trial_epochs)}" if learner.trials else "none"
        )
        found.append([learner.name, _rule(settings), *cells, trials])
    return found


def _rule(settings: Mapping[str, str]) -> str:
    """The rule of a learner, with its epsilon, by which the published ones differ."""
    name = settings.get("learner.rule.name", UNKNOWN)
    return f"{name} {settings['learner.rule.eps']}" if "learner.rule.eps" in settings else name


def _setting(learner: LearnerResult, settings: Mapping[str, str], key: str) -> str:
    if key not in settings:
        return UNKNOWN
    return f"{settings[key]} *" if key in learner.values else settings[key]


def _epochs(count: int) -> str:
    return "1 epoch" if count == 1 else f"{count} epochs"


def target_rows(findings: ComparisonFindings) -> Iterator[tuple[str, str]]:
    """The rows of each learner's training time to the target, if there is one."""
    if findings.target is None:
        return
    for learner in findings.learners:
        times = learner.seconds_to(findings.target)
        reached = [time for time in times if time is not None]
        shown = ", ".join("not reached" if t is None else f"{t:.1f} s" for t in times)
        mean = (
            f"mean {sum(reached) / len(reached):.1f} s; " if len(reached) == len(times) > 0 else ""
        )
        yield learner.name, f"{mean}each seed: {shown}" if times else UNKNOWN


def _tables(findings: ComparisonFindings) -> dict[str, list[tuple[str, str]]]:
    tables: dict[str, list[tuple[str, str]]] = {}
    if findings.target is not None:
        title = f"Training time to a validation accuracy of {findings.target:.0%}"
        tables[title] = list(target_rows(findings))
    for learner in findings.learners:
        settings = dict(rows(learner.settings))
        found = [(key, _setting(learner, settings, key)) for key in settings]
        if learner.tuned is not None:
            found.append(("best trial, validation accuracy", f"{learner.tuned:.2%}"))
        tables[f"All settings: {learner.name}"] = found
    tables["Data"] = list(rows(findings.data))
    tables["How"] = [
        ("command", findings.command),
        ("seeds", ", ".join(map(str, findings.seeds))),
        *rows(findings.machine),
    ]
    return tables


def _figures(findings: ComparisonFindings) -> Iterator[Illustration]:
    if not any(learner.measured for learner in findings.learners):
        return
    yield (
        "test",
        "Test accuracy",
        "Left: every seed (pale), mean and 95 % interval. Right: the reference minus each other "
        "learner, seed by seed, mean and 95 % interval; right of zero the reference is ahead.",
        figures.test_accuracies(findings),
    )
    if any(learner.measured and learner.validated for learner in findings.learners):
        yield from _curves(findings)
    yield (
        "costs",
        "What it costs",
        "Medians over the seeds; synaptic operations are those of a test sample.",
        figures.costs(findings),
    )


def _curves(findings: ComparisonFindings) -> Iterator[Illustration]:
    yield (
        "epochs",
        "Accuracy over epochs",
        "Validation accuracy: mean over the seeds, band from the lowest to the highest.",
        figures.accuracy_over_epochs(findings),
    )
    yield (
        "time",
        "Accuracy over time",
        "The best validation accuracy so far against training time on this machine: from when "
        "every seed has ended an epoch; a seed that is through keeps its last value.",
        figures.accuracy_over_time(findings),
    )
