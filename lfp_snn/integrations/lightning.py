"""A network and its learner as a LightningModule (the extra ``lightning``).

Lightning has the loop, the loaders, loggers, callbacks and checkpoints; the learner fills the
gradients, from which Lightning's optimizer makes steps.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from lfp_snn.data import Batch, Layout
from lfp_snn.data.layout import batch_axis_by, find_axes
from lfp_snn.data.torch_items import Form, dense, pair
from lfp_snn.errors import ConfigError, NetworkError, require
from lfp_snn.spikes import Spikes
from lfp_snn.training.assembly import build_learner
from lfp_snn.training.calibration import calibrate
from lfp_snn.training.config import Settings
from lfp_snn.training.configfile import make_config
from lfp_snn.training.feeding import outputs_of
from lfp_snn.training.steering import GivenOptimizer, GivenScheduler
from lfp_snn.training.teaching import GivenReward, GivenRule, taught_by

require("lightning", "lightning")

from lightning import LightningModule  # noqa: E402 - after the sentence that says what is missing

__all__ = ["LFPModule"]

_ADAM: GivenOptimizer = partial(torch.optim.Adam, lr=3e-3)


class LFPModule(LightningModule):  # type: ignore[misc]
    """A network that trains by LFP, or another learner, under a ``lightning.Trainer``.

    Logs ``train_accuracy``, ``reward``, ``firing/<layer>``, ``val_accuracy`` and ``test_accuracy``.
    Gradients come from the learner and not from autograd, so that the trainer's own clipping and
    accumulation, and several processes, do not apply: clipping is an argument here, and
    :func:`lfp_snn.fit` under ``torchrun`` takes several processes.

    Args:
        net: a module whose forward is one time step.
        learner: the learner by name and options, as a config has it; LFP if ``None``.
        reward: the reward, such as ``FromLoss(loss)`` or one of a class of one's own, its name, or
            a mapping as a config has it; by default it goes by what the network ends in.
        rule: the rule or composite, its name, or a mapping as a config has it.
        optimizer: a function that makes the optimizer of the parameters that learn; Adam with 3e-3
            by default.
        scheduler: a function that makes a scheduler of the optimizer, which is stepped at the end
            of each epoch.
        calibrate: the firing rate to which each layer's synapses are scaled on the first batch,
            unless a checkpoint is gone on from; ``None``: not at all.
        clip: the largest global norm of the feedback; ``None``: never clipped.
        steps: T of inputs that have no time axis.
        layout: the layout of the axis of time in a batch, if nothing else tells it: ``TB``, ``BT``
            or ``B``; see :func:`lfp_snn.data.from_torch`.

    Raises:
        ConfigError: the learner, reward or rule is not known, or they do not fit the network.
        NetworkError: the network cannot be traced; lightning is not installed (on import); or
            several processes are to train.

    Example::

        module = LFPModule(net, steps=25, optimizer=partial(torch.optim.AdamW, lr=1e-3))
        lightning.Trainer(max_epochs=5).fit(module, train_loader, val_loader)
    """

    def __init__(
        self,
        net: nn.Module,
        *,
        learner: Mapping[str, Any] | None = None,
        reward: GivenReward | None = None,
        rule: GivenRule | None = None,
        optimizer: Any = _ADAM,
        scheduler: GivenScheduler | None = None,
        calibrate: float | None = 0.05,
        clip: float | None = 3.0,
        steps: int | None = None,
        layout: Layout | None = None,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.net = net
        given = taught_by({} if learner is None else {"learner": learner}, reward, rule)
        self.learner = build_learner(net, make_config(Settings, given, "LFPModule"))
        self._outputs_of = outputs_of(net)
        self._make_optimizer, self._make_scheduler = optimizer, scheduler
        self._calibrate, self._clip = calibrate, clip
        self._steps, self._layout = steps, layout
        self._form: Form | None = None

    def forward(self, batch: Any) -> Tensor:
        """The output spikes ``[T, B, C]`` of a batch (inputs, labels)."""
        return self.learner.run(self._batch(batch))

    def configure_optimizers(self) -> Any:
        """The optimizer, and the scheduler if there is one."""
        optimizer = self._make_optimizer(list(self.learner.parameters()))
        if self._make_scheduler is None:
            return optimizer
        assert not isinstance(self._make_scheduler, torch.optim.lr_scheduler.LRScheduler)
        return {"optimizer": optimizer, "lr_scheduler": self._make_scheduler(optimizer)}

    def configure_callbacks(self) -> list[Any]:
        """Refuse what a trainer would do with gradients of autograd; there are no callbacks."""
        if self.trainer.accumulate_grad_batches != 1:
            raise ConfigError(
                "LFPModule makes a step of each batch: leave accumulate_grad_batches out of the "
                "Trainer, and take larger batches, whose feedback is the sum over their samples."
            )
        if self.trainer.gradient_clip_val is not None:
            raise ConfigError(
                "LFPModule clips the feedback itself: leave gradient_clip_val out of the Trainer, "
                "and give LFPModule(net, clip=...)."
            )
        return []

    def on_fit_start(self) -> None:
        """Refuse several processes, whose feedback nothing would sum."""
        if self.trainer.world_size > 1:
            raise NetworkError(
                "LFPModule trains in one process: set devices=1, or train with lfp_snn.fit under "
                "torchrun, which sums the feedback of several."
            )

    def training_step(self, batch: Any, batch_idx: int) -> None:
        """Compute the feedback of a batch, and make a step of the optimizer."""
        given = self._batch(batch)
        if self._calibrate is not None and not self.trainer.global_step:
            calibrate(self.learner.engine, given, self._calibrate)
        result = self.learner.feedback(given)
        if self._clip is not None:
            nn.utils.clip_grad_norm_(self.learner.parameters(), self._clip)
        optimizer: Any = self.optimizers()
        optimizer.step()
        self.learner.after_step()
        right = float((result.classes == given.labels).float().mean())
        firing = {f"firing/{name}": rate for name, rate in result.firing.items()}
        told = {"train_accuracy": right, "reward": result.reward, **firing}
        self.log_dict(told, on_step=False, on_epoch=True, batch_size=len(given))

    def on_train_epoch_end(self) -> None:
        """Step the scheduler."""
        scheduler: Any = self.lr_schedulers()
        if scheduler is not None:
            scheduler.step()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Log the validation accuracy."""
        self._tell("val_accuracy", batch)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Log the test accuracy."""
        self._tell("test_accuracy", batch)

    def predict_step(self, batch: Any, batch_idx: int) -> Tensor:
        """The predicted classes of a batch, int64 ``[B]``."""
        return self.learner.predict(self._batch(batch)).classes

    def _tell(self, name: str, batch: Any) -> None:
        given = self._batch(batch)
        right = self.learner.predict(given).classes == given.labels
        self.log(name, float(right.float().mean()), prog_bar=True, batch_size=len(given))

    def _batch(self, batch: Any) -> Batch:
        """What a loader gave, as a learner takes it."""
        if isinstance(batch, Batch):
            return batch.to(self.device)
        inputs, labels = pair(batch)
        labels = torch.as_tensor(labels)
        if isinstance(inputs, Spikes):
            return Batch(inputs, labels).to(self.device)
        if self._form is None:
            shape = tuple(dense(inputs).shape)
            axis = batch_axis_by(len(labels), shape, self._layout)
            self._form = Form(
                find_axes(
                    shape,
                    axis,
                    layout=self._layout,
                    steps=self._steps,
                    outputs_of=self._outputs_of,
                )
            )
        x = self._form.encode(inputs).x
        steps = None if isinstance(x, Spikes) else self._steps
        return Batch(x, labels, steps=steps).to(self.device)
