r"""The synapse through which neurons hear their own spikes of the step before.

All to all, a convolution, or one to one (a weight for each neuron, a diagonal W):

.. math::

    I_t = \text{current}_t + W s_{t-1} + b

Backwards, a spike receives credit from what comes after in the network and from the step after:

.. math::

    R_t = s_t\, (c_t + W^\top n_{t+1}) \qquad \mathrm{feedback}(W) = |W| \sum_{t,b} n_t s_{t-1}

so that scans go step by step, and the current can't be summed over time beforehand.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.grad import conv2d_weight

from lfp_snn.engine.neurons import reduce_to
from lfp_snn.engine.stage import Feedback
from lfp_snn.errors import NetworkError

__all__ = ["Recurrence"]


class Recurrence:
    """The recurrent synapse of ``snntorch.RLeaky`` or ``snntorch.RSynaptic``.

    Args:
        name: the name of the neuron, for messages.
        neuron: the neuron module.

    Raises:
        NetworkError: the neuron was given another kind of synapse.
    """

    def __init__(self, name: str, neuron: Any) -> None:
        self.synapse: Any = neuron.recurrent
        if not isinstance(self.synapse, nn.Linear | nn.Conv2d) and neuron.all_to_all:
            raise NetworkError(
                f"Neuron '{name}' ({type(neuron).__name__}) has recurrent connections through "
                f"{type(self.synapse).__name__}; expected Linear or Conv2d, or one to one."
            )

    def current(self, spike: Tensor) -> Tensor:
        """The current ``W s_{t-1} + b`` through the recurrent synapse."""
        current: Tensor = self.synapse(spike)
        return current.detach()

    def back(self, n: Tensor) -> Tensor:
        """The credit of the spikes a step before, ``W^T n``."""
        synapse = self.synapse
        if isinstance(synapse, nn.Linear):
            return n @ synapse.weight.detach()
        if isinstance(synapse, nn.Conv2d):
            return F.conv_transpose2d(n, synapse.weight.detach(), padding=_padding(synapse))
        back: Tensor = n * synapse.V.detach()
        return back

    def learn(self, feedback: Feedback, n: Tensor, spoke: Tensor) -> None:
        """Add to the feedback of the synapse, from the credit and the spikes before each step."""
        synapse = self.synapse
        if isinstance(synapse, nn.Linear):
            feedback.add(synapse.weight, n.flatten(0, -2).T @ spoke.flatten(0, -2))
            feedback.add(synapse.bias, n.flatten(0, -2).sum(0))
        elif isinstance(synapse, nn.Conv2d):
            steps, credit = spoke.flatten(0, 1), n.flatten(0, 1)
            shape, padding = synapse.weight.shape, _padding(synapse)
            feedback.add(synapse.weight, conv2d_weight(steps, shape, credit, padding=padding))
            feedback.add(synapse.bias, n.sum((0, 1, 3, 4)))
        else:
            feedback.add(synapse.V, reduce_to((n * spoke).sum((0, 1)), synapse.V))

    def parameters(self) -> dict[str, Tensor]:
        """The parameters of the recurrent synapse, for the program's table."""
        synapse = self.synapse
        return {"V": synapse.V} if hasattr(synapse, "V") else {"recurrent": synapse.weight}


def _padding(synapse: nn.Conv2d) -> tuple[int, int]:
    assert not isinstance(synapse.padding, str)  # snntorch gives numbers
    down, across = synapse.padding
    return down, across
