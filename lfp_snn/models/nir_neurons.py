"""Neurons of the Neuromorphic Intermediate Representation, as snntorch has them.

``LIF``, ``IF`` and ``CubaLIF`` spike. ``LI``, ``I`` and ``CubaLI`` integrate and never do: as the
output of a graph they are a readout, whose membranes are what the network says.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import snntorch as snn
import torch
from torch import Tensor, nn

from lfp_snn.models.nir_graph import Place, integrating_nodes, metadata_of
from lfp_snn.models.nir_synapses import InputScaled, refuse, synapse_of

__all__ = ["neurons_of"]

FLOAT = npt.NDArray[np.float64]


def neurons_of(place: Place, dt: float, output: bool) -> nn.Module:
    """The neurons of a node, or for what integrates alone a readout.

    Args:
        place: the node, with the synapse by which its neurons hear themselves.
        dt: the duration of a step.
        output: whether the node is the output of the graph.

    Raises:
        NetworkError: snntorch has no such neurons; the message names the node and the reason.
    """
    name, node = place.name, place.node
    for key, what in (("v_reset", "a reset"), ("v_leak", "a leak")):
        if np.any(getattr(node, key, 0) != 0):
            raise refuse(name, node, f"{what} to another value than zero")
    beta, alpha, gain = _decays(name, node, dt)
    if not np.all(np.isfinite(gain) & (gain > 0)):
        raise refuse(name, node, f"a current that enters with the factor {gain.min():g}, not > 0")
    own: dict[str, Any] = {"beta": _constant(beta), "init_hidden": True, "output": output}
    if alpha is not None:
        own["alpha"] = _constant(alpha)
    if isinstance(node, integrating_nodes()):
        return _readout(place, own, gain)
    return _spiking(place, own, gain)


def _decays(name: str, node: Any, dt: float) -> tuple[FLOAT, FLOAT | None, FLOAT]:
    """The decays of membrane and synaptic current, and the factor with which a spike enters."""
    import nir

    if isinstance(node, nir.IF | nir.I):
        gain = dt * np.asarray(node.r, np.float64)
        return np.ones_like(gain), None, gain
    if isinstance(node, nir.LIF | nir.LI):
        beta, gain = _decay(name, node, node.tau, node.r, dt)
        return beta, None, gain
    beta, gain = _decay(name, node, node.tau_mem, node.r, dt)
    alpha, entering = _decay(name, node, node.tau_syn, node.w_in, dt)
    return beta, alpha, gain * entering


def _spiking(place: Place, own: dict[str, Any], gain: FLOAT) -> nn.Module:
    """Neurons with a threshold, in the unit of membrane in which a current enters as it is."""
    name, node = place.name, place.node
    known = metadata_of(node)
    dtype = {"float32": torch.float32, "float64": torch.float64}.get(
        str(known.get("dtype", "float32")), torch.float32
    )
    own = own | {
        "threshold": _constant(np.asarray(node.v_threshold / gain), dtype),
        "reset_mechanism": str(known.get("reset_mechanism", "zero")),
        "reset_delay": bool(known.get("reset_delay", False)),
    }
    if place.loop is None:
        kind: Any = snn.Synaptic if "alpha" in own else snn.Leaky
        made: nn.Module = kind(**own)
        return made
    if "alpha" not in own:
        return _recurrent(name, place.loop, snn.RLeaky, own, dtype)
    if not own["reset_delay"]:
        raise refuse(
            name,
            node,
            "a loop and a reset at once, at which snntorch's RSynaptic fails; it resets one step "
            "after the spike",
        )
    return _recurrent(name, place.loop, snn.RSynaptic, own, dtype)


def _readout(place: Place, own: dict[str, Any], gain: FLOAT) -> nn.Module:
    """Neurons that never spike; what they say is the membrane, so that its unit counts."""
    if not own["output"]:
        raise refuse(
            place.name,
            place.node,
            "a membrane to pass on, which the output of a graph alone can be",
        )
    if np.ptp(gain) > 1e-9 * gain.max():
        raise refuse(
            place.name,
            place.node,
            f"currents that enter with factors from {gain.min():g} to {gain.max():g}; only one for "
            "all of its neurons is known",
        )
    never = {"threshold": float("inf"), "reset_mechanism": "none"}
    kind: Any = snn.Synaptic if "alpha" in own else snn.Leaky
    made: nn.Module = kind(**own, **never)
    factor = float(gain.flat[0])
    return made if np.isclose(factor, 1, rtol=1e-9) else InputScaled(made, factor)


def _decay(name: str, node: Any, tau: Any, factor: Any, dt: float) -> tuple[FLOAT, FLOAT]:
    """What is left of a state after a step, and the factor with which its input enters."""
    lost = np.asarray(dt / tau, np.float64)
    left = 1 - lost
    if not np.all((left >= -1e-12) & (left <= 1)):
        raise refuse(
            name, node, f"a decay of {left.min():g} in a step of {dt:g} s; give a dt <= tau"
        )
    return left, lost * factor


def _recurrent(
    name: str, loop: Any, kind: Any, options: dict[str, Any], dtype: torch.dtype
) -> nn.Module:
    """Neurons ``kind`` that hear their own spikes a step later, through the synapse ``loop``."""
    import nir

    neuron: Any
    if isinstance(loop, nir.Scale) or metadata_of(loop).get("recurrent") == "one_to_one":
        factors = loop.scale if isinstance(loop, nir.Scale) else np.diag(loop.weight)
        neuron = kind(V=_constant(factors, dtype), all_to_all=False, **options)
    else:
        synapse: Any = synapse_of(name, loop)
        if isinstance(synapse, nn.Linear):
            neuron = kind(linear_features=synapse.out_features, **options)
        else:
            kernel = synapse.kernel_size
            plain = synapse.stride == synapse.dilation == (1, 1) and synapse.groups == 1
            if not plain or synapse.padding != tuple(k // 2 for k in kernel):
                raise refuse(
                    name,
                    loop,
                    f"stride, dilation, groups or padding that no {kind.__name__} has in snntorch",
                )
            channels = synapse.out_channels
            neuron = kind(conv2d_channels=channels, kernel_size=kernel, **options)
        neuron.recurrent = synapse
    made: nn.Module = neuron
    return made


def _constant(values: FLOAT, dtype: torch.dtype = torch.float32) -> Tensor:
    """A constant of neurons, in the smallest shape that holds it."""
    return torch.tensor(_narrow(values), dtype=dtype)


def _narrow(values: FLOAT) -> FLOAT:
    """One value for all neurons or one a channel, where all of those are equal."""
    flat = values.reshape(-1)
    if flat.size and (flat == flat[0]).all():
        return np.array(flat[0])
    if values.ndim == 3 and (values == values[:, :1, :1]).all():
        return values[:, :1, :1]
    return values
