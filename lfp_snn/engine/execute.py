"""Run a program forwards and backwards.

Values travel as tensors or, between stages that work on events, as :class:`~lfp_snn.Spikes`.
The credit of a value has its form: a tensor of its shape, or one number per entry of its list.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lfp_snn.engine.graph import Program
from lfp_snn.engine.stage import Feedback, Pass, Value
from lfp_snn.rules import Rule
from lfp_snn.spikes import Spikes

__all__ = ["run_backward", "run_forward"]


def run_forward(program: Program, run: Pass, value: Value) -> Value:
    """Run all stages on the input of the network; returns the output spikes."""
    values: list[Value | None] = [value]
    dense: dict[int, Tensor] = {}

    def take(i: int, as_spikes: bool) -> Value:
        value = values[i]
        assert value is not None
        if isinstance(value, Tensor) or as_spikes:
            return value
        if i not in dense:
            dense[i] = value.dense(run.dtype)
        return dense[i]

    run.forms.append(_form(value))
    for k, node in enumerate(program.nodes):
        inputs = [take(i, node.stage.takes_spikes) for i in node.inputs]
        value = node.stage.forward(run, *inputs)
        values.append(value)
        run.forms.append(_form(value))
        for i in program.last_used(k):
            values[i] = None
            dense.pop(i, None)
    return value


def run_backward(
    program: Program, run: Pass, reward: Tensor, feedback: Feedback, rule: Rule, of_input: bool
) -> Tensor | None:
    """Send a reward back through all stages; returns the credit of the input if it is wanted."""
    wanted = _wanted(program, of_input)
    credits: list[Tensor | None] = [None] * len(run.forms)
    for k, node in reversed(list(enumerate(program.nodes))):
        asked = [wanted[i] for i in node.inputs]
        if node.stage is program.output:
            found = program.output.credit_relevance(run, reward, feedback, rule, asked)
        else:
            credit = credits[k + 1]
            credits[k + 1] = None
            if credit is None:
                continue
            found = node.stage.backward(run, credit, feedback, rule, asked)
        for i, want, c in zip(node.inputs, asked, found, strict=True):
            if want and c is not None:
                c = _fit(c, run.forms[i])
                known = credits[i]
                credits[i] = c if known is None else known + c
    return credits[0]


def _form(value: Value) -> torch.Size | Spikes:
    """What must be known of a value to bring credit into its form."""
    return value.shape if isinstance(value, Tensor) else value


def _fit(credit: Tensor, form: torch.Size | Spikes) -> Tensor:
    """Credit in the form of its value: whatever axis the value was broadcast over is summed."""
    if isinstance(form, Spikes):
        return credit if credit.dim() == 1 else form.gather(credit)
    return credit.sum_to_size(form)


def _wanted(program: Program, of_input: bool) -> list[bool]:
    """For each value: does anything before it take feedback (or is it the input, asked for)?"""
    wanted = [of_input]
    for node in program.nodes:
        learns = Feedback.wanted(*node.stage.parameters().values())
        wanted.append(learns or any(wanted[i] for i in node.inputs))
    return wanted
