"""The engine: trace a network of snntorch neurons, run it over time, send credit back.

=========== ====================================================================
"""

from lfp_snn.engine.paper import published
from lfp_snn.engine.temporal import TemporalLFP

__all__ = ["TemporalLFP", "published"]
