"""One cell of a convergence study: a rule at a depth, trained with one seed and probed."""

from __future__ import annotations

import warnings
from typing import Any

import torch

from lfp_snn.analysis.compare.cells import Cell
from lfp_snn.analysis.compare.plan import Study
from lfp_snn.analysis.convergence.plan import Convergence
from lfp_snn.analysis.convergence.probe import Probed
from lfp_snn.engine import TemporalLFP
from lfp_snn.learners import LEARNERS
from lfp_snn.training import calibrate
from lfp_snn.training.config import pick_device
from lfp_snn.training.loop import Trainer
from lfp_snn.training.run import load_splits

__all__ = ["run_cell"]


def run_cell(cell: Cell, study: Study, options: Convergence) -> None:
    """Train a cell in this process, and write what was noted.

    It starts as ``lfp-snn train`` would, from the same weights. Nothing is kept of one that is cut
    short, since what its steps were like would be lost.

    Raises:
        LfpSnnError: as training does.
    """
    config = study.config({}, cell.seed)
    splits, device = load_splits(config), pick_device(config.device)
    torch.manual_seed(config.seed)
    net = config.model.build(splits.train.feature_shape, len(splits.train.classes)).to(device)
    learner = LEARNERS[config.learner.name].from_options(net, config.learner)
    if config.calibrate is not None:
        batch = next(config.loader(splits.train).epoch(1)).to(device)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # a rate was missed, and is shown
            calibrate(TemporalLFP(net), batch, config.calibrate)
    probed = Probed(learner, options.against, options.every)
    result = Trainer(probed, splits, config).train()
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
