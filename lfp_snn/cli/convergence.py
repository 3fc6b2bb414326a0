"""``lfp-snn convergence``: rules, depths and seeds; reward over steps, alignment by layer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lfp_snn.analysis.convergence.findings import gather
from lfp_snn.analysis.convergence.report import (
    SUMMARY_TITLES,
    summary_rows,
    write_convergence,
)
from lfp_snn.analysis.convergence.study import ConvergenceStudy
from lfp_snn.cli.shipped import find_study
from lfp_snn.cli.study import carry_out_watched, print_table, refuse_failures, tell

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
    path = find_study(config, "convergence", overrides or ())
    study = ConvergenceStudy.load(path, list(overrides or ()))
    console, findings, report = carry_out_watched(
        study,
        gather,
        write_convergence,
        config=path,
        out=out,
        seeds=seeds,
        jobs=jobs,
        threads=threads,
    )
    print_table(console, SUMMARY_TITLES, summary_rows(findings))
    tell(console, findings, report)
    refuse_failures(findings)
