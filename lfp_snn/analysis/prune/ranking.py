"""Rankings: the order in which weights are pruned, and a network without the first of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import torch
from torch import Tensor, nn

from lfp_snn.analysis.prune.criteria import member, weights

__all__ = ["Ranking", "Scope", "rank"]


class Scope(StrEnum):
    """The scope of a ranking: the weights of the whole network, or of each layer by itself."""

    network = "global"
    layer = "layer"


@dataclass(frozen=True)
class Ranking:
    """The place of every weight in the order.

    Attributes:
        places: the places, int64, in the shape of each weight, by name: 0 goes first.
        sizes: the number of weights that compete with those of that name.
    """

    places: Mapping[str, Tensor]
    sizes: Mapping[str, int]

    @contextmanager
    def pruned(self, net: nn.Module, share: float) -> Iterator[None]:
        """Set the first ``share`` (in [0, 1]) of the weights to zero, for a ``with`` block."""
        parameters = weights(net)
        before = {name: each.detach().clone() for name, each in parameters.items()}
        try:
            with torch.no_grad():
                for name, places in self.places.items():
                    gone = places < round(share * self.sizes[name])
                    parameters[name].masked_fill_(gone.to(parameters[name].device), 0.0)
            yield
        finally:
            with torch.no_grad():
                for name, values in before.items():
                    parameters[name].copy_(values)


def rank(net: nn.Module, scores: Mapping[str, Tensor], scope: Scope) -> Ranking:
    """Order weights by their score, the lowest first.

    Of equal scores, as of weights through which no relevance went, the smaller weight goes first.

    Args:
        net: the network.
        scores: the scores of its :func:`~lfp_snn.analysis.prune.criteria.weights`, by name.
        scope: the weights that compete with each other.

    Raises:
        ConfigError: there is no such scope.
    """
    scope = member("scope", Scope, scope)
    parameters, names = weights(net), list(scores)
    places: dict[str, Tensor] = {}
    sizes: dict[str, int] = {}
    for group in [names] if scope is Scope.network else [[name] for name in names]:
        score = torch.cat([scores[name].flatten().cpu() for name in group]).numpy()
        size = torch.cat([parameters[name].detach().flatten().abs().cpu() for name in group])
        place = np.empty(len(score), np.int64)
        place[np.lexsort((size.numpy(), score))] = np.arange(len(score))
        parts = torch.split(torch.from_numpy(place), [scores[name].numel() for name in group])
        for name, part in zip(group, parts, strict=True):
            places[name], sizes[name] = part.view(scores[name].shape), len(score)
    return Ranking(places, sizes)
