"""The structure of MATLAB files (version 5), checked before scipy decodes them.

scipy's reader takes the sizes and types in a file on trust: one of a kilobyte can make it crash, or
ask for gigabytes. `checked` walks over all elements as that reader would, and gives back a file of
nothing but what has stood the test: variables of numbers, texts, cells and structs, unpacked, each
value of which is there. Variables of other classes (objects, functions, sparse matrices) are left
out; they hold no events.

An element is a tag (type and size, 32 bits each; both in 32 bits if there are no more than 4 bytes)
and content that is filled up to 8 bytes. A variable is an element of type 14, whose content are
elements again: class and flags, dimensions, name, and then values, cells, or names and values of
fields. One of type 15 is such an element packed by zlib.

Source: MathWorks, *MAT-File Format*, level 5.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from lfp_snn.errors import DataError
from lfp_snn.unpacking import check_size, inflated

__all__ = ["checked"]

_HEADER = 128
_ENDS: dict[bytes, tuple[Literal["little", "big"], bytes]] = {
    b"IM": ("little", b"\x00\x01IM"),
    b"MI": ("big", b"\x01\x00MI"),
}
_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED = 1, 5, 6, 14, 15
#: Bytes of a value, by the type of an element.
_SIZES = {1: 1, 2: 1, 3: 2, 4: 2, 5: 4, 6: 4, 7: 4, 9: 8, 12: 8, 13: 8}
_TEXTS = {16: 1, 17: 2, 18: 4}  # UTF-8, 16 and 32
_CELL, _STRUCT, _CHAR = 1, 2, 4
_NUMBERS = range(6, 16)  # double, single, and whole numbers of 8 to 64 bits
_COMPLEX = 8  # bit of the flags
_MOST_DIMENSIONS = 32
_LONGEST_NAME = 1024
_DEEPEST = 16
_MOST_FIELDS = 512
_MOST_ARRAYS = 50_000  # in a variable: cells, and fields of structs
_SMALLEST = 8  # bytes of an element without content


class _OtherClass(Exception):
    """A variable of a class that holds no events."""


class _Element(NamedTuple):
    """An element: its type, the borders of its content, and where the next element begins."""

    kind: int
    start: int
    end: int
    next: int


class _Walk:
    """A walk over the elements of a buffer."""

    def __init__(self, path: Path, data: bytes, order: Literal["little", "big"]) -> None:
        self.path = path
        self.data = data
        self.order = order
        self.arrays = 0

    def damaged(self, why: str, place: int) -> DataError:
        return DataError(f"{self.path} is damaged: {why} at byte {place} of its content")

    def word(self, place: int) -> int:
        return int.from_bytes(self.data[place : place + 4], self.order)

    def element(self, place: int, end: int) -> _Element:
        """The element at a place, which must lie before the end."""
        if place + _SMALLEST > end:
            raise self.damaged("an element is cut short", place)
        first = self.word(place)
        kind, size = first & 0xFFFF, first >> 16
        if size:  # a small one: type, size and content in 8 bytes
            start, following = place + 4, place + _SMALLEST
            if size > 4:
                raise self.damaged(f"a small element has {size} bytes", place)
        else:
            size, start = self.word(place + 4), place + _SMALLEST
            following = start + size + -size % 8
        if start + size > end:
            raise self.damaged(f"an element has {size} bytes, more than are left", place)
        return _Element(kind, start, start + size, min(following, end))

    def whole_numbers(self, place: int, end: int) -> tuple[list[int], int]:
        """The content of an element of 32-bit numbers, and where the next begins."""
        found = self.element(place, end)
        size = found.end - found.start
        if found.kind not in (_INT32, _UINT32) or size % 4:
            raise self.damaged("no 32-bit numbers stand where they should", place)
        return [self.word(at) for at in range(found.start, found.end, 4)], found.next

    def matrix(self, place: int, end: int, depth: int = 0) -> int:
        """Check one variable, cell or field; gives the place of what follows it."""
        self.arrays += 1
        if self.arrays > _MOST_ARRAYS:
            raise self.damaged(f"a variable has more than {_MOST_ARRAYS} cells or fields", place)
        found = self.element(place, end)
        if found.kind != _MATRIX:
            raise self.damaged(f"an element of type {found.kind} stands for an array", place)
        if found.start == place + 4:
            raise self.damaged("an array is too small to be one", place)
        if found.end == found.start:
            if not depth:
                raise self.damaged("a variable is empty", place)
            return found.end
        if depth > _DEEPEST:
            raise self.damaged(f"more than {_DEEPEST} arrays lie one in the other", place)
        # scipy goes on where the last element has ended, not where the array should.
        if self._array(found.start, found.end, depth) != found.end:
            raise self.damaged("an array does not end where it says", place)
        return found.end

    def _array(self, place: int, end: int, depth: int) -> int:
        """Check the elements of an array; gives the place at which the last ends."""
        flags, place = self.whole_numbers(place, end)
        if len(flags) != 2:
            raise self.damaged("an array has no class", place)
        kind, is_complex = flags[0] & 0xFF, bool(flags[0] >> 8 & _COMPLEX)
        if kind not in (_CELL, _STRUCT, _CHAR, *_NUMBERS):
            raise _OtherClass
        sides, place = self.whole_numbers(place, end)
        if not 2 <= len(sides) <= _MOST_DIMENSIONS or max(sides) >= 1 << 31:
            raise self.damaged(f"an array has {len(sides)} dimensions or a negative one", place)
        count = math.prod(sides)
        name = self.element(place, end)
        if name.kind != _INT8 or name.end - name.start > _LONGEST_NAME:
            raise self.damaged("an array has no name", place)
        place = name.next
        if kind in (_CELL, _STRUCT):
            fields = 1
            if kind == _STRUCT:
                fields, place = self._fields(place, end)
            self._room(count * max(fields, 1), _SMALLEST, place, end)
            for _ in range(count * fields):
                place = self.matrix(place, end, depth + 1)
            return place
        for _ in range(2 if is_complex and kind != _CHAR else 1):
            place = self._values(count, kind, place, end)
        return place

    def _fields(self, place: int, end: int) -> tuple[int, int]:
        """The number of fields of a struct, and the place at which its values begin."""
        length, place = self.whole_numbers(place, end)
        names = self.element(place, end)
        size = names.end - names.start
        if len(length) != 1 or not 0 < length[0] <= _LONGEST_NAME or names.kind != _INT8:
            raise self.damaged("a struct has no names of fields", place)
        if size % length[0]:
            raise self.damaged("the names of the fields of a struct are cut", place)
        if size // length[0] > _MOST_FIELDS:
            raise self.damaged(f"a struct has more than {_MOST_FIELDS} fields", place)
        return size // length[0], names.next

    def _values(self, count: int, kind: int, place: int, end: int) -> int:
        """Check the values of an array of numbers, or a text."""
        found = self.element(place, end)
        sizes = _SIZES | _TEXTS if kind == _CHAR else _SIZES
        if found.kind not in sizes:
            raise self.damaged(f"values are of the type {found.kind}", place)
        size = found.end - found.start
        told = count * sizes[found.kind]
        # Of UTF-8 a letter takes one byte or more.
        if told > size or (told < size and found.kind != min(_TEXTS)):
            raise self.damaged(f"{count} values are told of, but they have {size} bytes", place)
        return found.next

    def _room(self, count: int, size: int, place: int, end: int) -> None:
        if count * size > end - place:
            raise self.damaged(f"{count} arrays are told of, more than there is room for", place)


def checked(path: Path, data: bytes) -> bytes:
    """A file with the variables of `data` whose structure is sound, unpacked.

    Args:
        path: the file, for messages and its size.
        data: all bytes of the file.

    Raises:
        DataError: something in the file is damaged, tells of more than there is, or would unpack to
            far more than the size of the file.
    """
    if data[126:128] not in _ENDS:
        raise DataError(f"{path} is damaged: its header does not say in which order bytes stand")
    order, version = _ENDS[data[126:128]]
    sound = [data[:116].ljust(124), version]
    total = 0
    for element in _top_level(path, data, order):
        total += len(element)
        check_size(path, total)
        walk = _Walk(path, element, order)
        try:
            end = walk.matrix(0, len(element))
            if _is_named(walk):
                sound.append(element[:end])
        except _OtherClass:
            continue
    return b"".join(sound)


def _top_level(path: Path, data: bytes, order: Literal["little", "big"]) -> Iterator[bytes]:
    """The variables of a file as they are unpacked."""
    walk, place, total = _Walk(path, data, order), _HEADER, 0
    while place < len(data):
        found = walk.element(place, len(data))
        if found.kind == _COMPRESSED:
            unpacked = inflated(path, data[found.start : found.end], total)
            total += len(unpacked)
            yield unpacked
            place = found.end
        elif found.kind == _MATRIX:
            yield data[place : found.end]
            place = found.end
        else:
            raise walk.damaged(f"an element of type {found.kind} is no variable", place)


def _is_named(walk: _Walk) -> bool:
    """Whether an element has a name; MATLAB keeps its own data, no variables, without one."""
    end = walk.element(0, len(walk.data)).end
    _, place = walk.whole_numbers(_SMALLEST, end)
    _, place = walk.whole_numbers(place, end)
    name = walk.element(place, end)
    return name.end > name.start
