r"""A convolution whose currents are normalised over the batch, with its neurons and pool, on lists.

With statistics known, the norm is part of the weights: :math:`W' = a W` and
:math:`b' = a (b - \mathrm{mean}) + \beta_n` with
:math:`a = \gamma / \sqrt{\mathrm{var} + \epsilon}`. All that is left is a convolution. While
training, a pass over the currents finds the statistics first. On the way back, with credit through
them, a pass finds the means of :math:`n` and of :math:`n \hat x`, and the next one learns from

.. math:: n' = n - \mathrm{mean}(n) - \hat x\, \mathrm{mean}(n \hat x)

which is formed map by map where it is used. The equations: :mod:`lfp_snn.engine.norms`.
"""

from __future__ import annotations

from functools import partial
from typing import Self

import numpy as np
import torch
from torch import Tensor
from typing_extensions import override

from lfp_snn.backends.events import conv, conv_norm
from lfp_snn.backends.events.geometry import ConvShape
from lfp_snn.backends.events.workspace import Workspace
from lfp_snn.engine import synapses
from lfp_snn.engine.batch_norms import BatchNorm
from lfp_snn.engine.events.convolution import Back, EventConvolution, Recorded
from lfp_snn.engine.events.layer import array, optional
from lfp_snn.engine.events.normed import EventNormed
from lfp_snn.engine.events.pool import EventPool
from lfp_snn.engine.events.stage import as_lists
from lfp_snn.engine.kernels import Group
from lfp_snn.engine.neurons import Leaky
from lfp_snn.engine.shapes import Pool
from lfp_snn.engine.stage import Feedback, Rules, Tape
from lfp_snn.spikes import Spikes

__all__ = ["EventNormedConvolution"]


class EventNormedConvolution(EventNormed, EventConvolution):
    """``nn.Conv1d`` or ``nn.Conv2d``, batch normalisation, neurons, and the pool behind them.

    Args:
        synapse: the reference stage of the convolution.
        norm: the reference stage of the normalisation.
        neurons: the reference stage of the neurons.
        pool: the pool that alone takes their spikes, if any.
        from_input: whether the convolution takes the input of the network
            (:class:`~lfp_snn.engine.events.layer.EventLayer`).
    """

    norm: BatchNorm

    def __init__(
        self,
        synapse: synapses.Convolution,
        norm: BatchNorm,
        neurons: Leaky,
        pool: EventPool | None,
        *,
        from_input: bool,
    ) -> None:
        super().__init__(
            synapse, neurons, pool, from_input=from_input, by_sign=False, is_output=False
        )
        self.norm = norm
        self.looking = Workspace()

    @classmethod
    @override
    def of(cls, group: Group) -> Self:
        """The stage for a convolution, its norm and neurons, and the pool behind them if any."""
        synapse, norm, neurons, *behind = group.stages
        assert isinstance(synapse, synapses.Convolution)
        assert isinstance(norm, BatchNorm)
        assert isinstance(neurons, Leaky)
        pools = [EventPool(pool) for pool in behind if isinstance(pool, Pool)]
        return cls(synapse, norm, neurons, pools[0] if pools else None, from_input=group.from_input)

    @override
    def effective(
        self, run: Tape, x: Spikes, shape: ConvShape
    ) -> tuple[np.ndarray, np.ndarray | None]:
        weight, bias = self.synapse.weight.detach(), self.synapse.bias
        own = self._of_currents(run, x, shape) if self.norm.measures else None
        mean, inverse, count = self.norm.settled(run, own)
        run.keep(self.norm, (mean[0], inverse[0], count))
        gamma, beta = self._affine()
        scale = inverse[0] * gamma
        folded = weight * scale.view(-1, *(1,) * (weight.dim() - 1))
        offset = -mean[0] if bias is None else bias.detach() - mean[0]
        return array(folded), array(offset * scale + beta)

    def _of_currents(self, run: Tape, x: Spikes, shape: ConvShape) -> tuple[Tensor, Tensor, Tensor]:
        """Mean and variance ``[1, C]`` of the currents that run, and their number ``[1, 1]``."""
        first, second, count = conv_norm.current_moments(
            as_lists(x),
            run.steps,
            shape,
            array(self.synapse.weight),
            optional(self.synapse.bias),
            self.ahead,
            lengths=None if run.lengths is None else run.lengths.numpy(),
        )
        mean = first / max(count, 1)
        variance = np.maximum(second / max(count, 1) - mean * mean, 0)
        found = (torch.from_numpy(each).to(run.dtype)[None] for each in (mean, variance))
        return (*found, torch.full((1, 1), float(count), dtype=run.dtype))  # type: ignore[return-value]

    def _affine(self) -> tuple[Tensor, Tensor]:
        """Scale and shift ``[C]`` of the normalisation."""
        norm = self.norm.norms[0]
        features = norm.num_features
        like = self.synapse.weight
        gamma = like.new_ones(features) if norm.weight is None else norm.weight
        beta = like.new_zeros(features) if norm.bias is None else norm.bias
        return gamma.detach(), beta.detach()

    @override
    def learn(
        self, run: Tape, feedback: Feedback, rules: Rules, sent: conv.Sent, back: Back
    ) -> np.ndarray | None:
        bias = self.synapse.bias
        _, inverse, count = run.kept[self.norm]
        scale = inverse * self._affine()[0]
        if self.norm.through(rules) and count is not None:
            found = back(scaled=False, normed=self._cancelling(run, feedback, rules, sent))
        else:
            found = back(scaled=False)
            of_weight = (found.weight * array(self.synapse.weight)).reshape(len(scale), -1).sum(1)
            assert found.bias is not None
            product = of_weight + (0 if bias is None else array(bias) * found.bias)
            self._learn_norm(run, feedback, torch.from_numpy(found.bias), torch.from_numpy(product))
        sums = torch.from_numpy(found.weight.copy())
        feedback.add(self.synapse.weight, sums * scale.view(-1, *(1,) * (sums.dim() - 1)))
        if bias is not None:
            feedback.add(bias, torch.from_numpy(found.bias) * scale)
        return found.credit

    def _cancelling(
        self, run: Tape, feedback: Feedback, rules: Rules, sent: conv.Sent
    ) -> conv.Normed:
        """What the statistics cancel of the credit, from one look at all of it."""
        kept: Recorded = run.kept[self]
        mean, inverse, count = (each.double() for each in run.kept[self.norm])
        weight, bias = array(self.synapse.weight), optional(self.synapse.bias)
        through = partial(conv_norm.through_norm, kept.trace.shape, weight, bias, self.looking)
        sums = conv_norm.credit_products(
            kept.trace, kept.neuron, self.split(rules), sent, through(), self.looking
        )
        total, product = (torch.from_numpy(each) for each in sums)
        hatted = self._learn_norm(run, feedback, total, product)
        mean_n, mean_hatted = self.norm.shared_means(run, total[None], hatted[None], count)
        slope = inverse * mean_hatted[0]
        offset = mean_n[0] - mean * slope
        return through((offset.numpy(), slope.numpy()))

    def _learn_norm(self, run: Tape, feedback: Feedback, total: Tensor, product: Tensor) -> Tensor:
        """Learn scale and shift from the sums of n and of n times the current.

        Returns the sums of n x hat.
        """
        mean, inverse, _ = run.kept[self.norm]
        hatted: Tensor = (product - mean * total) * inverse
        norm = self.norm.norms[0]
        feedback.add(norm.weight, None if norm.weight is None else hatted.to(run.dtype))
        feedback.add(norm.bias, None if norm.bias is None else total.to(run.dtype))
        return hatted
