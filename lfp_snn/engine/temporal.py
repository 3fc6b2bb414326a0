"""``TemporalLFP``: a network of spiking neurons, run over time and trained by feedback."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lfp_snn.engine.graph import Program, build_program
from lfp_snn.engine.stage import Feedback, Pass
from lfp_snn.engine.table import program_table
from lfp_snn.errors import NetworkError, ShapeError
from lfp_snn.rules import Epsilon, Rule
from lfp_snn.spikes import Spikes

__all__ = ["Layer", "TemporalLFP"]


@dataclass(frozen=True)
class Layer:
    """A population of neurons and the synapses that feed it.

    Args:
        name: path of the neuron in the network.
        neuron: the neuron module.
        synapses: ``(path, module)`` of each weighted layer whose current reaches it.
    """

    name: str
    neuron: nn.Module
    synapses: tuple[tuple[str, nn.Module], ...]


class TemporalLFP:
    """Layer-wise feedback propagation through time, for a network of snntorch neurons.

    The network is any module whose ``forward`` is one time step, with ``snn.Leaky`` neurons that
    keep their own state (``init_hidden=True``). It is traced once and then run for all T steps,
    layer by layer; the module itself stays usable step by step, and no state of its neurons is
    read or written. Autograd is never used.

    Args:
        net: the network. Its parameters are read anew at every call.
        rule: how credit is formed at the neurons.
        backend: ``"torch"``, the reference, or ``"auto"``.

    Raises:
        NetworkError: the network cannot be traced, or a stage of it has no rule.

    Example::

        lfp = TemporalLFP(net, rule=Epsilon())
        spikes = lfp.forward(x)                     # [T, B, C]
        reward = RateCoded()(spikes, labels)        # [T, B, C]
        lfp.backward(reward)                        # fills .feedback and .grad
        optimizer.step()

    Source: Weber et al., TMLR 2025 (arXiv 2308.12053).
    """

    def __init__(self, net: nn.Module, rule: Rule | None = None, backend: str = "auto") -> None:
        if backend not in ("auto", "torch"):
            raise NetworkError(f"There is no backend '{backend}'; expected 'auto' or 'torch'.")
        self.net = net
        self.rule: Rule = rule if rule is not None else Epsilon()
        self.backend = "torch"
        self._program: Program = build_program(net)
        self._pass: Pass | None = None
        self._input: Tensor | Spikes | None = None

    # ------------------------------------------------------------------ what it is

    @property
    def device(self) -> torch.device:
        """Where the network lies."""
        return self._reference().device

    @property
    def dtype(self) -> torch.dtype:
        """Floating type in which the network computes."""
        return self._reference().dtype

    def _reference(self) -> Tensor:
        parameters = [p for p in self.net.parameters() if p.dim()]
        buffers = [b for b in self.net.buffers() if b.is_floating_point()]
        return (parameters or buffers or [torch.empty(0)])[0]

    def parameters(self) -> Iterator[nn.Parameter]:
        """The parameters of the network."""
        return self.net.parameters()

    def to(self, device: torch.device | str) -> TemporalLFP:
        """Move the network to a device; returns itself."""
        self.net.to(device)
        return self

    def train(self, mode: bool = True) -> TemporalLFP:
        """Set training mode (dropout, batch statistics); returns itself."""
        self.net.train(mode)
        return self

    def eval(self) -> TemporalLFP:
        """Set evaluation mode; returns itself."""
        return self.train(False)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Populations of neurons with the synapses that feed them, in the order they run."""
        return tuple(
            Layer(
                neuron.name,
                neuron.module,
                tuple((s.name, s.module) for s in self._program.feeding(neuron)),
            )
            for neuron in self._program.neurons()
        )

    # ------------------------------------------------------------------ forwards

    def forward(
        self,
        x: Tensor | Spikes,
        steps: int | None = None,
        lengths: Tensor | None = None,
        state: Mapping[str, Tensor] | None = None,
        record: bool = True,
    ) -> Tensor:
        """Run the network over T steps, from rest unless a state is given.

        Args:
            x: spike trains or currents ``[T, B, ...]``, dense or :class:`~lfp_snn.Spikes`; or,
                with ``steps``, an input ``[B, ...]`` that is constant over time.
            steps: T of a constant input.
            lengths: int ``[B]``, steps of each sample, 1 to T: from its end on a sample takes no
                current (bias included) and emits no spike.
            state: :attr:`state` of an earlier call, to continue a stream.
            record: keep what one :meth:`backward` needs.

        Returns:
            Output spikes ``[T, B, C]``, in the floating type of the network.

        Raises:
            ShapeError: the input does not fit the network, lies on another device, or is not
                finite (checked on the CPU).
        """
        with torch.no_grad():
            value = self._prepare(x, steps)
            run = Pass(
                steps=value.shape[0] if steps is None else steps,
                batch=value.shape[1],
                lengths=self._prepare_lengths(lengths, value, steps),
                state=self._prepare_state(state),
                record=record,
            )
            self._pass = None  # what an earlier pass kept is freed before this one needs memory
            spikes = self._run(run, value)
        self._pass, self._input = run, x
        return spikes

    def _run(self, run: Pass, value: Tensor) -> Tensor:
        values: list[Tensor | None] = [value]
        run.value_shapes.append(value.shape)
        for k, node in enumerate(self._program.nodes):
            inputs = [v for v in (values[i] for i in node.inputs) if v is not None]
            value = node.stage.forward(run, *inputs)
            values.append(value)
            run.value_shapes.append(value.shape)
            for i in self._program.last_used(k):
                values[i] = None
        return value

    def _prepare(self, x: Tensor | Spikes, steps: int | None) -> Tensor:
        """The input as a dense value ``[T, B, ...]``, or ``[1, B, ...]`` if it is constant."""
        if steps is not None and steps < 1:
            raise ShapeError(f"steps is {steps}; expected at least one time step.")
        if x.device != self.device:
            raise ShapeError(
                f"The input lies on {x.device} and the network on {self.device}: "
                f"move one of them, for instance with x.to('{self.device}')."
            )
        if isinstance(x, Spikes):
            if steps not in (None, x.steps):
                raise ShapeError(
                    f"steps is {steps}, but the spikes have T={x.steps}: leave steps out, it is "
                    "for inputs that are constant over time."
                )
            x.validate()
            value = x.dense(self.dtype)
        elif steps is None:
            value = x.to(self.dtype)
        else:
            value = x.to(self.dtype)[None]
        if value.dim() < 3 or 0 in value.shape:
            expected = "[T, B, ...]" if steps is None else "[B, ...]"
            raise ShapeError(
                f"The input has the shape {tuple(x.shape)}; expected {expected} with at least one "
                "time step, one sample and one unit."
            )
        if value.device.type == "cpu" and not bool(torch.isfinite(value).all()):
            raise ShapeError(
                "The input holds NaN or infinite values: clean the data before it goes into the "
                "network."
            )
        return value

    def _prepare_lengths(
        self, lengths: Tensor | None, value: Tensor, steps: int | None
    ) -> Tensor | None:
        if lengths is None:
            return None
        steps, batch = steps or value.shape[0], value.shape[1]
        lengths = torch.as_tensor(lengths, device=value.device)
        if lengths.shape != (batch,) or lengths.is_floating_point():
            raise ShapeError(
                f"lengths have the shape {tuple(lengths.shape)} and type {lengths.dtype}; "
                f"expected {batch} integers, one per sample."
            )
        if value.device.type == "cpu" and not bool(((lengths >= 1) & (lengths <= steps)).all()):
            raise ShapeError(
                f"lengths run from {int(lengths.min())} to {int(lengths.max())}; "
                f"expected 1 to T={steps}."
            )
        return lengths

    def _prepare_state(self, state: Mapping[str, Tensor] | None) -> dict[str, Tensor]:
        names = [neuron.name for neuron in self._program.neurons()]
        unknown = sorted(set(state or {}) - set(names))
        if unknown:
            raise ShapeError(
                f"The state holds '{unknown[0]}', which is no neuron of the network; expected "
                f"{', '.join(names)}, as in lfp.state."
            )
        return dict(state or {})

    # ------------------------------------------------------------------ what it saw

    def _last(self) -> Pass:
        if self._pass is None:
            raise NetworkError("Nothing has been run yet: call forward first.")
        return self._pass

    @property
    def state(self) -> dict[str, Tensor]:
        """Membranes ``[B, ...]`` after the last forward pass, by neuron, to continue a stream."""
        return dict(self._last().final_state)

    @property
    def membranes(self) -> Tensor:
        """Membranes of the output neuron in the last forward pass, ``[T, B, C]``."""
        membranes = self._last().membranes
        assert membranes is not None
        return membranes

    @property
    def firing_rates(self) -> dict[str, float]:
        """Mean spikes per neuron and step of each population in the last forward pass."""
        return self._last().firing_rates()

    def layer_spikes(self) -> dict[str, Tensor]:
        """Spikes ``[T, B, ...]`` of every population in the last recorded forward pass.

        Raises:
            NetworkError: nothing is kept: the pass was not recorded, or a backward consumed it.
        """
        run = self._recorded()
        return {neuron.name: neuron.spikes(run) for neuron in self._program.neurons()}

    # ------------------------------------------------------------------ backwards

    def backward(
        self,
        reward: Tensor,
        *,
        input_relevance: bool = False,
        accumulate: bool = False,
        retain: bool = False,
        rule: Rule | None = None,
    ) -> Tensor | None:
        """Send a reward back through layers and time, and fill the feedback of the parameters.

        Every parameter that takes feedback (``requires_grad``) gets ``p.feedback``, summed over
        the batch, and ``p.grad = -p.feedback``, so that any torch optimizer follows it.

        Args:
            reward: ``[T, B, C]``, the relevance that enters at the output neurons.
            input_relevance: also return the relevance of the input.
            accumulate: add to feedback and gradients that are there instead of replacing them.
            retain: keep what the forward pass recorded, for another backward pass.
            rule: a rule for this pass alone.

        Returns:
            None, or the relevance of the input: ``[T, B, ...]`` as a dense input, ``[nnz]`` (one
            value per entry) for :class:`~lfp_snn.Spikes`, ``[B, ...]`` (summed over T) for an
            input that is constant.

        Raises:
            NetworkError: no forward pass was recorded, or its record was already consumed.
            ShapeError: the reward has another shape than the output.
        """
        run = self._recorded()
        with torch.no_grad():
            reward = self._prepare_reward(run, reward)
            feedback = Feedback()
            credit = self._credit(run, reward, feedback, rule or self.rule, input_relevance)
            relevance = None if credit is None else self._relevance(credit)
        for parameter, total in feedback.collect().items():
            _assign(parameter, total, accumulate)
        if not retain:
            run.kept.clear()
            run.record = False
            self._input = None
        return relevance

    def _recorded(self) -> Pass:
        if self._pass is None or not self._pass.record:
            raise NetworkError(
                "There is no recorded forward pass: call forward (with record=True) before each "
                "backward; one backward consumes the record unless it is called with retain=True."
            )
        return self._pass

    def _prepare_reward(self, run: Pass, reward: Tensor) -> Tensor:
        expected = run.value_shapes[-1]
        if reward.shape != expected:
            raise ShapeError(
                f"The reward has the shape {tuple(reward.shape)}; the output spikes have "
                f"{tuple(expected)}, and each of them needs one value."
            )
        reward = reward.to(self.device, self.dtype)
        alive = run.running(reward.dim())
        return reward if alive is None else reward * alive

    def _credit(
        self, run: Pass, reward: Tensor, feedback: Feedback, rule: Rule, of_input: bool
    ) -> Tensor | None:
        """Run the stages backwards; returns the credit of the input if it is wanted."""
        wanted = self._wanted(of_input)
        credits: list[Tensor | None] = [None] * len(run.value_shapes)
        for k, node in reversed(list(enumerate(self._program.nodes))):
            asked = [wanted[i] for i in node.inputs]
            if k == len(self._program.nodes) - 1:
                found = self._program.output.credit_relevance(run, reward, feedback, rule)
            else:
                credit = credits[k + 1]
                credits[k + 1] = None
                if credit is None:
                    continue
                found = node.stage.backward(run, credit, feedback, rule, asked)
            for i, want, c in zip(node.inputs, asked, found, strict=True):
                if want and c is not None:
                    # Whatever axis the value was broadcast over, its credit is the sum.
                    c = c.sum_to_size(run.value_shapes[i])
                    known = credits[i]
                    credits[i] = c if known is None else known + c
        return credits[0]

    def _wanted(self, of_input: bool) -> list[bool]:
        """For each value: does anything before it take feedback (or is it the input, asked for)?"""
        wanted = [of_input]
        for node in self._program.nodes:
            learns = Feedback.wanted(*node.stage.parameters().values())
            wanted.append(learns or any(wanted[i] for i in node.inputs))
        return wanted

    def _relevance(self, credit: Tensor) -> Tensor:
        x = self._input
        if isinstance(x, Spikes):
            of_entries = x.gather(credit)
            return of_entries if x.values is None else of_entries * x.values.to(credit.dtype)
        assert x is not None
        return (credit * x.to(credit.dtype)).view(x.shape)

    def __repr__(self) -> str:
        shapes = None if self._pass is None else self._pass.value_shapes
        return program_table(self, shapes)


def _assign(parameter: nn.Parameter, total: Tensor, accumulate: bool) -> None:
    """Set or add ``feedback`` and ``grad = -feedback``."""
    known: Tensor | None = getattr(parameter, "feedback", None)
    grad = parameter.grad
    with torch.inference_mode(False), torch.no_grad():
        feedback = known + total if accumulate and known is not None else total
        parameter.feedback = feedback  # type: ignore[attr-defined]
        parameter.grad = grad - total if accumulate and grad is not None else -total
