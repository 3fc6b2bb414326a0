"""LIF neurons: the step forwards and the credit step backwards, shared by all kernels.

The equations are those of :mod:`lfp_snn.lif`, in the same order of operations and without fused
multiply-adds, so that equal currents give equal membranes. ``w`` is the stored membrane and ``u``
what is compared with the threshold: the same for a delayed reset, so that only the variants
without delay (:func:`keeps_u`) write and read ``u``.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from lfp_snn.backends.events.vectors import (
    LANES,
    jump_table,
    load,
    pointer,
    splat,
    store,
    vector_function,
)

SUBTRACT, ZERO, NONE, SUBTRACT_NOW, ZERO_NOW = range(5)
"""Codes of the dynamics; ``NOW`` stands for reset_delay=False."""

CONSERVING, BY_SIZE = 0.0, -1.0
"""Values of ``eps`` that stand for another split than that with a stabiliser."""

_I64 = ir.IntType(64)
_I16 = ir.IntType(16)


class Neuron(NamedTuple):
    """The constants of N neurons: ``beta`` and ``theta`` of size 1 or N, and a code of dynamics."""

    beta: np.ndarray
    theta: np.ndarray
    dynamics: int = SUBTRACT


def dynamics_code(reset: str, delay: bool) -> int:
    """The code of snntorch's ``reset_mechanism`` (subtract, zero, none) and ``reset_delay``."""
    if reset == "none":
        return NONE
    return {"subtract": SUBTRACT, "zero": ZERO}[reset] + (0 if delay else SUBTRACT_NOW)


def keeps_u(dynamics: int) -> bool:
    """Whether ``u`` differs from ``w``, so that the backward pass needs both."""
    return dynamics >= SUBTRACT_NOW


def constants(neuron: Neuron, units: int, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """The arrays beta and theta, padded to a multiple of 64 with neurons that stay silent."""
    room = -(-units // 64) * 64
    beta = np.zeros(room, dtype)
    theta = np.full(room, np.inf, dtype)
    beta[:units] = neuron.beta.reshape(-1)
    theta[:units] = neuron.theta.reshape(-1)
    return beta, theta


_CODES = (SUBTRACT, ZERO, NONE, SUBTRACT_NOW, ZERO_NOW)


def kept_of(builder: Any, w: Any, theta: Any, code: int) -> tuple[Any, Any]:
    """The kept part ``v`` of a membrane and the pending reset ``r``."""
    pending = builder.fcmp_ordered(">", w, theta)
    if code != ZERO:
        return w, pending
    return builder.select(pending, ir.Constant(w.type, [0.0] * LANES), w), pending


def _settled(builder: Any, u: Any, pending: Any, spike: Any, theta: Any, code: int) -> Any:
    """The stored membrane ``w`` of the variants without delay."""
    if code == ZERO_NOW:
        return builder.select(spike, ir.Constant(u.type, [0.0] * LANES), u)
    lower = builder.and_(spike, builder.not_(pending))
    raised = builder.and_(pending, builder.not_(spike))
    after = builder.select(raised, builder.fadd(u, theta), u)
    return builder.select(lower, builder.fsub(u, theta), after)


@intrinsic
def fire(  # type: ignore[no-untyped-def]
    typingctx,
    last,
    last_at,
    current,
    current_at,
    beta,
    theta,
    constant_at,
    code,
    w,
    w_at,
    u,
    u_at,
    bits,
    word,
    length,
):
    """One time step of ``length`` neurons (a multiple of LANES).

    ``w_{t-1}`` (last, at its offset) and the current give ``w_t``, for the variants without delay
    also ``u_t``, and the spikes as bits from bit ``16 * word`` on; ``bits`` is uint16.
    ``last`` may be ``w``.
    """
    at = types.intp
    signature = types.void(last, at, current, at, beta, theta, at, at, w, at, u, at, bits, at, at)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        kinds = signature.args
        (last_at, current_at, constant_at, code, w_at, u_at, word, length) = (
            args[k] for k in (1, 3, 6, 7, 9, 11, 13, 14)
        )
        where = {k: pointer(context, builder, kinds[k], args[k]) for k in (0, 2, 4, 5, 8, 10, 12)}

        def get(k: int, offset: Any) -> Any:
            return load(context, builder, kinds[k], where[k], offset)

        def emit(code: int) -> None:
            with cgutils.for_range_slice(builder, _I64(0), length, _I64(LANES)) as (k, _):
                theta = get(5, builder.add(constant_at, k))
                kept, pending = kept_of(builder, get(0, builder.add(last_at, k)), theta, code)
                beta = get(4, builder.add(constant_at, k))
                u = builder.fadd(builder.fmul(beta, kept), get(2, builder.add(current_at, k)))
                if code in (SUBTRACT, SUBTRACT_NOW):
                    u = builder.select(pending, builder.fsub(u, theta), u)
                spike = builder.fcmp_ordered(">", u, theta)
                w = u
                if code >= SUBTRACT_NOW:
                    store(context, builder, kinds[10], u, where[10], builder.add(u_at, k))
                    w = _settled(builder, u, pending, spike, theta, code)
                store(context, builder, kinds[8], w, where[8], builder.add(w_at, k))
                slot = builder.add(word, builder.udiv(k, _I64(LANES)))
                builder.store(builder.bitcast(spike, _I16), builder.gep(where[12], [slot]))

        jump_table(builder, code, [(known, partial(emit, known)) for known in _CODES])
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def credit_step(  # type: ignore[no-untyped-def]
    typingctx, u, u_at, last, last_at, beta, theta, constant_at, code, eps, m, m_at, n, n_at, length
):
    """One step backwards of ``length`` neurons (a multiple of LANES).

    On entry m holds ``Q = R_t + M_{t+1}``; on return n holds ``n_t`` and m holds ``M_t``. ``u`` is
    ``u_t`` and ``last`` is ``w_{t-1}``; both are found at their offsets. ``eps`` picks the split
    (:mod:`lfp_snn.rules`), with ``a = beta v`` and ``I = p - a``::

        eps > 0                n = Q / (|v| + |p - v| + eps)      M = n a
        eps = 0 (CONSERVING)   n = Q sgn(I) / (|a| + |I|)         M = Q |a| / (|a| + |I|)
        eps < 0 (BY_SIZE)      n = Q / (|a| + |I|)                M = n a
    """
    at = types.intp
    signature = types.void(u, at, last, at, beta, theta, at, at, eps, m, at, n, at, at)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        kinds = signature.args
        u_at, last_at, constant_at, code, m_at, n_at, length = (
            args[k] for k in (1, 3, 6, 7, 10, 12, 13)
        )
        where = {k: pointer(context, builder, kinds[k], args[k]) for k in (0, 2, 4, 5, 9, 11)}
        element = context.get_value_type(kinds[0].dtype)
        vector = ir.VectorType(element, LANES)
        size = vector_function(builder, "fabs", vector, 1)
        stabiliser = splat(builder, args[8])

        def get(k: int, offset: Any) -> Any:
            return load(context, builder, kinds[k], where[k], offset)

        zero = ir.Constant(vector, [0.0] * LANES)

        def with_stabiliser(q: Any, p: Any, kept: Any, decayed: Any) -> tuple[Any, Any]:
            parts = builder.fadd(
                builder.call(size, [kept]), builder.call(size, [builder.fsub(p, kept)])
            )
            n = builder.fdiv(q, builder.fadd(parts, stabiliser))
            return n, builder.fmul(n, decayed)

        def share(q: Any, kept_size: Any, current: Any) -> Any:
            total = builder.fadd(kept_size, builder.call(size, [current]))
            nothing = builder.fcmp_ordered("==", total, zero)
            return builder.select(nothing, zero, builder.fdiv(q, total))

        def by_size(q: Any, p: Any, kept: Any, decayed: Any) -> tuple[Any, Any]:
            n = share(q, builder.call(size, [decayed]), builder.fsub(p, decayed))
            return n, builder.fmul(n, decayed)

        def conserving(q: Any, p: Any, kept: Any, decayed: Any) -> tuple[Any, Any]:
            kept_size, current = builder.call(size, [decayed]), builder.fsub(p, decayed)
            each = share(q, kept_size, current)
            falling = builder.select(
                builder.fcmp_ordered("<", current, zero), builder.fneg(each), zero
            )
            n = builder.select(builder.fcmp_ordered(">", current, zero), each, falling)
            return n, builder.fmul(each, kept_size)

        def emit(code: int, split: Any) -> None:
            with cgutils.for_range_slice(builder, _I64(0), length, _I64(LANES)) as (k, _):
                theta = get(5, builder.add(constant_at, k))
                kept, pending = kept_of(builder, get(2, builder.add(last_at, k)), theta, code)
                p = get(0, builder.add(u_at, k))
                if code in (SUBTRACT, SUBTRACT_NOW):
                    p = builder.select(pending, builder.fadd(p, theta), p)
                decayed = builder.fmul(get(4, builder.add(constant_at, k)), kept)
                n, handed = split(get(9, builder.add(m_at, k)), p, kept, decayed)
                store(context, builder, kinds[11], n, where[11], builder.add(n_at, k))
                store(context, builder, kinds[9], handed, where[9], builder.add(m_at, k))

        splits = (with_stabiliser, conserving, by_size)
        none = ir.Constant(args[8].type, 0.0)
        others = builder.select(builder.fcmp_ordered("==", args[8], none), _I64(1), _I64(2))
        chosen = builder.select(builder.fcmp_ordered(">", args[8], none), _I64(0), others)
        table: list[tuple[int, Callable[[], None]]] = [
            (known + len(_CODES) * which, partial(emit, known, split))
            for which, split in enumerate(splits)
            for known in _CODES
        ]
        jump_table(builder, builder.add(code, builder.mul(chosen, _I64(len(_CODES)))), table)
        return context.get_dummy_value()

    return signature, codegen
