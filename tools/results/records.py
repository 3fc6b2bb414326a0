"""Records of measurements: what they hold, and the folder of them."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from benchmarks._tables import Cell, PrintedColumn
from lfp_snn.errors import ConfigError, LfpSnnError
from lfp_snn.training.configfile import read_mapping
from lfp_snn.training.configproblems import sentence
from lfp_snn.wholefiles import write_whole
from lfp_snn.wording import by_config

__all__ = [
    "ArmRecord",
    "ComparisonRecord",
    "MachineRecord",
    "PrintedRecord",
    "Record",
    "RecordError",
    "Records",
    "RunsRecord",
    "StepRow",
    "StepsRecord",
    "TableRecord",
    "told",
]

#: An accuracy or another share, from 0 to 1.
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
#: A time or a load.
Positive = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class RecordError(LfpSnnError):
    """A record, or what one would be made of, holds what no measurement can give."""


def told(source: str, error: ValidationError) -> RecordError:
    """The error for what does not hold in a record: its first problem, in a sentence."""
    first = error.errors()[0]
    if not first["loc"] or first["type"] == "json_invalid":
        return RecordError(f"{source}: {first['msg'].removeprefix('Value error, ').rstrip('.')}.")
    with by_config():  # whose keys have dots
        return RecordError(f"{source}: {sentence(dict(first), ())}.")


class _Kept(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class MachineRecord(_Kept):
    """The machine that something was measured on.

    Attributes:
        processor: its name; ``None`` where it was not kept.
        cores: the number of its cores that could be used.
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
    load: tuple[Positive, Positive] | None

    @property
    def cores_in_words(self) -> str:
        """The number of cores, as a phrase."""
        return "1 core" if self.cores == 1 else f"{self.cores} cores"

    @field_validator("load")
    @classmethod
    def _in_order(cls, load: tuple[float, float] | None) -> tuple[float, float] | None:
        if load is not None and load[0] > load[1]:
            raise ValueError("the lowest load before the highest")
        return load


class _Seeded(_Kept):
    seeds: list[int]
    test: list[Share]
    validation: list[Share | None]
    training_s: list[Positive]

    @model_validator(mode="after")
    def _one_of_each_seed(self) -> Self:
        lengths = {name: len(getattr(self, name)) for name in _Seeded.model_fields}
        if len(set(lengths.values())) > 1:
            found = ", ".join(f"{n} {name}" for name, n in lengths.items())
            raise ValueError(f"there are {found}; expected one of each for every seed")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds are {self.seeds}; expected each once")
        return self


class ArmRecord(_Seeded):
    """One learner of a comparison.

    Attributes:
        learner: the settings of the learner that the config fixes.
        chosen: the settings that the search found.
        tuned: the validation accuracy of the best trial; ``None`` if nothing was searched.
        to_target_s: the seconds that each seed trained until its validation accuracy reached the
            target, ``None`` for one that never did; ``None`` where there is no target.
        seeds: the finished seeds; the lists below are in their order.
        test: the test accuracy of each.
        validation: the validation accuracy of each.
        training_s: the seconds that each trained.
        failed: why a seed or the search failed.
    """

    learner: Mapping[str, Any]
    chosen: Mapping[str, Any]
    tuned: Share | None
    to_target_s: list[Positive | None] | None = None
    failed: Mapping[str, str]

    @model_validator(mode="after")
    def _came_there_or_not(self) -> Self:
        if self.to_target_s is not None and len(self.to_target_s) != len(self.seeds):
            raise ValueError(
                f"there are {len(self.to_target_s)} to_target_s; expected one for each of "
                f"{len(self.seeds)} seeds"
            )
        return self


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
        target: the validation accuracy to which the training time is told; ``None`` without one,
            and in records of before it was kept.
        learners: the learners by their names in the comparison.
    """

    kind: Literal["comparison"] = "comparison"
    parts: Mapping[str, int]
    trials: int
    trial_epochs: int | None
    epochs: int
    reference: str
    target: Annotated[Share, Field(gt=0)] | None = None
    learners: Mapping[str, ArmRecord]

    @model_validator(mode="after")
    def _times_of_a_target(self) -> Self:
        for name, arm in self.learners.items():
            if (arm.to_target_s is None) != (self.target is None):
                raise ValueError(
                    f"target is {self.target} and to_target_s of {name} {arm.to_target_s}; "
                    "expected both or neither"
                )
        return self

    @model_validator(mode="after")
    def _has_reference(self) -> Self:
        if self.reference not in self.learners:
            known = ", ".join(self.learners)
            raise ValueError(f"reference is {self.reference!r}; expected one of {known}")
        return self


class RunsRecord(_Measured, _Seeded):
    """What ``lfp-snn train`` found with several seeds; lists are in the order of the seeds."""

    kind: Literal["runs"] = "runs"
    parts: Mapping[str, int]
    epochs: int


class PrintedRecord(_Measured):
    """What a benchmark printed, line by line."""

    kind: Literal["printed"] = "printed"
    lines: list[str]


class StepRow(_Kept):
    """What a training step of one network took, by toolkit.

    Attributes:
        network: the network, its batch and T.
        unit: ``ms``, medians of interleaved steps, or ``MiB``, peaks above weights and input.
        values: the figure of each toolkit; the first is ours.
        left_out: why a toolkit was not measured.
    """

    network: str
    unit: Literal["ms", "MiB"]
    values: Mapping[str, Positive]
    left_out: Mapping[str, str]

    @field_validator("values")
    @classmethod
    def _some(cls, values: Mapping[str, float]) -> Mapping[str, float]:
        if not values or not all(values.values()):
            raise ValueError(f"values are {dict(values)}; expected a figure above 0 for each")
        return values


class StepsRecord(_Measured):
    """What ``python -m benchmarks steps`` measured."""

    kind: Literal["steps"] = "steps"
    rows: list[StepRow]


class TableRecord(_Measured):
    """A table of a benchmark or a study, with the numbers that its cells show.

    Attributes:
        columns: its columns, and how the numbers in them are shown.
        rows: the cells of each row.
    """

    kind: Literal["table"] = "table"
    columns: list[PrintedColumn]
    rows: list[list[Cell]]

    @model_validator(mode="after")
    def _filled(self) -> Self:
        widths = {len(row) for row in self.rows}
        if widths != {len(self.columns)}:
            found = ", ".join(map(str, sorted(widths))) or "no"
            raise ValueError(f"rows have {found} cells; expected {len(self.columns)} in each")
        for row in self.rows:
            for column, cell in zip(self.columns, row, strict=True):
                if not _is_shown(column, cell):
                    raise ValueError(f"{column.title} is {cell}; expected finite numbers to show")
        return self


def _is_shown(column: PrintedColumn, cell: Cell) -> bool:
    """Whether a column can show what stands in a cell."""
    if not isinstance(cell, list):
        return not isinstance(cell, float) or math.isfinite(cell)
    enough = len(cell) == 3 if column.show == "bounds" else bool(cell)
    return enough and all(map(math.isfinite, cell))


Record = ComparisonRecord | RunsRecord | PrintedRecord | StepsRecord | TableRecord
_ADAPTER: TypeAdapter[Record] = TypeAdapter(Annotated[Record, Field(discriminator="kind")])


@dataclass(frozen=True)
class Records:
    """A folder of records, with the commands that make them."""

    folder: Path

    @cached_property
    def commands(self) -> dict[str, str]:
        """The command of each record by its name, in the order of the list."""
        path = self.folder / "commands.yaml"
        commands = read_mapping(path)
        for name, command in commands.items():
            if not isinstance(name, str) or not isinstance(command, str):
                raise ConfigError(f"{path}: {name} is {command!r}; expected a command.")
        return commands

    @cached_property
    def kept(self) -> dict[str, Record]:
        """The records by their names.

        Raises:
            RecordError: a file is no record.
        """
        return {path.stem: _read(path) for path in sorted(self.folder.glob("*.json"))}

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
        write_whole(path, _text(record).encode())
        self.__dict__.pop("kept", None)
        return path

    def name_command(self, name: str, command: str) -> None:
        """Add a command to the list."""
        line = yaml.safe_dump({name: command}, width=1000)
        path = self.folder / "commands.yaml"
        write_whole(path, path.read_bytes() + line.encode())
        self.__dict__.pop("commands", None)


def _text(record: Record) -> str:
    """A record as JSON with a line for each entry, and one for a list of numbers."""

    def joined(numbers: re.Match[str]) -> str:
        return f"[{' '.join(numbers[1].split())}]"

    numbers = r"\[\s+([-+.0-9eE]+(?:,\s+[-+.0-9eE]+)*)\s+\]"
    return re.sub(numbers, joined, record.model_dump_json(indent=1)) + "\n"


def _read(path: Path) -> Record:
    try:
        return _ADAPTER.validate_json(path.read_bytes())
    except ValidationError as error:
        raise told(str(path), error) from error
