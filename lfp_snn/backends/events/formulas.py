"""The formulas of rules, by name, in the form that the kernels take."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lfp_snn.backends.events.neuron import BY_SIZE, CONSERVING
from lfp_snn.backends.events.rescale import Counted
from lfp_snn.backends.events.shares import ALPHA_BETA, GAMMA, Shares
from lfp_snn.rules import Formula

__all__ = ["SHARINGS", "SPLITS", "shares_of", "split_of"]

#: Splits at the neuron: ``eps``, or what stands for another one.
SPLITS: Mapping[str, Callable[[Formula], float | Counted]] = {
    "epsilon": lambda formula: float(formula.parameters["eps"]),
    "conserving": lambda formula: CONSERVING,
    "by size": lambda formula: BY_SIZE,
    "rescale": lambda formula: Counted(
        window=formula.parameters["gate"] == "window",
        decay=formula.parameters["carry"] == "decay",
        eps=float(formula.parameters["eps"]),
    ),
}
#: Sharings at the synapse: None for the contribution itself, or how the signs are told apart.
SHARINGS: Mapping[str, Callable[[Formula], Shares | None]] = {
    "contribution": lambda formula: None,
    "gamma": lambda formula: Shares(GAMMA, formula.parameters["gamma"], 1.0),
    "alpha beta": lambda formula: Shares(
        ALPHA_BETA, formula.parameters["alpha"], formula.parameters["beta"]
    ),
}


def split_of(formula: Formula) -> float | Counted:
    """The split of a rule, in the form that the kernels take."""
    return SPLITS[formula.name](formula)


def shares_of(formula: Formula) -> Shares | None:
    """The sharing of a rule, in the form that the kernels take."""
    return SHARINGS[formula.name](formula)
