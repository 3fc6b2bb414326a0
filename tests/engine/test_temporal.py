"""What ``TemporalLFP`` offers: the options of its passes, devices and errors."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn import Spikes, TemporalLFP
from lfp_snn.errors import ConfigError, NetworkError, ShapeError
from lfp_snn.rules import Epsilon, Rescale
from tests.engine.compare import (
    BACKENDS,
    assert_near,
    assert_same_feedback,
    csnn,
    currents,
    feedback_at,
    feedback_of,
    leaky,
    mlp,
    run,
    signals,
    trains,
)

pytestmark = pytest.mark.parametrize("backend", BACKENDS)


# ------------------------------------------------------------------ options of backward


def test_accumulate_adds_what_replacing_gives(backend: str) -> None:
    lfp = TemporalLFP(mlp(), backend=backend)
    parts = [run(lfp, trains(4, 2, 6, seed=seed))[1] for seed in (1, 2)]
    for parameter in lfp.parameters():
        parameter.grad = None
        del parameter.feedback  # type: ignore[attr-defined]
    for seed in (1, 2):
        spikes = lfp.forward(trains(4, 2, 6, seed=seed))
        lfp.backward(signals(spikes), accumulate=True)
    whole = feedback_of(lfp.net)
    assert_same_feedback(whole, {name: parts[0][name] + parts[1][name] for name in whole})
    for parameter in lfp.parameters():
        assert parameter.grad is not None
        assert_near(parameter.grad, -feedback_at(parameter))


def test_a_backward_replaces_what_was_there(backend: str) -> None:
    lfp = TemporalLFP(mlp(), backend=backend)
    _, first = run(lfp, trains(4, 2, 6))
    run(lfp, trains(4, 2, 6, seed=9))
    _, again = run(lfp, trains(4, 2, 6))
    assert_same_feedback(again, first)


def test_accumulate_adds_to_a_gradient_of_autograd(backend: str) -> None:
    lfp = TemporalLFP(mlp(), backend=backend)
    for parameter in lfp.parameters():
        parameter.grad = torch.ones_like(parameter)
    spikes = lfp.forward(trains(4, 2, 6))
    lfp.backward(signals(spikes), accumulate=True)
    for parameter in lfp.parameters():
        assert parameter.grad is not None
        assert_near(parameter.grad, 1 - feedback_at(parameter))


@pytest.mark.parametrize("to_none", [True, False])
def test_accumulate_begins_anew_after_zero_grad(backend: str, to_none: bool) -> None:
    """Feedback stays minus the gradient."""
    lfp = TemporalLFP(mlp(), backend=backend)
    _, expected = run(lfp, trains(4, 2, 6))
    torch.optim.SGD(lfp.parameters()).zero_grad(set_to_none=to_none)
    spikes = lfp.forward(trains(4, 2, 6))
    lfp.backward(signals(spikes), accumulate=True)
    assert_same_feedback(feedback_of(lfp.net), expected)
    for parameter in lfp.parameters():
        assert parameter.grad is not None
        assert torch.equal(parameter.grad, -feedback_at(parameter))


@pytest.mark.parametrize("changed", ["parameter '2.weight'", "input"])
def test_what_changes_between_forward_and_backward_is_told(backend: str, changed: str) -> None:
    net, x = mlp(), trains(4, 2, 6)
    lfp = TemporalLFP(net, backend=backend)
    spikes = lfp.forward(x)
    with torch.no_grad():
        (x if changed == "input" else net[2].weight).mul_(1)
    with pytest.raises(NetworkError, match=f"The {changed} was changed in place"):
        lfp.backward(signals(spikes))
    spikes = lfp.forward(x)
    lfp.backward(signals(spikes))


def test_one_backward_consumes_the_record(backend: str) -> None:
    lfp = TemporalLFP(mlp(), backend=backend)
    spikes = lfp.forward(trains(4, 2, 6))
    lfp.backward(signals(spikes), retain=True)
    first = feedback_of(lfp.net)
    lfp.backward(signals(spikes))
    assert_same_feedback(feedback_of(lfp.net), first)
    with pytest.raises(NetworkError, match="call forward .* before each backward.*retain=True"):
        lfp.backward(signals(spikes))
    with pytest.raises(NetworkError, match="call forward"):
        lfp.layer_spikes()


def test_without_a_record_there_is_no_backward(backend: str) -> None:
    lfp = TemporalLFP(mlp(), backend=backend)
    with pytest.raises(NetworkError, match="call forward"):
        lfp.backward(torch.zeros(4, 2, 3))
    x = trains(4, 2, 6)
    recorded = lfp.forward(x)
    spikes = lfp.forward(x, record=False)
    assert torch.equal(spikes, recorded)
    assert lfp.firing_rates.keys() == {"1", "3"}
    with pytest.raises(NetworkError, match="record=True"):
        lfp.backward(signals(spikes))


def test_a_rule_for_one_pass_alone(backend: str) -> None:
    net = mlp()
    lfp = TemporalLFP(net, rule=Epsilon(1e-6), backend=backend)
    _, expected = run(TemporalLFP(net, rule=Epsilon(0.5), backend=backend), trains(4, 2, 6))
    spikes = lfp.forward(trains(4, 2, 6))
    lfp.backward(signals(spikes), retain=True, rule=Epsilon(0.5))
    assert_same_feedback(feedback_of(net), expected)
    lfp.backward(signals(spikes))
    assert not torch.equal(feedback_of(net)["0.weight"], expected["0.weight"])
    assert lfp.rule == Epsilon(1e-6)


def test_frozen_parameters_get_no_feedback(backend: str) -> None:
    net = mlp()
    x = trains(4, 2, 6)
    _, whole = run(TemporalLFP(net, backend=backend), x)
    for frozen in (["0.weight", "0.bias"], ["2.weight", "2.bias"], ["0.bias"]):
        some = mlp()
        for name in frozen:
            some.get_parameter(name).requires_grad_(False)
        lfp = TemporalLFP(some, backend=backend)
        lfp.backward(signals(lfp.forward(x)))
        ours = feedback_of(some)
        assert_same_feedback(ours, {n: v for n, v in whole.items() if n not in frozen})
        assert all(some.get_parameter(name).grad is None for name in frozen)


def test_with_all_frozen_there_is_still_an_explanation(backend: str) -> None:
    net = mlp()
    lfp = TemporalLFP(net, backend=backend)
    spikes = lfp.forward(trains(4, 2, 6))
    expected = lfp.backward(signals(spikes), input_relevance=True)
    frozen = TemporalLFP(mlp().requires_grad_(False), backend=backend)
    frozen.forward(trains(4, 2, 6))
    relevance = frozen.backward(signals(spikes), input_relevance=True)
    assert relevance is not None
    assert expected is not None
    assert torch.equal(relevance, expected)
    assert feedback_of(frozen.net) == {}


def test_under_inference_mode_gradients_are_ordinary_tensors(backend: str) -> None:
    net = mlp()
    lfp = TemporalLFP(net, backend=backend)
    _, expected = run(lfp, trains(4, 2, 6))
    with torch.inference_mode():
        spikes = lfp.forward(trains(4, 2, 6))
        lfp.backward(signals(spikes))
        lfp.forward(trains(4, 2, 6))
        lfp.backward(signals(spikes), accumulate=True)
    assert_same_feedback(feedback_of(net), expected, factor=2)
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    optimizer = torch.optim.Adam(net.parameters(), lr=0.1)
    optimizer.step()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None
        assert not parameter.grad.is_inference()
        assert not feedback_at(parameter).is_inference()
        moved = parameter.detach() - before[name]
        assert ((moved * feedback_at(parameter)) >= 0).all()
        assert moved.any()


def test_nothing_is_left_to_autograd(backend: str) -> None:
    lfp = TemporalLFP(mlp(), backend=backend)
    x = trains(4, 2, 6).requires_grad_()
    spikes = lfp.forward(x)
    relevance = lfp.backward(signals(spikes).requires_grad_(), input_relevance=True)
    assert relevance is not None
    kept = [spikes, relevance, *feedback_of(lfp.net).values(), *lfp.state.values()]
    assert not any(tensor.requires_grad for tensor in kept)


# -------------------------------------------------------------- what goes in and comes out


@pytest.mark.parametrize("build", [mlp, csnn])
def test_spikes_are_the_same_as_a_dense_input(backend: str, build: Callable[[], nn.Module]) -> None:
    shape = (6,) if build is mlp else (1, 3, 3)
    x = trains(5, 3, *shape)
    for values in (x, x * (2 + currents(*x.shape, seed=2).abs())):
        lfp, lists = TemporalLFP(build(), backend=backend), Spikes.from_dense(values)
        reward = signals(lfp.forward(values))
        dense = lfp.backward(reward, input_relevance=True)
        expected, dense_spikes = feedback_of(lfp.net), lfp.forward(values)
        assert torch.equal(lfp.forward(lists), dense_spikes)
        relevance = lfp.backward(reward, input_relevance=True)
        assert_same_feedback(feedback_of(lfp.net), expected)
        assert relevance is not None
        assert dense is not None
        assert relevance.shape == (lists.nnz,)
        assert_near(relevance, lists.gather(dense))
        assert dense[values == 0].count_nonzero() == 0


def test_relevance_of_a_constant_input_is_summed_over_time(backend: str) -> None:
    lfp, x = TemporalLFP(mlp(), backend=backend), currents(3, 6)
    spikes = lfp.forward(x, steps=5)
    assert spikes.shape == (5, 3, 3)
    relevance = lfp.backward(signals(spikes), input_relevance=True)
    ours = feedback_of(lfp.net)
    assert torch.equal(lfp.forward(x.expand(5, 3, 6)), spikes)
    each = lfp.backward(signals(spikes), input_relevance=True)
    assert relevance is not None
    assert each is not None
    assert_near(relevance, each.sum(0))
    assert_same_feedback(ours, feedback_of(lfp.net))


def test_without_asking_there_is_no_relevance(backend: str) -> None:
    lfp = TemporalLFP(mlp(), backend=backend)
    assert lfp.backward(signals(lfp.forward(trains(4, 2, 6)))) is None


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.int64, torch.float32])
def test_any_type_of_input(backend: str, dtype: torch.dtype) -> None:
    lfp, x = TemporalLFP(mlp(), backend=backend), trains(4, 2, 6)
    expected, feedback = run(lfp, x)
    spikes, ours = run(lfp, x.to(dtype))
    assert spikes.dtype == torch.float64
    assert torch.equal(spikes, expected)
    assert_same_feedback(ours, feedback)


def test_the_input_may_be_strided(backend: str) -> None:
    lfp, x = TemporalLFP(csnn(), backend=backend), trains(4, 2, 1, 3, 3)
    expected, feedback = run(lfp, x)
    strided = x.permute(1, 4, 3, 2, 0).contiguous().permute(4, 0, 3, 2, 1)
    assert not strided.is_contiguous()
    spikes, ours = run(lfp, strided)
    assert torch.equal(spikes, expected)
    assert_same_feedback(ours, feedback)


def test_firing_rates_and_layer_spikes(backend: str) -> None:
    lfp = TemporalLFP(mlp(), backend=backend)
    spikes = lfp.forward(trains(6, 3, 6))
    layers = lfp.layer_spikes()
    assert list(layers) == ["1", "3"]
    assert layers["1"].shape == (6, 3, 5)
    assert torch.equal(layers["3"], spikes)
    for name, rate in lfp.firing_rates.items():
        assert rate == pytest.approx(float(layers[name].mean()))


def test_firing_rates_count_only_the_steps_that_samples_run(backend: str) -> None:
    lfp = TemporalLFP(mlp(), backend=backend)
    lfp.forward(trains(6, 2, 6), lengths=torch.tensor([6, 2]))
    layers = lfp.layer_spikes()
    for name, rate in lfp.firing_rates.items():
        assert rate == pytest.approx(float(layers[name].sum()) / (8 * layers[name].shape[-1]))


def test_layers_name_neurons_and_the_synapses_that_feed_them(backend: str) -> None:
    class Skip(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b, self.c = nn.Linear(6, 4), nn.Linear(6, 4), nn.Linear(4, 3)
            self.norm, self.hidden, self.out = nn.BatchNorm1d(4), leaky(), leaky()

        def forward(self, x: Tensor) -> Any:
            return self.out(self.c(self.hidden(self.norm(self.a(x)) + self.b(x))))

    net = Skip()
    hidden, out = TemporalLFP(net, backend=backend).layers
    assert (hidden.name, hidden.neuron) == ("hidden", net.hidden)
    assert hidden.synapses == (("a", net.a), ("b", net.b))
    assert (out.name, out.neuron, out.synapses) == ("out", net.out, (("c", net.c),))


def test_a_change_of_parameters_is_seen(backend: str) -> None:
    net, x = mlp(), trains(4, 2, 6)
    lfp = TemporalLFP(net, backend=backend)
    lfp.forward(x)
    with torch.no_grad():
        net[0].weight.zero_()
        net[0].bias.zero_()
    lfp.forward(x)
    assert lfp.firing_rates["1"] == 0


def test_modes_reach_the_network(backend: str) -> None:
    lfp = TemporalLFP(mlp(), backend=backend)
    assert lfp.eval() is lfp
    assert not lfp.net.training
    assert lfp.train().net.training
    assert list(lfp.parameters()) == list(lfp.net.parameters())


# ------------------------------------------------------------------- devices and types


def test_float32_is_close_to_float64(backend: str) -> None:
    double, single = mlp(), mlp().float()
    x = trains(5, 3, 6)
    expected, feedback = run(TemporalLFP(double, rule=Epsilon(0.1), backend=backend), x)
    lfp = TemporalLFP(single, rule=Epsilon(0.1), backend=backend)
    spikes, ours = run(lfp, x)
    assert spikes.dtype == lfp.dtype == torch.float32
    assert torch.equal(spikes.double(), expected)
    for name, value in ours.items():
        assert value.dtype == torch.float32
        # The reward is the same random numbers, rounded.
        assert_near(value.double(), feedback[name], 1e-5)


def test_everything_lies_on_the_device_of_the_network(backend: str) -> None:
    device = torch.device("cpu")
    lfp = TemporalLFP(csnn(), backend=backend).to(device)
    assert lfp.device == device
    x = Spikes.from_dense(trains(4, 2, 1, 3, 3)).to(device)
    spikes = lfp.forward(x, lengths=torch.tensor([4, 2], device=device))
    relevance = lfp.backward(signals(spikes).to(device), input_relevance=True)
    assert relevance is not None
    found = [spikes, relevance, lfp.membranes, *lfp.state.values(), *feedback_of(lfp.net).values()]
    assert {tensor.device for tensor in found} == {device}


def test_an_input_on_another_device_is_refused(backend: str) -> None:
    lfp = TemporalLFP(mlp(), backend=backend)
    with pytest.raises(ShapeError, match=r"input lies on meta and the network on cpu.*x.to\('cpu'"):
        lfp.forward(torch.zeros(4, 2, 6, device="meta"))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("build", [mlp, csnn])
def test_cuda_equals_the_cpu(backend: str, build: Callable[[], nn.Module]) -> None:
    if backend == "events":
        pytest.skip("this backend runs on the CPU")
    x = trains(5, 3, *((6,) if build is mlp else (1, 3, 3)))
    expected, feedback = run(TemporalLFP(build(), backend=backend), x)
    lfp = TemporalLFP(build(), backend=backend).to("cuda")
    spikes = lfp.forward(x.cuda())
    lfp.backward(signals(expected).cuda())
    assert torch.equal(spikes.cpu(), expected)
    for name, value in feedback_of(lfp.net).items():
        assert_near(value.cpu(), feedback[name])


# ---------------------------------------------------------------------------- errors


def refused(backend: str, x: Any, message: str, **options: Any) -> None:
    lfp = TemporalLFP(mlp(), backend=backend)
    with pytest.raises(ShapeError, match=message):
        lfp.forward(x, **options)


def test_inputs_that_cannot_be_run_are_refused(backend: str) -> None:
    whole = r"expected \[T, B, \.\.\.\] with at least one time step"
    refused(backend, torch.zeros(0, 2, 6), rf"\(0, 2, 6\); {whole}")
    refused(backend, torch.zeros(4, 0, 6), rf"\(4, 0, 6\); {whole}")
    refused(backend, torch.zeros(4, 6), rf"\(4, 6\); {whole}")
    refused(backend, torch.zeros(6), r"expected \[B, \.\.\.\]", steps=4)
    refused(backend, torch.zeros(2, 6), "steps is 0; expected at least one time step", steps=0)
    refused(backend, torch.zeros(4, 2, 7), r"'0' \(Linear\) expects 6 inputs.*\(7,\)")
    empty = Spikes(torch.zeros(1, dtype=torch.int64), torch.zeros(0, dtype=torch.int32), (0, 2, 6))
    refused(backend, empty, whole)
    spikes = Spikes.from_dense(trains(4, 2, 6))
    refused(backend, spikes, "steps is 3, but the spikes have T=4: leave steps out", steps=3)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_an_input_that_is_not_finite_is_refused(backend: str, value: float) -> None:
    x = trains(4, 2, 6)
    x[1, 1, 2] = value
    refused(backend, x, "NaN or infinite.*clean the data")
    refused(backend, x[1], "NaN or infinite.*clean the data", steps=3)
    refused(backend, Spikes.from_dense(x), "not all finite.*clean the recording")


@pytest.mark.parametrize(
    ("lengths", "message"),
    [
        (torch.tensor([4, 5]), "lengths run from 4 to 5; expected 0 to T=4"),
        (torch.tensor([-1, 4]), "lengths run from -1 to 4; expected 0 to T=4"),
        (torch.tensor([4, 4, 4]), r"shape \(3,\).*expected 2 integers"),
        (torch.tensor([4.0, 4.0]), "type torch.float32; expected 2 integers"),
    ],
)
def test_lengths_that_do_not_fit_are_refused(backend: str, lengths: Tensor, message: str) -> None:
    refused(backend, trains(4, 2, 6), message, lengths=lengths)


def test_a_state_of_an_unknown_neuron_is_refused(backend: str) -> None:
    state = {"lif": torch.zeros(2, 5)}
    refused(backend, trains(4, 2, 6), "'lif', which is no neuron.*expected 1, 3", state=state)


@pytest.mark.parametrize("shape", [(4, 2, 2), (3, 2, 3), (2, 3), (4, 2, 1)])
def test_a_reward_of_another_shape_is_refused(backend: str, shape: tuple[int, ...]) -> None:
    lfp = TemporalLFP(mlp(), backend=backend)
    lfp.forward(trains(4, 2, 6))
    with pytest.raises(ShapeError, match=rf"reward has the shape .*{shape[-1]}\).*\(4, 2, 3\)"):
        lfp.backward(torch.zeros(shape))
    lfp.backward(torch.zeros(4, 2, 3))  # the record is still there


def test_a_failed_forward_leaves_no_record_behind(backend: str) -> None:
    lfp = TemporalLFP(mlp(), backend=backend)
    lfp.forward(trains(4, 2, 6))
    with pytest.raises(ShapeError):
        lfp.forward(torch.zeros(4, 2, 7))
    with pytest.raises(NetworkError, match="call forward"):
        lfp.backward(torch.zeros(4, 2, 3))


def test_before_any_forward_there_is_nothing_to_see(backend: str) -> None:
    lfp = TemporalLFP(mlp(), backend=backend)
    for look in ("state", "membranes", "firing_rates"):
        with pytest.raises(NetworkError, match="no forward pass to look at: call forward"):
            getattr(lfp, look)


def test_it_is_called_as_a_module_is(backend: str) -> None:
    lfp, x = TemporalLFP(mlp(), backend=backend), trains(4, 2, 6)
    assert torch.equal(lfp(x), lfp.forward(x))
    assert torch.equal(lfp(x[0], steps=3), lfp.forward(x[0], steps=3))


def test_what_only_a_module_has_is_found_at_the_network(backend: str) -> None:
    lfp: Any = TemporalLFP(mlp(), backend=backend)
    with pytest.raises(AttributeError, match="ask the network, lfp.net.state_dict"):
        lfp.state_dict()
    with pytest.raises(AttributeError, match="no attribute 'nothing'.$"):
        _ = lfp.nothing
    assert isinstance(copy.deepcopy(lfp), TemporalLFP)


def test_the_rule_of_a_network_is_settled_when_it_is_built(backend: str) -> None:
    lfp = TemporalLFP(mlp(), backend=backend)
    with pytest.raises(ConfigError, match=r"build another one, TemporalLFP\(net, rule=Epsilon"):
        lfp.rule = Epsilon()
    assert lfp.rule == Rescale()


def test_an_unknown_backend_is_refused(backend: str) -> None:
    with pytest.raises(NetworkError, match=rf"no backend '{backend}s'.*expected.*torch"):
        TemporalLFP(mlp(), backend=f"{backend}s")


def test_only_modules_are_taken(backend: str) -> None:
    with pytest.raises(NetworkError, match="takes a torch.nn.Module, not list"):
        TemporalLFP([nn.Linear(2, 2), snn.Leaky(0.9)], backend=backend)  # type: ignore[arg-type]


def test_what_cannot_be_built_of_is_told(backend: str) -> None:
    lazy = nn.Sequential(nn.LazyLinear(4), snn.Leaky(beta=0.9, init_hidden=True))
    given: Any = TemporalLFP(mlp(), backend=backend)
    with pytest.raises(NetworkError, match=r"lazy modules.*call it once.*net\(x\)"):
        TemporalLFP(lazy, backend=backend)
    with pytest.raises(NetworkError, match=r"not TemporalLFP: give it lfp\.net"):
        TemporalLFP(given, backend=backend)
    update: Any = "hebbian"
    with pytest.raises(ConfigError, match="The update is 'hebbian'; expected lfp_snn.rules.Update"):
        TemporalLFP(mlp(), backend=backend, update=update)
