"""A comparison from its study to its report."""

from __future__ import annotations

from pathlib import Path

from lfp_snn.analysis.compare.findings import ComparisonFindings, gather
from lfp_snn.analysis.compare.report import write_comparison
from lfp_snn.analysis.compare.study import ComparisonStudy
from lfp_snn.analysis.study.resources import Resources
from lfp_snn.analysis.study.session import carried_out
from lfp_snn.analysis.study.state import Watcher

__all__ = ["compare"]


def compare(
    study: ComparisonStudy, seeds: int, folder: Path, using: Resources, watcher: Watcher, name: str
) -> tuple[ComparisonFindings, Path]:
    """Run what is missing of a comparison, and write its report.

    Args:
        study: the learners.
        seeds: how many; from the seed of the config on.
        folder: where everything goes; what it holds of the same comparison is kept.
        using: processes and threads.
        watcher: told of what happens.
        name: of the experiment.

    Returns:
        What was found, and the path of the report.

    Raises:
        LfpSnnError: as :func:`~lfp_snn.analysis.study.session.carried_out`.
    """
    with carried_out(study, seeds, folder, using, watcher) as ended:
        findings = gather(study, ended)
        return findings, write_comparison(findings, folder, name)
