"""The steps of a training: feedback, check, clip, optimizer; each waited for, or on a device."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path

from lfp_snn.data import Batch, Splits
from lfp_snn.data.resident import held_on
from lfp_snn.errors import ConfigError, NotFiniteError, RunError
from lfp_snn.learners import Learner
from lfp_snn.learners.lfp import LFP
from lfp_snn.training.averaging import Average
from lfp_snn.training.config import Settings
from lfp_snn.training.device_step import READ_EVERY, DeviceStep, why_not
from lfp_snn.training.distributed import Buckets, World
from lfp_snn.training.guard import IN_A_ROW, Guard, told
from lfp_snn.training.progress import Progress, tally
from lfp_snn.training.steering import Steering, of_settings
from lfp_snn.training.uploads import Uploads
from lfp_snn.wording import setting

__all__ = ["Stepping"]


class Stepping(ABC):
    """Makes steps on batches, and counts them; arguments as of :class:`Trainer`."""

    def __init__(
        self,
        learner: Learner,
        splits: Splits,
        settings: Settings,
        world: World,
        steering: Steering | None,
    ) -> None:
        if splits.train.is_regression and not learner.regresses:
            raise ConfigError(
                "The samples have targets and no classes (numbers that are no integers), which "
                "this learner or its reward cannot learn; take "
                f"{setting('learner.name', 'lfp')} with the reward membrane_target where the "
                "network ends in neurons, surrogate with the loss mse_target_loss where it ends in "
                "these or in values, or give integers if they are classes, labels.long() of "
                "numbers and labels.argmax(1) of one-hot rows."
            )
        self.learner = learner
        self.splits = splits = held_on(splits, learner.device, asked=settings.on_device)
        self.uploads = Uploads(learner.device)
        self.settings = settings
        self.world = world
        self.loader = settings.loader(splits.train, world.shard)
        self.parameters = list(learner.parameters())
        if steering is None:
            steering = Steering(settings.optimizer.build(self.parameters), None)
        self.optimizer, self._own_schedule = steering.optimizer, steering.schedule
        self.schedule = self._own_schedule or of_settings(
            settings, self.optimizer, len(self.loader)
        )
        self.average = Average(learner.net, settings.ema)
        self.progress = Progress(settings.epochs)
        self.guard = Guard(learner, settings.on_non_finite == "skip", world)
        self._moved = False  # has the optimizer made a step, and with it its state?
        if world.size > 1:
            learner.share(Buckets(world))
        self._firing: dict[str, float] = {}  # in the last steps
        self.device_step, self._waits_because = self._find_device_step()

    @abstractmethod
    def _say(self, message: str) -> None:
        """Warn, once of each thing."""

    @property
    @abstractmethod
    def _last(self) -> Path | None:
        """The last checkpoint, if one is kept."""

    def _find_device_step(self) -> tuple[DeviceStep | None, str | None]:
        """What makes steps that the host does not wait for, or why nothing does."""
        learner, settings = self.learner, self.settings
        if not DeviceStep.serves(learner.device):
            return None, None
        reason = why_not(learner, self.optimizer, self.world)
        if reason is not None:
            return None, reason
        assert isinstance(learner, LFP)
        whole = len(self.splits.train) % settings.batch_size == 0
        step = DeviceStep(
            learner,
            self.optimizer,
            settings.clip,
            size=settings.batch_size,
            alike=not whole,
            halt=settings.on_non_finite == "stop",
            tell=self._say,
        )
        return step, None

    def _step(self, batch: Batch) -> None:
        """One step: feedback, check, clip, optimizer; nothing is learnt of what is not finite."""
        progress, totals = self.progress, self.progress.totals
        self.learner.net.train()
        self.world.seed(self.settings.seed, progress.step)
        totals.lr = float(self.optimizer.param_groups[0]["lr"])
        if self.device_step is not None and self._moved:
            self._step_on_device(self.device_step, batch)
            return
        try:
            result = self.guard.feedback(batch)
            self._firing = (
                {}
                if result is None
                else {name: float(rate) for name, rate in result.firing.items()}
            )
            norm = self.guard.clip(self.parameters, self.settings.clip)
        except NotFiniteError as error:
            self._pass_over(error)
            self.schedule.stepped()
        else:
            self.optimizer.step()
            self.schedule.stepped()
            self.learner.after_step()
            limit = self.settings.clip
            sums = self.world.sum(tally(result, batch.labels, self.learner.populations))
            totals.add(sums, norm, limit is not None and norm > limit)
            progress.skipped_in_a_row = 0
            self._moved = True
        self.average.follow()  # a step that was passed over counts: a device does not tell of it
        progress.batch += 1
        progress.step += 1

    def _step_on_device(self, step: DeviceStep, batch: Batch) -> None:
        """One step that nothing waits for; what it came to is read some steps later."""
        progress = self.progress
        step(batch)
        self.schedule.stepped()
        self.average.follow()
        progress.batch += 1
        progress.step += 1
        if progress.batch % READ_EVERY == 0 or progress.batch == len(self.loader):
            self._read()

    def _read(self) -> None:
        """Count the steps on the device that were not counted yet.

        Raises:
            RunError: as :meth:`_refuse`.
        """
        if self.device_step is None:
            return
        progress, told = self.progress, self.device_step.read()
        progress.totals.add_steps(told.sums)
        progress.skipped_in_a_row = told.row
        self._firing = told.firing or self._firing
        if told.first:
            error = NotFiniteError(told.what)
            ends = progress.batch == len(self.loader)
            self._refuse(error, progress.step - told.steps + told.first, told.longest, ends)

    def _pass_over(self, error: NotFiniteError) -> None:
        """Undo a step that was not finite, if the settings say so.

        Raises:
            RunError: as :meth:`_refuse`.
        """
        progress = self.progress
        progress.skipped_in_a_row += 1
        progress.totals.skipped += 1
        ends = progress.batch + 1 == len(self.loader)
        if self.settings.on_non_finite == "skip":
            self.guard.undo()
        self._refuse(error, progress.step + 1, progress.skipped_in_a_row, ends)
        self.optimizer.step()  # without gradients it moves nothing, and the schedule asks for it

    def _refuse(self, error: NotFiniteError, step: int, in_a_row: int, ends: bool) -> None:
        """Tell of a step that was not finite.

        Args:
            error: the error that names what was not finite.
            step: the number of the step.
            in_a_row: the number of steps in a row that were not.
            ends: whether the epoch ends here.

        Raises:
            RunError: the settings say to stop, or too many steps in a row were not finite.
        """
        what = self._not_finite(error, self._at(step), passes=True)
        if self.settings.on_non_finite == "stop":
            raise RunError(what) from error
        if in_a_row >= IN_A_ROW or (ends and not self.progress.totals.batches):
            raise RunError(f"{in_a_row} steps in a row were passed over: {what}")
        said = str(error).rstrip(".")
        self._say(f"{said}; such steps are passed over, and metrics.jsonl counts them.")

    def _at(self, step: int) -> str:
        return f"epoch {self.progress.epoch + 1}, step {step}"

    def _not_finite(self, error: NotFiniteError, where: str, *, passes: bool = False) -> str:
        """The message about what is not finite; a step of training could be passed over."""
        cures = [f"lower {setting('optimizer.lr')}"]
        if isinstance(self.learner, LFP):
            cures.append(f"raise {setting('learner.rule.eps')}")
        if passes and self.settings.on_non_finite == "stop":
            cures.append(f"pass over single steps with {setting('on_non_finite', 'skip')}")
        return told(error, where, cures, self._last)
