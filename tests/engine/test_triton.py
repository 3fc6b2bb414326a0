"""Networks on the fused kernels, and the paths that a device takes without one."""

from __future__ import annotations

import sys
from typing import Any

import pytest
import torch
from torch import nn

from lfp_snn import Spikes, TemporalLFP
from lfp_snn.backends import support
from lfp_snn.engine.kernels import plan
from lfp_snn.errors import NetworkError
from lfp_snn.rules import Assignment, Composite, Epsilon, Flat, Gamma, Norm, Rescale
from lfp_snn.rules.rescale import Carry
from tests.engine.compare import (
    assert_near,
    assert_same_feedback,
    csnn,
    feedback_of,
    leaky,
    mlp,
    run,
    signals,
    strong,
    trains,
)
from tests.marks import needs_triton

CPU = torch.device("cpu")


@needs_triton
@pytest.mark.parametrize("rule", [Epsilon(eps=0.1), Epsilon(conserving=True), Gamma()])
def test_rules_that_the_kernel_does_not_know_take_the_reference_scan(rule: Any) -> None:
    net, x = mlp(), trains(7, 3, 6)
    spikes, ours = run(TemporalLFP(net, rule, "triton"), x)
    expected, theirs = run(TemporalLFP(net, rule, "torch"), x)
    assert torch.equal(spikes, expected)
    assert_same_feedback(ours, theirs)


@needs_triton
@pytest.mark.parametrize("carry", ["reference", "decay"])
@pytest.mark.parametrize("learns", [False, True])
def test_rescale_runs_on_the_kernel_both_ways(carry: Carry, learns: bool) -> None:
    learning = {"learn_beta": learns, "learn_threshold": learns}
    layers = [nn.Conv2d(1, 2, 2), leaky(threshold=0.5, **learning), nn.MaxPool2d(2), nn.Flatten()]
    net = strong(nn.Sequential(*layers, nn.Linear(2, 3), leaky(threshold=0.4, **learning)))
    x, rule = trains(9, 3, 1, 3, 3), Rescale(carry=carry)
    engines = (
        TemporalLFP(net, rule, "triton"),
        TemporalLFP(net, rule, "triton", memory="chunked", chunk=4),
    )
    for lfp in engines:
        spikes, ours = run(lfp, x)
        kernels = {"triton: scans"} if learns else {"triton: neurons, pool", "triton: scans"}
        assert set(lfp.kernels.values()) == kernels
        expected, theirs = run(TemporalLFP(net, rule, "torch"), x)
        assert torch.equal(spikes, expected)
        assert_same_feedback(ours, theirs)


@needs_triton
def test_relevance_beside_credit_goes_through_the_kernel_of_rescale() -> None:
    layers = [nn.Linear(6, 5), leaky(), nn.Linear(5, 4), leaky(), nn.Linear(4, 3), leaky()]
    net, x = strong(nn.Sequential(*layers)), trains(7, 3, 6)
    rule = Composite((Assignment(Rescale(synapse=Flat()), name="2"),), default=Rescale())
    _, ours = run(TemporalLFP(net, rule, "triton"), x)
    _, theirs = run(TemporalLFP(net, rule, "torch"), x)
    assert_same_feedback(ours, theirs)


def test_a_backend_that_cannot_run_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "0")
    lfp = TemporalLFP(mlp(), backend="triton")
    with pytest.raises(NetworkError, match=r"triton backend cannot run: .*; use backend='auto'"):
        lfp.forward(trains(3, 2, 6))
    monkeypatch.setitem(sys.modules, "triton", None)
    monkeypatch.setattr(support, "find_spec", lambda name: None)
    assert "not installed" in str(support.unavailable("triton", torch.device("cuda")))
    assert "CPU" in str(support.unavailable("events", torch.device("cuda")))


def test_auto_takes_triton_on_cuda_and_torch_where_it_is_absent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lfp = TemporalLFP(mlp())
    assert lfp.backend == "events"
    monkeypatch.setattr(TemporalLFP, "device", torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(support, "find_spec", lambda name: object())
    assert lfp.backend == "triton"
    monkeypatch.setattr(support, "find_spec", lambda name: None)
    assert lfp.backend == "torch"


@pytest.mark.parametrize("backend", ["torch", "triton"])
def test_a_step_never_waits_for_the_device(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the meta device nothing has a value: whoever asks for one fails."""
    if backend == "triton":
        pytest.importorskip("triton", reason="Triton is not installed")
        from lfp_snn.backends.triton import launch

        monkeypatch.setattr(launch, "start", lambda *_: None)
        monkeypatch.setattr("lfp_snn.engine.network.unavailable", lambda *_: None)
    net = csnn()
    lfp = TemporalLFP(net, backend=backend)
    lfp.forward(torch.zeros(1, 2, 1, 3, 3))  # what is built once may look at values
    lfp.to("meta")
    for lengths in (None, torch.ones(2, dtype=torch.int64, device="meta")):
        spikes = lfp.forward(torch.empty(5, 2, 1, 3, 3, device="meta"), lengths=lengths)
        lfp.backward(torch.empty_like(spikes))
    assert {name: f.shape for name, f in feedback_of(net).items()} == {
        name: p.shape for name, p in net.named_parameters()
    }


@needs_triton
def test_spikes_become_dense_where_the_network_lies() -> None:
    net, x = csnn(), trains(5, 2, 1, 3, 3)
    lfp = TemporalLFP(net, backend="triton")
    assert torch.equal(lfp.forward(Spikes.from_dense(x)), lfp.forward(x))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("build", [mlp, csnn])
def test_a_device_gives_what_the_cpu_gives(build: Any) -> None:
    net, x = build(), trains(20, 8, *((6,) if build is mlp else (1, 3, 3)))
    spikes, theirs = run(TemporalLFP(net, backend="torch"), x)
    net.to("cuda")
    lfp = TemporalLFP(net)
    assert lfp.backend in ("triton", "torch")
    pinned = Spikes.from_dense(x).pin_memory().to("cuda", non_blocking=True)
    for given in (x.to("cuda"), pinned):
        ours = lfp.forward(given)
        assert torch.equal(ours.cpu(), spikes)
        lfp.backward(signals(spikes).to("cuda"))
        for name, feedback in feedback_of(net).items():
            assert_near(feedback.cpu(), theirs[name], 1e-9)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_a_step_is_captured_in_a_cuda_graph() -> None:
    net: Any = csnn().float().to("cuda")
    lfp = TemporalLFP(net)
    x = trains(20, 8, 1, 3, 3).float().to("cuda")
    reward = signals(lfp.forward(x).cpu()).to("cuda")
    lfp.backward(reward)  # kernels are compiled before the capture
    expected = feedback_of(net)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        lfp.forward(x)
        lfp.backward(reward)
    graph.replay()
    torch.cuda.synchronize()
    for name, feedback in feedback_of(net).items():
        torch.testing.assert_close(feedback, expected[name])


@needs_triton
def test_the_table_of_triton_runs_every_split_forwards_and_two_of_them_both_ways() -> None:
    from lfp_snn.engine.triton import TABLE

    lfp = TemporalLFP(csnn(), backend="torch")
    for rule in (Epsilon(), Gamma(), Rescale()):
        planned = plan("triton", TABLE, lfp.reference, dict.fromkeys(lfp.rules, rule))
        pooled = dict.fromkeys(("1", "2"), "triton: neurons, pool")
        assert planned.kernels == pooled | {"5": "triton: scans"}
        assert len(planned.program.nodes) == 5
    planned = plan("triton", TABLE, lfp.reference, dict.fromkeys(lfp.rules, Norm()))
    assert planned.kernels == dict.fromkeys(("1", "5"), "triton: scan forwards")
    assert len(planned.program.nodes) == 6
