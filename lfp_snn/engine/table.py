"""A program as a table, for ``repr``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from lfp_snn.engine.kernels import Plan
from lfp_snn.engine.network import TracedNetwork
from lfp_snn.engine.stage import Form
from lfp_snn.rules import Composite, Rule
from lfp_snn.spikes import Spikes

__all__ = ["program_table", "stage_table"]

HEADINGS = ("stage", "kind", "output", "parameters", "rule", "kernel")


def program_table(lfp: TracedNetwork, plan: Plan, forms: Sequence[Form]) -> str:
    """A line about the whole, and :func:`stage_table`."""
    dtype = str(lfp.dtype).removeprefix("torch.")
    how = f"rule={_rule(lfp.rule)}, backend={lfp.backend}, device={lfp.device}, {dtype}"
    return f"{type(lfp).__name__}({how})\n{stage_table(lfp, plan, forms, plan.kernels)}"


def stage_table(
    lfp: TracedNetwork, plan: Plan, forms: Sequence[Form], kernels: Mapping[str, str]
) -> str:
    """Stages, shapes (known after a forward pass), parameters, rule and kernel of each."""
    rows = [HEADINGS]
    for k, node in enumerate(plan.program.nodes):
        stage = node.stage
        output = "x".join(map(str, _shape(forms[k + 1])[2:])) if forms else "?"
        parameters = ", ".join(_value(name, p) for name, p in stage.parameters().items())
        rule = stage.rule(lfp.rules)
        kernel = kernels.get(stage.name, "torch")
        rows.append((stage.name, stage.describe(), output, parameters or "-", rule, kernel))
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADINGS))]
    lines = [
        "  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    total = sum(p.numel() for p in lfp.parameters() if p.requires_grad)
    return "\n".join([*lines, f"  {total:,} parameters take feedback"])


def _rule(rule: Rule | Composite) -> str:
    """A composite by its name: the rows show what it gives to each stage."""
    return type(rule).__name__ if isinstance(rule, Composite) else repr(rule)


def _shape(form: Form) -> Sequence[int]:
    return form.shape if isinstance(form, Spikes) else form


def _value(name: str, p: Tensor) -> str:
    """A scalar by its value, anything larger by its shape."""
    if p.numel() == 1:
        return f"{name}={float(p.detach()):g}"
    return f"{name} {'x'.join(map(str, p.shape))}"
