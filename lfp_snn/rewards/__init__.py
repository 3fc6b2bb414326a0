r"""Rewards at the output spikes, and how a prediction is read from them.

A reward turns the output ``[T, B, C]`` and the labels ``[B]`` into the relevance that enters the
network, one value per class, step and sample. A positive value asks for more of what made the
membrane, a negative one for less. It may look at the membranes too, and at targets: what the
output should be, or what it earned. Rewards that depend on the steps so far alone can be
evaluated step by step while a sequence still runs (:meth:`StepwiseReward.step`): each step is
then rewarded as if it were the last one.

Samples that end early (``lengths``) get no reward after their end, and count over their own T.

========== =======================================================================
module     what it holds
========== =======================================================================
base       the base classes of rewards
given      what users give to them, checked: records of outputs, labels, lengths, options
rate       rewards of spike counts: rate-coded, softmax, bounded, sigmoid, target counts,
           mistakes only; of each step's spikes (TET)
latency    a reward of the first spike
readout    rewards of membranes, for outputs that never spike
targets    rewards that regress to a membrane or to a spike train
values     rewards of outputs that are no spikes: softmax, sigmoid, mistakes only
outside    rewards from outside: a number per sample, or a function of the user
loss       a differentiable loss of the output spikes, or of membranes, as a reward
========== =======================================================================
"""

from lfp_snn.rewards.base import Prediction, Reward, RewardState, StepwiseReward, ties
from lfp_snn.rewards.latency import FirstSpike
from lfp_snn.rewards.loss import FromLoss, FromMembraneLoss
from lfp_snn.rewards.outside import Function, Scalar
from lfp_snn.rewards.rate import (
    TET,
    BoundedSoftmax,
    CountTarget,
    Misclassification,
    RateCoded,
    Sigmoid,
    SoftmaxRate,
)
from lfp_snn.rewards.readout import MembraneCoded, TETReadout
from lfp_snn.rewards.targets import MembraneTarget, VanRossum
from lfp_snn.rewards.values import MisclassifiedValues, SigmoidValues, SoftmaxValues

__all__ = [
    "REWARDS",
    "TET",
    "BoundedSoftmax",
    "CountTarget",
    "FirstSpike",
    "FromLoss",
    "FromMembraneLoss",
    "Function",
    "MembraneCoded",
    "MembraneTarget",
    "Misclassification",
    "MisclassifiedValues",
    "Prediction",
    "RateCoded",
    "Reward",
    "RewardState",
    "Scalar",
    "Sigmoid",
    "SigmoidValues",
    "SoftmaxRate",
    "SoftmaxValues",
    "StepwiseReward",
    "TETReadout",
    "VanRossum",
    "ties",
]

#: Rewards by the name that a config uses. A program may add its own, a dataclass of options; its
#: settings can then name it. Function and FromLoss are not among them: no config names code.
REWARDS: dict[str, type[Reward]] = {
    "rate_coded": RateCoded,
    "softmax_rate": SoftmaxRate,
    "tet": TET,
    "bounded_softmax": BoundedSoftmax,
    "sigmoid": Sigmoid,
    "count_target": CountTarget,
    "misclassification": Misclassification,
    "first_spike": FirstSpike,
    "membrane_coded": MembraneCoded,
    "tet_readout": TETReadout,
    "membrane_target": MembraneTarget,
    "van_rossum": VanRossum,
    "softmax_values": SoftmaxValues,
    "sigmoid_values": SigmoidValues,
    "misclassified_values": MisclassifiedValues,
    "scalar": Scalar,
}
