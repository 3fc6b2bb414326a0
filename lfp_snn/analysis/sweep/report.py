"""The report of a sweep: a page, a figure, CSV and JSON."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lfp_snn.analysis.pages import Illustration, rows
from lfp_snn.analysis.study.report import csv_text, write_findings
from lfp_snn.analysis.sweep.figures import importance
from lfp_snn.analysis.sweep.findings import SweepFindings

__all__ = ["write_sweep"]


def write_sweep(findings: SweepFindings, folder: Path, name: str) -> Path:
    """Write ``report.html``, ``figures/``, ``results.json`` and ``trials.csv``.

    The files go into ``folder``, which exists, for the experiment ``name``. Returns the path of the
    page.

    Raises:
        RunError: something cannot be written.
    """
    trials = list(findings.rows())
    return write_findings(
        findings,
        folder,
        template="sweep.html",
        files={"trials.csv": csv_text(findings.columns, trials)},
        figures=_figures(findings),
        name=name,
        source=findings.data.get("source", ""),
        best=findings.best,
        values=list(rows(findings.values)),
        trials=trials,
        columns=findings.columns,
    )


def _figures(findings: SweepFindings) -> Iterator[Illustration]:
    if findings.importance:
        caption = (
            f"Which settings the validation accuracy depended on in this search (fANOVA), from "
            f"{findings.completed} completed trials; few trials tell little."
        )
        yield "importance", "Importance", caption, importance(findings.importance)
