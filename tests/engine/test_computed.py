"""Weights that hooks or parametrisations compute: what is behind them learns, or is refused."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn
from torch.nn.utils import (
    parametrizations,
    parametrize,
    prune,
    remove_spectral_norm,
    remove_weight_norm,
    spectral_norm,
    weight_norm,
)

from lfp_snn import TemporalLFP, calibrate
from lfp_snn.analysis.exchange.layers import layers_of
from lfp_snn.analysis.exchange.quantise import quantise
from lfp_snn.data import Batch
from lfp_snn.errors import NetworkError
from lfp_snn.learners.rstdp import RSTDP
from lfp_snn.rewards import RateCoded
from lfp_snn.rules import Flat, Rescale, Update
from lfp_snn.training.conversion import balance
from tests.engine.compare import (
    assert_near,
    assert_same_feedback,
    feedback_at,
    run,
    step_by_step,
    trains,
)

Change = Callable[[Any], Any]
untyped: Any = prune
pytestmark = pytest.mark.filterwarnings("ignore:.*weight_norm.* is deprecated")


def pruned(module: nn.Module) -> nn.Module:
    made: nn.Module = untyped.l1_unstructured(module, "weight", 0.5)
    return made


def pruned_twice(module: nn.Module) -> nn.Module:
    made: nn.Module = untyped.random_structured(pruned(module), "weight", 0.3, dim=0)
    return made


class Cubed(nn.Module):
    """A parametrisation of a user's."""

    def forward(self, weight: Tensor) -> Tensor:
        return weight + 4 * weight**3


def cubed(module: nn.Module) -> None:
    parametrize.register_parametrization(module, "weight", Cubed())


def make_permanent(module: nn.Module) -> None:
    parametrize.remove_parametrizations(module, "weight")


#: How a weight is computed, and how it is made a parameter again.
CASES: dict[str, tuple[Change, Change]] = {
    "prune": (pruned, lambda m: untyped.remove(m, "weight")),
    "prune twice": (pruned_twice, lambda m: untyped.remove(m, "weight")),
    "weight_norm": (weight_norm, remove_weight_norm),
    "spectral_norm": (spectral_norm, remove_spectral_norm),
    "parametrised weight_norm": (parametrizations.weight_norm, make_permanent),
    "parametrised spectral_norm": (parametrizations.spectral_norm, make_permanent),
    "a user's": (cubed, make_permanent),
}
LAYERS = ("linear", "conv", "transposed")


def step(distance: Tensor) -> Tensor:
    """Spikes in the type of the membrane."""
    return (distance > 0).to(distance.dtype)


def neurons(**options: Any) -> snn.Leaky:
    return snn.Leaky(beta=0.9, spike_grad=step, init_hidden=True, **options)


def network(kind: str, change: Change, norm: bool = False) -> tuple[nn.Sequential, nn.Module]:
    torch.manual_seed(0)
    layers: dict[str, Callable[[], nn.Module]] = {
        "linear": lambda: nn.Linear(36, 8),
        "conv": lambda: nn.Conv2d(1, 8, 3),
        "transposed": lambda: nn.ConvTranspose2d(1, 2, 3),
    }
    synapse = layers[kind]()
    size = {"linear": 8, "conv": 128, "transposed": 128}[kind]
    synapse.double()
    change(synapse)
    shaped = [nn.Flatten()] if kind == "linear" else []
    norms = [nn.BatchNorm2d(8)] if norm else []
    net = nn.Sequential(
        *shaped,
        synapse,
        *norms,
        neurons(threshold=0.1),
        nn.Flatten(),
        nn.Linear(size, 3),
        neurons(threshold=0.1, output=True),
    )
    return net.double().eval(), synapse


def computed(synapse: nn.Module, x: Tensor) -> Tensor:
    """The weight as a call of the module computes it."""
    if not parametrize.is_parametrized(synapse):
        synapse(x)  # whose hook leaves it
    weight: Tensor = synapse.weight  # type: ignore[assignment]
    return weight


EXAMPLES = {"linear": (1, 36), "conv": (1, 1, 6, 6), "transposed": (1, 1, 6, 6)}


@pytest.mark.parametrize("backend", ["torch", "events"])
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("case", CASES)
def test_what_is_behind_a_weight_learns(case: str, kind: str, backend: str) -> None:
    """Spikes are the module's, and ``sum_w G dw/dp`` is what autograd makes of the sums G of w."""
    change, remove = CASES[case]
    net, synapse = network(kind, change)
    plain, permanent = network(kind, change)
    remove(permanent)
    x = trains(8, 4, 1, 6, 6)
    expected = step_by_step(net, x).spikes
    (spikes, found), (same, of_plain) = (
        run(TemporalLFP(n, backend=backend), x) for n in (net, plain)
    )
    assert expected.any() and torch.equal(spikes, expected) and torch.equal(same, expected)
    made = computed(synapse, torch.zeros(EXAMPLES[kind], dtype=torch.float64))
    weight = permanent.get_parameter("weight").detach()
    sums = of_plain.pop(f"{list(plain).index(permanent)}.weight") / weight.abs().where(
        weight != 0, 1
    )
    if "prune" in case:  # where |w| is zero, what flowed is not known: it is masked away
        assert bool((weight == 0).any())
    behind = {n: p for n, p in synapse.named_parameters() if n != "bias"}
    pulled = torch.autograd.grad(made, list(behind.values()), sums)
    place = list(net).index(synapse)
    for (name, parameter), total in zip(behind.items(), pulled, strict=True):
        own = found.pop(f"{place}.{name}")
        assert total.any()
        assert_near(own, parameter.detach().abs() * total)
        assert parameter.grad is not None and torch.equal(parameter.grad, -feedback_at(parameter))
    assert_same_feedback(found, of_plain)


def pruned_bias(module: nn.Module) -> None:
    untyped.l1_unstructured(pruned(module), "bias", 0.5)


def both_cubed(module: nn.Module) -> None:
    cubed(module)
    parametrize.register_parametrization(module, "bias", Cubed())


def both_permanent(module: nn.Module) -> None:
    make_permanent(module)
    parametrize.remove_parametrizations(module, "bias")


def norm_and_pruned_bias(module: nn.Module) -> None:
    untyped.l1_unstructured(weight_norm(module), "bias", 0.5)


def without_hooks(module: nn.Module) -> None:
    untyped.remove(module, "bias")
    if "weight_orig" in dict(module.named_parameters()):
        untyped.remove(module, "weight")
    elif "weight_g" in dict(module.named_parameters()):
        remove_weight_norm(module)


#: How a bias is computed, alone or beside the weight, and how both are made parameters again.
BIASES: dict[str, tuple[Change, Change]] = {
    "pruned alone": (lambda m: untyped.l1_unstructured(m, "bias", 0.5), without_hooks),
    "two hooks, pruned": (pruned_bias, without_hooks),
    "two hooks, weight norm": (norm_and_pruned_bias, without_hooks),
    "both parametrised": (both_cubed, both_permanent),
}


@pytest.mark.parametrize("norm", [False, True])
@pytest.mark.parametrize("backend", ["torch", "events"])
@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("case", BIASES)
def test_what_is_behind_a_bias_learns(case: str, kind: str, backend: str, norm: bool) -> None:
    """As behind a weight: ``|p| G db/dp`` with the sums G of the bias."""
    if norm and kind != "conv":
        pytest.skip("one kind of norm, behind the convolution")
    change, remove = BIASES[case]
    (net, synapse), (plain, permanent) = network(kind, change, norm), network(kind, change, norm)
    remove(permanent)
    x = trains(8, 4, 1, 6, 6)
    spikes, found = run(TemporalLFP(net, backend=backend), x)
    same, of_plain = run(TemporalLFP(plain, backend=backend), x)
    assert spikes.any() and torch.equal(spikes, same)
    assert torch.equal(spikes, step_by_step(net, x).spikes)
    computed(synapse, torch.zeros(EXAMPLES[kind], dtype=torch.float64))
    made: Any = synapse.bias
    place = list(net).index(synapse)
    bias: Any = permanent.get_parameter("bias").detach()
    sums = of_plain[f"{place}.bias"] / bias.abs().where(bias != 0, 1)
    keys = ("bias", "parametrizations.bias.")
    behind = {n: p for n, p in synapse.named_parameters() if n.startswith(keys)}
    pulled = torch.autograd.grad(made, list(behind.values()), sums)
    for (name, parameter), total in zip(behind.items(), pulled, strict=True):
        assert total.any()
        assert_near(found[f"{place}.{name}"], parameter.detach().abs() * total)
    others = {n: each for n, each in found.items() if not n.startswith(f"{place}.")}
    assert others
    for name, each in others.items():
        assert_near(each, of_plain[name])


@pytest.mark.parametrize("rule", [Rescale(), None])
@pytest.mark.parametrize("norm", [False, True])
def test_backends_agree(norm: bool, rule: Rescale | None) -> None:
    x, found = trains(8, 4, 1, 6, 6), []
    for backend in ("torch", "events"):
        net, _ = network("conv", parametrizations.weight_norm, norm)
        lfp = TemporalLFP(net.train(), rule, backend)
        found.append(run(lfp, x))
        assert "events" in lfp.kernels.get("1", backend) or backend == "torch"
    assert torch.equal(found[0][0], found[1][0])
    assert_same_feedback(found[0][1], found[1][1])


def test_relevance_is_conserved() -> None:
    """Lengths have that of the weights, which are multiples of them; directions have none."""
    net, synapse = network("linear", parametrizations.weight_norm)
    plain, permanent = network("linear", lambda m: m)
    _, found = run(TemporalLFP(net), trains(8, 4, 1, 6, 6))
    _, of_plain = run(TemporalLFP(plain), trains(8, 4, 1, 6, 6))
    by_unit = (permanent.get_parameter("weight").detach().sign() * of_plain["1.weight"]).sum(
        1, keepdim=True
    )
    lengths = synapse.get_parameter("parametrizations.weight.original0").detach()
    directions = synapse.get_parameter("parametrizations.weight.original1").detach()
    assert by_unit.any()
    assert_near(lengths.sign() * found["1.parametrizations.weight.original0"], by_unit)
    of_directions = directions.sign() * found["1.parametrizations.weight.original1"]
    assert of_directions.any()
    assert_near(of_directions.sum(1), torch.zeros(8).double())


@pytest.mark.parametrize("update", [Update(), Update("hebbian"), Update("oja"), Update(floor=0.1)])
def test_what_is_pruned_stays_zero(update: Update) -> None:
    net, synapse = network("conv", pruned)
    lfp = TemporalLFP(net, update=update)
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    mask, x = synapse.get_buffer("weight_mask") == 0, trains(8, 4, 1, 6, 6)
    before = synapse.get_parameter("weight_orig").detach().clone()
    for _ in range(3):
        lfp.backward(RateCoded()(lfp.forward(x), [0, 1, 2, 0]))
        optimizer.step()
    after = synapse.get_parameter("weight_orig").detach()
    assert not torch.equal(before, after)
    made = computed(synapse, x[0])
    assert mask.any() and not made[mask].any() and made[~mask].all()
    if update.form != "oja":  # whose decay is of what is stored
        assert torch.equal(before[mask], after[mask])


@pytest.mark.parametrize("backend", ["torch", "events"])
@pytest.mark.parametrize("case", CASES)
def test_a_network_that_is_changed_between_two_passes(case: str, backend: str) -> None:
    change, remove = CASES[case]
    net, synapse = network("linear", lambda module: module)
    lfp, x = TemporalLFP(net, backend=backend), trains(8, 4, 1, 6, 6)
    lfp.forward(x)
    for make in (change, remove):
        make(synapse)
        again = TemporalLFP(copied(net), backend=backend)
        spikes, found = run(lfp, x)
        same, expected = run(again, x)
        assert torch.equal(spikes, same)
        assert_same_feedback(found, expected)


def copied(net: nn.Sequential) -> nn.Sequential:
    """A copy, which torch refuses of modules whose hooks left a weight with a graph."""
    for module in net.modules():
        if isinstance(vars(module).get("weight"), Tensor):
            vars(module)["weight"] = vars(module)["weight"].detach()
    return copy.deepcopy(net)


def test_parameters_behind_a_weight_are_read_anew() -> None:
    net, synapse = network("conv", parametrizations.weight_norm)
    lfp, x = TemporalLFP(net), trains(8, 4, 1, 6, 6)
    before = lfp.forward(x)
    with torch.no_grad():
        synapse.get_parameter("parametrizations.weight.original0").mul_(3)
    after = lfp.forward(x)
    assert not torch.equal(before, after)
    assert torch.equal(after, step_by_step(net, x).spikes)
    synapse.get_parameter("parametrizations.weight.original0").requires_grad_(False)
    _, found = run(lfp, x)
    for parameter in net.parameters():
        parameter.requires_grad_(False)
    assert found["0.parametrizations.weight.original1"].any()


@pytest.mark.parametrize("change", [spectral_norm, parametrizations.spectral_norm])
def test_a_spectral_norm_takes_one_power_iteration_a_pass(change: Change) -> None:
    net, synapse = network("linear", change)
    other, same = network("linear", change)
    lfp, x = TemporalLFP(net), trains(8, 4, 1, 6, 6)
    lfp.forward(x)  # in evaluation it takes none, and the check in training neither
    net.train(), other.train()
    for _ in range(2):
        lfp.backward(RateCoded()(lfp.forward(x), [0, 1, 2, 0]))
        weight = computed(same, torch.zeros(1, 36).double())
    of = dict(synapse.named_buffers())
    assert of and all(torch.equal(of[n], b) for n, b in same.named_buffers())
    net.eval(), other.eval()
    assert torch.equal(lfp.forward(x), step_by_step(other, x).spikes)
    assert weight.requires_grad


def test_chunks_streams_and_shared_layers() -> None:
    net, _ = network("conv", parametrizations.weight_norm)
    x, lengths = trains(9, 2, 1, 6, 6), torch.tensor([9, 4])
    _, expected = run(TemporalLFP(net, backend="torch"), x, lengths=lengths)
    for backend in ("torch", "events"):
        lfp = TemporalLFP(net, backend=backend, memory="chunked", chunk=4)
        assert_same_feedback(run(lfp, x, lengths=lengths)[1], expected)
    session = TemporalLFP(net).online()
    spikes = torch.stack([session.step(frame, torch.tensor([0, 1])) for frame in x])
    session.collect()
    assert torch.equal(spikes, step_by_step(net, x).spikes)
    assert feedback_at(net[0].get_parameter("parametrizations.weight.original0")).any()


class Twice(nn.Module):
    """A layer that is called at two places, in training with a weight that moves."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = parametrizations.spectral_norm(nn.Linear(6, 6))
        self.lif = nn.ModuleList(snn.Leaky(0.9, threshold=0.1, init_hidden=True) for _ in "ab")

    def forward(self, x: Tensor) -> Any:
        for lif in self.lif:
            x = lif(self.fc(x))
        return x


def test_a_layer_at_two_places_has_one_weight() -> None:
    torch.manual_seed(1)
    net = Twice().double()
    _, found = run(TemporalLFP(net), trains(6, 3, 6))
    assert found["fc.parametrizations.weight.original"].any()


class Scaled(nn.Module):
    """A user's module whose own parameter is parametrised."""

    def __init__(self, computed: bool) -> None:
        super().__init__()
        self.fc = nn.Linear(6, 3)
        self.scale = nn.Parameter(torch.linspace(0.5, 2, 6))
        self.lif = snn.Leaky(0.9, threshold=0.3, init_hidden=True)
        if computed:
            parametrize.register_parametrization(self, "scale", Cubed())

    def forward(self, x: Tensor) -> Any:
        return self.lif(self.fc(x * self.scale))


def test_a_parameter_of_a_users_module_learns_behind_its_parametrisation() -> None:
    torch.manual_seed(2)
    net, plain, x = Scaled(True).double(), Scaled(False).double(), trains(6, 3, 6)
    plain.load_state_dict(
        {k: v for k, v in net.state_dict().items() if "scale" not in k}, strict=False
    )
    made = net.scale
    plain.scale.data = made.detach().clone()
    (spikes, found), (same, of_plain) = (run(TemporalLFP(each), x) for each in (net, plain))
    assert spikes.any() and torch.equal(spikes, same)
    original = net.get_parameter("parametrizations.scale.original")
    sums = of_plain.pop("scale") / plain.scale.detach().abs()
    (pulled,) = torch.autograd.grad(made, original, sums)
    assert_near(found.pop("parametrizations.scale.original"), original.detach().abs() * pulled)
    assert_same_feedback(found, of_plain)


def test_calibration_scales_what_is_behind_a_weight_and_leaves_a_spectral_norm() -> None:
    x = trains(8, 4, 1, 6, 6)
    net, _ = network("conv", weight_norm)
    factors = calibrate(TemporalLFP(net), x, target=0.05)
    fired = TemporalLFP(net)
    fired.forward(x)
    assert set(factors) == {"1", "4"} and factors["1"] != 1
    assert abs(float(fired.firing["1"]) - 0.05) < 0.02
    net, synapse = network("conv", spectral_norm)
    before = copy.deepcopy(dict(synapse.state_dict()))
    assert set(calibrate(TemporalLFP(net), x, target=0.05)) == {"4"}
    assert all(torch.equal(before[name], each) for name, each in synapse.state_dict().items())


def test_an_export_has_the_weights_that_are_computed() -> None:
    net, synapse = network("linear", parametrizations.weight_norm)
    first = next(layer for layer in layers_of(net, (1, 6, 6)) if layer.weight is not None)
    assert first.weight is not None
    assert torch.equal(torch.from_numpy(first.weight), computed(synapse, torch.zeros(1, 36)))
    net, synapse = network("linear", pruned_bias)
    with torch.no_grad():
        synapse.get_parameter("bias_orig").mul_(2)  # which no call has seen yet
    first = next(layer for layer in layers_of(net, (1, 6, 6)) if layer.weight is not None)
    bias: Any = synapse.get_parameter("bias_orig") * synapse.get_buffer("bias_mask")
    assert first.bias is not None and torch.equal(torch.from_numpy(first.bias), bias)


# ------------------------------------------------------------------------ what stays refused


def test_what_writes_weights_or_takes_them_apart_asks_for_permanent_ones() -> None:
    net, _ = network("linear", pruned)
    for refuse in (
        lambda: RSTDP(net),
        lambda: quantise(net, (1, 6, 6)),
        lambda: balance(TemporalLFP(net), Batch(trains(4, 2, 1, 6, 6), torch.zeros(2).long())),
    ):
        with pytest.raises(NetworkError, match=r"make it permanent first: .*prune\.remove"):
            refuse()


def noisy(module: nn.Module, key: str = "weight") -> None:
    class Noisy(nn.Module):
        def forward(self, weight: Tensor) -> Tensor:
            return weight + torch.randn_like(weight)

    parametrize.register_parametrization(module, key, Noisy())


def counting(module: nn.Module) -> None:
    class Counting(nn.Module):
        calls = 0

        def forward(self, weight: Tensor) -> Tensor:
            self.calls += 1
            return weight * (1 + self.calls)

    parametrize.register_parametrization(module, "weight", Counting())


def pruned_direction(module: nn.Module) -> None:
    untyped.l1_unstructured(weight_norm(module), "weight_v", 0.5)


REFUSED: dict[str, tuple[Change, str]] = {
    "noise": (noisy, "another weight at each call"),
    "a counter": (counting, "another weight at each call"),
    "a noisy bias": (lambda m: noisy(m, "bias"), "another bias at each call"),
    "a hook and a parametrisation": (
        lambda m: parametrize.register_parametrization(pruned(m), "bias", Cubed()),
        r"Module '1' computes 'bias' by a parametrisation \(Cubed\).*remove_parametrizations",
    ),
    "two hooks": (pruned_direction, r"Module '1' .* by a hook .*permanent first"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_has_no_rule_is_refused(case: str) -> None:
    change, message = REFUSED[case]
    net, _ = network("linear", change)
    with pytest.raises(NetworkError, match=message):
        TemporalLFP(net).forward(trains(4, 2, 1, 6, 6))


class Added(nn.Module):
    """A parametrisation by an addition of low rank, which begins at zero."""

    def __init__(self, weight: Tensor, first: float) -> None:
        super().__init__()
        self.register_buffer("whole", weight.detach().clone())
        self.down = nn.Parameter(torch.ones(2, weight.shape[1], dtype=weight.dtype))
        self.up = nn.Parameter(torch.full((len(weight), 2), first, dtype=weight.dtype))

    def forward(self, weight: Tensor) -> Tensor:
        return self.whole + 0 * weight + self.up @ self.down  # type: ignore[operator]


@pytest.mark.parametrize("first", [0.0, 0.01])
def test_what_would_never_move_is_refused_and_not_frozen_in_silence(first: float) -> None:
    def change(module: nn.Module) -> nn.Module:
        added = Added(module.weight, first)  # type: ignore[arg-type]
        return parametrize.register_parametrization(module, "weight", added)

    net, _ = network("linear", change)
    lfp = TemporalLFP(net)
    spikes = lfp.forward(trains(4, 2, 1, 6, 6))
    if first:
        lfp.backward(torch.ones_like(spikes))
        return
    with pytest.raises(NetworkError, match=r"parametrisation \(Added\) .* would never move"):
        lfp.backward(torch.ones_like(spikes))


@pytest.mark.parametrize("update", [Update("hebbian"), Update(floor=0.01)])
def test_what_begins_at_zero_moves_under_other_forms_of_the_update(update: Update) -> None:
    def change(module: nn.Module) -> nn.Module:
        added = Added(module.weight, 0.0)  # type: ignore[arg-type]
        return parametrize.register_parametrization(module, "weight", added)

    net, _ = network("linear", change)
    lfp = TemporalLFP(net, update=update)
    spikes = lfp.forward(trains(4, 2, 1, 6, 6))
    lfp.backward(torch.ones_like(spikes))
    layer: Any = net[1]
    assert any(p.grad is not None and p.grad.any() for p in layer.parametrizations.parameters())


def test_a_computed_bias_may_be_zero() -> None:
    def change(module: nn.Module) -> nn.Module:
        nn.init.zeros_(module.bias)  # type: ignore[arg-type]
        return parametrize.register_parametrization(module, "bias", Cubed())

    net, _ = network("linear", change)
    lfp = TemporalLFP(net)
    spikes = lfp.forward(trains(4, 2, 1, 6, 6))
    lfp.backward(torch.ones_like(spikes))
    layer: Any = net[1]
    assert not layer.parametrizations.bias.original.grad.any()
    assert layer.weight.grad.any()


def test_an_orthogonal_parametrisation_is_refused() -> None:
    net, _ = network("linear", parametrizations.orthogonal)
    lfp = TemporalLFP(net)
    spikes = lfp.forward(trains(4, 2, 1, 6, 6))
    with pytest.raises(NetworkError, match=r"\(_Orthogonal\) .* would never move"):
        lfp.backward(torch.ones_like(spikes))


@pytest.mark.parametrize("kind", ["register_hook", "register_post_accumulate_grad_hook"])
def test_a_hook_on_a_gradient_is_refused_by_name(kind: str) -> None:
    net, _ = network("linear", lambda module: module)
    handle = getattr(net[1].weight, kind)(lambda given: None)
    with pytest.raises(NetworkError, match=r"Parameter '1\.weight' has a hook on its gradient"):
        TemporalLFP(net)
    handle.remove()
    TemporalLFP(net)


def test_a_normalisation_that_is_pruned_is_refused() -> None:
    net, _ = network("conv", lambda m: m, norm=True)
    untyped.l1_unstructured(net[1], "weight", 0.5)
    with pytest.raises(NetworkError, match=r"Module '1' prunes 'weight'.*what is zero stays zero"):
        TemporalLFP(net)


@pytest.mark.parametrize("neuron", [snn.RLeaky, snn.RSynaptic])
def test_a_loop_whose_weight_is_computed_is_refused(neuron: Any) -> None:
    constants = {"alpha": 0.5} if neuron is snn.RSynaptic else {}
    net, _ = network("linear", lambda module: module)
    net[2] = neuron(beta=0.9, linear_features=8, init_hidden=True, **constants).double()
    TemporalLFP(net)
    parametrizations.spectral_norm(net[2].recurrent)  # type: ignore[arg-type]
    with pytest.raises(NetworkError, match=r"Module '2\.recurrent' computes 'weight'"):
        TemporalLFP(net)


def test_a_rule_with_a_measure_of_its_own_is_refused() -> None:
    net, _ = network("linear", pruned)
    lfp = TemporalLFP(net, Flat(), "torch")
    spikes = lfp.forward(trains(4, 2, 1, 6, 6))
    with pytest.raises(
        NetworkError, match="A Linear computes its weight .* Flat, WSquare and ZBox"
    ):
        lfp.backward(torch.ones_like(spikes))


def test_a_weight_that_is_an_ordinary_tensor_is_refused() -> None:
    net, synapse = network("linear", lambda module: module)
    del synapse.weight
    synapse.weight = torch.ones(8, 36).double()
    with pytest.raises(NetworkError, match="'weight' that is an ordinary tensor"):
        TemporalLFP(net)
    del synapse.weight
    synapse.register_buffer("weight", torch.ones(8, 36).double())
    TemporalLFP(net).forward(torch.ones(2, 1, 1, 6, 6).double())


class Reading(nn.Module):
    """A forward that takes parameters of a layer itself."""

    def __init__(self, change: Change, read: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.fc, self.read = change(nn.Linear(6, 3)), read
        self.lif = neurons(threshold=0.3)

    def forward(self, x: Tensor) -> Any:
        return self.lif(self.read(self, x))


def test_a_forward_may_read_parameters_behind_a_weight() -> None:
    x = trains(4, 2, 6)
    net = Reading(weight_norm, lambda m, x: m.fc(x) * m.fc.weight_g.T).double()
    _, found = run(TemporalLFP(net), x)
    assert found["fc.weight_g"].any() and found["fc.weight_v"].any()
    net = Reading(parametrizations.weight_norm, lambda m, x: x @ m.fc.weight.T).double()
    spikes, found = run(TemporalLFP(net), x)
    assert spikes.any() and found["fc.parametrizations.weight.original0"].any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (weight_norm, "none of the network's"),
        (parametrizations.spectral_norm, "power iteration of a spectral norm"),
    ],
)
def test_a_forward_may_not_read_a_weight_that_calls_change(change: Change, message: str) -> None:
    net = Reading(change, lambda m, x: x @ m.fc.weight.T).double()
    with pytest.raises(NetworkError, match=message):
        TemporalLFP(net).forward(trains(4, 2, 6))


def test_what_a_weight_is_computed_from_may_not_change_before_backward() -> None:
    net, synapse = network("conv", pruned)
    lfp = TemporalLFP(net)
    spikes = lfp.forward(trains(8, 4, 1, 6, 6))
    synapse.get_buffer("weight_mask").zero_()
    with pytest.raises(
        NetworkError, match=r"^The weight that a \w+ computes is another one than in"
    ):
        lfp.backward(spikes)
