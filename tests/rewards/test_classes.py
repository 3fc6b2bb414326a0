"""Rewards of classes against their equations, written out in loops."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lfp_snn.errors import ConfigError, ShapeError
from lfp_snn.rewards import (
    REWARDS,
    TET,
    BoundedSoftmax,
    CountTarget,
    FirstSpike,
    Function,
    MembraneCoded,
    MembraneTarget,
    Misclassification,
    MisclassifiedValues,
    Prediction,
    RateCoded,
    Reward,
    Scalar,
    Sigmoid,
    SigmoidValues,
    SoftmaxRate,
    SoftmaxValues,
    StepwiseReward,
    TETReadout,
    VanRossum,
    ties,
)

GOLDEN = Path(__file__).parent.parent / "golden"

every_dtype = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])

#: Spikes of one sample as lists, [class][t], its true class: the reward of class c at step t.
Equation = Callable[[list[list[int]], int, int, int], float]


def logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def softmax(scores: list[float]) -> list[float]:
    powers = [math.exp(score) for score in scores]
    return [power / sum(powers) for power in powers]


def rate_coded(trains: list[list[int]], label: int, c: int, t: int) -> float:
    steps, half = len(trains[c]), len(trains[c]) // 2
    k = sum(trains[c])
    if c == label:
        return (1 - logistic(k - half)) / steps
    return -trains[c][t] * (1 - logistic((steps - k) - half)) / steps


def softmax_rate(a: float) -> Equation:
    def at(trains: list[list[int]], label: int, c: int, t: int) -> float:
        p = softmax([a * sum(train) for train in trains])[c]
        return (1 - p if c == label else -trains[c][t] * p) / len(trains[c])

    return at


def tet(
    a: float, since: int | None = None, smoothing: float = 0.0, silence: bool = False
) -> Equation:
    """The error of each step's softmax; a class that should fall is punished at its spikes."""

    def at(trains: list[list[int]], label: int, c: int, t: int) -> float:
        first = 0 if since is None else t - since
        p = softmax([a * sum(train[first : t + 1]) for train in trains])[c]
        error = (1 - smoothing) * (c == label) + smoothing / len(trains) - p
        return error * (1 if error > 0 or silence else trains[c][t]) / len(trains[c])

    return at


def smoothed_rate(a: float, smoothing: float, silence: bool = False) -> Equation:
    def at(trains: list[list[int]], label: int, c: int, t: int) -> float:
        p = softmax([a * sum(train) for train in trains])[c]
        error = (1 - smoothing) * (c == label) + smoothing / len(trains) - p
        return error * (1 if error > 0 or silence else trains[c][t]) / len(trains[c])

    return at


def first_spike(a: float) -> Equation:
    def at(trains: list[list[int]], label: int, c: int, t: int) -> float:
        steps = len(trains[c])
        firsts = [train.index(1) if 1 in train else steps for train in trains]
        p = softmax([a * (steps - first) / steps for first in firsts])[c]
        if c != label:
            return -p if t == firsts[c] else 0.0
        return (1 - p) / min(firsts[c] + 1, steps) if t <= firsts[c] else 0.0

    return at


def bounded_softmax(a: float, lower: float, upper: float) -> Equation:
    def at(trains: list[list[int]], label: int, c: int, t: int) -> float:
        p = softmax([a * sum(train) for train in trains])[c]
        p = 1.0 if p > upper else 0.0 if p < lower else p
        return (1 - p if c == label else -trains[c][t] * p) / len(trains[c])

    return at


def sigmoid(a: float, middle: float) -> Equation:
    def at(trains: list[list[int]], label: int, c: int, t: int) -> float:
        steps = len(trains[c])
        p = logistic(a * (sum(trains[c]) - middle * steps))
        return (1 - p if c == label else -trains[c][t] * p) / steps

    return at


def misclassification(trains: list[list[int]], label: int, c: int, t: int) -> float:
    others = [sum(train) for k, train in enumerate(trains) if k != label]
    if c == label:
        return (1.0 if max(others) >= sum(trains[label]) else 0.0) / len(trains[c])
    return -trains[c][t] * (sum(trains[c]) >= sum(trains[label])) / len(trains[c])


def count_target(high: float, low: float, silence: bool = False) -> Equation:
    def at(trains: list[list[int]], label: int, c: int, t: int) -> float:
        error = (high if c == label else low) - sum(trains[c]) / len(trains[c])
        return error * (1 if error > 0 or silence else trains[c][t]) / len(trains[c])

    return at


class Heard(list[int]):
    """A train that reads as a spike at every step, and counts as it is."""

    def __getitem__(self, t: Any) -> Any:
        return 1


def at_silence(equation: Equation) -> Equation:
    """The equation without the factor ``s``."""
    return lambda trains, label, c, t: equation([Heard(each) for each in trains], label, c, t)


EQUATIONS: list[tuple[StepwiseReward, Equation]] = [
    (RateCoded(), rate_coded),
    (SoftmaxRate(), softmax_rate(1.0)),
    (SoftmaxRate(a=0.3), softmax_rate(0.3)),
    (BoundedSoftmax(), bounded_softmax(1.0, 0.05, 0.95)),
    (BoundedSoftmax(a=0.3, lower=0.3, upper=0.5), bounded_softmax(0.3, 0.3, 0.5)),
    (Sigmoid(), sigmoid(1.0, 0.5)),
    (Sigmoid(a=0.4, middle=0.2), sigmoid(0.4, 0.2)),
    (Misclassification(), misclassification),
    (FirstSpike(), first_spike(15.0)),
    (FirstSpike(a=2.0), first_spike(2.0)),
    (RateCoded(at_silence=True), at_silence(rate_coded)),
    (SoftmaxRate(a=0.3, at_silence=True), at_silence(softmax_rate(0.3))),
    (BoundedSoftmax(at_silence=True), at_silence(bounded_softmax(1.0, 0.05, 0.95))),
    (Sigmoid(0.4, 0.2, at_silence=True), at_silence(sigmoid(0.4, 0.2))),
    (Misclassification(at_silence=True), at_silence(misclassification)),
    (CountTarget(), count_target(1.0, 0.0)),
    (CountTarget(at_silence=True), count_target(1.0, 0.0, silence=True)),
    (TET(), tet(1.0)),
    (TET(3.0, so_far=False), tet(3.0, since=0)),
    (TET(1.0, at_silence=True), tet(1.0, silence=True)),
]
#: Those that may push a class either way: what they ask for is neither everything nor nothing.
BOTH_WAYS: list[tuple[StepwiseReward, Equation]] = [
    (SoftmaxRate(0.3, 0.2), smoothed_rate(0.3, 0.2)),
    (SoftmaxRate(2.0, 0.4, at_silence=True), smoothed_rate(2.0, 0.4, silence=True)),
    (TET(1.0, 0.4), tet(1.0, smoothing=0.4)),
    (CountTarget(0.4, 0.2), count_target(0.4, 0.2)),
    (CountTarget(0.6, 0.1, at_silence=True), count_target(0.6, 0.1, silence=True)),
    (TET(5.0, 0.1, so_far=False, at_silence=True), tet(5.0, 0, 0.1, silence=True)),
]
every_reward = pytest.mark.parametrize("reward", [each for each, _ in EQUATIONS], ids=repr)
BY_HAND = [*EQUATIONS, *BOTH_WAYS]


def written_out(equation: Equation, spikes: Tensor, labels: Tensor, lengths: list[int]) -> Tensor:
    """The reward by its equation, sample by sample over its own steps, zero after its end."""
    expected = torch.zeros(spikes.shape, dtype=torch.float64)
    for b, length in enumerate(lengths):
        trains = [[int(s) for s in spikes[:length, b, c]] for c in range(spikes.shape[2])]
        for c in range(spikes.shape[2]):
            for t in range(length):
                expected[t, b, c] = equation(trains, int(labels[b]), c, t)
    return expected


def outputs(
    steps: int = 7, batch: int = 5, classes: int = 4, seed: int = 0, density: float = 0.3
) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    spikes = torch.rand(steps, batch, classes, generator=draw, dtype=torch.float64) < density
    return spikes.double(), torch.randint(classes, (batch,), generator=draw)


@every_dtype
@pytest.mark.parametrize("steps", [1, 2, 7])
@pytest.mark.parametrize(("reward", "equation"), BY_HAND, ids=[repr(r) for r, _ in BY_HAND])
def test_equal_to_its_equation(
    reward: Reward, equation: Equation, steps: int, dtype: torch.dtype
) -> None:
    spikes, labels = outputs(steps, batch=8)
    ours = reward(spikes.to(dtype), labels)
    assert ours.dtype == dtype
    expected = written_out(equation, spikes, labels, [steps] * 8)
    torch.testing.assert_close(
        ours.double(), expected, rtol=0, atol=2e-7 if dtype is torch.float32 else 1e-14
    )


@every_dtype
@pytest.mark.parametrize(("reward", "equation"), BY_HAND, ids=[repr(r) for r, _ in BY_HAND])
def test_samples_count_over_their_own_steps(
    reward: Reward, equation: Equation, dtype: torch.dtype
) -> None:
    lengths = [7, 1, 4, 2, 5]
    spikes, labels = outputs()
    for b, length in enumerate(lengths):
        spikes[length:, b] = 0  # as the engine leaves them
    ours = reward(spikes.to(dtype), labels, lengths=torch.tensor(lengths))
    expected = written_out(equation, spikes, labels, lengths)
    torch.testing.assert_close(
        ours.double(), expected, rtol=0, atol=2e-7 if dtype is torch.float32 else 1e-14
    )
    prediction = reward.predict(spikes.to(dtype), lengths=torch.tensor(lengths))
    for b, length in enumerate(lengths):
        alone = reward.predict(spikes[:length, b : b + 1])
        assert (prediction.classes[b], prediction.ties[b]) == (alone.classes[0], alone.ties[0])


def test_a_reward_says_whether_it_is_credit() -> None:
    for reward in (each() for each in REWARDS.values()):
        assert not reward.is_credit
    counts = (RateCoded, SoftmaxRate, TET, BoundedSoftmax, Sigmoid, CountTarget, Misclassification)
    assert all(each(at_silence=True).is_credit for each in counts)
    assert not Function(lambda spikes, *_: spikes).is_credit


@every_dtype
@pytest.mark.parametrize("name", ["mlp", "mlp_deep", "cnn"])
def test_rate_coded_equals_the_published_reward(name: str, dtype: torch.dtype) -> None:
    golden = np.load(GOLDEN / f"{name}.npz")
    spikes = torch.from_numpy(golden["spikes"]).to(dtype)
    ours = RateCoded()(spikes, torch.from_numpy(golden["labels"]))
    torch.testing.assert_close(
        ours.float(), torch.from_numpy(golden["reward"]), rtol=1e-5, atol=1e-7
    )


@every_dtype
@pytest.mark.parametrize("reward", [each for each, _ in BY_HAND], ids=repr)
def test_a_stream_is_rewarded_as_the_last_step_of_what_was_seen(
    reward: StepwiseReward, dtype: torch.dtype
) -> None:
    spikes, labels = outputs()
    spikes = spikes.to(dtype)
    state = None
    for t, step in enumerate(spikes):
        now, state = reward.step(step, labels, state)
        torch.testing.assert_close(now, reward(spikes[: t + 1], labels)[-1])
        assert now.dtype == dtype


@every_reward
def test_a_stream_may_be_read_again(reward: StepwiseReward) -> None:
    spikes, labels = outputs(steps=3)
    _, first = reward.step(spikes[0], labels)
    once, _ = reward.step(spikes[1], labels, first)
    reward.step(spikes[2], labels, first)
    again, _ = reward.step(spikes[1], labels, first)
    assert torch.equal(once, again)


@every_reward
@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**16), density=st.floats(0, 1), steps=st.integers(1, 6))
def test_signs(reward: Reward, seed: int, density: float, steps: int) -> None:
    """The true class is never punished, no other ever rewarded; silence is judged by credit."""
    spikes, labels = outputs(steps, seed=seed, density=density)
    truth = torch.nn.functional.one_hot(labels, 4).bool().expand_as(spikes)
    given_reward = reward(spikes, labels)
    assert (given_reward[truth] >= 0).all()
    assert (given_reward[~truth] <= 0).all()
    assert reward.is_credit or not given_reward[~truth & (spikes == 0)].any()
    assert given_reward.abs().sum((0, 2)).max() <= 4


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**16), density=st.floats(0, 1), steps=st.integers(1, 6))
def test_misclassification_is_zero_exactly_where_the_true_class_wins_alone(
    seed: int, density: float, steps: int
) -> None:
    spikes, labels = outputs(steps, batch=12, seed=seed, density=density)
    right, tied = Misclassification().predict(spikes)
    silent = ~Misclassification()(spikes, labels).flatten(2).any(-1).any(0)
    assert torch.equal(silent, (right == labels) & ~tied)


def test_bounds_that_bound_nothing_leave_the_softmax() -> None:
    spikes, labels = outputs()
    free = BoundedSoftmax(a=0.3, lower=0, upper=1)(spikes, labels)
    assert torch.equal(free, SoftmaxRate(a=0.3)(spikes, labels))


@pytest.mark.parametrize("kind", [SoftmaxRate, TET])
def test_credit_is_minus_the_derivative_of_the_cross_entropy_with_smoothed_labels(
    kind: type[SoftmaxRate],
) -> None:
    """By torch's own cross-entropy and autograd, of the counts or of each step, summed."""
    spikes, labels = outputs()
    leaf = spikes.clone().requires_grad_()
    logits = 0.7 * (leaf.sum(0, keepdim=True) if kind is SoftmaxRate else leaf)
    targets = labels.expand(len(logits), -1).flatten()
    loss = torch.nn.functional.cross_entropy(
        logits.flatten(0, 1), targets, label_smoothing=0.3, reduction="sum"
    )
    (slope,) = torch.autograd.grad(loss / 0.7 / len(spikes), leaf)
    options = {"so_far": False} if kind is TET else {}
    credit = kind(0.7, 0.3, at_silence=True, **options)(spikes, labels)
    torch.testing.assert_close(credit, -slope, rtol=0, atol=1e-14)


def test_smoothed_labels_punish_a_class_that_is_too_sure() -> None:
    spikes = torch.zeros(6, 1, 3)
    spikes[:, 0, 1] = 1
    labels = torch.tensor([1])
    hard, soft = SoftmaxRate()(spikes, labels), SoftmaxRate(smoothing=0.3)(spikes, labels)
    assert hard[0, 0, 1] > 0 > soft[0, 0, 1]
    assert (soft[:, 0, [0, 2]] > 0).all()


def test_a_confident_sample_is_left_alone_by_the_bounds() -> None:
    spikes = torch.zeros(6, 1, 3)
    spikes[:, 0, 1] = 1
    labels = torch.tensor([1])
    assert SoftmaxRate()(spikes, labels).any()
    assert not BoundedSoftmax()(spikes, labels).any()


def test_sigmoid_about_one_half_is_the_published_reward() -> None:
    spikes, labels = outputs(steps=8)
    torch.testing.assert_close(Sigmoid()(spikes, labels), RateCoded()(spikes, labels))


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**16))
def test_first_spike_adds_up_to_zero_once_all_have_spiked(seed: int) -> None:
    spikes, labels = outputs(seed=seed)
    spikes[-1] = 1
    total = FirstSpike()(spikes, labels).sum((0, 2))
    torch.testing.assert_close(total, torch.zeros_like(total), rtol=0, atol=1e-12)


# -------------------------------------------------------------------------- predictions


@pytest.mark.parametrize("reward", [RateCoded(), Misclassification(), Scalar()], ids=repr)
def test_the_most_spikes_win_and_the_lowest_index_among_equals(reward: Reward) -> None:
    counts = torch.tensor([[0, 2, 1], [3, 1, 3], [0, 0, 0], [0, 1, 1]])
    spikes = (torch.arange(4)[:, None, None] < counts).double()
    assert torch.equal(spikes.sum(0), counts.double())
    classes, tied = reward.predict(spikes)
    assert classes.dtype == torch.int64
    assert tied.dtype == torch.bool
    assert classes.tolist() == [1, 0, 0, 1]
    assert tied.tolist() == [False, True, True, True]


def test_the_first_to_spike_wins() -> None:
    spikes = torch.zeros(4, 4, 3)
    spikes[1, 0, 2] = spikes[2:, 0, 0] = 1  # class 2 at step 1, class 0 later but more often
    spikes[3, 1, 1] = 1  # one spike at the last step beats silence
    spikes[2, 3, 1] = spikes[2, 3, 2] = 1
    classes, tied = FirstSpike().predict(spikes)
    assert classes.tolist() == [2, 1, 0, 1]
    assert tied.tolist() == [False, False, True, True]


def test_ties_of_scores() -> None:
    found = ties(torch.tensor([[-1.0, -2.0], [-3.0, -3.0]]))
    assert isinstance(found, Prediction)
    assert found.classes.tolist() == [0, 0]
    assert found.ties.tolist() == [False, True]


def test_equal_counts_of_votes_tie_whatever_the_order_of_their_sums() -> None:
    """Three voters of ten at one step and one at three: 0.3 and a sum of tenths."""
    votes = torch.zeros(4, 1, 3, dtype=torch.float64)
    votes[:3, 0, 1] = 1 / 10
    votes[3, 0, 2] = 3 / 10
    counts = votes.sum(0)
    assert not torch.equal(counts[:, 1], counts[:, 2])
    for reward in (RateCoded(), SoftmaxRate()):
        found = reward.predict(votes)
        assert (found.classes.item(), found.ties.item()) == (1, True)
    credit = Misclassification(at_silence=True)(votes, torch.tensor([1]))
    assert credit[0, 0].tolist() == [0, 0.25, -0.25]  # each beats the other
    credit = Misclassification(at_silence=True)(votes, torch.tensor([2]))
    assert credit[0, 0].tolist() == [0, -0.25, 0.25]


# ------------------------------------------------------------------------------ errors


@every_reward
@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([0, 4, 1]), "labels run from 0 to 4, but the network has 4 outputs"),
        (torch.tensor([0, -1, 1]), "labels run from -1 to 1.*one output per class"),
        (torch.tensor([0, 1]), r"labels have the shape \(2,\).*integers of shape \(3,\)"),
        (torch.tensor([[0, 1, 2]]), r"labels have the shape \(1, 3\)"),
        (torch.tensor([0.0, 1.0, 2.0]), "type torch.float32; expected integers"),
    ],
)
def test_labels_that_do_not_fit_are_refused(
    reward: StepwiseReward, labels: Tensor, message: str
) -> None:
    spikes, _ = outputs(batch=3)
    with pytest.raises(ShapeError, match=message):
        reward(spikes, labels)
    with pytest.raises(ShapeError, match=message):
        reward.step(spikes[0], labels)


@every_reward
def test_lengths_that_do_not_fit_are_refused(reward: Reward) -> None:
    spikes, labels = outputs(batch=3)
    message = r"lengths has the shape \(2,\); expected \(3,\), one per sample"
    with pytest.raises(ShapeError, match=message):
        reward(spikes, labels, lengths=torch.tensor([1, 2]))
    with pytest.raises(ShapeError, match=message):
        reward.predict(spikes, lengths=torch.tensor([1, 2]))


WRONG_TYPES: list[tuple[Callable[..., Reward], str, Any, str]] = [
    (CountTarget, "high", "a", "expected a number"),
    (CountTarget, "low", None, "expected a number"),
    (CountTarget, "at_silence", "yes", "expected True, False or None"),
    (SoftmaxRate, "a", "x", "expected a positive finite number"),
    (SoftmaxRate, "a", True, "expected a positive finite number"),
    (SoftmaxRate, "smoothing", "x", r"expected a number in \[0, 1\)"),
    (TET, "at_silence", 1, "expected True, False or None"),
    (RateCoded, "at_silence", "yes", "expected True, False or None"),
    (Misclassification, "at_silence", [], "expected True, False or None"),
    (BoundedSoftmax, "lower", "x", "expected a number"),
    (Sigmoid, "middle", "x", "expected a number"),
    (FirstSpike, "a", None, "expected a positive finite number"),
    (MembraneCoded, "a", "x", "expected a positive finite number"),
    (TETReadout, "smoothing", None, r"expected a number in \[0, 1\)"),
    (MembraneTarget, "high", "x", "expected a number"),
    (MembraneTarget, "scale", "x", "expected a positive finite number"),
    (VanRossum, "period", 2.5, "expected a whole number of at least 1"),
    (VanRossum, "period", "x", "expected a whole number of at least 1"),
    (VanRossum, "tau", "x", "expected a positive finite number"),
    (SoftmaxValues, "upper", "x", "expected a number"),
    (SoftmaxValues, "at_silence", "no", "expected True, False or None"),
    (SigmoidValues, "at_silence", 0, "expected True, False or None"),
    (MisclassifiedValues, "at_silence", "yes", "expected True, False or None"),
    (Scalar, "right", "good", "expected a finite number"),
    (Scalar, "wrong", float("nan"), "expected a finite number"),
]


@pytest.mark.parametrize(("kind", "name", "value", "message"), WRONG_TYPES)
def test_options_of_another_type_are_named(
    kind: Callable[..., Reward], name: str, value: Any, message: str
) -> None:
    told = rf"{kind.__name__}\.{name} is {re.escape(repr(value))}; {message}\.$"
    with pytest.raises(ConfigError, match=told):
        kind(**{name: value})


def test_numbers_of_numpy_are_numbers() -> None:
    real: Any = np.float32(0.5)
    whole: Any = np.int64(4)
    assert SoftmaxRate(a=real).a == 0.5 and VanRossum(period=whole).period == 4


@every_reward
@pytest.mark.parametrize("wrong", [8, -1])
def test_lengths_beyond_the_output_are_refused(reward: Reward, wrong: int) -> None:
    spikes, labels = outputs(batch=3)
    message = rf"lengths run from {min(wrong, 2)} to {max(wrong, 2)}; expected 0 to T=7\."
    with pytest.raises(ShapeError, match=message):
        reward(spikes, labels, lengths=[2, wrong, 2])
    with pytest.raises(ShapeError, match=message):
        reward.predict(spikes, lengths=[2, wrong, 2])


@pytest.mark.parametrize("a", [0.0, -1.0, float("nan"), float("inf")])
@pytest.mark.parametrize("kind", [SoftmaxRate, BoundedSoftmax, Sigmoid, FirstSpike])
def test_a_sharpness_must_be_positive(kind: Callable[..., Reward], a: float) -> None:
    with pytest.raises(ConfigError, match=r"\.a is .*expected a positive finite"):
        kind(a=a)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BoundedSoftmax(lower=0.5, upper=0.5), "0 <= lower < upper <= 1"),
        (lambda: BoundedSoftmax(upper=1.5), "upper 1.5"),
        (lambda: Sigmoid(middle=1), "rate between 0 and 1"),
        (lambda: CountTarget(high=1.2), "CountTarget.high is 1.2 and low 0.0; .*<= 1 .spikes per"),
        (lambda: CountTarget(high=0.2, low=0.2), "0 <= low < high <= 1"),
        (lambda: CountTarget(low=float("nan")), "low nan"),
        (lambda: SoftmaxRate(smoothing=1), r"SoftmaxRate.smoothing is 1; .*in \[0, 1\)"),
        (lambda: TET(smoothing=-0.1), r"TET.smoothing is -0.1"),
        (lambda: TET(a=0), "TET.a is 0"),
        (lambda: MembraneCoded(smoothing=2), "MembraneCoded.smoothing is 2"),
        (lambda: TETReadout(smoothing=2), "TETReadout.smoothing is 2"),
        (lambda: SoftmaxValues(smoothing=1), "SoftmaxValues.smoothing is 1"),
        (lambda: SoftmaxValues(0.1, smoothing=0.1), "smoothed labels push back"),
    ],
)
def test_options_out_of_range(make: Callable[[], Reward], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()


def test_a_reward_of_classes_needs_labels() -> None:
    with pytest.raises(ShapeError, match="needs labels: give one class for each of 5 samples"):
        RateCoded()(outputs()[0])


def test_rewards_by_name() -> None:
    assert REWARDS == {
        "rate_coded": RateCoded,
        "softmax_rate": SoftmaxRate,
        "tet": TET,
        "bounded_softmax": BoundedSoftmax,
        "sigmoid": Sigmoid,
        "count_target": CountTarget,
        "misclassification": Misclassification,
        "first_spike": FirstSpike,
        "membrane_coded": MembraneCoded,
        "tet_readout": TETReadout,
        "membrane_target": MembraneTarget,
        "van_rossum": VanRossum,
        "scalar": Scalar,
        "softmax_values": SoftmaxValues,
        "sigmoid_values": SigmoidValues,
        "misclassified_values": MisclassifiedValues,
    }


def test_spikes_and_labels_in_each_others_place_are_told() -> None:
    spikes, labels = outputs(batch=3)
    with pytest.raises(ShapeError, match=r"changed places: call reward\(spikes, labels\)"):
        RateCoded()(labels, spikes)


def test_what_is_no_record_is_refused() -> None:
    spikes, labels = outputs(batch=3)
    for wrong, told in (
        (spikes.sum(0), r"of the shape \(3, 4\).*expected a tensor \[T, B, C\]"),
        (spikes.bool(), "the type bool.*floating"),
        ((spikes, spikes), "are a tuple"),
    ):
        given: Any = wrong
        with pytest.raises(ShapeError, match=told):
            RateCoded()(given, labels)
        with pytest.raises(ShapeError, match=told):
            RateCoded().predict(given)


def test_samples_in_the_place_of_steps_are_told_by_their_labels() -> None:
    with pytest.raises(ShapeError, match=r"as many labels as time steps.*steps=25"):
        RateCoded()(torch.zeros(8, 1, 4), torch.zeros(8, dtype=torch.long))


def test_labels_by_class_are_told_their_numbers() -> None:
    spikes, _ = outputs(batch=3)
    with pytest.raises(ShapeError, match=r"such as labels.argmax\(-1\)"):
        RateCoded()(spikes, torch.eye(4)[:3])
