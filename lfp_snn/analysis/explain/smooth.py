r"""Explanations that do not depend on single spikes: means over parts of a recording.

A neuron that stayed just below its threshold has no spike, and so no part in an explanation, while
a little less or more input would have let it spike. The mean over recordings with a quarter of the
events missing sees such neurons, without a surrogate for the step. The entries of each recording
are parted at random into quarters, P times; with :math:`R_i^{pq}` the relevance of entry i in what
is left without quarter q of partition p, each entry is there in 3P of 4P runs, and gets

.. math:: \bar R_i = \frac{1}{3P} \sum_{p=1}^{P} \sum_{q \not\ni i} R_i^{pq}

What is asked (the class, and the weights of the outputs) is that of the whole recording. A
rule that conserves relevance still does: what enters, and what goes to biases and silent inputs,
are sums of the same form.

Source: Smilkov, Thorat, Kim, Viégas, Wattenberg, *SmoothGrad: removing noise by adding noise*, 2017
(means of gradients over noisy inputs); that entries are left out, and by quarters, so that none is
there more often than another, is this project's.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from lfp_snn.analysis.explain.attribute import Attribution, Explainer, samples_of
from lfp_snn.analysis.explain.target import OfOutputs, Target
from lfp_snn.data import Batch
from lfp_snn.errors import DataError
from lfp_snn.learners import Learner
from lfp_snn.rules import Composite, Rule
from lfp_snn.spikes import Spikes

__all__ = ["SmoothExplainer"]

PARTS = 4


class SmoothExplainer(Explainer):
    """An explainer by the mean over copies of a recording that lack a random quarter of its events.

    Args:
        learner: the learner with the network, in evaluation mode; it says how a class is read.
        rule: how relevance goes through neurons and synapses.
        partitions: the number P of partitions; an explanation takes 1 + 4P forward and backward
            passes.
        seed: the seed of the partitions, which follow from it and the recording's name alone.
    """

    def __init__(
        self, learner: Learner, rule: Rule | Composite, partitions: int = 4, seed: int = 0
    ) -> None:
        super().__init__(learner, rule)
        self.partitions = partitions
        self.seed = seed

    @override
    def attribute(self, batch: Batch, target: Target) -> Attribution:
        """The mean relevance of a batch; outputs, class and question are those of whole recordings.

        An input that is constant over time has no events to leave out, and is explained as it is.

        Raises:
            DataError: the input is dense over time.
        """
        whole = super().attribute(batch, target)
        if not isinstance(batch.x, Spikes):
            return whole
        weights = target.weights(whole.outputs, batch) if isinstance(target, OfOutputs) else None
        found: list[Attribution] = []

        def relevance(part: Batch) -> Tensor:
            outputs = self.run(part, record=True)
            initial = target(outputs, part) if weights is None else outputs.evidence * weights
            found.append(self._send(part, outputs, initial, whole.chosen, whole.against))
            return found[-1].relevance

        mean = self.mean(batch, relevance)

        def over_runs(values: Sequence[Tensor]) -> Tensor:
            return torch.stack(list(values)).sum(0) / self._times

        return replace(
            whole,
            relevance=mean.to(whole.relevance),
            silent=over_runs([each.silent for each in found]),
            entered=over_runs([each.entered for each in found]),
            size=over_runs([each.size for each in found]),
            of_biases=sum(each.of_biases for each in found) / self._times,
            neurons={
                name: over_runs([each.neurons[name] for each in found]) for name in whole.neurons
            },
            method=f"{whole.method}, mean over {len(found)} copies without a random quarter of the "
            "events",
        )

    @property
    def _times(self) -> int:
        """The number of runs in which an entry is there."""
        return (PARTS - 1) * self.partitions

    def mean(self, batch: Batch, scores: Callable[[Batch], Tensor]) -> Tensor:
        """The mean of any scores of entries over the same parts of a batch.

        Args:
            batch: a batch of spike trains.
            scores: a function that gives the scores ``[nnz]`` of what is left of the batch.

        Returns:
            The mean scores, float64 ``[nnz]``.

        Raises:
            DataError: the input is not given as :class:`~lfp_snn.Spikes`.
        """
        x = batch.x
        if not isinstance(x, Spikes):
            raise DataError("Smoothing leaves events out, and the input is no spike trains.")
        total = torch.zeros(x.nnz, dtype=torch.float64, device=x.device)
        for kept in self._parts(x, batch.ids or [str(n) for n in range(len(batch))]):
            total[kept] += scores(replace(batch, x=x.keep(kept))).to(total)
        return total / self._times

    def _parts(self, x: Spikes, names: Sequence[str]) -> Iterator[Tensor]:
        """Masks of the entries, bool ``[nnz]``: for each partition, all but a quarter each time."""
        sizes = torch.bincount(samples_of(x), minlength=x.batch).tolist()
        draws = [np.random.default_rng([self.seed, zlib.crc32(name.encode())]) for name in names]
        for _ in range(self.partitions):
            quarters = [draw.permutation(n) % PARTS for draw, n in zip(draws, sizes, strict=True)]
            quarter = torch.from_numpy(np.concatenate(quarters)).to(x.device)
            for left_out in range(PARTS):
                yield quarter != left_out
