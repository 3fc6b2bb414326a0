"""``lfp-snn compare``: learning rules side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lfp_snn.analysis.compare.columns import COLUMNS
from lfp_snn.analysis.compare.findings import gather
from lfp_snn.analysis.compare.report import (
    SEARCHED,
    SETTINGS_TITLES,
    settings_rows,
    summary_rows,
    target_rows,
    write_comparison,
)
from lfp_snn.analysis.compare.study import ComparisonStudy
from lfp_snn.cli.own import with_network
from lfp_snn.cli.shipped import find_study
from lfp_snn.cli.study import carry_out_watched, print_table, refuse_failures, tell
from lfp_snn.console import percent

__all__ = ["compare"]

SHOWN = 4  # columns of the summary, which fit 80 characters; the report has all of them


def compare(
    config: str,
    overrides: Sequence[str] | None,
    learners: str | None,
    seeds: int,
    jobs: int,
    threads: int | None,
    out: Path | None,
    storage: str | None,
    net: str | None,
) -> None:
    """Compare learning rules; see :func:`lfp_snn.cli.declared.compare`."""
    only = None if learners is None else [name.strip() for name in learners.split(",")]
    changes = with_network(overrides, net)
    path = find_study(config, "compare", changes)
    study = ComparisonStudy.load(path, changes, only)
    console, findings, report = carry_out_watched(
        study,
        gather,
        write_comparison,
        config=path,
        out=out,
        seeds=seeds,
        jobs=jobs,
        threads=threads,
        storage=storage,
    )
    titles = ["learner", *(column.title for column in COLUMNS[:SHOWN])]
    rows = ([name, *cells[:SHOWN]] for name, cells in summary_rows(findings))
    print_table(console, titles, list(rows))
    print_table(console, SETTINGS_TITLES, settings_rows(findings))
    if findings.searched:
        console.print(SEARCHED, highlight=False)
    for learner, line in target_rows(findings):
        console.print(
            f"time to a validation accuracy of {percent(findings.target or 0)}, {learner}: {line}",
            highlight=False,
        )
    tell(console, findings, report)
    refuse_failures(findings)
