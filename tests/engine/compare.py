"""The engine held against the oracle and against stepped snntorch modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn import Spikes, TemporalLFP
from lfp_snn.backends.support import unavailable
from lfp_snn.rules import Epsilon, Rule
from tests import oracle
from tests.oracle_modules import add_module

#: Every one of them is held against the oracle.
BACKENDS = ("torch", "events")
if unavailable("triton", torch.device("cpu")) is None:
    BACKENDS += ("triton",)  # type: ignore[assignment]
#: Adds the stages of a network to an oracle, for networks that are no sequence of modules.
Wiring = Callable[[oracle.Network], None]
Case = tuple[nn.Module, tuple[int, ...]]


def leaky(**options: Any) -> snn.Leaky:
    """Neurons that keep their own state; beta 0.8 unless told."""
    return snn.Leaky(**({"beta": 0.8, "init_hidden": True} | options))


def strong(net: nn.Module, seed: int = 0, scale: float = 0.6) -> Any:
    """Give synapses random weights at which the neurons of these small networks fire; float64."""
    draw = torch.Generator().manual_seed(seed)
    for module in net.modules():
        if isinstance(module, nn.Linear | nn.Conv1d | nn.Conv2d):
            for parameter in module.parameters():
                parameter.data = scale * torch.randn(parameter.shape, generator=draw) + 0.1
        elif isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            for tensor in (*module.parameters(), module.running_mean, module.running_var):
                if tensor is not None:
                    tensor.data = 0.5 + torch.rand(tensor.shape, generator=draw)
    return net.double()


def mlp(*, bias: bool = True) -> Any:
    """6 inputs, 5 hidden and 3 output neurons; float64."""
    layers = [nn.Linear(6, 5, bias=bias), leaky(), nn.Linear(5, 3, bias=bias), leaky(threshold=0.5)]
    return strong(nn.Sequential(*layers))


def csnn(*, bias: bool = True) -> Any:
    """Images of 1 x 3 x 3, a convolution, a pool and 3 output neurons; float64."""
    layers = [nn.Conv2d(1, 2, 2, bias=bias), leaky(threshold=0.5), nn.MaxPool2d(2), nn.Flatten()]
    return strong(nn.Sequential(*layers, nn.Linear(2, 3, bias=bias), leaky(threshold=0.4)))


def trains(steps: int, batch: int, *shape: int, seed: int = 0, density: float = 0.4) -> Tensor:
    """Random binary spike trains ``[T, B, *shape]`` in float64."""
    draw = torch.Generator().manual_seed(seed)
    return (torch.rand(steps, batch, *shape, generator=draw) < density).double()


def currents(*shape: int, seed: int = 0) -> Tensor:
    """Random values of both signs, some of them zero, in float64."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(*shape, generator=draw, dtype=torch.float64)
    return torch.where(x.abs() < 0.3, 0, x)


def signals(like: Tensor, seed: int = 1) -> Tensor:
    """A random reward of both signs."""
    draw = torch.Generator().manual_seed(seed)
    return torch.randn(like.shape, generator=draw, dtype=torch.float64).to(like.dtype)


def assert_near(ours: Tensor, expected: Tensor, tolerance: float = 1e-10) -> None:
    """Equal to a share of the largest entry."""
    assert ours.shape == expected.shape
    scale = max(1.0, float(expected.abs().max()))
    torch.testing.assert_close(ours, expected, rtol=0, atol=tolerance * scale)


def feedback_at(parameter: nn.Parameter) -> Tensor:
    """The feedback of one parameter."""
    feedback: Tensor = parameter.feedback  # type: ignore[attr-defined]
    return feedback


def feedback_of(net: nn.Module) -> dict[str, Tensor]:
    """The feedback of every parameter that has one."""
    return {
        name: feedback_at(parameter).clone()
        for name, parameter in net.named_parameters()
        if hasattr(parameter, "feedback")
    }


def run(lfp: TemporalLFP, x: Tensor | Spikes, **options: Any) -> tuple[Tensor, dict[str, Tensor]]:
    """Forward and backward with a fixed reward: spikes and feedback."""
    spikes = lfp.forward(x, **options)
    lfp.backward(signals(spikes))
    return spikes, feedback_of(lfp.net)


def assert_same_feedback(a: dict[str, Tensor], b: dict[str, Tensor], factor: float = 1) -> None:
    """Equal in every parameter, and not zero in all."""
    assert a.keys() == b.keys()
    assert any(bool(value.any()) for value in a.values())
    for name in a:
        assert_near(a[name], factor * b[name])


def assert_equal_to_oracle(
    net: nn.Module,
    x: Tensor,
    wire: Wiring | None = None,
    *,
    steps: int | None = None,
    lengths: Sequence[int] | None = None,
    state: Mapping[str, Tensor] | None = None,
    mask: Callable[[], Tensor] | None = None,
    eps: float = 1e-6,
    silent: Sequence[str] = (),
    rule: Rule | None = None,
) -> None:
    """Hold spikes, membranes, every feedback and the input's relevance against the oracle.

    Args:
        net: a float64 network.
        x: ``[T, B, ...]``, or ``[B, ...]`` with ``steps``.
        wire: adds the stages to the oracle; by default the modules of ``net`` one after another.
        steps: T of a constant input.
        lengths: steps of each sample.
        state: membranes before the first step.
        mask: draws the mask of the network's dropout, as torch does after the same seed.
        eps: of the rule.
        rule: whose products the oracle was wired for; Epsilon with that eps.
        silent: parameters whose feedback must be zero; that of all others must not.
    """
    whole = x if steps is None else x.expand(steps, *x.shape)
    slow = oracle.Network(net, tuple(whole.shape[2:]), eps)
    if wire is None:
        torch.manual_seed(5)
        drawn = None if mask is None else mask().numpy()
        add_module(slow, slow.input, net, "", drawn)
    else:
        wire(slow)
    start = {name: w.numpy() for name, w in (state or {}).items()}
    # In training both update the running statistics; the oracle reads none of them then.
    expected = torch.from_numpy(slow.run(whole.numpy(), lengths, start))
    assert expected.any(), "the output is silent: this comparison shows nothing"
    reward = signals(expected)
    slow.send_back(reward.numpy())
    for backend in BACKENDS:
        lfp = TemporalLFP(net, rule=rule or Epsilon(eps), backend=backend)
        torch.manual_seed(5)
        own_lengths = None if lengths is None else torch.tensor(lengths)
        spikes = lfp.forward(x, steps=steps, lengths=own_lengths, state=state)
        assert torch.equal(spikes, expected)
        assert_neurons_equal(lfp, slow)
        relevance = lfp.backward(reward, input_relevance=True)
        assert relevance is not None
        of_input = torch.from_numpy(slow.input.relevance)
        assert of_input.any()
        assert_near(relevance, of_input if steps is None else of_input.sum(0))
        assert_feedback_equal(net, slow, silent)


def assert_neurons_equal(lfp: TemporalLFP, slow: oracle.Network) -> None:
    """Spikes and membranes of every population."""
    populations = [node for node in slow.nodes if isinstance(node, oracle.Leaky)]
    spikes, state = lfp.layer_spikes(), lfp.state
    for node in populations:
        assert torch.equal(spikes[node.name].flatten(2), torch.from_numpy(node.value)), node.name
        assert_near(state[node.name].flatten(1), torch.from_numpy(node.membrane[-1]))
    assert_near(lfp.membranes.flatten(2), torch.from_numpy(populations[-1].membrane))


def assert_feedback_equal(net: nn.Module, slow: oracle.Network, silent: Sequence[str]) -> None:
    """Feedback of every parameter, zero for those that are named and for no other."""
    for name, parameter in net.named_parameters():
        theirs = torch.from_numpy(slow.feedback[name]).view_as(parameter)
        assert bool(theirs.any()) != (name in silent), name
        assert_near(feedback_at(parameter), theirs)
        assert parameter.grad is not None
        assert torch.equal(parameter.grad, -feedback_at(parameter))


class Stepped(NamedTuple):
    """What a module gives when it is run step by step."""

    spikes: Tensor
    membranes: Tensor


def step_by_step(net: nn.Module, x: Tensor) -> Stepped:
    """Run a snntorch module whose last neuron has ``output=True`` one step at a time, from rest.

    Only the neurons of this network are put to rest.
    """
    for module in net.modules():
        if isinstance(module, snn.Leaky):
            module.mem = torch.zeros(0, device=x.device)
    with torch.no_grad():
        pairs = [net(frame) for frame in x]
    return Stepped(*(torch.stack(series) for series in zip(*pairs, strict=True)))
