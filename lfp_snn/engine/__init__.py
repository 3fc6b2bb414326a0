"""The engine: trace a network of snntorch neurons, run it over time, send credit back.

========== ===========================================================================
module     what it holds
========== ===========================================================================
temporal   ``TemporalLFP``, what users call
graph      from a module to a program of stages, by torch.fx
stage      what a stage is, and what a forward pass remembers
synapses   stages that hold weights: linear, convolution, normalisation
shapes     stages without weights: pools, reshapes, dropout, merges of branches
neurons    stages of spiking neurons
========== ===========================================================================
"""

from lfp_snn.engine.temporal import TemporalLFP

__all__ = ["TemporalLFP"]
