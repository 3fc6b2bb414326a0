"""``lfp-snn convergence``: rules, depths and seeds; reward over steps, alignment by layer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lfp_snn.analysis.convergence.report import SUMMARY_TITLES, summary_rows
from lfp_snn.analysis.convergence.session import converge
from lfp_snn.analysis.convergence.study import ConvergenceStudy
from lfp_snn.analysis.study.resources import resources
from lfp_snn.cli.shipped import find_config
from lfp_snn.cli.study import report_failures, stage, table, tell

__all__ = ["convergence"]


def convergence(
    config: str,
    overrides: Sequence[str] | None,
    seeds: int,
    jobs: int,
    threads: int | None,
    out: Path | None,
) -> None:
    """Study how rules converge; see :func:`lfp_snn.cli.declared.convergence`."""
    path = find_config(config)
    study = ConvergenceStudy.load(path, list(overrides or ()))
    with stage(study, path, out) as on:
        using = resources(jobs, threads)
        findings, report = converge(study, seeds, on.folder, using, on.screen, on.name)
    on.console.print(table(SUMMARY_TITLES, summary_rows(findings)))
    tell(on.console, findings, report)
    report_failures(findings)
