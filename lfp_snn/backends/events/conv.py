"""Convolution with LIF neurons and a pooling that does not overlap, on lists of active inputs.

Samples are taken one at a time: the map of membranes stays in the cache, and events are added and
neurons stepped in one pass (tables: :mod:`lfp_snn.backends.events.geometry`). Of each neuron and
step only one bit is stored, and the membranes while they are few. Otherwise the backward pass
repeats the forward steps from membranes kept every ``every`` steps, with the same additions in the
same order, and so finds the same bits.
"""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from lfp_snn.backends.events.conv_backward import (
    Cancelled,
    Outlet,
    Returned,
    backward,
    collect,
)
from lfp_snn.backends.events.conv_kernels import (
    Cells,
    Gates,
    Record,
    Span,
    SynapseLayout,
    forward,
)
from lfp_snn.backends.events.geometry import ConvShape, Tables, geometry
from lfp_snn.backends.events.lists import Lists, entries, take_values
from lfp_snn.backends.events.neuron import Neuron, keeps_u
from lfp_snn.backends.events.pool import Pooling, pool_bits
from lfp_snn.backends.events.rescale import Counted, split_and_form
from lfp_snn.backends.events.scan import SynapseFeedback, half_words
from lfp_snn.backends.events.shares import GAMMA, Shares
from lfp_snn.backends.events.workspace import Workspace

_PARTS = 16
"""Pieces of the batch whose feedback is summed apart, whatever the number of threads."""
_TILE = 1 << 19
"""Bytes of membranes that the backward pass repeats at a time: half of a core's L2 cache."""
_STORE = 1 << 25
"""Bytes of membranes up to which a layer stores them all instead: about an L3 cache.

Measured on one core: 20 MB stored (N-MNIST, a second layer, where inputs cost most) made forward 2
ms slower and backward 17 ms faster; 55 MB (a first layer) 5 ms slower and 4 ms faster. A graph for
BPTT keeps several arrays of that size per layer.
"""


class ConvTrace(NamedTuple):
    """The trace of a forward pass for the backward pass; it lives in the layer's workspace.

    ``out`` lists what leaves the stage (spikes, or what was pooled from them). ``bits`` uint64
    [B*T, lanes/64] are the neurons' spikes by lane, ``gates`` where the gate was open if that was
    asked, ``record`` the membranes of all steps or of some, ``state`` [B, lanes] those after the
    last.
    """

    out: Lists
    bits: np.ndarray
    gates: Gates
    record: Record
    state: np.ndarray
    x: Lists
    synapse: SynapseLayout
    span: Span
    shape: ConvShape
    pooling: Pooling | None


class Opened(NamedTuple):
    """The places where a rule asks a convolution for credit, also at silence.

    ``entries`` lists places of the stage's output, with what left there as values (0 where nothing
    did); ``reach`` uint64 [B*T, lanes/64] has the silent neurons that this credit goes to.
    """

    entries: Lists
    reach: np.ndarray


class Normed(NamedTuple):
    """A synapse without the norm behind it, and what the statistics of that cancel."""

    synapse: SynapseLayout
    cancelled: Cancelled


class Sent(NamedTuple):
    """The credit that arrived at the neurons of a layer, as arguments of :func:`conv_backward`."""

    reward: np.ndarray | None
    credit: np.ndarray | None
    opened: Opened | None
    as_credit: bool

    def returned(self, trace: ConvTrace) -> Returned:
        """What arrived, in the form that the kernels take."""
        if (self.reward is None) == (self.credit is None):
            raise ValueError("a convolution takes back either a reward or a credit")
        dtype, words = trace.state.dtype, trace.bits.shape[1]
        given = trace.out if self.opened is None else self.opened.entries
        credit, reward = self.credit, self.reward
        return Returned(
            given.indptr,
            given.indices,
            np.zeros(0, dtype) if credit is None else np.ascontiguousarray(credit, dtype),
            np.zeros((0, 0, 0), dtype) if reward is None else np.ascontiguousarray(reward, dtype),
            np.zeros((0, words), np.uint64) if self.opened is None else self.opened.reach,
        )


def _to_lanes(x: np.ndarray, shape: ConvShape, empty: float, dtype: np.dtype) -> np.ndarray:
    """An array [..., units] in (channel, row, column) order, or of size 1, laid out by lane."""
    layout = geometry(shape)
    lanes = np.full((*x.shape[:-1], layout.tables.lanes), empty, dtype)
    units = layout.units(lanes, shape)
    units[:] = x[..., None, None, None] if x.shape[-1] == 1 else x.reshape(units.shape)
    return lanes


def by_unit(lanes: np.ndarray, shape: ConvShape) -> np.ndarray:
    """A copy [B, units], in (channel, row, column) order, of an array [B, lanes]."""
    units = np.empty((lanes.shape[0], shape.units), lanes.dtype)
    found = geometry(shape).units(lanes, shape)
    units.reshape(found.shape)[:] = found
    return units


def cells_of(neuron: Neuron, shape: ConvShape, dtype: np.dtype) -> Cells:
    """The constants of neurons by lane."""
    tables = geometry(shape).tables
    rows = 1 if neuron.beta.size == neuron.theta.size == 1 else tables.map_rows
    beta, theta = (
        _to_lanes(values.reshape(-1), shape, empty, dtype)[: rows * tables.width].reshape(rows, -1)
        for values, empty in ((neuron.beta, 0.0), (neuron.theta, np.inf))
    )
    alike = bool((beta == beta[0]).all() and (theta == theta[0]).all())
    return Cells(beta.reshape(-1), theta.reshape(-1), 0 if alike else tables.width, neuron.dynamics)


def _bias_rows(
    bias: np.ndarray | None, shape: ConvShape, tables: Tables, dtype: np.dtype
) -> np.ndarray:
    """The bias at every place of the map's rows, gaps zero."""
    rows = np.zeros((shape.groups, shape.out_size[0], tables.pitch), dtype)
    if bias is not None:
        deep = shape.outputs // shape.groups
        line = np.tile(bias.reshape(shape.groups, 1, deep), (1, 1, shape.out_size[1]))
        rows[:, :, : line.shape[2]] = line
    return rows.reshape(-1)


def laid_out(
    weight: np.ndarray, bias: np.ndarray | None, shape: ConvShape, laid: np.ndarray
) -> SynapseLayout:
    """A synapse in the layout of the tables; its weights are written to ``laid``."""
    layout = geometry(shape)
    np.take(weight.reshape(-1), layout.gather, out=laid, mode="wrap")
    laid[layout.gather < 0] = 0
    step = layout.tables.pitch if bias is not None and shape.groups > 1 else 0
    return SynapseLayout(laid, _bias_rows(bias, shape, layout.tables, weight.dtype), step)


def span_of(batch: int, steps: int, lengths: np.ndarray | None) -> Span:
    """The steps of every sample, T where ``lengths`` is None."""
    whole = np.full(batch, steps, np.int64) if lengths is None else lengths.astype(np.int64)
    return Span(whole, steps)


def pieces_of(batch: int) -> int:
    """The number of pieces that a batch is cut into, whose sums are added up apart."""
    return min(_PARTS, batch)


def conv_forward(
    x: Lists,
    steps: int,
    shape: ConvShape,
    weight: np.ndarray,
    bias: np.ndarray | None,
    neuron: Neuron,
    work: Workspace,
    *,
    pooling: Pooling | None = None,
    lengths: np.ndarray | None = None,
    state: np.ndarray | None = None,
    record: bool = True,
    rule: Counted | None = None,
) -> ConvTrace:
    """Convolution at the active inputs, the neurons' step and a pooling, over all of T.

    Args:
        x: the input, lists of B*T frames of (channel, row, column).
        steps: T, the number of time steps.
        shape: the shape of the convolution.
        weight: the weight [outputs, channels / groups, *kernel], float32 or float64, which is the
            dtype of everything else too.
        bias: the bias [outputs] or ``None``.
        neuron: the constants, of size 1 or one per neuron in (channel, row, column) order.
        work: the buffers; the trace lives in them until the layer's next forward pass.
        pooling: a pooling of the spikes with disjoint windows; its result is then the output.
        lengths: the steps of each sample, int [B] (:mod:`lfp_snn.lif`).
        state: the membranes [B, ...] before the first step; zero if ``None``.
        record: whether to keep what the backward pass needs.
        rule: the rule of the backward pass, where it asks for credit at open gates: they are told
            while the membranes are at hand.
    """
    layout, dtype = geometry(shape), weight.dtype
    tables = layout.tables
    batch = (x.indptr.size - 1) // steps
    held = work.zeros("state", (batch, tables.lanes), dtype)
    if state is not None:
        held[:] = _to_lanes(state.reshape(batch, -1), shape, 0.0, dtype)
    bits = work.get("bits", (batch * steps, tables.lanes // 64), np.uint64)
    synapse = laid_out(weight, bias, shape, work.get("weight", layout.gather.shape, dtype))
    span = span_of(batch, steps, lengths)
    kept = _open_record(batch if record else 0, steps, tables, neuron, dtype, work)
    window = rule is not None and rule.window
    opened = work.get("gates", bits.shape if record and rule is not None else (0, 0), np.uint64)
    forward(
        tables, entries(x, dtype), synapse, cells_of(neuron, shape, dtype), span,
        held.reshape(-1), kept, half_words(bits), Gates(half_words(opened), bool(window)),
    )  # fmt: skip
    outlet = outlet_of(shape, pooling, dtype)
    share = None if pooling is None or pooling.maximum else outlet.share
    out = pool_bits(bits, outlet.target, share, outlet.share.size, steps, work)
    return ConvTrace(out, bits, Gates(opened, window), kept, held, x, synapse, span, shape, pooling)


def _open_record(
    batch: int, steps: int, tables: Tables, neuron: Neuron, dtype: np.dtype, work: Workspace
) -> Record:
    """Open room for all membranes, or for the ones from which the others are repeated."""
    maps = 2 if keeps_u(neuron.dynamics) else 1
    step = maps * tables.lanes * dtype.itemsize
    whole = batch * steps * step <= _STORE
    every = 1 if whole else max(2, _TILE // step)
    rows = 0 if batch == 0 else steps + 1 if whole else -(-steps // every)
    w = work.get("w", (batch * rows * tables.lanes,), dtype)
    u = work.get("u", (batch * steps * tables.lanes if whole and maps == 2 else 0,), dtype)
    return Record(w, u, rows, every)


@lru_cache(maxsize=64)
def outlet_of(shape: ConvShape, pooling: Pooling | None, dtype: np.dtype) -> Outlet:
    """The places at which the spikes of a convolution's neurons leave the stage."""
    order = geometry(shape).order
    if pooling is None:
        return Outlet(order, np.ones(shape.units, dtype), False)
    if not pooling.disjoint:
        raise ValueError("windows that overlap do not fuse with a convolution: use pool_forward")
    target = np.where(order >= 0, pooling.target()[order], -1)
    return Outlet(target, pooling.share.astype(dtype), pooling.maximum)


def conv_backward(
    trace: ConvTrace,
    weight: np.ndarray,
    bias: np.ndarray | None,
    neuron: Neuron,
    split: float | Counted,
    work: Workspace,
    *,
    reward: np.ndarray | None = None,
    credit: np.ndarray | None = None,
    opened: Opened | None = None,
    as_credit: bool = False,
    input_credit: Lists | bool = True,
    carried: np.ndarray | None = None,
    shares: Shares | None = None,
    scaled: bool = True,
    normed: Normed | None = None,
) -> SynapseFeedback:
    """Feedback of the layer and credit of its input, one value per entry of it.

    Args:
        trace: the recorded trace of the forward pass.
        weight: the weight of the forward pass.
        bias: the bias of the forward pass.
        neuron: the constants of the forward pass.
        split: the stabiliser of the denominator, or the split that it stands for.
        work: the buffers (may be those of the forward pass); the results live in them.
        reward: the reward ``R``, dense [B, T, units] (an output layer without pooling).
        credit: the credit in the place of a reward, one value per entry of ``trace.out``, or per
            entry of ``opened``.
        opened: the result of :func:`~lfp_snn.backends.events.conv_open.conv_open`, where the rule
            gives credit to silent neurons.
        as_credit: whether the reward is credit, for such a rule.
        input_credit: whether the credit of the input is wanted, or the entries at which it is
            wanted, among them the input's own.
        carried: ``M``, as in :func:`~lfp_snn.backends.events.scan.credit_scan`.
        shares: the sharing of a rule that tells signs apart; the input must not be negative then.
        scaled: whether feedback has the factor ``|w|``; otherwise it is the sums without it.
        normed: the result of :func:`~lfp_snn.backends.events.conv_norm.through_norm`, where credit
            goes through the statistics of a norm.
    """
    shape, layout, dtype = trace.shape, geometry(trace.shape), weight.dtype
    tables, x = layout.tables, trace.x
    pieces = pieces_of(trace.span.lengths.size)
    kinds = 1 if shares is None else 2
    sums = work.zeros("sums", (pieces, kinds, layout.gather.size), dtype)
    bias_sums = work.zeros("bias_sums", (pieces, kinds, shape.groups, tables.width), dtype)
    asked = x
    if isinstance(input_credit, Lists):  # what is silent adds nothing to the sums
        values = work.get("asked", (input_credit.indices.size,), dtype)
        asked = input_credit._replace(values=take_values(input_credit, x, values))
    wanted = input_credit is not False
    handed = work.zeros("credit", (asked.indices.size if wanted else 0,), dtype)
    m = send_back(
        trace, neuron, split, Sent(reward, credit, opened, as_credit), carried, work, asked, shares,
        normed, np.zeros((pieces, 2, 0)), sums, bias_sums.reshape(pieces, kinds, -1), wanted,
        handed,
    )  # fmt: skip
    if carried is not None:
        carried[:] = by_unit(m, shape)
    feedback = work.get("feedback", weight.shape, dtype)
    collect(sums, layout.gather, weight.reshape(-1), scaled, feedback.reshape(-1))
    of_bias = None
    if bias is not None:
        columns, deep = shape.out_size[1], shape.outputs // shape.groups
        by_column = bias_sums.sum(0)[..., : columns * deep].reshape(kinds, -1, columns, deep)
        totals = by_column.sum(2).reshape(kinds, -1)
        of_bias = np.where(bias < 0, totals[-1], totals[0])
        if scaled:
            of_bias *= np.abs(bias)
    return SynapseFeedback(feedback, of_bias, handed if wanted else None)


def send_back(
    trace: ConvTrace,
    neuron: Neuron,
    split: float | Counted,
    sent: Sent,
    carried: np.ndarray | None,
    work: Workspace,
    asked: Lists,
    shares: Shares | None,
    normed: Normed | None,
    *into: Any,
) -> np.ndarray:
    """Run the kernel, which adds up in ``into``; gives ``M`` [B, lanes] for the steps before."""
    layout, dtype = geometry(trace.shape), trace.state.dtype
    whole = trace.synapse
    halves = (whole, whole) if shares is None else _by_sign(whole)
    sharing = Shares(GAMMA, 0.0, 1.0) if shares is None else shares  # the kernel wants one
    m = work.zeros("m", (trace.span.lengths.size, layout.tables.lanes), dtype)
    if carried is not None:
        m[:] = _to_lanes(carried, trace.shape, 0.0, dtype)
    eps, form = split_and_form(split, dense=sent.reward is not None, as_credit=sent.as_credit)
    nothing = np.zeros(0, dtype)
    products, *rest = into
    backward(
        layout.tables, entries(trace.x, dtype), entries(asked, dtype), whole, *halves,
        sharing.of(dtype), cells_of(neuron, trace.shape, dtype), trace.span, form, dtype.type(eps),
        trace.record, trace.bits, outlet_of(trace.shape, trace.pooling, dtype),
        sent.returned(trace), *(normed or Normed(whole, Cancelled(nothing, nothing))), products, m,
        *rest,
    )  # fmt: skip
    return m


def _by_sign(synapse: SynapseLayout) -> tuple[SynapseLayout, SynapseLayout]:
    """The positive and the negative weights of a synapse."""
    return (
        synapse._replace(weight=np.maximum(synapse.weight, 0), bias=np.maximum(synapse.bias, 0)),
        synapse._replace(weight=np.minimum(synapse.weight, 0), bias=np.minimum(synapse.bias, 0)),
    )
