"""Learning while a sequence runs: one step of a stream after the other, in constant memory."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import torch
from torch import Tensor

from lfp_snn.engine.execute import run_backward, run_forward
from lfp_snn.engine.inputs import check_device, check_input, check_kind, prepare_input
from lfp_snn.engine.network import TracedNetwork
from lfp_snn.engine.stage import Feedback, Stage, Tape
from lfp_snn.engine.traces import on_traces
from lfp_snn.errors import ConfigError, NetworkError, ShapeError
from lfp_snn.rewards import Prediction, RateCoded, RewardState, StepwiseReward, ties
from lfp_snn.rewards.base import require_reward
from lfp_snn.spikes import Spikes

__all__ = ["OnlineSession"]

EVIDENCE, STEPS = "evidence of the outputs", "steps seen"


class OnlineSession:
    r"""A stream that runs step by step, with spikes, predictions and feedback at any time.

    :meth:`~lfp_snn.TemporalLFP.online` makes one. Each step takes one frame of every sample of a
    batch and gives the output spikes; a reward for it can follow at once. Feedback adds up from
    step to step until :meth:`collect` hands it to the parameters, at any moment. Only membranes,
    traces, counts and these sums are kept between steps, however long the stream is.

    Feedback is exact for the readout, given the rewards of the steps and the weights at each, and
    an approximation for the layers before it: see :mod:`lfp_snn.engine.traces`. The stages run on
    the reference kernels, whatever the backend of the network is.

    Args:
        lfp: the network with its rules.
        reward: the reward that judges steps by labels, and reads the prediction.
        carry: the constant of the traces, in [0, 1); None to take it from the decay of the neurons.
        window: the number of steps over which evidence fades, for streams in which nothing tells
            where one sample ends and the next begins; None if it does not fade.
        state: the :attr:`state` of another session, to go on with its stream.

    Raises:
        NetworkError: there are no traces for a neuron or a rule.
        ConfigError: an option is out of range, or the evidence of the reward cannot fade.

    Example::

        session = lfp.online(RateCoded())
        for frame, label in stream:                 # [B, ...] and [B]
            session.step(frame, label)
            print(session.predict().classes)
            if it_is_time():
                session.collect()                   # fills .feedback and .grad
                optimizer.step()
    """

    def __init__(
        self,
        lfp: TracedNetwork,
        reward: StepwiseReward | None = None,
        *,
        carry: float | None = None,
        window: float | None = None,
        state: Mapping[str, Tensor] | None = None,
    ) -> None:
        if carry is not None and not 0 <= carry < 1:
            raise ConfigError(f"carry is {carry}; expected a number from 0 to below 1, or None.")
        if window is not None and not window >= 1:
            raise ConfigError(f"window is {window}; expected at least one step, or None.")
        if lfp.structure.step.gives_membranes:
            raise NetworkError(
                f"The forward of {type(lfp.net).__name__} gives the membranes of neuron "
                f"'{lfp.output}' and no spikes, by which a stream is judged: return both "
                "(spk, mem)."
            )
        given = RateCoded() if reward is None else reward
        require_reward(given, StepwiseReward)
        #: Judges steps; what it left to the rule at the output is decided.
        self.reward = given.suited(takes_credit=lfp.takes_credit(lfp.rules))
        if window is not None and not self.reward.additive:
            raise ConfigError(
                f"The evidence of {type(self.reward).__name__} is no sum over steps and cannot "
                f"fade over a window of {window:g}: use a reward of spike counts, or no window."
            )
        self.lfp = lfp
        self.window = window
        self.program = on_traces(lfp.reference, lfp.rules, carry)
        self._state: dict[str, Tensor] = dict(state or {})
        self._drawn: dict[Hashable, Tensor] = {}
        self._last: Tape | None = None
        self._spikes = torch.empty(0)  # of the output, in the last step
        self._whole: Tape | None = None  # what was counted since the stream began
        self._shape: tuple[int, ...] | None = None
        self._feedback = Feedback(lfp.update)

    # ------------------------------------------------------------------ forwards

    def step(
        self, x: Tensor | Spikes, labels: Tensor | None = None, *, running: Tensor | None = None
    ) -> Tensor:
        """Take one step of the stream, and learn from it if labels are given.

        Args:
            x: a frame of every sample ``[B, ...]``, or :class:`~lfp_snn.Spikes` with T = 1.
            labels: the classes, int64 ``[B]``; the step is then judged by the reward, and learnt
                from.
            running: bool ``[B]``, which samples go on; the others stand still, silent and without
                reward. None says that all go on.

        Returns:
            The output spikes ``[B, C]``.

        Raises:
            ShapeError: the frame does not fit the network, or differs in shape from those before.
            NetworkError: a normalisation takes its statistics from what it normalises.
        """
        self.refuse_statistics()
        lfp = self.lfp
        with torch.no_grad():
            constant = None if isinstance(x, Spikes) else 1
            check_kind(x)
            check_device(x, lfp.device)
            check_input(x, constant)
            self.program.compute_weights()
            value = prepare_input(x, constant, lfp.dtype)
            self._check_shape(value.shape)
            run = Tape(
                steps=1,
                batch=value.shape[1],
                lengths=self._check_running(running, value.shape[1]),
                state=self._state,
                record=True,
                dtype=lfp.dtype,
                drawn=self._drawn,
            )
            spikes = run_forward(self.program, run, value)
            assert isinstance(spikes, Tensor)
            self._last, self._spikes = run, spikes[0]
            self._remember(run)
        if labels is not None:
            self.learn(self.judge(labels))
        return self._spikes

    def predict(self) -> Prediction:
        """The classes ``[B]`` as the reward reads them from all steps so far, and their ties.

        Raises:
            NetworkError: there was no step yet.
        """
        return ties(self.reward.standing(self._seen()))

    @property
    def state(self) -> dict[str, Tensor]:
        """Membranes, traces and evidence of every sample, to go on with the stream elsewhere."""
        return dict(self._state)

    @property
    def membranes(self) -> dict[str, Tensor]:
        """Membranes after the last step, by neuron: ``[B, ...]``, or all states ``[S, B, ...]``."""
        names = (neuron.name for neuron in self.program.neurons())
        return {name: self._state[name] for name in names if name in self._state}

    @property
    def firing_rates(self) -> dict[str, float]:
        """The mean spikes per neuron and step of each population since the stream began."""
        return {} if self._whole is None else self._whole.firing_rates()

    def reset(self, samples: Tensor | None = None) -> None:
        """Put samples to rest, where another recording begins.

        Membranes, traces and evidence of these samples start anew, and so do the masks of dropout;
        feedback that they gave stays. The step before is over: it can't be learnt from any more.

        Args:
            samples: the samples, as int64 indices or bool ``[B]``; None for all, after which the
                batch may have another size.
        """
        self._last = None
        if samples is None or self._shape is None:
            self._state, self._whole, self._shape = {}, None, None
            self._drawn.clear()
            return
        chosen = torch.zeros(self._shape[0], dtype=torch.bool, device=self.lfp.device)
        chosen[samples.to(chosen.device)] = True

        def renewed(old: Tensor, fresh: Tensor | float) -> Tensor:
            return torch.where(chosen.view(-1, *(1,) * (old.dim() - 1)), fresh, old)

        for name, old in self._state.items():
            self._state[name] = renewed(old, self.reward.fresh if name == EVIDENCE else 0.0)
        for stage, mask in self._drawn.items():
            assert isinstance(stage, Stage)
            assert stage.module is not None
            self._drawn[stage] = renewed(mask, stage.module(torch.ones_like(mask)))

    # ------------------------------------------------------------------ learning

    def judge(self, labels: Tensor) -> Tensor:
        """Reward ``[B, C]`` as if the sequence ended with the last step, times the steps so far.

        The rewards of a sequence are shares of one sequence (1 / T); here every step counts alike.

        Raises:
            NetworkError: there was no step yet.
            ShapeError: the labels do not fit.
        """
        self._step()
        seen = self._seen()
        return self.reward.now(self._spikes, labels, seen) * seen.steps

    def learn(self, reward: Tensor) -> None:
        """Add the feedback of the last step to what :meth:`collect` will give.

        Args:
            reward: the reward ``[B, C]`` that enters at the output neurons at this step: relevance,
                or credit where :meth:`~lfp_snn.TemporalLFP.takes_credit` says so.

        Raises:
            NetworkError: there was no step yet.
            ShapeError: the reward has another shape than the output.
        """
        run = self._step()
        if reward.shape != self._spikes.shape:
            raise ShapeError(
                f"The reward has the shape {tuple(reward.shape)}; the output spikes of a step have "
                f"{tuple(self._spikes.shape)}, and each of them needs one value."
            )
        with torch.inference_mode(False), torch.no_grad():
            arriving = reward.to(self._spikes)[None]
            alive = run.running(arriving.dim())
            if alive is not None:
                arriving = arriving * alive
            run_backward(
                self.program,
                run,
                arriving,
                self._feedback,
                self.lfp.rules,
                of_input=False,
                as_credit=self.lfp.takes_credit(self.lfp.rules),
            )

    def collect(self) -> None:
        """Fill the feedback of the parameters from all steps since it was collected last.

        As after :meth:`~lfp_snn.TemporalLFP.backward`, every parameter has ``p.feedback``, summed
        over steps and batch, and ``p.grad = -p.feedback``, which replace what was there.
        """
        self._feedback.hand_out(self.lfp.parameters())
        self._feedback = Feedback(self.lfp.update)

    # ------------------------------------------------------------------ what is remembered

    def _step(self) -> Tape:
        if self._last is None:
            raise NetworkError("There is no step to learn from: call step first.")
        return self._last

    def _seen(self) -> RewardState:
        if EVIDENCE not in self._state:
            raise NetworkError("Nothing was seen yet: call step first.")
        return RewardState(self._state[EVIDENCE], self._state[STEPS])

    def _remember(self, run: Tape) -> None:
        """Take over the states and traces of a step, and gather its evidence."""
        spikes = self._spikes
        evidence, steps = (self._state.get(name) for name in (EVIDENCE, STEPS))
        if evidence is None or steps is None:
            evidence = torch.full_like(spikes, self.reward.fresh)
            steps = torch.zeros_like(spikes[:, :1])
        faded = 1.0 if self.window is None else 1 - 1 / self.window
        seen = self.reward.observe(spikes, RewardState(evidence * faded, steps * faded))
        now = {EVIDENCE: seen.evidence, STEPS: torch.as_tensor(seen.steps)}
        if run.lengths is not None:
            goes_on = run.lengths[:, None] > 0
            now[EVIDENCE] = torch.where(goes_on, now[EVIDENCE], evidence)
            now[STEPS] = torch.where(goes_on, now[STEPS], steps)
        self._state = run.final_state | now
        if self._whole is None:
            nothing = torch.zeros(run.batch, dtype=torch.int64, device=spikes.device)
            self._whole = Tape(0, run.batch, nothing, {}, record=False, dtype=run.dtype)
        assert self._whole.lengths is not None
        self._whole.lengths = self._whole.lengths + (1 if run.lengths is None else run.lengths)
        self._whole.add_counts(run)

    # ------------------------------------------------------------------ checks

    def _check_shape(self, shape: Sequence[int]) -> None:
        frame = tuple(shape[1:])
        if shape[0] != 1:
            raise ShapeError(f"A step takes Spikes with T=1, but these have T={shape[0]}.")
        if self._shape not in (None, frame):
            raise ShapeError(
                f"The frame has the shape {frame}, and those before had {self._shape}: a stream "
                "keeps its shape; call reset() before another one begins."
            )
        known = self._state.get(EVIDENCE)
        if known is not None and len(known) != frame[0]:
            raise ShapeError(
                f"The frame has {frame[0]} samples, and the state with which the stream goes on "
                f"{len(known)}: give one frame for each, or no state."
            )
        self._shape = frame

    def _check_running(self, running: Tensor | None, batch: int) -> Tensor | None:
        if running is None:
            return None
        if running.shape != (batch,) or running.dtype != torch.bool:
            raise ShapeError(
                f"running has the shape {tuple(running.shape)} and type {running.dtype}; expected "
                f"{batch} of torch.bool, one per sample."
            )
        return running.to(self.lfp.device, torch.int64)

    def refuse_statistics(self) -> None:
        """Refuse a normalisation that takes its statistics from what it normalises.

        Raises:
            NetworkError: there is such a normalisation; the message names it and says what to do.
        """
        for stage in (node.stage for node in self.program.nodes):
            name = stage.measured_by
            if stage.measured == "sequence":
                raise NetworkError(
                    f"Stage '{name}' ({stage.describe()}) normalises with the statistics of "
                    "the batch over all steps, which a stream does not know: put that module into "
                    "evaluation mode, or take the learner lfp."
                )
            if stage.measured is not None:
                raise NetworkError(
                    f"Stage '{name}' ({stage.describe()}) normalises anew at every step, for "
                    "which there are no traces: take a batch normalisation in evaluation mode, or "
                    "the learner lfp."
                )
