"""Vector primitives for the kernels, written as LLVM vectors.

Numba knows nothing of aliasing, so it neither keeps a row of sums in registers nor drops the
scalar remainder of a short run. These few primitives say what is meant. All arrays are flat and
contiguous, offsets count elements. Sums are taken in a fixed order, lane by lane; products use a
fused multiply-add (one rounding), which is exact wherever the unfused form is.
"""

from functools import partial as partial_of
from itertools import product
from typing import Any

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.core import cgutils
from numba.extending import intrinsic

from lfp_snn.backends.events.vectors import (
    LANES,
    across,
    jump_table,
    load,
    multiply_add,
    part_of,
    pointer,
    splat,
    store,
)

BLOCK = 64
"""Neurons of a linear block: one bitmap word, four vectors of sums."""

MOST = 10
"""Vectors of a line that :func:`add_line` and :func:`learn_line` keep in registers at once."""

_I64 = ir.IntType(64)


def _add_rows(
    context: Any, builder: Any, outs: list[tuple[Any, Any, int]], kinds: Any, args: Any
) -> Any:
    """Emit code that adds, to each ``out`` (type, array, sign), the rows' parts of that sign."""
    at, rows, base, picks, scales, step, start, stop = args
    table = builder.gep(pointer(context, builder, kinds[1], rows), [base])
    picked = pointer(context, builder, kinds[3], picks)
    factors = pointer(context, builder, kinds[4], scales)
    vector = ir.VectorType(context.get_value_type(kinds[1].dtype), LANES)
    places = [builder.add(at, _I64(k)) for k in range(0, BLOCK, LANES)]
    held: list[tuple[Any, Any, Any, list[Any], int]] = []
    for kind, array, sign in outs:
        out = pointer(context, builder, kind, array)
        slots = [cgutils.alloca_once(builder, vector) for _ in places]
        for place, slot in zip(places, slots, strict=True):
            builder.store(load(context, builder, kind, out, place), slot)
        held.append((kind, array, out, slots, sign))
    with cgutils.for_range_slice(builder, start, stop, _I64(1)) as (entry, _):
        row = builder.sext(builder.load(builder.gep(picked, [entry])), _I64)
        row = builder.mul(row, _I64(BLOCK))
        factor = builder.load(builder.gep(factors, [builder.mul(entry, step)]))
        factor = splat(builder, factor)
        for k in range(len(places)):
            given = load(context, builder, kinds[1], table, builder.add(row, _I64(k * LANES)))
            for *_, slots, sign in held:
                part = part_of(builder, given, sign)
                sums = multiply_add(builder, factor, part, builder.load(slots[k]))
                builder.store(sums, slots[k])
    for kind, _, out, slots, _ in held:
        for place, slot in zip(places, slots, strict=True):
            store(context, builder, kind, builder.load(slot), out, place)
    return context.get_dummy_value()


@intrinsic
def add_rows(typingctx, sums, at, rows, base, picks, scales, step, start, stop):  # type: ignore[no-untyped-def]
    """Add rows: sums[at + l] += sum_e scales[e * step] * rows[base + 64 * picks[e] + l], l < 64.

    The entries e run from start to stop; step is 1, or 0 for one common scale.
    """
    size = types.intp
    signature = types.void(sums, size, rows, size, picks, scales, size, size, size)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        outs = [(signature.args[0], args[0], 0)]
        return _add_rows(context, builder, outs, signature.args[1:], args[1:])

    return signature, codegen


@intrinsic
def add_rows_by_sign(  # type: ignore[no-untyped-def]
    typingctx, positives, negatives, at, rows, base, picks, scales, step, start, stop
):
    """Add rows as :func:`add_rows`, the positive entries to one sum, the negative to another."""
    size = types.intp
    signature = types.void(positives, negatives, size, rows, size, picks, scales, size, size, size)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        outs = [(signature.args[k], args[k], sign) for k, sign in enumerate((1, -1))]
        return _add_rows(context, builder, outs, signature.args[2:], args[2:])

    return signature, codegen


@intrinsic
def add_run(typingctx, out, at, scale, run, base, length):  # type: ignore[no-untyped-def]
    """Add a run: out[at + l] += scale * run[base + l], l < length, a multiple of LANES."""
    signature = types.void(out, types.intp, scale, run, types.intp, types.intp)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        out, at, scale, run, base, length = args
        kinds = signature.args
        target = pointer(context, builder, kinds[0], out)
        source = pointer(context, builder, kinds[3], run)
        factor = splat(builder, scale)
        with cgutils.for_range_slice(builder, _I64(0), length, _I64(LANES)) as (k, _):
            place = builder.add(at, k)
            part = load(context, builder, kinds[3], source, builder.add(base, k))
            old = load(context, builder, kinds[0], target, place)
            store(
                context, builder, kinds[0], multiply_add(builder, factor, part, old), target, place
            )
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def add_product(typingctx, out, at, scale, first, base, second, other, length):  # type: ignore[no-untyped-def]
    """Add products of two runs, length a multiple of LANES.

    out[at + l] += scale * first[base + l] * second[other + l], l < length.
    """
    size = types.intp
    signature = types.void(out, size, scale, first, size, second, size, size)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        out, at, scale, first, base, second, other, length = args
        kinds = signature.args
        target = pointer(context, builder, kinds[0], out)
        left = pointer(context, builder, kinds[3], first)
        right = pointer(context, builder, kinds[5], second)
        factor = splat(builder, scale)
        with cgutils.for_range_slice(builder, _I64(0), length, _I64(LANES)) as (k, _):
            place = builder.add(at, k)
            one = load(context, builder, kinds[3], left, builder.add(base, k))
            two = load(context, builder, kinds[5], right, builder.add(other, k))
            old = load(context, builder, kinds[0], target, place)
            sums = multiply_add(builder, builder.fmul(factor, one), two, old)
            store(context, builder, kinds[0], sums, target, place)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def copy_run(typingctx, out, at, run, base, length):  # type: ignore[no-untyped-def]
    """Copy a run: out[at + l] = run[base + l], l < length, a multiple of LANES."""
    signature = types.void(out, types.intp, run, types.intp, types.intp)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        out, at, run, base, length = args
        kinds = signature.args
        target = pointer(context, builder, kinds[0], out)
        source = pointer(context, builder, kinds[2], run)
        with cgutils.for_range_slice(builder, _I64(0), length, _I64(LANES)) as (k, _):
            part = load(context, builder, kinds[2], source, builder.add(base, k))
            store(context, builder, kinds[0], part, target, builder.add(at, k))
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def turn_tile(typingctx, out, at, out_step, table, base, step, add):  # type: ignore[no-untyped-def]
    """Transpose a tile of LANES x LANES: out[at + l out_step + k] = table[base + k step + l].

    With ``add`` the tile is added to what is there.
    """
    size = types.intp
    signature = types.void(out, size, size, table, size, size, types.boolean)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        out, at, out_step, table, base, step, add = args
        kinds = signature.args
        target = pointer(context, builder, kinds[0], out)
        source = pointer(context, builder, kinds[3], table)
        starts = [builder.add(base, builder.mul(step, _I64(k))) for k in range(LANES)]
        rows = [load(context, builder, kinds[3], source, start) for start in starts]
        half = LANES // 2
        mask = ir.VectorType(ir.IntType(32), LANES)
        low = ir.Constant(mask, [k // 2 + LANES * (k % 2) for k in range(LANES)])
        high = ir.Constant(mask, [half + k // 2 + LANES * (k % 2) for k in range(LANES)])
        # Interleaving row k with row k + LANES/2, log2(LANES) times, transposes the tile.
        for _ in range(LANES.bit_length() - 1):
            pairs = [(rows[k], rows[k + half]) for k in range(half)]
            rows = [builder.shuffle_vector(a, b, part) for a, b in pairs for part in (low, high)]
        with builder.if_else(add) as branches:
            for added, branch in zip((True, False), branches, strict=True):
                with branch:
                    for k, row in enumerate(rows):
                        place = builder.add(at, builder.mul(out_step, _I64(k)))
                        if added:
                            before = load(context, builder, kinds[0], target, place)
                            row = builder.fadd(row, before)
                        store(context, builder, kinds[0], row, target, place)
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def add_line(  # type: ignore[no-untyped-def]
    typingctx, current, weight, at, units, place, shift, scales, step, start, stop, vectors
):
    """Add one line of weights to the currents, for all entries that share it.

    For start <= e < stop and l < LANES * vectors (at most MOST vectors):
    ``current[place[units[e]] + shift + l] += scales[e * step] * weight[at + l]``.
    A step of 0 says that all scales are 1. (A loop over the vectors would save this table of cases,
    but so short a loop takes twice the time wherever the loader happens to misalign it.)
    """
    size = types.intp
    signature = types.void(
        current, weight, size, units, place, size, scales, size, size, size, size
    )

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        kinds = signature.args
        at, shift, step, start, stop, vectors = (args[k] for k in (2, 5, 7, 8, 9, 10))
        where = {k: pointer(context, builder, kinds[k], args[k]) for k in (0, 1, 3, 4, 6)}

        def emit(length: int, scaled: bool) -> None:
            offsets = [_I64(k * LANES) for k in range(length)]
            own = [load(context, builder, kinds[1], where[1], builder.add(at, o)) for o in offsets]
            with cgutils.for_range_slice(builder, start, stop, _I64(1)) as (e, _):
                unit = builder.sext(builder.load(builder.gep(where[3], [e])), _I64)
                base = builder.add(builder.load(builder.gep(where[4], [unit])), shift)
                if scaled:
                    scale = splat(builder, builder.load(builder.gep(where[6], [e])))
                for part, offset in zip(own, offsets, strict=True):
                    spot = builder.add(base, offset)
                    old = load(context, builder, kinds[0], where[0], spot)
                    new = builder.fadd(part, old)
                    if scaled:
                        new = multiply_add(builder, scale, part, old)
                    store(context, builder, kinds[0], new, where[0], spot)

        scaled = builder.zext(builder.icmp_signed("!=", step, _I64(0)), _I64)
        choice = builder.add(builder.mul(vectors, _I64(2)), scaled)
        cases = product(range(1, MOST + 1), (False, True))
        jump_table(builder, choice, [(2 * n + s, partial_of(emit, n, s)) for n, s in cases])
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def learn_line(  # type: ignore[no-untyped-def]
    typingctx, sums, at, weight, n, units, place, shift, scales, step, start, stop, partial,
    vectors, wanted,
):  # fmt: skip
    """Add to feedback and credit of one line of weights, for all entries that share it.

    For start <= e < stop and l < LANES * vectors (at most MOST vectors), with the row
    ``n_e = n[place[units[e]] + shift:]``: ``sums[at + l] += sum_e scales[e * step] * n_e[l]``, and
    if wanted ``partial[LANES * (e - start) + l % LANES] += weight[at + l] * n_e[l]``. A step of 0
    says that all scales are 1: then sums are plain additions, which other units of the processor
    do while its multipliers work on the credit.
    """
    size = types.intp
    signature = types.void(
        sums, size, weight, n, units, place, size, scales, size, size, size, partial, size,
        types.boolean,
    )  # fmt: skip

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        kinds = signature.args
        at, shift, step, start, stop, vectors, wanted = (args[k] for k in (1, 6, 8, 9, 10, 12, 13))
        where = {k: pointer(context, builder, kinds[k], args[k]) for k in (0, 2, 3, 4, 5, 7, 11)}
        vector = ir.VectorType(context.get_value_type(kinds[0].dtype), LANES)

        def get(k: int, offset: Any) -> Any:
            return load(context, builder, kinds[k], where[k], offset)

        def emit(length: int, with_credit: bool, scaled: bool) -> None:
            offsets = [_I64(k * LANES) for k in range(length)]
            held = [cgutils.alloca_once(builder, vector) for _ in offsets]
            for slot, offset in zip(held, offsets, strict=True):
                builder.store(get(0, builder.add(at, offset)), slot)
            own = [get(2, builder.add(at, o)) for o in offsets] if with_credit else []
            with cgutils.for_range_slice(builder, start, stop, _I64(1)) as (e, _):
                unit = builder.sext(builder.load(builder.gep(where[4], [e])), _I64)
                base = builder.add(builder.load(builder.gep(where[5], [unit])), shift)
                rows = [get(3, builder.add(base, offset)) for offset in offsets]
                if scaled:
                    scale = splat(builder, builder.load(builder.gep(where[7], [e])))
                for slot, row in zip(held, rows, strict=True):
                    old = builder.load(slot)
                    new = (
                        multiply_add(builder, scale, row, old) if scaled else builder.fadd(row, old)
                    )
                    builder.store(new, slot)
                if with_credit:
                    mark = builder.mul(builder.sub(e, start), _I64(LANES))
                    total = get(11, mark)
                    for part, row in zip(own, rows, strict=True):
                        total = multiply_add(builder, part, row, total)
                    store(context, builder, kinds[11], total, where[11], mark)
            for slot, offset in zip(held, offsets, strict=True):
                place = builder.add(at, offset)
                store(context, builder, kinds[0], builder.load(slot), where[0], place)

        scaled = builder.zext(builder.icmp_signed("!=", step, _I64(0)), _I64)
        flags = builder.add(builder.mul(builder.zext(wanted, _I64), _I64(2)), scaled)
        choice = builder.add(builder.mul(vectors, _I64(4)), flags)
        cases = product(range(1, MOST + 1), (False, True), (False, True))
        jump_table(
            builder, choice, [(4 * n + 2 * w + s, partial_of(emit, n, w, s)) for n, w, s in cases]
        )
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def sum_vector(typingctx, run, base):  # type: ignore[no-untyped-def]
    """The sum of LANES elements."""
    signature = run.dtype(run, types.intp)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        kind = signature.args[0]
        source = pointer(context, builder, kind, args[0])
        return across(builder, load(context, builder, kind, source, args[1]))

    return signature, codegen


@intrinsic
def dot_by_sign(typingctx, left, left_at, positive, negative, at, length):  # type: ignore[no-untyped-def]
    """The dot product sum_l left[left_at + l] * right[at + l], l < length, a multiple of LANES.

    The right is ``negative`` where the left is below zero, else ``positive``.
    """
    size = types.intp
    signature = left.dtype(left, size, positive, negative, size, size)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        kinds = signature.args
        left_at, at, length = (args[k] for k in (1, 4, 5))
        where = {k: pointer(context, builder, kinds[k], args[k]) for k in (0, 2, 3)}
        vector = ir.VectorType(context.get_value_type(kinds[0].dtype), LANES)
        zero = ir.Constant(vector, [0.0] * LANES)
        slot = cgutils.alloca_once_value(builder, zero)
        builder.store(zero, slot)
        with cgutils.for_range_slice(builder, _I64(0), length, _I64(LANES)) as (k, _):
            a = load(context, builder, kinds[0], where[0], builder.add(left_at, k))
            rights = (
                load(context, builder, kinds[j], where[j], builder.add(at, k)) for j in (3, 2)
            )
            b = builder.select(builder.fcmp_ordered("<", a, zero), *rights)
            builder.store(multiply_add(builder, a, b, builder.load(slot)), slot)
        return across(builder, builder.load(slot))

    return signature, codegen


@intrinsic
def count_bits(typingctx, word):  # type: ignore[no-untyped-def]
    """The number of set bits of a uint64."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.ctpop(args[0])

    return types.intp(types.uint64), codegen


@intrinsic
def lowest_bit(typingctx, word):  # type: ignore[no-untyped-def]
    """The position of the lowest set bit of a uint64 (64 if none is set)."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.cttz(args[0], ir.IntType(1)(0))

    return types.intp(types.uint64), codegen


@njit(cache=True)
def aligned_zeros(count, like):  # type: ignore[no-untyped-def]
    """Zeros of the dtype of ``like``, on a cache line: a vector then never straddles two."""
    raw = np.zeros(count + 64 // like.itemsize, like.dtype)
    skip = (-raw.ctypes.data % 64) // like.itemsize
    return raw[skip : skip + count]
