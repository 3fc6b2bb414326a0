"""How long a time step of a NIR graph is, where the file says it and where it does not.

NIR gives time constants and resistances in seconds. Programs that know no seconds write the numbers
of a step in their place: such a file, read in seconds, is a network that never spikes.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lfp_snn.models.nir_graph import Place

#: Seconds of a step, what snntorch and SpikingJelly assume where a file does not say.
DT = 1e-4

_CONSTANTS = ("tau", "tau_mem", "tau_syn")


def timed(places: Sequence[Place], given: float | None) -> tuple[list[Place], float]:
    """Return the nodes, in one unit of time, and the duration of a step in that unit.

    Args:
        places: the nodes of the graph.
        given: seconds of a step, as the file or the caller says; None where neither does.

    A step that is given is believed. Else it takes :data:`DT` seconds, with two exceptions, each
    told by a warning: time constants that are all above 1 (a second is no time constant of a
    neuron that steps in 0.1 ms) are numbers of steps, and an ``IF`` whose R is not 1 / DT
    integrates per step, so that its threshold is taken as it stands.
    """
    if given is not None:
        return list(places), float(given)
    slow = [place.name for place in places if _least_constant(place) > 1]
    if slow and all(place.name in slow for place in places if _least_constant(place) > 0):
        _warn(f"the time constants of {', '.join(slow)} (all above 1)")
        return list(places), 1.0
    return _integrators_in_steps(places), DT


def _least_constant(place: Place) -> float:
    """The smallest time constant of a node; 0 if it has none."""
    found = [np.min(getattr(place.node, name)) for name in _CONSTANTS if hasattr(place.node, name)]
    return float(min(found, default=0))


def _integrators_in_steps(places: Sequence[Place]) -> list[Place]:
    import nir

    found, in_steps = [], []
    for place in places:
        # With R = 1 / dt a current enters unscaled, as programs write it that think in seconds.
        if isinstance(place.node, nir.IF) and not np.allclose(place.node.r * DT, 1):
            node = nir.IF(place.node.r / DT, place.node.v_threshold, place.node.v_reset)
            node.metadata = place.node.metadata
            in_steps.append(place.name)
            place = replace(place, node=node)
        found.append(place)
    if in_steps:
        _warn(f"the thresholds of {', '.join(in_steps)} (IF)")
    return found


def _warn(what: str) -> None:
    warnings.warn(
        f"The file does not say how long a step is: {what} are taken as they stand, in steps and "
        "not in seconds; give dt if that is wrong.",
        stacklevel=4,
    )
