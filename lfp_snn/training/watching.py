"""Measurements of a network while it trains: its feedback, its firing, one sample."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np
import torch
from torch import Tensor, nn

from lfp_snn.data import SampleSet, Splits
from lfp_snn.learners import Learner
from lfp_snn.learners.lfp import LFP
from lfp_snn.norms import batch_norms
from lfp_snn.rewards.rate import CountReward
from lfp_snn.spikes import Spikes
from lfp_snn.training.observer import SampleSpikes
from lfp_snn.wording import setting

__all__ = [
    "SATURATED",
    "feedback_norms",
    "firing_warnings",
    "hushing_reward",
    "lagging_statistics",
    "look_at_first",
    "shifts_at_zero",
    "unused_outputs",
]

#: Spikes per neuron and step above which a population is warned of.
SATURATED = 0.9
#: Of the rate in training, the share below which a population hardly fires in an evaluation.
HARDLY = 0.1
NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm)


def feedback_norms(net: nn.Module) -> dict[str, float]:
    """The Euclidean norm of the gradients of each layer's parameters, by the layer's name."""
    squares: dict[str, float] = {}
    for name, parameter in net.named_parameters():
        if parameter.grad is not None:
            layer, norm = name.rpartition(".")[0], torch.linalg.vector_norm(parameter.grad)
            squares[layer] = squares.get(layer, 0.0) + float(norm) ** 2
    return {layer: math.sqrt(square) for layer, square in squares.items()}


def firing_warnings(
    firing: Mapping[str, float], *, calibrated: bool, rewarded: bool
) -> Iterator[str]:
    """The warnings about neuron modules that are silent or saturated, a sentence each.

    Args:
        firing: the spikes per neuron and step, by the name of the module.
        calibrated: whether the network began at calibrated rates, which training has moved since.
        rewarded: whether the learner has a reward, which another may take the place of.
    """
    cures = [f"calibrate the start ({setting('calibrate', 0.05)})"]
    if calibrated:
        cures = [f"take a smaller learning rate ({setting('optimizer.lr')})"]
        if rewarded:
            cures.append(f"another reward ({setting('learner.reward.name')})")
    since = ", although the start was calibrated" if calibrated else ""
    for name, rate in firing.items():
        if rate == 0:
            yield (
                f"Layer {name!r} is dead: none of its neurons fired, so nothing before it "
                f"learns{since}; {' or '.join(cures)}."
            )
        elif rate > SATURATED:
            fewer = f"fewer events in a step (more steps, {setting('data.steps')})"
            yield (
                f"Layer {name!r} is saturated: its neurons fire at almost every step and tell "
                f"little{since}; {', '.join(cures)}, or {fewer if calibrated else f'take {fewer}'}."
            )


def hushing_reward(learner: Learner, samples: SampleSet) -> Iterator[str]:
    """A warning about a reward that keeps a network silent, for want of steps.

    Args:
        learner: the learner, with its reward.
        samples: the samples that train it, with their number of steps and their classes.
    """
    reward = getattr(learner, "reward", None)
    steps, classes = samples.steps, len(samples.classes)
    if isinstance(reward, CountReward) and classes and reward.hushes(steps, classes):
        by_steps = not reward.hushes(100 * steps, classes)
        more = f", or more steps ({setting('data.steps')})" if by_steps else ""
        yield (
            f"With {steps} steps and {classes} classes {type(reward).__name__} punishes silent "
            "wrong outputs by more than it rewards the true one: a deep network that falls silent "
            "stays so. Take target counts "
            f"({setting('learner.reward.name', 'count_target')}){more}."
        )


def shifts_at_zero(learner: Learner) -> Iterator[str]:
    """A warning about shifts of normalisations that are exactly zero and cannot learn.

    LFP changes a parameter in proportion to its size, and PyTorch makes a shift of zeros.
    """
    if not isinstance(learner, LFP) or not learner.engine.update.scales:
        return
    names = [
        f"'{name}.bias'"
        for name, module in learner.net.named_modules()
        if isinstance(module, NORMS) and _is_stuck(module.bias)
    ]
    if names:
        yield (
            f"{', '.join(names)}: shifts of normalisations, exactly zero as PyTorch makes them, "
            "which never learn, because LFP changes a parameter in proportion to its size; draw "
            "them before (nn.init.normal_(norm.bias, std=0.1)), or give every parameter a least "
            f"size ({setting('learner.update.floor', 0.01)})."
        )


def _is_stuck(shift: Tensor | None) -> bool:
    return shift is not None and shift.requires_grad and not bool(shift.detach().any())


def lagging_statistics(
    net: nn.Module, trained: Mapping[str, float], evaluated: Mapping[str, float]
) -> Iterator[str]:
    """A warning about layers that fire in training and hardly with running statistics.

    Args:
        net: the network.
        trained: the spikes per neuron and step in the last steps of the training, by layer.
        evaluated: the spikes per neuron and step in an evaluation, by layer.
    """
    names = [
        repr(name)
        for name, rate in trained.items()
        if evaluated.get(name, math.inf) < HARDLY * rate
    ]
    seen = [
        int(norm.num_batches_tracked)
        for norm in batch_norms(net).values()
        if norm.num_batches_tracked is not None
    ]
    if names and seen:
        yield (
            f"Fires in training and hardly in evaluation: {', '.join(names)}. The running "
            f"statistics of batch norms have seen {max(seen)} batches, one in each step of "
            "training, and lag behind: give them a larger momentum (nn.BatchNorm2d(..., "
            "momentum=0.5)), or train on smaller batches or for longer."
        )


def unused_outputs(splits: Splits) -> Iterator[str]:
    """A warning about outputs of which no sample is, where a user's own labels count the classes.

    Args:
        splits: the data, whose classes are as many as the network has outputs.
    """
    labels = None if splits.train.is_regression else splits.train.stated_labels()
    if splits.info.get("name") != "own" or labels is None or not len(labels):
        return
    outputs, highest = len(splits.train.classes), int(labels.max())
    if highest + 1 < outputs:
        yield (
            f"The network has {outputs} outputs, but no training sample has a label above "
            f"{highest}: give it one output for each class, unless some have no samples yet."
        )


def look_at_first(learner: Learner, samples: SampleSet) -> SampleSpikes:
    """The spikes of the network, in its present mode, for the first sample of a set."""
    batch = samples.batch([0]).to(learner.device)
    layers = dict(learner.layer_spikes(batch))
    if isinstance(batch.x, Spikes):
        layers = {"input": batch.x.dense(), **layers}
    spikes = {name: np.asarray(layer.flatten(1).cpu() > 0) for name, layer in layers.items()}
    prediction = int(learner.predict(batch).classes[0])
    return SampleSpikes(spikes, int(batch.labels[0]), prediction)
