"""The outputs of a convolution that take credit under a rule that reaches silent neurons."""

from functools import lru_cache

import numpy as np

from lfp_snn.backends.events.conv import ConvTrace, Opened, cells_of, outlet_of
from lfp_snn.backends.events.conv_kernels import Gates, Record, forward
from lfp_snn.backends.events.geometry import ConvShape, geometry
from lfp_snn.backends.events.lists import entries, take_values
from lfp_snn.backends.events.neuron import Neuron
from lfp_snn.backends.events.pool import Pooling, pool_bits
from lfp_snn.backends.events.rescale import Counted
from lfp_snn.backends.events.scan import half_words
from lfp_snn.backends.events.workspace import Workspace


def conv_open(trace: ConvTrace, neuron: Neuron, rule: Counted, work: Workspace) -> Opened:
    """The outputs that lead to a neuron that spiked or whose gate is open.

    A maximum over a silent window stands for its first unit, as torch has it.

    Args:
        trace: the recorded trace of the forward pass.
        neuron: the constants of the forward pass.
        rule: the rule that says where the gate is open; a forward pass that did not know it is
            repeated.
        work: the buffers in which the result lives.
    """
    shape, dtype = trace.shape, trace.state.dtype
    outlet = outlet_of(shape, trace.pooling, dtype)
    known = trace.gates.bits.size and trace.gates.window == rule.window
    gates = trace.gates.bits if known else _gates(trace, neuron, rule, work)
    reach = work.get("reach", trace.bits.shape, np.uint64)
    marked = work.get("marked", trace.bits.shape, np.uint64)
    np.bitwise_and(gates, _reached(shape, trace.pooling), out=reach)
    np.bitwise_or(reach, trace.bits, out=marked)
    np.bitwise_xor(marked, trace.bits, out=reach)  # those that are silent
    listed = pool_bits(marked, outlet.target, None, outlet.share.size, trace.span.steps, work)
    values = work.get("left", (listed.indices.size,), dtype)
    take_values(listed, trace.out, values)
    return Opened(listed._replace(values=values), reach)


def _gates(trace: ConvTrace, neuron: Neuron, rule: Counted, work: Workspace) -> np.ndarray:
    """The open gates, from the forward pass once more."""
    shape, dtype, record = trace.shape, trace.state.dtype, trace.record
    first = record.w.reshape(trace.state.shape[0], record.rows, -1)[:, 0]  # before the first step
    state, spikes = first.copy(), np.empty_like(trace.bits)
    gates = work.get("gates", trace.bits.shape, np.uint64)
    nothing = np.zeros(0, dtype)
    forward(
        geometry(shape).tables, entries(trace.x, dtype), trace.synapse,
        cells_of(neuron, shape, dtype), trace.span, state.reshape(-1),
        Record(nothing, nothing, 0, record.every), half_words(spikes),
        Gates(half_words(gates), rule.window),
    )  # fmt: skip
    return gates


@lru_cache(maxsize=64)
def _reached(shape: ConvShape, pooling: Pooling | None) -> np.ndarray:
    """The lanes that credit may reach while they are silent, as bits uint64 [lanes/64]."""
    outlet = outlet_of(shape, pooling, np.dtype(np.float32))
    lanes = outlet.target >= 0
    if outlet.first_only:
        _, first = np.unique(outlet.target, return_index=True)
        lanes &= np.isin(np.arange(lanes.size), first)
    return np.packbits(lanes, bitorder="little").view(np.uint64)
