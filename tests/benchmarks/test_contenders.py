"""Every contender makes the same kind of step, on the same network."""

from __future__ import annotations

from typing import Any

import pytest
import snntorch as snn
import torch

from benchmarks.steps import peers
from benchmarks.steps.contenders import Contender, Ours, OursByDefault, OursOnTorch
from benchmarks.steps.peers import LfProp, SnnTorch, SpikingJelly
from benchmarks.steps.problem import Network, Problem, synthetic

EVERYONE = (Ours, OursByDefault, OursOnTorch, SnnTorch, SpikingJelly, LfProp)
NETWORKS = {"mlp": Network("mlp", {"hidden": [12]}, 3), "csnn": Network("csnn", {}, 2)}


@pytest.fixture(scope="module", params=NETWORKS)
def problem(request: pytest.FixtureRequest) -> Problem:
    network = NETWORKS[request.param]
    return synthetic(network, batch=network.batch, steps=5, density=0.1, firing=0.1)


def ready(kind: type[Contender], problem: Problem) -> Any:
    contender = kind()
    reason = contender.available()
    if reason is not None:
        pytest.skip(f"{kind.name} {reason}")
    contender.prepare(problem)
    return contender


def gradients(contender: Any) -> list[Any]:
    net = contender.lfp.net if isinstance(contender, Ours) else contender.net
    return [parameter.grad for parameter in net.parameters()]


@pytest.mark.parametrize("kind", EVERYONE)
def test_a_step_reaches_every_parameter(kind: type[Contender], problem: Problem) -> None:
    contender = ready(kind, problem)
    contender.step()
    assert all(bool(grad.any()) for grad in gradients(contender))


@pytest.mark.parametrize("kind", EVERYONE)
def test_steps_leave_the_firing_rates_alone(kind: type[Contender], problem: Problem) -> None:
    contender = ready(kind, problem)
    before = contender.firing()
    for _ in range(3):
        contender.step()
    assert contender.firing() == pytest.approx(before, abs=1e-3)


@pytest.mark.parametrize("kind", [OursByDefault, OursOnTorch, SnnTorch, LfProp])
def test_networks_of_snntorch_neurons_fire_as_ours(kind: type[Contender], problem: Problem) -> None:
    expected = ready(Ours, problem).firing()
    assert ready(kind, problem).firing() == pytest.approx(expected, rel=1e-4)


def test_spikingjelly_fires_much_as_ours(problem: Problem) -> None:
    expected = ready(Ours, problem).firing()
    assert ready(SpikingJelly, problem).firing() == pytest.approx(expected, rel=0.5)


def test_lfprop_computes_the_feedback_that_ours_does(problem: Problem) -> None:
    theirs, ours = ready(LfProp, problem), ready(OursOnTorch, problem)
    for contender in (theirs, ours):
        contender.step()
    for grad, expected in zip(gradients(theirs), gradients(ours), strict=True):
        torch.testing.assert_close(grad, expected, rtol=1e-3, atol=1e-3 * float(expected.std()))


def test_a_peer_that_does_not_import_tells_why() -> None:
    assert peers.missing("snntorch") is None
    reason = peers.missing("no_such_toolkit.layer")
    assert reason is not None and "no_such_toolkit" in reason


def test_only_its_own_neurons_are_put_to_rest(problem: Problem) -> None:
    bystander = snn.Leaky(beta=0.5, init_hidden=True)
    bystander(torch.ones(1, 1))
    contender = ready(SnnTorch, problem)
    contender.step()
    assert float(bystander.mem) == 1
