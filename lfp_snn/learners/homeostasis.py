r"""Homeostasis: silent neurons wake.

A neuron that never spikes hands no relevance on and, where its inputs are silent too, receives
none. Homeostasis watches how often each neuron fires and moves its bias or its threshold after
every step, outside the reward:

.. math::

    a_j &\leftarrow m\, a_j + (1 - m)\, \mathrm{rate}_j \\
    b_j &\leftarrow b_j + \eta\, (a^* - a_j) \qquad \text{or} \qquad
    \theta_j \leftarrow \theta_j - \eta\, (a^* - a_j)

with the mean number of spikes per step :math:`\mathrm{rate}_j` in the batch, its running mean
:math:`a_j` and the target :math:`a^*`. Where one bias or threshold serves many neurons (a channel,
a population), their mean counts. A bias that was zero has a size afterwards, so that it can learn.

Source: Turrigiano, Cell 2008 (homeostatic plasticity); Diehl and Cook, Front. Comput. Neurosci.
2015 (adaptive thresholds in SNNs).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from lfp_snn.engine.exchange import Exchange
from lfp_snn.errors import NetworkError
from lfp_snn.later import nn, torch
from lfp_snn.options import Section

if TYPE_CHECKING:
    from torch import Tensor

    from lfp_snn.engine import TemporalLFP
    from lfp_snn.engine.layers import Layer

__all__ = ["Homeostasis", "HomeostasisOptions"]


class HomeostasisOptions(Section):
    """The options by which silent neurons are woken.

    Attributes:
        adapt: what is moved, the ``bias`` of the synapse or the ``threshold`` of the neuron.
        target: the spikes per neuron and step to reach.
        rate: the size of a step per unit of distance from the target.
        memory: the share of the running mean that a step keeps.
        only_wake: whether to leave neurons alone that fire more often than the target.
    """

    adapt: Literal["bias", "threshold"] = "bias"
    target: float = Field(default=0.02, gt=0, lt=1)
    rate: float = Field(default=0.1, gt=0)
    memory: float = Field(default=0.9, ge=0, lt=1)
    only_wake: bool = True


class Homeostasis:
    """Homeostasis of a network: moves biases or thresholds until neurons fire at a target rate.

    Args:
        engine: the network; all populations that can spike take part, the output too.
        options: the options, :class:`HomeostasisOptions`.

    Raises:
        NetworkError: the network has no neurons, or biases are to be moved and a population has
            none.
    """

    def __init__(self, engine: TemporalLFP, options: HomeostasisOptions) -> None:
        self.options = options
        self.layers = [layer for layer in engine.layers if layer.spikes]
        if not self.layers:
            raise NetworkError(
                "Homeostasis wakes neurons, and the network has none that spike: switch it off "
                "(homeostasis: null)."
            )
        self.means: dict[str, Tensor] = {}
        self._seen: dict[str, Tensor] = {}  # spikes behind each entry of what is moved
        self._steps = 0  # of the samples in which they were seen
        for layer in self.layers:
            self._moved(layer)

    def watch(self, spikes: Mapping[str, Tensor], lengths: Tensor | None) -> None:
        """Count the spikes ``[T, B, ...]`` of a batch, by population.

        Raises:
            NetworkError: a bias does not belong to single neurons or channels of its population.
        """
        for layer in self.layers:
            fired = spikes[layer.name]
            self._seen[layer.name] = self._by_entry(
                layer, (fired != 0).sum((0, 1), dtype=fired.dtype)
            )
        steps, batch = next(iter(spikes.values())).shape[:2]
        self._steps = steps * batch if lengths is None else int(lengths.sum())

    def _follow(self, exchange: Exchange | None) -> None:
        """Take the spikes that all processes counted into the running means."""
        memory = self.options.memory
        for layer in self.layers:
            seen = self._seen.pop(layer.name, torch.zeros_like(self._moved(layer)))
            steps: Tensor | int = self._steps
            if exchange is not None:
                total = exchange.sum(torch.cat([seen.flatten(), seen.new_tensor([self._steps])]))
                seen, steps = total[:-1].view(seen.shape), total[-1]
            rate, mean = seen / steps, self.means.get(layer.name)
            # The mean begins with the first batch, not with a start at zero.
            self.means[layer.name] = rate if mean is None else memory * mean + (1 - memory) * rate
        self._steps = 0

    def move(self, exchange: Exchange | None = None) -> None:
        """Make one step towards the target, after a batch was watched.

        Args:
            exchange: the exchange with the processes that watched other samples of the same batch.
        """
        with torch.no_grad():
            if self._seen or exchange is not None:
                self._follow(exchange)
            for layer in self.layers:
                missing = self.options.target - self.means[layer.name]
                if self.options.only_wake:
                    missing = missing.clamp(min=0)
                moved, step = self._moved(layer), self.options.rate * missing
                if self.options.adapt == "bias":
                    moved.add_(step.to(moved.dtype))
                else:
                    moved.sub_(step.to(moved.dtype)).clamp_(min=0)

    def _moved(self, layer: Layer) -> Tensor:
        """The parameter that is moved: the bias of the synapse that runs last, or the threshold."""
        if self.options.adapt == "threshold":
            threshold: Tensor = layer.neuron.threshold  # type: ignore[assignment]
            return threshold
        biases = [synapse.bias for _, synapse in layer.synapses]
        if not biases or not isinstance(biases[-1], torch.Tensor):
            raise NetworkError(
                f"Homeostasis moves biases, and neuron '{layer.name}' is fed by no synapse with a "
                "bias: build it with bias=True, or set adapt to threshold."
            )
        return biases[-1]

    def _by_entry(self, layer: Layer, rate: Tensor) -> Tensor:
        """The mean rate of the neurons behind each entry of the parameter that is moved."""
        moved = self._moved(layer)
        if self.options.adapt == "bias":
            linear = isinstance(layer.synapses[-1][1], nn.Linear)
            shared = rate.movedim(-1, 0) if linear else rate
            if len(shared) != len(moved):
                raise NetworkError(
                    f"Homeostasis moves biases, but those that feed neuron '{layer.name}' "
                    f"({len(moved)}) do not fit its neurons {tuple(rate.shape)}: put reshaping "
                    "behind the neuron, or set adapt to threshold."
                )
            return shared.flatten(1).mean(1) if shared.dim() > 1 else shared
        total = rate.sum_to_size(moved.shape) if moved.dim() else rate.sum()
        return total * (total.numel() / rate.numel())

    def state_dict(self) -> dict[str, Tensor]:
        """The running means, by population."""
        return dict(self.means)

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Take over what :meth:`state_dict` gave."""
        device = next(iter(self.layers)).neuron.threshold.device
        self.means = {name: mean.to(device) for name, mean in state.items()}  # type: ignore[arg-type]
