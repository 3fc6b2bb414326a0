"""The normalisation of a convolution's currents: statistics, and the way back through them."""

import numpy as np

from lfp_snn.backends.events import conv
from lfp_snn.backends.events.conv_backward import Cancelled
from lfp_snn.backends.events.conv_kernels import SynapseLayout, moments
from lfp_snn.backends.events.geometry import ConvShape, Geometry, geometry
from lfp_snn.backends.events.lists import Lists, entries
from lfp_snn.backends.events.neuron import Neuron
from lfp_snn.backends.events.rescale import Counted
from lfp_snn.backends.events.workspace import Workspace


def current_moments(
    x: Lists,
    steps: int,
    shape: ConvShape,
    weight: np.ndarray,
    bias: np.ndarray | None,
    work: Workspace,
    *,
    lengths: np.ndarray | None = None,
) -> tuple[np.ndarray, np.ndarray, int]:
    """The sums of each channel of the currents, over all frames that run and all places.

    Returns:
        The sum of the currents and the sum of their squares, float64 [outputs] both, and the number
        of values that were added.
    """
    batch, layout = (x.indptr.size - 1) // steps, geometry(shape)
    span = conv.span_of(batch, steps, lengths)
    synapse = _without_norm(weight, bias, shape, work)
    sums = work.zeros(
        "moments", (conv.pieces_of(batch), 2, _width(layout, shape)), np.dtype(np.float64)
    )
    moments(layout.tables, entries(x, weight.dtype), synapse, span, sums)
    first, second = _by_channel(sums, layout, shape)
    return first, second, int(span.lengths.sum()) * (shape.units // shape.outputs)


def credit_products(
    trace: conv.ConvTrace,
    neuron: Neuron,
    split: float | Counted,
    sent: conv.Sent,
    normed: conv.Normed,
    work: Workspace,
) -> tuple[np.ndarray, np.ndarray]:
    """Sums of the credit ``n`` of what was normalised and of ``n`` times the current, by channel.

    Args:
        trace: the trace of the forward pass over a whole sequence, which had the norm in its
            weights.
        neuron: the constants of the forward pass.
        split: the split, as :func:`~lfp_snn.backends.events.conv.conv_backward` takes it.
        sent: what arrived at the neurons.
        normed: the result of :func:`through_norm`, with nothing left out.
        work: the buffers.

    Returns:
        Both sums, float64 [outputs].
    """
    shape, layout, dtype = trace.shape, geometry(trace.shape), trace.state.dtype
    pieces = conv.pieces_of(trace.span.lengths.size)
    products = work.zeros("products", (pieces, 2, _width(layout, shape)), np.dtype(np.float64))
    nothing = np.zeros((pieces, 1, 0), dtype)
    conv.send_back(
        trace, neuron, split, sent, None, work, trace.x, None, normed, products, nothing,
        nothing, False, np.zeros(0, dtype),
    )  # fmt: skip
    first, second = _by_channel(products, layout, shape)
    return first, second


def through_norm(
    shape: ConvShape,
    weight: np.ndarray,
    bias: np.ndarray | None,
    work: Workspace,
    cancelled: tuple[np.ndarray, np.ndarray] | None = None,
) -> conv.Normed:
    """The credit that the kernels leave out of ``n``: ``offset + slope * current``, by channel.

    Args:
        shape: the shape of the convolution.
        weight: the weight without the norm.
        bias: the bias without the norm.
        work: the buffers in which the result lives.
        cancelled: offset and slope [outputs], or None if nothing is left out.
    """
    synapse, dtype = _without_norm(weight, bias, shape, work), weight.dtype
    if cancelled is None:
        return conv.Normed(synapse, Cancelled(np.zeros(0, dtype), np.zeros(0, dtype)))
    channel = _channels(geometry(shape), shape)
    offset, slope = (
        np.where(channel >= 0, each[channel], 0).astype(dtype, copy=False) for each in cancelled
    )
    return conv.Normed(synapse, Cancelled(offset, slope))


def _without_norm(
    weight: np.ndarray, bias: np.ndarray | None, shape: ConvShape, work: Workspace
) -> SynapseLayout:
    laid = work.get("raw weight", geometry(shape).gather.shape, weight.dtype)
    return conv.laid_out(weight, bias, shape, laid)


def _width(layout: Geometry, shape: ConvShape) -> int:
    """The number of places in a row of each group."""
    return shape.groups * layout.tables.width


def _channels(layout: Geometry, shape: ConvShape) -> np.ndarray:
    """The channel of each place in a row of each group [groups * width]; -1 in the padding."""
    tables = layout.tables
    rows = layout.order[: tables.map_rows * tables.width].reshape(-1, tables.width)
    first = rows[:: tables.group_rows].reshape(-1)
    return np.where(first >= 0, first // (shape.units // shape.outputs), -1)


def _by_channel(sums: np.ndarray, layout: Geometry, shape: ConvShape) -> np.ndarray:
    """Sums [pieces, 2, groups * width] to [2, outputs], in an order that does not change."""
    channel, total = _channels(layout, shape), sums.sum(0)
    found = np.zeros((2, shape.outputs))
    for which in range(2):
        np.add.at(found[which], channel[channel >= 0], total[which, channel >= 0])
    return found
