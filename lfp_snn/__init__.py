"""lfp_snn: train spiking neural networks on event data without surrogate gradients.

Layer-wise Feedback Propagation (Weber et al., TMLR 2025) through time, for networks of snntorch
neurons.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lfp_snn import activations, lif, norms, rewards, rules
from lfp_snn.engine import TemporalLFP
from lfp_snn.errors import LfpSnnError
from lfp_snn.spikes import Spikes

if TYPE_CHECKING:
    from lfp_snn.models.nir import load_nir
    from lfp_snn.training import calibrate, fit

__all__ = [
    "LfpSnnError",
    "Spikes",
    "TemporalLFP",
    "activations",
    "norms",
    "calibrate",
    "fit",
    "lif",
    "load_nir",
    "rewards",
    "rules",
]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Training imports the datasets and pydantic, which the engine alone does not need.
    if name in ("calibrate", "fit"):
        from lfp_snn import training

        return getattr(training, name)
    if name == "load_nir":
        from lfp_snn.models.nir import load_nir

        return load_nir
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
