"""Training: configuration, calibrated start, the loop, checkpoints, run directories."""

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
