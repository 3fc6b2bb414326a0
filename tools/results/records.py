"""Records of measurements: what they hold, and the folder of them."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from lfp_snn.wholefiles import write_whole

__all__ = [
    "ArmRecord",
    "ComparisonRecord",
    "MachineRecord",
    "PrintedRecord",
    "Record",
    "Records",
    "RunsRecord",
]


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MachineRecord(_Kept):
    """The machine that something was measured on.

    Attributes:
        processor: its name; ``None`` where it was not kept.
        cores: the number of its cores.
        threads: the number of threads of each process.
        processes: the number of processes at a time.
        torch: the version of torch.
        load: the lowest and highest load that was seen; ``None`` where it was not kept.
    """

    processor: str | None
    cores: int
    threads: int
    processes: int
    torch: str
    load: tuple[float, float] | None


class ArmRecord(_Kept):
    """One learner of a comparison.

    Attributes:
        learner: the settings of the learner that the config fixes.
        chosen: the settings that the search found.
        tuned: the validation accuracy of the best trial; ``None`` if nothing was searched.
        seeds: the finished seeds; the lists below are in their order.
        test: the test accuracy of each.
        validation: the validation accuracy of each.
        training_s: the seconds that each trained.
        failed: why a seed or the search failed.
    """

    learner: Mapping[str, Any]
    chosen: Mapping[str, Any]
    tuned: float | None
    seeds: list[int]
    test: list[float]
    validation: list[float | None]
    training_s: list[float]
    failed: Mapping[str, str]


class _Measured(_Kept):
    command: str
    date: datetime.date
    machine: MachineRecord


class ComparisonRecord(_Measured):
    """What ``lfp-snn compare`` found.

    Attributes:
        parts: the sizes of the parts of the data: train, val, test.
        trials: the number of trials of each learner's search; 0 without one.
        trial_epochs: the number of epochs of a trial.
        epochs: the number of epochs of a training.
        reference: the learner that the others are compared with.
        learners: the learners by their names in the comparison.
    """

    kind: Literal["comparison"] = "comparison"
    parts: Mapping[str, int]
    trials: int
    trial_epochs: int | None
    epochs: int
    reference: str
    learners: Mapping[str, ArmRecord]


class RunsRecord(_Measured):
    """What ``lfp-snn train`` found with several seeds; lists are in the order of the seeds."""

    kind: Literal["runs"] = "runs"
    parts: Mapping[str, int]
    epochs: int
    seeds: list[int]
    test: list[float]
    validation: list[float | None]
    training_s: list[float]


class PrintedRecord(_Measured):
    """What a benchmark printed, line by line."""

    kind: Literal["printed"] = "printed"
    lines: list[str]


Record = ComparisonRecord | RunsRecord | PrintedRecord
_ADAPTER: TypeAdapter[Record] = TypeAdapter(Annotated[Record, Field(discriminator="kind")])


@dataclass(frozen=True)
class Records:
    """A folder of records, with the commands that make them."""

    folder: Path

    @cached_property
    def commands(self) -> dict[str, str]:
        """The command of each record by its name, in the order of the list."""
        text = (self.folder / "commands.yaml").read_text(encoding="utf-8")
        return dict(yaml.safe_load(text) or {})

    @cached_property
    def kept(self) -> dict[str, Record]:
        """The records by their names."""
        return {
            path.stem: _ADAPTER.validate_json(path.read_bytes())
            for path in sorted(self.folder.glob("*.json"))
        }

    @property
    def lacking(self) -> list[str]:
        """The names that have a command and no record."""
        return [name for name in self.commands if name not in self.kept]

    def keep(self, name: str, record: Record) -> Path:
        """Write a record.

        Returns:
            The file.
        """
        path = self.folder / f"{name}.json"
        write_whole(path, record.model_dump_json(indent=1).encode() + b"\n")
        self.__dict__.pop("kept", None)
        return path

    def name_command(self, name: str, command: str) -> None:
        """Add a command to the list."""
        line = yaml.safe_dump({name: command}, width=1000)
        path = self.folder / "commands.yaml"
        write_whole(path, path.read_bytes() + line.encode())
        self.__dict__.pop("commands", None)
