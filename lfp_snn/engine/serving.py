"""Which rules the events backend serves."""

from __future__ import annotations

from lfp_snn.engine.stage import Rules
from lfp_snn.errors import NetworkError
from lfp_snn.rules import PLAIN, AlphaBeta, EpsilonSplit, Gamma, Norm, Rule, ZPlus

__all__ = ["on_spikes", "refuse_rules"]


def on_spikes(rule: Rule) -> bool:
    """Can lists of spikes serve it? The kernels must know how it splits and how it shares."""
    kind = type(rule)
    known = kind.split in (EpsilonSplit.split, Norm.split)
    return known and (rule.variants is PLAIN or kind in (Gamma, AlphaBeta, ZPlus))


def refuse_rules(rules: Rules) -> None:
    """Refuse rules that the events backend does not know.

    Raises:
        NetworkError: names the layer and its rule.
    """
    for name, rule in rules.items():
        if not on_spikes(rule):
            raise NetworkError(
                f"The events backend does not know the rule {rule!r} of layer '{name}': it "
                "knows Epsilon, Norm, Gamma, AlphaBeta and ZPlus; build the TemporalLFP with "
                "backend='torch' for others."
            )
