"""Measures of a trained network beside its accuracy."""

from __future__ import annotations

import resource
import statistics
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from lfp_snn.data import Batch
from lfp_snn.learners import Learner
from lfp_snn.learners.as_called import unroll_as_called
from lfp_snn.learners.unrolled import frames, hooked, other_steps, rest, unroll

__all__ = ["epochs_to", "gini", "peak_bytes", "resident_bytes", "seconds_to", "sparsity", "work"]

STEPS_TIMED = 7


def gini(values: Tensor) -> float:
    """The Gini index of the sizes of numbers: 0 if all are equal, near 1 if one has everything.

    With the n sizes ascending it is ``sum_k (2 k - n - 1) |x_k| / (n sum |x|)``; 0 if all are zero.
    """
    sizes = values.detach().abs().flatten().double().sort().values
    total, n = float(sizes.sum()), len(sizes)
    if total == 0:
        return 0.0
    ranks = torch.arange(1, n + 1, dtype=torch.float64)
    return float(((2 * ranks - n - 1) * sizes.cpu()).sum()) / (n * total)


def sparsity(tensors: Iterable[Tensor]) -> dict[str, float]:
    """The Gini index and the share of exact zeros of all values together."""
    whole = torch.cat([each.detach().flatten() for each in tensors])
    return {"gini": gini(whole), "zeros": float((whole == 0).double().mean())}


def work(learner: Learner, batch: Batch) -> dict[str, float]:
    """The work of a network for a sample: its spikes, and its synaptic operations.

    A synaptic operation is one weight added for one input that is not zero, the unit in which
    event-driven hardware is rated. They are counted pair by pair, borders of convolutions included.

    Returns:
        The ``spikes`` of all neurons, ``synaptic_operations`` and, if no zero were skipped,
        ``dense_operations``, each per sample and presentation.
    """
    net = learner.net
    net.eval()
    spikes = sum(float(layer.sum()) for layer in learner.layer_spikes(batch).values())
    counted: dict[str, float] = {"active": 0.0, "dense": 0.0}
    synapses = {module for layer in learner.engine.layers for _, module in layer.synapses}
    rest(net)
    try:
        with (
            torch.no_grad(),
            hooked(each.register_forward_pre_hook(_counting(counted)) for each in synapses),
        ):
            if other_steps(learner.engine) is None:
                unroll(net, frames(batch, learner.engine.dtype), batch.lengths)
            else:
                unroll_as_called(learner.engine, batch)
    finally:
        rest(net)
    size = len(batch)
    return {
        "spikes": spikes / size,
        "synaptic_operations": counted["active"] / size,
        "dense_operations": counted["dense"] / size,
    }


def _counting(counted: dict[str, float]) -> Any:
    """A hook that adds up the pairs of input and weight that a synapse joins."""

    def count(synapse: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        ones = {
            name: torch.ones_like(p) if p.dim() > 1 else torch.zeros_like(p)
            for name, p in synapse.named_parameters()
        }
        active = (inputs[0] != 0).to(inputs[0].dtype)
        hooks = synapse._forward_pre_hooks.copy()
        synapse._forward_pre_hooks.clear()  # or it would count itself
        counted["active"] += float(functional_call(synapse, ones, active).double().sum())
        everything = torch.ones_like(active)
        counted["dense"] += float(functional_call(synapse, ones, everything).double().sum())
        synapse._forward_pre_hooks.update(hooks)

    return count


def step_seconds(learner: Learner, optimizer: torch.optim.Optimizer, batch: Batch) -> float:
    """The median time of a training step (feedback and optimizer), after one to warm up.

    The network is changed.
    """
    learner.net.train()
    times = []
    for _ in range(STEPS_TIMED + 1):
        start = time.perf_counter()
        learner.feedback(batch)
        optimizer.step()
        times.append(time.perf_counter() - start)
    return statistics.median(times[1:])


def resident_bytes() -> int | None:
    """The bytes of memory that this process holds now; ``None`` where the system does not tell."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    return pages * resource.getpagesize()


def peak_bytes() -> int:
    """The largest number of bytes of memory that this process has held so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def epochs_to(history: Sequence[Mapping[str, Any]], share: float = 0.9) -> int:
    """The first epoch whose validation accuracy is ``share`` of the best."""
    best = max(float(epoch["val_accuracy"]) for epoch in history)
    return next(int(e["epoch"]) for e in history if e["val_accuracy"] >= share * best)


def seconds_to(history: Sequence[Mapping[str, Any]], accuracy: float) -> float | None:
    """The training time until the validation accuracy first reaches a value, or ``None``."""
    total = 0.0
    for epoch in history:
        total += float(epoch["epoch_s"])
        reached = epoch["val_accuracy"]
        if reached is not None and reached >= accuracy:
            return total
    return None
