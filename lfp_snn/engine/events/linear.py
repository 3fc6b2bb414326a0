"""``nn.Linear`` and its neurons on lists of spikes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from typing_extensions import override

from lfp_snn.backends.events import scan
from lfp_snn.backends.events.linear import linear_forward
from lfp_snn.backends.events.linear_backward import linear_backward
from lfp_snn.backends.events.lists import Lists
from lfp_snn.backends.events.rescale import Counted
from lfp_snn.backends.events.scan import SynapseFeedback
from lfp_snn.engine import synapses
from lfp_snn.engine.events.layer import EventLayer, array, entries_asked, optional
from lfp_snn.engine.events.stage import Arrived, as_lists, membranes_of
from lfp_snn.engine.stage import Feedback, Form, Rules, Tape, Value
from lfp_snn.spikes import Spikes

__all__ = ["EventLinear"]


class EventLinear(EventLayer):
    """``nn.Linear`` with its neurons."""

    synapse: synapses.Linear
    dense = 0.5

    @override
    def can_list(self, shape: Sequence[int]) -> bool:
        return len(shape) == 3

    @override
    def run_events(self, run: Tape, x: Spikes, *, was_tensor: bool) -> Value:
        module = self.synapse.module
        frame = torch.Size((x.batch, module.out_features))
        neuron = self.constants(frame, run.dtype)
        bias = optional(self.synapse.bias)
        trace = linear_forward(
            as_lists(x),
            run.steps,
            array(self.synapse.weight),
            bias,
            neuron,
            self.ahead,
            **self.start(run, frame),
        )
        run.keep(self, (trace, neuron, x, was_tensor))
        neurons = trace.neurons
        self.finish(run, frame, neurons.state[:, : neurons.units], neurons.out.indices.size)
        if self.is_output:
            run.membranes = membranes_of(neurons, frame)
        return self.emit(run, neurons.out, frame)

    @override
    def send_events(
        self, run: Tape, feedback: Feedback, rules: Rules, wanted: Form | None, arrived: Arrived
    ) -> Tensor | None:
        trace, neuron, x, was_tensor = run.kept[self]
        module = self.synapse.module
        of_weight = torch.empty(self.synapse.weight.shape, dtype=self.synapse.weight.dtype)
        found = linear_backward(
            trace,
            neuron,
            optional(self.synapse.bias),
            self.split(rules),
            self.back,
            input_credit=entries_asked(x, wanted, was_tensor),
            feedback=of_weight.numpy(),
            carried=self.carried(run, (x.batch, module.out_features)),
            shares=self.shares(rules, x),
            scaled=self.synapse.scales(feedback),
            **arrived._asdict(),
        )
        return self.learn(feedback, found, x, was_tensor)

    def learn(
        self, feedback: Feedback, found: SynapseFeedback, x: Spikes, was_tensor: bool
    ) -> Tensor | None:
        """Learn from the sums that a kernel found; gives the credit of the input."""
        scaled = self.synapse.scales(feedback)
        feedback.add(self.synapse.weight, torch.from_numpy(found.weight), scaled=scaled)
        if found.bias is not None:
            feedback.add(self.synapse.bias, torch.from_numpy(found.bias), scaled=scaled)
        return self.hand_back(x, found.credit, was_tensor)

    @override
    def listed(self, run: Tape, rule: Counted) -> Lists:
        if self not in run.kept:
            return self.given.listed(run, rule)
        trace, neuron, _, _ = run.kept[self]
        return scan.open_entries(trace.neurons, neuron, rule, self.gate)

    @override
    def fired(self, run: Tape) -> tuple[Lists, Sequence[int]]:
        trace = run.kept[self][0]
        return trace.neurons.out, (self.synapse.module.out_features,)
