"""The events backend against the reference, stage by stage and over whole networks.

Weights are dyadic (multiples of 1/64) and so is all that is added to a membrane, so that sums are
exact in any order and a spike cannot flip.
"""

from collections.abc import Callable
from functools import partial

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn import Spikes, TemporalLFP
from lfp_snn.rules import AlphaBeta, Epsilon, Gamma, Rule, ZPlus
from tests.crossed import crossed

STEPS, BATCH = 7, 3


def leaky(*, reset: str = "subtract", delay: bool = True, **options: object) -> snn.Leaky:
    options = {"beta": 0.5, "threshold": 0.75} | options
    return snn.Leaky(reset_mechanism=reset, reset_delay=delay, init_hidden=True, **options)


class Residual(nn.Module):
    """Branches that merge by maximum, by sum and side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.lif1 = nn.Conv2d(2, 4, 3, padding=1), leaky()
        self.second, self.lif2 = nn.Conv2d(4, 4, 3, padding=1), leaky()
        self.third, self.lif3 = nn.Conv2d(4, 2, 1), leaky()
        self.pool = nn.MaxPool2d(2)
        self.last, self.lif4 = nn.Linear(6 * 4 * 4, 5), leaky()

    def forward(self, x: Tensor) -> Tensor:
        a = self.lif1(self.first(x))
        b = torch.maximum(self.lif2(self.second(a)), a)
        c = self.pool(torch.cat([self.lif3(self.third(b)), a + b], 1))
        spikes: Tensor = self.lif4(self.last(torch.flatten(c, 1)))
        return spikes


def mlp(neuron: Callable[[], snn.Leaky] = leaky) -> nn.Module:
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(128, 70),
        neuron(),
        nn.Linear(70, 17),
        neuron(),
        nn.Linear(17, 5),
        neuron(),
    )


def cnn(pool: nn.Module, after: int, neuron: Callable[[], snn.Leaky] = leaky) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 5, 3), neuron(), pool, nn.Flatten(), nn.Linear(after, 5), neuron()
    )


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "mlp": mlp,
    "max": lambda: cnn(nn.MaxPool2d(2), 45),
    "avg": lambda: cnn(nn.AvgPool2d(2), 45),
    "overlap": lambda: cnn(nn.MaxPool2d(3, 2, 1), 45),
    "overlap_avg": lambda: cnn(nn.AvgPool2d(3, 1), 80),
    "adaptive_max": lambda: cnn(nn.AdaptiveMaxPool2d(4), 80),
    "adaptive_avg": lambda: cnn(nn.AdaptiveAvgPool2d((2, 3)), 30),
    "dilated_pool": lambda: cnn(nn.MaxPool2d(2, dilation=2), 20),
    "uncounted_pad": lambda: cnn(nn.AvgPool2d(2, padding=1, count_include_pad=False), 80),
    "strided": lambda: nn.Sequential(
        nn.Conv2d(2, 4, (3, 2), (2, 1), (1, 2), bias=False),
        leaky(),
        nn.Conv2d(4, 6, 3, groups=2, dilation=2, padding="same"),
        leaky(),
        nn.Dropout(0.5),
        nn.Identity(),
        nn.Flatten(),
        nn.Linear(6 * 4 * 11, 5),
        leaky(),
    ),
    "one_dimension": lambda: nn.Sequential(
        nn.Flatten(2),
        nn.Conv1d(2, 4, 5, stride=2),
        leaky(),
        nn.MaxPool1d(3),
        nn.Conv1d(4, 3, 3, padding=1),
        leaky(),
        nn.AvgPool1d(2, padding=1),
        nn.Flatten(),
        nn.Linear(18, 5),
        leaky(),
    ),
    "two_pools": lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        leaky(),
        nn.MaxPool2d(2),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(16, 5),
        leaky(),
    ),
    "linear_pool": lambda: nn.Sequential(
        nn.Flatten(2),
        nn.Linear(64, 9),
        leaky(),
        nn.MaxPool1d(3),
        nn.Flatten(),
        nn.Linear(6, 5),
        leaky(),
    ),
    "batch_norm": lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), leaky(), nn.Flatten(), nn.Linear(144, 5), leaky()
    ),
    "residual": Residual,
    "learns_decay": lambda: mlp(lambda: leaky(learn_beta=True, learn_threshold=True)),
    "convolution_last": lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3), leaky(), nn.Conv2d(4, 5, 6), leaky(), nn.Flatten()
    )[:4],
}


def dyadic(net: nn.Module, seed: int = 0) -> nn.Module:
    """Round all weights to multiples of 1/64, at a size at which neurons fire."""
    torch.manual_seed(seed)
    for p in net.parameters():
        if p.dim():
            fan_in = max(2, p[0].numel()) if p.dim() > 1 else 4
            p.data = torch.round(torch.randn(p.shape) * 64 * 1.5 / fan_in**0.5) / 64
    return net.double()


def events(density: float = 0.15, seed: int = 1) -> Tensor:
    torch.manual_seed(seed)
    return (torch.rand(STEPS, BATCH, 2, 8, 8) < density).double()


def run(
    net: nn.Module,
    backend: str,
    x: Tensor | Spikes,
    *,
    rule: Rule = Epsilon(0.125),  # noqa: B008 - frozen
    **options: object,
) -> dict[str, Tensor]:
    """All that a training step gives."""
    torch.manual_seed(5)
    lfp = TemporalLFP(net, rule=rule, backend=backend)
    spikes = lfp.forward(x, **options)  # type: ignore[arg-type]
    torch.manual_seed(6)
    relevance = lfp.backward(torch.randn(spikes.shape).double(), input_relevance=True)
    assert relevance is not None
    found = {"spikes": spikes, "relevance": relevance, "membranes": lfp.membranes}
    found |= {f"state {name}": w for name, w in lfp.state.items()}
    found |= {f"rate {name}": torch.tensor(r) for name, r in lfp.firing_rates.items()}
    for name, p in net.named_parameters():
        found[f"feedback {name}"] = getattr(p, "feedback")  # noqa: B009 - torch types know it not
    return found | {
        f"grad {name}": p.grad for name, p in net.named_parameters() if p.grad is not None
    }


def assert_equal(
    net: nn.Module,
    x: Tensor | Spikes,
    *,
    rule: Rule = Epsilon(0.125),  # noqa: B008 - frozen
    **options: object,
) -> None:
    expected = run(net, "torch", x, rule=rule, **options)
    assert expected["spikes"].any(), "a silent network shows nothing"
    assert expected["relevance"].any()
    found = run(net, "events", x, rule=rule, **options)
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(
            found[name], value, rtol=1e-9, atol=1e-11, msg=partial("{}: {}".format, name)
        )


@pytest.mark.parametrize("as_list", [True, False], ids=["spikes", "dense"])
@pytest.mark.parametrize("name", NETWORKS)
def test_network_equals_the_reference(name: str, as_list: bool) -> None:
    x = events()
    assert_equal(dyadic(NETWORKS[name]()), Spikes.from_dense(x) if as_list else x)


@crossed(("name", list(NETWORKS)), ("rule", [Gamma(0.5), AlphaBeta(2, 1), ZPlus()]))
def test_rules_by_sign_equal_the_reference(name: str, rule: Rule) -> None:
    assert_equal(dyadic(NETWORKS[name]()), Spikes.from_dense(events()), rule=rule)


@pytest.mark.parametrize("delay", [True, False])
@pytest.mark.parametrize("reset", ["subtract", "zero", "none"])
@pytest.mark.parametrize("name", ["mlp", "cnn"])
def test_neuron_options(name: str, reset: str, delay: bool) -> None:
    def neuron() -> snn.Leaky:
        return leaky(reset=reset, delay=delay)

    net = mlp(neuron) if name == "mlp" else cnn(nn.MaxPool2d(2), 45, neuron)
    assert_equal(dyadic(net), Spikes.from_dense(events()))
    assert_equal(dyadic(net), events(0.6))


def test_neurons_with_constants_of_their_own() -> None:
    def neuron(*shape: int) -> snn.Leaky:
        beta = torch.randint(1, 4, shape) / 4
        return leaky(beta=beta, threshold=torch.randint(1, 9, shape) / 8)

    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(2, 4, 3),
        neuron(4, 1, 1),
        nn.Conv2d(4, 3, 3),
        neuron(3, 4, 4),
        nn.Flatten(),
        nn.Linear(48, 9),
        neuron(9),
        nn.Linear(9, 5),
        neuron(1),
    )
    assert_equal(dyadic(net), Spikes.from_dense(events()))


@pytest.mark.parametrize("name", ["mlp", "max", "avg", "overlap", "residual"])
def test_samples_that_end_early(name: str) -> None:
    lengths = torch.tensor([STEPS, 2, 5])
    assert_equal(dyadic(NETWORKS[name]()), Spikes.from_dense(events()), lengths=lengths)


@pytest.mark.parametrize("name", ["mlp", "max", "residual"])
def test_constant_input(name: str) -> None:
    x = torch.randint(0, 3, (BATCH, 2, 8, 8)).double() / 8
    assert_equal(dyadic(NETWORKS[name]()), x, steps=STEPS)


@pytest.mark.parametrize("name", ["mlp", "max"])
def test_values_of_events_count(name: str) -> None:
    counts = events() * torch.randint(1, 4, (STEPS, BATCH, 2, 8, 8))
    assert_equal(dyadic(NETWORKS[name]()), Spikes.from_dense(counts))


@pytest.mark.parametrize("name", ["mlp", "max", "residual"])
def test_continued_stream(name: str) -> None:
    net = dyadic(NETWORKS[name]())
    lfp = TemporalLFP(net, backend="events")
    whole = lfp.forward(events(), record=False)
    first = lfp.forward(events()[:3], record=False)
    second = lfp.forward(events()[3:], state=lfp.state, record=False)
    assert torch.equal(torch.cat([first, second]), whole)
    state = TemporalLFP(net, backend="torch")
    state.forward(events()[:3])
    assert_equal(net, events()[3:], state=state.state)


def test_layer_spikes_equal_the_reference() -> None:
    for name in ("max", "residual"):
        net = dyadic(NETWORKS[name]())
        by_backend = []
        for backend in ("torch", "events"):
            lfp = TemporalLFP(net, backend=backend)
            lfp.forward(events())
            by_backend.append(lfp.layer_spikes())
        assert by_backend[0].keys() == by_backend[1].keys()
        for layer, spikes in by_backend[0].items():
            torch.testing.assert_close(by_backend[1][layer], spikes, rtol=0, atol=0)


def test_two_runs_are_bit_identical_whatever_the_number_of_threads() -> None:
    torch.manual_seed(0)
    net = NETWORKS["max"]()
    x = Spikes.from_dense(events().float())
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 2):
            torch.set_num_threads(threads)
            lfp = TemporalLFP(net, backend="events")
            spikes = lfp.forward(x)
            lfp.backward(torch.ones_like(spikes))
            results.append([p.grad for p in net.parameters() if p.grad is not None])
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_works_under_inference_mode() -> None:
    net = dyadic(mlp())
    with torch.inference_mode():
        lfp = TemporalLFP(net, backend="events")
        spikes = lfp.forward(events())
        lfp.backward(torch.ones_like(spikes))
    optimizer = torch.optim.Adam(net.parameters())
    optimizer.step()
    assert all(not p.grad.is_inference() for p in net.parameters() if p.grad is not None)
