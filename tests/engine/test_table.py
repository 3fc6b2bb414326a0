"""The table that ``repr`` shows."""

import torch
from torch import nn

from lfp_snn import TemporalLFP
from tests.engine.compare import leaky


def test_repr_shows_stages_shapes_parameters_and_rules() -> None:
    layers = [nn.Conv2d(1, 2, 2), leaky(beta=0.75), nn.MaxPool2d(2), nn.Flatten()]
    lfp = TemporalLFP(nn.Sequential(*layers, nn.Linear(2, 3), leaky()), backend="torch")
    fresh = repr(lfp)
    lfp.forward(torch.ones(2, 1, 1, 3, 3))
    shown = repr(lfp)
    header, headings, *rows, total = shown.splitlines()
    assert "Rescale(gate='positive'" in header
    assert "device=cpu" in header
    assert "float32" in header
    assert headings.split() == ["stage", "kind", "output", "parameters", "rule", "kernel"]
    assert [row.split()[0] for row in rows] == ["0", "1", "2", "3", "4", "5"]
    assert "2x2x2" in rows[0]
    assert "weight 2x1x2x2" in rows[0]
    assert "beta=0.75" in rows[1]
    assert "Rescale" in rows[1]
    assert "winner" in rows[2]
    # 2*1*2*2 + 2 of the convolution, 3*2 + 3 of the linear layer
    assert total.split()[0] == "19"
    assert "2x2x2" not in fresh.splitlines()[2]
    assert "?" in fresh.splitlines()[2]
