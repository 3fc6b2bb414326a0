"""States and options in plain objects, containers, closures and globals: run equal, left alone."""

from __future__ import annotations

import argparse
import copy
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn import TemporalLFP
from lfp_snn.engine.held import options_in
from lfp_snn.errors import NetworkError
from lfp_snn.learners import LEARNERS
from tests.engine.compare import assert_same_feedback, run, strong, trains
from tests.engine.test_sequences import exact

X = trains(7, 3, 6)
KEPT: dict[str, Any] = {}


class Two(nn.Module):
    """Two layers, whose states something holds."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(6, 8), snn.Leaky(beta=0.9, threshold=0.4)
        self.fc2, self.lif2 = nn.Linear(8, 3), snn.Leaky(beta=0.9, threshold=0.4)

    def step(self, x: Tensor, one: Any, two: Any) -> tuple[Tensor, Any, Any]:
        """One step."""
        spk, one = self.lif1(self.fc1(x), one)
        spk, two = self.lif2(self.fc2(spk), two)
        return spk, one, two

    def kept(self) -> Any:
        """What holds the states."""
        raise NotImplementedError


class InObject(Two):
    """In attributes of an object."""

    def __init__(self, held: Any) -> None:
        super().__init__()
        self.held = held

    def forward(self, x: Tensor) -> Tensor:
        held = self.held
        spk, held.one, held.two = self.step(x, held.one, held.two)
        return spk

    def kept(self) -> Any:
        return [self.held.one, self.held.two]


class Handed(InObject):
    """The same in the hand of a caller, as the oracle."""

    def __init__(self) -> None:
        super().__init__(None)

    def forward(self, x: Tensor, state: Any = None) -> Any:
        one, two = (None, None) if state is None else state
        spk, one, two = self.step(x, one, two)
        return spk, (one, two)


class InContainer(Two):
    """In an entry of a list or a dict."""

    def __init__(self, held: Any, keys: tuple[Any, Any], within: Callable[[Any], Any]) -> None:
        super().__init__()
        self.held, self.keys, self.within = held, keys, within

    def forward(self, x: Tensor) -> Tensor:
        held, (one, two) = self.within(self.held), self.keys
        spk, held[one], held[two] = self.step(x, held[one], held[two])
        return spk

    def kept(self) -> Any:
        held = self.within(self.held)
        return [held[key] for key in self.keys]


class InDeque(Two):
    """As the last entry of a deque."""

    def __init__(self) -> None:
        super().__init__()
        self.held: deque[Any] = deque([(None, None)], maxlen=2)

    def forward(self, x: Tensor) -> Tensor:
        spk, one, two = self.step(x, *self.held[-1])
        self.held.append((one, two))
        return spk

    def kept(self) -> Any:
        return list(self.held)


class InGlobal(Two):
    """In a global dict."""

    def forward(self, x: Tensor) -> Tensor:
        spk, KEPT["one"], KEPT["two"] = self.step(x, KEPT.get("one"), KEPT.get("two"))
        return spk

    def kept(self) -> Any:
        return dict(KEPT)


class InClosure(Two):
    """In the closure of a function."""

    def __init__(self) -> None:
        super().__init__()
        states: dict[str, Any] = {}

        def forward(net: Any, x: Tensor) -> Tensor:
            one, two = states.get("one"), states.get("two")
            spk, states["one"], states["two"] = net.step(x, one, two)
            return spk  # type: ignore[no-any-return]

        self.function: Callable[[Any, Tensor], Tensor] = forward
        self.states: Callable[[], dict[str, Any]] = lambda: states

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)

    def kept(self) -> Any:
        return dict(self.states())


@dataclass
class Kept:
    """A dataclass."""

    one: Any = None
    two: Any = None


@dataclass(slots=True)
class Slotted:
    """A dataclass without a dict."""

    one: Any = None
    two: Any = None


class Own:
    """A class of a user."""

    def __init__(self) -> None:
        self.one = self.two = None


PLACES: dict[str, Callable[[], Two]] = {
    "SimpleNamespace": lambda: InObject(SimpleNamespace(one=None, two=None)),
    "dataclass": lambda: InObject(Kept()),
    "slots": lambda: InObject(Slotted()),
    "own class": lambda: InObject(Own()),
    "list": lambda: InContainer([None, None], (0, 1), lambda held: held),
    "dict": lambda: InContainer({"a": None, "b": None}, ("a", "b"), lambda held: held),
    "a list in a dict in an object in a tuple": lambda: InContainer(
        (SimpleNamespace(inner={"x": [None, None]}),), (0, 1), lambda held: held[0].inner["x"]
    ),
    "deque": InDeque,
    "global": InGlobal,
    "closure": InClosure,
}


@pytest.mark.parametrize("backend", ["torch", "events"])
@pytest.mark.parametrize("place", PLACES)
def test_states_are_kept_anywhere_and_left_as_they_were(place: str, backend: str) -> None:
    net = exact(strong(PLACES[place](), scale=0.8))
    expected, feedback = run(TemporalLFP(exact(strong(Handed(), scale=0.8))), X)
    before = net.kept()
    lfp = TemporalLFP(net, backend=backend)
    for _ in range(2):
        spikes, found = run(lfp, X)
        assert torch.equal(spikes, expected)
        assert_same_feedback(found, feedback)
    assert repr(net.kept()) == repr(before)
    with torch.no_grad():
        stepped = torch.stack([net(frame) for frame in X])
    assert torch.equal(stepped, expected)
    KEPT.clear()


@pytest.mark.parametrize("place", ["SimpleNamespace", "slots", "closure"])
def test_the_surrogate_begins_each_batch_at_rest(place: str) -> None:
    from lfp_snn.data import Batch

    kind: Any = LEARNERS["surrogate"]
    learner = kind.from_options(strong(PLACES[place]()).float(), kind.Options())
    batch = Batch(X.float(), torch.tensor([0, 1, 2]))
    first, second = (float(learner.feedback(batch).reward) for _ in range(2))
    assert first == second


class Counts(InObject):
    """Does something else from a step on that an object counts."""

    def forward(self, x: Tensor) -> Tensor:
        self.held.steps += 1
        return super().forward(2 * x if self.held.steps > 4 else x)


def test_what_an_object_counts_is_refused() -> None:
    held = SimpleNamespace(one=None, two=None, steps=0)
    with pytest.raises(NetworkError, match="is not what Counts computes"):
        TemporalLFP(strong(Counts(held))).forward(X)
    assert held == SimpleNamespace(one=None, two=None, steps=0)


GAIN = 1.0


def set_gain(value: float) -> None:
    global GAIN
    GAIN = value


class Configured(nn.Module):
    """Takes options and tensors from where users hold them."""

    gain = 1.0
    table: dict[str, float] = {"shift": 0.0}  # noqa: RUF012 - as users write it

    def __init__(self) -> None:
        super().__init__()
        self.fc1, self.lif1 = nn.Linear(6, 6), snn.Leaky(0.9, threshold=0.4, init_hidden=True)
        self.fc2, self.lif2 = nn.Linear(6, 3), snn.Leaky(0.9, threshold=0.4, init_hidden=True)
        self.config, self.args = {"scale": 1.0}, argparse.Namespace(deep=True)
        self.sizes, self.kept = [1.0], SimpleNamespace(inner=[{"gain": 1.0}])
        self.mask = torch.ones(6).double()
        self.tensors = {"mask": torch.ones(6).double()}
        self.array = np.ones(6)

    def forward(self, x: Tensor) -> Tensor:
        spk = self.lif1(self.fc1(x)) * self.mask * self.tensors["mask"]
        spk = spk * self.config["scale"] * self.sizes[0] * self.kept.inner[0]["gain"]
        spk = spk * self.gain * GAIN * torch.from_numpy(self.array)
        if self.args.deep:
            spk = spk - 4 * x
        out: Tensor = self.lif2(self.fc2(spk + self.table["shift"]))
        return out


def off(net: Configured) -> None:
    net.args.deep = False


def other_mask(net: Configured) -> None:
    net.mask = torch.tensor([0, 0, 0, 0, 0, -2]).double()


def other_tensor(net: Configured) -> None:
    net.tensors["mask"] = torch.tensor([0, 0, 0, 0, 0, -2]).double()


CHANGES: dict[str, Callable[[Any], Any]] = {
    "dict": lambda net: net.config.update(scale=-2.0),
    "list": lambda net: net.sizes.__setitem__(0, -2.0),
    "object": off,
    "nested": lambda net: net.kept.inner[0].update(gain=-2.0),
    "tensor": other_mask,
    "tensor in a dict": other_tensor,
    "class": lambda net: net.table.update(shift=-2.0),
    "number of a class": lambda _: setattr(Configured, "gain", -2.0),
    "global number": lambda _: set_gain(-2.0),
    "numpy": lambda net: net.array.fill(-2.0),
}


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize("change", CHANGES)
def test_options_that_change_between_passes_are_seen(change: str, check: bool) -> None:
    net = exact(strong(Configured(), scale=0.5)).eval()
    lfp = TemporalLFP(net, check=check)
    first = lfp.forward(X)
    CHANGES[change](net)
    with torch.no_grad():
        other = copy.deepcopy(net)
        expected = torch.stack([other(frame) for frame in X])
    try:
        assert not torch.equal(expected, first)
        assert torch.equal(lfp.forward(X), expected)
    finally:
        Configured.table.update(shift=0.0)
        Configured.gain = 1.0
        set_gain(1.0)


class Named(Configured):
    """Has an attribute whose name a global has too, and a global within a comprehension."""

    def forward(self, x: Tensor) -> Tensor:
        (scaled,) = [GAIN * each for each in (x,)]
        return super().forward(scaled * self.scale)

    scale = 1.0


def test_only_globals_that_a_forward_takes_tell_networks_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = exact(strong(Named(), scale=0.5)).eval()
    lfp = TemporalLFP(net)
    lfp.forward(X)
    known = lfp.structure
    monkeypatch.setitem(globals(), "scale", 3.0)
    lfp.forward(X)
    assert lfp.structure is known
    monkeypatch.setitem(globals(), "GAIN", -2.0)
    lfp.forward(X)
    assert lfp.structure is not known


def test_options_are_seen_in_the_last_of_many_modules() -> None:
    modules: list[Any] = [Configured() for _ in range(4)]
    for module in modules:
        module.many = [[SimpleNamespace(gain=1.0) for _ in range(40)] for _ in range(30)]
    before, _ = options_in(modules)
    for module in modules:
        module.many[-1][-1].gain = 2.0
        after, _ = options_in(modules)
        assert after != before
        before = after
