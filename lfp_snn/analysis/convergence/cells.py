"""One cell of a convergence study: a rule at a depth, trained with one seed and probed."""

from __future__ import annotations

from typing import Any

from lfp_snn.analysis.compare.cells import Cell
from lfp_snn.analysis.compare.plan import Study
from lfp_snn.analysis.convergence.plan import Convergence
from lfp_snn.analysis.convergence.probe import Probed
from lfp_snn.training.assembly import assemble, load_classes, seeded

__all__ = ["run_cell"]


def run_cell(cell: Cell, study: Study, options: Convergence) -> None:
    """Train a cell in this process, and write what was noted.

    It starts as ``lfp-snn train`` would, from the same weights. Nothing is kept of one that is cut
    short, since what its steps were like would be lost.

    Raises:
        LfpSnnError: as training does.
    """
    config = study.config({}, cell.seed)
    splits = load_classes(config, validated=True)
    with seeded(config):
        trainer = assemble(
            config, splits, wrap=lambda each: Probed(each, options.against, options.every)
        )
        result = trainer.train()
    probed = trainer.learner
    assert isinstance(probed, Probed)
    found: dict[str, Any] = {
        "seed": cell.seed,
        "test_accuracy": result.test_accuracy,
        "val_accuracy": result.val_accuracy,
        "rewards": probed.rewards,
        "probed": probed.probed,
        "layers": probed.layers,
        "cosines": probed.cosines,
    }
    cell.write(found)
