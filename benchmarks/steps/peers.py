"""Contenders from other toolkits, each used as its own documentation does.

No such toolkit is a dependency: one that does not import is left out, and the reason is told.
"""

from __future__ import annotations

import importlib
import warnings
from abc import abstractmethod
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import snntorch as snn
import torch
from snntorch import functional as snn_functional
from torch import Tensor, nn
from typing_extensions import override

from benchmarks.steps.contenders import CPU, LEARNING_RATE, Contender
from benchmarks.steps.problem import RULE, Problem
from lfp_snn import make_graphed
from lfp_snn.learners.unrolled import rest

__all__ = ["LfProp", "SnnTorch", "SpikingJelly", "missing"]


class _Surrogate(Contender):
    """Backpropagation through time with a surrogate gradient, on a dense input, and Adam."""

    @override
    def prepare(self, problem: Problem, device: torch.device = CPU) -> None:
        """Take the dense input."""
        self.x, self.labels = problem.x.to(device).dense(), problem.labels.to(device)
        self.given = self.x.nbytes + self.labels.nbytes
        self.net = self.build(problem).to(device).train()
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=LEARNING_RATE, fused=True)
        if self.way == "graph":
            self.graphed = make_graphed(self._learn, self.optimizer)

    @override
    def step(self) -> None:
        """Backpropagation through time."""
        (self.graphed or self._learn)(self.x, self.labels)

    def _learn(self, x: Tensor, labels: Tensor) -> None:
        self.optimizer.zero_grad()
        cast = torch.autocast(x.device.type, torch.bfloat16) if self.way == "amp" else nullcontext()
        with cast:
            loss = self.loss(x, labels)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()

    @override
    def firing(self) -> tuple[float, ...]:
        """The mean spikes of a forward pass."""
        return _firing(self.net, self.neurons(), lambda: self.forward(self.x))

    @abstractmethod
    def build(self, problem: Problem) -> nn.Module:
        """The network in its own form."""

    @abstractmethod
    def neurons(self) -> type:
        """The class of its neurons."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """The output spikes ``[T, B, C]``, from rest."""

    @abstractmethod
    def loss(self, x: Tensor, labels: Tensor) -> Tensor:
        """The loss of a forward pass."""


class SnnTorch(_Surrogate):
    """snntorch: the network stepped over T, arctan surrogate, cross-entropy of the spike counts.

    The step is that of snntorch's tutorials, but only the states of this network are reset, where
    ``snntorch.utils.reset`` walks through every neuron in the process.
    """

    name = "snntorch, BPTT"

    @override
    def build(self, problem: Problem) -> nn.Module:
        return problem.build()  # Leaky's surrogate is the arctan unless told otherwise

    @override
    def neurons(self) -> type:
        kind: type = snn.Leaky
        return kind

    @override
    def forward(self, x: Tensor) -> Tensor:
        rest(self.net)
        return torch.stack([self.net(frame)[0] for frame in x])

    @override
    def loss(self, x: Tensor, labels: Tensor) -> Tensor:
        loss: Tensor = snn_functional.ce_count_loss()(self.forward(x), labels)
        return loss


class SpikingJelly(_Surrogate):
    """SpikingJelly in multi-step mode: each layer takes all of T at once.

    Its neuron has the same decay, threshold and reset by subtraction, and leaves the reset out of
    the gradient as snntorch's does; the reset acts at once and then decays, where snntorch's acts
    a step later. The loss is the cross-entropy of the spike counts.
    """

    name = "SpikingJelly, BPTT"

    @override
    def available(self) -> str | None:
        """Whether the parts used here import."""
        return missing("spikingjelly.activation_based.layer")

    @override
    def build(self, problem: Problem) -> nn.Module:
        return _translated(problem.build())

    @override
    def neurons(self) -> type:
        return _lif_node()

    @override
    def forward(self, x: Tensor) -> Tensor:
        _load("spikingjelly.activation_based.functional").reset_net(self.net)
        spikes: Tensor = self.net(x)
        return spikes

    @override
    def loss(self, x: Tensor, labels: Tensor) -> Tensor:
        return nn.functional.cross_entropy(self.forward(x).sum(0), labels)


class LfProp(Contender):
    """lfprop, the published code of LFP: epsilon rule through autograd, rate-coded reward.

    The step of its README, with the network stepped over T and the reward shared out over the
    steps. The noise that its own models add to every input is left out.
    """

    name = "lfprop"

    def available(self) -> str | None:
        """Whether its spiking part imports, which takes lxt, zennit, transformers, torchvision."""
        return missing("lfprop.propagation.propagator_snn") or missing(
            "lfprop.rewards.reward_functions"
        )

    def prepare(self, problem: Problem, device: torch.device = CPU) -> None:
        """Wrap each synapse and its neurons in a layer of its kind, and take the dense input."""
        propagator = _load("lfprop.propagation.propagator_snn")
        rewards = _load("lfprop.rewards.reward_functions")
        self.x, self.labels = problem.x.to(device).dense(), problem.labels.to(device)
        self.given = self.x.nbytes + self.labels.nbytes
        self.net = nn.Sequential(*_spiking_layers(problem.build())).to(device)
        self.composite = propagator.LFPSNNEpsilonComposite(epsilon=RULE.eps)
        self.reward = rewards.SnnCorrectClassRewardSpikesRateCoded(str(device))
        self.optimizer = torch.optim.Adam(self.net.parameters(), lr=LEARNING_RATE, fused=True)

    def step(self) -> None:
        """Relevance through autograd, then Adam."""
        self.optimizer.zero_grad()
        with _quiet(), self.composite.context(self.net) as modified:
            x = self.x.detach().requires_grad_(True)
            spikes = self._forward(modified, x)
            reward = self.reward(spikes, self.labels).detach() / len(x)
            torch.autograd.grad((spikes,), (x,), grad_outputs=(reward,))
            for parameter in self.net.parameters():
                feedback: Tensor = parameter.feedback  # type: ignore[attr-defined]
                parameter.grad = -feedback
            self.optimizer.step()

    def firing(self) -> tuple[float, ...]:
        """The mean spikes over T of a forward pass."""
        return _firing(self.net, snn.Leaky, lambda: self._forward(self.net, self.x))

    def _forward(self, net: nn.Module, x: Tensor) -> Tensor:
        rest(self.net)
        return torch.stack([net(frame)[0] for frame in x])


def _translated(net: nn.Sequential) -> nn.Sequential:
    """A network in SpikingJelly's own form, in multi-step mode, with the same weights."""
    own = nn.Sequential(*map(_translate, net))
    _load("spikingjelly.activation_based.functional").set_step_mode(own, "m")
    return own


def _translate(module: nn.Module) -> nn.Module:
    """The stage of SpikingJelly for a stage of the network."""
    layer: Any = _load("spikingjelly.activation_based.layer")
    new: nn.Module
    if isinstance(module, snn.Leaky):
        surrogate: Any = _load("spikingjelly.activation_based.surrogate")
        new = _lif_node()(
            tau=1 / (1 - float(module.beta)),  # the membrane keeps 1 - 1/tau
            decay_input=False,
            v_threshold=float(module.threshold),
            v_reset=None,  # subtract the threshold
            surrogate_function=surrogate.ATan(),
            detach_reset=True,
        )
        return new
    if isinstance(module, nn.Linear):
        new = layer.Linear(module.in_features, module.out_features)
    elif isinstance(module, nn.Conv2d):
        new = layer.Conv2d(
            module.in_channels,
            module.out_channels,
            module.kernel_size,
            padding=module.padding,
            bias=module.bias is not None,
        )
    elif isinstance(module, nn.BatchNorm2d):
        new = layer.BatchNorm2d(module.num_features)
    elif isinstance(module, nn.MaxPool2d):
        new = layer.MaxPool2d(module.kernel_size)
    elif isinstance(module, nn.Flatten):
        new = layer.Flatten()
    else:
        raise TypeError(f"no translation for {module}")
    new.load_state_dict(module.state_dict())
    return new


def _lif_node() -> type:
    """SpikingJelly's leaky neuron."""
    kind: type = _load("spikingjelly.activation_based.neuron").LIFNode
    return kind


def _load(module: str) -> Any:
    """Import a part of a peer."""
    with _quiet():
        return importlib.import_module(module)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the warnings that a peer gives of itself quiet, in a ``with`` block."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def missing(module: str) -> str | None:
    """The reason why a module does not import, in a line; None if it does."""
    try:
        _load(module)
    except Exception as error:  # torchvision beside another torch raises a RuntimeError
        return f"does not import: {str(error).partition(chr(10))[0]}"
    return None


def _spiking_layers(net: nn.Sequential) -> Iterator[nn.Module]:
    """The layers with synapse and neurons as one, and everything else unchanged."""
    spiking_layer = _load("lfprop.model.spiking_networks").SpikingLayer
    synapse: nn.Module | None = None
    for module in net:
        if isinstance(module, nn.Linear | nn.Conv2d):
            synapse = module
        elif synapse is not None:
            yield spiking_layer(synapse, module)
            synapse = None
        else:
            yield module


def _firing(net: nn.Module, kind: type, forward: Callable[[], object]) -> tuple[float, ...]:
    """The mean spikes of every neuron module in a forward pass."""
    seen: dict[nn.Module, list[float]] = {m: [] for m in net.modules() if isinstance(m, kind)}

    def note(module: nn.Module, _: object, output: Any) -> None:
        spikes = output[0] if isinstance(output, tuple) else output
        seen[module].append(float(spikes.mean()))

    handles = [module.register_forward_hook(note) for module in seen]
    try:
        with torch.no_grad():
            forward()
    finally:
        for handle in handles:
            handle.remove()
    return tuple(sum(rates) / len(rates) for rates in seen.values())
