"""NaN and infinity: found in a step before they reach the weights, and named.

What goes wrong in a step shows in one of four places, looked at in the order in which they come
about: the reward, the membranes, running statistics, the feedback. Of the membranes those after the
last time step are looked at, since NaN stays in a membrane, which costs a T-th of looking at all.
Weights are looked at before each checkpoint, so that none is written that could not be gone on
from.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from lfp_snn.data import Batch
from lfp_snn.engine.inputs import finite
from lfp_snn.errors import NotFiniteError
from lfp_snn.learners import Learner, StepResult
from lfp_snn.norms import running_statistics
from lfp_snn.training.distributed import ALONE, World

__all__ = ["IN_A_ROW", "Guard", "told"]

#: Steps passed over one after the other with which a training ends all the same.
IN_A_ROW = 10


class Guard:
    """A guard around a learner that finds what is not finite.

    Args:
        learner: the learner.
        undo: whether :meth:`undo` will be called, which takes a copy of some state at each step.
        world: the processes that train together; what one of them finds, all raise.
    """

    def __init__(self, learner: Learner, undo: bool, world: World = ALONE) -> None:
        self.learner = learner
        self.world = world
        self._keeps = undo
        self._statistics: dict[Tensor, Tensor] = {}
        self._state: dict[str, Tensor] = {}

    def feedback(self, batch: Batch) -> StepResult | None:
        """Compute the feedback of this process's samples, summed over all; None without samples.

        Raises:
            NotFiniteError: reward, membranes or statistics are not finite in one process; all
                processes raise it, and the message names the layer.
        """
        found: NotFiniteError | None = None
        result: StepResult | None = None
        try:
            result = self._feedback(batch)
        except NotFiniteError as error:
            found = error
        if self.world.agree(None if found is None else 1) is not None:
            raise found or NotFiniteError("What another process made of its samples is not finite")
        return result

    def _feedback(self, batch: Batch) -> StepResult | None:
        """Call ``learner.feedback``, or ``shared_feedback`` of several processes, and check it."""
        if self._keeps:
            self._statistics = {b: b.clone() for _, b in running_statistics(self.learner.net)}
            self._state = {name: t.clone() for name, t in self.learner.state_dict().items()}
        learner = self.learner
        shared = learner.exchange is not None
        result = learner.shared_feedback(batch) if shared else learner.feedback(batch)
        if result is None:
            return None
        if not math.isfinite(float(result.reward)):
            output = learner.engine.output
            raise NotFiniteError(f"The reward at the output, layer {output!r}, is not finite")
        for name, membrane in result.membranes.items():
            if not finite(membrane):
                raise NotFiniteError(f"The membranes of layer {name!r} are not finite")
        names = _not_finite(running_statistics(learner.net))
        if names:
            raise NotFiniteError(f"The running statistics {', '.join(names)} are not finite")
        return result

    def clip(self, parameters: Iterable[nn.Parameter], limit: float | None) -> float:
        """Scale the feedback to the largest norm allowed, if any; gives the norm that it had.

        Raises:
            NotFiniteError: the feedback is not finite; the message names the parameters.
        """
        clip, largest = torch.nn.utils.clip_grad_norm_, math.inf if limit is None else limit
        try:
            return float(clip(parameters, largest, error_if_nonfinite=True))
        except RuntimeError as error:
            self._check_feedback()
            raise error

    def _check_feedback(self) -> None:
        """Look at the feedback, once its norm has shown that something is wrong."""
        named = self.learner.net.named_parameters()
        grads = [(name, p.grad) for name, p in named if p.grad is not None]
        names = _not_finite(grads)
        total = sum(float(grad.square().sum()) for _, grad in grads)
        if not names and math.isfinite(total):
            return
        # Each entry may be finite, and the sum of their squares too large.
        raise NotFiniteError(
            f"The feedback of {', '.join(names) or 'all parameters together'} is not finite"
        )

    def check_weights(self) -> None:
        """Look at parameters and the statistics of normalisations.

        Raises:
            NotFiniteError: some tensors are not finite; the message names them.
        """
        net = self.learner.net
        names = _not_finite([*net.named_parameters(), *running_statistics(net)])
        if names:
            raise NotFiniteError(f"The weights {', '.join(names)} are not finite any more")

    @torch.no_grad()
    def undo(self) -> None:
        """Take back what :meth:`feedback` did: gradients, statistics, the learner's own state."""
        for parameter in self.learner.net.parameters():
            parameter.grad = None
        for statistic, before in self._statistics.items():
            statistic.copy_(before)
        self.learner.load_state_dict(self._state)


def _not_finite(named: Iterable[tuple[str, Tensor]]) -> list[str]:
    return [name for name, tensor in named if not finite(tensor)]


def told(error: NotFiniteError, where: str, cures: Sequence[str], last: Path | None) -> str:
    """The message about what is not finite, where, and what to do about it.

    Args:
        error: the error that says what was found, and may say what to do about it.
        where: the place in the training where it was found.
        cures: what may mend it, where the error does not say.
        last: the last checkpoint, if one is kept.
    """
    kept = "" if last is None else f" The last checkpoint, {last}, is intact."
    if str(error).endswith("."):  # it is no matter of the training
        return f"Stopped in {where}: {error}{kept}"
    *several, cure = cures
    before = ", ".join(several) + ("," if several[1:] else "") + " or " if several else ""
    return f"{error} in {where}; {before}{cure}.{kept}"
