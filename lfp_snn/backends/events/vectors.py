"""Vectors in LLVM's terms, for the primitives of :mod:`~lfp_snn.backends.events.simd`.

Each function emits instructions through an LLVM ``builder``; ``context`` is numba's for the
processor, and ``array_type`` numba's type of an array. All vectors have LANES elements.
"""

from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba.core import cgutils

LANES = 16

_I64 = ir.IntType(64)


def pointer(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    """The pointer to the first element of an array argument."""
    return context.make_array(array_type)(context, builder, array).data


def load(context: Any, builder: Any, array_type: Any, pointer: Any, offset: Any) -> Any:
    """LANES elements from an offset."""
    element = context.get_value_type(array_type.dtype)
    vector = ir.VectorType(element, LANES)
    place = builder.bitcast(builder.gep(pointer, [offset]), vector.as_pointer())
    value = builder.load(place)
    value.align = context.get_abi_sizeof(element)
    return value


def store(context: Any, builder: Any, array_type: Any, value: Any, pointer: Any, at: Any) -> None:
    """Write LANES elements at an offset."""
    place = builder.bitcast(builder.gep(pointer, [at]), value.type.as_pointer())
    written = builder.store(value, place)
    written.align = context.get_abi_sizeof(context.get_value_type(array_type.dtype))


def splat(builder: Any, scalar: Any) -> Any:
    """A vector of LANES equal elements."""
    vector = ir.VectorType(scalar.type, LANES)
    index = ir.IntType(32)
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, index(0))
    mask = ir.Constant(ir.VectorType(index, LANES), [0] * LANES)
    return builder.shuffle_vector(first, ir.Constant(vector, ir.Undefined), mask)


def _suffix(element: Any) -> str:
    return f"v{LANES}{'f32' if isinstance(element, ir.FloatType) else 'f64'}"


def vector_function(builder: Any, name: str, vector: Any, arguments: int) -> Any:
    """The LLVM intrinsic of that name, from vectors to a vector."""
    kind = ir.FunctionType(vector, [vector] * arguments)
    name = f"llvm.{name}.{_suffix(vector.element)}"
    return cgutils.get_or_insert_function(builder.module, kind, name)


def multiply_add(builder: Any, a: Any, b: Any, c: Any) -> Any:
    """The sum ``a * b + c``, fused where the processor can."""
    return builder.call(vector_function(builder, "fmuladd", a.type, 3), [a, b, c])


def across(builder: Any, vector: Any) -> Any:
    """The sum over the lanes, in pairs."""
    element = vector.type.element
    kind = ir.FunctionType(element, [element, vector.type])
    name = f"llvm.vector.reduce.fadd.{_suffix(element)}"
    reduce = cgutils.get_or_insert_function(builder.module, kind, name)
    zero = ir.Constant(element, 0.0)
    return builder.call(reduce, [zero, vector], fastmath=("reassoc",))


def jump_table(builder: Any, choice: Any, cases: list[tuple[int, Callable[[], None]]]) -> None:
    """Emit one specialised piece of code per case and jump to the one that is chosen."""
    done = builder.append_basic_block("done")
    jump = builder.switch(choice, done)
    for known, emit in cases:
        block = builder.append_basic_block(f"case{known}")
        jump.add_case(_I64(known), block)
        builder.position_at_end(block)
        emit()
        builder.branch(done)
    builder.position_at_end(done)


def part_of(builder: Any, row: Any, sign: int) -> Any:
    """The elements of a vector that have a sign, zero elsewhere; all of them for a sign of 0."""
    if sign == 0:
        return row
    zero = ir.Constant(row.type, [0.0] * LANES)
    return builder.select(builder.fcmp_ordered(">" if sign > 0 else "<", row, zero), row, zero)
