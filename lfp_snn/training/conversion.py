"""Conversion of a conventional ReLU network to a spiking one, by threshold balancing.

An integrate-and-fire neuron (``beta = 1``, reset by subtraction) that is driven by a constant
current ``I`` fires at the rate ``min(max(I / theta, 0), 1)``: a ReLU that saturates at one spike a
step. If every layer's activations are divided by their largest value ``lambda``, rates stand for
activations,

    W_l <- theta W_l lambda_(l-1) / lambda_l        b_l <- theta b_l / lambda_l

with ``lambda_0 = 1``. A quantile in place of the maximum gives outliers up, and everyone else more
spikes. Source: Diehl et al., *Fast-classifying, high-accuracy spiking deep networks through weight
and threshold balancing*, IJCNN 2015; the quantile is of Rueckauer et al., *Conversion of
continuous-valued deep networks to efficient event-driven networks for image classification*, 2017.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

from lfp_snn.engine import TemporalLFP
from lfp_snn.engine.computed import refuse_computed_weights
from lfp_snn.engine.copying import copy_of
from lfp_snn.errors import NetworkError
from lfp_snn.learners import TrainingBatch
from lfp_snn.spikes import Spikes

__all__ = ["balance"]

#: Relative distance of the balanced from the original activations that is rounding.
_ROUNDING = 1e-3


class _Rate(nn.Module):
    """A stand-in for a neuron: the rate that the module's equation gives, without saturation.

    With a threshold of one it is the ReLU of the conventional network.
    """

    def __init__(self, threshold: Tensor | float) -> None:
        super().__init__()
        self.threshold = threshold
        self.seen = torch.empty(0)

    def forward(self, current: Tensor) -> Tensor:
        self.seen = torch.relu(current) / self.threshold
        return self.seen


def balance(
    lfp: TemporalLFP,
    batch: TrainingBatch,
    quantile: float = 0.999,
    only: Collection[nn.Module] | None = None,
) -> dict[str, float]:
    """Scale the weights of a ReLU network so that its neurons, spiking, fire at its activations.

    Rates are exact for neurons without a leak (``beta: 1``) that reset by subtraction, and many
    steps; with a leak they are lower, and training goes on from there.

    Args:
        lfp: the network, with the weights of a network that had ReLUs in place of its neurons;
            changed in place.
        batch: the inputs whose activations are measured, as their mean over time.
        quantile: the quantile of a layer's activations that becomes one spike a step, in (0, 1].
        only: the synapses that are balanced; layers behind the first other one are left alone.
            ``None``: all.

    Returns:
        The scale ``lambda`` of each neuron module that was balanced, by name.

    Raises:
        NetworkError: the network has branches or normalisations, so that a layer has no one scale,
            a layer's activations are all zero, or it computes its weights; the weights are then as
            they were.
    """
    refuse_computed_weights(lfp.net, every=True)
    before = {name: tensor.clone() for name, tensor in lfp.net.state_dict().items()}
    try:
        return _balance(lfp, batch, quantile, only)
    except NetworkError:
        lfp.net.load_state_dict(before)
        raise


@torch.no_grad()
def _balance(
    lfp: TemporalLFP,
    batch: TrainingBatch,
    quantile: float,
    only: Collection[nn.Module] | None,
) -> dict[str, float]:
    original = _activations(lfp, batch, spiking=False)
    scales: dict[str, float] = {}
    earlier = 1.0
    for layer in lfp.layers:
        if len(layer.synapses) != 1 or layer.norms:
            raise NetworkError(
                f"The layer of neuron {layer.name!r} cannot be balanced: it needs one synapse and "
                f"no normalisation (fold that into the synapse before)."
            )
        ((_, synapse),) = layer.synapses
        if only is not None and synapse not in only:
            break
        # Of a sorted copy, as torch.quantile takes no more than 2**24 numbers.
        ordered = original[layer.name].flatten().sort().values
        threshold = _threshold(lfp, layer.name)
        scale = float(ordered[round(quantile * (len(ordered) - 1))])
        if scale <= 0:
            raise NetworkError(
                f"The layer of neuron {layer.name!r} cannot be balanced: its activations are zero "
                f"at the quantile {quantile:g}; are these the weights of a ReLU network?"
            )
        for name, parameter in synapse.named_parameters():
            factor = threshold / scale * (1.0 if name == "bias" else earlier)
            parameter.mul_(factor)
        scales[layer.name] = earlier = scale
    _check(original, _activations(lfp, batch, spiking=True), scales)
    return scales


def _check(original: dict[str, Tensor], now: dict[str, Tensor], scales: dict[str, float]) -> None:
    """Refuse branches that merge on their way, since they would have needed one scale."""
    for name, scale in scales.items():
        error = (now[name] - original[name] / scale).abs().max()
        if error > _ROUNDING * (original[name] / scale).max():
            raise NetworkError(
                f"The layer of neuron {name!r} cannot be balanced: branches of different scale "
                f"merge before it."
            )


def _threshold(lfp: TemporalLFP, name: str) -> Tensor:
    threshold = lfp.net.get_submodule(name).threshold
    assert isinstance(threshold, Tensor)
    if threshold.numel() != 1:
        raise NetworkError(
            f"Neuron {name!r} cannot be balanced: it has {threshold.numel()} thresholds; expected "
            f"one."
        )
    return threshold


def _activations(lfp: TemporalLFP, batch: TrainingBatch, spiking: bool) -> dict[str, Tensor]:
    """The activations of each layer as a ReLU network, or its rates as a spiking one, by neuron."""
    net = copy_of(lfp.net).eval()
    stands_in = {}
    for layer in lfp.layers:
        stands_in[layer.name] = _Rate(_threshold(lfp, layer.name) if spiking else 1.0)
        net.set_submodule(layer.name, stands_in[layer.name])
    x = batch.x
    if isinstance(x, Spikes):
        x = x.dense(next(net.parameters()).dtype)
    net(x if batch.steps is not None else x.mean(0))
    return {name: module.seen for name, module in stands_in.items()}
