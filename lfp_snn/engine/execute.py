"""Run a program forwards and backwards.

Values travel as tensors or, between stages that work on events, as :class:`~lfp_snn.Spikes`.
The credit of a value has its form: a tensor of its shape, or one number per entry of its list.
A relevance that travels beside it is always dense.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import cycle

import torch
from torch import Tensor

from lfp_snn.backends.packed import PackedSpikes
from lfp_snn.cells import Arriving
from lfp_snn.engine.graph import Program
from lfp_snn.engine.stage import (
    Credits,
    Emitted,
    Feedback,
    Form,
    Relevance,
    Rules,
    Spiking,
    Stage,
    Tape,
    Value,
    Wanted,
)
from lfp_snn.spikes import Spikes

__all__ = ["advance", "begin", "run_backward", "run_forward", "sit_out_backward", "sit_out_forward"]


def run_forward(program: Program, run: Tape, value: Value) -> Value:
    """Run all stages on the input of the network; gives the output ``[T, B, C]``."""
    values = begin(run, value)
    advance(program, run, values, len(program.nodes))
    found = values[-1]
    assert found is not None
    value = found.dense(run.dtype) if isinstance(found, PackedSpikes) else found
    if isinstance(value, Tensor):
        value = value.to(run.dtype)
    if isinstance(value, Tensor) and len(value) != run.steps:  # constant over time
        value = run.every_step(value)
        run.forms[-1] = value.shape
    return value


def begin(run: Tape, value: Value) -> list[Emitted | None]:
    """Note the form of the input of a network; gives the values to :func:`advance` from."""
    run.forms.append(_form(value))
    return [value]


def advance(program: Program, run: Tape, values: list[Emitted | None], stop: int) -> None:
    """Run the stages that follow the values that are there, as far as a stage.

    Args:
        program: the stages of the network.
        run: the pass; the form of each value is added to it.
        values: the input of the network and the value of each stage that has run. Those of further
            stages are added; one that no later stage takes becomes None.
        stop: the number of stages that have run in the end.
    """
    dense: dict[int, Tensor] = {}

    def take(i: int, stage: Stage) -> Emitted:
        value = values[i]
        assert value is not None
        if isinstance(value, Spikes):
            if stage.takes_spikes:
                return value
            if i not in dense:
                dense[i] = value.dense(run.dtype if value.values is not None else run.spike_dtype)
            value = dense[i]
        elif isinstance(value, PackedSpikes):
            if stage.takes_packed:
                return value
            if i not in dense:
                dense[i] = value.dense(run.spike_dtype)
            value = dense[i]
        return value if stage.takes_narrow else value.to(run.dtype)

    for k in range(len(values) - 1, stop):
        node = program.nodes[k]
        inputs = [take(i, node.stage) for i in node.inputs]
        with run.timed(node.stage.name, "forward"):
            given = node.stage.forward(run, *inputs)
        values.append(given)
        run.forms.append(_form(given))
        for i in program.last_used(k):
            values[i] = None
            dense.pop(i, None)


def run_backward(
    program: Program,
    run: Tape,
    reward: Tensor,
    feedback: Feedback,
    rules: Rules,
    of_input: bool,
    as_credit: bool = False,
) -> tuple[Tensor | None, Tensor | None]:
    """Send a reward back through all stages.

    Args:
        program: the stages of the network.
        run: the recorded pass.
        reward: the reward ``[T, B, C]`` at the output.
        feedback: the sums to which the stages add.
        rules: the rule of each stage, by name.
        of_input: whether the credit of the input is wanted.
        as_credit: whether the reward is credit of the output at every step, and no relevance.

    Returns:
        The credit of the input and the relevance beside it, if they are wanted and there are any.
        The pass then also notes the relevance that arrived at each population.
    """
    run.opened.clear()
    wanted = _wanted(program, run, rules, of_input)
    arrived: tuple[Tensor | None, Tensor | None]
    run.arrived.clear()
    credits: list[Tensor | None] = [None] * len(run.forms)
    beside: list[Tensor | None] = [None] * len(run.forms)
    for k, node in reversed(list(enumerate(program.nodes))):
        asked = [wanted[i] for i in node.inputs]
        if node.stage is program.output:
            output = program.output
            c, r = (reward, None) if as_credit else (None, reward)
            entering = Arriving(c, r, at_output=True)
            with run.timed(output.name, "backward"):
                found = output.receive(run, entering, feedback, rules, asked)
            arrived = None, output.spikes(run) * reward if as_credit and of_input else reward
        else:
            arrived = credits[k + 1], beside[k + 1]
            credits[k + 1] = beside[k + 1] = None
            with run.timed(node.stage.name, "backward"):
                found = _send(node.stage, run, *arrived, feedback, rules, asked)
        if of_input and isinstance(node.stage, Spiking):
            form = wanted[k + 1]
            form = run.forms[k + 1] if form is None else form
            run.arrived[node.stage.name] = _by_unit(node.stage, run, form, *arrived)
        for each, i in zip(found, cycle(node.inputs), strict=False):
            form = wanted[i]
            if form is None or each is None:
                continue
            if isinstance(each, Relevance):
                kind, fitted = beside, each.value.sum_to_size(_dense_shape(form))
            else:
                kind, fitted = credits, _fit(each, form)
            if not (i and program.nodes[i - 1].stage.takes_narrow):
                fitted = fitted.to(run.dtype)
            known = kind[i]
            kind[i] = fitted if known is None else known + fitted
        if feedback.shared:
            feedback.complete(program.first_used(k))
    return credits[0], beside[0]


def sit_out_forward(program: Program, run: Tape) -> None:
    """Take part in what processes exchange during a forward pass, without a sample."""
    for node in program.nodes:
        node.stage.sit_out(run)


def sit_out_backward(program: Program, run: Tape, feedback: Feedback, rules: Rules) -> None:
    """Take part in what processes exchange during a backward pass, without a sample."""
    learning = [False]  # for each value, the input first: does anything before it take feedback?
    for node in program.nodes:
        own = Feedback.wanted(*node.stage.parameters().values())
        learning.append(own or any(learning[i] for i in node.inputs))
    for k, node in reversed(list(enumerate(program.nodes))):
        if learning[k + 1]:
            node.stage.sit_out_backward(run, rules, before=learning[node.inputs[0]])
        feedback.complete(program.first_used(k))


def _send(
    stage: Stage,
    run: Tape,
    credit: Tensor | None,
    relevance: Tensor | None,
    feedback: Feedback,
    rules: Rules,
    asked: Wanted,
) -> Credits:
    """What a stage hands back to its inputs: credit for credit, and relevance for relevance."""
    if relevance is None:
        return () if credit is None else stage.backward(run, credit, feedback, rules, asked)
    if isinstance(stage, Spiking):
        return stage.receive(run, Arriving(credit, relevance), feedback, rules, asked)
    handed = tuple(map(Relevance, stage.hand_on(run, relevance)))
    return (
        handed
        if credit is None
        else (*stage.backward(run, credit, feedback, rules, asked), *handed)
    )


def _by_unit(
    stage: Spiking,
    run: Tape,
    form: Form,
    credit: Tensor | None,
    relevance: Tensor | None,
) -> Tensor:
    """The relevance that arrived at the value of a stage, summed over T, ``[B, ...]``."""
    if credit is None:
        shape = _dense_shape(form)[1:]
        return torch.zeros(*shape) if relevance is None else relevance.sum(0)
    if isinstance(form, Spikes):
        share = credit if form.values is None else form.values * credit
        units = form.rows() // form.steps * form.units + form.indices
        total = share.new_zeros(form.batch * form.units).index_add(0, units, share)
        total = total.view(form.shape[1:])
    else:
        total = (stage.sent(run) * credit).sum(0)
    return total if relevance is None else total + relevance.sum(0)


def _form(value: Emitted) -> Form:
    """The form of a value, into which its credit is brought."""
    return value if isinstance(value, Spikes) else value.shape


def _fit(credit: Tensor, form: Form) -> Tensor:
    """Bring credit into the form of its value: sum the axes that the value broadcasts over."""
    if isinstance(form, Spikes):
        return credit if credit.dim() == 1 else form.gather(credit)
    return credit.sum_to_size(form)


def _dense_shape(form: Form) -> Sequence[int]:
    return form.shape if isinstance(form, Spikes) else form


def _wanted(program: Program, run: Tape, rules: Rules, of_input: bool) -> list[Form | None]:
    """The form in which the credit of each value is wanted, if it is.

    The credit of a value is wanted if anything before it takes feedback (for the input: if it was
    asked for).
    """
    wanted: list[Form | None] = [run.forms[0] if of_input else None]
    for node, form in zip(program.nodes, run.forms[1:], strict=True):
        below = [wanted[i] for i in node.inputs]
        learns = Feedback.wanted(*node.stage.parameters().values())
        asked = learns or any(each is not None for each in below)
        wanted.append(node.stage.asks(run, rules, form, below) if asked else None)
    return wanted
