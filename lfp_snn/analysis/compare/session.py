"""A comparison or a sweep from beginning to end: folder, search, seeds, report."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from lfp_snn import __version__
from lfp_snn.analysis.compare.cells import Cell
from lfp_snn.analysis.compare.plan import Comparison, Study
from lfp_snn.analysis.compare.report import write_comparison, write_sweep
from lfp_snn.analysis.compare.results import Results, gather
from lfp_snn.analysis.compare.run import (
    Resources,
    State,
    Watcher,
    run_seeds,
    search_all,
    usable_cores,
    usable_threads,
    workspace,
)
from lfp_snn.analysis.compare.tuning import Tuning, importances
from lfp_snn.errors import ConfigError, RunError
from lfp_snn.training.assembly import load_classes
from lfp_snn.training.distributed import rank

__all__ = ["compare", "machine", "new_state", "resources", "sweep"]


def resources(jobs: int, threads: int | None, storage: str | None = None) -> Resources:
    """So many processes, which share the cores if nothing else is said.

    Raises:
        ConfigError: torchrun has started this process, and would start every trial several times.
    """
    if rank() is not None:
        raise ConfigError(
            "Comparisons and sweeps start their processes themselves: run them without torchrun, "
            "and share the work with other machines by --storage."
        )
    return Resources(jobs, threads or max(1, usable_threads() // jobs), storage)


def compare(
    comparison: Comparison,
    studies: Sequence[Study],
    seeds: int,
    folder: Path,
    using: Resources,
    watcher: Watcher,
    name: str,
) -> tuple[Results, Path]:
    """Run what is missing of a comparison, and write its report.

    Args:
        comparison: the reference, and more.
        studies: of each learner.
        seeds: how many; from the seed of the config on.
        folder: where everything goes; what it holds of the same comparison is kept.
        using: processes and threads.
        watcher: told of what happens.
        name: of the experiment.

    Returns:
        The results, and the path of the report.

    Raises:
        RunError: the folder is taken or in use, or cannot be written.
        DataError: the data cannot be read.
    """
    first = studies[0].config({}, 0)
    # Fails here if it fails, and fills the cache for all.
    data = dict(load_classes(first, validated=True).info)
    # More seeds or other processes at a time go on with what is there. Anything else, more trials
    # included, would put cells of different settings side by side.
    asked = {
        "reference": comparison.reference,
        "target": comparison.target,
        "threads": using.threads,
        **{f"learner {each.name}": each.model_dump(mode="json") for each in studies},
    }
    states = {study.name: new_state(study, seeds) for study in studies}
    start = int(studies[0].base.get("seed", 0))
    wanted = range(start, start + seeds)
    with workspace(folder, asked, using.storage is not None) as lock:
        search_all(studies, folder, using, lock, states, watcher)
        run_seeds(studies, wanted, folder, using, lock, states, watcher)
        cells = {s.name: [Cell(folder, s.name, seed) for seed in wanted] for s in studies}
        results = gather(comparison, states, cells, machine(using), data)
        return results, write_comparison(results, folder, name)


def sweep(
    study: Study, folder: Path, using: Resources, watcher: Watcher, name: str
) -> tuple[dict[str, Any], float, Path]:
    """Spend the budget of a search, and write its report.

    Returns:
        The best values, their validation accuracy, and the path of the report.

    Raises:
        RunError: no trial was completed, or as :func:`compare`.
    """
    data = dict(load_classes(study.config({}, 0), validated=True).info)
    states = {study.name: new_state(study, 0)}
    asked = {"threads": using.threads, "sweep": study.model_dump(mode="json")}
    with workspace(folder, asked, using.storage is not None) as lock:
        search_all([study], folder, using, lock, states, watcher)
        tuning = Tuning(study, using.store(folder))
        values, best = tuning.best()
        if best is None:
            raise RunError("Nothing was searched: sweep.search.trials is 0.")
        shares = importances(using.store(folder), study.name)
        report = write_sweep(tuning.spent(), values, best, shares, data, folder, name)
    return values, best, report


def new_state(study: Study, seeds: int) -> State:
    """Nothing done yet."""
    epochs = study.config({}, 0).epochs
    trials = study.search.trials if study.tune else 0
    return State(study.name, (0, trials), (0, seeds), (study.search.epochs or epochs, epochs))


def machine(using: Resources) -> dict[str, Any]:
    """What it runs on, and how."""
    return {
        "processes at a time": using.jobs,
        "threads of each": using.threads,
        "cores": usable_cores(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "lfp_snn": __version__,
    }
