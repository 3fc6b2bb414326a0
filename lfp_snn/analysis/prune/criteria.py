r"""Criteria of pruning: scores of weights, of which the lowest goes first.

Synaptic weights are pruned, which are parameters with two axes or more; biases, normalisations and
constants of neurons stay.

**Magnitude.** :math:`|w_{ij}|`.

**Relevance.** What a synapse contributes to the decisions of the network: the size of the
relevance that goes through it, one sample at a time,

.. math:: \sum_b \Bigl| \sum_t R^b_{t, i \leftarrow j} \Bigr|
    = \sum_b |w_{ij}| \, \Bigl| \sum_t x^b_{t,i} n^b_{t,j} \Bigr|

where the output spikes of the class that was read enter as relevance. Sizes are taken sample by
sample, since a synapse that speaks for one class and against another would cancel out over a batch.
The rule is :class:`~lfp_snn.rules.Norm`, which hands on all relevance by size and is no learner's
own: LFP trains with an epsilon. As relevance is (nearly) conserved from layer to layer, scores of
different layers can be compared without normalising them. The samples are of the training set,
which has trained the weights but has chosen nothing between them; Yeom et al. take reference
samples from there as well, with the true class where we take the class that was read.

**Random.** Every order is as likely: what any criterion has to beat.

Source: Yeom, Seegerer, Lapuschkin, Binder, Wiedemann, Müller, Samek, *Pruning by explaining: a
novel criterion for deep neural network pruning*, Pattern Recognition 2021 (relevance as a
criterion). That networks trained with LFP are sparse and easily pruned is claimed in Weber et al.,
arXiv 2308.12053.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

import torch
from torch import Tensor, nn

from lfp_snn.analysis.explain.attribute import Explainer
from lfp_snn.analysis.explain.target import OfClass
from lfp_snn.data import SampleSet
from lfp_snn.errors import ConfigError
from lfp_snn.learners import Learner
from lfp_snn.rules import Norm

__all__ = ["Criterion", "magnitude", "member", "randomly", "relevance", "weights"]

_Member = TypeVar("_Member", bound=StrEnum)


class Criterion(StrEnum):
    """The criterion that decides which weights go first."""

    magnitude = "magnitude"
    relevance = "relevance"
    random = "random"


def member(what: str, kind: type[_Member], given: str) -> _Member:
    """The member of an enumeration that is given, or named.

    Args:
        what: what it is, for the error.
        kind: the enumeration.
        given: a member or its value, such as ``"layer"``.

    Raises:
        ConfigError: there is none of that name.
    """
    try:
        return kind(given)
    except ValueError:
        known = " or ".join(str(each) for each in kind)
        raise ConfigError(f"The {what} is {given!r}; expected {known}.") from None


def weights(net: nn.Module) -> dict[str, nn.Parameter]:
    """The synaptic weights of a network, by name."""
    return {name: each for name, each in net.named_parameters() if each.dim() > 1}


def magnitude(net: nn.Module) -> dict[str, Tensor]:
    """The size of each weight."""
    return {name: weight.detach().abs() for name, weight in weights(net).items()}


def randomly(net: nn.Module, seed: int) -> dict[str, Tensor]:
    """Random scores, evenly from [0, 1), float64: the same for networks of one shape and a seed."""
    source = torch.Generator().manual_seed(seed)
    return {
        name: torch.rand(weight.shape, generator=source, dtype=torch.float64)
        for name, weight in weights(net).items()
    }


def relevance(learner: Learner, samples: SampleSet) -> dict[str, Tensor]:
    """The size of the relevance through each synapse, summed over the samples.

    The network is put into evaluation mode; its parameters are left without feedback and gradient.

    Args:
        learner: the learner with the network; it says which class was read.
        samples: the samples, which should not be of the test set.
    """
    net = learner.net.eval()
    explainer = Explainer(learner, Norm(), instead="prune by --criteria magnitude,random")
    target = OfClass()
    parameters = weights(net)
    scores = {name: torch.zeros_like(weight) for name, weight in parameters.items()}
    for index in range(len(samples)):
        batch = samples.batch([index]).to(learner.device)
        outputs = explainer.run(batch, record=True)
        explainer.engine.backward(target(outputs, batch))
        for name, weight in parameters.items():
            # |w| G with G = sum_t x n, as Norm shares relevance in proportion to w x.
            scores[name] += weight.feedback.abs()  # type: ignore[attr-defined]
    for parameter in net.parameters():
        parameter.grad = parameter.feedback = None  # type: ignore[attr-defined]
    return scores
