"""Learning rules, one file each, behind one interface.

Every module of this package is imported here, so that a learner is registered by being a file.
"""

from importlib import import_module
from pkgutil import iter_modules

from lfp_snn.learners.base import LEARNERS, Learner, LearnerOptions, StepResult, TrainingBatch

__all__ = ["LEARNERS", "Learner", "LearnerOptions", "StepResult", "TrainingBatch"]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
