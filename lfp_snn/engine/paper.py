"""LFP as it was published, by one name."""

from __future__ import annotations

from typing import Any

from torch import nn

from lfp_snn.engine.temporal import TemporalLFP
from lfp_snn.rules import Epsilon

__all__ = ["published"]


def published(net: nn.Module, **options: Any) -> TemporalLFP:
    """The engine with the method of the paper: LFP-epsilon with its stabiliser of 1e-6.

    ``TemporalLFP(net)`` takes :class:`lfp_snn.rules.Rescale`, which is this project's and learns
    deep networks better. Statistics of normalisations are fixed on the way back, where that rule's
    credit goes through them, unless ``statistics`` says otherwise. The reward of the paper is
    ``lfp_snn.rewards.RateCoded(at_silence=False)``, which is what ``RateCoded()`` is by hand.

    Args:
        net: the network, as :class:`~lfp_snn.TemporalLFP` takes it.
        **options: the further options of :class:`~lfp_snn.TemporalLFP`, such as ``backend``.

    Raises:
        NetworkError: :class:`~lfp_snn.TemporalLFP` cannot run the network.

    Source: Weber et al., TMLR 2025 (arXiv 2308.12053); held against vectors that the authors'
    package ``lfprop`` 1.0.0 computed.
    """
    return TemporalLFP(net, Epsilon(), **options)
