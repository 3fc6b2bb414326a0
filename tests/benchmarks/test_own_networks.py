"""The networks of users that are measured: they run as they do by themselves, on each backend."""

from __future__ import annotations

import copy
import inspect
from typing import Any

import pytest
import snntorch as snn
import torch
from torch import Tensor, nn

from benchmarks._nets.case import STEPS, UserNetwork
from benchmarks._nets.examples import EXAMPLES
from benchmarks._nets.loops import LOOPS
from benchmarks._nets.operations import OPERATIONS
from benchmarks.own_networks import parts, train
from lfp_snn import TemporalLFP
from lfp_snn.learners.unrolled import stepped_at_once
from tests.engine.compare import assert_near, assert_same_feedback, run
from tests.engine.test_sequences import exact

CASES = {case.name: case for case in (*EXAMPLES, *LOOPS, *OPERATIONS)}
BATCH = 2


def network(case: UserNetwork) -> nn.Module:
    """The network of a case in float64, with weights at which its outputs fire."""
    for scale in (2, 3, 4, 6, 8):
        torch.manual_seed(0)
        net: nn.Module = exact(case.make().double()).eval()
        with torch.no_grad():
            for name, parameter in net.named_parameters():
                if parameter.dim() > 1 and not name.endswith("original0"):
                    parameter.mul_(scale)
        steps = None if case.loops else case.steps
        if TemporalLFP(net, check=False).forward(given(case), steps=steps, record=False).any():
            break
    return net


def given(case: UserNetwork) -> Tensor:
    """An input in the form that forward takes."""
    draw = torch.Generator().manual_seed(1)
    shape = {"row": (BATCH, 64), "map": (BATCH, 1, 8, 8), "spikes": (STEPS, BATCH, 64)}
    x = torch.rand(shape[case.takes], generator=draw).double()
    x = (x < 0.4).double() if case.takes == "spikes" else x
    return x.transpose(0, 1).contiguous() if case.batch_first else x


def stepped(case: UserNetwork, net: Any, x: Tensor) -> Tensor:
    """What the module gives by itself: of a loop what it returns, else its spikes at each step."""
    with torch.no_grad():
        if case.loops:
            return case.returned(net(x))
        takes_state = "state" in inspect.signature(net.forward).parameters
        found, state = [], None
        for step in range(STEPS):
            frame = x[step] if case.takes == "spikes" else x
            out = net(frame, state) if takes_state else net(frame)
            state = out[1] if takes_state else None
            found.append(case.returned(out))
        return torch.stack(found)


def test_there_are_enough() -> None:
    assert len(EXAMPLES) >= 14 and len(LOOPS) + len(OPERATIONS) >= 30
    assert len(CASES) == len(EXAMPLES) + len(LOOPS) + len(OPERATIONS)


@pytest.mark.parametrize("name", CASES)
def test_each_runs_as_by_itself_on_both_backends(name: str) -> None:
    case = CASES[name]
    net, x = network(case), given(case)
    alone = network(case)
    expected = stepped(case, alone, x)
    feedback: dict[str, Tensor] | None = None
    for backend in ("torch", "events"):
        lfp = TemporalLFP(net, backend=backend)
        spikes, found = run(lfp, x, steps=None if case.loops else case.steps)
        assert spikes.any()
        given_back = case.record(lfp.membranes if lfp.is_readout else spikes)
        if lfp.emits == "spikes":
            assert torch.equal(given_back, expected)
        else:
            assert_near(given_back, expected, 1e-10)
        if feedback is not None:
            assert_same_feedback(found, feedback)
        feedback = found
    assert feedback is not None and sum(bool(each.any()) for each in feedback.values()) > 1


@pytest.mark.parametrize("name", [name for name, case in CASES.items() if case.loops])
def test_a_loop_is_one_step_too(name: str) -> None:
    """What calls a network at every step gets a copy whose forward is one."""
    case = CASES[name]
    net, x = network(case), given(case)
    lfp = TemporalLFP(net)
    expected = lfp.forward(x)
    expected = lfp.membranes if lfp.is_readout else expected
    sequence = x.transpose(0, 1) if case.batch_first else x
    constant = case.takes != "spikes"
    one = stepped_at_once(net, (x if constant else sequence[0]).shape[1:])
    assert one is not net
    found = []
    with torch.no_grad():
        for step in range(len(expected)):
            out = one(sequence if constant else sequence[step])
            found.append(out[0] if isinstance(out, tuple) else out)
    assert_near(torch.stack(found), expected, 1e-12)
    assert not any(m.init_hidden for m in net.modules() if isinstance(m, snn.SpikingNeuron))
    steps = len(expected) if constant else None
    again = TemporalLFP(copy.deepcopy(one)).forward(sequence, steps=steps)
    assert_near(again, expected, 1e-12)


@pytest.mark.parametrize("learner", ["lfp", "surrogate"])
def test_digits_are_learnt(learner: str) -> None:
    case = CASES["samples first, `unbind(1)`"]
    assert [len(labels) for _, labels in parts(case)] == [1197, 300, 300]
    assert train(case, learner, 1e-2, 0)[1] > 85
