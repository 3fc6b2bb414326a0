"""``lfp-snn sweep``: a search over the settings of one learner."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lfp_snn.analysis.sweep.findings import gather
from lfp_snn.analysis.sweep.report import write_sweep
from lfp_snn.analysis.sweep.study import SweepStudy
from lfp_snn.cli.own import with_network
from lfp_snn.cli.shipped import find_study
from lfp_snn.cli.study import carry_out_watched, tell
from lfp_snn.console import percent

__all__ = ["sweep"]


def sweep(
    config: str,
    overrides: Sequence[str] | None,
    jobs: int,
    threads: int | None,
    out: Path | None,
    storage: str | None,
    net: str | None,
) -> None:
    """Search the settings of one learner; see :func:`lfp_snn.cli.declared.sweep`."""
    changes = with_network(overrides, net)
    path = find_study(config, "sweep", changes)
    study = SweepStudy.load(path, changes)
    console, findings, report = carry_out_watched(
        study,
        gather,
        write_sweep,
        config=path,
        out=out,
        seeds=0,
        jobs=jobs,
        threads=threads,
        storage=storage,
    )
    console.print(f"best validation accuracy {percent(findings.best)}", highlight=False)
    for key, value in findings.values.items():
        console.print(f"  {key}={value}", highlight=False)
    tell(console, findings, report)
