"""What the code of a user looks at beside its arguments is that of the present pass."""

from __future__ import annotations

import copy
import math
import types
from collections.abc import Callable, Iterator
from functools import cached_property, lru_cache, partial
from typing import Any, ClassVar

import pydantic
import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn import TemporalLFP
from lfp_snn.engine.user_code import UserCode
from tests.engine.compare import strong, trains
from tests.engine.test_sequences import exact

X = trains(7, 4, 6)

NUMBER = 1.0
NOT_OF_FORWARD = 1.0
TENSOR = torch.tensor(1.0)
DEFAULT = torch.tensor(1.0)
FUNCTION: Callable[[float], float] = math.cos
MODULE: Any = types.ModuleType("a_module_of_a_user")
MODULE.number = 1.0
MODULE.itself = MODULE  # as packages name each other


class Options:
    number = 1.0
    inner: ClassVar[list[float]] = [1.0]


OPTIONS = Options()


def helper() -> float:
    return NUMBER


def of_a_helper() -> float:
    return sum(helper() for _ in range(1))


def of_a_tensor() -> Tensor:
    return TENSOR * 1


def with_default(factor: list[float] = [1.0]) -> float:  # noqa: B006
    return factor[0]


def with_default_tensor(*, factor: Tensor = DEFAULT) -> Tensor:
    return factor * 1


def times(factor: float, number: float) -> float:
    return factor * number


@lru_cache
def cached(number: float) -> float:
    return number * Options.number


def in_a_closure() -> Callable[[], Any]:
    held = [1.0]

    def factor() -> float:
        return held[0]

    return factor


class Mixin:
    """A class that is no module."""

    mixed = 1.0

    def of_mixin(self) -> float:
        return self.mixed


class Scaled(nn.Module, Mixin):
    """Two layers with a factor that comes from somewhere."""

    of_class = 1.0
    tensor_of_class = torch.tensor(1.0)
    list_of_class: ClassVar[list[float]] = [1.0]

    def __init__(self, factor: Callable[[Any], Any]) -> None:
        super().__init__()
        self.factor = factor
        self.act = math.cos
        self.partial = partial(times, 1.0)
        self.closure = in_a_closure()
        self.tensor = torch.tensor(1.0)
        self.tensors = [torch.tensor(1.0)]
        self.fc1, self.lif1 = nn.Linear(6, 8), snn.Leaky(0.9, threshold=0.5, init_hidden=True)
        self.fc2, self.lif2 = nn.Linear(8, 3), snn.Leaky(0.9, threshold=0.5, init_hidden=True)

    @staticmethod
    def static() -> float:
        return NUMBER

    @property
    def as_property(self) -> float:
        return NUMBER

    @cached_property
    def never_called(self) -> float:
        raise NotImplementedError

    def method(self) -> float:
        return 1.0

    def training_step(self) -> float:
        return NOT_OF_FORWARD

    def forward(self, x: Tensor) -> Tensor:
        spk = self.lif1(self.fc1(x) * self.factor(self))
        out: Tensor = self.lif2(self.fc2(spk))
        return out


Change = Callable[[pytest.MonkeyPatch, Scaled], object]


def set_global(name: str, value: Any) -> Change:
    return lambda patch, _: patch.setitem(globals(), name, value)


def set_of(owner: Any, name: str, value: Any) -> Change:
    return lambda patch, _: patch.setattr(owner, name, value)


def set_of_net(name: str, value: Any) -> Change:
    return lambda patch, net: patch.setattr(net, name, value)


#: Where a factor comes from, and how it changes between two passes.
FACTORS: dict[str, tuple[Callable[[Any], Any], Change]] = {
    "number of a helper": (lambda _: helper(), set_global("NUMBER", -2.0)),
    "number of a helper's helper": (lambda _: of_a_helper(), set_global("NUMBER", -2.0)),
    "helper": (lambda _: helper(), set_global("helper", lambda: -2.0)),
    "tensor of a helper": (lambda _: of_a_tensor(), lambda *_: TENSOR.fill_(-2.0)),
    "another tensor of a helper": (
        lambda _: of_a_tensor(),
        lambda patch, _: patch.setitem(globals(), "TENSOR", torch.tensor(-2.0)),
    ),
    "item of a global": (lambda _: float(TENSOR), lambda *_: TENSOR.fill_(-2.0)),
    "global": (lambda _: TENSOR * 1, lambda *_: TENSOR.fill_(-2.0)),
    "function": (lambda _: FUNCTION(0.0), set_global("FUNCTION", math.sin)),
    "default": (lambda _: with_default(), set_of(with_default, "__defaults__", ([-2.0],))),
    "default tensor": (
        lambda _: with_default_tensor(),
        lambda *_: DEFAULT.fill_(-2.0),
    ),
    "module": (lambda _: MODULE.number, set_of(MODULE, "number", -2.0)),
    "module of a module": (lambda _: MODULE.itself.number, set_of(MODULE, "number", -2.0)),
    "class": (lambda _: Options.number, set_of(Options, "number", -2.0)),
    "class of an object": (lambda _: OPTIONS.number, set_of(Options, "number", -2.0)),
    "list of a class": (lambda _: Options.inner[0], set_of(Options, "inner", [-2.0])),
    "cache": (lambda net: cached(net.of_class), set_of(Scaled, "of_class", -2.0)),
    "tensor of the class": (
        lambda net: net.tensor_of_class * 1,
        lambda *_: Scaled.tensor_of_class.fill_(-2.0),
    ),
    "another list of the class": (
        lambda net: net.list_of_class[0],
        set_of(Scaled, "list_of_class", [-2.0]),
    ),
    "by a word": (
        lambda net: getattr(net, "of_class"),  # noqa: B009
        set_of(Scaled, "of_class", -2.0),
    ),
    "static method": (lambda net: net.static(), set_global("NUMBER", -2.0)),
    "property": (lambda net: net.as_property, set_global("NUMBER", -2.0)),
    "another method": (lambda net: net.method(), set_of(Scaled, "method", lambda _: -2.0)),
    "mixin": (lambda net: net.of_mixin(), set_of(Mixin, "mixed", -2.0)),
    "function of the module": (lambda net: net.act(0.0), set_of_net("act", math.sin)),
    "partial": (lambda net: net.partial(1.0), set_of_net("partial", partial(times, -2.0))),
    "closure": (lambda net: net.closure(), set_of_net("closure", lambda: -2.0)),
    "tensor of the module": (lambda net: net.tensor * 1, lambda _, net: net.tensor.fill_(-2.0)),
    "item of a tensor": (lambda net: net.tensor.item(), lambda _, net: net.tensor.fill_(-2.0)),
    "tensor of a list": (
        lambda net: net.tensors[0] * 1,
        lambda _, net: net.tensors[0].fill_(-2.0),
    ),
}


@pytest.fixture(autouse=True)
def _tensors_given_back() -> Iterator[None]:
    yield
    for tensor in (TENSOR, DEFAULT, Scaled.tensor_of_class):
        tensor.fill_(1.0)


def by_itself(net: nn.Module) -> Tensor:
    """The spikes of a network that is called step by step."""
    other = copy.deepcopy(net)
    with torch.no_grad():
        return torch.stack([other(frame) for frame in X])


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("name", FACTORS)
def test_what_changed_between_passes_is_seen(
    name: str, check: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    factor, change = FACTORS[name]
    net = exact(strong(Scaled(factor))).eval()
    lfp = TemporalLFP(net, check=check)
    first = lfp.forward(X)
    assert torch.equal(first, by_itself(net))
    known = lfp.structure
    assert torch.equal(lfp.forward(X), first) and lfp.structure is known
    change(monkeypatch, net)
    expected = by_itself(net)
    assert not torch.equal(expected, first)
    assert torch.equal(lfp.forward(X), expected)


def test_what_forward_does_not_reach_makes_no_other_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = exact(strong(Scaled(lambda net: net.method()))).eval()
    lfp = TemporalLFP(net)
    lfp.forward(X)
    known = lfp.structure
    for name, value in (("NUMBER", 2.0), ("NOT_OF_FORWARD", 2.0), ("helper", of_a_helper)):
        monkeypatch.setitem(globals(), name, value)
    monkeypatch.setattr(Scaled, "of_class", 2.0)
    lfp.forward(X)
    assert lfp.structure is known


def test_code_of_packages_that_were_installed_is_not_followed() -> None:
    assert not list(UserCode([Scaled]).of_function(pydantic.Field))
    assert not UserCode([Scaled]).names(pydantic.Field)
    assert not list(UserCode([Scaled]).of_class(pydantic.BaseModel))
    assert list(UserCode([pydantic.BaseModel]).of_function(pydantic.Field))


def test_the_code_of_a_user_is_followed() -> None:
    code = UserCode([])
    assert list(code.of_function(helper)) == [None, None, NUMBER]
    assert "helper" in code.names(of_a_helper)
    assert dict(code.of_class(Options)) == {"number": 1.0, "inner": [1.0]}
