"""A sweep from its study to its report."""

from __future__ import annotations

from pathlib import Path

from lfp_snn.analysis.study.resources import Resources
from lfp_snn.analysis.study.session import carried_out
from lfp_snn.analysis.study.state import Watcher
from lfp_snn.analysis.study.tuning import Tuning, importances
from lfp_snn.analysis.sweep.findings import SweepFindings
from lfp_snn.analysis.sweep.report import write_sweep
from lfp_snn.analysis.sweep.study import SweepStudy
from lfp_snn.errors import RunError

__all__ = ["sweep"]


def sweep(
    study: SweepStudy, folder: Path, using: Resources, watcher: Watcher, name: str
) -> tuple[SweepFindings, Path]:
    """Spend the budget of a search, and write its report.

    Args:
        study: what is searched.
        folder: where everything goes; what it holds of the same sweep is kept.
        using: processes and threads.
        watcher: told of what happens.
        name: of the experiment.

    Returns:
        What was found, and the path of the report.

    Raises:
        RunError: no trial was completed.
        LfpSnnError: as :func:`~lfp_snn.analysis.study.session.carried_out`.
    """
    with carried_out(study, 0, folder, using, watcher) as ended:
        store = using.store(folder)
        tuning = Tuning(study.arm, store)
        values, best = tuning.best()
        if best is None:
            raise RunError("Nothing was searched: sweep.search.trials is 0.")
        shares = importances(store, study.arm.name)
        findings = SweepFindings(tuning.spent(), values, best, shares, ended.data)
        return findings, write_sweep(findings, folder, name)
