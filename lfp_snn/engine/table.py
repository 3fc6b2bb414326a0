"""A program as a table, for ``repr``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lfp_snn.rules import Composite, Rule
from lfp_snn.spikes import Spikes

if TYPE_CHECKING:
    from lfp_snn.engine.temporal import TemporalLFP

__all__ = ["program_table"]

HEADINGS = ("stage", "kind", "output", "parameters", "rule")


def program_table(lfp: TemporalLFP, forms: Sequence[torch.Size | Spikes]) -> str:
    """Stages, shapes (known after a forward pass), parameters and the rule of each."""
    rows = [HEADINGS]
    for k, node in enumerate(lfp._program.nodes):
        stage = node.stage
        output = "x".join(map(str, _shape(forms[k + 1])[2:])) if forms else "?"
        parameters = ", ".join(_value(name, p) for name, p in stage.parameters().items())
        rows.append(
            (stage.name, stage.describe(), output, parameters or "-", stage.rule(lfp.rules))
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADINGS))]
    dtype = str(lfp.dtype).removeprefix("torch.")
    lines = [
        f"TemporalLFP(rule={_rule(lfp.rule)}, backend={lfp.backend}, device={lfp.device}, {dtype})"
    ]
    lines += [
        "  " + "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    total = sum(p.numel() for p in lfp.parameters() if p.requires_grad)
    return "\n".join([*lines, f"  {total:,} parameters take feedback"])


def _rule(rule: Rule | Composite) -> str:
    """A composite by its name: the rows show what it gives to each stage."""
    return type(rule).__name__ if isinstance(rule, Composite) else repr(rule)


def _shape(form: torch.Size | Spikes) -> Sequence[int]:
    return form.shape if isinstance(form, Spikes) else form


def _value(name: str, p: Tensor) -> str:
    """A scalar by its value, anything larger by its shape."""
    if p.numel() == 1:
        return f"{name}={float(p):g}"
    return f"{name} {'x'.join(map(str, p.shape))}"
