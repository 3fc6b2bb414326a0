"""The surrogate gradient of networks that loop over time, or are handed the states of neurons."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn import fit
from lfp_snn.data import Batch
from lfp_snn.errors import NetworkError
from lfp_snn.learners import LEARNERS, Learner
from lfp_snn.spikes import Spikes

STEPS, BATCH, UNITS = 5, 4, 6


class Twin(nn.Module):
    """Two layers whose neurons keep their own state: the oracle."""

    hidden = True

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.fc1, self.fc2 = nn.Linear(UNITS, 8), nn.Linear(8, 3)
        options: Any = {"beta": 0.8, "threshold": 0.4, "init_hidden": self.hidden}
        self.lif1 = snn.Leaky(**options)
        self.lif2 = snn.Leaky(**options, output=True) if self.hidden else snn.Leaky(**options)

    def forward(self, x: Tensor) -> Any:
        return self.lif2(self.fc2(self.lif1(self.fc1(x))))


class ByHand(Twin):
    """The same with states in the hand of forward."""

    hidden = False

    def begin(self) -> tuple[Tensor, Tensor]:
        """The states at rest."""
        return self.lif1.init_leaky(), self.lif2.init_leaky()

    def step(self, x: Tensor, mem1: Any, mem2: Any) -> tuple[Tensor, Any, Any]:
        """One time step."""
        spk1, mem1 = self.lif1(self.fc1(x), mem1)
        spk2, mem2 = self.lif2(self.fc2(spk1), mem2)
        return spk2, mem1, mem2


class Loops(ByHand):
    """A loop over steps that come first, which are stacked."""

    def forward(self, x: Tensor) -> Tensor:
        mem1, mem2 = self.begin()
        record = []
        for frame in x:
            spk, mem1, mem2 = self.step(frame, mem1, mem2)
            record.append(spk)
        return torch.stack(record)


class Sums(ByHand):
    """A loop over steps behind samples, which are summed."""

    def forward(self, x: Tensor) -> Tensor:
        mem1, mem2 = self.begin()
        total: Any = 0
        for t in range(x.shape[1]):
            spk, mem1, mem2 = self.step(x[:, t], mem1, mem2)
            total = total + spk
        out: Tensor = total
        return out


class OnSelf(ByHand):
    """One step, whose states are kept on the module."""

    def __init__(self) -> None:
        super().__init__()
        self.states: list[Any] = [None, None]

    def forward(self, x: Tensor) -> Tensor:
        spk, *self.states = self.step(x, *self.states)
        return spk


class Nested(ByHand):
    """One step, whose states are kept in a list within a dict, in private, and in a buffer."""

    mem: Tensor

    def __init__(self) -> None:
        super().__init__()
        self._states: dict[str, list[Any]] = {"first": [None]}
        self.register_buffer("mem", torch.zeros(0))

    def forward(self, x: Tensor) -> Tensor:
        spk, *(self._states["first"][0], self.mem) = self.step(
            x, self._states["first"][0], self.mem
        )
        return spk


class Handed(ByHand):
    """One step, whose states are handed in and out."""

    def forward(  # type: ignore[override]
        self, x: Tensor, mem1: Tensor, mem2: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        return self.step(x, mem1, mem2)


NETS = (Loops, Sums, OnSelf, Nested, Handed)


def batch_for(net: nn.Module, seed: int = 0, lengths: Tensor | None = None) -> Batch:
    """Spikes in the layout that a network takes."""
    generator = torch.Generator().manual_seed(seed)
    x = (torch.rand(STEPS, BATCH, UNITS, generator=generator) > 0.4).float()
    labels = torch.tensor([0, 1, 2, 1])
    if isinstance(net, Sums):
        return Batch(x.movedim(0, 1).contiguous(), labels, lengths=lengths)
    return Batch(Spikes.from_dense(x), labels, lengths=lengths)


def bound(net: nn.Module, name: str = "surrogate", **options: Any) -> Learner:
    """A learner with a network."""
    kind = LEARNERS[name]
    return kind.from_options(net, kind.Options.model_validate({"name": name, **options}))


@pytest.mark.parametrize("loss", ["ce_count_loss", "mse_membrane_loss"])
@pytest.mark.parametrize("lengths", [None, torch.tensor([5, 2, 3, 5])], ids=["equal", "lengths"])
@pytest.mark.parametrize("make", NETS)
def test_gradients_are_those_of_the_network_whose_neurons_keep_their_state(
    make: Callable[[], nn.Module], lengths: Tensor | None, loss: str
) -> None:
    net, twin = make(), Twin()
    learner = bound(net, loss=loss)
    expected = bound(twin, loss=loss, unroll="steps")
    for seed in range(2):  # the second batch begins at rest, too
        result = learner.feedback(batch_for(net, seed, lengths))
        known = expected.feedback(batch_for(twin, seed, lengths))
        assert torch.equal(result.classes, known.classes)
        assert result.reward == pytest.approx(known.reward, rel=1e-6)
        for (name, one), other in zip(net.named_parameters(), twin.parameters(), strict=True):
            assert one.grad is not None and one.grad.any(), name
            torch.testing.assert_close(one.grad, other.grad, rtol=1e-5, atol=1e-7)
        for name, rate in known.firing.items():
            assert result.firing[name] == pytest.approx(rate)


def test_states_on_the_module_are_as_they_were() -> None:
    net = OnSelf()
    bound(net).feedback(batch_for(net))
    assert net.states == [None, None]


@pytest.mark.parametrize("make", NETS)
def test_fit_trains_them_and_evaluates_them(make: Callable[[], nn.Module]) -> None:
    net = make()
    generator = torch.Generator().manual_seed(1)
    y = torch.arange(60) % 3
    x = (torch.rand(60, STEPS, UNITS, generator=generator) > 0.7).float()
    x[torch.arange(60), :, y] = 1.0  # the class is the unit that always spikes
    data: Any = torch.utils.data.TensorDataset(x, y)
    options: Any = {
        "val": data,
        "learner": {"name": "surrogate"},
        "optimizer": {"lr": 0.02},
        "clip": None,
    }
    result = fit(net, data, layout="BT", epochs=8, batch_size=10, progress=False, **options)
    assert result.val_accuracy > 0.8


def test_stretches_of_time_are_refused() -> None:
    net = Loops()
    with pytest.raises(NetworkError, match=r"^learner\['truncate'\] is 2, but .* loops over time"):
        bound(net, truncate=2).feedback(batch_for(net))


class Votes(ByHand):
    """A loop whose outputs are means over neurons, in no module."""

    def forward(self, x: Tensor) -> Tensor:
        mem1, record = self.lif1.init_leaky(), []
        for frame in x:
            spk, mem1 = self.lif1(self.fc1(frame), mem1)
            record.append(spk.view(len(spk), 4, 2).mean(2))
        return torch.stack(record)


def test_outputs_that_no_module_gives_are_refused() -> None:
    net = Votes()
    with pytest.raises(NetworkError, match="The surrogate listens to the module"):
        bound(net).feedback(batch_for(net))


class Values(ByHand):
    """A loop whose output are values of a layer, at each step or behind the loop."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.head, self.how = nn.Linear(3, 3, bias=how != "sum"), how

    def forward(self, x: Tensor) -> Tensor:
        mem1, mem2 = self.begin()
        record = []
        for frame in x:
            spk, mem1, mem2 = self.step(frame, mem1, mem2)
            record.append(self.head(spk) if self.how == "each" else spk)
        whole = torch.stack(record)
        taken: dict[str, Callable[[], Tensor]] = {
            "each": lambda: whole,
            "record": lambda: self.head(whole),
            "mean": lambda: self.head(whole.mean(0)),
            "sum": lambda: self.head(whole.sum(0)),
            "last": lambda: self.head(whole[-1]),
        }
        out: Tensor = taken[self.how]()
        return out


@pytest.mark.parametrize("how", ["record", "mean", "sum", "last"])
def test_a_layer_behind_the_loop_learns_as_one_at_each_step(how: str) -> None:
    """Of the last step alone it is given that step as all of them."""
    net, same = Values(how), Values("each")
    same.load_state_dict(net.state_dict(), strict=False)
    if how == "sum":
        with torch.no_grad():
            same.head.bias.zero_()
    batch = batch_for(net)
    one, other = bound(net), bound(same)
    loss = float(one.feedback(batch).reward)
    if how == "last":
        seen = net(batch.x.dense())  # type: ignore[union-attr]
        expected = nn.functional.cross_entropy(seen, batch.labels).detach()
        assert loss == pytest.approx(float(expected), rel=1e-5)
        assert net.fc1.weight.grad is not None and net.fc1.weight.grad.any()
        return
    assert loss == pytest.approx(float(other.feedback(batch).reward), rel=1e-5)
    for (name, a), b in zip(net.named_parameters(), same.parameters(), strict=False):
        assert a.grad is not None and b.grad is not None
        torch.testing.assert_close(a.grad, b.grad, rtol=1e-4, atol=1e-6, msg=name)


def test_a_mean_of_the_record_does_not_tell_samples_of_several_lengths_apart() -> None:
    net = Values("mean")
    batch = batch_for(net, lengths=torch.tensor([5, 3, 2, 5]))
    with pytest.raises(NetworkError, match="takes the mean of the record.*call it at every step"):
        bound(net).feedback(batch)
