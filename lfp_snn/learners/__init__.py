"""Learning rules behind one interface, one file each.

Every module of this package is imported here, so that a file is all that registers a learner.
"""

from importlib import import_module
from pkgutil import iter_modules

from lfp_snn.learners.base import LEARNERS, Learner, LearnerOptions, StepResult, TrainingBatch

__all__ = ["LEARNERS", "Learner", "LearnerOptions", "StepResult", "TrainingBatch"]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
