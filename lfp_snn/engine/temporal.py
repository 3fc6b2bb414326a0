"""``TemporalLFP``: a network of spiking neurons, run over time and trained by feedback."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any, Self

import torch
from torch import Tensor, nn

from lfp_snn.engine.chunked import Chunks
from lfp_snn.engine.excerpt import Excerpt
from lfp_snn.engine.exchange import Exchange
from lfp_snn.engine.execute import run_backward, run_forward, sit_out_backward, sit_out_forward
from lfp_snn.engine.feedback import Feedback, SharedFeedback
from lfp_snn.engine.inputs import (
    check_finite,
    note_taken,
    prepare_input,
    prepare_lengths,
    prepare_reward,
    prepare_state,
    refuse_changed,
    relevance_of_input,
)
from lfp_snn.engine.losses import one_of, reward_of_loss
from lfp_snn.engine.observed import ObservedNetwork
from lfp_snn.engine.online import OnlineSession
from lfp_snn.engine.options import BUDGET, EngineOptions, Memory, Precision, Statistics
from lfp_snn.engine.stage import Rules, Tape
from lfp_snn.engine.stopwatch import Stopwatch
from lfp_snn.norms import statistics_given_back
from lfp_snn.rewards import StepwiseReward
from lfp_snn.rewards.given import Labels
from lfp_snn.rules import Composite, Rule, Update, assign
from lfp_snn.spikes import Spikes

__all__ = ["TemporalLFP"]


class TemporalLFP(ObservedNetwork):
    """Layer-wise feedback propagation through time, for a network of snntorch neurons.

    The network is any module whose ``forward`` is one time step or loops over time, with neurons
    that keep their state or are handed it (``docs/from_snntorch.md``). It is run for all T steps,
    layer by layer; the module stays as it is, and no state of its neurons is read or written.

    Activations (``nn.ReLU``, :class:`lfp_snn.activations.Step` ...) may stand in the place of
    neurons: a network of them alone is run with T = 1. One that ends in a synapse gives values in
    the place of output spikes, and takes the rewards of :mod:`lfp_snn.rewards.values`.

    Args:
        net: the network. Its parameters are read anew at every call.
        rule: how relevance goes through neurons and synapses; one rule for all, or a composite.
        backend: the name of the kernels: ``"events"``, whose cost follows the number of spikes
            (CPU, rules under which silent inputs take no part); ``"torch"``, the reference, for
            any device; ``"triton"``, the reference with its scans over time fused (CUDA); or
            ``"auto"``, the fastest that can run on the device of the network.
        update: the form of the update: what a weight makes of the credit that flowed through its
            synapse.
        memory: what is kept for the way back: ``"full"`` keeps every step; ``"chunked"`` keeps the
            membranes at the borders of chunks of time and runs each chunk once more on the way
            back (:mod:`lfp_snn.engine.chunked`), for long sequences.
        chunk: the steps of a chunk; None to choose as many as the budget allows.
        budget: the bytes for one chunk and the membranes at all borders.
        precision: the precision of the products of synapses of a network in float32
            (:mod:`lfp_snn.backends.precision`): ``"exact"``, float32's result; ``"tf32"``, the same
            but that CUDA devices may round the sides of convolutions and of products of two real
            sides to TF32; ``"bf16"`` or ``"fp16"``, all sides in that type, not on events.
            Membranes, statistics and sums within a product are float32 in all of them. float16
            ends at 65504, which credit passes where eps is as small as 1e-6.
        statistics: how credit goes through a normalisation (:mod:`lfp_snn.engine.norms`):
            ``"fixed"`` holds its statistics fixed, ``"through"`` follows them too, so that no
            update goes where the normalisation cancels it. None: through them under a rule that
            takes credit, as the default does; fixed, as published, under a rule of relevance.
        example: an input of forward, where the network cannot be traced without one.
        check: whether the engine is held against the module on a few samples
            (:mod:`lfp_snn.engine.check`).

    Raises:
        NetworkError: the network cannot be traced, a stage of it has no rule, or the events
            backend is asked for and does not know a rule.
        ConfigError: a composite assigns a rule to nothing.

    Example::

        lfp = TemporalLFP(net, rule=Epsilon())
        spikes = lfp.forward(x)                     # [T, B, C]
        reward = RateCoded()(spikes, labels)        # [T, B, C]
        lfp.backward(reward)                        # fills .feedback and .grad
        optimizer.step()

    Source: Weber et al., TMLR 2025 (arXiv 2308.12053).
    """

    def __init__(
        self,
        net: nn.Module,
        rule: Rule | Composite | None = None,
        backend: str = "auto",
        update: Update | None = None,
        *,
        memory: Memory = "full",
        chunk: int | None = None,
        budget: int = BUDGET,
        precision: Precision = "tf32",
        statistics: Statistics | None = None,
        example: Tensor | None = None,
        check: bool = True,
    ) -> None:
        options = EngineOptions(backend, memory, chunk, budget, precision, statistics)
        super().__init__(net, rule, options, update, example, check=check)
        self._border_bytes: dict[torch.Size, int] = {}  # of the states, by the shape of a frame
        self._input: Tensor | Spikes | None = None
        self._output: Tensor | Spikes | None = None  # as long as a backward may ask for it
        #: With the processes that have the other samples of the batch, while there are any.
        self.exchange: Exchange | None = None
        #: Adds up what each stage takes, while there is one.
        self.stopwatch: Stopwatch | None = None

    @classmethod
    def with_options(
        cls,
        net: nn.Module,
        rule: Rule | Composite | None = None,
        options: EngineOptions | None = None,
        update: Update | None = None,
    ) -> Self:
        """A :class:`TemporalLFP` from options in one object, for callers that hand options on."""
        return cls(net, rule, update=update, **vars(options or EngineOptions()))

    # ------------------------------------------------------------------ forwards

    def forward(
        self,
        x: Tensor | Spikes,
        steps: int | None = None,
        lengths: Tensor | None = None,
        state: Mapping[str, Tensor] | None = None,
        record: bool = True,
    ) -> Tensor:
        """Run the network over T steps, from rest unless a state is given; ``lfp(x)`` is the same.

        The output carries no graph of autograd: a loss of it has no ``loss.backward()``, and
        ``lfp.backward(loss=loss_fn, labels=labels)`` stands in its place.

        Args:
            x: spike trains or currents ``[T, B, ...]``, dense or :class:`~lfp_snn.Spikes`; or,
                with ``steps``, a constant input ``[B, ...]``. A network whose forward loops over
                time takes the input of that forward.
            steps: T, the number of time steps of a constant input.
            lengths: the steps of each sample, int ``[B]``, 0 to T: from its end on a sample takes
                no current (bias included) and emits no spike. One of 0 steps takes no part at all.
            state: the :attr:`state` after an earlier call, to continue a stream.
            record: whether to keep what one :meth:`backward` needs.

        Returns:
            The output spikes or values ``[T, B, C]``, in the floating type of the network; of a
            forward that gives the membranes of its last neuron and no spikes, those membranes.

        Raises:
            ShapeError: the input does not fit the network, lies on another device, or is not
                finite (checked on the CPU).
            NotFiniteError: membranes, values or parameters are not finite (checked on the CPU,
                after the last step).
        """
        given = x, steps
        with statistics_given_back(self.net):
            run, spikes = self._run(x, steps, lengths, state, record=record)
        if self.structure.step.gives_membranes:
            assert run.membranes is not None
            spikes = run.membranes
        self._check(*given)
        note_taken(run, self.net, given[0], spikes)
        self._pass = run
        self._output = spikes if record else None
        return spikes if isinstance(spikes, Tensor) else spikes.dense(self.dtype)

    __call__ = forward  # as torch calls a module

    def _run(
        self,
        x: Tensor | Spikes,
        steps: int | None,
        lengths: Tensor | None,
        state: Mapping[str, Tensor] | None,
        *,
        record: bool,
    ) -> tuple[Tape, Tensor | Spikes]:
        """Run all stages in a new pass; gives it and the output."""
        with torch.no_grad(), self._products():
            whole = self.options.memory == "full"
            run, value = self._begin(x, steps, lengths, state, record=record, whole=whole)
            if whole:
                spikes = run_forward(self._program, run, value)
            else:
                self._chunks = Chunks(self._program, run, value)
                known = self.options.budget, self.backend, self._border_bytes
                spikes = self._chunks.forward(self.options.chunk or self._chunks.length(*known))
        check_finite(run, spikes, self.net)
        return run, spikes

    def _begin(
        self,
        x: Tensor | Spikes,
        steps: int | None,
        lengths: Tensor | None,
        state: Mapping[str, Tensor] | None = None,
        *,
        record: bool,
        whole: bool,
    ) -> tuple[Tape, Tensor | Spikes]:
        """Choose structure and kernels for an input; gives a new pass and its first value.

        The value is in the type of the network if all steps of it are run as a whole.
        """
        # What an earlier pass kept is freed before this one needs memory.
        self._pass = self._chunks = self._output = None
        self._input, steps = self._find_structure(x, steps)
        self._used = self._choose_plan()
        self.reference.compute_weights()
        dtype = self._input_dtype(self._input) if whole else None
        value = prepare_input(self._input, steps, dtype)
        run = Tape(
            steps=value.shape[0] if steps is None else steps,
            batch=value.shape[1],
            lengths=None,
            state=prepare_state(state, self._program),
            record=record,
            dtype=self.dtype,
            exchange=self.exchange,
            stopwatch=self.stopwatch,
            narrow=self._narrow(),
            rules=self.rules,
        )
        run.lengths = prepare_lengths(lengths, run.steps, run.batch, self.device)
        return run, value

    def excerpt(
        self,
        population: str,
        changing: Collection[Tensor],
        x: Tensor | Spikes,
        steps: int | None = None,
        lengths: Tensor | None = None,
    ) -> Excerpt:
        """A part of the network on one input: what tells how often one population fires.

        It is run as a whole, also where ``memory`` is ``"chunked"``.

        Args:
            population: the name of the population.
            changing: the parameters that change from one call of the excerpt to the next.
            x: the input, as :meth:`forward` takes it.
            steps: T of a constant input.
            lengths: the steps of each sample.

        Raises:
            ShapeError: as :meth:`forward`.
        """
        run, value = self._begin(x, steps, lengths, record=False, whole=True)
        precision = self.options.precision
        return Excerpt(self.net, self._program, run, value, population, changing, precision)

    # ------------------------------------------------------------------ step by step

    def online(self, reward: StepwiseReward | None = None, **options: Any) -> OnlineSession:
        """A session that runs step by step and learns while it runs, on a stream without end.

        Args:
            reward: the reward that judges each step by the steps so far; rate-coded if None.
            options: the options of :class:`~lfp_snn.engine.online.OnlineSession`.
        """
        return OnlineSession(self, reward, **options)

    # ------------------------------------------------------------------ backwards

    def backward(
        self,
        reward: Tensor | None = None,
        *,
        loss: Callable[..., Tensor] | None = None,
        labels: Labels | None = None,
        as_credit: bool | None = None,
        input_relevance: bool = False,
        accumulate: bool = False,
        retain: bool = False,
        rule: Rule | Composite | None = None,
    ) -> Tensor | None:
        """Send a reward back through layers and time, and fill the feedback of the parameters.

        Every parameter that takes feedback (``requires_grad``) gets ``p.feedback``, summed over
        the batch, and ``p.grad = -p.feedback``, so that any torch optimizer follows it.

        Args:
            reward: the reward ``[T, B, C]`` that enters at the output neurons or values.
            loss: a differentiable loss of the output in the place of a reward, called as
                ``loss(output, labels)``, or ``loss(output)`` without labels: of the output spikes,
                of the membranes of a readout, or of values. Less loss is a reward; no gradient goes
                further than the output (:class:`~lfp_snn.rewards.FromLoss`).
            labels: what the loss takes beside the output, classes or targets.
            as_credit: whether the reward is credit of the output at every step, silent or not:
                :class:`~lfp_snn.rules.Rescale` then counts the output against a reference, and
                other rules take it as relevance; where the output is no spikes, it goes on to what
                made it. False: it is relevance. None: credit where :meth:`takes_credit` says so.
            input_relevance: whether to return the relevance of the input.
            accumulate: whether to add to feedback and gradients that are there, instead of
                replacing them.
            retain: whether to keep what the forward pass recorded, for another backward pass.
            rule: a rule or composite for this pass alone.

        Returns:
            None, or the relevance of the input: ``[T, B, ...]`` as a dense input, ``[nnz]`` (one
            value per entry) for :class:`~lfp_snn.Spikes`, ``[B, ...]`` (summed over T) for an
            input that is constant. Under a rule that hands relevance to silent inputs, the
            relevance of :class:`~lfp_snn.Spikes` is dense.

        Raises:
            NetworkError: no forward pass was recorded, its record was already consumed, the
                parameters or the input were changed since, or the forward pass ran on kernels that
                do not know the rule.
            ConfigError: a composite assigns a rule to nothing.
            ShapeError: the reward has another shape than the output, as labels and a loss have; or
                the loss does not take the output, or has no derivative.
        """
        run = self._recorded()
        refuse_changed(run)
        rules = self._rules_of(rule)
        one_of(reward, loss)
        if loss is not None:
            assert self._output is not None
            reward, as_credit = reward_of_loss(
                self, self._output, loss, labels,
                rules=rules, lengths=run.lengths, as_credit=as_credit,
            )  # fmt: skip
        assert reward is not None
        with torch.no_grad(), self._products():
            reward = prepare_reward(reward, run, self.device)
            if rule is not None and self._used.backend == "events":
                self._used.refuse(rules)
            feedback = self._feedback()
            if as_credit is None:
                as_credit = self.takes_credit(rules)
            if self._chunks is not None:
                found = self._chunks.backward(reward, feedback, rules, input_relevance, as_credit)
            else:
                run.carried.clear()
                found = run_backward(
                    self._program, run, reward, feedback, rules, input_relevance, as_credit
                )
            assert self._input is not None
            relevance = relevance_of_input(self._input, *found)
            if relevance is not None:
                relevance = self.structure.unframed(relevance)
        feedback.hand_out(self.parameters(), accumulate=accumulate)
        if not retain:
            self._drop_record(run)
        return relevance

    def _rules_of(self, rule: Rule | Composite | None) -> Rules:
        """The rule of each stage in a pass with a rule of its own, or without."""
        return self.rules if rule is None else assign(rule, self.reference.parts())

    def _feedback(self) -> Feedback:
        shared = self.exchange
        return Feedback(self.update) if shared is None else SharedFeedback(self.update, shared)

    def _drop_record(self, run: Tape) -> None:
        run.kept.clear()
        run.record = False
        self._input = self._chunks = self._output = None

    def sit_out(self, *, rule: Rule | Composite | None = None) -> None:
        """Take part in a forward and a backward pass over a batch of which others have all samples.

        After a recorded forward pass in which the processes exchanged, only the backward pass is
        sat out. Feedback and gradients are then those of the others, as after :meth:`backward`.

        Args:
            rule: the rule that the others give to their backward pass, if they do: it says whether
                credit goes through statistics, of which the processes then exchange the sums.
        """
        with torch.no_grad():
            program = self._choose_plan().program
            feedback = self._feedback()
            done = self._pass
            if done is not None and done.record and done.exchange is not None:
                run = done
                self._drop_record(done)
            else:
                self.reference.compute_weights()
                run = Tape(0, 0, None, {}, record=False, dtype=self.dtype, exchange=self.exchange)
                sit_out_forward(program, run)
            sit_out_backward(program, run, feedback, self._rules_of(rule))
        feedback.hand_out(self.parameters())
