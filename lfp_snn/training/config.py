"""The configuration of an experiment: its sections, their defaults and ranges.

Two layers. :class:`Settings` is what training needs, whatever the network and the data;
:class:`Config` adds the names of both, so that a file alone describes an experiment. Reading files
and reporting mistakes is :mod:`lfp_snn.training.configfile`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from lfp_snn.data.registry import DATASETS
from lfp_snn.errors import ConfigError
from lfp_snn.later import later, torch
from lfp_snn.learners import LEARNERS, LearnerOptions
from lfp_snn.models import MODELS, Model
from lfp_snn.options import AS_MAPPING, NAME, Choice, Section, choice_of, choose
from lfp_snn.training.optim import (
    OPTIMIZERS,
    SCHEDULES,
    Adam,
    OneCycleSchedule,
    OptimizerOptions,
    OwnOptimizer,
    OwnSchedule,
    ScheduleOptions,
)

if TYPE_CHECKING:
    from lfp_snn.data import Loader, SampleSet
    from lfp_snn.data import loader as loading
else:
    loading = later("lfp_snn.data.loader")

__all__ = ["Config", "Fitted", "Settings", "Transfer", "options_by_choice", "pick_device"]


@cache
def _datasets() -> dict[str, type[Choice]]:
    return {name: choice_of(name, dataset.options) for name, dataset in DATASETS.items()}


def _optimizers() -> Mapping[str, type[Choice]]:
    return {**OPTIMIZERS, "own": OwnOptimizer}


def _schedules() -> Mapping[str, type[Choice]]:
    return {**SCHEDULES, "own": OwnSchedule}


def _learners() -> Mapping[str, type[Choice]]:
    return {name: learner.Options for name, learner in LEARNERS.items()}


_Learner = Annotated[LearnerOptions, choose("learner", _learners, "lfp"), AS_MAPPING]
# A run that fit() made with an optimizer or a scheduler of a user's own says so by "own".
_Optimizer = Annotated[OptimizerOptions, choose("optimizer", _optimizers, "adam"), AS_MAPPING]
_Schedule = Annotated[ScheduleOptions, choose("schedule", _schedules, "one_cycle"), AS_MAPPING]


class Transfer(Section):
    """The source of the initial weights, and what becomes of them.

    Attributes:
        source: the weights: the path of a run directory or a shipped network (``hub:NAME``), whose
            best weights are taken; of a ``.safetensors`` file (an exported network, or the
            ``state_dict`` of any torch network of the same layers); or of a ``.nir`` file.
        fresh: the patterns of parameters that stay as they were built, such as a head for other
            classes.
        freeze: the patterns of parameters that do not learn.
        balance: the quantile of the activations of a conventional ReLU network that becomes a rate
            of one spike a step, 0.999 for instance; see
            :func:`lfp_snn.training.conversion.balance`. ``None``: weights are taken as they are.
    """

    source: str = Field(min_length=1)
    fresh: list[str] = Field(default_factory=list)
    freeze: list[str] = Field(default_factory=list)
    balance: float | None = Field(default=None, gt=0, le=1)


class Settings(Section):
    """The settings of a training, whatever the network and the data.

    Attributes:
        seed: the seed of weights, order of samples and dropout.
        device: ``cpu``, ``cuda``, or ``auto`` for CUDA where there is one.
        calibrate: the firing rate (spikes per neuron and step) to which each layer's synapses are
            scaled on the first batch, or ``None`` to leave the initial weights as they are.
        transfer: the weights to start from, and what of them learns on, such as ``{source:
            runs/RUN, fresh: ["3.*"], freeze: ["1.*"]}``; ``None``: start anew.
        learner: the learning rule, by name, and its options; ``lfp-snn ls learners`` lists them.
        optimizer: the torch optimizer, by name, and its options: adam, adamw, lion, muon or sgd.
        schedule: how the learning rate goes, by name, and its options: one_cycle, constant,
            cosine or step.
        epochs: the largest number of passes over the training set.
        batch_size: the number of samples in a step, over all processes.
        sampling: the order of samples: ``shuffle``, every sample once in an epoch, or ``balanced``,
            every class equally often.
        workers: the number of threads that put batches together ahead of time, 0 for none. The
            result is the same.
        clip: the largest global norm of the feedback; longer feedback is scaled down. ``None``:
            never.
        ema: the decay of an exponential moving average of the weights, in (0, 1): the share of the
            average that stays at each step. The averaged weights are those that are validated,
            tested, kept and exported. ``None``: no average.
        patience: the number of epochs without a better validation accuracy after which training
            stops. ``None``: never.
        checkpoint_every: the steps between two checkpoints within an epoch (one more ends each
            epoch).
        keep_checkpoints: the number of latest checkpoints that are kept, should one get damaged.
            The one with the best weights is kept beside them.
        on_non_finite: what NaN or infinity in a reward, a membrane or feedback does: ``stop``, or
            ``skip`` the step and go on, which ends too if ten in a row are skipped.
    """

    seed: int = Field(default=0, ge=0, lt=2**63)
    device: Literal["auto", "cpu", "cuda"] = "auto"
    calibrate: float | None = Field(default=0.05, gt=0, lt=0.5)
    transfer: Transfer | None = None
    learner: _Learner = Field(default_factory=lambda: LEARNERS["lfp"].Options(name="lfp"))
    optimizer: _Optimizer = Adam()
    schedule: _Schedule = OneCycleSchedule()
    epochs: int = Field(default=20, ge=1)
    batch_size: int = Field(default=50, ge=1)
    sampling: Literal["shuffle", "balanced"] = "shuffle"
    workers: int = Field(default=0, ge=0, le=256)
    clip: float | None = Field(default=3.0, gt=0)
    ema: float | None = Field(default=None, gt=0, lt=1)
    patience: int | None = Field(default=None, ge=1)
    checkpoint_every: int = Field(default=100, ge=1)
    keep_checkpoints: int = Field(default=2, ge=1)
    on_non_finite: Literal["stop", "skip"] = "stop"

    @property
    def on_device(self) -> bool:
        """Is the data asked to lie where the network does?"""
        return getattr(getattr(self, "data", None), "storage", None) == "device"

    def loader(self, samples: SampleSet, shard: tuple[int, int] = (0, 1)) -> Loader:
        """A loader of the batches to train on, or of one process's share of each."""
        return loading.Loader(
            samples, self.batch_size, self.sampling, self.seed, self.workers, shard
        )


class Fitted(Settings):
    """The settings of a training by :func:`~lfp_snn.training.run.fit`, without a config.

    Attributes:
        data: the dataset by name and options, if it was loaded by its name.
        steps: T of inputs without time and of recordings, as the caller gave it.
        layout: the layout of the axis of time, as the caller gave it.
    """

    data: Annotated[Choice, choose("dataset", _datasets), AS_MAPPING] | None = None
    steps: int | None = Field(default=None, ge=1)
    layout: Literal["TB", "BT", "B"] | None = None


class Config(Settings):
    """A whole experiment.

    Attributes:
        name: the name of the experiment; run directories are named after it.
        data: the dataset, by name, and its options; ``lfp-snn ls datasets`` lists them.
        model: the architecture, by name, and its options; ``lfp-snn ls models`` lists them.
        baseline: whether to compare with logistic regression on the events summed over time.
    """

    name: str = Field(pattern=NAME)
    data: Annotated[Choice, choose("dataset", _datasets), AS_MAPPING]
    model: Annotated[Model, choose("model", lambda: MODELS), AS_MAPPING]
    baseline: bool = False


def options_by_choice() -> dict[str, dict[str, list[str]]]:
    """The options of data and of model, which a config has to choose, by name."""
    data = {name: ["name", *dataset.options.model_fields] for name, dataset in DATASETS.items()}
    return {"data": data, "model": {name: list(each.model_fields) for name, each in MODELS.items()}}


def pick_device(name: str) -> torch.device:
    """The device of a configuration; ``auto`` is CUDA where there is one.

    Raises:
        ConfigError: CUDA is asked for but not available.
    """
    available = torch.cuda.is_available()
    if name == "auto":
        name = "cuda" if available else "cpu"
    if name == "cuda" and not available:
        raise ConfigError("device is cuda, but torch finds no CUDA device; use device=cpu or auto.")
    return torch.device(name)
