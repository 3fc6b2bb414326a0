"""The base class of learners; a learner is one rule that fills the gradients of a network.

The training loop asks a learner for the feedback of a batch, checks, clips and applies it with a
torch optimizer. It knows nothing of how the feedback came about, so that learning rules stand side
by side. A new one is one file in this package: subclass :class:`Learner` with a name, and
``learner: {name: ...}`` in a config finds it.

Whatever the rule, a network is *run* by the same engine and read in the same way when it is
evaluated, so that learners differ in how they learn and in nothing else.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self

from lfp_snn.engine.exchange import Exchange
from lfp_snn.engine.options import EngineOptions
from lfp_snn.errors import ConfigError, NetworkError, NotFiniteError, ShapeError
from lfp_snn.later import later
from lfp_snn.learners.ending import TaskShape
from lfp_snn.options import Choice
from lfp_snn.rewards import Prediction, ties
from lfp_snn.rewards.given import own_steps
from lfp_snn.rewards.readout import read_membranes
from lfp_snn.spikes import Spikes

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

    from lfp_snn import norms
    from lfp_snn.engine import TemporalLFP
else:
    norms = later("lfp_snn.norms")

__all__ = ["LEARNERS", "Learner", "LearnerOptions", "StepResult", "TrainingBatch"]


class TrainingBatch(Protocol):
    """The fields of a batch that a learner reads; :class:`lfp_snn.data.Batch` has them."""

    @property
    def x(self) -> Spikes | Tensor:
        """Inputs ``[T, B, *feature]``, or a constant current ``[B, *feature]`` with ``steps``."""

    @property
    def labels(self) -> Tensor:
        """The true classes, int64 ``[B]``."""

    @property
    def lengths(self) -> Tensor | None:
        """The steps of each sample ``[B]``, or ``None`` if all last T."""

    @property
    def steps(self) -> int | None:
        """The number of steps T of a constant current, ``None`` for spike trains."""

    @property
    def targets(self) -> Tensor | None:
        """The targets: what the output should be or has earned, for rewards that look at it."""


@dataclass(frozen=True)
class StepResult:
    """The result of one step of learning on a batch.

    Attributes:
        classes: the predictions before the step, int64 ``[B]``.
        ties: whether the best score was shared (the lowest class was read), bool ``[B]``.
        reward: the mean over the samples of their summed absolute reward; for a rule that descends
            a loss, the loss.
        firing: the spikes per neuron and step of :attr:`Learner.populations`, by name; these and
            the reward may be tensors, for which nothing has waited.
        membranes: the membranes ``[B, ...]`` after the last time step, by neuron module; what
            became NaN within the batch still is NaN there.
    """

    classes: Tensor
    ties: Tensor
    reward: float | Tensor
    firing: Mapping[str, float | Tensor]
    membranes: Mapping[str, Tensor]


class LearnerOptions(Choice):
    """The options of a learner; each learner has its own subclass, with its own name.

    Attributes:
        backend: the kernels behind the engine, ``auto`` to pick by device and activity.
    """

    backend: str = "auto"

    def engine_options(self) -> EngineOptions:
        """The options by which the engine runs."""
        return EngineOptions(self.backend)

    def settled(self, engine: TemporalLFP, task: TaskShape | None = None) -> Self:
        """The options with all that they leave to the network and its samples decided.

        Args:
            engine: the engine of a learner that was made of these options.
            task: what the samples ask; ``None`` where that is not known.
        """
        return self


class Learner(ABC):
    """A learning rule bound to a network.

    Subclass it as ``class Mine(Learner, name="mine")`` to register it in :data:`LEARNERS`, and
    implement :meth:`from_options` and :meth:`feedback`.

    Args:
        engine: the engine that runs the network, and sends feedback through it for learners that
            ask for that.

    Raises:
        NetworkError: the learner is for neurons only and the network has other units.
    """

    Options: ClassVar[type[LearnerOptions]]
    #: The name by which a config asks for it.
    name: ClassVar[str] = ""
    #: Does the rule need a membrane in every unit that is not linear?
    neurons_only: ClassVar[bool] = False

    #: With the processes that train the same network on the other samples of each batch.
    exchange: Exchange | None = None

    def __init_subclass__(cls, *, name: str | None = None, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if name is None:
            return
        expected = Literal[name]  # type: ignore[valid-type]
        if cls.Options.model_fields["name"].annotation != expected:
            raise TypeError(f"{cls.__name__}.Options.name must be Literal[{name!r}]")
        LEARNERS[name] = cls
        cls.name = name

    def __init__(self, engine: TemporalLFP) -> None:
        self.engine = engine
        self.net = engine.net
        if self.neurons_only and (others := self.engine.without_neurons):
            raise NetworkError(
                f"{type(self).__name__} trains spiking neurons alone, but the network has other "
                f"units: {', '.join(others)}. Put neurons such as snn.Leaky there, or take the "
                "learner lfp or surrogate."
            )

    @classmethod
    @abstractmethod
    def from_options(cls, net: nn.Module, options: Any) -> Learner:
        """Bind the rule that ``options`` (an instance of ``cls.Options``) describes to ``net``."""

    @property
    def device(self) -> torch.device:
        """The device of the network's parameters."""
        return next(self.net.parameters()).device

    def parameters(self) -> Iterable[nn.Parameter]:
        """The parameters that learn."""
        return (p for p in self.net.parameters() if p.requires_grad)

    @abstractmethod
    def feedback(self, batch: TrainingBatch) -> StepResult:
        """Fill ``.grad`` of every parameter with its update direction, summed over the batch.

        An optimizer *descends* ``.grad``: feedback, which asks for growth, enters with a minus.
        """

    def share(self, exchange: Exchange) -> None:
        """Learn together with other processes from now on, by :meth:`shared_feedback`.

        Raises:
            ConfigError: the network normalises with statistics of the batch, and this rule, under
                autograd, sees only its own samples.
        """
        for name in norms.batch_norms(self.net):
            raise ConfigError(
                f"Module {name!r} normalises with the statistics of the batch, which the learner "
                f"{type(self).__name__} cannot gather over several processes: train in one "
                "process, without normalisation, or with the learner lfp."
            )
        self.exchange = exchange

    def shared_feedback(self, batch: TrainingBatch) -> StepResult | None:
        """The feedback of a batch from this process's samples of it, summed over all processes.

        Every process calls this for each batch; ``.grad`` is the same in all of them afterwards.

        Args:
            batch: the samples of this process; there may be none.

        Returns:
            The result of the step for these samples; ``None`` if there are none.

        Raises:
            NotFiniteError: something is not finite, as in :meth:`feedback`; it is raised once the
                others have this process's part of the sums, so that none waits for it.
        """
        assert self.exchange is not None
        result, found = None, None
        try:
            result = self.feedback(batch) if len(batch.labels) else None
        except NotFiniteError as error:
            found = error
        parameters = list(self.parameters())
        for parameter in parameters:
            self.exchange.add(None if result is None else parameter.grad, like=parameter)
        for parameter, total in zip(parameters, self.exchange.collect(), strict=True):
            parameter.grad = total
        if found is not None:
            raise found
        return result

    def predict(self, batch: TrainingBatch) -> Prediction:
        """The classes and ties of a batch, without learning."""
        return ties(self.scores(batch))

    def scores(self, batch: TrainingBatch) -> Tensor:
        """The scores ``[B, C]`` of a batch, of which the highest wins, without learning."""
        return self.scored(self.run(batch), self.engine.membranes, batch.lengths)

    def read(self, spikes: Tensor, membranes: Tensor, lengths: Tensor | None) -> Prediction:
        """The classes and ties of outputs ``[T, B, C]``."""
        return ties(self.scored(spikes, membranes, lengths))

    def scored(self, spikes: Tensor, membranes: Tensor, lengths: Tensor | None) -> Tensor:
        """The scores ``[B, C]`` of outputs ``[T, B, C]``: how often each spiked.

        For a readout, whose neurons never spike, the mean membranes, or what forward makes of them.
        """
        if self.engine.is_readout:
            how = self.engine.reading
            return read_membranes(membranes, spikes, own_steps(spikes, lengths), how)
        return spikes.sum(0)

    @property
    def regresses(self) -> bool:
        """Whether the learner can learn targets that are numbers, where no class is known."""
        return False

    def estimate(self, batch: TrainingBatch) -> Tensor:
        """The outputs as numbers, what is read of membranes ``[B, C]``, without learning."""
        spikes = self.run(batch)
        steps, how = own_steps(spikes, batch.lengths), self.engine.reading
        return read_membranes(self.engine.membranes, spikes, steps, how)

    def counts(self, batch: TrainingBatch) -> Tensor:
        """The spike counts of the outputs, ``[B, C]``."""
        return self.run(batch).sum(0)

    @property
    def populations(self) -> tuple[str, ...]:
        """The names of the units whose firing :meth:`feedback` tells, whatever the batch."""
        return self.engine.populations

    def layer_spikes(self, batch: TrainingBatch) -> dict[str, Tensor]:
        """The spikes ``[T, B, ...]`` of every neuron module, by name."""
        self.run(batch, record=True)
        return dict(self.engine.layer_spikes())

    def run(self, batch: TrainingBatch, record: bool = False) -> Tensor:
        """The output spikes ``[T, B, C]`` of the engine, which keeps what happened if asked to.

        Raises:
            ShapeError: the batch is none, such as inputs alone.
        """
        if not hasattr(batch, "lengths"):
            raise ShapeError(
                f"A learner takes a batch, not a {type(batch).__name__}: lfp_snn.data.Batch(x, "
                "labels), with steps=25, for instance, for inputs that have no time."
            )
        return self.engine.forward(batch.x, steps=batch.steps, lengths=batch.lengths, record=record)

    def after_step(self) -> None:  # noqa: B027 - most rules have nothing to do here
        """Adapt or constrain parameters after an optimizer step, for rules that do so."""

    def state_dict(self) -> dict[str, Tensor]:
        """The state that the learner itself must keep over a restart, beside the network."""
        return {}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take over what :meth:`state_dict` gave."""
        if state:
            raise KeyError(f"{type(self).__name__} keeps no state, but got {sorted(state)}")


#: Learners by the name that a config uses; filled as their files are imported.
LEARNERS: dict[str, type[Learner]] = {}
