"""One cell of a comparison: a learner, trained and tested with one seed, and measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lfp_snn.analysis.compare import measures
from lfp_snn.analysis.compare.plan import Study
from lfp_snn.data import Loader
from lfp_snn.learners import Learner
from lfp_snn.training import Config, Observer, TrainedRun, train
from lfp_snn.training.assembly import load_classes
from lfp_snn.training.files import read_json, write_json
from lfp_snn.training.rundir import RunDir

__all__ = ["Cell", "run_cell"]

#: Test samples on which spikes and synaptic operations are counted.
SAMPLES_COUNTED = 100


@dataclass(frozen=True)
class Cell:
    """Where a cell lies.

    Args:
        folder: of the comparison.
        name: of the learner in the comparison.
        seed: of the run.
    """

    folder: Path
    name: str
    seed: int

    @property
    def path(self) -> Path:
        """The folder of the cell."""
        return self.folder / "cells" / self.name / f"seed-{self.seed}"

    @property
    def run(self) -> RunDir:
        """Its run, as ``lfp-snn train`` would have made it."""
        return RunDir(self.path / "run")

    @property
    def finished(self) -> bool:
        """Whether everything was measured and written."""
        return self._figures.is_file()

    def figures(self) -> dict[str, Any]:
        """What was measured.

        Raises:
            RunError: it has not finished, or its file is damaged.
        """
        figures: dict[str, Any] = read_json(self._figures)
        return figures

    def write(self, figures: Mapping[str, Any]) -> None:
        """Keep what was measured; with that the cell is finished."""
        write_json(self._figures, dict(figures))

    @property
    def _figures(self) -> Path:
        return self.path / "cell.json"


class _Steps(Observer):
    """Notes whether anything was trained in this process."""

    taken = False

    def stepped(self, report: object) -> None:
        self.taken = True


def run_cell(cell: Cell, study: Study, values: Mapping[str, Any]) -> None:
    """Train, test and measure a cell in this process; a run that was cut short goes on.

    Raises:
        LfpSnnError: as training does.
    """
    config = study.config(values, cell.seed)
    splits = load_classes(config, validated=True)
    steps = _Steps()
    before = measures.resident_bytes()
    result = train(
        config, cell.run.path, splits=splits, resume=cell.run.path.exists(), observers=[steps]
    )
    # Of a run that was finished before, this process has seen nothing.
    peak = measures.peak_bytes() - before if before and steps.taken else None
    learner = TrainedRun.open(cell.run.path).learner
    counted = splits.test.batch(range(min(SAMPLES_COUNTED, len(splits.test))))
    figures = {
        **measures.work(learner, counted.to(learner.device)),
        "weights": measures.sparsity(p for p in learner.parameters() if p.dim() > 1),
        **_of_a_step(learner, config, splits.train),
    }
    cell.write(
        {
            "learner": cell.name,
            "seed": cell.seed,
            "test_accuracy": result.test_accuracy,
            "val_accuracy": result.val_accuracy,
            "test_ties": result.test_ties,
            "best_epoch": result.best_epoch,
            "train_s": result.train_s,
            "peak_bytes": peak,
            "epochs_to_90": measures.epochs_to(result.metrics),
            "initial_weights": read_json(cell.run.info)["initial_weights"],
            "samples": result.samples,
            **figures,
        }
    )


def _of_a_step(learner: Learner, config: Config, samples: Any) -> dict[str, Any]:
    """Sparsity of an update and time of a step, on the first training batch."""
    batch = next(Loader(samples, config.batch_size, "shuffle", config.seed).epoch(1))
    batch = batch.to(learner.device)
    learner.net.train()
    learner.feedback(batch)
    weights = [p for p in learner.parameters() if p.dim() > 1]
    updates = [torch.zeros_like(p) if p.grad is None else p.grad for p in weights]
    optimizer = config.optimizer.build(list(learner.parameters()))
    return {
        "updates": measures.sparsity(updates),
        "step_s": measures.step_seconds(learner, optimizer, batch),
    }
