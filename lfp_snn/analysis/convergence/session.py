"""A convergence study from its grid to its report."""

from __future__ import annotations

from pathlib import Path

from lfp_snn.analysis.convergence.findings import CaseResult, ConvergenceFindings
from lfp_snn.analysis.convergence.report import write_convergence
from lfp_snn.analysis.convergence.study import ConvergenceStudy
from lfp_snn.analysis.study.resources import Resources
from lfp_snn.analysis.study.session import carried_out
from lfp_snn.analysis.study.state import Watcher

__all__ = ["converge"]


def converge(
    study: ConvergenceStudy, seeds: int, folder: Path, using: Resources, watcher: Watcher, name: str
) -> tuple[ConvergenceFindings, Path]:
    """Run what is missing of a convergence study, and write its report.

    Args:
        study: rules and depths.
        seeds: how many; from the seed of the config on.
        folder: where everything goes; what it holds of the same study is kept.
        using: processes and threads.
        watcher: told of what happens.
        name: of the experiment.

    Returns:
        What was found, and the path of the report.

    Raises:
        LfpSnnError: as :func:`~lfp_snn.analysis.study.session.carried_out`.
    """
    with carried_out(study, seeds, folder, using, watcher) as ended:
        findings = ConvergenceFindings(
            [
                CaseResult(
                    case.rule,
                    case.depth,
                    [run.measured() for run in ended.finished(case.arm.name)],
                    ended.states[case.arm.name].failed,
                )
                for case in study.cases
            ],
            study.options.against.name,
            ended.machine,
            ended.data,
        )
        return findings, write_convergence(findings, folder, name)
