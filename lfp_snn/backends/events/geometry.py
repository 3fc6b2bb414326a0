"""Tables that turn a convolution at active inputs into additions of contiguous runs.

The neurons of a map lie in *lanes*: group, row, column, channel of the group, every row padded to
whole vectors. With channels last, all that one input adds to one row of outputs is one run of
memory, ``columns x channels`` long, and so are its weights once they are laid out alike (columns
reversed, one copy of the order per phase of the stride). Rows of the map stand apart by a gap, so
that runs which reach over an edge need no test: what lands in the gap is never read.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import gcd
from typing import NamedTuple

import numpy as np

from lfp_snn.backends.events.simd import BLOCK
from lfp_snn.backends.events.vectors import LANES

Pair = tuple[int, int]


@dataclass(frozen=True)
class ConvShape:
    """The shape of a Conv2d (a Conv1d has height 1): sizes as (height, width)."""

    channels: int
    size: Pair
    outputs: int
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    @property
    def out_size(self) -> Pair:
        """The size (height, width) of the map of neurons."""
        height, width = (
            (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, p, d, k, s in zip(
                self.size, self.padding, self.dilation, self.kernel, self.stride, strict=True
            )
        )
        return height, width

    @property
    def units(self) -> int:
        """The number of neurons."""
        height, width = self.out_size
        return self.outputs * height * width


class Tables(NamedTuple):
    """The tables that the kernels read; offsets count elements.

    Per input unit: where line 0 of its weights lies (``bank``) and lands in the map (``place``, for
    a line that exists), and its lines ``first`` to ``stop``, those whose row of outputs exists.
    Steps between lines and between the segments of a line, ``run`` elements each; map rows start
    at ``margin + row * pitch``, lanes at ``row * width``; a group of channels owns ``group_rows``.
    """

    place: np.ndarray
    bank: np.ndarray
    first: np.ndarray
    stop: np.ndarray
    lines: int
    place_line: int
    bank_line: int
    segments: int
    place_segment: int
    run: int
    margin: int
    pitch: int
    width: int
    map_rows: int
    group_rows: int
    map_size: int
    lanes: int


class Geometry(NamedTuple):
    """The tables of a convolution, and the order of its lanes and weights.

    ``order`` [lanes] is the flat (channel, row, column) index of the neuron in a lane, -1 in the
    padding; ``gather`` the flat index of the weight at each place of the layout, -1 for a zero.
    """

    tables: Tables
    order: np.ndarray
    gather: np.ndarray

    def units(self, lanes: np.ndarray, shape: ConvShape) -> np.ndarray:
        """A view of an array [..., lanes] as [..., groups, channels of it, rows, columns]."""
        return _units(lanes, shape, self.tables.width)


class _Axis(NamedTuple):
    """One axis: the taps of each phase of the stride, in order of the output that they reach.

    Every input has its phase and the output that its first tap reaches; ``step`` lies between
    outputs.
    """

    taps: list[list[int]]
    phase: np.ndarray
    first: np.ndarray
    step: int


def _axis(size: int, kernel: int, stride: int, padding: int, dilation: int) -> _Axis:
    taps = [
        [k for k in reversed(range(kernel)) if (phase - k * dilation) % stride == 0]
        for phase in range(stride)
    ]
    position = np.arange(size) + padding
    phase = position % stride
    first = np.array(
        [
            (x - taps[x % stride][0] * dilation) // stride if taps[x % stride] else 0
            for x in position
        ],
        dtype=np.int64,
    )
    return _Axis(taps, phase, first, dilation // gcd(stride, dilation))


def _up(n: int, multiple: int) -> int:
    return -(-n // multiple) * multiple


@lru_cache(maxsize=64)
def geometry(shape: ConvShape) -> Geometry:
    """The tables of a convolution."""
    height, width = shape.out_size
    deep = shape.outputs // shape.groups
    y, x = (
        _axis(n, k, s, p, d)
        for n, k, s, p, d in zip(
            shape.size, shape.kernel, shape.stride, shape.padding, shape.dilation, strict=True
        )
    )
    columns, lines = max(map(len, x.taps)), max(map(len, y.taps))
    segments = 1 if x.step == 1 else columns
    run = _up((columns if segments == 1 else 1) * deep, LANES)

    last = x.first + (columns - 1) * x.step
    left, right = max(0, -int(x.first.min())), max(0, int(last.max()) + 1 - width)
    lane_row = _up(width * deep, LANES)
    pitch = max(lane_row, _up((width + max(left, right)) * deep, LANES))
    margin = _up(left * deep, LANES)
    map_rows = shape.groups * height

    # Rows: of the taps of a phase, those whose output exists are consecutive.
    reach = y.first[:, None] + y.step * np.arange(lines)
    there = (reach >= 0) & (reach < height)
    there &= np.arange(lines) < np.array([len(y.taps[p]) for p in y.phase])[:, None]
    skipped, rows = there.argmax(1), there.sum(1)
    empty_column = np.array([not x.taps[p] for p in x.phase])

    line = segments * run
    channel, row, column = np.meshgrid(
        np.arange(shape.channels), *map(np.arange, shape.size), indexing="ij"
    )
    group = channel // (shape.channels // shape.groups)
    place = margin + (group * height + y.first[row]) * pitch + x.first[column] * deep
    bank = (channel * shape.stride[0] + y.phase[row]) * shape.stride[1] + x.phase[column]
    count = np.where(empty_column[column], 0, rows[row])
    reached = margin + (map_rows - 1) * pitch + (int(last.max()) * deep) + run
    tables = Tables(
        place=place.reshape(-1).astype(np.int64),
        bank=(bank * lines * line).reshape(-1).astype(np.int64),
        first=skipped[row].reshape(-1).astype(np.int64),
        stop=(skipped[row] + count).reshape(-1).astype(np.int64),
        lines=lines,
        place_line=y.step * pitch,
        bank_line=line,
        segments=segments,
        place_segment=x.step * deep,
        run=run,
        margin=margin,
        pitch=pitch,
        width=lane_row,
        map_rows=map_rows,
        group_rows=height,
        map_size=max(reached, margin + map_rows * pitch),
        lanes=_up(map_rows * lane_row, BLOCK),
    )
    return Geometry(tables, _order(shape, lane_row, tables.lanes), _gather(shape, y, x, tables))


def _order(shape: ConvShape, lane_row: int, lanes: int) -> np.ndarray:
    order = np.full(lanes, -1, np.int64)
    units = _units(order, shape, lane_row)
    units[:] = np.arange(shape.units).reshape(units.shape)
    return order


def _units(lanes: np.ndarray, shape: ConvShape, lane_row: int) -> np.ndarray:
    height, width = shape.out_size
    deep, maps = shape.outputs // shape.groups, (*lanes.shape[:-1], shape.groups, height)
    rows = lanes[..., : shape.groups * height * lane_row].reshape(*maps, lane_row)
    places = rows[..., : width * deep].reshape(*maps, width, deep)
    return np.moveaxis(places, -1, -3)


def _gather(shape: ConvShape, y: _Axis, x: _Axis, tables: Tables) -> np.ndarray:
    deep = shape.outputs // shape.groups
    inner = shape.channels // shape.groups
    weight = np.arange(shape.outputs * inner * shape.kernel[0] * shape.kernel[1])
    weight = weight.reshape(shape.groups, deep, inner, *shape.kernel)
    by_channel = weight.transpose(0, 2, 3, 4, 1).reshape(shape.channels, *shape.kernel, deep)
    lines = max(map(len, y.taps))
    banks = (shape.channels, *shape.stride, lines, tables.segments, tables.run)
    gather = np.full(banks, -1, np.int64)
    for py, taps_y in enumerate(y.taps):
        for px, taps_x in enumerate(x.taps):
            for line, ky in enumerate(taps_y):
                if tables.segments == 1:
                    chosen = by_channel[:, ky, taps_x].reshape(shape.channels, -1)
                    gather[:, py, px, line, 0, : chosen.shape[1]] = chosen
                else:
                    for k, kx in enumerate(taps_x):
                        gather[:, py, px, line, k, :deep] = by_channel[:, ky, kx]
    return gather.reshape(-1)
