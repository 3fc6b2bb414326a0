"""lfp_snn: train spiking neural networks on event data without surrogate gradients.

Layer-wise Feedback Propagation (Weber et al., TMLR 2025) through time, for networks of snntorch
neurons.
"""

from lfp_snn import lif, rewards, rules
from lfp_snn.engine import TemporalLFP
from lfp_snn.errors import LfpSnnError
from lfp_snn.spikes import Spikes

__all__ = ["LfpSnnError", "Spikes", "TemporalLFP", "lif", "rewards", "rules"]

__version__ = "0.1.0"
