"""The relevance of the input of a batch: one number for every active entry."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from lfp_snn.analysis.explain.outputs import Outputs, evidence
from lfp_snn.analysis.explain.target import Target
from lfp_snn.data import Batch
from lfp_snn.engine import TemporalLFP
from lfp_snn.errors import ConfigError, DataError, NetworkError
from lfp_snn.learners import Learner
from lfp_snn.rewards import RateCoded, Reward, ties
from lfp_snn.rules import Composite, Rule
from lfp_snn.spikes import Spikes

__all__ = ["Attribution", "Explainer", "by_sample", "samples_of"]


@dataclass(frozen=True)
class Attribution:
    """The relevance that the inputs of a batch were given.

    Attributes:
        relevance: the relevance of the input: ``[nnz]``, one number for each entry of
            :class:`~lfp_snn.Spikes`; ``[B, ...]`` for an input that is constant over time.
        silent: the relevance ``[B]`` that a rule handed to silent inputs (Flat, WSquare, ZBox).
        entered: the sum ``[B]`` of the initial relevance.
        size: the sum ``[B]`` of the absolute values of the initial relevance.
        chosen: the class that is asked about, int64 ``[B]``.
        against: the class that it is compared with, int64 ``[B]``, or None.
        neurons: the relevance ``[B, ...]`` that arrived at the neurons of each layer, summed over
            T.
        of_biases: the relevance that the biases of all synapses took, over the whole batch.
        outputs: what the network did.
        method: how relevance was found, in words.
    """

    relevance: Tensor
    silent: Tensor
    entered: Tensor
    size: Tensor
    chosen: Tensor
    against: Tensor | None
    neurons: dict[str, Tensor]
    of_biases: float
    outputs: Outputs
    method: str

    @property
    def conservation_error(self) -> float:
        r"""The relevance of the batch that was lost on the way, relative to what entered.

        .. math:: |\sum R_{out} - \sum R_{in} - \sum_b b\, n| / \sum |R_{out}|
        """
        found = float(self.relevance.sum() + self.silent.sum()) + self.of_biases
        return abs(float(self.entered.sum()) - found) / max(float(self.size.sum()), 1e-12)


class Explainer:
    """An explainer that sends initial relevance back to the input of a network.

    Args:
        learner: the learner with the network, in evaluation mode; it says how a class is read.
        rule: how relevance goes through neurons and synapses.
        instead: what else the caller can do where the outputs never spike, for the message.

    Raises:
        ConfigError: the learner is none, or a composite assigns a rule to nothing.
        NetworkError: the outputs never spike.
    """

    def __init__(self, learner: Learner, rule: Rule | Composite, *, instead: str = "") -> None:
        if not isinstance(getattr(learner, "net", None), nn.Module):
            raise ConfigError(
                f"The learner is a {type(learner).__name__}; expected one that has its network, "
                "such as TrainedRun.open(...).learner."
            )
        # Through the statistics of a normalisation relevance would sum to zero.
        self.engine = TemporalLFP(learner.net, rule, statistics="fixed")
        if self.engine.is_readout:
            raise NetworkError(
                "Relevance asks what made the output spike, and the output neurons of this network "
                "never do (they are a readout): take one whose outputs have a threshold within "
                f"reach and a reset{instead and f', or {instead}'}."
            )
        self._reward: Reward | None = getattr(learner, "reward", None)

    @property
    def reward(self) -> Reward:
        """The reward of the learner; the published one for learners that have none."""
        return self._reward if self._reward is not None else RateCoded()

    def run(self, batch: Batch, record: bool = False) -> Outputs:
        """Run the network on a batch; gives what its outputs do."""
        engine = self.engine
        spikes = engine.forward(batch.x, batch.steps, batch.lengths, record=record)
        membranes, lengths = engine.membranes, batch.lengths
        seen = evidence(spikes, lengths, engine.emits)
        if self._reward is None:
            read = ties(seen.sum(0))
        else:
            read = self._reward.predict(spikes, lengths=lengths, membranes=membranes)
        return Outputs(spikes, membranes, read, seen, engine.emits)

    def attribute(self, batch: Batch, target: Target) -> Attribution:
        """The relevance of the input of a batch.

        The parameters are left without feedback and gradient.

        Raises:
            DataError: the input is dense over time, for which there are no events.
            ShapeError: the target needs labels, and there are none.
        """
        if not isinstance(batch.x, Spikes) and batch.steps is None:
            raise DataError("Only spike trains as index lists, or a constant input, are explained.")
        outputs = self.run(batch, record=True)
        asked = target.chosen(outputs, batch), target.against(outputs, batch)
        return self._send(batch, outputs, target(outputs, batch), *asked)

    def _send(
        self,
        batch: Batch,
        outputs: Outputs,
        initial: Tensor,
        chosen: Tensor,
        against: Tensor | None,
    ) -> Attribution:
        """Send initial relevance ``[T, B, C]`` back, after a run that was recorded."""
        x = batch.x
        relevance = self.engine.backward(initial, input_relevance=True)
        assert relevance is not None
        silent = relevance.new_zeros(len(batch))
        if isinstance(x, Spikes) and relevance.dim() > 1:  # of silent inputs too
            whole, relevance = relevance, x.gather(relevance)
            silent = whole.transpose(0, 1).flatten(1).sum(1) - by_sample(x, relevance)
        of_biases = self._of_biases()
        for parameter in self.engine.parameters():
            parameter.grad = parameter.feedback = None  # type: ignore[attr-defined]
        return Attribution(
            relevance,
            silent,
            initial.sum((0, 2)),
            initial.abs().sum((0, 2)),
            chosen,
            against,
            self.engine.neuron_relevance,
            of_biases,
            outputs,
            f"rule {_name(self.engine.rule)}",
        )

    def _of_biases(self) -> float:
        """The relevance ``sum b n`` of biases; exact under rules that share by contribution."""
        total = 0.0
        for layer in self.engine.layers:
            for _, synapse in layer.synapses:
                bias = getattr(synapse, "bias", None)
                if bias is not None and getattr(bias, "feedback", None) is not None:
                    total += float((bias.detach().sign() * bias.feedback).sum())
        return total


def _name(rule: Rule | Composite) -> str:
    """The name of a rule with its options, or of a composite's class."""
    return str(rule) if isinstance(rule, Rule) else type(rule).__name__


def samples_of(x: Spikes) -> Tensor:
    """The sample of each entry, int64 ``[nnz]``."""
    return x.rows() // x.steps


def by_sample(x: Spikes, values: Tensor) -> Tensor:
    """The sum ``[B]`` of one number an entry over each sample."""
    return values.new_zeros(x.batch).index_add(0, samples_of(x), values)
