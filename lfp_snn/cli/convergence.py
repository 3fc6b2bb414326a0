"""``lfp-snn convergence``: rules, depths and seeds; reward over steps, alignment by layer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from lfp_snn.analysis.compare.session import resources
from lfp_snn.analysis.convergence.plan import load_convergence
from lfp_snn.analysis.convergence.report import SUMMARY_TITLES, summary_rows
from lfp_snn.analysis.convergence.session import converge
from lfp_snn.cli.compare import Screen, stoppable
from lfp_snn.cli.console import shown
from lfp_snn.cli.shipped import find_config
from lfp_snn.errors import RunError

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
    grid = load_convergence(path, list(overrides or ()))
    name = str(grid.cases[0].study.base.get("name", path.stem))
    folder = out or Path("runs") / name
    console = Console()
    console.print(f"folder: {shown(folder)}", highlight=False, soft_wrap=True)
    with Screen(console) as screen, stoppable(folder):
        results, report = converge(grid, seeds, folder, resources(jobs, threads), screen, name)
    table = Table(*SUMMARY_TITLES, box=None, pad_edge=False)
    for row in summary_rows(results):
        table.add_row(*row)
    console.print(table)
    for sentence in results.conclusions():
        console.print(f"- {sentence}", highlight=False)
    console.print(f"report: {shown(report)}", highlight=False, soft_wrap=True)
    if any(case.failed for case in results.cases):
        raise RunError(
            "Not everything finished; the report says what, and the same command tries again."
        )
