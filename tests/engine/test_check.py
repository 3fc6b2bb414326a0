"""What runs equals the module, or is refused: what tracing could miss, and the check beside it."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn import Spikes, TemporalLFP
from lfp_snn.errors import NetworkError
from tests.engine.compare import assert_near, leaky, strong, trains


class Net(nn.Module):
    """Synapses and neurons whose forward is given."""

    def __init__(self, forward: Callable[[Any, Any], Any], **options: Any) -> None:
        super().__init__()
        self.a, self.b, self.lif = nn.Linear(6, 4), nn.Linear(6, 4), leaky(**options)
        self.out, self.last = nn.Linear(4, 3), leaky(threshold=0.5)
        self.drop, self.norm = nn.Dropout(), nn.BatchNorm1d(4)
        self.count, self.before = 0, None
        self.formula = forward

    def forward(self, x: Tensor) -> Any:
        return self.last(self.out(self.lif(self.formula(self, x))))


def stepped(net: Any, x: Tensor) -> Tensor:
    """Output spikes of the module, stepped from rest in its own type."""
    for module in net.modules():
        if isinstance(module, snn.SpikingNeuron):
            module.reset_mem()
            module.spike_grad = lambda distance: (distance > 0).to(distance.dtype)
    with torch.no_grad():
        return torch.stack([net(frame) for frame in x])


# -------------------------------------------------------------------------- equal now


def in_place(m: Any, x: Tensor) -> Tensor:
    current: Tensor = m.b(x)
    current.add_(m.a(x))
    current *= 2
    return current


def typed(m: Any, x: Tensor) -> Any:
    return m.a(x) if isinstance(x, Tensor) else m.b(x)


def by_mode(m: Any, x: Tensor) -> Any:
    return m.a(x) if m.training else m.b(x)


def changed_view(m: Any, x: Tensor) -> Any:
    current = m.a(x)
    current[:, :2] = 0
    return current


@pytest.mark.parametrize("formula", [in_place, typed, by_mode, changed_view])
@pytest.mark.parametrize("backend", ["torch", "events"])
@pytest.mark.parametrize("training", [True, False])
def test_what_tracing_once_missed_is_equal(
    formula: Callable[[Any, Any], Any], backend: str, training: bool
) -> None:
    net, x = strong(Net(formula)).train(training), trains(7, 3, 6)
    spikes = TemporalLFP(net, backend=backend).forward(x)
    assert spikes.any()
    assert torch.equal(spikes, stepped(net, x))


def test_options_and_submodules_may_change() -> None:
    net, x = strong(Net(by_mode)), trains(7, 3, 6)
    lfp = TemporalLFP(net)
    found = [lfp.forward(x)]
    for change in (
        lambda: net.eval(),
        lambda: setattr(net, "out", strong(nn.Linear(4, 3), seed=7)),
        lambda: setattr(net, "last", leaky(beta=0.3, threshold=0.2)),
        lambda: setattr(net.drop, "p", 0.3),
    ):
        change()
        spikes = lfp.forward(x)
        assert torch.equal(spikes, stepped(net, x))
        found.append(spikes)
    assert all(not torch.equal(a, b) for a, b in pairwise(found[:4]))
    # snntorch keeps the function of the reset that the neuron was built with.
    net.lif.reset_mechanism = "none"
    with pytest.raises(NetworkError, match="'lif'.*chose when it was built"):
        lfp.forward(x)


def test_a_membrane_that_is_reset_at_each_step_is_refused() -> None:
    def forward(m: Any, x: Tensor) -> Any:
        m.lif.reset_mem()
        m.last.reset_mem()
        return m.a(x)

    with pytest.raises(NetworkError, match=r"begins at rest in every call .*reset_mem\(\)"):
        TemporalLFP(strong(Net(forward)))


# ---------------------------------------------------------------------------- refused


def refused(formula: Callable[[Any, Any], Any], message: str, **options: Any) -> None:
    net = strong(Net(formula, **options))
    held = {k: v for k, v in vars(net).items() if not k.startswith("_")}
    with pytest.raises(NetworkError, match=message):
        TemporalLFP(net).forward(trains(7, 3, 6))
    assert {k: v for k, v in vars(net).items() if not k.startswith("_")} == held


def test_state_of_its_own_is_refused() -> None:
    def delayed(m: Any, x: Tensor) -> Any:
        current = m.a(x)
        late = current if m.before is None else current + m.before
        m.before = current
        return late

    def counted(m: Any, x: Tensor) -> Any:
        m.count += 1
        return m.a(x) if m.count < 4 else m.b(x)

    def grows(m: Any, x: Tensor) -> Any:
        m.count += 1
        return m.a(x) * m.count

    refused(delayed, "'a' made of another step; only the states of neurons")
    refused(counted, r"not what Net computes: stage 'lif' \(Leaky.* first, in .*% of its units")
    refused(grows, "Step 0 of Net is not the same as step 1: they differ at 'mul'")


def test_chance_is_refused() -> None:
    def refuse(draw: Callable[[], Any]) -> None:
        refused(lambda m, x: m.a(x) if draw() < 2 else m.b(x), "draws random numbers")

    for draw in (random.random, np.random.rand, lambda: float(torch.rand(()))):
        refuse(draw)


def test_views_that_are_changed_in_place_are_refused() -> None:
    def forward(m: Any, x: Tensor) -> Any:
        current = m.a(x)
        current.view(-1).add_(1)
        return current

    refused(forward, "changes a tensor in place of which it uses a view")


def test_hooks_are_refused() -> None:
    net = strong(Net(lambda m, x: m.a(x)))
    lfp = TemporalLFP(net)
    handle = net.a.register_forward_hook(lambda _m, _x, out: 2 * out)
    with pytest.raises(NetworkError, match="Module 'a' has a forward hook.*remove it"):
        lfp.forward(trains(7, 3, 6))
    handle.remove()
    assert torch.equal(lfp.forward(trains(7, 3, 6)), stepped(net, trains(7, 3, 6)))


@pytest.mark.parametrize(
    "spike_grad", [lambda u: torch.sigmoid(u), lambda u: u.relu(), lambda u: (u > -0.1).float()]
)
def test_spikes_that_are_no_step_are_refused(spike_grad: Any) -> None:
    refused(lambda m, x: m.a(x), r"'lif' \(Leaky\) has a spike_grad whose", spike_grad=spike_grad)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: setattr(m, "reset_mechanism", "zero"), "snntorch chose when it was built"),
        (lambda m: setattr(m, "spike_grad", torch.sigmoid), "no step at the threshold"),
        (lambda m: m.graded_spikes_factor.data.fill_(2.0), "graded spikes"),
        (lambda m: setattr(m, "reset_delay", False), "snntorch does not give to it"),
    ],
)
def test_neurons_that_are_changed_after_a_pass_are_looked_at_anew(
    change: Callable[[Any], None], message: str
) -> None:
    """snntorch goes on to subtract, which the first eight steps need not show."""
    net = nn.Sequential(nn.Linear(6, 4), snn.Lapicque(beta=0.8, init_hidden=True))
    lfp = TemporalLFP(net)
    lfp.forward(torch.zeros(1, 2, 6))
    change(net[1])
    with pytest.raises(NetworkError, match=message):
        lfp.forward(torch.zeros(1, 2, 6))


def test_methods_that_a_user_replaces_in_a_neuron_are_code_of_the_user() -> None:
    """All steps are compared then; the first eight are as they were."""
    net: Any = nn.Sequential(nn.Linear(1, 1, bias=False), leaky(threshold=0.5))
    nn.init.ones_(net[0].weight)
    fire: Any = net[1].fire
    calls: list[int] = []

    def tired(mem: Tensor) -> Any:
        calls.append(1)
        return fire(mem) * (len(calls) < 10)

    net[1].fire = tired
    with pytest.raises(NetworkError, match="is not what Sequential computes"):
        TemporalLFP(net).forward(torch.ones(12, 1, 1))


def test_other_states_than_spikes_are_refused_as_input() -> None:
    def current(m: Any, x: Tensor) -> Any:
        return m.out(m.synaptic(m.a(x))[-2])

    net = Net(current)
    net.synaptic = snn.Synaptic(alpha=0.8, beta=0.9)
    net.out = nn.Linear(4, 4)
    with pytest.raises(NetworkError, match="'out' takes the membrane of neuron 'synaptic'"):
        TemporalLFP(net)
    lateral = lambda m, x: m.a(x) + (m.lif.mem if m.lif.mem.numel() else 0)  # noqa: E731
    refused(lateral, "takes a state of neuron 'lif' of another step.*no rule for membranes")


def test_parameters_that_forward_changes_are_refused() -> None:
    def forward(m: Any, x: Tensor) -> Any:
        with torch.no_grad():
            m.a.weight.clamp_(-1, 1)
        return m.a(x)

    refused(forward, "changes its own parameter 'a.weight'")


# -------------------------------------------------------------------------- the check


def counted(m: Any, x: Tensor) -> Any:
    """Something else at the fourth step."""
    m.count += 1
    return m.a(x) if m.count < 4 else m.b(x)


def test_the_check_may_be_left_out() -> None:
    net, x = strong(Net(counted)), trains(7, 3, 6)
    plain = strong(Net(lambda m, x: m.a(x)))
    assert torch.equal(TemporalLFP(net, check=False).forward(x), TemporalLFP(plain).forward(x))
    assert net.count == 0


def test_the_check_looks_at_every_step_and_every_mode() -> None:
    net = strong(Net(lambda m, x: m.a(x)))
    lfp = TemporalLFP(net)
    lfp.forward(trains(3, 2, 6))
    net.formula = counted
    lfp.forward(trains(3, 2, 6))  # nothing shows of it, and nothing was asked again
    net.eval()
    with pytest.raises(NetworkError, match="not what Net computes"):
        lfp.forward(trains(30, 2, 6))
    with pytest.raises(NetworkError, match="not what Net computes"):
        lfp.forward(Spikes.from_dense(trains(30, 2, 6)))


def test_the_check_names_the_first_stage() -> None:
    class Late(Net):
        def forward(self, x: Tensor) -> Any:
            hidden = self.lif(self.a(x))
            self.count += 1
            current = self.out(hidden)
            return self.last(current if self.count < 20 else current + 1)

    with pytest.raises(NetworkError, match="stage 'last' .* first"):
        TemporalLFP(strong(Late(counted))).forward(trains(40, 2, 6))


@pytest.mark.parametrize("training", [True, False])
def test_the_check_leaves_no_trace(training: bool) -> None:
    """Random numbers, statistics, states and attributes go on as without it."""

    def forward(m: Any, x: Tensor) -> Any:
        m.count += 1
        return m.norm(m.drop(m.a(x)))

    found = []
    for check in (True, False):
        net = strong(Net(forward)).train(training)
        net.lif.mem = torch.ones(3, 4).double()
        torch.manual_seed(3)
        lfp = TemporalLFP(net, check=check)
        spikes = lfp.forward(trains(7, 3, 6))
        assert net.count == 0
        assert net.lif.mem.eq(1).all()
        assert net.training == net.norm.training == net.drop.training == training
        found.append((spikes, torch.rand(3), *net.norm._buffers.values(), net.a.weight))
    for ours, without in zip(*found, strict=True):
        assert ours.dtype == without.dtype
        assert torch.equal(ours, without)


def test_a_membrane_at_its_threshold_is_left_open() -> None:
    """Sums in another order may fall on either side of it."""
    net = nn.Sequential(nn.Linear(3, 1, bias=False), leaky(threshold=0.6)).double()
    net[0].weight.data = torch.tensor([[0.1, 0.2, 0.3]]).double()
    net[1].threshold = torch.tensor(0.6).double()
    TemporalLFP(net).forward(torch.ones(1, 2, 3).double())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_values_behind_the_last_neuron_are_checked(dtype: torch.dtype) -> None:
    class Values(Net):
        def forward(self, x: Tensor) -> Any:
            return self.out(self.lif(self.formula(self, x)))

    fine = strong(Values(lambda m, x: m.a(x))).to(dtype)
    x = trains(7, 3, 6).to(dtype)
    assert_near(TemporalLFP(fine).forward(x).double(), stepped(fine, x).double(), tolerance=1e-5)
    with pytest.raises(NetworkError, match="not what Values computes"):
        TemporalLFP(strong(Values(counted)).to(dtype)).forward(x)


@pytest.mark.parametrize("constant", [False, True])
def test_a_few_steps_with_an_input_tell_of_a_network_without_own_code(
    constant: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def _base_sub(self: Any, current: Tensor) -> Any:
        return self._base_state_function(current)  # and no reset

    net: Any = strong(nn.Sequential(nn.Linear(6, 12), leaky(), nn.Linear(12, 3), leaky()))
    x = torch.zeros(40, 2, 6)
    x[30:] = trains(10, 2, 6)
    given = (trains(1, 2, 6)[0], 40) if constant else (x, None)
    TemporalLFP(net).forward(*given)
    monkeypatch.setattr(snn.Leaky, "_base_sub", _base_sub)
    net[1] = leaky()
    with pytest.raises(NetworkError, match="not what Sequential computes: stage '1'"):
        TemporalLFP(net).forward(*given)
