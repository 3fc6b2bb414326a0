"""The training of a rule at a depth with one seed, probed."""

from __future__ import annotations

from typing import Any

from lfp_snn.analysis.convergence.probe import Probed
from lfp_snn.analysis.convergence.spec import Convergence
from lfp_snn.analysis.study.seedrun import SeedRun
from lfp_snn.analysis.study.spec import Arm
from lfp_snn.training.assembly import assemble, load_classes, seeded

__all__ = ["train_and_probe"]


def train_and_probe(seed_run: SeedRun, arm: Arm, options: Convergence) -> None:
    """Train in this process, and write what was noted.

    The training starts as ``lfp-snn train`` would, from the same weights. Nothing is kept of a
    training that is cut short, since the record of its steps would be lost.

    Args:
        seed_run: the place where it goes, with the seed.
        arm: the rule at a depth.
        options: how to probe.

    Raises:
        LfpSnnError: the training fails.
    """
    config = arm.config({}, seed_run.seed)
    splits = load_classes(config)
    with seeded(config):
        trainer = assemble(
            config, splits, wrap=lambda each: Probed(each, options.against, options.every)
        )
        result = trainer.train()
    probed = trainer.learner
    assert isinstance(probed, Probed)
    found: dict[str, Any] = {
        "seed": seed_run.seed,
        "test_accuracy": result.test_accuracy,
        "val_accuracy": result.val_accuracy if result.validated else None,
        "rewards": probed.rewards,
        "probed": probed.probed,
        "layers": probed.layers,
        "cosines": probed.cosines,
    }
    seed_run.write(found)
