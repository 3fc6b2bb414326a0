"""Two threads with a network each: neither notices that the other traces and checks its own."""

from __future__ import annotations

from collections.abc import Callable
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from snntorch import utils
from torch import Tensor, nn

from lfp_snn import TemporalLFP
from lfp_snn.engine.undisturbed import undisturbed
from tests.engine.compare import leaky, strong, trains


def elsewhere(work: Callable[[], None]) -> None:
    """Do something in another thread, and wait for its end."""
    thread = Thread(target=work)
    thread.start()
    thread.join()


class Busy(nn.Module):
    """A network during whose calls another thread does something."""

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__()
        self.fc, self.lif = nn.Linear(6, 4), leaky()
        self.work = work

    def forward(self, x: Tensor) -> Any:
        elsewhere(self.work)
        return self.lif(self.fc(x))


def test_another_thread_keeps_its_default_type() -> None:
    found: SimpleQueue[torch.dtype] = SimpleQueue()  # a list would be what it was before
    TemporalLFP(strong(Busy(lambda: found.put(torch.zeros(1).dtype)))).forward(trains(3, 2, 6))
    assert not found.empty()
    while not found.empty():
        assert found.get() is torch.float32


def test_what_another_thread_draws_is_not_taken_for_the_own() -> None:
    numpys = iter(range(1))

    def draw() -> None:
        torch.rand(3)
        if next(numpys, None) is not None:
            np.random.rand()  # noqa: NPY002

    TemporalLFP(strong(Busy(draw))).forward(trains(3, 2, 6))


def test_another_thread_keeps_the_states_of_its_neurons() -> None:
    neuron = snn.Leaky(0.9, init_hidden=True)
    steps = 0

    def step() -> None:
        nonlocal steps
        neuron(torch.full((1, 1), 0.01))
        steps += 1

    class Resetting(Busy):
        def forward(self, x: Tensor) -> Any:
            if self.training:  # snntorch resets every neuron there is
                utils.reset(self)
            return super().forward(x)

    net = strong(Resetting(step))
    with pytest.raises(Exception, match="begins at rest in every call"):
        TemporalLFP(net, example=torch.zeros(2, 6))
    TemporalLFP(net.eval()).forward(trains(3, 2, 6))
    expected = 0.0
    for _ in range(steps):
        expected = 0.9 * expected + 0.01
    assert steps > 2
    torch.testing.assert_close(neuron.mem, torch.full((1, 1), expected))


def test_one_thread_at_a_time_is_undisturbed() -> None:
    everyone, inside = snn.SpikingNeuron.instances, Event()

    def other() -> None:
        with undisturbed(nn.Sequential(leaky())):
            inside.set()

    thread = Thread(target=other)
    with undisturbed(nn.Sequential(leaky())):
        thread.start()
        assert not inside.wait(0.05)
    thread.join()
    assert snn.SpikingNeuron.instances is everyone


def test_a_neuron_made_meanwhile_is_known_to_snntorch() -> None:
    made: list[nn.Module] = []
    with undisturbed(nn.Sequential(leaky())):
        elsewhere(lambda: made.append(leaky()))
    assert snn.SpikingNeuron.instances[-1] is made[0]
