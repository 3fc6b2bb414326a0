"""Rules: how relevance goes through neurons and synapses. A rule is data.

============ ======================================= ============ ============== ==============
rule         a synapse's share of the current's      silent       at the neuron  module
             relevance                               inputs
============ ======================================= ============ ============== ==============
Epsilon      its contribution                        nothing      eps or exact   ``neuron``
Norm         its contribution                        nothing      by size        ``neuron``
Pass         its contribution                        nothing      no memory      ``neuron``
Gamma        what favours the current counts more    nothing      eps or exact   ``signed``
AlphaBeta    what favours alpha, what opposes -beta  nothing      eps or exact   ``signed``
ZPlus        only what favours the current           nothing      eps or exact   ``signed``
WSquare      the square of its weight                their share  eps or exact   ``silent``
Flat         the same for all                        their share  eps or exact   ``silent``
ZBox         above the worst input within bounds     their share  eps or exact   ``silent``
Rescale      as any of these                                      silent, too    ``rescale``
============ ======================================= ============ ============== ==============

The equations that all have in common are in :mod:`lfp_snn.rules.base`; :class:`Composite` gives
each layer its own rule; :class:`Update` says what a weight makes of its feedback.
"""

from __future__ import annotations

from lfp_snn.rules.base import (
    ACTIVE,
    CONTRIBUTION,
    OWN,
    PLAIN,
    Active,
    CreditRule,
    EpsilonSplit,
    Formula,
    Products,
    Rule,
    Variant,
    widest,
)
from lfp_snn.rules.composite import (
    Assignment,
    Composite,
    EpsilonGammaBox,
    EpsilonPlusFlat,
    Part,
    assign,
)
from lfp_snn.rules.neuron import Epsilon, Norm, Pass
from lfp_snn.rules.rescale import Rescale
from lfp_snn.rules.signed import AlphaBeta, BySign, Gamma, ZPlus
from lfp_snn.rules.silent import Flat, WSquare, ZBox
from lfp_snn.rules.update import Update

__all__ = [
    "ACTIVE",
    "COMPOSITES",
    "CONTRIBUTION",
    "OWN",
    "PLAIN",
    "RULES",
    "Active",
    "AlphaBeta",
    "Assignment",
    "BySign",
    "Composite",
    "CreditRule",
    "Epsilon",
    "EpsilonGammaBox",
    "EpsilonPlusFlat",
    "EpsilonSplit",
    "Flat",
    "Formula",
    "Gamma",
    "Norm",
    "Part",
    "Pass",
    "Products",
    "Rescale",
    "Rule",
    "Update",
    "Variant",
    "WSquare",
    "ZBox",
    "ZPlus",
    "assign",
    "widest",
]

#: Rules by the name that a config uses.
RULES: dict[str, type[Rule]] = {
    "epsilon": Epsilon,
    "norm": Norm,
    "pass": Pass,
    "gamma": Gamma,
    "alpha_beta": AlphaBeta,
    "zplus": ZPlus,
    "wsquare": WSquare,
    "flat": Flat,
    "zbox": ZBox,
    "rescale": Rescale,
}
#: Composites by the name that a config uses, beside ``composite``, which lists its own layers.
COMPOSITES: dict[str, type[Composite]] = {
    "epsilon_gamma_box": EpsilonGammaBox,
    "epsilon_plus_flat": EpsilonPlusFlat,
}
