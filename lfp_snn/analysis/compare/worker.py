"""The process in which cells and trials run: ``python -m lfp_snn.analysis.compare.worker JOB``.

Each cell has a process of its own, so that one which crashes takes nothing with it and memory is
measured from a clean start. JOB is a JSON file that :mod:`lfp_snn.analysis.compare.jobs` writes.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path

import torch

from lfp_snn.analysis.compare.plan import Study
from lfp_snn.analysis.compare.store import Store
from lfp_snn.errors import LfpSnnError
from lfp_snn.training import Interrupted
from lfp_snn.training.files import read_json

__all__ = ["main"]


def main(job: Path) -> int:
    """Do what a job file says; the exit code."""
    _die_with_the_parent()
    todo = read_json(job)
    torch.set_num_threads(todo["threads"])
    study = Study.model_validate(todo["study"])
    folder = Path(todo["folder"])
    try:
        if todo["kind"] == "trials":
            from lfp_snn.analysis.compare.tuning import run_trial  # Optuna is slow to import

            for _ in range(todo["trials"]):
                run_trial(study, Store(folder, todo["storage"]))
        elif todo["kind"] == "convergence":
            from lfp_snn.analysis.compare.cells import Cell
            from lfp_snn.analysis.convergence import cells, plan

            options = plan.Convergence.model_validate(todo["options"])
            cells.run_cell(Cell(folder, study.name, todo["seed"]), study, options)
        else:
            from lfp_snn.analysis.compare.cells import Cell, run_cell

            run_cell(Cell(folder, study.name, todo["seed"]), study, todo["values"])
    except Interrupted as error:
        return 128 + error.signum
    except LfpSnnError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _die_with_the_parent() -> None:
    """End when the comparison is killed: nobody would wait for the rest."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
