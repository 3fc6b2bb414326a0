"""Small networks of every kind of ending, and learners bound to them."""

from __future__ import annotations

import math
from typing import Any

import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn.learners import LEARNERS, Learner

__all__ = ["CLASSES", "HIDDEN", "NETWORKS", "UNITS", "ByHand", "Loops", "bind"]

UNITS, HIDDEN, CLASSES = 20, 9, 3


def leaky(**options: Any) -> Any:
    """A neuron."""
    return snn.Leaky(beta=0.9, init_hidden=True, **options)


def readout() -> Any:
    """Neurons that never spike."""
    return leaky(output=True, threshold=math.inf, reset_mechanism="none")


def make(middle: nn.Module, *last: nn.Module) -> nn.Sequential:
    """Two synapses with units between and behind them."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(UNITS, HIDDEN), middle, nn.Linear(HIDDEN, CLASSES), *last)


#: By how they end: the network, and options of learners that are made for other endings.
NETWORKS: dict[str, Any] = {
    "in spikes": lambda: make(leaky(), leaky(output=True)),
    "in membranes": lambda: make(leaky(), readout()),
    "in values": lambda: make(leaky()),
    "in spikes, behind an activation": lambda: make(nn.ReLU(), leaky(output=True)),
    "in values, without neurons": lambda: make(nn.ReLU()),
}
_REWARDS = {"in membranes": "membrane_coded"}
_REWARDS |= {name: "softmax_values" for name in NETWORKS if name.startswith("in values")}


def bind(learner: str, network: str) -> Learner:
    """A learner with a network, given the options that fit how it ends.

    Raises:
        LfpSnnError: the learner refuses such a network.
    """
    kind = LEARNERS[learner]
    options: dict[str, Any] = {"name": learner}
    if learner == "lfp" and network in _REWARDS:
        options["reward"] = {"name": _REWARDS[network]}
    if "loss" in kind.Options.model_fields and network == "in membranes":
        options["loss"] = "ce_max_membrane_loss"
    return kind.from_options(NETWORKS[network](), kind.Options.model_validate(options))


class ByHand(nn.Module):
    """A synapse and a neuron that is handed its state."""

    def __init__(self, inputs: int = 5) -> None:
        super().__init__()
        self.fc, self.lif = nn.Linear(inputs, 2), snn.Leaky(beta=0.9)


class Loops(ByHand):
    """It loops over time itself."""

    def forward(self, x: Tensor) -> Tensor:
        mem, record = self.lif.init_leaky(), []
        for frame in x:
            spk, mem = self.lif(self.fc(frame), mem)
            record.append(spk)
        return torch.stack(record)
