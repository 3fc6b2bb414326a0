"""Neurons other than Leaky: against snntorch stepped one by one, and against single units."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn import TemporalLFP
from lfp_snn.data import Batch
from lfp_snn.engine.stepped import Stepped
from lfp_snn.errors import NetworkError, ShapeError
from lfp_snn.learners import LEARNERS
from lfp_snn.rules import AlphaBeta, Epsilon, Gamma, Norm, Pass, Rule
from lfp_snn.spikes import Spikes
from tests.crossed import crossed
from tests.oracle_neurons import Population

STEPS, BATCH, INPUTS, UNITS = 9, 3, 6, 4
EPS = 1e-6
RESETS = [("subtract", True), ("subtract", False), ("zero", True), ("zero", False), ("none", True)]

ALPHA = torch.tensor([0.3, 0.6, 0.8, 0.1])
#: How each kind is made; what it takes beside the options of all.
KINDS: dict[str, Callable[..., nn.Module]] = {
    "Lapicque": lambda **o: snn.Lapicque(R=2.0, C=1.6, **o),
    "RLeaky": lambda **o: snn.RLeaky(linear_features=UNITS, **o),
    "RLeaky one to one": lambda **o: snn.RLeaky(
        all_to_all=False, V=torch.tensor([0.5, -0.7, 0.9, 0.2]), **o
    ),
    "Synaptic": lambda **o: snn.Synaptic(alpha=ALPHA, learn_alpha=True, **o),
    "RSynaptic": lambda **o: snn.RSynaptic(
        alpha=ALPHA, learn_alpha=True, linear_features=UNITS, **o
    ),
    "RSynaptic one to one": lambda **o: snn.RSynaptic(
        alpha=ALPHA, learn_alpha=True, all_to_all=False, V=torch.tensor([0.5, -0.7, 0.9, 0.2]), **o
    ),
    "Alpha": lambda **o: snn.Alpha(alpha=torch.tensor([0.95, 0.6, 0.9, 0.8]), **o),
}
#: snntorch gives these no reset at once, or fails at it.
DELAYED = ("Lapicque", "RSynaptic", "RSynaptic one to one", "Alpha")
CASES = [
    (kind, reset, delay)
    for kind in KINDS
    for reset, delay in RESETS
    if delay or kind not in DELAYED
]


def make(kind: str, reset: str = "subtract", delay: bool = True) -> nn.Sequential:
    torch.manual_seed(0)
    options: dict[str, Any] = {
        "reset_mechanism": reset,
        "threshold": torch.tensor([0.5, 0.8, 1.0, 0.6]),
        "learn_threshold": True,
        "init_hidden": True,
        "output": True,
    }
    if kind != "Lapicque":
        options |= {"beta": torch.tensor([0.9, 0.5, 0.8, 0.7]), "learn_beta": True}
    if kind not in DELAYED:
        options["reset_delay"] = delay
    linear = nn.Linear(INPUTS, UNITS)
    with torch.no_grad():
        linear.weight.mul_(5 if kind == "Alpha" else 2)  # its membrane is a difference
    return nn.Sequential(linear, KINDS[kind](**options)).double()


def spikes_in(seed: int = 1) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(STEPS, BATCH, INPUTS, generator=generator) < 0.5).double()


def some_reward() -> Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randn(STEPS, BATCH, UNITS, generator=generator).double()


def stepped(net: nn.Sequential, x: Tensor) -> tuple[Tensor, Tensor]:
    """Spikes and membranes of snntorch's own steps."""
    neuron: Any = net[-1]
    neuron.reset_mem()
    with torch.no_grad():
        out = [net(frame) for frame in x]
    return torch.stack([each[0] for each in out]), torch.stack([each[-1] for each in out])


def oracle(net: nn.Sequential, weight: Tensor, bias: Tensor, recurrent: Any = None) -> Population:
    """The oracle of a synapse, as a matrix, and its population."""
    neuron: Any = net[-1]
    units = len(weight)
    kind = type(neuron).__name__

    def spread(value: Tensor) -> Any:
        """One value, or one for each unit or map, to one for each unit."""
        each = value.detach().flatten()
        return each.repeat_interleave(units // len(each)).numpy()

    beta, gain = neuron.beta, 1.0
    if kind == "Lapicque":
        beta, gain = 1 - 1 / (neuron.R * neuron.C), float(1 / neuron.C)
    if recurrent is None and hasattr(neuron, "recurrent"):
        own = neuron.recurrent
        dense = isinstance(own, nn.Linear)
        recurrent = (own.weight, own.bias) if dense else (torch.diag(own.V), torch.zeros(units))
    back, back_bias = recurrent or (torch.zeros(units, units), torch.zeros(units))
    return Population(
        kind,
        weight.detach().numpy(),
        bias.detach().numpy(),
        back.detach().numpy(),
        back_bias.detach().numpy(),
        theta=spread(neuron.threshold),
        beta=spread(beta),
        alpha=spread(getattr(neuron, "alpha", torch.zeros(()))),
        gain=gain,
        reset=neuron.reset_mechanism,
        delay=getattr(neuron, "reset_delay", True),
        eps=EPS,
    )


def feedback(net: nn.Module) -> dict[str, Tensor]:
    return {name: p.feedback for name, p in net.named_parameters()}  # type: ignore[attr-defined]


@pytest.mark.parametrize(("kind", "reset", "delay"), CASES)
def test_forward_equals_snntorch(kind: str, reset: str, delay: bool) -> None:
    # Single precision: snntorch's spikes always are, which its own double synapse does not take.
    net, x = make(kind, reset, delay).float(), spikes_in().float()
    lfp = TemporalLFP(net)
    ours = lfp.forward(x)
    theirs, membranes = stepped(net, x)
    assert 0.04 < theirs.mean() < 0.9
    assert torch.equal(ours, theirs)
    torch.testing.assert_close(lfp.membranes, membranes, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("kind", "reset", "delay"), CASES)
def test_feedback_equals_the_oracle(kind: str, reset: str, delay: bool) -> None:
    net, x, reward = make(kind, reset, delay), spikes_in(), some_reward()
    lfp = TemporalLFP(net, Epsilon(EPS))
    spikes = lfp.forward(x)
    found = lfp.backward(reward, input_relevance=True)
    assert isinstance(found, Tensor)
    linear = net[0]
    assert isinstance(linear, nn.Linear)
    units = oracle(net, linear.weight, linear.bias)
    for b in range(BATCH):
        np.testing.assert_array_equal(spikes[:, b].numpy(), units.run(x[:, b].numpy()))
        expected = units.send_back(reward[:, b].numpy())
        np.testing.assert_allclose(found[:, b].numpy(), expected, rtol=1e-10, atol=1e-10)
    names = {"0.weight": "weight", "0.bias": "bias", "1.beta": "beta", "1.threshold": "threshold"}
    names |= {"1.alpha": "alpha", "1.recurrent.weight": "recurrent"}
    names |= {"1.recurrent.bias": "recurrent_bias"}
    for name, total in feedback(net).items():
        sums = units.sums.get(names.get(name, ""))
        if name.endswith(".V"):
            sums = np.diag(units.sums["recurrent"])
        expected = np.abs(net.get_parameter(name).detach().numpy()) * sums
        np.testing.assert_allclose(total.numpy(), expected, rtol=1e-10, atol=1e-10, err_msg=name)
        assert total.any() or not learns(kind, name, reset)


def learns(kind: str, name: str, reset: str) -> bool:
    """Can a parameter learn at all?"""
    if name == "1.threshold":
        return reset == "subtract"
    # Where only a neuron itself hears its spike, a delayed reset to zero takes what it hears.
    return (kind, name, reset) != ("RLeaky one to one", "1.V", "zero")


@pytest.mark.parametrize("kind", ["Lapicque", "RLeaky", "RSynaptic", "Alpha"])
def test_maps_equal_the_oracle(kind: str) -> None:
    """A convolution, and for neurons that recur a second one, as the matrices that they are."""
    torch.manual_seed(0)
    shape = (2, 3, 3)
    options: dict[str, Any] = {"threshold": 0.6, "init_hidden": True, "output": True}
    if kind == "Lapicque":
        options |= {"R": 1.5, "C": 1.2}
    else:
        options |= {"beta": torch.tensor([0.6, 0.7]).view(2, 1, 1), "learn_beta": True}
    if kind in ("RLeaky", "RSynaptic"):
        options |= {"conv2d_channels": 2, "kernel_size": (3, 1)}
    if kind in ("Alpha", "RSynaptic"):
        options["alpha"] = torch.tensor([0.9, 0.8]).view(2, 1, 1)
    neuron: Any = getattr(snn, kind)(**options)
    conv = nn.Conv2d(2, 2, 3, padding=1)
    with torch.no_grad():
        conv.weight.mul_(5)
    net = nn.Sequential(conv, neuron).double()
    x = (torch.rand(5, 1, *shape) < 0.5).double()
    reward = torch.randn(5, 1, *shape).double()

    lfp = TemporalLFP(net, Epsilon(EPS))
    spikes = lfp.forward(x)
    found = lfp.backward(reward, input_relevance=True)
    assert isinstance(found, Tensor) and spikes.any()

    def matrix(synapse: nn.Conv2d) -> tuple[Tensor, Tensor]:
        bias = synapse.bias
        assert bias is not None
        each = synapse(torch.eye(18, dtype=torch.float64).view(18, *shape))
        return (each - bias[:, None, None]).flatten(1).T, bias.repeat_interleave(9)

    def of_kernel(synapse: nn.Conv2d, sums: Any) -> Tensor:
        """Of the entries of a matrix, those that a weight of the kernel made."""
        (total,) = torch.autograd.grad(
            matrix(synapse)[0], synapse.weight, torch.from_numpy(sums), retain_graph=True
        )
        return total * synapse.weight.detach().abs()

    recurrent = matrix(neuron.recurrent) if kind in ("RLeaky", "RSynaptic") else None
    units = oracle(net, *matrix(conv), recurrent)
    np.testing.assert_array_equal(spikes[:, 0].flatten(1), units.run(x[:, 0].flatten(1).numpy()))
    expected = units.send_back(reward[:, 0].flatten(1).numpy())
    np.testing.assert_allclose(found[:, 0].flatten(1), expected, rtol=1e-10, atol=1e-10)
    sums, learnt = units.sums, feedback(net)
    torch.testing.assert_close(
        learnt["0.weight"], of_kernel(conv, sums["weight"]), rtol=1e-10, atol=1e-10
    )
    if recurrent is not None:
        own = of_kernel(neuron.recurrent, sums["recurrent"])
        torch.testing.assert_close(learnt["1.recurrent.weight"], own, rtol=1e-10, atol=1e-10)
    if kind != "Lapicque":
        of_beta = torch.from_numpy(sums["beta"]).view(2, 9).sum(1) * neuron.beta.detach().flatten()
        torch.testing.assert_close(learnt["1.beta"].flatten(), of_beta, rtol=1e-10, atol=1e-10)


def test_lapicque_is_made_of_beta_or_of_r_and_c() -> None:
    x = spikes_in().float()
    for constants in ({"beta": 0.8}, {"beta": 0.2}, {"beta": 0.7, "C": 2.0}, {"R": 3, "C": 1}):
        torch.manual_seed(0)
        neuron = snn.Lapicque(**constants, init_hidden=True, output=True, time_step=0.5)
        net = nn.Sequential(nn.Linear(INPUTS, UNITS), neuron)
        lfp = TemporalLFP(net)
        ours, (theirs, membranes) = lfp.forward(x), stepped(net, x)
        assert torch.equal(ours, theirs)
        torch.testing.assert_close(lfp.membranes, membranes, rtol=1e-5, atol=1e-5)


def test_alpha_credits_no_input_at_its_own_step() -> None:
    """The two currents cancel there: credit rises with the kernel, as the membrane does."""
    net = nn.Sequential(nn.Linear(1, 1, bias=False), snn.Alpha(0.9, 0.8, init_hidden=True))
    with torch.no_grad():
        net.get_parameter("0.weight").fill_(1.0)
    lfp = TemporalLFP(net.double(), Norm())
    x = torch.tensor([1.0, 0.0, 0.0, 0.0]).double()
    found = []
    for step in range(4):
        lfp.forward(x.view(4, 1, 1))
        membrane = lfp.membranes[step].item()
        reward = torch.zeros(4, 1, 1).double()
        reward[step] = 1
        relevance = lfp.backward(reward, input_relevance=True)
        assert isinstance(relevance, Tensor)
        found.append((membrane, relevance[0].item()))
    assert found[0] == (0, 0)
    # An input alone takes what the membrane that it made is of both parts' size.
    tau = np.log(0.9) / (np.log(0.8) - np.log(0.9)) + 1
    for k, (membrane, taken) in enumerate(found):
        assert membrane == pytest.approx(tau * (0.9**k - 0.8**k))
        assert taken == pytest.approx((0.9**k - 0.8**k) / (0.9**k + 0.8**k))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rule", [Epsilon(conserving=True), Norm(), Pass()])
def test_rules_keep_their_word(kind: str, rule: Rule) -> None:
    """Without bias, nothing recurring and no reset, relevance goes to the input alone."""
    net = make(kind, "none")
    linear, neuron = net[0], net[1]
    assert isinstance(linear, nn.Linear)
    with torch.no_grad():
        linear.bias.zero_()
        for parameter in getattr(neuron, "recurrent", nn.Identity()).parameters():
            parameter.zero_()
    x, reward = spikes_in(), some_reward().abs()
    x[0] = 1  # no membrane that nothing made, whose relevance would be dropped
    lfp = TemporalLFP(net, rule)
    lfp.forward(x)
    found = lfp.backward(reward, input_relevance=True)
    assert isinstance(found, Tensor) and found.isfinite().all() and found.any()
    if isinstance(rule, Epsilon):
        torch.testing.assert_close(found.sum(), reward.sum(), rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rule", [Epsilon(0.1), Norm()])
def test_a_shorter_sample_is_as_if_alone(kind: str, rule: Rule) -> None:
    net, x, reward = make(kind), spikes_in(), some_reward()
    lengths = torch.tensor([4, 9, 6])
    alone = {name: torch.zeros_like(p) for name, p in net.named_parameters()}
    states = []
    for b, length in enumerate(lengths.tolist()):
        lfp = TemporalLFP(net, rule)
        lfp.forward(x[:length, b : b + 1])
        states.append(lfp.state["1"])
        lfp.backward(reward[:length, b : b + 1])
        for name, total in feedback(net).items():
            alone[name] += total
    lfp = TemporalLFP(net, rule)
    spikes = lfp.forward(x, lengths=lengths)
    assert not spikes[4:, 0].any()
    torch.testing.assert_close(lfp.state["1"], torch.cat(states, 1))
    lfp.backward(reward)
    for name, total in feedback(net).items():
        torch.testing.assert_close(total, alone[name])


@pytest.mark.parametrize(("kind", "reset", "delay"), CASES)
def test_a_stream_goes_on(kind: str, reset: str, delay: bool) -> None:
    net, x = make(kind, reset, delay), spikes_in()
    whole = TemporalLFP(net).forward(x)
    lfp = TemporalLFP(net)
    first = lfp.forward(x[:4])
    second = lfp.forward(x[4:], state=lfp.state)
    assert torch.equal(torch.cat([first, second]), whole)


def test_a_state_of_another_shape_is_refused() -> None:
    lfp = TemporalLFP(make("RSynaptic"))
    with pytest.raises(
        ShapeError, match=r"'1' \(RSynaptic\(subtract\)\).*\(2, 3, 4\).*\(3, 3, 4\)"
    ):
        lfp.forward(spikes_in(), state={"1": torch.zeros(2, BATCH, UNITS).double()})


@pytest.mark.parametrize(("kind", "reset", "delay"), CASES)
def test_chunks_of_time_learn_the_same(kind: str, reset: str, delay: bool) -> None:
    net, x, reward = make(kind, reset, delay), spikes_in(), some_reward()
    found = []
    for lfp in (TemporalLFP(net), TemporalLFP(net, memory="chunked", chunk=4)):
        lfp.forward(x, lengths=torch.tensor([9, 6, 8]))
        relevance = lfp.backward(reward, input_relevance=True)
        assert isinstance(relevance, Tensor)
        found.append([relevance, *(total.clone() for total in feedback(net).values())])
    assert len(found[0]) == len(found[1]) > 3
    for whole, parts in zip(*found, strict=True):
        torch.testing.assert_close(parts, whole, rtol=1e-10, atol=1e-12)


def test_rules_with_variants_are_refused_at_a_recurrent_synapse_alone() -> None:
    for kind in ("RLeaky", "RSynaptic"):
        lfp = TemporalLFP(make(kind), Gamma(0.25))
        spikes = lfp.forward(spikes_in())
        with pytest.raises(NetworkError, match=rf"'1' \({kind}\) has a recurrent synapse"):
            lfp.backward(torch.ones_like(spikes))
    for kind in ("Lapicque", "Synaptic", "Alpha"):
        net = make(kind)
        lfp = TemporalLFP(net, AlphaBeta(2, 1))
        lfp.backward(torch.ones_like(lfp.forward(spikes_in())))
        assert all(total.isfinite().all() for total in feedback(net).values())


def test_what_snntorch_cannot_do_is_refused() -> None:
    for neuron, reason in (
        (snn.Lapicque(beta=0.8, learn_beta=True, init_hidden=True), "learn_beta=True.*only once"),
        (
            snn.RSynaptic(0.9, 0.8, all_to_all=False, reset_delay=False, init_hidden=True),
            r"\(RSynaptic\) has reset_delay=False, at which snntorch's own RSynaptic fails",
        ),
    ):
        with pytest.raises(NetworkError, match=reason):
            TemporalLFP(nn.Sequential(nn.Linear(3, 3), neuron))
    graded = snn.Synaptic(0.9, 0.8, init_hidden=True)
    graded.graded_spikes_factor = torch.tensor(2.0)
    with pytest.raises(NetworkError, match=r"\(Synaptic\) uses graded spikes.*to Leaky alone"):
        TemporalLFP(nn.Sequential(nn.Linear(3, 3), graded))
    alpha = snn.Alpha(0.9, 0.8, init_hidden=True, learn_beta=True)
    with torch.no_grad():
        alpha.beta.fill_(0.95)
    lfp = TemporalLFP(nn.Sequential(nn.Linear(3, 3), alpha))
    with pytest.raises(NetworkError, match=r"alpha 0.9 and beta 0.95; expected alpha > beta"):
        lfp.forward(torch.zeros(2, 1, 3))


@crossed(("kind", list(KINDS)), ("learner", [name for name in LEARNERS if "lfp" not in name]))
def test_every_learner_learns_the_same_network(kind: str, learner: str) -> None:
    net = make(kind).float()
    chosen = LEARNERS[learner]
    made = chosen.from_options(net, chosen.Options(name=learner))
    batch = Batch(Spikes.from_dense(spikes_in().float()), torch.tensor([0, 1, 2]))
    results = []
    for _ in range(2):  # nothing of the first pass is left in the second
        for parameter in net.parameters():
            parameter.grad = None
        made.feedback(batch)
        results.append([p.grad.clone() for p in net.parameters() if p.grad is not None])
    assert results[0] and all(map(torch.equal, *results))


def test_the_table_shows_what_they_hold() -> None:
    for kind, shown in (
        ("Lapicque", {"R", "C", "threshold"}),
        ("RLeaky", {"beta", "threshold", "recurrent"}),
        ("RSynaptic one to one", {"alpha", "beta", "threshold", "V"}),
    ):
        lfp = TemporalLFP(make(kind))
        stage = next(s for s in lfp.reference.spiking() if isinstance(s, Stepped))
        assert set(stage.parameters()) == shown
        assert stage.describe() == f"{kind.split()[0]}(subtract)"
