"""Records from what a finished command has left: a study's folder, runs, tables, printed lines."""

from __future__ import annotations

import datetime
import math
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError

from lfp_snn.analysis.machine import machine
from lfp_snn.errors import LfpSnnError
from lfp_snn.training.files import read_json
from tools.results.records import (
    ArmRecord,
    ComparisonRecord,
    MachineRecord,
    PrintedRecord,
    Record,
    RunsRecord,
    StepRow,
    StepsRecord,
    TableRecord,
    told,
)
from tools.results.studies import CONVERGENCE, convergence_rows

__all__ = ["CollectError", "collect"]

Load = tuple[float, float] | None


class CollectError(LfpSnnError):
    """Nothing that is finished can be collected."""


def collect(command: str, paths: Sequence[Path], load: Load) -> Record:
    """The record of what a command has left.

    The processor is taken to be this machine's.

    Args:
        command: the command that was run.
        paths: the folder of a comparison or of ``lfp-snn convergence``, the run directories of
            several seeds, the folder of a benchmark of steps, the JSON of another benchmark's
            table, or one file with what it printed.
        load: the lowest and highest load of the machine meanwhile; ``None`` where nobody looked.

    Raises:
        CollectError: they are none of these, or are not finished or damaged.
        RecordError: they hold what no measurement can give.
    """
    source = ", ".join(map(str, paths))
    if load is not None and not 0 <= load[0] <= load[1] < math.inf:
        raise CollectError(
            f"--load is {load[0]:g} {load[1]:g}; expected the lowest load, then the highest."
        )
    (path,) = paths if len(paths) == 1 else (None,)
    try:
        if all((each / "run.json").is_file() for each in paths):
            return _runs(command, paths, load)
        if path is not None and command.startswith("lfp-snn convergence "):
            return _convergence(command, path, load)
        if path is not None and (path / "plan.json").is_file():
            return _comparison(command, path, load)
        if path is not None and (path / "bench.json").is_file():
            return _steps(command, path / "bench.json")
        if path is not None and path.is_file() and path.suffix == ".json":
            return _table(command, path)
        if path is not None and path.is_file():
            return _printed(command, path, load)
    except ValidationError as error:
        raise told(source, error) from error
    except KeyError as error:
        raise CollectError(
            f"{source}: what it left has no {error}: it is of another version, or damaged."
        ) from error
    except (TypeError, AttributeError, ValueError) as error:
        raise CollectError(f"{source}: what it left is damaged ({error}).") from error
    raise CollectError(
        f"{source}: expected the folder of a comparison (with plan.json), run directories (with "
        f"run.json), a benchmark's folder (with bench.json), its table as JSON, or one file with "
        f"what it printed."
    )


def _read(path: Path) -> Any:
    if not path.is_file():
        raise CollectError(
            f"{path} is not there: what made {path.parent} has not finished; run its command again "
            f"to go on."
        )
    return read_json(path)


def _comparison(command: str, folder: Path, load: Load) -> ComparisonRecord:
    found, plan = _read(folder / "results.json"), _read(folder / "plan.json")
    infos = [read_json(path) for path in folder.glob("cells/*/*/run/run.json")]
    if not infos:
        raise CollectError(f"{folder} has no finished seed: its learners failed; see its logs.")
    search = plan[f"learner {found['reference']}"]["search"]
    trials = max(each["trials"] for each in found["learners"].values())
    return ComparisonRecord(
        command=command,
        date=_latest(infos),
        machine=_of_study(found["machine"], load),
        parts=found["data"]["sizes"],
        trials=trials,
        trial_epochs=search["epochs"] if trials else None,
        epochs=infos[0]["settings"]["epochs"],
        reference=found["reference"],
        target=found["target"],
        learners={
            name: _arm(each, plan[f"learner {name}"]) for name, each in found["learners"].items()
        },
    )


def _convergence(command: str, folder: Path, load: Load) -> TableRecord:
    found = _read(folder / "results.json")
    return TableRecord(
        command=command,
        date=_day(folder / "results.json"),
        machine=_of_study(found["machine"], load),
        columns=list(CONVERGENCE),
        rows=convergence_rows(found),
    )


def _of_study(ran: Mapping[str, Any], load: Load) -> MachineRecord:
    """The machine, by what a study says of it."""
    return MachineRecord(
        processor=machine()["processor"],
        cores=ran["cores"],
        threads=ran["threads of each"],
        processes=ran["processes at a time"],
        torch=ran["torch"],
        load=load,
    )


def _arm(found: Mapping[str, Any], plan: Mapping[str, Any]) -> ArmRecord:
    cells = found["cells"]
    return ArmRecord(
        learner=plan["base"]["learner"],
        chosen=found["values"],
        tuned=found["tuned_val_accuracy"],
        seeds=[each["seed"] for each in cells],
        test=[each["test_accuracy"] for each in cells],
        validation=[each["val_accuracy"] for each in cells],
        training_s=[round(each["train_s"], 3) for each in cells],
        to_target_s=_rounded(found["seconds_to_target"]),
        failed=found["failed"],
    )


def _rounded(times: Sequence[float | None] | None) -> list[float | None] | None:
    return None if times is None else [None if t is None else round(t, 3) for t in times]


def _runs(command: str, folders: Sequence[Path], load: Load) -> RunsRecord:
    infos = [_read(folder / "run.json") for folder in folders]
    results = [_read(folder / "result.json") for folder in folders]
    if differing := _differing([each["settings"] for each in infos]):
        raise CollectError(
            f"{folders[0]} and the others differ in {differing}: expected runs of one command that "
            f"differ in the seed alone."
        )
    return RunsRecord(
        command=command,
        date=_latest(infos),
        machine=MachineRecord(
            processor=machine()["processor"],
            cores=os.cpu_count() or 1,
            threads=infos[0]["threads"],
            processes=1,
            torch=infos[0]["versions"]["torch"],
            load=load,
        ),
        parts=results[0]["samples"],
        epochs=infos[0]["settings"]["epochs"],
        seeds=[each["seed"] for each in results],
        test=[each["test_accuracy"] for each in results],
        validation=[each["val_accuracy"] for each in results],
        training_s=[round(each["train_s"], 3) for each in results],
    )


def _differing(settings: Sequence[Mapping[str, Any]]) -> str:
    """The first key but the seed in which settings differ; empty if there is none."""
    first = settings[0]
    keys = (key for each in settings for key in each if key != "seed")
    return next((k for k in keys if any(s.get(k) != first.get(k) for s in settings)), "")


def _printed(command: str, file: Path, load: Load) -> PrintedRecord:
    here = machine()
    return PrintedRecord(
        command=command,
        date=_day(file),
        machine=MachineRecord(
            processor=here["processor"],
            cores=here["cores"],
            threads=_threads(command) or here["threads"],
            processes=1,
            torch=torch.__version__,
            load=load,
        ),
        lines=file.read_text(encoding="utf-8").splitlines(),
    )


def _table(command: str, file: Path) -> TableRecord:
    found = read_json(file)
    ran = found["machine"]
    return TableRecord(
        command=command,
        date=found["date"],
        machine=MachineRecord(
            processor=ran["processor"],
            cores=ran["cores"],
            threads=ran["threads"],
            processes=1,
            torch=ran["versions"]["torch"],
            load=tuple(found["load"]),
        ),
        columns=found["columns"],
        rows=found["rows"],
    )


def _steps(command: str, file: Path) -> StepsRecord:
    found = read_json(file)
    ran, steps, memory = found["machine"], found["steps"], found["memory"]
    loads = [ran["load"], *(load for each in steps.values() for load in each["load"])]
    rows = [
        StepRow(
            network=_network(each),
            unit="ms",
            values={name: round(1e3 * own["median"], 3) for name, own in each["seconds"].items()},
            left_out=each["left_out"],
        )
        for each in steps.values()
    ]
    if memory is not None:
        sizes = {name: round(size / 2**20, 2) for name, size in memory["bytes"].items()}
        rows.append(
            StepRow(network=_network(memory), unit="MiB", values=sizes, left_out=memory["left_out"])
        )
    return StepsRecord(
        command=command,
        date=_day(file),
        machine=MachineRecord(
            processor=ran["processor"],
            cores=ran["cores"],
            threads=ran["threads"],
            processes=1,
            torch=ran["versions"]["torch"],
            load=(round(min(loads), 1), round(max(loads), 1)),
        ),
        rows=rows,
    )


def _day(file: Path) -> datetime.date:
    """The day on which a file was written."""
    return datetime.datetime.fromtimestamp(file.stat().st_mtime, datetime.UTC).date()


def _network(facts: Mapping[str, Any]) -> str:
    hidden = "".join(f" {size}" for size in facts.get("hidden", ()))
    return f"{facts['model']}{hidden}, batch {facts['batch']}, T={facts['steps']}"


def _threads(command: str) -> int | None:
    """The threads that a command was told to use."""
    words = shlex.split(command)
    if "--threads" not in words:
        return None
    return int(words[words.index("--threads") + 1])


def _latest(infos: Sequence[Mapping[str, Any]]) -> datetime.date:
    """The day on which the last of several runs began."""
    return datetime.datetime.fromisoformat(max(each["started"] for each in infos)).date()
