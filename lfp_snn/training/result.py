"""The result of a training."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from lfp_snn.data import Splits
from lfp_snn.errors import RunError
from lfp_snn.markup import table
from lfp_snn.options import dotted
from lfp_snn.training.configproblems import cut
from lfp_snn.training.evaluation import Evaluation
from lfp_snn.training.files import read_json, write_json
from lfp_snn.training.notebook import epochs_table
from lfp_snn.training.progress import Progress
from lfp_snn.training.rundir import RunDir

__all__ = ["Result", "result_of"]

_ELSEWHERE = ("metrics", "run")
_OPTIONAL = ("baseline", "test_error", "val_error")
_ACCURACIES = ("test_accuracy", "val_accuracy")


@dataclass(frozen=True, repr=False)
class Result:
    """The result of a training; all fields but ``metrics`` and ``run`` are those of result.json.

    Attributes:
        test_accuracy: the share of the test set read correctly, with the best weights; NaN where
            samples have targets and no classes, or nothing tests.
        val_accuracy: the share of the validation set read correctly, by which the best weights were
            chosen; NaN where nothing validates, or there are no classes.
        best_epoch: the epoch of the best weights; of equal ones the latest; the last epoch where
            nothing validates.
        seed: the seed of the run.
        wall_s: the seconds from the start to the result, over all sessions.
        train_s: the seconds of the epochs, validation included.
        test_ties: the share of test samples whose best score was shared.
        samples: the sizes of the three splits.
        firing: the mean spikes per neuron and step of every neuron module on the test set.
        confusion: the counts on the test set, ``[true class][predicted class]``.
        classes: the names of the classes.
        warnings: the warnings of the run.
        metrics: one mapping for each epoch, as in metrics.jsonl.
        run: the run directory, if there is one.
        baseline: ``name`` and ``test_accuracy`` of what the run is compared with, if anything.
        test_error: the root of the mean squared difference of outputs and targets on the test set,
            where samples have no classes.
        val_error: the error on the validation set, by which the best weights were chosen.
        layers: what to call each neuron module in a table, by its name.
    """

    test_accuracy: float
    val_accuracy: float
    best_epoch: int
    seed: int
    wall_s: float
    train_s: float
    test_ties: float
    samples: dict[str, int]
    firing: dict[str, float]
    confusion: list[list[int]]
    classes: list[str]
    warnings: list[str]
    metrics: list[dict[str, Any]]
    run: Path | None
    baseline: dict[str, Any] | None = None
    test_error: float | None = None
    val_error: float | None = None
    layers: dict[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        rows = [*self.rows(), ("kept in", str(self.run or "nothing; give fit out=FOLDER"))]
        rows += [("warning", message) for message in self.warnings]
        width = max(len(name) for name, _ in rows)
        return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)

    def _repr_html_(self) -> str:
        return table(self.rows()) + epochs_table(self.metrics, self.layers)

    def rows(self) -> list[tuple[str, str]]:
        """The rows of a table of the result, in words and figures."""
        sizes, regresses = self.samples, self.test_error is not None
        what = "error" if regresses else "accuracy"
        chosen = f"{_figure(self.val_accuracy, self.val_error)}  of {sizes['val']}, in epoch "
        unchosen = f"none; the last epoch, {self.best_epoch}, was tested"
        tested = f"{_figure(self.test_accuracy, self.test_error)}  of {sizes['test']}"
        rows = [
            (f"test {what}", tested if sizes["test"] else "none; nothing tests"),
            (
                f"validation {what}",
                f"{chosen}{self.best_epoch}" if self.validated else unchosen,
            ),
        ]
        if self.baseline is not None:
            accuracy = _figure(self.baseline["test_accuracy"])
            rows.append(("baseline", f"{accuracy}  {self.baseline['name']}"))
        firing = "  ".join(
            f"{self.layers.get(name, name)}: {100 * rate:.1f} %"
            for name, rate in self.firing.items()
        )
        if sizes["test"] and not regresses:
            rows.append(("ties in the test", f"{100 * self.test_ties:.1f} %"))
        if sizes["test"]:
            rows.append(("firing in the test", firing))
        return [
            *rows,
            (
                "training",
                f"{len(self.metrics)} epochs of {sizes['train']} samples in {self.train_s:.1f} s",
            ),
            ("in all", f"{self.wall_s:.1f} s"),
        ]

    @property
    def validated(self) -> bool:
        """Whether the weights were chosen by a validation set."""
        return self.samples["val"] > 0

    def to_json(self) -> dict[str, Any]:
        """The content of result.json; NaN is null there."""
        content = {key: value for key, value in asdict(self).items() if key not in _ELSEWHERE}
        for key in _OPTIONAL:
            if content[key] is None:
                del content[key]
        for key in _ACCURACIES:
            if math.isnan(content[key]):
                content[key] = None
        return content

    def write(self) -> None:
        """Write result.json into the run directory.

        Raises:
            RunError: there is no run directory, or the file cannot be written.
        """
        if self.run is None:
            raise RunError("A result without a run directory has no place to be written to.")
        write_json(RunDir(self.run).result, self.to_json())

    @classmethod
    def read(cls, run: RunDir) -> Result:
        """The result of a finished run.

        Raises:
            RunError: there is no result, or it is damaged.
        """
        content = read_json(run.result)
        try:
            for key in _ACCURACIES:
                content[key] = math.nan if content[key] is None else content[key]
            found = cls(**content, metrics=run.read_metrics(), run=run.path)
            _check_types(found)
        except (KeyError, TypeError, ValueError) as error:
            raise RunError(f"{run.result} is no result of this version: {error}.") from error
        return found


def _check_types(result: Result) -> None:
    """Refuse values that a result cannot have: the file may come from anywhere.

    Raises:
        ValueError: a value is of another type, or one that tables need is missing.
    """
    content = vars(result)
    for name, kind in get_type_hints(Result).items():
        try:
            TypeAdapter(kind).validate_python(content[name], strict=True)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = dotted((name, *first["loc"]))
            raise ValueError(f"{place} is {cut(repr(first['input']))}") from error
    wanted = {"samples": ("train", "val", "test"), "baseline": ("name", "test_accuracy")}
    for name, keys in wanted.items():
        missing = [key for key in keys if content[name] is not None and key not in content[name]]
        if missing:
            raise ValueError(f"{name} has no {missing[0]}")
    if result.baseline is not None and not isinstance(result.baseline["test_accuracy"], float):
        raise ValueError("the accuracy of baseline is no number")


def result_of(
    progress: Progress,
    test: Evaluation,
    splits: Splits,
    *,
    seed: int,
    wall_s: float,
    metrics: list[dict[str, Any]],
    run: Path | None,
    layers: dict[str, str],
) -> Result:
    """The result of a training that is over, and whose best weights were tested."""
    best = progress.known_accuracy
    return Result(
        test_accuracy=test.accuracy,
        val_accuracy=math.nan if best is None else best,
        best_epoch=progress.best_epoch,
        seed=seed,
        wall_s=wall_s,
        train_s=progress.train_s,
        test_ties=test.ties,
        samples={"train": len(splits.train), "val": len(splits.val), "test": len(splits.test)},
        firing=test.firing,
        confusion=test.confusion,
        classes=list(splits.test.classes),
        warnings=list(progress.warnings),
        metrics=metrics,
        run=run,
        test_error=test.error,
        val_error=progress.best_error,
        layers=layers,
    )


def _figure(accuracy: float, error: float | None = None) -> str:
    """An accuracy, or an error where there are no classes."""
    if error is not None:
        return f"{error:.4g}"
    return "-" if math.isnan(accuracy) else f"{100 * accuracy:.2f} %"
