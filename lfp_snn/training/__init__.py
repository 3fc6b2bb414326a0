"""Training: configuration, calibrated start, the loop, checkpoints, run directories."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lfp_snn.later import lazily

if TYPE_CHECKING:
    from lfp_snn.training.assembly import assemble, seeded
    from lfp_snn.training.calibration import calibrate
    from lfp_snn.training.callbacks import (
        BestCheckpoints,
        CSVLogger,
        EarlyStopping,
        TensorBoardLogger,
        WandbLogger,
    )
    from lfp_snn.training.config import Config, Settings
    from lfp_snn.training.configfile import load_config
    from lfp_snn.training.evaluation import Evaluation, evaluate
    from lfp_snn.training.interrupt import Interrupted
    from lfp_snn.training.observer import Observer, StepReport
    from lfp_snn.training.result import Result
    from lfp_snn.training.run import fit, train
    from lfp_snn.training.trained import TrainedRun

__all__ = [
    "BestCheckpoints",
    "CSVLogger",
    "Config",
    "EarlyStopping",
    "Evaluation",
    "Interrupted",
    "Observer",
    "Result",
    "Settings",
    "StepReport",
    "TensorBoardLogger",
    "TrainedRun",
    "WandbLogger",
    "assemble",
    "calibrate",
    "evaluate",
    "fit",
    "load_config",
    "seeded",
    "train",
]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "BestCheckpoints": "lfp_snn.training.callbacks",
        "CSVLogger": "lfp_snn.training.callbacks",
        "Config": "lfp_snn.training.config",
        "EarlyStopping": "lfp_snn.training.callbacks",
        "Evaluation": "lfp_snn.training.evaluation",
        "Interrupted": "lfp_snn.training.interrupt",
        "Observer": "lfp_snn.training.observer",
        "Result": "lfp_snn.training.result",
        "Settings": "lfp_snn.training.config",
        "StepReport": "lfp_snn.training.observer",
        "TensorBoardLogger": "lfp_snn.training.callbacks",
        "TrainedRun": "lfp_snn.training.trained",
        "WandbLogger": "lfp_snn.training.callbacks",
        "assemble": "lfp_snn.training.assembly",
        "calibrate": "lfp_snn.training.calibration",
        "evaluate": "lfp_snn.training.evaluation",
        "fit": "lfp_snn.training.run",
        "load_config": "lfp_snn.training.configfile",
        "seeded": "lfp_snn.training.assembly",
        "train": "lfp_snn.training.run",
    },
)
