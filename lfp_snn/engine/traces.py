r"""Stages that learn while a sequence runs: traces hold what is needed of earlier steps.

The scan over time (:mod:`lfp_snn.lif`) is linear in the relevance that arrives. Let one unit of it,
at step k and nothing later, give the credit :math:`g_k` to the current and hand :math:`m_k` on to
the membrane before; under the epsilon rule :math:`g_k = 1 / D_k` and
:math:`m_k = \beta v_k / D_k`. Then

.. math::

    \sum_t x_t n_t = \sum_k R_k e_k, \qquad e_k = g_k x_k + m_k e_{k-1}

for any :math:`x_t` that the feedback of a parameter is made of: an *eligibility*, formed forwards,
which meets the relevance of its own step only. The relevance of later steps has been dealt with at
earlier ones, and nothing of a step needs to be kept.

A rule that takes credit itself (:class:`lfp_snn.rules.CreditRule`) gives :math:`a_k c_k` of it to
the membrane, also at silence, and what a step hands on is :math:`h_k n_k`, of which the one before
takes the share :math:`\tau_{k-1}`. Then

.. math:: \sum_t x_t n_t = \sum_k a_k c_k E_k, \qquad E_k = x_k + h_k \tau_{k-1} E_{k-1}

A parameter of neurons has an eligibility per neuron, and so does the synapse of the
:class:`TracedReadout` per weight: within the layer both are exact. For all other synapses one per
weight and sample would be too many. There, with :math:`E_k = e_k / g_k`,

.. math::

    E_k = x_k + \frac{m_k\, g_{k-1}}{g_k} E_{k-1} \approx \bar x_k = x_k + \lambda \bar x_{k-1}

takes one constant :math:`\lambda` in place of a factor for each neuron and step, so that the trace
is one per input: :mod:`lfp_snn.engine.traced_stages`. Where a rule carries the decay alone, and no
reset is to zero, the factor is the decay, and within the layer nothing is approximated. Credit goes
down at the step at which it arises; what a layer would hand to earlier steps of the layers below is
left out.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from typing_extensions import override

from lfp_snn import lif
from lfp_snn.cells import Arriving
from lfp_snn.engine import norms, synapses
from lfp_snn.engine.fixed import FixedPoint
from lfp_snn.engine.graph import Node, Program
from lfp_snn.engine.linear_map import LearnedMap
from lfp_snn.engine.neurons import Leaky, reduce_to
from lfp_snn.engine.shapes import Identity
from lfp_snn.engine.stage import Credits, Feedback, Rules, Spiking, Stage, Tape, Wanted
from lfp_snn.engine.traced_stages import TracedNorm, TracedSynapse, follow
from lfp_snn.errors import NetworkError
from lfp_snn.rules import CONTRIBUTION, CreditRule, Rule

__all__ = ["CARRIED", "TracedReadout", "TracedNeurons", "on_traces"]

#: The constant of a trace relative to the decay of the neurons, unless told: about the mean of the
#: factors that it stands for, at steps in which a neuron spikes (benchmarks/online.py).
CARRIED = 0.75


def on_traces(program: Program, rules: Rules, carry: float | None = None) -> Program:
    """A program whose stages learn from traces, made from one on the reference stages.

    Each pass over it is one step of a stream.

    Args:
        program: the program on the reference stages.
        rules: the rules of its synapses and neurons, by name.
        carry: the constant of all traces; None for the decay of the neurons that a synapse feeds,
            under a rule that carries it alone, or else :data:`CARRIED` times that.

    Raises:
        NetworkError: there are no traces for a neuron or a rule.
    """
    _refuse(program, rules)
    fed: dict[Stage, list[Leaky]] = {}
    for neurons in program.spiking():
        assert isinstance(neurons, Leaky)
        for before in (*program.feeding(neurons), *program.norms(neurons)):
            fed.setdefault(before, []).append(neurons)
    nodes = []
    for k, node in enumerate(program.nodes):
        stage = node.stage
        if isinstance(stage, Leaky):
            stage = TracedNeurons(stage, rules[stage.name])
        elif isinstance(stage, synapses.Synapse | norms.Normalisation):
            above = fed.get(stage, [])
            exact = all(_carries_decay(rules[neurons.name]) for neurons in above)
            share = 1.0 if exact else CARRIED
            if isinstance(stage, synapses.Synapse):
                stage = TracedSynapse(stage, above, carry, share=share, place=k)
            else:
                stage = TracedNorm(stage, above, carry, share=share, place=k)
        nodes.append(Node(stage, node.inputs))
    output = program.output
    assert isinstance(output, Leaky)
    (current,) = program.nodes[-1].inputs
    last = program.nodes[current - 1].stage if current else None
    alone = sum(current in node.inputs for node in program.nodes) == 1
    if isinstance(last, synapses.Linear) and alone:
        nodes[current - 1] = Node(Identity(last.name), nodes[current - 1].inputs)
        nodes[-1] = Node(TracedReadout(last, output, rules[output.name]), nodes[-1].inputs)
    return Program(tuple(nodes))


def _refuse(program: Program, rules: Rules) -> None:
    for stage in (node.stage for node in program.nodes):
        if isinstance(stage, Spiking) and type(stage) not in (Leaky, FixedPoint):
            raise NetworkError(
                f"Neuron '{stage.name}' ({stage.describe()}) is none for which there are traces: "
                "online() knows Leaky; for long sequences of others take memory='chunked'."
            )
        if isinstance(stage, Leaky) and stage.graded:
            raise NetworkError(
                f"Neuron '{stage.name}' has graded spikes, for whose factor there is no trace: "
                "build it with graded_spikes_factor=1, or train without online()."
            )
        if isinstance(stage, LearnedMap):
            raise NetworkError(
                f"Stage '{stage.name}' learns {', '.join(stage.learned)}, for which there is no "
                "trace: online() knows parameters of linear layers, convolutions and "
                "normalisations; train without it."
            )
        if isinstance(stage, synapses.Synapse) and rules[stage.name].at_synapse != CONTRIBUTION:
            raise NetworkError(
                f"Synapse '{stage.name}' has the rule {rules[stage.name]!r}, which needs the input "
                "of each step and not a trace of it: online() knows epsilon, norm, pass and "
                "rescale."
            )


def _carries_decay(rule: Rule) -> bool:
    return isinstance(rule, CreditRule) and rule.carries_decay


class _Flow(NamedTuple):
    """The flow of credit through one step, for each unit that arrives at the membrane ``[B, ...]``.

    An eligibility is ``now * x + carry * trace``, of which the share ``kept`` is left as the trace;
    ``gain`` goes on to the current. What arrives is relevance, or under a rule that takes credit
    itself, the credit of the membrane.
    """

    gain: Tensor | float
    now: Tensor
    carry: Tensor
    kept: Tensor | float


class TracedNeurons(Spiking):
    r"""Leaky neurons that learn while they run, from eligibilities of their parameters.

    What a parameter learns is :math:`\sum_k R_k e_k`, or :math:`\sum_k a_k c_k E_k`, with the
    :math:`x_k` of :func:`lfp_snn.lif.parameter_feedback`, :math:`v_k` for the decay and
    :math:`-r_k` for the threshold.

    Args:
        neurons: the reference stage of the neurons.
        rule: the rule of the neurons.
    """

    def __init__(self, neurons: Leaky, rule: Rule) -> None:
        super().__init__(neurons.name, neurons.module)
        self.neurons = neurons
        self.unit_rule = rule

    @override
    def forward(self, run: Tape, *inputs: Tensor) -> Tensor:
        (current,) = inputs
        spikes = self.neurons.forward(run, current)
        flow = self._flow(run)
        run.keep(self, (flow, self._eligible(run, flow)))
        return spikes

    def _flow(self, run: Tape) -> _Flow:
        current, _, membranes, state, dynamics = run.kept[self.neurons]
        ones = torch.ones_like(membranes)
        if isinstance(self.unit_rule, CreditRule):
            takes, hands = lif.carry_factors(membranes, current, dynamics, self.unit_rule, state)
            return _Flow(1.0, ones[0], hands[0], takes[0])
        # Of one unit of relevance: what the current takes, and what the membrane before takes.
        gain, handed = lif.credit(ones, membranes, current, dynamics, self.unit_rule, state)
        return _Flow(gain, gain[0], handed, 1.0)

    def _eligible(self, run: Tape, flow: _Flow) -> list[tuple[Tensor, Tensor]]:
        """The parameters of these neurons that learn, with the eligibility ``[B, ...]`` of each."""
        _, _, membranes, state, dynamics = run.kept[self.neurons]
        before = torch.zeros_like(membranes[0]) if state is None else state
        beta, threshold = self.neurons.module.beta, self.neurons.module.threshold
        found = []
        if Feedback.wanted(beta):
            inside = (beta >= 0) & (beta <= 1)
            arrived = flow.now * dynamics.kept(before) * inside
            found.append((beta, follow(run, f"beta of {self.name}", arrived, *flow[2:])))
        if Feedback.wanted(threshold):
            pending = (before > dynamics.threshold) & (dynamics.reset == "subtract")
            arrived = -flow.now * pending
            found.append((threshold, follow(run, f"threshold of {self.name}", arrived, *flow[2:])))
        return found

    @override
    def spikes(self, run: Tape) -> Tensor:
        return self.neurons.spikes(run)

    @override
    def receive(
        self, run: Tape, arriving: Arriving, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        rule = self.unit_rule
        if not isinstance(rule, CreditRule):
            return super().receive(run, arriving, feedback, rules, wanted)
        arrived = self.neurons.at_membrane(run, rule, arriving, feedback)
        return self._learn(run, arrived, feedback, wanted)

    @override
    def credit_relevance(
        self, run: Tape, relevance: Tensor, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        return self._learn(run, relevance, feedback, wanted)

    def _learn(self, run: Tape, arrived: Tensor, feedback: Feedback, wanted: Wanted) -> Credits:
        """Add to the feedback, from what arrived ``[1, B, ...]``; gives the current's credit."""
        flow, eligible = run.kept[self]
        for parameter, eligibility in eligible:
            each = arrived[0]
            if eligibility.dim() > each.dim():  # one for each input
                each = each[..., None]
            feedback.add(parameter, reduce_to((each * eligibility).sum(0), parameter))
        return self._hand_on(run, arrived * flow.gain, wanted)

    def _hand_on(self, run: Tape, n: Tensor, wanted: Wanted) -> Credits:
        """The credit of the input, from the credit of the current."""
        return (n,)

    @override
    def parameters(self) -> dict[str, Tensor]:
        return self.neurons.parameters()


class TracedReadout(TracedNeurons):
    r"""The output neurons with the linear layer that feeds them, exact within the layer.

    .. math::

        e_{k,ij} = g_{k,j} x_{k,i} + m_{k,j} e_{k-1,ij} \qquad
        \mathrm{feedback}(w_{ij}) = |w_{ij}| \sum_{k,b} R_{k,j} e_{k,ij}

    The eligibilities ``[B, out, in]`` are affordable where the outputs are few.

    Args:
        synapse: the reference stage of the linear layer.
        neurons: the reference stage of the output neurons.
        rule: the rule of the output neurons.
    """

    def __init__(self, synapse: synapses.Linear, neurons: Leaky, rule: Rule) -> None:
        super().__init__(neurons, rule)
        self.synapse = synapse

    @override
    def forward(self, run: Tape, *inputs: Tensor) -> Tensor:
        (x,) = inputs
        spikes = super().forward(run, self.synapse.forward(run, x))
        flow, eligible = run.kept[self]
        synapse = self.synapse
        if Feedback.wanted(synapse.weight):
            arrived = flow.now[..., None] * x[0][..., None, :]
            name = f"weight of {self.synapse.name}"
            kept = flow.kept if isinstance(flow.kept, float) else flow.kept[..., None]
            eligible.append(
                (synapse.weight, follow(run, name, arrived, flow.carry[..., None], kept))
            )
        if Feedback.wanted(synapse.bias):
            name = f"bias of {self.synapse.name}"
            eligible.append((synapse.bias, follow(run, name, flow.now, *flow[2:])))
        return spikes

    @override
    def _hand_on(self, run: Tape, n: Tensor, wanted: Wanted) -> Credits:
        if wanted[0] is None:
            return (None,)
        weight = self.synapse.weight
        x = run.kept[self.synapse]
        return (self.synapse.products(x, n, weight, feedback=False, credit=True)[2],)

    @override
    def parameters(self) -> dict[str, Tensor]:
        return {**self.synapse.parameters(), **super().parameters()}
