from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lfp_snn import TemporalLFP
from lfp_snn.analysis.exchange.onnx_export import to_onnx
from lfp_snn.errors import NetworkError
from tests.analysis.exchange.networks import INPUT, leaky, network, trains

onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")

RESETS = [("subtract", True), ("subtract", False), ("zero", True), ("zero", False), ("none", True)]


def _over_time(content: bytes, x: Tensor) -> Tensor:
    """Run a graph of one step over time with the evaluator that defines ONNX."""
    from onnx.reference import ReferenceEvaluator

    model = onnx.load_from_string(content)
    step = ReferenceEvaluator(model)
    return _loop(lambda feeds: step.run(None, feeds), model, x)


def _loop(step: Callable[[dict[str, Any]], list[Any]], model: Any, x: Tensor) -> Tensor:
    state = {
        each.name: np.zeros(
            (x.shape[1], *(d.dim_value for d in each.type.tensor_type.shape.dim[1:])), np.float32
        )
        for each in model.graph.input[1:]
    }
    assert [each.name for each in model.graph.output[1:]] == [f"{name}_next" for name in state]
    spikes = []
    for frame in x.numpy():
        out, *membranes = step({"input": frame, **state})
        state = dict(zip(state, membranes, strict=True))
        spikes.append(torch.from_numpy(out))
    return torch.stack(spikes)


@pytest.mark.parametrize("kind", ["mlp", "csnn"])
@pytest.mark.parametrize(("reset", "delay"), RESETS)
def test_spikes_of_steps_are_those_of_the_network(kind: str, reset: str, delay: bool) -> None:
    net = network(kind, reset=reset, reset_delay=delay)
    x = trains(net)
    expected = TemporalLFP(net).forward(x)
    assert 0 < expected.mean() < 1
    assert torch.equal(_over_time(to_onnx(net, x.shape[2:]), x), expected)


def test_normalised_and_summed_branches() -> None:
    net = network("residual")
    x = trains(net)
    differing = _over_time(to_onnx(net, INPUT), x) != TemporalLFP(net).forward(x)
    assert differing.float().mean() < 0.002  # folding the normalisation rounds


class Branches(nn.Module):
    """Every merge and pool that ONNX has and NIR has not."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 3, padding=1)
        self.lif = leaky(beta=torch.tensor([0.5, 0.75, 0.875]).view(3, 1, 1))
        self.pool = nn.MaxPool2d(3, 2, 1)
        self.far = nn.AdaptiveAvgPool2d(1)
        self.fc, self.out = nn.Linear(9, 4, bias=False), leaky(output=True)

    def forward(self, x: Tensor) -> Any:
        a = self.pool(self.lif(self.conv(x) + 0.25))
        b = torch.maximum(a, 1 - a)
        return self.out(self.fc(torch.cat([self.far(v).flatten(1) for v in (a, b, a + b)], 1)))


def test_merges_and_pools() -> None:
    torch.manual_seed(0)
    net = Branches().eval()
    with torch.no_grad():
        for p in net.parameters():
            p.mul_(3)
    x = trains(net)
    expected = TemporalLFP(net).forward(x)
    assert 0 < expected.mean() < 1
    assert (_over_time(to_onnx(net, INPUT), x) != expected).float().mean() < 0.01


def test_the_runtime_reads_it() -> None:
    runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
    net = network("csnn")
    x = trains(net)
    content = to_onnx(net, x.shape[2:])
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    spikes = _loop(lambda feeds: session.run(None, feeds), onnx.load_from_string(content), x)
    assert torch.equal(spikes, TemporalLFP(net).forward(x))


@pytest.mark.parametrize(
    ("pool", "message"),
    [
        (nn.AdaptiveAvgPool2d(2), "'2' .AdaptiveAvgPool2d. cannot be exported.*to one value"),
        (nn.AvgPool2d(2, ceil_mode=True), "ceil_mode"),
    ],
)
def test_what_cannot_be_written_is_refused_by_name(pool: nn.Module, message: str) -> None:
    size = 3 * 25 if isinstance(pool, nn.AvgPool2d) else 12
    net = nn.Sequential(
        nn.Conv2d(2, 3, 3), leaky(), pool, nn.Flatten(), nn.Linear(size, 2), leaky(output=True)
    )
    with pytest.raises(NetworkError, match=message):
        to_onnx(net, INPUT)


@pytest.mark.parametrize("kind", ["recurrent", "synaptic"])
def test_neurons_with_more_state_are_refused_and_not_cut_short(kind: str) -> None:
    net = network(kind)
    with pytest.raises(NetworkError, match=r"'1' .*cannot be exported to ONNX"):
        to_onnx(net, INPUT)
