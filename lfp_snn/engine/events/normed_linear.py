"""``nn.Linear``, a normalisation, and its neurons: the products on lists of spikes.

The currents of a fully connected layer are no more than its membranes, so that they are kept and
the normalisation is the reference's, of any kind, on both ways. What takes time, the three products
with the weight, needs the active inputs alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

import torch
from torch import Tensor
from typing_extensions import override

from lfp_snn.backends.events.formulas import shares_of
from lfp_snn.backends.events.linear import linear_currents
from lfp_snn.backends.events.linear_backward import cut_credit, linear_products
from lfp_snn.backends.events.lists import Lists
from lfp_snn.backends.events.rescale import Counted
from lfp_snn.engine.events.layer import array, entries_asked, optional
from lfp_snn.engine.events.linear import EventLinear
from lfp_snn.engine.events.normed import EventNormed
from lfp_snn.engine.events.stage import Arrived, as_lists
from lfp_snn.engine.kernels import Group
from lfp_snn.engine.neurons import Leaky
from lfp_snn.engine.norms import Normalisation
from lfp_snn.engine.stage import Feedback, Form, Rules, Tape, Value
from lfp_snn.engine.synapses import Linear
from lfp_snn.spikes import Spikes

__all__ = ["EventNormedLinear"]


class EventNormedLinear(EventNormed, EventLinear):
    """``nn.Linear``, a normalisation of its currents, and its neurons."""

    @classmethod
    @override
    def of(cls, group: Group) -> Self:
        """The stage for a fully connected layer, its norm and its neurons."""
        synapse, norm, neurons = group.stages
        assert isinstance(synapse, Linear)
        assert isinstance(norm, Normalisation)
        assert isinstance(neurons, Leaky)
        made = cls(
            synapse,
            neurons,
            None,
            from_input=group.from_input,
            by_sign=shares_of(group.rules[synapse.name].at_synapse) is not None,
            is_output=group.is_output,
        )
        made.norm = norm
        return made

    @override
    def run_events(self, run: Tape, x: Spikes, *, was_tensor: bool) -> Value:
        currents, blocks = linear_currents(
            as_lists(x), array(self.synapse.weight), optional(self.synapse.bias), self.ahead
        )
        run.keep(self, (x, was_tensor, blocks))
        current = torch.from_numpy(currents).view(x.batch, run.steps, -1)
        return self.given.step(run, self.normed(run, current))

    @override
    def send_events(
        self, run: Tape, feedback: Feedback, rules: Rules, wanted: Form | None, arrived: Arrived
    ) -> Tensor | None:
        x, was_tensor, blocks = run.kept[self]
        module = self.synapse.module
        n = self.unnormed(run, self.given.of_current(run, rules, arrived), feedback, rules)
        of_weight = torch.empty(self.synapse.weight.shape, dtype=self.synapse.weight.dtype)
        found = linear_products(
            cut_credit(n.flatten(0, 1).numpy(), self.back),
            as_lists(x),
            blocks,
            module.out_features,
            optional(self.synapse.bias),
            self.back,
            input_credit=entries_asked(x, wanted, was_tensor),
            feedback=of_weight.numpy(),
            shares=self.shares(rules, x),
            scaled=self.synapse.scales(feedback),
        )
        return self.learn(feedback, found, x, was_tensor)

    @override
    def listed(self, run: Tape, rule: Counted) -> Lists:
        return self.given.listed(run, rule)

    @override
    def fired(self, run: Tape) -> tuple[Lists, Sequence[int]]:
        return run.kept[self.given][0].out, (self.synapse.module.out_features,)
