"""Stages that work on events: synapses, neurons and pools on lists of spikes, on the CPU.

:func:`on_events` replaces neurons of a program, with the synapse before them and the pool behind
them where there is one, by a single stage. Between such stages travel
:class:`~lfp_snn.Spikes`, and their credit is one number per entry: nothing of size T*B*N is made
for an input or a current. Where an input is dense (constant over time, or very active), torch
computes the current and only the neurons are stepped here.

Kernels: :mod:`lfp_snn.backends.events`. The rules that they know: :mod:`lfp_snn.engine.serving`.
"""

from lfp_snn.engine.events.plan import on_events

__all__ = ["on_events"]
