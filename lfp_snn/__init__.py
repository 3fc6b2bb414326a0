"""lfp_snn: train spiking neural networks on event data without surrogate gradients.

Layer-wise Feedback Propagation (Weber et al., TMLR 2025) through time, for networks of snntorch
neurons.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lfp_snn import activations, hub, lif, norms, rewards, rules
    from lfp_snn.engine import TemporalLFP, make_graphed, published
    from lfp_snn.errors import LfpSnnError
    from lfp_snn.models.nir import load_nir
    from lfp_snn.spikes import Spikes
    from lfp_snn.training import calibrate, fit

__all__ = [
    "LfpSnnError",
    "Spikes",
    "TemporalLFP",
    "activations",
    "calibrate",
    "fit",
    "hub",
    "lif",
    "load_nir",
    "make_graphed",
    "norms",
    "published",
    "rewards",
    "rules",
]

__version__ = "0.1.0"

#: Where each public name is found. It is imported when it is first asked for: torch takes a second,
#: which the help of the command line does without.
_FROM = {
    "LfpSnnError": "lfp_snn.errors",
    "Spikes": "lfp_snn.spikes",
    "TemporalLFP": "lfp_snn.engine",
    "calibrate": "lfp_snn.training",
    "fit": "lfp_snn.training",
    "load_nir": "lfp_snn.models.nir",
    "make_graphed": "lfp_snn.engine",
    "published": "lfp_snn.engine",
}


def __getattr__(name: str) -> Any:
    if name in _FROM:
        return getattr(import_module(_FROM[name]), name)
    if name in __all__:
        return import_module(f"lfp_snn.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
