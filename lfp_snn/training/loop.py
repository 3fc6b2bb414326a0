"""The training loop: feedback, check, clip, step; validate, save; test once at the end.

The loop depends on the configuration and the last checkpoint alone, so that a run that was killed
at any moment ends with the same weights as an uninterrupted one.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor

from lfp_snn.data import Splits
from lfp_snn.errors import NotFiniteError, RunError
from lfp_snn.learners import Learner
from lfp_snn.training.checkpoint import Snapshot, copy_tensors, save_checkpoint
from lfp_snn.training.config import Settings
from lfp_snn.training.distributed import ALONE, World
from lfp_snn.training.evaluation import Evaluation, evaluate
from lfp_snn.training.interrupt import Interrupted, Pending, deferred_signals
from lfp_snn.training.observer import Observer, SampleSpikes, StepReport
from lfp_snn.training.progress import Totals
from lfp_snn.training.result import Result, result_of
from lfp_snn.training.resume import goes_on, schedule_anew
from lfp_snn.training.rundir import RunDir
from lfp_snn.training.steering import Steering
from lfp_snn.training.stepping import Stepping
from lfp_snn.training.watching import (
    feedback_norms,
    firing_warnings,
    hushing_reward,
    lagging_statistics,
    look_at_first,
    shifts_at_zero,
    unused_outputs,
)

__all__ = ["Trainer"]


class Trainer(Stepping):
    """The training loop for the network of a learner.

    Args:
        learner: the learning rule and, with it, the network.
        splits: the data, in three parts.
        settings: how to train.
        observers: the observers that are told what happens.
        warnings: the warnings before training, for instance of calibration.
        earlier_s: the seconds that went by before, for data and calibration; they count as wall
            time.
        world: the processes that train together. Each has a trainer, and shares of every batch.
        steering: a user's own optimizer and scheduler; by default the ones of the settings.
    """

    def __init__(
        self,
        learner: Learner,
        splits: Splits,
        settings: Settings,
        observers: Sequence[Observer] = (),
        warnings: Sequence[str] = (),
        earlier_s: float = 0.0,
        world: World = ALONE,
        steering: Steering | None = None,
    ) -> None:
        super().__init__(learner, splits, settings, world, steering)
        self.observers = tuple(observers)
        self.run: RunDir | None = None  # of the first process alone: no other writes
        self.progress.warnings.extend(warnings)
        self.metrics: list[dict[str, Any]] = []
        self.best: dict[str, Tensor] = {}
        self.snapshot = Snapshot(learner, self.optimizer, self.schedule, self.average)
        self._stop_asked = False  # by an observer
        self._saved: int | None = None  # step of the last checkpoint, if that is a good one
        self.earlier_s = earlier_s
        self._started = time.perf_counter()

    def begin(self, run: RunDir | None) -> None:
        """Keep everything in a run from now on, beginning with the start itself."""
        self.run = run if self.world.first else None
        if self.run is not None:
            self.run.cut_metrics(0)
        self.save()

    def restore(self, run: RunDir, epochs: int) -> None:
        """Go back to the last checkpoint of a run that is not damaged, to go on from there.

        Args:
            run: the run.
            epochs: the number of epochs of the learning rate's schedule, if the checkpoint does not
                say; if the settings have another number now, the schedule goes on as if it had been
                that number from the beginning.

        Raises:
            RunError: all checkpoints are damaged, or the last is of another network.
        """
        self.run = run if self.world.first else None
        paths = self.world.on_first(run.checkpoints)
        path, self.progress, self.best, damaged = self.snapshot.load_latest(paths, self.world)
        anew = (self.progress.epochs or epochs) != self.settings.epochs and not self._own_schedule
        self.progress.epochs = self.settings.epochs
        if anew:
            self.schedule = schedule_anew(
                self.settings, self.optimizer, len(self.loader), self.progress.step
            )
            self.snapshot.schedule = self.schedule
        if self.device_step is not None:
            self.device_step.go_on(self.progress.skipped_in_a_row)
        self._saved = self.progress.step if path == run.last else None
        self.earlier_s += self.progress.wall_s
        self.metrics = self.world.on_first(lambda: run.cut_metrics(self.progress.epoch))
        self._save_best()
        for message in damaged:
            self._say(f"{message} Training goes on from the one before, {path}.")
        if anew:
            self.save()

    def save(self) -> None:
        """Write the checkpoint to resume from, if there is a run directory.

        Raises:
            RunError: the checkpoint cannot be written, or weights are not finite; the last one is
                intact.
        """
        self._read()
        run, step, keep = self.run, self.progress.step, self.settings.keep_checkpoints - 1
        if run is None:
            return
        try:
            self.guard.check_weights()
        except NotFiniteError as error:
            raise RunError(self._not_finite(error, self._at(step))) from error
        self.progress.wall_s = self._wall_s()
        if keep and self._saved is not None and self._saved != step:
            run.keep_last(self._saved)
        self.snapshot.save(run.last, self.progress, self.best)
        self._saved = step
        run.drop_earlier(step, keep)

    def _save_best(self) -> None:
        if self.run is not None and self.best:
            best = {"epoch": self.progress.best_epoch, "accuracy": self.progress.known_accuracy}
            save_checkpoint(self.run.best, self.best, best)

    def train(self) -> Result:
        """Train to the end, or until patience is out; then test the best weights.

        The network has the best weights afterwards.

        Raises:
            RunError: something is not finite, or cannot be written.
            Interrupted: a signal asked to stop; everything is saved.
        """
        for observer in self.observers:
            observer.attached(self)
            observer.started(self._report())
        if self._waits_because is not None:
            self._say(f"Every step waits for the device: {self._waits_because}.")
        if not len(self.splits.val):
            self._say(
                "Nothing validates: the weights of the last epoch are tested, and patience stops "
                "nothing."
            )
        if not len(self.splits.test):
            self._say("Nothing tests: the test accuracy is not known.")
        for message in (
            *unused_outputs(self.splits),
            *hushing_reward(self.learner, self.splits.train),
            *shifts_at_zero(self.learner),
        ):
            self._say(message)
        with deferred_signals(self._stopping) as pending:
            # An observer, which may ask to stop, is in the first process alone.
            while self.world.agree(1 if self._finished() else None) is None:
                self._epoch(pending)
        for observer in self.observers:
            observer.testing()
        return self._test()

    def _finished(self) -> bool:
        progress, patience = self.progress, self.settings.patience
        if self._stop_asked and progress.epoch:
            return True
        if patience is not None and progress.stale >= patience:
            return True
        return progress.epoch >= self.settings.epochs

    def _epoch(self, pending: Pending) -> None:
        """Train the rest of the epoch under way."""
        progress = self.progress
        start = time.perf_counter() - progress.totals.seconds
        for batch in self.uploads(self.loader.epoch(progress.epoch + 1, start=progress.batch)):
            self._step(batch)
            progress.totals.seconds = time.perf_counter() - start
            for observer in self.observers:
                observer.stepped(self._report())
            if (signum := self.world.agree(pending.signum)) is not None:
                self._stop(signum)
            ends = progress.batch == len(self.loader)
            if progress.batch % self.settings.checkpoint_every == 0 and not ends:
                self.save()
        self._end_epoch(start)
        if (signum := self.world.agree(pending.signum)) is not None:
            self._stop(signum)

    def _end_epoch(self, start: float) -> None:
        """End an epoch: validate, note, and save."""
        progress = self.progress
        # Machines that round differently drift apart; here all go on from the same weights.
        self.world.spread([*self.learner.net.state_dict().values(), *self.average.tensors()])
        with self.average.in_place():
            validation = self._validate()
        totals, progress.totals = progress.totals, Totals()
        seconds = time.perf_counter() - start
        progress.epoch, progress.batch = progress.epoch + 1, 0
        progress.train_s += seconds
        metrics = {
            "epoch": progress.epoch,
            "step": progress.step,
            "lr": totals.lr,
            **totals.means(),
            "val_accuracy": None if validation is None else _known(validation.accuracy),
            "val_ties": None if validation is None else validation.ties,
            "epoch_s": seconds,
            "wall_s": self._wall_s(),
        }
        if self.splits.train.is_regression:
            metrics |= {"train_accuracy": None, "train_ties": None}
            metrics["val_error"] = None if validation is None else validation.error
        better = progress.judge(validation)
        self.schedule.epoch_ended(metrics["val_accuracy"])
        if better:
            self.best = self.weights()
        begun = {
            "calibrated": self.settings.calibrate is not None,
            "rewarded": getattr(self.learner, "reward", None) is not None,
        }
        for message in firing_warnings(metrics["firing"], **begun):
            self._say(message)
        self.metrics.append(metrics)
        # The metrics first: resuming drops lines beyond the checkpoint, but cannot make them up.
        if self.run is not None:
            self.run.append_metrics(metrics)
        self.save()
        if better:
            self._save_best()
        for observer in self.observers:
            observer.epoch_ended(metrics)

    def _validate(self) -> Evaluation | None:
        """Evaluate the network on the validation part, if there is one."""
        if not len(self.splits.val):
            return None
        with self._finite(f"the validation of epoch {self.progress.epoch + 1}"):
            return evaluate(self.learner, self.splits.val, self.settings.batch_size, self.world)

    @contextmanager
    def _finite(self, where: str) -> Iterator[None]:
        """Tell of what is not finite in an evaluation as it is told of a step.

        Raises:
            RunError: something is not finite.
        """
        try:
            yield
        except NotFiniteError as error:
            raise RunError(self._not_finite(error, where)) from error

    def _say(self, message: str) -> None:
        """Give a warning, once for each message."""
        if message not in self.progress.warnings:
            self.progress.warnings.append(message)
            for observer in self.observers:
                observer.warned(message)

    def _stopping(self, signum: int) -> None:
        for observer in self.observers:
            observer.stopping(signum)

    def _stop(self, signum: int) -> None:
        self.save()
        epoch = self.progress.epoch + (0 if self._finished() else 1)
        where = f"epoch {epoch}, step {self.progress.step}"
        if self.run is None:
            raise Interrupted(
                f"Stopped in {where}; nothing was saved without a run directory (out).", signum
            )
        raise Interrupted(
            f"Stopped in {where} and saved; continue with: {goes_on(self.settings, self.run.path)}",
            signum,
        )

    def _test(self) -> Result:
        """Load the best weights, test them once, write the result."""
        self.learner.net.load_state_dict(self.best)
        with self._finite("the test"):
            test = evaluate(self.learner, self.splits.test, self.settings.batch_size, self.world)
        if self.metrics:
            trained = self.metrics[-1]["firing"]
            for message in lagging_statistics(self.learner.net, trained, test.firing):
                self._say(message)
        if self.run is not None and len(self.splits.test):
            sample = look_at_first(self.learner, self.splits.test)
            self.run.write_sample(sample.spikes, sample.label, sample.prediction)
        result = result_of(
            self.progress,
            test,
            self.splits,
            seed=self.settings.seed,
            wall_s=self._wall_s(),
            metrics=self.metrics,
            run=self.folder,
            layers=self.labels(),
        )
        if self.run is not None:
            result.write()
        return result

    @property
    def folder(self) -> Path | None:
        """The run directory, if there is one."""
        return None if self.run is None else self.run.path

    def weights(self) -> dict[str, Tensor]:
        """A copy of the present weights, averaged if that is asked for, on the CPU, by name."""
        with self.average.in_place():
            return copy_tensors(self.learner.net.state_dict())

    def stop(self, reason: str) -> None:
        """End the training with the epoch under way, and keep the reason among the warnings."""
        self._stop_asked = True
        self._say(reason)

    def labels(self) -> dict[str, str]:
        """The labels of the neuron modules for tables, by name, such as ``Leaky 512 (4)``."""
        return self.learner.engine.labels()

    def feedback_norms(self) -> dict[str, float]:
        """The norm of each layer's feedback in the last step, as the optimizer got it."""
        return feedback_norms(self.learner.net)

    def firing(self) -> dict[str, float]:
        """The spikes per neuron and step of each neuron module, in the last batch."""
        return self._firing

    def sample(self) -> SampleSpikes:
        """The spikes of the network for the first validation sample."""
        self.learner.net.eval()  # no dropout, which would draw random numbers; a step undoes it
        return look_at_first(
            self.learner, self.splits.val if len(self.splits.val) else self.splits.train
        )

    def _report(self) -> StepReport:
        progress = self.progress
        return StepReport(
            epoch=progress.epoch + 1,
            batch=progress.batch,
            batches=len(self.loader),
            step=progress.step,
            steps=self.settings.epochs * len(self.loader),
            accuracy=math.nan if self.splits.train.is_regression else progress.totals.so_far,
        )

    @property
    def _last(self) -> Path | None:
        return None if self.run is None else self.run.last

    def _wall_s(self) -> float:
        return self.earlier_s + time.perf_counter() - self._started


def _known(value: float) -> float | None:
    """A number, or None in the place of NaN, which JSON does not know."""
    return None if math.isnan(value) else value
