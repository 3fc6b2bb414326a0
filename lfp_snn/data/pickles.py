"""Pickled data, read without executing anything from it.

Some datasets come as pickles of lists, dictionaries and NumPy arrays. A pickle is a program for a
small machine, and can name any function to be called; Python's own machine runs it. Here is another
that knows only what builds plain values and arrays. Its instructions are parsed by `pickletools`;
of functions it has a few of its own, which stand where NumPy's are named: an array of numbers or
texts, a scalar, and a type with its byte order. Any other instruction or name is refused.

What is built is bounded before it is: by the number of instructions, by the bytes that an array is
made of, and by what all of it comes to where the same list stands in several places.

Source: the descriptions of the instructions in Python's `pickletools`.
"""

import gzip
import io
import math
import re
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from lfp_snn.errors import DataError
from lfp_snn.unpacking import allowance, check_size, check_text, reading, shown

_FREE_INSTRUCTIONS = 200_000  # and one more for each byte of the file
_DEEPEST = 32
_VALUE_BYTES = 32  # that a plain value takes
_TYPE = re.compile(r"[<>|=]?(\?|[biufcSU]\d{1,6})")


class _Refused(ValueError):
    """The error of a pickle that asks for something that no data needs."""


class _Function(NamedTuple):
    """The function that a name in a pickle stands for; no other value on the stack is called."""

    call: Callable[..., Any]


def _dtype(name: Any, *_: Any) -> np.dtype[Any]:
    """A copy of a type of numbers or texts, whose byte order can be set."""
    text = name.decode("ascii") if isinstance(name, bytes) else name
    if not (isinstance(text, str) and _TYPE.fullmatch(text)):
        raise _Refused(f"it has values of the type {shown(ValueError(name))}, which is no number")
    made = np.dtype(text, copy=True)
    if not made.itemsize:
        raise _Refused("it has values of no size")
    return made


def _ndarray(*_: Any) -> Any:
    raise _Refused("it makes an array by its size alone")


def _reconstruct(kind: Any, *_: Any) -> np.ndarray[Any, Any]:
    """An empty array, to be filled by its state."""
    if kind is not _NDARRAY:
        raise _Refused("it makes an array of a kind that is not known")
    return np.empty(0, np.int8)


def _scalar(dtype: Any, content: Any) -> Any:
    if not (isinstance(dtype, np.dtype) and isinstance(content, bytes)):
        raise _Refused("it has a number of no type")
    if len(content) != dtype.itemsize:
        raise _Refused(f"it has a number of {len(content)} bytes, expected {dtype.itemsize}")
    value = np.frombuffer(content, dtype)
    check_text("it", value)
    return value[0]


def _encode(text: Any, encoding: Any) -> bytes:
    """Bytes as Python 3 writes them for Python 2."""
    if not (isinstance(text, str) and encoding in ("latin1", "latin-1")):
        raise _Refused("it wants a text in an encoding that is not known")
    return text.encode("latin-1")


def _no_bytes() -> bytes:
    """The empty bytes of a call without arguments, as Python 3 writes them for Python 2."""
    return b""


_NDARRAY = _Function(_ndarray)
_NAMES = {
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _Function(_reconstruct)
       for core in ("core", "_core")},
    **{(f"numpy.{core}.multiarray", "scalar"): _Function(_scalar) for core in ("core", "_core")},
    ("numpy", "ndarray"): _NDARRAY,
    ("numpy", "dtype"): _Function(_dtype),
    ("_codecs", "encode"): _Function(_encode),
    ("__builtin__", "bytes"): _Function(_no_bytes),
}  # fmt: skip

_PLAIN = frozenset(
    ("INT", "LONG", "LONG1", "LONG4", "BININT", "BININT1", "BININT2", "FLOAT", "BINFLOAT",
     "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8", "SHORT_BINBYTES", "BINBYTES",
     "BINBYTES8")
)  # fmt: skip
_OF_PYTHON_2 = frozenset(("STRING", "BINSTRING", "SHORT_BINSTRING"))
_CONSTANT = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_WITHOUT_EFFECT = frozenset(("PROTO", "FRAME", "STOP"))


class _Machine:
    """The machine that runs a pickle: a stack, marks in it, and a memory by number.

    Args:
        text: the encoding of texts of Python 2, or `bytes`.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self, instructions: Iterable[tuple[Any, Any, Any]], most: int) -> Any:
        """Run all instructions; gives the value on the stack in the end."""
        for number, (instruction, argument, _) in enumerate(instructions):
            if number >= most:
                raise _Refused(f"it has more than {most} instructions")
            self._do(instruction.name, argument)
        return self.stack.pop()

    def _do(self, name: str, argument: Any) -> None:
        if name in _PLAIN:
            self.stack.append(argument)
        elif name in _CONSTANT:
            self.stack.append(_CONSTANT[name])
        elif name in _OF_PYTHON_2:
            content = argument.encode("latin-1")
            self.stack.append(content if self.text == "bytes" else content.decode(self.text))
        elif name in _TUPLES:
            self.stack[-_TUPLES[name] :] = [tuple(self._several(_TUPLES[name]))]
        elif name not in _WITHOUT_EFFECT:
            step = _STEPS.get(name)
            if step is None:
                raise _Refused(f"it has the instruction {name}, which no data needs")
            step(self, argument)

    def _several(self, count: int) -> list[Any]:
        """The last values of the stack, which must be there."""
        if len(self.stack) < count:
            raise _Refused("it takes more values than it has")
        return self.stack[-count:]

    def _since_mark(self) -> list[Any]:
        """All values since the last mark, taken off the stack."""
        start = self.marks.pop()
        values = self.stack[start:]
        del self.stack[start:]
        return values

    def mark(self, _: Any) -> None:
        self.marks.append(len(self.stack))

    def pop(self, _: Any) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.stack.pop()

    def empty_list(self, _: Any) -> None:
        self.stack.append([])

    def empty_dict(self, _: Any) -> None:
        self.stack.append({})

    def empty_tuple(self, _: Any) -> None:
        self.stack.append(())

    def make_list(self, _: Any) -> None:
        self.stack.append(self._since_mark())

    def make_tuple(self, _: Any) -> None:
        self.stack.append(tuple(self._since_mark()))

    def make_dict(self, _: Any) -> None:
        values = self._since_mark()
        self.stack.append({})
        self._set(values)

    def append(self, _: Any) -> None:
        self._extend([self.stack.pop()])

    def appends(self, _: Any) -> None:
        self._extend(self._since_mark())

    def _extend(self, values: list[Any]) -> None:
        if not isinstance(self.stack[-1], list):
            raise _Refused("it appends to what is no list")
        self.stack[-1].extend(values)

    def set_item(self, _: Any) -> None:
        values = self._several(2)
        del self.stack[-2:]
        self._set(values)

    def set_items(self, _: Any) -> None:
        self._set(self._since_mark())

    def _set(self, values: list[Any]) -> None:
        """Set a key, which must be a text: numbers can be chosen to collide in a dictionary."""
        keys, target = values[::2], self.stack[-1]
        if not (isinstance(target, dict) and all(isinstance(key, str | bytes) for key in keys)):
            raise _Refused("it has keys that are no text")
        target.update(zip(keys, values[1::2], strict=True))

    def put(self, number: Any) -> None:
        self.memo[number] = self.stack[-1]

    def memoize(self, _: Any) -> None:
        self.memo[len(self.memo)] = self.stack[-1]

    def get(self, number: Any) -> None:
        self.stack.append(self.memo[number])

    def named(self, names: Any) -> None:
        """Push a function for GLOBAL, whose argument is `module name`."""
        self._find(*names.split(" ", 1))

    def named_on_stack(self, _: Any) -> None:
        module, name = self._several(2)
        del self.stack[-2:]
        self._find(module, name)

    def _find(self, module: Any, name: Any) -> None:
        try:
            self.stack.append(_NAMES[module, name])
        except (KeyError, TypeError):
            raise _Refused(f"it wants to call {module}.{name}, which no data needs") from None

    def reduce(self, _: Any) -> None:
        function, arguments = self._several(2)
        if not (isinstance(function, _Function) and type(arguments) is tuple):
            raise _Refused("it calls what is no function")
        self.stack[-2:] = [function.call(*arguments)]

    def build(self, _: Any) -> None:
        state = self.stack.pop()
        target = self.stack[-1]
        if isinstance(target, np.dtype):
            _order(target, state)
        elif isinstance(target, np.ndarray):
            _fill(target, state)
        else:
            raise _Refused("it gives a state to what has none")


_STEPS: dict[str, Callable[[_Machine, Any], None]] = {
    "MARK": _Machine.mark,
    "POP": _Machine.pop,
    "EMPTY_LIST": _Machine.empty_list,
    "EMPTY_DICT": _Machine.empty_dict,
    "EMPTY_TUPLE": _Machine.empty_tuple,
    "LIST": _Machine.make_list,
    "TUPLE": _Machine.make_tuple,
    "DICT": _Machine.make_dict,
    "APPEND": _Machine.append,
    "APPENDS": _Machine.appends,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "PUT": _Machine.put,
    "BINPUT": _Machine.put,
    "LONG_BINPUT": _Machine.put,
    "MEMOIZE": _Machine.memoize,
    "GET": _Machine.get,
    "BINGET": _Machine.get,
    "LONG_BINGET": _Machine.get,
    "GLOBAL": _Machine.named,
    "STACK_GLOBAL": _Machine.named_on_stack,
    "REDUCE": _Machine.reduce,
    "BUILD": _Machine.build,
}


def _order(dtype: np.dtype[Any], state: Any) -> None:
    """Set the byte order of a type; all else in its state must be as it is."""
    own: Any = dtype.__reduce__()[2]
    version, _, *rest = own
    if not (isinstance(state, tuple) and len(state) == len(rest) + 2):
        raise _Refused("it has a type with a state that is not known")
    order = state[1].decode("ascii") if isinstance(state[1], bytes) else state[1]
    if order not in ("<", ">", "|", "=") or state != (version, state[1], *rest):
        raise _Refused("it changes more of a type than its byte order")
    dtype.__setstate__((version, order, *rest))  # type: ignore[attr-defined]


def _fill(array: np.ndarray[Any, Any], state: Any) -> None:
    """Give an empty array its content, which must be as long as shape and type say."""
    _, shape, dtype, fortran, content = state
    if not (isinstance(dtype, np.dtype) and isinstance(content, bytes) and not array.size):
        raise _Refused("it has an array of no numbers")
    if not (type(shape) is tuple and all(type(n) is int and n >= 0 for n in shape)):
        raise _Refused("it has an array of no shape")
    if math.prod(shape) * dtype.itemsize != len(content):
        raise _Refused(f"it has an array of {shape} values in {len(content)} bytes")
    check_text("it", np.frombuffer(content, dtype))
    whole: Any = (1, shape, dtype, bool(fortran), content)
    array.__setstate__(whole)


def _bytes_of(value: Any, known: dict[int, int], depth: int = 0) -> int:
    """The bytes of a value and all within it; what stands in several places counts each time."""
    if isinstance(value, np.ndarray):
        return _VALUE_BYTES + value.nbytes
    if isinstance(value, str | bytes):
        return _VALUE_BYTES + len(value)
    if not isinstance(value, list | tuple | dict):
        return _VALUE_BYTES
    if depth > _DEEPEST or known.get(id(value)) == 0:
        raise _Refused(f"it has more than {_DEEPEST} lists one in the other, or one in itself")
    if id(value) not in known:
        known[id(value)] = 0
        inner = value.values() if isinstance(value, dict) else value
        total = sum(_bytes_of(each, known, depth + 1) for each in inner)
        known[id(value)] = _VALUE_BYTES + total
    return known[id(value)]


def read_pickle(path: Path, text: str = "ASCII") -> Any:
    """Read a pickle of plain values and arrays, compressed with gzip or not.

    Args:
        path: the file.
        text: the encoding of strings that Python 2 wrote, or `bytes` to leave them as they are.

    Returns:
        Numbers, texts, bytes, lists, tuples and dictionaries of them, whose keys are texts, and
        arrays of numbers or texts.

    Raises:
        DataError: the file is missing or damaged, wants anything called that does not rebuild an
            array, or would unpack to far more than its size.
    """
    with reading(path):
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            stream: Any = gzip.GzipFile(fileobj=file) if packed else file
            data = stream.read(allowance(path) + 1)
            check_size(path, len(data))
            most = _FREE_INSTRUCTIONS + path.stat().st_size
        try:
            with warnings.catch_warnings():
                # Texts with a backslash that means nothing.
                warnings.simplefilter("ignore", DeprecationWarning)
                import pickletools  # here, for few datasets come as pickles

                value = _Machine(text).run(pickletools.genops(io.BytesIO(data)), most)
            size = _bytes_of(value, {})
        except (DataError, ValueError, TypeError, LookupError, ArithmeticError) as error:
            raise DataError(f"{path} is no pickle of plain data: {shown(error)}") from error
        check_size(path, size)
        return value
