"""A convergence study from beginning to end: folder, cells, report."""

from __future__ import annotations

from pathlib import Path

from lfp_snn.analysis.compare.cells import Cell
from lfp_snn.analysis.compare.run import Resources, Watcher, run_seeds, workspace
from lfp_snn.analysis.compare.session import machine, new_state
from lfp_snn.analysis.convergence.plan import Grid
from lfp_snn.analysis.convergence.report import write_report
from lfp_snn.analysis.convergence.results import CaseResult, Results
from lfp_snn.training.assembly import load_classes

__all__ = ["converge"]


def converge(
    grid: Grid, seeds: int, folder: Path, using: Resources, watcher: Watcher, name: str
) -> tuple[Results, Path]:
    """Run what is missing of a study, and write its report.

    Args:
        grid: the cases.
        seeds: how many; from the seed of the config on.
        folder: where everything goes; what it holds of the same study is kept.
        using: processes and threads.
        watcher: told of what happens.
        name: of the experiment.

    Returns:
        The results, and the path of the report.

    Raises:
        RunError: the folder is taken or in use, or cannot be written.
        DataError: the data cannot be read.
    """
    studies = [case.study for case in grid.cases]
    # Fails here if it fails, and fills the cache for all.
    data = dict(load_classes(studies[0].config({}, 0), validated=True).info)
    probe = grid.options.model_dump(mode="json", include={"against", "every"})
    asked = {
        **probe,
        **{f"case {study.name}": study.model_dump(mode="json") for study in studies},
    }
    states = {study.name: new_state(study, seeds) for study in studies}
    start = int(studies[0].base.get("seed", 0))
    wanted = range(start, start + seeds)
    todo = {"kind": "convergence", "options": grid.options.model_dump(mode="json")}
    with workspace(folder, asked) as lock:
        run_seeds(studies, wanted, folder, using, lock, states, watcher, todo)
        cases = [
            CaseResult(
                case.rule,
                case.depth,
                [
                    cell.figures()
                    for cell in (Cell(folder, case.study.name, seed) for seed in wanted)
                    if cell.finished
                ],
                states[case.study.name].failed,
            )
            for case in grid.cases
        ]
        results = Results(cases, grid.options.against.name, machine(using), data)
        return results, write_report(results, folder, name)
