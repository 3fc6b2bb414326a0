"""LIF neurons counted against a reference (:class:`lfp_snn.rules.Rescale`): gate and step.

The equations are those of :func:`lfp_snn.lif.rescale`. Where the gate is open is told once, as
bits, one a neuron and step; credit arrives at open entries alone, so that the step backwards asks
for no gate.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import njit, prange, types
from numba.core import cgutils
from numba.extending import intrinsic

from lfp_snn.backends.events.lists import Lists, lists_from_bits
from lfp_snn.backends.events.neuron import (
    SUBTRACT,
    SUBTRACT_NOW,
    ZERO,
    ZERO_NOW,
    kept_of,
)
from lfp_snn.backends.events.vectors import (
    LANES,
    jump_table,
    load,
    pointer,
    splat,
    store,
    vector_function,
)
from lfp_snn.backends.events.workspace import Workspace

_I64 = ir.IntType(64)
_I16 = ir.IntType(16)

_SLOPE, _OF_RELEVANCE, _WINDOW = range(3)
RELEVANCE = -1
"""The form of a step under every other split: what arrives is relevance."""


class Counted(NamedTuple):
    """The rule as kernels take it: its gate (window or positive), its carry, and ``eps``."""

    window: bool
    decay: bool
    eps: float


def split_and_form(split: float | Counted, *, dense: bool, as_credit: bool) -> tuple[float, int]:
    """``eps`` and the form of the step: :data:`RELEVANCE`, or a code of :func:`rescale_step`.

    A dense reward, relevance or credit, has no gate.
    """
    if not isinstance(split, Counted):
        return split, RELEVANCE
    gated = _WINDOW if split.window else _SLOPE
    kind = gated if not dense else _SLOPE if as_credit else _OF_RELEVANCE
    return split.eps, 2 * kind + int(split.decay)


@intrinsic
def open_gate(typingctx, u, u_at, theta, constant_at, window, bits, word, length):  # type: ignore[no-untyped-def]
    """Mark where credit passes, as bits from bit ``16 * word`` on: uint16, ``length`` neurons.

    The gate is ``u > 0``, or under ``window`` ``|u - theta| < theta``; it is always open where
    theta is infinite. A spike that lies beyond the window is marked too, since relevance reaches
    all spikes.
    """
    at = types.intp
    signature = types.void(u, at, theta, at, types.boolean, bits, at, at)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        kinds = signature.args
        where = {k: pointer(context, builder, kinds[k], args[k]) for k in (0, 2, 5)}
        vector = ir.VectorType(context.get_value_type(kinds[0].dtype), LANES)
        size = vector_function(builder, "fabs", vector, 1)
        zero = ir.Constant(vector, [0.0] * LANES)
        endless = ir.Constant(vector, [float("inf")] * LANES)
        window = builder.icmp_signed("!=", args[4], ir.Constant(args[4].type, 0))
        with cgutils.for_range_slice(builder, _I64(0), args[7], _I64(LANES)) as (k, _):
            u = load(context, builder, kinds[0], where[0], builder.add(args[1], k))
            theta = load(context, builder, kinds[2], where[2], builder.add(args[3], k))
            near = builder.fcmp_ordered("<", builder.call(size, [builder.fsub(u, theta)]), theta)
            near = builder.or_(near, builder.fcmp_ordered(">", u, theta))
            opened = builder.select(window, near, builder.fcmp_ordered(">", u, zero))
            opened = builder.or_(opened, builder.fcmp_ordered("==", theta, endless))
            slot = builder.add(args[6], builder.udiv(k, _I64(LANES)))
            builder.store(builder.bitcast(opened, _I16), builder.gep(where[5], [slot]))
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def rescale_step(  # type: ignore[no-untyped-def]
    typingctx,
    u,
    u_at,
    last,
    last_at,
    beta,
    theta,
    constant_at,
    code,
    form,
    eps,
    direct,
    direct_at,
    m,
    m_at,
    n,
    n_at,
    length,
):
    """One step backwards of ``length`` neurons (a multiple of LANES).

    On entry ``direct`` holds the credit ``c_t``, zero where :func:`open_gate` has no bit, and m the
    numerator of ``k_t n_{t+1}``; on return n holds ``n_t`` and m the numerator for the step before.
    ``u`` is ``u_t`` and ``last`` is ``w_{t-1}``. The form is 1 under the decay carry, else 0, and 2
    more if ``direct`` holds relevance, 4 more under the window. With ``D = |v| + |p - v| + eps``::

        slope       1 / (|u - theta| + theta + eps), 0 beyond a window; 1 / D of relevance
        reference   n = slope c + m / D          m = n beta v
        decay       n = slope c + m dw/du        m = n beta dv/dw
    """
    at = types.intp
    signature = types.void(
        u, at, last, at, beta, theta, at, at, at, eps, direct, at, m, at, n, at, at
    )

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        kinds = signature.args
        u_at, last_at, constant_at, code, form, direct_at, m_at, n_at, length = (
            args[k] for k in (1, 3, 6, 7, 8, 11, 13, 15, 16)
        )
        where = {k: pointer(context, builder, kinds[k], args[k]) for k in (0, 2, 4, 5, 10, 12, 14)}
        vector = ir.VectorType(context.get_value_type(kinds[0].dtype), LANES)
        size = vector_function(builder, "fabs", vector, 1)
        stabiliser = splat(builder, args[9])
        zero, endless = (ir.Constant(vector, [value] * LANES) for value in (0.0, float("inf")))

        def get(k: int, offset: Any) -> Any:
            return load(context, builder, kinds[k], where[k], offset)

        def spread(a: Any, b: Any) -> Any:
            """``|a| + b + eps``."""
            return builder.fadd(builder.fadd(builder.call(size, [a]), b), stabiliser)

        def emit(code: int, decay: bool, kind: int) -> None:
            with cgutils.for_range_slice(builder, _I64(0), length, _I64(LANES)) as (k, _):
                theta = get(5, builder.add(constant_at, k))
                beta = get(4, builder.add(constant_at, k))
                kept, pending = kept_of(builder, get(2, builder.add(last_at, k)), theta, code)
                u = get(0, builder.add(u_at, k))
                p = u
                if code in (SUBTRACT, SUBTRACT_NOW):
                    p = builder.select(pending, builder.fadd(u, theta), u)
                whole = spread(builder.fsub(p, kept), builder.call(size, [kept]))
                distance = builder.fsub(u, theta)
                counted = whole if kind == _OF_RELEVANCE else spread(distance, theta)
                arrived = get(10, builder.add(direct_at, k))
                n = builder.fdiv(arrived, counted)
                if kind == _WINDOW:
                    near = builder.fcmp_ordered("<", builder.call(size, [distance]), theta)
                    n = builder.select(near, n, zero)
                if kind != _OF_RELEVANCE:
                    n = builder.select(builder.fcmp_ordered("==", theta, endless), arrived, n)
                handed = get(12, builder.add(m_at, k))
                if not decay:
                    handed = builder.fdiv(handed, whole)
                if code == ZERO_NOW:
                    handed = builder.select(builder.fcmp_ordered(">", u, theta), zero, handed)
                n = builder.fadd(n, handed)
                left = beta if decay else builder.fmul(beta, kept)
                if decay and code == ZERO:
                    left = builder.select(pending, zero, beta)
                store(context, builder, kinds[14], n, where[14], builder.add(n_at, k))
                following = builder.fmul(n, left)
                store(context, builder, kinds[12], following, where[12], builder.add(m_at, k))

        table: list[tuple[int, Callable[[], None]]] = [
            (known + 5 * form, partial(emit, known, form % 2 == 1, form // 2))
            for form in range(6)
            for known in range(5)
        ]
        jump_table(builder, builder.add(code, builder.mul(form, _I64(5))), table)
        return context.get_dummy_value()

    return signature, codegen


@njit(cache=True, parallel=True)
def _open_rows(u, theta, window, lengths, units, bits):  # type: ignore[no-untyped-def]
    batch, steps, padded = u.shape
    flat, halves = u.reshape(-1), bits.reshape(-1).view(np.uint16)
    spare = np.uint64(0xFFFFFFFFFFFFFFFF) >> np.uint64((64 - units % 64) % 64)
    for f in prange(batch * steps):
        if f % steps < lengths[f // steps]:
            open_gate(flat, f * padded, theta, 0, window, halves, f * (padded // LANES), padded)
            bits[f, bits.shape[1] - 1] &= spare
        else:
            bits[f] = 0


@njit(cache=True, parallel=True)
def _mark_spikes(indptr, indices, bits, values):  # type: ignore[no-untyped-def]
    for f in prange(indptr.size - 1):
        for e in range(indptr[f], indptr[f + 1]):
            word = bits[f, indices[e] >> 6] >> np.uint64(indices[e] & 63)
            values[e] = word & np.uint64(1)


def open_rows(
    u: np.ndarray, spikes: np.ndarray, theta: np.ndarray, lengths: np.ndarray, units: int,
    window: bool, work: Workspace,
) -> Lists:  # fmt: skip
    """The entries of rows of neurons at which the gate is open, their spikes as the values.

    Args:
        u: the membranes [B, T, P] that were compared, P a multiple of 64.
        spikes: the spikes as bits, uint64 [B*T, P / 64].
        theta: the thresholds [P].
        lengths: the steps of each sample, int64 [B].
        units: the number of neurons among the P.
        window: whether the gate is the window; otherwise it is the positive one.
        work: the buffers in which the lists live.
    """
    bits = work.get("open", spikes.shape, np.uint64)
    _open_rows(u, theta, window, lengths, units, bits)
    listed = lists_from_bits(bits, work)
    values = work.get("open_spikes", (listed.indices.size,), u.dtype)
    _mark_spikes(listed.indptr, listed.indices, spikes, values)
    return listed._replace(values=values)
