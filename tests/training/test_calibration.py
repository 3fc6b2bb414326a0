"""The calibrated start."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn import TemporalLFP
from lfp_snn.data import Batch
from lfp_snn.errors import ConfigError, NetworkError, ShapeError
from lfp_snn.models import build
from lfp_snn.training import calibrate


def deep_net() -> Any:
    torch.manual_seed(0)
    return build("mlp", (60,), 20, hidden=[80, 70, 60], scale=0.3)


def make_batch(activity: float = 0.1) -> Batch:
    torch.manual_seed(1)
    x = (torch.rand(20, 16, 60) < activity).float()
    return Batch(x, torch.zeros(16, dtype=torch.int64))


def rates(net: nn.Module, batch: Batch) -> dict[str, float]:
    lfp = TemporalLFP(net)
    lfp.forward(batch.x, record=False)
    return dict(lfp.firing_rates)


@pytest.mark.parametrize("target", [0.03, 0.08])
def test_every_layer_of_a_deep_net_reaches_the_target(target: float) -> None:
    net, batch = deep_net(), make_batch()
    assert rates(net, batch)["7"] == 0  # silent before
    calibrate(TemporalLFP(net), batch, target, tolerance=0.05)
    for name, rate in rates(net, batch).items():
        assert rate == pytest.approx(target, rel=0.05), name


def test_too_lively_a_net_is_calmed() -> None:
    torch.manual_seed(0)
    net, batch = build("mlp", (60,), 20, hidden=[80], scale=30.0), make_batch()
    assert min(rates(net, batch).values()) > 0.1
    factors = calibrate(TemporalLFP(net), batch, 0.05, tolerance=0.05)
    assert max(factors.values()) < 1
    assert rates(net, batch) == pytest.approx(dict.fromkeys(factors, 0.05), rel=0.05)


def test_it_is_deterministic_and_says_what_it_did() -> None:
    nets = deep_net(), deep_net(), deep_net()
    batch = make_batch()
    first = calibrate(TemporalLFP(nets[0]), batch)
    assert first == calibrate(TemporalLFP(nets[1]), batch)
    factors = iter(first.values())
    for before, after in zip(nets[2], nets[0], strict=True):
        if isinstance(before, nn.Linear):
            factor = next(factors)
            assert torch.equal(after.weight, before.weight * factor)
            assert torch.equal(after.bias, before.bias * factor)


def test_silent_input_without_bias_is_an_error_and_changes_nothing() -> None:
    net: Any = build("mlp", (60,), 5, hidden=[])
    net[0] = nn.Linear(60, 5, bias=False)
    before = net[0].weight.clone()
    with pytest.raises(NetworkError, match=r"'1'.*stays silent.*calibrate=None"):
        calibrate(TemporalLFP(net), make_batch(activity=0))
    assert torch.equal(net[0].weight, before)


def test_a_target_between_two_possible_rates_is_warned_of() -> None:
    net: Any = build(
        "mlp", (60,), 1, hidden=[]
    )  # one neuron, one sample: rates are multiples of 1/4
    with torch.no_grad():
        net[0].weight.fill_(1.0)
        net[0].bias.fill_(0.0)
    batch = Batch(torch.ones(4, 1, 60), torch.zeros(1, dtype=torch.int64))
    with pytest.warns(RuntimeWarning, match=r"'1' to a firing rate of 0\.25 only"):
        calibrate(TemporalLFP(net), batch, 0.36)


def test_dropout_is_off_and_the_mode_is_restored() -> None:
    net = nn.Sequential(nn.Dropout(0.5), *deep_net())
    net.train()
    batch = make_batch()
    calibrate(TemporalLFP(net), batch, tolerance=0.05)
    assert net.training
    net.eval()
    assert rates(net, batch) == pytest.approx(dict.fromkeys(rates(net, batch), 0.05), rel=0.05)


def test_a_synapse_that_feeds_two_populations_is_scaled_once() -> None:
    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            base = build("mlp", (60,), 60, hidden=[60])
            self.synapse, self.first, _, self.second = base

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            out: tuple[Tensor, Tensor] = self.second(self.synapse(self.first(self.synapse(x))))
            return out

    net: Any = Shared()
    try:
        lfp = TemporalLFP(net)
    except NetworkError as error:
        pytest.skip(f"the engine refuses shared synapses: {error}")
    before = net.synapse.weight.clone()
    with warnings.catch_warnings():  # where the second one ends is not up to us
        warnings.simplefilter("ignore", RuntimeWarning)
        factors = calibrate(lfp, make_batch(), 0.05)
    assert factors["second"] == 1.0
    assert factors["first"] != 1.0
    assert torch.equal(net.synapse.weight, before * factors["first"])
    assert rates(net, make_batch())["first"] == pytest.approx(0.05, rel=0.02)


@pytest.mark.parametrize("target", [0.0, 0.5, -1.0, "0.05"])
def test_targets_out_of_range_are_refused(target: Any) -> None:
    with pytest.raises(ConfigError, match=r"between 0 and 0\.5"):
        calibrate(TemporalLFP(deep_net()), make_batch(), target)


def test_a_warning_that_is_an_error_leaves_the_network_as_it_was() -> None:
    net: Any = nn.Sequential(nn.Linear(60, 1), nn.BatchNorm1d(1), snn.Leaky(0.9, init_hidden=True))
    before = {name: each.clone() for name, each in net.state_dict().items()}
    x = torch.zeros(2, 1, 60)
    x[1] = 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)
        with pytest.raises(RuntimeWarning, match="could not be met"):
            calibrate(TemporalLFP(net), x, 0.3)
    torch.testing.assert_close(dict(net.state_dict()), before)


@pytest.mark.parametrize("kept", [["0"], nn.ReLU(), [nn.ReLU()]])
def test_only_modules_of_the_network_can_be_kept(kept: Any) -> None:
    with pytest.raises(ConfigError, match=r"told to keep .*; expected modules of the network"):
        calibrate(TemporalLFP(deep_net()), make_batch(), kept=kept)


def normed(momentum: float | None = 0.1) -> Any:
    """Two layers, the first with a batch norm."""
    layers = ["flatten", {"linear": 40, "bias": False}, "batchnorm", "lif", {"linear": 20}, "lif"]
    torch.manual_seed(0)
    net: Any = build("layers", (60,), 20, layers=layers)
    net[2].momentum = momentum
    return net


def test_behind_a_normalisation_its_own_scale_is_calibrated() -> None:
    net = normed()
    weights = net[1].weight.clone()
    scale, shift = net[2].weight.clone(), net[2].bias.clone()
    net.train()
    net[4].eval()
    batch = make_batch()
    factors = calibrate(TemporalLFP(net), batch, 0.05)
    assert torch.equal(net[1].weight, weights)
    assert torch.equal(net[2].weight, scale * factors["3"])
    assert torch.equal(net[2].bias, shift * factors["3"])
    assert factors["3"] != 1
    assert (net.training, net[2].training, net[4].training) == (True, True, False)
    assert rates(net, batch) == pytest.approx(dict.fromkeys(factors, 0.05), rel=0.05)


@pytest.mark.parametrize("momentum", [0.1, None])
def test_running_statistics_become_those_of_the_batch(momentum: float | None) -> None:
    net = normed(momentum)
    batch = make_batch()
    calibrate(TemporalLFP(net), batch)
    assert isinstance(batch.x, Tensor)
    currents = net[1](batch.x.float().flatten(2)).flatten(0, 1).detach()
    torch.testing.assert_close(net[2].running_mean, currents.mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(net[2].running_var, currents.var(0), rtol=1e-4, atol=1e-5)
    assert (net[2].momentum, int(net[2].num_batches_tracked)) == (momentum, 1)


def test_norms_before_the_first_synapse_and_of_a_readout_see_the_batch_too() -> None:
    batch = make_batch()
    x: Any = batch.x
    readout = snn.Leaky(0.9, threshold=float("inf"), reset_mechanism="none", init_hidden=True)
    layers = (nn.BatchNorm1d(60), nn.Linear(60, 8), snn.Leaky(0.9, init_hidden=True))
    net: Any = nn.Sequential(*layers, nn.Linear(8, 3), nn.BatchNorm1d(3), readout)
    calibrate(TemporalLFP(net), batch)
    torch.testing.assert_close(net[0].running_mean, x.mean((0, 1)))
    trained = TemporalLFP(net.train()).forward(x)
    assert not net[4].running_mean.eq(0).any()
    torch.testing.assert_close(TemporalLFP(net.eval()).forward(x), trained, rtol=0.05, atol=0.05)


def test_running_statistics_that_are_kept_stay() -> None:
    net = normed()
    net[2].running_mean.fill_(0.5)
    calibrate(TemporalLFP(net), make_batch(), kept=[net[2]])
    assert net[2].running_mean.eq(0.5).all()
    assert (net[2].momentum, int(net[2].num_batches_tracked)) == (0.1, 0)


def test_a_network_whose_forward_needs_a_shape_is_traced_on_the_input() -> None:
    class Viewed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.fc = nn.Linear(64, 20)
            self.lif = snn.Leaky(beta=0.9, init_hidden=True)

        def forward(self, x: Tensor) -> Any:
            return self.lif(self.fc(x.view(5, -1)))

    lfp = TemporalLFP(Viewed())
    calibrate(lfp, torch.rand(5, 1, 8, 8), steps=20)
    lfp.forward(torch.rand(5, 1, 8, 8), steps=20)
    assert 0 < lfp.firing_rates["lif"] < 0.2


def test_arguments_of_another_kind_are_told() -> None:
    net, batch = deep_net(), make_batch()
    lfp: Any = TemporalLFP(net)
    with pytest.raises(NetworkError, match=r"takes a TemporalLFP first, not a Sequential"):
        calibrate(lfp.net, batch)
    wrong: Any = [batch.x, batch.labels]
    with pytest.raises(ShapeError, match="x, labels = batch"):
        calibrate(lfp, wrong)


def test_rates_after_it_ask_for_a_forward() -> None:
    lfp, batch = TemporalLFP(deep_net()), make_batch()
    lfp.forward(batch.x)
    calibrate(lfp, batch)
    with pytest.raises(NetworkError, match="call forward first, also after calibration"):
        _ = lfp.firing_rates
