"""A rule at a depth, trained with one seed and probed."""

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

    It starts as ``lfp-snn train`` would, from the same weights. Nothing is kept of one that is cut
    short, since what its steps were like would be lost.

    Args:
        seed_run: where it goes, and the seed.
        arm: the rule at a depth.
        options: how to probe.

    Raises:
        LfpSnnError: as training does.
    """
    config = arm.config({}, seed_run.seed)
    splits = load_classes(config, validated=True)
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
        "val_accuracy": result.val_accuracy,
        "rewards": probed.rewards,
        "probed": probed.probed,
        "layers": probed.layers,
        "cosines": probed.cosines,
    }
    seed_run.write(found)
