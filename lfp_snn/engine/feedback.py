"""The feedback of parameters: sums over their uses, in one process or over several."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

import torch
from torch import Tensor, nn
from typing_extensions import override

from lfp_snn.engine.exchange import Exchange
from lfp_snn.engine.made import Made
from lfp_snn.rules import Update

__all__ = ["Feedback", "SharedFeedback"]


class Feedback:
    """The feedback of parameters, summed over their uses: ``|p| * sum n * du/dp``.

    Most stages hand in the sum of each use; the factor ``|p|`` is applied once, when all are in.

    Args:
        update: the form of the update that is applied in the place of the factor ``|p|``.
    """

    #: Do other processes add to the sums?
    shared: ClassVar[bool] = False

    def __init__(self, update: Update | None = None) -> None:
        self.update = Update() if update is None else update
        #: Is more to come for every parameter, of earlier chunks of time?
        self.held = False
        self._sums: dict[nn.Parameter, Tensor] = {}
        self._scaled: dict[nn.Parameter, Tensor] = {}
        self._own: set[int] = set()  # sums that were made here, to which more is added in place

    @staticmethod
    def wanted(*parameters: Tensor | None) -> bool:
        """Whether any of these parameters takes feedback."""
        return any(isinstance(p, nn.Parameter) and p.requires_grad for p in parameters)

    def add(self, parameter: Tensor | None, total: Tensor | None, *, scaled: bool = False) -> None:
        """Add one use of a parameter; a parameter that takes no feedback is left out.

        Args:
            parameter: the parameter; a buffer or None takes no feedback.
            total: the sum ``sum n * du/dp`` of this use, in the shape of the parameter; that of a
                weight which a layer computes is pulled back to what it is computed from.
            scaled: whether ``total`` is feedback already; it is then handed over and not copied.

        Raises:
            NetworkError: the weight is computed, and what is handed in is feedback already, or no
                parameter behind it would ever move.
        """
        if total is None or not isinstance(parameter, nn.Parameter) or not parameter.requires_grad:
            return
        if isinstance(parameter, Made):
            if scaled:
                raise parameter.without_measure()
            found = parameter.pull(total)
            if self.update.scales:  # other forms move a parameter of zero too
                parameter.require_moving(total, found)
            for behind, part in found:
                self.add(behind, part)
            return
        totals = self._scaled if scaled else self._sums
        known = totals.get(parameter)
        if known is None:
            totals[parameter] = total
        elif id(known) in self._own:
            known.add_(total)
        else:
            totals[parameter] = known + total
            self._own.add(id(totals[parameter]))

    def complete(self, parameters: Iterable[Tensor]) -> None:
        """Declare that nothing will be added any more to the sums of these parameters."""

    def collect(self) -> dict[nn.Parameter, Tensor]:
        """The feedback of every parameter, as ordinary tensors."""
        with torch.inference_mode(False), torch.no_grad():
            feedback = {p: self.update.feedback(p, total) for p, total in self._sums.items()}
            for p, total in self._scaled.items():
                feedback[p] = feedback[p] + total if p in feedback else total
        return feedback

    def hand_out(self, parameters: Iterable[nn.Parameter], *, accumulate: bool = False) -> None:
        """Set ``feedback`` and ``grad = -feedback`` of parameters, or add to what is there.

        Without ``accumulate``, parameters that got no feedback lose what they had: a parameter
        that was frozen since an earlier pass would still be moved by its old gradient.
        With it, feedback begins anew where an optimizer's ``zero_grad`` has taken the gradient
        away.
        """
        parameters = list(parameters)
        self.complete(parameters)  # what no stage names as its own goes last
        totals = self.collect()
        with torch.inference_mode(False), torch.no_grad():
            for parameter, total in totals.items():
                known: Tensor | None = getattr(parameter, "feedback", None)
                grad = parameter.grad
                begun = accumulate and grad is not None and bool(grad.any())
                feedback = known + total if begun and known is not None else total
                parameter.feedback = feedback  # type: ignore[attr-defined]
                parameter.grad = grad - total if accumulate and grad is not None else -total
        if accumulate:
            return
        for parameter in parameters:
            if parameter not in totals and hasattr(parameter, "feedback"):
                parameter.feedback = parameter.grad = None


class SharedFeedback(Feedback):
    """The feedback of parameters, summed over several processes.

    The sums of a parameter leave for the others as soon as they are complete, while credit still
    flows through the layers before.

    Args:
        update: the form of the update that is applied to the sums.
        exchange: the exchange with the other processes.
    """

    shared = True

    def __init__(self, update: Update, exchange: Exchange) -> None:
        super().__init__(update)
        self.exchange = exchange
        self._sent: dict[nn.Parameter, None] = {}

    @override
    def add(self, parameter: Tensor | None, total: Tensor | None, *, scaled: bool = False) -> None:
        assert parameter not in self._sent, "its sum has already been sent"
        super().add(parameter, total, scaled=scaled)

    @override
    def complete(self, parameters: Iterable[Tensor]) -> None:
        """Send the sums of complete parameters, to be summed over processes.

        Parameters that were sent before are left out. Every process makes this call for the same
        parameters in the same order, whether or not it has anything for them.
        """
        if self.held:
            return
        with torch.inference_mode(False), torch.no_grad():
            for p in parameters:
                if isinstance(p, nn.Parameter) and p.requires_grad and p not in self._sent:
                    self._sent[p] = None
                    for part in self._parts(p):
                        self.exchange.add(part, like=p)

    def _parts(self, p: nn.Parameter) -> tuple[Tensor | None, ...]:
        """What is summed over processes: feedback, or its sums if the update is not linear."""
        total, scaled = self._sums.get(p), self._scaled.get(p)
        if not self.update.linear:
            return total, scaled
        own = None if total is None else self.update.feedback(p, total)
        return (scaled if own is None else own if scaled is None else own + scaled,)

    @override
    def collect(self) -> dict[nn.Parameter, Tensor]:
        """The feedback of every parameter from the sums of all processes."""
        with torch.inference_mode(False), torch.no_grad():
            self._receive()
        return super().collect()

    def _receive(self) -> None:
        """Put the sums over all processes in the place of the sums of this one."""
        found = iter(self.exchange.collect())
        self._sums, self._scaled = {}, {}
        kinds = (self._scaled,) if self.update.linear else (self._sums, self._scaled)
        for p in self._sent:
            for kind in kinds:
                total = next(found)
                if total is not None:
                    kind[p] = total
