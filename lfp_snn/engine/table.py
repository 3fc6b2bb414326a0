"""A program as a table, for ``repr`` and for notebooks, and labels of its populations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor

from lfp_snn.engine.kernels import Plan
from lfp_snn.engine.network import TracedNetwork
from lfp_snn.engine.stage import Form, Stage
from lfp_snn.markup import paragraph, table
from lfp_snn.rules import Composite, Rule
from lfp_snn.spikes import Spikes

__all__ = ["population_labels", "program_html", "program_table", "stage_table"]

HEADINGS = ("stage", "kind", "output", "parameters", "rule", "kernel")


def program_table(lfp: TracedNetwork, plan: Plan, forms: Sequence[Form]) -> str:
    """A program as text: a line about the whole, and its :func:`stage_table`."""
    return f"{_heading(lfp)}\n{stage_table(lfp, plan, forms, plan.kernels)}"


def program_html(lfp: TracedNetwork, plan: Plan, forms: Sequence[Form]) -> str:
    """A program as HTML: a line about the whole, and a table of its stages."""
    rows = _rows(lfp, plan, forms, plan.kernels)
    return paragraph(_heading(lfp), strong=True) + table(rows, HEADINGS) + paragraph(_total(lfp))


def population_labels(plan: Plan, forms: Sequence[Form]) -> dict[str, str]:
    """The label of each population for tables, by its name, such as ``Leaky 512 (4)``."""
    shapes = [_units(forms[k + 1]) if forms else "" for k in range(len(plan.program.nodes))]
    spiking = {each.name for each in plan.program.spiking()}
    stages = (node.stage for node in plan.program.nodes)
    return {
        stage.name: _label(stage, units)
        for stage, units in zip(stages, shapes, strict=True)
        if stage.name in spiking
    }


def _label(stage: Stage, units: str) -> str:
    """Label of a population: ``Leaky 512 (4)`` for a number as its name, ``lif1, Leaky 512`` else.

    Before the first pass the number of units is not known and left out.
    """
    # A kernel that computes several stages in one calls them all by what they are together.
    kind = stage.describe() if stage.module is None else type(stage.module).__name__
    what = f"{kind} {units}".rstrip()
    numbered = all(part.isdecimal() for part in stage.name.split("."))
    return f"{what} ({stage.name})" if numbered else f"{stage.name}, {what}"


def stage_table(
    lfp: TracedNetwork, plan: Plan, forms: Sequence[Form], kernels: Mapping[str, str]
) -> str:
    """A table of the stages: shape (known after a pass), parameters, rule and kernel of each."""
    rows = [HEADINGS, *_rows(lfp, plan, forms, kernels)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADINGS))]
    lines = [
        "  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([*lines, f"  {_total(lfp)}"])


def _rows(
    lfp: TracedNetwork, plan: Plan, forms: Sequence[Form], kernels: Mapping[str, str]
) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for k, node in enumerate(plan.program.nodes):
        stage = node.stage
        output = _units(forms[k + 1]) if forms else "?"
        parameters = ", ".join(_value(name, p) for name, p in stage.parameters().items())
        rule = stage.rule(lfp.rules)
        kernel = kernels.get(stage.name, "torch")
        rows.append((stage.name, stage.describe(), output, parameters or "-", rule, kernel))
    return rows


def _heading(lfp: TracedNetwork) -> str:
    dtype = str(lfp.dtype).removeprefix("torch.")
    how = f"rule={_rule(lfp.rule)}, backend={lfp.backend}, device={lfp.device}, {dtype}"
    return f"{type(lfp).__name__}({how})"


def _total(lfp: TracedNetwork) -> str:
    total = sum(p.numel() for p in lfp.parameters() if p.requires_grad)
    return f"{total:,} parameters take feedback"


def _units(form: Form) -> str:
    """The shape of a frame as text, such as ``12x30x30``."""
    return "x".join(map(str, _shape(form)[2:]))


def _rule(rule: Rule | Composite) -> str:
    """Name of a rule; a composite is shown by its name, since the rows show each stage's rule."""
    return type(rule).__name__ if isinstance(rule, Composite) else repr(rule)


def _shape(form: Form) -> Sequence[int]:
    return form.shape if isinstance(form, Spikes) else form


def _value(name: str, p: Tensor) -> str:
    """A scalar by its value, anything larger by its shape."""
    if p.numel() == 1:
        return f"{name}={float(p.detach()):g}"
    return f"{name} {'x'.join(map(str, p.shape))}"
