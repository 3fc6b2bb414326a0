"""The process in which trials and seeds run: ``python -m lfp_snn.analysis.study.worker JOB``.

Each seed has a process of its own, so that one which crashes takes nothing with it and memory is
measured from a clean start. JOB is a JSON file that :mod:`lfp_snn.analysis.study.jobs` writes.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from lfp_snn.analysis.study.jobs import TRIALS
from lfp_snn.analysis.study.kinds import kinds
from lfp_snn.analysis.study.seedrun import SeedRun
from lfp_snn.analysis.study.spec import Arm
from lfp_snn.analysis.study.store import Store
from lfp_snn.errors import LfpSnnError
from lfp_snn.makers import permit
from lfp_snn.training import Interrupted
from lfp_snn.training.files import read_json

__all__ = ["main"]


def main(job: Path) -> int:
    """Do what a job file says; gives the exit code."""
    _die_with_the_parent()
    todo = read_json(job)
    torch.set_num_threads(todo["threads"])
    arm, folder = Arm.model_validate(todo["study"]), Path(todo["folder"])
    for function in todo["functions"]:
        permit(function)
    try:
        if todo["kind"] == TRIALS:
            _run_trials(folder, arm, todo)
        else:
            kinds()[todo["kind"]].run_seed(SeedRun(folder, arm.name, todo["seed"]), arm, todo)
    except Interrupted as error:
        return 128 + error.signum
    except LfpSnnError as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        return 2
    return 0


def _run_trials(folder: Path, arm: Arm, todo: Mapping[str, Any]) -> None:
    from lfp_snn.analysis.study.tuning import run_trial  # Optuna is slow to import

    for _ in range(todo["trials"]):
        run_trial(arm, Store(folder, todo["storage"]))


def _die_with_the_parent() -> None:
    """End when the study is killed: nobody would wait for the rest."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
