"""Stages that work on events: synapses, neurons and pools on lists of spikes, on the CPU.

Neurons of a program, with the synapse before them and the pool behind them where there is one, are
replaced by a single stage, as :mod:`lfp_snn.engine.events.table` says. Between such stages travel
:class:`~lfp_snn.Spikes`, and their credit is one number per entry: nothing of size T*B*N is made
for an input or a current. Where an input is dense (constant over time, or very active), torch
computes the current and only the neurons are stepped here.

Kernels: :mod:`lfp_snn.backends.events`.
"""

from lfp_snn.engine.events.table import TABLE

__all__ = ["TABLE"]
