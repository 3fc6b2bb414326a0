"""What a notebook shows: of a network, of a training while it runs, and of what it came to."""

from __future__ import annotations

import html
import re
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import snntorch as snn
import torch
from torch import nn

from lfp_snn import TemporalLFP
from lfp_snn.data import Splits
from lfp_snn.markup import bar, paragraph, table
from lfp_snn.models import build
from lfp_snn.training import fit
from lfp_snn.training.notebook import in_notebook
from tests.training.conftest import CLASSES, UNITS


def cells(text: str) -> list[str]:
    return [html.unescape(each) for each in re.findall(r"<t[dh] [^>]*>(.*?)</t[dh]>", text)]


class ZMQInteractiveShell:
    """The kind of shell that a kernel has."""


class Handle:
    """What IPython hands out for an output that is updated."""

    def __init__(self) -> None:
        self.shown: list[str] = []

    def update(self, shown: Any) -> None:
        self.shown.append(shown.data)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Handle:
    """A process that looks like the kernel of a notebook."""
    handle = Handle()
    shown = SimpleNamespace(
        HTML=lambda text: SimpleNamespace(data=text), display=lambda first, display_id: handle
    )
    shell = SimpleNamespace(get_ipython=ZMQInteractiveShell, display=shown)
    monkeypatch.setitem(sys.modules, "IPython", shell)
    monkeypatch.setitem(sys.modules, "IPython.display", shown)
    return handle


def test_fit_shows_its_progress(
    kernel: Handle, net: nn.Module, splits: Splits, settings: dict[str, Any]
) -> None:
    assert in_notebook()
    result = fit(net, splits, **settings)
    assert "epoch 1/4" in kernel.shown[0]
    assert "width:100.0%" in "".join(kernel.shown)
    last = cells(kernel.shown[-1])
    assert last[:6] == ["epoch", "training", "validation", "firing Leaky 12 (1)",
                        "firing Leaky 3 (3)", "time"]  # fmt: skip
    told = [f"{100 * each['val_accuracy']:.1f} %" for each in result.metrics]
    assert last[8::6] == told


def test_nothing_is_shown_where_no_progress_is_asked_for(
    kernel: Handle, net: nn.Module, splits: Splits, settings: dict[str, Any]
) -> None:
    fit(net, splits, progress=False, **{**settings, "epochs": 1})
    assert kernel.shown == []


def test_a_result_shows_itself(net: nn.Module, splits: Splits, settings: dict[str, Any]) -> None:
    result = fit(net, splits, **settings)
    shown = cells(result._repr_html_())
    assert shown[:2] == ["test accuracy", f"{100 * result.test_accuracy:.2f} %  of 15"]
    assert result.layers == {"1": "Leaky 12 (1)", "3": "Leaky 3 (3)"}
    firing = shown[shown.index("firing in the test") + 1]
    assert firing.startswith(f"Leaky 12 (1): {100 * result.firing['1']:.1f} %  Leaky 3 (3): ")
    assert shown.count("4") == 1  # a line of each epoch


class Named(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(UNITS, 7), nn.Linear(7, CLASSES)
        self.lif1 = snn.Leaky(beta=0.9, init_hidden=True)
        self.lif2 = snn.Leaky(beta=0.9, init_hidden=True, output=True)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.lif2(self.fc2(self.lif1(self.fc1(x))))  # type: ignore[no-any-return]


def test_populations_are_called_what_they_are() -> None:
    named = TemporalLFP(Named())
    assert named.labels() == {"lif1": "lif1, Leaky", "lif2": "lif2, Leaky"}
    named.forward(torch.ones(4, 2, UNITS))
    assert named.labels() == {"lif1": "lif1, Leaky 7", "lif2": f"lif2, Leaky {CLASSES}"}
    maps = nn.Sequential(
        nn.Conv2d(1, 2, 3), snn.Leaky(beta=0.9, init_hidden=True), nn.Flatten(), nn.Linear(18, 3)
    )
    numbered = TemporalLFP(maps)
    numbered.forward(torch.ones(4, 2, 1, 5, 5))
    assert next(iter(numbered.labels().values())) == "Leaky 2x3x3 (1)"


def test_a_network_shows_itself() -> None:
    lfp = TemporalLFP(build("mlp", (UNITS,), CLASSES, hidden=[12]))
    lfp.forward(torch.ones(4, 2, UNITS))
    shown = lfp._repr_html_()
    assert cells(shown)[:6] == ["stage", "kind", "output", "parameters", "rule", "kernel"]
    assert all(html.escape(word) in shown for word in repr(lfp).split())


def test_texts_are_escaped() -> None:
    evil = "<script>alert('&')</script>"
    for shown in (table([(evil,)], [evil]), paragraph(evil), bar(0.5, evil)):
        assert "<script>" not in shown and html.escape(evil) in shown
