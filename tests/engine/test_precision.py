"""Networks whose products are of another precision, on whatever backend serves them."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lfp_snn import Spikes, TemporalLFP
from lfp_snn.backends import precision
from lfp_snn.backends.precision import Precision
from lfp_snn.errors import NetworkError
from lfp_snn.rules import Epsilon, Gamma, Rescale
from tests.engine.compare import leaky, mlp, run, strong, trains
from tests.marks import needs_triton

CPU = torch.device("cpu")
BACKENDS = ["torch", pytest.param("triton", marks=needs_triton)]


def near(a: Tensor, b: Tensor) -> float:
    return float(torch.cosine_similarity(a.flatten(), b.flatten(), dim=0))


def maps(*behind: nn.Module) -> Any:
    first = nn.Conv2d(1, 4, 3, padding=1, bias=not behind)  # a norm would cancel a bias
    layers = [first, *behind, leaky(), nn.MaxPool2d(2), nn.Flatten()]
    for norm in behind:
        for parameter in norm.parameters():
            nn.init.uniform_(parameter, 0.5, 1.5)
    return strong(nn.Sequential(*layers, nn.Linear(36, 10), leaky()), scale=0.3).float()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("half", ["bf16", "fp16"])
@pytest.mark.parametrize("memory", ["full", "chunked"])
def test_half_products_are_near_those_of_float32(
    backend: str, half: Precision, memory: Any
) -> None:
    torch.manual_seed(0)
    net, x = maps(), trains(20, 8, 1, 6, 6).float()
    whole, theirs = run(TemporalLFP(net, Epsilon(eps=0.1), "torch"), x)
    lfp = TemporalLFP(net, Epsilon(eps=0.1), backend, precision=half, memory=memory)
    spikes, ours = run(lfp, x)
    assert spikes.dtype == lfp.membranes.dtype == torch.float32
    assert float((spikes != whole).float().mean()) < 0.02
    for name, feedback in ours.items():
        assert feedback.dtype == torch.float32
        assert near(feedback, theirs[name]) > 0.97, name


NORMS = [
    nn.BatchNorm2d(4),
    nn.GroupNorm(2, 4),
    nn.InstanceNorm2d(4, affine=True),
    nn.LayerNorm([4, 6, 6]),
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("norm", NORMS, ids=lambda norm: type(norm).__name__)
@pytest.mark.parametrize("statistics", ["fixed", "through"])
def test_normalisations_behind_half_products(
    backend: str, norm: nn.Module, statistics: Any
) -> None:
    torch.manual_seed(0)
    net, x = maps(norm), trains(20, 8, 1, 6, 6).float()
    start = copy.deepcopy(net.state_dict())
    whole, theirs = run(TemporalLFP(net, backend="torch", statistics=statistics), x)
    after = copy.deepcopy(net.state_dict())
    net.load_state_dict(start)
    lfp = TemporalLFP(net, backend=backend, precision="bf16", statistics=statistics)
    spikes, ours = run(lfp, x)
    assert float((spikes != whole).float().mean()) < 0.02
    for name, feedback in ours.items():
        assert near(feedback, theirs[name]) > 0.93, name  # a spike that flips moves the rest
    for name, tensor in net.state_dict().items():
        assert tensor.dtype == start[name].dtype
        if "running" in name:
            torch.testing.assert_close(tensor, after[name], rtol=0.02, atol=0.01)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("rule", [Epsilon(eps=0.1), Gamma(), Rescale()])
@pytest.mark.parametrize("name", ["exact", "tf32"])
def test_ways_of_a_device_give_float32s_result(
    backend: str, rule: Any, name: Precision, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The CPU takes them, its float32 products standing in for tensor cores."""
    torch.manual_seed(0)
    dense = trains(9, 4, 1, 6, 6).float()
    net = maps(nn.BatchNorm2d(4))
    spikes, theirs = run(TemporalLFP(net, rule, "torch"), dense)
    monkeypatch.setattr(precision, "_has_tensor_cores", lambda device: True)
    for x in (dense, dense.bool(), Spikes.from_dense(dense)):
        for memory in ("full", "chunked"):
            if memory == "chunked":
                net.eval()
            lfp = TemporalLFP(net, rule, backend, precision=name, memory=memory)
            found, ours = run(lfp, x)
            if memory == "full":
                assert torch.equal(found, spikes)
                for each, feedback in ours.items():
                    torch.testing.assert_close(feedback, theirs[each], rtol=2e-5, atol=1e-5)
            net.train()


def test_stages_that_know_nothing_of_narrow_spikes_get_them_in_float32() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.spiking = nn.Linear(6, 12), leaky()
            self.last, self.output = nn.Linear(5, 3), leaky()

        def forward(self, x: Tensor) -> Tensor:
            spikes = self.spiking(self.first(x))
            pooled = nn.functional.avg_pool1d(spikes[:, None], 3).flatten(1)
            mean = spikes.mean(1, keepdim=True)
            out: Tensor = self.output(self.last(torch.cat([pooled, mean], 1)))
            return out

    torch.manual_seed(0)
    net, x = strong(Branches()).float(), trains(12, 6, 6).float()
    _, theirs = run(TemporalLFP(net, backend="torch"), x)
    lfp = TemporalLFP(net, backend="torch", precision="bf16")
    _, ours = run(lfp, x)
    for name, feedback in ours.items():
        assert near(feedback, theirs[name]) > 0.97, name


def test_half_precision_takes_what_serves_it_and_is_refused_elsewhere() -> None:
    lfp = TemporalLFP(mlp().float(), precision="bf16")
    assert lfp.backend == "torch"
    lfp = TemporalLFP(mlp(), precision="bf16")
    with pytest.raises(NetworkError, match="networks in float32, and this one is in float64"):
        lfp.forward(trains(3, 2, 6))
