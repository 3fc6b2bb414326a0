r"""Credits of positive and of negative contributions, for the kernels.

The equations are those of :mod:`lfp_snn.rules.signed`, in the same order of operations: with the
sums P and N of both kinds and the credit n of the current, one credit for each kind.
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

GAMMA, ALPHA_BETA = range(2)
"""Forms of the rules; z+ is alpha-beta with 1 and 0."""

_I64 = ir.IntType(64)


class Shares(NamedTuple):
    """A rule that tells signs apart: its form, and the weights of what favours and what opposes.

    ``favour`` and ``oppose`` are gamma and 1 for ``GAMMA``, alpha and beta for ``ALPHA_BETA``.
    """

    form: int
    favour: float
    oppose: float

    def of(self, dtype: np.dtype) -> "Shares":
        """The rule with its weights in the floating type of the kernels."""
        return Shares(self.form, dtype.type(self.favour), dtype.type(self.oppose))


@intrinsic
def share_out(  # type: ignore[no-untyped-def]
    typingctx, n, other, at, positives, negatives, sums_at, form, favour, oppose, length
):
    """Turn n into the credit of positive contributions, and write that of negative ones to other.

    ``length`` is a multiple of LANES; n and other begin at one offset, the sums P and N at theirs.
    """
    size = types.intp
    signature = types.void(n, other, size, positives, negatives, size, size, favour, oppose, size)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        kinds = signature.args
        at, sums_at, form, length = (args[k] for k in (2, 5, 6, 9))
        where = {k: pointer(context, builder, kinds[k], args[k]) for k in (0, 1, 3, 4)}
        vector = ir.VectorType(context.get_value_type(kinds[0].dtype), LANES)
        zero, one = (ir.Constant(vector, [value] * LANES) for value in (0.0, 1.0))
        favour, oppose = splat(builder, args[7]), splat(builder, args[8])

        def size_of(value: Any) -> Any:
            return builder.call(vector_function(builder, "fabs", vector, 1), [value])

        def is_zero(value: Any) -> Any:
            return builder.fcmp_ordered("==", value, zero)

        def ratio(a: Any, b: Any) -> Any:
            return builder.select(is_zero(b), zero, builder.fdiv(a, b))

        def gamma(n: Any, current: Any, favouring: Any, opposing: Any) -> tuple[Any, Any]:
            total = builder.fadd(current, builder.fmul(favour, favouring))
            opposed = builder.fmul(n, ratio(current, total))
            return builder.fmul(builder.fadd(one, favour), opposed), opposed

        def alpha_beta(n: Any, current: Any, favouring: Any, opposing: Any) -> tuple[Any, Any]:
            arrived = builder.fmul(n, size_of(current))
            alpha = builder.select(is_zero(opposing), one, favour)
            favoured = ratio(builder.fmul(alpha, arrived), size_of(favouring))
            return favoured, ratio(builder.fmul(oppose, arrived), size_of(opposing))

        def emit(share: Any) -> None:
            with cgutils.for_range_slice(builder, _I64(0), length, _I64(LANES)) as (k, _):
                place, sums = builder.add(at, k), builder.add(sums_at, k)
                p, q = (load(context, builder, kinds[j], where[j], sums) for j in (3, 4))
                current = builder.fadd(p, q)
                excited = builder.fcmp_ordered(">=", current, zero)
                parts = (builder.select(excited, *pair) for pair in ((p, q), (q, p)))
                given = load(context, builder, kinds[0], where[0], place)
                favoured, opposed = share(given, current, *parts)
                pairs = ((favoured, opposed), (opposed, favoured))
                for j, pair in enumerate(pairs):
                    value = builder.select(excited, *pair)
                    store(context, builder, kinds[j], value, where[j], place)

        cases: list[tuple[int, Callable[[], None]]] = [
            (GAMMA, partial(emit, gamma)),
            (ALPHA_BETA, partial(emit, alpha_beta)),
        ]
        jump_table(builder, form, cases)
        return context.get_dummy_value()

    return signature, codegen
