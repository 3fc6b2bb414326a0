"""Measures against hand counts."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from lfp_snn.analysis import measures
from lfp_snn.data import Batch
from lfp_snn.learners import LEARNERS
from lfp_snn.models import build
from lfp_snn.spikes import Spikes


def learner_of(net: nn.Module) -> Any:
    kind = LEARNERS["lfp"]
    return kind.from_options(net, kind.Options(name="lfp"))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 1, 1, 1], 0.0),
        ([0, 0, 0, 5], 0.75),  # (n - 1) / n
        ([1, -2, 3, -4], 0.25),
        ([0, 0], 0.0),
    ],
)
def test_gini(values: list[float], expected: float) -> None:
    assert measures.gini(torch.tensor(values, dtype=torch.float32)) == pytest.approx(expected)


def test_sparsity_looks_at_all_tensors_together() -> None:
    result = measures.sparsity([torch.zeros(2, 2), torch.tensor([1.0, 0.0])])
    assert result == {"gini": pytest.approx(5 / 6), "zeros": pytest.approx(5 / 6)}


def test_operations_of_linear_layers_are_active_inputs_times_outputs() -> None:
    torch.manual_seed(0)
    net = build("mlp", (6,), 3, hidden=[5], scale=4.0)
    x = (torch.rand(4, 2, 6) < 0.5).float()
    learner, batch = learner_of(net), Batch(Spikes.from_dense(x), torch.tensor([0, 1]))
    hidden, out = learner.layer_spikes(batch).values()
    result = measures.work(learner, batch)
    assert result["synaptic_operations"] == float(x.sum() * 5 + hidden.sum() * 3) / 2
    assert result["dense_operations"] == 4 * (6 * 5 + 5 * 3)
    assert result["spikes"] == float(hidden.sum() + out.sum()) / 2


def test_operations_of_convolutions_mind_the_borders() -> None:
    """Each active input is counted once for every place of the kernel that covers it."""
    torch.manual_seed(0)
    net = build("csnn", (1, 16, 16), 2, scale=4.0)
    x = torch.zeros(1, 1, 1, 16, 16)
    x[0, 0, 0, 0, 0] = 1  # a corner: one place of the 5 x 5 kernel, 12 maps
    x[0, 0, 0, 8, 8] = 1  # inside: 25 places
    learner, batch = learner_of(net), Batch(Spikes.from_dense(x), torch.tensor([0]))
    silent = measures.work(learner, Batch(Spikes.from_dense(x * 0), torch.tensor([0])))
    with torch.no_grad():
        for name, parameter in net.named_parameters():
            if not name.startswith("0."):
                parameter.zero_()
            else:
                parameter.mul_(0)  # no neuron spikes: the first layer's operations alone
    result = measures.work(learner, batch)
    assert result["synaptic_operations"] == 12 * (1 + 25)
    assert result["dense_operations"] == silent["dense_operations"]


def test_convergence() -> None:
    history = [
        {"epoch": 1, "val_accuracy": 0.5, "epoch_s": 2.0},
        {"epoch": 2, "val_accuracy": 0.9, "epoch_s": 3.0},
        {"epoch": 3, "val_accuracy": 0.95, "epoch_s": 4.0},
    ]
    assert measures.epochs_to(history) == 2
    assert measures.seconds_to(history, 0.9) == 5.0
    assert measures.seconds_to(history, 0.2) == 2.0
    assert measures.seconds_to(history, 0.99) is None


def test_memory_is_told() -> None:
    held = measures.resident_bytes()
    assert held is not None and 0 < held <= measures.peak_bytes() * 1.01
