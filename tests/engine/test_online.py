"""Online sessions, held against loops written from the equations and against exact LFP."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn import Spikes, TemporalLFP
from lfp_snn.engine.online import OnlineSession
from lfp_snn.engine.traces import CARRIED
from lfp_snn.errors import ConfigError, NetworkError, ShapeError
from lfp_snn.rewards import FirstSpike, RateCoded, SoftmaxRate
from lfp_snn.rules import Epsilon, Gamma, Norm, Pass, Rescale, Rule
from lfp_snn.rules.rescale import Gate
from tests.engine.compare import (
    assert_near,
    assert_same_feedback,
    csnn,
    feedback_at,
    feedback_of,
    leaky,
    mlp,
    signals,
    strong,
    trains,
)

STEPS, BATCH = 9, 4
LABELS = torch.tensor([0, 1, 2, 1])


def single(**options: Any) -> Any:
    """A readout alone, which learns all that it can."""
    learning = {"threshold": 0.5, "learn_beta": True, "learn_threshold": True} | options
    return strong(nn.Sequential(nn.Linear(6, 3), leaky(**learning)))


def learned(
    session: OnlineSession, x: Tensor, reward: Tensor, running: Tensor | None = None
) -> dict[str, Tensor]:
    """Feedback of a whole train, step by step."""
    for t, frame in enumerate(x):
        session.step(frame, running=None if running is None else running[t])
        session.learn(reward[t])
    session.collect()
    return feedback_of(session.lfp.net)


# ---------------------------------------------------------------------- the readout is exact


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"reset_mechanism": "zero"},
        {"reset_mechanism": "none"},
        {"reset_delay": False},
        {"reset_mechanism": "zero", "reset_delay": False},
        {"beta": torch.tensor([0.5, 0.9, 1.0])},
    ],
    ids=str,
)
@pytest.mark.parametrize(
    "rule",
    [
        *(Epsilon(), Epsilon(0.1), Epsilon(conserving=True), Norm()),
        *(Rescale(), Rescale("window", "decay")),
    ],
    ids=repr,
)
def test_a_readout_learns_what_exact_lfp_does(options: dict[str, Any], rule: Rule) -> None:
    net, x = single(**options), trains(STEPS, BATCH, 6)
    lfp = TemporalLFP(net, rule, backend="torch")
    spikes = lfp.forward(x)
    assert spikes.any()
    lfp.backward(signals(spikes))
    exact = feedback_of(net)
    assert exact["0.weight"].any()
    assert_same_feedback(learned(lfp.online(), x, signals(spikes)), exact)


def test_a_readout_with_samples_of_different_length() -> None:
    net, x = single(), trains(STEPS, BATCH, 6)
    lfp, lengths = TemporalLFP(net, backend="torch"), torch.tensor([9, 2, 5, 1])
    spikes = lfp.forward(x, lengths=lengths)
    lfp.backward(signals(spikes))
    exact = feedback_of(net)
    session = lfp.online()
    running = torch.arange(STEPS)[:, None] < lengths
    assert_same_feedback(learned(session, x, signals(spikes), running), exact)
    assert torch.equal(session.state["steps seen"][:, 0], lengths.double())
    assert session.firing_rates == pytest.approx(lfp.firing_rates)


# ---------------------------------------------------------------------- hidden layers


@pytest.mark.parametrize("options", [{}, {"reset_delay": False}, {"reset_mechanism": "none"}])
@pytest.mark.parametrize("gate", ["positive", "window"])
def test_a_hidden_layer_is_exact_where_the_decay_alone_is_carried(
    gate: Gate, options: dict[str, Any]
) -> None:
    """And nothing comes back from later steps of the layer above, whose membranes forget."""
    learning = {"learn_beta": True, "learn_threshold": True} | options
    layers = [nn.Linear(6, 5), leaky(**learning), nn.Linear(5, 3), leaky(beta=0.0, threshold=0.5)]
    net, x = strong(nn.Sequential(*layers)), trains(STEPS, BATCH, 6)
    lfp = TemporalLFP(net, Rescale(gate, "decay"), backend="torch")
    lengths = torch.tensor([9, 2, 5, 1])
    spikes = lfp.forward(x, lengths=lengths)
    lfp.backward(signals(spikes))
    exact = feedback_of(net)
    assert exact["0.weight"].any()
    assert exact["1.threshold"].any()
    running = torch.arange(STEPS)[:, None] < lengths
    assert_same_feedback(learned(lfp.online(), x, signals(spikes), running), exact)


@pytest.mark.parametrize("affine", [True, False])
def test_a_normalisation_is_exact_there_too(affine: bool) -> None:
    """With running statistics it is linear: scale and shift have traces as weights and biases."""
    norm, last = nn.BatchNorm1d(5, affine=affine), leaky(beta=0.0, threshold=0.5)
    net: Any = strong(nn.Sequential(nn.Linear(6, 5), norm, leaky(), nn.Linear(5, 3), last)).eval()
    x = trains(STEPS, BATCH, 6)
    lfp = TemporalLFP(net, Rescale(carry="decay"), backend="torch")
    lengths = torch.tensor([9, 2, 5, 1])
    spikes = lfp.forward(x, lengths=lengths)
    lfp.backward(signals(spikes))
    exact = feedback_of(net)
    assert all(exact[name].any() for name in ("0.weight", *(("1.weight", "1.bias") * affine)))
    running = torch.arange(STEPS)[:, None] < lengths
    assert_same_feedback(learned(lfp.online(), x, signals(spikes), running), exact)


def slow(net: Any, x: Tensor, rewards: Tensor, carry: float, eps: float) -> dict[str, Tensor]:
    """Two layers, one unit at a time, from the equations; reset by subtraction, one step late."""
    first, hidden, last, output = net
    w, b, w2, b2 = (p.detach() for p in (first.weight, first.bias, last.weight, last.bias))
    sums = {name: torch.zeros_like(p.data) for name, p in net.named_parameters()}
    for s in range(x.shape[1]):
        membrane = [0.0] * len(b)
        below = [0.0] * len(b2)
        eligible = torch.zeros_like(w2)
        eligible_bias = torch.zeros_like(b2)
        trace, ones = torch.zeros(x.shape[2], dtype=x.dtype), 0.0
        for t in range(len(x)):
            trace, ones = x[t, s] + carry * trace, 1 + carry * ones
            spikes, size = [0.0] * len(b), [0.0] * len(b)
            for i in range(len(b)):
                v = membrane[i]
                current = float(w[i] @ x[t, s] + b[i])
                beta, theta = float(hidden.beta), float(hidden.threshold)
                size[i] = abs(v) + abs(beta * v + current - v) + eps
                membrane[i] = beta * v + current - theta * (v > theta)
                spikes[i] = float(membrane[i] > theta)
            for j in range(len(b2)):
                v = below[j]
                current = float(b2[j]) + sum(float(w2[j, i]) * spikes[i] for i in range(len(b)))
                beta, theta = float(output.beta), float(output.threshold)
                scale = abs(v) + abs(beta * v + current - v) + eps
                below[j] = beta * v + current - theta * (v > theta)
                for i in range(len(b)):
                    eligible[j, i] = (spikes[i] + beta * v * eligible[j, i]) / scale
                eligible_bias[j] = (1 + beta * v * eligible_bias[j]) / scale
                r = float(rewards[t, s, j])
                sums["2.weight"][j] += r * eligible[j]
                sums["2.bias"][j] += r * eligible_bias[j]
                for i in range(len(b)):
                    n = spikes[i] * float(w2[j, i]) * r / scale / size[i]
                    sums["0.weight"][i] += n * trace
                    sums["0.bias"][i] += n * ones
    return {name: dict(net.named_parameters())[name].detach().abs() * f for name, f in sums.items()}


@pytest.mark.parametrize("carry", [0.0, 0.6, None])
def test_hidden_layers_follow_the_equations(carry: float | None) -> None:
    net, x = mlp(), trains(STEPS, BATCH, 6)
    lfp = TemporalLFP(net, Epsilon(0.01), backend="torch")
    reward = signals(lfp.forward(x))
    constant = CARRIED * float(net[1].beta) if carry is None else carry
    expected = slow(net, x, reward, constant, 0.01)
    assert_same_feedback(learned(lfp.online(carry=carry), x, reward), expected)
    exact = TemporalLFP(net, Epsilon(0.01), backend="torch")
    exact.forward(x)
    exact.backward(reward)
    assert not torch.allclose(feedback_at(net[0].weight), expected["0.weight"], rtol=1e-3)


def convolutional() -> Any:
    """Convolutions before and after a pool, a normalisation, and a linear readout."""
    net = nn.Sequential(
        nn.Conv2d(1, 2, 2, padding=1),
        nn.BatchNorm2d(2),
        leaky(threshold=0.5),
        nn.AvgPool2d(2),
        nn.Conv2d(2, 3, 2),
        leaky(threshold=0.3),
        nn.Flatten(),
        nn.Linear(3, 3),
        leaky(threshold=0.4),
    )
    return strong(net).eval()


def test_a_first_step_is_exact_in_every_network() -> None:
    """Nothing was carried yet, so that every layer must agree, each through its own kernels."""
    for net in (convolutional(), csnn()):
        x = trains(1, 6, 1, 3, 3, density=0.9)
        lfp = TemporalLFP(net, Epsilon(0.1), backend="torch")
        reward = signals(lfp.forward(x))
        lfp.backward(reward)
        exact = feedback_of(net)
        assert_same_feedback(learned(lfp.online(carry=0.7), x, reward), exact)


def test_a_convolution_learns_as_the_linear_layer_with_its_weights() -> None:
    conv = nn.Conv2d(1, 2, 2)
    tail = nn.Sequential(leaky(threshold=0.1), nn.Linear(8, 3), leaky(threshold=0.4))
    net = strong(nn.Sequential(conv, nn.Flatten(), *tail))
    with torch.no_grad():
        places = torch.eye(9).double().view(9, 1, 3, 3)
        of_place = torch.nn.functional.conv2d(places, conv.weight).flatten(1).T  # [8, 9]
        dense = nn.Linear(9, 8).double()
        dense.weight.copy_(of_place)
        dense.bias.copy_(conv.bias.repeat_interleave(4))  # type: ignore[union-attr]
    linear = nn.Sequential(nn.Flatten(), dense, *tail)
    x = trains(STEPS, 3, 1, 3, 3)
    reward = signals(torch.empty(STEPS, 3, 3, dtype=torch.float64))
    expected = learned(TemporalLFP(linear, Epsilon(0.1), backend="torch").online(), x, reward)
    found = learned(TemporalLFP(net, Epsilon(0.1), backend="torch").online(), x, reward)
    for index in torch.cartesian_prod(torch.arange(2), torch.arange(2), torch.arange(2)):
        channel, row, column = index.tolist()
        total = sum(
            expected["1.weight"][4 * channel + 2 * i + j, 3 * (i + row) + j + column]
            for i in range(2)
            for j in range(2)
        )
        assert total != 0
        assert_near(found["0.weight"][channel, 0, row, column], total)
    assert_near(found["0.bias"], expected["1.bias"].view(2, 4).sum(1))


def test_neurons_within_learn_their_constants_exactly() -> None:
    """With credit that reaches them at its own step, as a readout has it."""
    layers = [nn.Linear(6, 5), leaky(learn_beta=True, learn_threshold=True), nn.Linear(5, 3)]
    net = strong(nn.Sequential(*layers, leaky(beta=0.0, threshold=0.5)))  # hands nothing back
    x = trains(STEPS, BATCH, 6)
    lfp = TemporalLFP(net, backend="torch")
    reward = signals(lfp.forward(x))
    lfp.backward(reward)
    exact = feedback_of(net)
    found = learned(lfp.online(), x, reward)
    for name in ("1.beta", "1.threshold", "2.weight", "2.bias"):
        assert exact[name].any()
        assert_near(found[name], exact[name])
    assert not torch.allclose(found["0.weight"], exact["0.weight"], rtol=1e-3)


def test_a_synapse_that_is_used_twice_has_two_traces() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.shared, self.first, self.second = nn.Linear(6, 6), leaky(), leaky()
            self.out, self.last = nn.Linear(6, 3), leaky(threshold=0.5)

        def forward(self, x: Tensor) -> Any:
            return self.last(self.out(self.second(self.shared(self.first(self.shared(x))))))

    net = strong(Twice())
    session = TemporalLFP(net, backend="torch").online()
    found = learned(session, trains(STEPS, 2, 6), signals(torch.empty(STEPS, 2, 3)))
    assert found["shared.weight"].any()
    assert sum(name.startswith("input of shared") for name in session.state) == 2


# ---------------------------------------------------------------------- a stream


@pytest.mark.parametrize("build", [mlp, csnn])
def test_a_stream_may_be_cut_anywhere(build: Callable[[], nn.Module]) -> None:
    net, shape = build(), (6,) if build is mlp else (1, 3, 3)
    x = trains(STEPS, BATCH, *shape)
    lfp = TemporalLFP(net, backend="torch")
    whole = lfp.online(SoftmaxRate())
    spikes = torch.stack([whole.step(frame, LABELS) for frame in x])
    whole.collect()
    expected = feedback_of(net)
    assert torch.equal(spikes, lfp.forward(x))
    for cut in (1, 4, 8):
        state, parts = None, list[dict[str, Tensor]]()
        for part in (x[:cut], x[cut:]):
            session = lfp.online(SoftmaxRate(), state=state)
            for frame in part:
                session.step(frame, LABELS)
            session.collect()
            parts.append(feedback_of(net))
            state = session.state
        assert_same_feedback({n: parts[0][n] + parts[1][n] for n in parts[0]}, expected)
        for name, value in whole.state.items():
            assert_near(session.state[name], value)


def test_nothing_that_is_kept_grows() -> None:
    net, x = csnn(), trains(60, BATCH, 1, 3, 3)
    lfp = TemporalLFP(net, backend="torch")
    session, sizes = lfp.online(), list[int]()
    for frame in x:
        session.step(frame, LABELS)
        run = session._last
        assert run is not None
        kept = sum(t.numel() for each in run.kept.values() for t in _tensors(each))
        sums = sum(t.numel() for t in session._feedback._sums.values())
        sizes.append(kept + sums + sum(t.numel() for t in session.state.values()))
    assert set(sizes[1:]) == {sizes[1]}


def _tensors(kept: Any) -> list[Tensor]:
    if isinstance(kept, Tensor):
        return [kept]
    return [t for each in kept for t in _tensors(each)] if isinstance(kept, tuple | list) else []


@pytest.mark.parametrize("reward", [RateCoded(), FirstSpike()])
def test_a_prediction_at_any_time_is_that_of_what_was_seen(reward: Any) -> None:
    x = trains(STEPS, BATCH, 6)
    lfp = TemporalLFP(mlp(), Epsilon(), backend="torch")
    session = lfp.online(reward)
    with pytest.raises(NetworkError, match="Nothing was seen yet"):
        session.predict()
    for t, frame in enumerate(x):
        session.step(frame)
        spikes = lfp.forward(x[: t + 1])
        expected = reward.predict(spikes)
        assert torch.equal(session.predict().classes, expected.classes)
        assert torch.equal(session.predict().ties, expected.ties)
        assert_near(session.judge(LABELS), reward(spikes, LABELS)[-1] * (t + 1))


def test_feedback_adds_up_until_it_is_collected() -> None:
    net, x = mlp(), trains(STEPS, BATCH, 6)
    lfp = TemporalLFP(net, backend="torch")
    reward = signals(lfp.forward(x))
    whole = learned(lfp.online(), x, reward)
    session, parts = lfp.online(), list[dict[str, Tensor]]()
    for t, frame in enumerate(x):
        session.step(frame)
        session.learn(reward[t])
        if t in (2, 3, 8):
            session.collect()
            parts.append(feedback_of(net))
            for parameter in net.parameters():
                assert torch.equal(parameter.grad, -feedback_at(parameter))
    total = {name: torch.stack([part[name] for part in parts]).sum(0) for name in whole}
    assert_same_feedback(total, whole)
    session.collect()  # nothing was learnt since
    assert all(parameter.grad is None for parameter in net.parameters())


@pytest.mark.parametrize("reward", [RateCoded(), FirstSpike()])
def test_samples_that_are_put_to_rest_begin_anew(reward: Any) -> None:
    net, x = mlp(), trains(STEPS, BATCH, 6)
    lfp = TemporalLFP(net, backend="torch")
    session, fresh = lfp.online(reward), lfp.online(reward)
    for frame in x[:5]:
        session.step(frame)
    others = {name: value[::2].clone() for name, value in session.state.items()}
    session.reset(torch.tensor([1, 3]))
    for name, value in session.state.items():
        assert torch.equal(value[::2], others[name])
    with pytest.raises(NetworkError, match="no step to learn from"):
        session.judge(LABELS)
    assert session.predict().classes.shape == (BATCH,)
    for frame in x[5:]:
        session.step(frame)
        fresh.step(frame)
        assert torch.equal(session.judge(LABELS)[1::2], fresh.judge(LABELS)[1::2])
    for name, value in fresh.state.items():
        assert torch.equal(session.state[name][1::2], value[1::2])
    session.reset()
    session.step(x[0, :2])  # another size is another stream
    assert session.state["steps seen"].shape == (2, 1)


def test_evidence_fades_over_a_window() -> None:
    x = trains(STEPS, BATCH, 6)
    lfp = TemporalLFP(mlp(), backend="torch")
    session = lfp.online(window=4)
    evidence, steps = torch.zeros(BATCH, 3).double(), 0.0
    for spikes in lfp.forward(x):
        evidence, steps = 0.75 * evidence + spikes, 0.75 * steps + 1
    for frame in x:
        session.step(frame)
    assert_near(session.state["evidence of the outputs"], evidence)
    assert_near(session.state["steps seen"], torch.full((BATCH, 1), steps).double())


def test_masks_are_kept_until_samples_are_put_to_rest() -> None:
    layers = [nn.Dropout(0.5), nn.Linear(200, 5), leaky(), nn.Linear(5, 3), leaky()]
    session = TemporalLFP(strong(nn.Sequential(*layers)), backend="torch").online(carry=0.0)
    name = "input of 1, place 1"
    torch.manual_seed(0)
    x, seen = torch.ones(2, 200).double(), list[Tensor]()
    for t in range(3):
        if t == 2:
            session.reset(torch.tensor([False, True]))
        session.step(x)
        seen.append(session.state[name])
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[2][0], seen[1][0])
    assert not torch.equal(seen[2][1], seen[1][1])


def test_frames_may_be_lists_of_spikes() -> None:
    net, x = mlp(), trains(STEPS, BATCH, 6)
    lfp = TemporalLFP(net, backend="events")  # which runs whole trains; a session is not bound
    dense, lists = lfp.online(), lfp.online()
    for frame in x:
        assert torch.equal(dense.step(frame), lists.step(Spikes.from_dense(frame[None])))
    with pytest.raises(ShapeError, match="T=1, but these have T=9"):
        lists.step(Spikes.from_dense(x))


# ---------------------------------------------------------------------- what is refused


def recurrent() -> nn.Module:
    neurons = snn.RLeaky(beta=0.8, init_hidden=True, linear_features=5)
    return nn.Sequential(nn.Linear(6, 5), neurons, nn.Linear(5, 3), leaky())


@pytest.mark.parametrize(
    ("build", "rule", "message"),
    [
        (recurrent, Epsilon(), r"Neuron '1' \(RLeaky.* is none for which .*chunked"),
        (
            mlp,
            Gamma(0.2),
            r"Synapse '0' has the rule Gamma\(.*norm, pass and rescale",
        ),
    ],
)
def test_what_has_no_traces_is_refused(
    build: Callable[[], nn.Module], rule: Rule, message: str
) -> None:
    lfp = TemporalLFP(build(), rule, backend="torch")
    with pytest.raises(NetworkError, match=message):
        lfp.online()


def test_options_and_arguments_that_do_not_fit_are_refused() -> None:
    lfp = TemporalLFP(mlp(), Pass(), backend="torch")
    for options, message in (
        ({"carry": 1.0}, r"carry is 1.0; expected a number from 0 to below 1"),
        ({"window": 0.5}, r"window is 0.5; expected at least one step"),
        ({"reward": FirstSpike(), "window": 4}, r"evidence of FirstSpike is no sum .* cannot fade"),
    ):
        with pytest.raises(ConfigError, match=message):
            lfp.online(**options)
    session, x = lfp.online(), trains(2, BATCH, 6)
    with pytest.raises(NetworkError, match="no step to learn from"):
        session.learn(torch.zeros(BATCH, 3))
    session.step(x[0])
    with pytest.raises(ShapeError, match=r"reward has the shape \(4, 2\).*have \(4, 3\)"):
        session.learn(torch.zeros(BATCH, 2))
    with pytest.raises(ShapeError, match=r"frame has the shape \(3, 6\).*had \(4, 6\).*reset"):
        session.step(x[0, :3])
    other = lfp.online(state=session.state)
    with pytest.raises(ShapeError, match="frame has 3 samples, and the state .* 4"):
        other.step(x[0, :3])
    with pytest.raises(ShapeError, match=r"running has the shape \(4,\) and type torch.int64"):
        session.step(x[0], running=torch.ones(BATCH, dtype=torch.int64))


def test_statistics_of_the_batch_are_refused() -> None:
    session = TemporalLFP(convolutional().train(), backend="torch").online()
    with pytest.raises(NetworkError, match="'1' .* normalises .* put that module into evaluation"):
        session.step(trains(1, 2, 1, 3, 3)[0])


def test_a_reward_that_cannot_judge_steps_is_told() -> None:
    for given in (SoftmaxRate, lambda spikes, labels: spikes):
        wrong: Any = given
        with pytest.raises(
            ConfigError, match=r"expected a StepwiseReward, such as .*RateCoded\(\)"
        ):
            TemporalLFP(single()).online(wrong)
