"""The training of a learner of a comparison with one seed: trained, tested and measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

from lfp_snn.analysis import measures
from lfp_snn.analysis.study.seedrun import SeedRun
from lfp_snn.analysis.study.spec import Arm
from lfp_snn.data import Loader
from lfp_snn.learners import Learner
from lfp_snn.training import Config, Observer, TrainedRun, train
from lfp_snn.training.assembly import load_classes
from lfp_snn.training.files import read_json

__all__ = ["train_and_measure"]

#: Test samples on which spikes and synaptic operations are counted.
SAMPLES_COUNTED = 100


class _Steps(Observer):
    """An observer that notes whether anything was trained in this process."""

    taken = False

    def stepped(self, report: object) -> None:
        self.taken = True


def train_and_measure(seed_run: SeedRun, arm: Arm, values: Mapping[str, Any]) -> None:
    """Train, test and measure in this process; a run that was cut short goes on.

    Args:
        seed_run: the place where everything goes, with the seed.
        arm: the learner with its settings.
        values: the values that the search found.

    Raises:
        LfpSnnError: the training fails.
    """
    config = arm.config(values, seed_run.seed)
    splits = load_classes(config)
    steps = _Steps()
    before = measures.resident_bytes()
    result = train(
        config,
        seed_run.run.path,
        splits=splits,
        resume=seed_run.run.path.exists(),
        observers=[steps],
    )
    # Of a run that was finished before, this process has seen nothing.
    peak = max(measures.peak_bytes() - before, 0) if before and steps.taken else None
    learner = TrainedRun.open(seed_run.run.path, net=config.model.maker()).learner
    counted = splits.test.batch(range(min(SAMPLES_COUNTED, len(splits.test))))
    figures = {
        **measures.work(learner, counted.to(learner.device)),
        "weights": measures.sparsity(p for p in learner.parameters() if p.dim() > 1),
        **_of_a_step(learner, config, splits.train),
    }
    seed_run.write(
        {
            "learner": seed_run.arm,
            "seed": seed_run.seed,
            "test_accuracy": result.test_accuracy,
            "val_accuracy": result.val_accuracy if result.validated else None,
            "test_ties": result.test_ties,
            "best_epoch": result.best_epoch,
            "train_s": result.train_s,
            "peak_bytes": peak,
            "epochs_to_90": measures.epochs_to(result.metrics) if result.validated else None,
            "initial_weights": read_json(seed_run.run.info)["initial_weights"],
            "samples": result.samples,
            **figures,
        }
    )


def _of_a_step(learner: Learner, config: Config, samples: Any) -> dict[str, Any]:
    """The sparsity of an update and the time of a step, on the first training batch."""
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
