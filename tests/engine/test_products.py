"""Products of values, gates and softmax: the rules of LRP, held against the oracle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from lfp_snn import Spikes, TemporalLFP
from lfp_snn.engine.feedback import Feedback
from lfp_snn.engine.linear_map import Product
from lfp_snn.engine.stage import Tape
from lfp_snn.errors import ConfigError, LfpSnnError, NetworkError
from lfp_snn.rules import Assignment, Composite, Epsilon, Flat, Norm, Pass, Rescale, Rule
from tests import oracle
from tests.crossed import crossed
from tests.engine.compare import (
    assert_equal_to_oracle,
    assert_near,
    assert_same_feedback,
    feedback_at,
    leaky,
    run,
    strong,
    trains,
)
from tests.engine.test_rescale import for_oracle
from tests.oracle_modules import FUNCTIONS, add_module
from tests.oracle_products import Softmax, product_of

UNITS = 6
Function = Callable[..., Any]


class Meeting(nn.Module):
    """Two populations, a function of their spikes, then neurons again."""

    def __init__(self, function: Function, between: nn.Module | None = None) -> None:
        super().__init__()
        self.fc_a, self.lif_a = nn.Linear(4, UNITS), leaky(threshold=0.3)
        self.fc_b, self.lif_b = nn.Linear(4, UNITS), leaky(threshold=0.3)
        self.function, self.between = function, between or nn.Identity()
        spikes = torch.ones(1, UNITS)
        self.fc = nn.Linear(function(spikes, spikes).flatten(1).shape[1], 3)
        self.last = leaky(threshold=0.3)

    def forward(self, x: Tensor) -> Any:
        a, b = self.lif_a(self.fc_a(x)), self.between(self.lif_b(self.fc_b(x)))
        return self.last(self.fc(self.function(a, b).flatten(1)))


def meeting(function: Function, between: nn.Module | None = None, seed: int = 2) -> Any:
    """One whose neurons fire, in float64."""
    net = strong(Meeting(function, between), seed=seed)
    net.fc.bias.data += 0.2
    return net


def wired(
    net: Meeting,
    function: Function | None = None,
    shares: tuple[float, ...] = (0.5, 0.5),
    order: tuple[int, ...] = (0, 1),
    between: Callable[[oracle.Network, oracle.Node], oracle.Node] | None = None,
) -> Callable[[oracle.Network], None]:
    """The nodes of a Meeting; ``order`` says which population each factor is."""

    def wire(slow: oracle.Network) -> None:
        a = add_module(slow, add_module(slow, slow.input, net.fc_a, "fc_a"), net.lif_a, "lif_a")
        b = add_module(slow, add_module(slow, slow.input, net.fc_b, "fc_b"), net.lif_b, "lif_b")
        b = between(slow, b) if between is not None else b
        factors = [(a, b)[k] for k in order]
        met = slow.add(product_of(function or net.function, factors, shares))
        current = add_module(slow, slow.reshape(met, (met.units,)), net.fc, "fc")
        add_module(slow, current, net.last, "last")

    return wire


def heads(x: Tensor) -> Tensor:
    """Two heads of three tokens of one channel."""
    return x.view(x.size(0), 2, 3, 1)


PRODUCTS: dict[str, Function] = {
    "elementwise": lambda a, b: a * b,
    "by name": lambda a, b: torch.mul(a, b),
    "in place": lambda a, b: (1 * a).mul_(b),
    "with an operator in place": lambda a, b: imul(2 * a, b),
    "broadcast": lambda a, b: a.view(-1, 2, 3) * b[:, :3].unsqueeze(1),
    "matmul": lambda a, b: a.view(-1, 2, 3) @ b.view(-1, 3, 2),
    "bmm": lambda a, b: torch.bmm(a.view(-1, 3, 2), b.view(-1, 2, 3)),
    "heads": lambda a, b: heads(a) @ heads(b).transpose(-2, -1),
    "a vector": lambda a, b: torch.matmul(a.view(-1, 2, 3), b[:, :3, None]),
    "einsum": lambda a, b: torch.einsum("bi,bj->bij", a[:, 1:], b[:, 1:]),
}


def imul(a: Any, b: Any) -> Any:
    a *= b
    return a


@pytest.mark.parametrize("case", PRODUCTS)
def test_products_share_in_halves(case: str) -> None:
    net = meeting(PRODUCTS[case])
    assert_equal_to_oracle(net, trains(4, 2, 4, density=0.6), wired(net))


def test_a_square_is_a_product_of_two() -> None:
    net = meeting(lambda a, b: (a + b) * (a + b))

    def wire(slow: oracle.Network) -> None:
        a = add_module(slow, add_module(slow, slow.input, net.fc_a, "fc_a"), net.lif_a, "lif_a")
        b = add_module(slow, add_module(slow, slow.input, net.fc_b, "fc_b"), net.lif_b, "lif_b")
        both = slow.combine((1.0, a), (1.0, b))
        met = slow.add(product_of(torch.mul, (both, both), (0.5, 0.5)))
        add_module(slow, add_module(slow, met, net.fc, "fc"), net.last, "last")

    assert_equal_to_oracle(net, trains(4, 2, 4, density=0.6), wire)


def test_three_factors_have_a_third_each() -> None:
    def function(a: Any, b: Any, c: Any) -> Any:
        return torch.einsum("bi,bi,bj->bij", a[:, :3], b[:, :3], c[:, 3:])

    net = meeting(lambda a, b: function(a, b, a), seed=1)
    wire = wired(net, function, (1 / 3,) * 3, (0, 1, 0))
    assert_equal_to_oracle(net, trains(4, 2, 4, density=0.6), wire)


@pytest.mark.parametrize("lengths", [(5, 5), (3, 5)])
def test_samples_of_different_length(lengths: tuple[int, int]) -> None:
    net = meeting(PRODUCTS["heads"])
    assert_equal_to_oracle(net, trains(5, 2, 4, density=0.6), wired(net), lengths=lengths)


@pytest.mark.parametrize("rule", [Rescale(), Rescale(carry="decay"), Norm()])
@pytest.mark.parametrize("case", ["elementwise", "heads"])
def test_other_rules_send_credit_through_products(case: str, rule: Rule) -> None:
    """Under Rescale to neurons that were silent, too."""
    net, x = meeting(PRODUCTS[case]), trains(5, 2, 4, density=0.6)
    lfp = TemporalLFP(net, rule, "torch")
    rules = {name: for_oracle(each) for name, each in lfp.rules.items() if name != "matmul"}
    slow = oracle.Network(net, (4,), rules=rules)
    wired(net)(slow)
    expected = torch.from_numpy(slow.run(x.numpy()))
    as_credit = isinstance(rule, Rescale)
    reward = torch.linspace(-1, 1, expected.numel()).double().view_as(expected)
    slow.send_back(reward.numpy(), as_credit=as_credit)
    assert torch.equal(lfp.forward(x), expected)
    lfp.backward(reward)
    for name, parameter in net.named_parameters():
        theirs = torch.from_numpy(slow.feedback[name]).view_as(parameter)
        assert theirs.any()
        assert_near(feedback_at(parameter), theirs)


@crossed(
    ("gates", [(False, False), (False, True), (True, True), (True, False)]),
    ("product", ["halves", "signal"]),
    ("case", ["mul", "matmul", "einsum"]),
)
def test_relevance_is_conserved(case: str, gates: tuple[bool, bool], product: Any) -> None:
    """What the factors get is what the value had."""
    functions: dict[str, Function] = {
        "mul": torch.mul,
        "matmul": torch.matmul,
        "einsum": lambda a, b: torch.einsum("bij,bkj->bik", a, b),
    }
    draw = torch.Generator().manual_seed(3)
    a, b = (torch.randn(3, 2, 4, 4, generator=draw).double() for _ in "ab")
    stage = Product("p", functions[case], [a.shape[1:], b.shape[1:]], gates)
    tape = Tape(3, 2, None, {}, record=True, dtype=torch.float64)
    value = stage.forward(tape, a, b)
    credit = torch.randn(value.shape, generator=draw).double()
    rules = {"p": Epsilon(product=product)}
    of_a, of_b = stage.backward(tape, credit, Feedback(), rules, [a.shape, b.shape])
    assert isinstance(of_a, Tensor) and isinstance(of_b, Tensor)
    total, parts = (value * credit).sum(), ((a * of_a).sum(), (b * of_b).sum())
    assert_near(parts[0] + parts[1], total, 1e-12)
    to_signal = product == "signal" and gates[0] != gates[1]
    assert_near(parts[0], total * (1 - gates[0] if to_signal else 0.5), 1e-12)


# ------------------------------------------------------------------------ gates


def sigmoid_of(slow: oracle.Network, source: oracle.Node) -> oracle.Node:
    value = lambda z: FUNCTIONS["Sigmoid"](None, z)  # noqa: E731
    return slow.add(oracle.Units(source.shape, "sigmoid", source, value))


@pytest.mark.parametrize("product", ["halves", "signal"])
def test_a_gate_takes_half_or_nothing(product: Any) -> None:
    net = meeting(lambda a, b: a * b, nn.Sigmoid())
    shares = (0.5, 0.5) if product == "halves" else (1.0, 0.0)
    silent = [] if product == "halves" else ["fc_b.weight", "fc_b.bias"]
    assert_equal_to_oracle(
        net,
        trains(4, 2, 4, density=0.6),
        wired(net, shares=shares, between=sigmoid_of),
        silent=silent,
        rule=Epsilon(product=product),
    )


GATES: dict[str, tuple[Function, bool]] = {
    "sigmoid": (lambda a, b: a * torch.sigmoid(b), True),
    "hard sigmoid": (lambda a, b: nn.functional.hardsigmoid(b) * a, True),
    "softmax": (lambda a, b: torch.softmax(b, -1) * a, True),
    "reshaped": (lambda a, b: a.view(-1, 3, 2) * b.sigmoid().view(-1, 3, 2), True),
    "one minus": (lambda a, b: a * (1 - b.sigmoid()), True),
    "mean of gates": (lambda a, b: a * b.sigmoid().mean(1, keepdim=True), True),
    "tanh": (lambda a, b: a * torch.tanh(b), False),
    "behind neurons": (lambda a, b: a * b, False),
    "gate and more": (lambda a, b: a * (b.sigmoid() + b), False),
    "two gates": (lambda a, b: a.sigmoid() * b.sigmoid(), False),
}


@pytest.mark.parametrize("case", GATES)
def test_what_is_a_gate(case: str) -> None:
    function, takes_nothing = GATES[case]
    net, x = meeting(function), trains(5, 2, 4, density=0.6)
    _, halves = run(TemporalLFP(net, Epsilon()), x)
    assert halves["fc_b.weight"].any()
    _, signal = run(TemporalLFP(net, Epsilon(product="signal")), x)
    assert signal["fc_a.weight"].any()
    assert bool(signal["fc_b.weight"].any()) != takes_nothing


def test_squeeze_and_excitation() -> None:
    """The gate of each channel learns under halves, and stands still under signal."""

    class Excited(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.lif = nn.Conv2d(1, 4, 2), leaky(threshold=0.4)
            self.squeeze, self.excite = nn.Linear(4, 2), nn.Linear(2, 4)
            self.fc, self.last = nn.Linear(36, 3), leaky(threshold=0.3)

        def forward(self, x: Tensor) -> Any:
            maps = self.lif(self.conv(x))
            hidden = torch.relu(self.squeeze(maps.mean((2, 3))))
            gate = torch.sigmoid(self.excite(hidden)).view(-1, 4, 1, 1)
            return self.last(self.fc((maps * gate).flatten(1)))

    net, x = strong(Excited(), seed=1), trains(6, 3, 1, 4, 4)
    _, halves = run(TemporalLFP(net, Epsilon()), x)
    _, signal = run(TemporalLFP(net, Epsilon(product="signal")), x)
    gate = {"squeeze.weight", "squeeze.bias", "excite.weight", "excite.bias"}
    assert {name for name, each in halves.items() if each.any()} == set(halves)
    assert {name for name, each in signal.items() if each.any()} == set(signal) - gate
    assert_near(signal["fc.weight"], halves["fc.weight"])


def test_a_composite_says_it_of_one_product() -> None:
    net = meeting(lambda a, b: a * b.sigmoid())
    x = trains(5, 2, 4, density=0.6)
    _, signal = run(TemporalLFP(net, Epsilon(product="signal")), x)
    for chosen in ({"type": "Product"}, {"name": "mul"}):
        rule = Composite((Assignment(Epsilon(product="signal"), **chosen),))  # type: ignore[arg-type]
        lfp = TemporalLFP(net, rule)
        _, found = run(lfp, x)
        assert_same_feedback(found, signal)
        assert lfp.rules["mul"].product == "signal"
        assert lfp.rules["fc_a"].product == "halves"


def test_the_word_is_shown_and_checked() -> None:
    assert repr(Epsilon()) == "Epsilon(eps=1e-06)"
    assert repr(Norm(product="signal")) == "Norm(product='signal')"
    assert repr(Rescale(product="signal")).endswith("eps=0.1, product='signal')")
    for kind in (Epsilon, Pass, Rescale):
        with pytest.raises(ConfigError, match="product is 'all'; expected halves or signal"):
            kind(product="all")  # type: ignore[arg-type]


# ------------------------------------------------------------------------ softmax


@pytest.mark.parametrize("axis", [1, 2, -1])
def test_softmax_equals_the_oracle(axis: int) -> None:
    def function(a: Any, b: Any) -> Any:
        return torch.softmax(b.view(-1, 2, 3), axis) * a.view(-1, 2, 3)

    net = meeting(function)
    groups = [[0, 3], [1, 4], [2, 5]] if axis == 1 else [[0, 1, 2], [3, 4, 5]]
    wire = wired(net, torch.mul, between=lambda s, b: s.add(Softmax(b.shape, b, groups)))
    # The module shapes both factors before it multiplies them, which changes no unit's number.
    assert_equal_to_oracle(net, trains(4, 2, 4, density=0.6), wire)


@pytest.mark.parametrize(
    ("axis", "message"),
    [(0, "softmax over samples"), (3, "expects the axis 3"), (None, "not told its axis")],
)
def test_a_softmax_needs_an_axis_of_the_sample(axis: int | None, message: str) -> None:
    with pytest.raises(LfpSnnError, match=message):
        TemporalLFP(meeting(torch.mul, nn.Softmax(axis))).forward(trains(4, 2, 4))


# ------------------------------------------------------------------------ how it runs


@pytest.mark.parametrize("rule", [Epsilon(0.1), Rescale()])
def test_chunks_lists_and_backends_are_the_same(rule: Rule) -> None:
    net = meeting(lambda a, b: heads(a) @ heads(b.softmax(1)).transpose(2, 3))
    x, lengths = trains(9, 2, 4, density=0.6), torch.tensor([9, 5])
    spikes, expected = run(TemporalLFP(net, rule, "torch"), x, lengths=lengths)
    assert spikes.any()
    for options in (
        {"backend": "events"},
        {"backend": "torch", "memory": "chunked", "chunk": 4},
        {"backend": "events", "memory": "chunked", "chunk": 2},
    ):
        lfp = TemporalLFP(net, rule, **options)
        for given in (x, Spikes.from_dense(x)):
            found = run(lfp, given, lengths=lengths)
            assert torch.equal(found[0], spikes)
            assert_same_feedback(found[1], expected)
    assert "matmul" in TemporalLFP(net, rule, "events").summary()
    assert TemporalLFP(net, rule, "events").kernels["lif_a"].startswith("events")


def test_it_runs_in_inference_mode_and_beside_half_precision() -> None:
    net, x = meeting(lambda a, b: heads(a) @ heads(b.softmax(1)).transpose(2, 3)), trains(5, 2, 4)
    _, expected = run(TemporalLFP(net), x)
    with torch.inference_mode():
        _, found = run(TemporalLFP(net), x)
    assert_same_feedback(found, expected)
    stage = Product("p", torch.matmul, [torch.Size((2, 3, 4)), torch.Size((2, 4, 3))], (False,) * 2)
    tape = Tape(3, 2, None, {}, record=True, dtype=torch.float32)
    a, b = torch.rand(3, 2, 3, 4), torch.rand(3, 2, 4, 3)
    with torch.autocast("cpu", torch.bfloat16):
        value = stage.forward(tape, a, b)
        credits = stage.backward(tape, value, Feedback(), {"p": Epsilon()}, [a.shape, b.shape])
    torch.testing.assert_close(value, a @ b)
    assert isinstance(credits[0], Tensor) and credits[0].dtype == torch.float32


def test_relevance_of_silent_inputs_has_no_way_through_a_product() -> None:
    rule = Composite((Assignment(Flat(), name="fc"),))
    lfp = TemporalLFP(meeting(torch.mul), rule)
    spikes = lfp.forward(trains(5, 2, 4))
    with pytest.raises(NetworkError, match=r"'mul' \(Product\) feeds a layer whose rule hands"):
        lfp.backward(torch.ones_like(spikes))


def test_the_stages_are_named() -> None:
    net = strong(Meeting(lambda a, b: a.view(-1, 2, 3) @ b.softmax(1).view(-1, 3, 2)))
    lfp = TemporalLFP(net)
    lfp.forward(trains(4, 2, 4))
    rows = {line.split()[0]: line for line in lfp.summary().splitlines()}
    assert "Product" in rows["matmul"] and "halves" in rows["matmul"]
    assert "Softmax" in rows["softmax"] and "R - a sum R" in rows["softmax"]
    assert "2x2" in rows["matmul"]


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda a, b: a @ b.T @ a, "mixes samples"),
        (lambda a, b: a * b.sum(0, keepdim=True), "mixes samples"),
        (lambda a, b: a / (1 + b), "'truediv'|'div'"),
        (lambda a, b: torch.baddbmm(*(x.view(-1, 1, 1) for x in (a, a, b))), "baddbmm"),
        (lambda a, b: torch.einsum("bi,ci->bc", a, b), "mixes samples"),
    ],
)
def test_what_is_no_product_is_refused(function: Function, message: str) -> None:
    net = Meeting(lambda a, b: a * b)
    net.function = function
    with pytest.raises(NetworkError, match=message):
        TemporalLFP(strong(net)).forward(trains(4, 2, 4))


def test_a_product_in_place_leaves_what_others_saw() -> None:
    """A stage before it keeps its input as it was."""

    class InPlace(Meeting):
        def forward(self, x: Tensor) -> Any:
            a, b = self.lif_a(self.fc_a(x)), self.lif_b(self.fc_b(x))
            before = self.fc(a)
            a *= 2 * b
            return self.last(before + self.fc(a))

    class Plain(Meeting):
        def forward(self, x: Tensor) -> Any:
            a, b = self.lif_a(self.fc_a(x)), self.lif_b(self.fc_b(x))
            return self.last(self.fc(a) + self.fc(a * (2 * b)))

    x = trains(5, 2, 4, density=0.6)
    found = [run(TemporalLFP(strong(kind(torch.mul), seed=2)), x) for kind in (InPlace, Plain)]
    assert torch.equal(found[0][0], found[1][0])
    assert_same_feedback(found[0][1], found[1][1])
