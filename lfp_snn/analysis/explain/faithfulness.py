r"""Measures of how faithful an explanation is to the network: what it names is removed.

**Event flipping.** The active entries of an input (a pixel and polarity in a time step) are removed
in the order of their relevance, most relevant first or least relevant first, and the network is run
again on what is left. With :math:`f(\rho)` what the network says when the share :math:`\rho` is
gone,

.. math:: A = \int_0^1 f_{\text{least first}}(\rho) - f_{\text{most first}}(\rho) \, d\rho

by the trapezoidal rule: the area between the curves. A random order has zero on average.

Source: Samek, Binder, Montavon, Lapuschkin, Müller, *Evaluating the visualization of what a deep
neural network has learned*, IEEE TNNLS 2017 (pixel flipping); Blücher, Vielhaben, Strodthoff,
*Decoupling pixel flipping and occlusion strategy*, TMLR 2024 (most and least relevant first).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from scipy.stats import bootstrap
from torch import Tensor, nn

from lfp_snn.analysis.explain.attribute import Attribution, Explainer, samples_of
from lfp_snn.analysis.explain.smooth import SmoothExplainer
from lfp_snn.analysis.explain.target import OfOutputs, Target
from lfp_snn.data import Batch
from lfp_snn.engine.copying import copy_of
from lfp_snn.errors import DataError
from lfp_snn.learners.losses import make_surrogate
from lfp_snn.learners.unrolled import frames, rest, set_spike, stepped_at_once, unroll
from lfp_snn.spikes import Spikes

__all__ = [
    "SHARES",
    "Curves",
    "Interval",
    "activity",
    "flip",
    "gradient_times_input",
    "interval",
    "jittered",
    "scores_by_method",
    "stability",
]

#: Shares of the entries that are removed.
SHARES = tuple(np.linspace(0, 1, 21).tolist())
FLOAT = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Curves:
    """The curves ``[shares, samples]`` of what a network says while entries are removed.

    Attributes:
        shares: the shares of entries that are removed, ascending from 0 to 1.
        most: the class's share of what the outputs say while the most relevant entries go first.
        least: the class's share of what the outputs say while the least relevant entries go first.
        right_most: whether the class read is the true one (0 or 1), most relevant first.
        right_least: whether the class read is the true one (0 or 1), least relevant first.
    """

    shares: tuple[float, ...]
    most: FLOAT
    least: FLOAT
    right_most: FLOAT
    right_least: FLOAT

    @property
    def areas(self) -> FLOAT:
        """The area between the curves of the class's share, for each sample."""
        return np.asarray(np.trapezoid(self.least - self.most, self.shares, axis=0))

    @property
    def areas_of_accuracy(self) -> FLOAT:
        """The area between the curves of being right, for each sample."""
        return np.asarray(np.trapezoid(self.right_least - self.right_most, self.shares, axis=0))


def ranks(x: Spikes, scores: Tensor, seed: int = 0) -> Tensor:
    """The place of each entry in its sample by falling score, from 0 to below 1, float64 ``[nnz]``.

    Equal scores are put in a random order, which follows from the seed.
    """
    tie = np.random.default_rng(seed).random(x.nnz)
    samples = samples_of(x).numpy()
    order = np.lexsort((tie, -scores.double().numpy(), samples))
    sizes = np.bincount(samples, minlength=x.batch)
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    place = np.empty(x.nnz)
    place[order] = np.arange(x.nnz) - np.repeat(starts, sizes)
    return torch.from_numpy(place / np.maximum(sizes, 1)[samples])


def flip(
    explainer: Explainer,
    batch: Batch,
    scores: Tensor,
    chosen: Tensor,
    shares: Sequence[float] = SHARES,
    seed: int = 0,
) -> Curves:
    """Remove entries, most and least relevant first, and run the network on what is left.

    Args:
        explainer: the explainer with the network.
        batch: a batch of spike trains.
        scores: the relevance ``[nnz]`` of each entry.
        chosen: the class whose share is measured, int64 ``[B]``.
        shares: the shares of entries that are removed.
        seed: the seed of the order of equal scores.
    """
    x = spikes_of(batch)
    place = ranks(x, scores, seed)
    found: dict[str, list[FLOAT]] = {"most": [], "least": [], "right_most": [], "right_least": []}
    for share in shares:
        for order, kept in (("most", place >= share), ("least", place < 1 - share)):
            outputs = explainer.run(replace(batch, x=x.keep(kept)))
            own = outputs.shares.double().gather(1, chosen[:, None])[:, 0]
            found[order].append(own.numpy())
            # A network that says nothing is right about nothing.
            right = (outputs.prediction.classes == batch.labels) & outputs.speaks
            found[f"right_{order}"].append(right.double().numpy())
    return Curves(tuple(shares), **{name: np.stack(rows) for name, rows in found.items()})


def spikes_of(batch: Batch) -> Spikes:
    """The spike trains of a batch.

    Raises:
        DataError: the input of the batch is constant.
    """
    if not isinstance(batch.x, Spikes):
        raise DataError(
            "The input of this run is constant over time and has no events to remove: faithfulness "
            "is measured on recordings, or on images encoded as spikes (data.encoding=rate)."
        )
    return batch.x


def activity(x: Spikes) -> Tensor:
    """How often the pixel and polarity of each entry is active in its sample, ``[nnz]``."""
    unit = samples_of(x) * x.units + x.indices
    return torch.bincount(unit, minlength=x.batch * x.units)[unit].double()


def gradient_times_input(net: nn.Module, batch: Batch, weights: Tensor) -> Tensor:
    r"""Surrogate gradient times input, through time.

    .. math:: x_{t,i}\, \partial \bigl(\sum_{t,c} a_c e_{t,c}\bigr) / \partial x_{t,i}

    with snntorch's arctan for the derivative of the step.

    Args:
        net: a module whose forward is one step; it is not changed.
        batch: a batch of spike trains.
        weights: the weights ``a`` ``[B, C]`` of the outputs.

    Returns:
        The product of gradient and input of each entry, ``[nnz]``.
    """
    x = spikes_of(batch)
    net = copy_of(stepped_at_once(net, x.shape[2:]))
    set_spike(net, make_surrogate("atan", None))
    rest(net)
    dtype = next(net.parameters()).dtype
    inputs = [frame.requires_grad_() for frame in frames(batch, dtype)]
    with torch.enable_grad():
        spikes = unroll(net, inputs, batch.lengths).spikes
        (spikes.sum(0) * weights).sum().backward()  # type: ignore[no-untyped-call]
    grads = torch.stack([torch.zeros_like(f) if f.grad is None else f.grad for f in inputs])
    gradient = x.gather(grads)
    return gradient if x.values is None else gradient * x.values


def scores_by_method(
    explainer: Explainer, batch: Batch, target: OfOutputs, seed: int = 0
) -> tuple[dict[str, Tensor], Attribution]:
    """The scores ``[nnz]`` of the entries by LFP and by the methods that it is compared with.

    Args:
        explainer: the explainer with network and rule.
        batch: a batch of spike trains.
        target: what is asked; its weights are those of the gradient too.
        seed: the seed of the random order.

    Returns:
        The scores by the name of the method, and the attribution.
    """
    x = spikes_of(batch)
    found = explainer.attribute(batch, target)
    weights = target.weights(found.outputs, batch)
    net = explainer.engine.net
    scores = {
        "LFP": found.relevance,
        "gradient x input": gradient_times_input(net, batch, weights),
        "spike count": activity(x),
        "random": torch.from_numpy(np.random.default_rng(seed).random(x.nnz)),
    }
    if isinstance(explainer, SmoothExplainer):
        scores["gradient x input, smoothed"] = explainer.mean(
            batch, lambda part: gradient_times_input(net, part, weights)
        )
    return scores, found


def jittered(x: Spikes, sigma: float, seed: int = 0) -> Spikes:
    """Spike trains whose entries were moved in time at random.

    Args:
        x: the trains. Values are kept; of entries that meet in a step one is left.
        sigma: the standard deviation of the move in steps; moves are rounded, and ends are not
            passed.
        seed: the seed of the moves.
    """
    rows = x.rows()
    moves = np.random.default_rng(seed).normal(0, sigma, x.nnz).round().astype(np.int64)
    step = (rows % x.steps + torch.from_numpy(moves)).clamp(0, x.steps - 1)
    place = (rows // x.steps * x.steps + step) * x.units + x.indices
    unique, inverse = torch.unique(place, return_inverse=True)
    counts = torch.bincount(unique // x.units, minlength=x.steps * x.batch)
    indptr = torch.cat([torch.zeros(1, dtype=torch.int64), counts.cumsum(0)])
    values = None
    if x.values is not None:
        values = torch.empty(len(unique), dtype=x.values.dtype).scatter(0, inverse, x.values)
    return Spikes(indptr, (unique % x.units).to(torch.int32), x.shape, values)


def stability(
    explainer: Explainer, batch: Batch, target: Target, sigma: float, seed: int = 0
) -> FLOAT:
    """The stability of an explanation: how little it changes when the events are jittered.

    Returns:
        Pearson's correlation ``[B]``, float64, over pixels and polarities, of the relevance summed
        over time before and after; NaN where one of them is constant.
    """
    x = spikes_of(batch)
    maps = []
    for trains in (x, jittered(x, sigma, seed)):
        found = explainer.attribute(replace(batch, x=trains), target)
        unit = samples_of(trains) * x.units + trains.indices
        total = torch.zeros(x.batch * x.units, dtype=torch.float64)
        total.index_add_(0, unit, found.relevance.double())
        centred = total.view(x.batch, x.units)
        maps.append(centred - centred.mean(1, keepdim=True))
    one, other = maps
    return np.asarray((one * other).sum(1) / (one.norm(dim=1) * other.norm(dim=1)))


@dataclass(frozen=True)
class Interval:
    """A mean over recordings, and the bounds between which it lies with 95 % confidence."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.3f} [{self.low:.3f}, {self.high:.3f}]"


def interval(values: FLOAT, seed: int = 0) -> Interval:
    """The mean and its 95 % interval, by the bias-corrected bootstrap over recordings.

    Args:
        values: one number for each recording.
        seed: the seed of the resamples.
    """
    mean = float(values.mean())
    if len(values) < 2 or np.ptp(values) == 0:
        return Interval(mean, mean, mean)
    found = bootstrap(
        (values,), np.mean, n_resamples=2000, rng=np.random.default_rng(seed)
    ).confidence_interval
    return Interval(mean, float(found.low), float(found.high))
