"""``lfp-snn compare``: learning rules side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lfp_snn.analysis.compare import session
from lfp_snn.analysis.compare.findings import COLUMNS
from lfp_snn.analysis.compare.report import summary_rows, target_rows
from lfp_snn.analysis.compare.study import ComparisonStudy
from lfp_snn.analysis.study.resources import resources
from lfp_snn.cli.console import percent
from lfp_snn.cli.shipped import find_config
from lfp_snn.cli.study import report_failures, stage, table, tell

__all__ = ["compare"]

SHOWN = 6  # columns of the summary, which fit a terminal


def compare(
    config: str,
    overrides: Sequence[str] | None,
    learners: str | None,
    seeds: int,
    jobs: int,
    threads: int | None,
    out: Path | None,
    storage: str | None,
) -> None:
    """Compare learning rules; see :func:`lfp_snn.cli.declared.compare`."""
    only = None if learners is None else [name.strip() for name in learners.split(",")]
    path = find_config(config)
    study = ComparisonStudy.load(path, list(overrides or ()), only)
    with stage(study, path, out) as on:
        using = resources(jobs, threads, storage)
        findings, report = session.compare(study, seeds, on.folder, using, on.screen, on.name)
    titles = ["learner", *(column.title for column in COLUMNS[:SHOWN])]
    rows = ([name, *cells[:SHOWN]] for name, cells in summary_rows(findings))
    on.console.print(table(titles, rows))
    for learner, line in target_rows(findings):
        on.console.print(
            f"time to a validation accuracy of {percent(findings.target or 0)}, {learner}: {line}",
            highlight=False,
        )
    tell(on.console, findings, report)
    report_failures(findings)
