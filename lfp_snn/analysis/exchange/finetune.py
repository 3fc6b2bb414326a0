"""Quantisation of a run: its accuracy before and after, and LFP that wins back what was lost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lfp_snn.analysis.exchange.quantise import QuantisedLFP, QuantisedNetwork, quantise
from lfp_snn.data import Splits
from lfp_snn.learners.lfp import LFPOptions
from lfp_snn.training import Settings, TrainedRun, evaluate
from lfp_snn.training.checkpoint import copy_tensors, load_net
from lfp_snn.training.loop import Trainer
from lfp_snn.training.observer import Observer

__all__ = ["LR_SHARE", "QuantisedRun", "fine_tune", "quantise_run"]

#: Learning rate of fine-tuning, as a share of the run's own.
LR_SHARE = 0.1


@dataclass(frozen=True)
class QuantisedRun:
    """A run with int8 weights.

    Attributes:
        network: the quantised network.
        before: the test accuracy of the run as it was trained.
        rounded: the test accuracy in int8 before any fine-tuning.
        after: the test accuracy of the present network, fine-tuned if that was asked for.
    """

    network: QuantisedNetwork
    before: float
    rounded: float
    after: float

    def to_json(self) -> dict[str, float]:
        """The accuracies as JSON takes them."""
        return {"float32": self.before, "rounded": self.rounded, "int8": self.after}


def quantise_run(
    trained: TrainedRun,
    splits: Splits,
    epochs: int = 0,
    observers: Sequence[Observer] = (),
) -> QuantisedRun:
    """Quantise a run and, with ``epochs``, fine-tune it on its own training set.

    Raises:
        NetworkError: a stage has no counterpart in integers.
    """
    config, net = trained.config, trained.learner.net
    before = evaluate(trained.learner, splits.test, config.batch_size).accuracy
    network = quantise(net.cpu(), splits.train.feature_shape)
    learner = QuantisedLFP(network, _options(config))
    rounded = after = evaluate(learner, splits.test, config.batch_size).accuracy
    if epochs:
        fine_tune(learner, splits, config, epochs, observers)
        after = evaluate(learner, splits.test, config.batch_size).accuracy
    return QuantisedRun(network, before, rounded, after)


def fine_tune(
    learner: QuantisedLFP,
    splits: Splits,
    config: Settings,
    epochs: int,
    observers: Sequence[Observer] = (),
) -> None:
    """Train the masters with a share of the run's learning rate.

    The weights that do best on the validation set are kept, of equal ones the latest, or the
    weights of the start if every epoch does worse.
    """
    net = learner.net
    start = copy_tensors(net.state_dict())
    at_start = -1.0  # where nothing validates, the weights of the last epoch stay
    if len(splits.val):
        at_start = evaluate(learner, splits.val, config.batch_size).accuracy
    changes: dict[str, Any] = {
        "epochs": epochs,
        "patience": None,
        "ema": None,  # the start, whose weights are an average already, would stay in it
        "optimizer": config.optimizer.model_copy(update={"lr": config.optimizer.lr * LR_SHARE}),
    }
    trainer = Trainer(learner, splits, config.model_copy(update=changes), observers)
    if trainer.train().val_accuracy < at_start:
        load_net(net, start, "the network before fine-tuning")
    net.eval()


def _options(config: Settings) -> LFPOptions:
    """The options of the run's learner if it is LFP; the defaults for other learners."""
    return config.learner if isinstance(config.learner, LFPOptions) else LFPOptions()
