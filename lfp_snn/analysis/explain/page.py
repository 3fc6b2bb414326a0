"""An interactive page of an explanation: one HTML file that needs nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from lfp_snn.analysis.explain.explanation import Explanation
from lfp_snn.analysis.explain.outputs import said
from lfp_snn.analysis.explain.pictures import reach
from lfp_snn.training.files import write_atomic

__all__ = ["write_page"]

DIGITS = 4  # significant, of a relevance in the page


def write_page(explanation: Explanation, path: Path) -> None:
    """Write the page, on which one plays or scrubs through time and hovers over pixels.

    ``page.html#frame=7`` opens at a time step.

    Raises:
        RunError: the file cannot be written.
    """
    environment = Environment(
        loader=PackageLoader("lfp_snn.analysis"), autoescape=True, undefined=StrictUndefined
    )
    # Safe: within a script only "</" and "<!--" could end the text.
    data = Markup(json.dumps(_data(explanation), allow_nan=False).replace("<", "\\u003c"))
    page = environment.get_template("explanation.html").render(
        name=explanation.name,
        verdict=explanation.verdict,
        question=explanation.question,
        method=explanation.method,
        data=data,
    )
    write_atomic(path, page.encode())


def _data(explanation: Explanation) -> dict[str, Any]:
    table = explanation.table
    steps, polarities, height, width = explanation.relevance.shape
    relevance = [float(f"{each:.{DIGITS}g}") for each in table.relevance.tolist()]
    per_step = explanation.relevance.sum((2, 3))
    return {
        "steps": steps,
        "polarities": polarities,
        "height": height,
        "width": width,
        "unit": table.unit,
        "t": table.t.tolist(),
        "x": table.x.tolist(),
        "y": table.y.tolist(),
        "p": table.p.tolist(),
        "relevance": relevance,
        "step": table.step.tolist(),
        "perStep": np.round(per_step, 6).T.tolist(),
        "half": reach(explanation.relevance.sum(1)),
        "classes": list(explanation.classes),
        "shares": explanation.shares.tolist(),
        "said": [said(each, explanation.emits) for each in explanation.scores.tolist()],
        "prediction": explanation.prediction,
        "label": explanation.label,
    }
