"""``lfp-snn sweep``: a search over the settings of one learner."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lfp_snn.analysis.study.resources import resources
from lfp_snn.analysis.sweep import session
from lfp_snn.analysis.sweep.study import SweepStudy
from lfp_snn.cli.console import percent
from lfp_snn.cli.shipped import find_config
from lfp_snn.cli.study import stage, tell

__all__ = ["sweep"]


def sweep(
    config: str,
    overrides: Sequence[str] | None,
    jobs: int,
    threads: int | None,
    out: Path | None,
    storage: str | None,
) -> None:
    """Search the settings of one learner; see :func:`lfp_snn.cli.declared.sweep`."""
    path = find_config(config)
    study = SweepStudy.load(path, list(overrides or ()))
    with stage(study, path, out) as on:
        using = resources(jobs, threads, storage)
        findings, report = session.sweep(study, on.folder, using, on.screen, on.name)
    on.console.print(f"best validation accuracy {percent(findings.best)}", highlight=False)
    for key, value in findings.values.items():
        on.console.print(f"  {key}={value}", highlight=False)
    tell(on.console, findings, report)
