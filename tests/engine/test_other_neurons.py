"""RLeaky and Synaptic: against snntorch stepped one by one, and against loops over single units."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lfp_snn import TemporalLFP
from lfp_snn.data import Batch
from lfp_snn.engine.recurrent import RLeaky
from lfp_snn.errors import NetworkError
from lfp_snn.learners import LEARNERS
from lfp_snn.rules import Epsilon, Gamma, Norm, Rule
from lfp_snn.spikes import Spikes

STEPS, BATCH, INPUTS, UNITS = 9, 3, 6, 4
EPS = 1e-6
RESETS = [("subtract", True), ("subtract", False), ("zero", True), ("zero", False), ("none", True)]
Array = NDArray[np.float64]


def make(kind: str, reset: str = "subtract", delay: bool = True) -> nn.Sequential:
    torch.manual_seed(0)
    options: dict[str, Any] = {
        "reset_mechanism": reset,
        "reset_delay": delay,
        "threshold": torch.tensor([0.5, 0.8, 1.0, 0.6]),
        "beta": torch.tensor([0.9, 0.5, 0.8, 0.7]),
        "learn_beta": True,
        "learn_threshold": True,
        "init_hidden": True,
        "output": True,
    }
    if kind == "all to all":
        neuron: nn.Module = snn.RLeaky(linear_features=UNITS, **options)
    elif kind == "one to one":
        neuron = snn.RLeaky(all_to_all=False, V=torch.tensor([0.5, -0.7, 0.9, 0.2]), **options)
    else:
        alpha = torch.tensor([0.3, 0.6, 0.8, 0.1])
        neuron = snn.Synaptic(alpha=alpha, learn_alpha=True, **options)
    linear = nn.Linear(INPUTS, UNITS)
    with torch.no_grad():
        linear.weight.mul_(2)
    return nn.Sequential(linear, neuron).double()


def spikes_in(seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(STEPS, BATCH, INPUTS, generator=generator) < 0.5).double()


def stepped(net: nn.Sequential, x: Tensor) -> tuple[Tensor, Tensor]:
    """Spikes and membranes of snntorch's own steps."""
    neuron: Any = net[1]
    neuron.reset_mem()
    with torch.no_grad():
        out = [net(frame) for frame in x]
    return torch.stack([each[0] for each in out]), torch.stack([each[-1] for each in out])


KINDS = ["all to all", "one to one", "synaptic"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("reset", "delay"), RESETS)
def test_forward_equals_snntorch(kind: str, reset: str, delay: bool) -> None:
    # Single precision: snntorch's spikes always are, which its own double synapse does not take.
    net, x = make(kind, reset, delay).float(), spikes_in().float()
    lfp = TemporalLFP(net)
    ours = lfp.forward(x)
    theirs, membranes = stepped(net, x)
    assert 0.05 < theirs.mean() < 0.9
    assert torch.equal(ours, theirs)
    assert lfp.membranes is not None
    torch.testing.assert_close(lfp.membranes, membranes, rtol=1e-5, atol=1e-5)


class Oracle:
    """Credit of one sample, one unit and one step at a time, from the equations of the modules."""

    def __init__(self, kind: str, net: nn.Sequential, reset: str, delay: bool) -> None:
        self.kind, self.reset, self.delay = kind, reset, delay
        linear, neuron = net[0], net[1]
        assert isinstance(linear, nn.Linear)
        self.w = linear.weight.detach().numpy()
        self.b = linear.bias.detach().numpy()
        values: Any = neuron
        self.beta = values.beta.detach().numpy()
        self.theta = values.threshold.detach().numpy()
        self.alpha = values.alpha.detach().numpy() if kind == "synaptic" else np.zeros(UNITS)
        self.v, self.c = np.zeros((UNITS, UNITS)), np.zeros(UNITS)
        if kind == "all to all":
            self.v = values.recurrent.weight.detach().numpy()
            self.c = values.recurrent.bias.detach().numpy()
        elif kind == "one to one":
            self.v = np.diag(values.recurrent.V.detach().numpy())

    def run(self, x: Array, reward: Array, sums: dict[str, Array]) -> Array:
        """Adds the feedback of a sample to ``sums``; returns the relevance of its input."""
        steps = len(x)
        arrived, syn = np.zeros((steps, UNITS)), np.zeros((steps + 1, UNITS))
        mem, spk = np.zeros((steps + 1, UNITS)), np.zeros((steps + 1, UNITS))
        pending = np.zeros((steps, UNITS))
        for t in range(steps):
            for j in range(UNITS):
                pending[t, j] = mem[t, j] > self.theta[j]
                total = self.b[j] + sum(self.w[j, i] * x[t, i] for i in range(INPUTS))
                total += self.c[j] + sum(self.v[j, k] * spk[t, k] for k in range(UNITS))
                arrived[t, j] = total
                syn[t + 1, j] = self.alpha[j] * syn[t, j] + total
                u = self.beta[j] * mem[t, j] + syn[t + 1, j]
                if self.reset == "subtract":
                    u -= self.theta[j] * pending[t, j]
                elif self.reset == "zero":
                    u *= 1 - pending[t, j]
                s = float(u > self.theta[j])
                spk[t + 1, j] = s
                if not self.delay and self.reset == "subtract":
                    u -= (s - pending[t, j]) * self.theta[j]
                elif not self.delay and self.reset == "zero":
                    u -= (s - pending[t, j]) * u
                mem[t + 1, j] = u
        n, handed, carried = np.zeros((steps + 1, UNITS)), np.zeros(UNITS), np.zeros(UNITS)
        relevance = np.zeros_like(x)
        for t in reversed(range(steps)):
            for j in range(UNITS):
                on = 0.0 if self.reset == "zero" and pending[t, j] else 1.0
                kept, came = on * mem[t, j], on * syn[t + 1, j]
                back = sum(self.v[k, j] * n[t + 1, k] for k in range(UNITS))
                q = reward[t, j] + spk[t + 1, j] * back + handed[j]
                m = q / (abs(kept) + abs(self.beta[j] * kept + came - kept) + EPS)
                handed[j] = self.beta[j] * kept * m
                m *= on
                if self.kind == "synaptic":
                    q = syn[t + 1, j] * m + carried[j]
                    old = self.alpha[j] * syn[t, j]
                    now = arrived[t, j]
                    n[t, j] = q / (abs(syn[t, j]) + abs(old + now - syn[t, j]) + EPS)
                    carried[j] = old * n[t, j]
                    sums["alpha"][j] += n[t, j] * syn[t, j]
                else:
                    n[t, j] = m
                sums["beta"][j] += m * kept
                if self.reset == "subtract":
                    sums["threshold"][j] -= m * pending[t, j]
                sums["bias"][j] += n[t, j]
                for i in range(INPUTS):
                    sums["weight"][j, i] += n[t, j] * x[t, i]
                    relevance[t, i] += x[t, i] * self.w[j, i] * n[t, j]
                for k in range(UNITS):
                    sums["recurrent"][j, k] += n[t, j] * spk[t, k]
        return relevance


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("reset", "delay"), RESETS)
def test_feedback_equals_the_oracle(kind: str, reset: str, delay: bool) -> None:
    net, x = make(kind, reset, delay), spikes_in()
    reward = torch.randn(STEPS, BATCH, UNITS, generator=torch.Generator().manual_seed(2)).double()
    lfp = TemporalLFP(net, Epsilon(EPS))
    lfp.forward(x)
    found = lfp.backward(reward, input_relevance=True)
    assert isinstance(found, Tensor)
    sums = {name: np.zeros(UNITS) for name in ("alpha", "beta", "threshold", "bias")}
    sums |= {"weight": np.zeros((UNITS, INPUTS)), "recurrent": np.zeros((UNITS, UNITS))}
    oracle = Oracle(kind, net, reset, delay)
    for b in range(BATCH):
        expected = oracle.run(x[:, b].numpy(), reward[:, b].numpy(), sums)
        np.testing.assert_allclose(found[:, b].numpy(), expected, rtol=1e-10, atol=1e-10)
    names = {"0.weight": "weight", "0.bias": "bias", "1.beta": "beta", "1.threshold": "threshold"}
    names |= {"1.alpha": "alpha", "1.recurrent.weight": "recurrent", "1.recurrent.bias": "bias"}
    for name, parameter in net.named_parameters():
        total = np.diag(sums["recurrent"]) if name.endswith(".V") else sums[names[name]]
        feedback: Any = parameter
        expected = np.abs(parameter.detach().numpy()) * total
        np.testing.assert_allclose(
            feedback.feedback.numpy(), expected, rtol=1e-10, atol=1e-10, err_msg=name
        )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rule", [Epsilon(0.1), Norm()])
def test_a_shorter_sample_is_as_if_alone(kind: str, rule: Rule) -> None:
    net, x = make(kind), spikes_in()
    lengths = torch.tensor([4, 9, 6])
    reward = torch.randn(STEPS, BATCH, UNITS, generator=torch.Generator().manual_seed(2)).double()
    alone = {name: torch.zeros_like(p) for name, p in net.named_parameters()}
    for b, length in enumerate(lengths.tolist()):
        lfp = TemporalLFP(net, rule)
        lfp.forward(x[:length, b : b + 1])
        lfp.backward(reward[:length, b : b + 1])
        for name, parameter in net.named_parameters():
            assert parameter.grad is not None
            alone[name] -= parameter.grad
    lfp = TemporalLFP(net, rule)
    lfp.forward(x, lengths=lengths)
    lfp.backward(reward)
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None
        torch.testing.assert_close(-parameter.grad, alone[name])


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_goes_on(kind: str) -> None:
    net, x = make(kind), spikes_in()
    whole = TemporalLFP(net).forward(x)
    lfp = TemporalLFP(net)
    first = lfp.forward(x[:4])
    second = lfp.forward(x[4:], state=lfp.state)
    assert torch.equal(torch.cat([first, second]), whole)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunk", [1, 4])
def test_chunks_of_time_learn_the_same(kind: str, chunk: int) -> None:
    net, x = make(kind), spikes_in()
    reward = torch.randn(STEPS, BATCH, UNITS, generator=torch.Generator().manual_seed(2)).double()
    found = []
    for lfp in (TemporalLFP(net), TemporalLFP(net, memory="chunked", chunk=chunk)):
        lfp.forward(x)
        relevance = lfp.backward(reward, input_relevance=True)
        assert isinstance(relevance, Tensor)
        found.append([relevance, *(p.grad.clone() for p in net.parameters() if p.grad is not None)])
    assert len(found[0]) == len(found[1]) > 4
    for whole, parts in zip(*found, strict=True):
        torch.testing.assert_close(parts, whole, rtol=1e-10, atol=1e-12)


def test_a_recurrent_convolution() -> None:
    torch.manual_seed(0)
    recurrent = snn.RLeaky(
        beta=0.8, conv2d_channels=3, kernel_size=3, init_hidden=True, output=True
    )
    net = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), recurrent)
    x = (torch.rand(6, 2, 2, 5, 5) < 0.5).float()
    theirs, _ = stepped(net, x)
    assert torch.equal(TemporalLFP(net).forward(x), theirs) and theirs.sum() > 0
    net, x = net.double(), x.double()
    lfp = TemporalLFP(net, Epsilon(0.1))
    ours = lfp.forward(x)
    lfp.backward(torch.randn_like(ours), input_relevance=True)
    # The same as a dense matrix, all to all.
    synapse: Any = net[1].recurrent
    eye = torch.eye(75, dtype=torch.float64).view(75, 3, 5, 5)
    with torch.no_grad():
        matrix = (synapse(eye) - synapse.bias[:, None, None]).flatten(1)
    credit = torch.randn(2, 3, 5, 5, dtype=torch.float64)
    stage = next(node.stage for node in lfp._reference.nodes if isinstance(node.stage, RLeaky))
    back = stage._back(credit).flatten(1)
    torch.testing.assert_close(back, credit.flatten(1) @ matrix.T)


def test_rules_with_variants_are_refused_at_the_recurrent_synapse() -> None:
    lfp = TemporalLFP(make("all to all"), Gamma(0.25))
    spikes = lfp.forward(spikes_in())
    with pytest.raises(NetworkError, match="'1' .RLeaky. has a recurrent synapse"):
        lfp.backward(torch.ones_like(spikes))


@pytest.mark.parametrize("kind", KINDS)
def test_surrogates_learn_the_same_network(kind: str) -> None:
    net = make(kind).float()
    options = LEARNERS["surrogate"].Options(name="surrogate")
    learner = LEARNERS["surrogate"].from_options(net, options)
    batch = Batch(Spikes.from_dense(spikes_in().float()), torch.tensor([0, 1, 2]))
    results = []
    for _ in range(2):  # nothing of the first pass is left in the second
        for parameter in net.parameters():
            parameter.grad = None
        learner.feedback(batch)
        results.append([p.grad.clone() for p in net.parameters() if p.grad is not None])
    assert results[0] and all(map(torch.equal, *results))
