from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest

from lfp_snn.backends.events.conv import conv_backward, conv_forward
from lfp_snn.backends.events.geometry import ConvShape, geometry
from lfp_snn.backends.events.linear import linear_forward
from lfp_snn.backends.events.linear_backward import linear_backward
from lfp_snn.backends.events.lists import (
    Lists,
    dense_from_lists,
    lists_from_bits,
    lists_from_dense,
    transpose,
)
from lfp_snn.backends.events.neuron import Neuron, dynamics_code
from lfp_snn.backends.events.pool import (
    Pooling,
    adaptive_windows,
    pool_backward,
    pool_forward,
    pooling,
    windows,
)
from lfp_snn.backends.events.scan import credit_scan, lif_forward
from lfp_snn.backends.events.workspace import Workspace, match_threads
from tests.backends import oracle_events as oracle

VARIANTS = [
    ("subtract", True), ("zero", True), ("none", True), ("subtract", False), ("zero", False),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _threads() -> Iterator[None]:
    match_threads(2)
    yield
    match_threads(2)


def make_input(
    seed: int, batch: int, steps: int, units: int, *, density: float = 0.3, valued: bool = False
) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = (rng.random((batch, steps, units)) < density).astype(np.float64)
    if valued:
        x *= rng.integers(1, 5, x.shape) / 2
    if steps > 2:
        x[:, 1] = 0  # an empty frame
    return x


def make_cell(seed: int, units: int, variant: tuple[str, bool], *, scalar: bool) -> oracle.Cell:
    rng = np.random.default_rng(seed)
    beta = np.full(units, 0.875) if scalar else rng.integers(0, 9, units) / 8
    theta = np.full(units, 0.5) if scalar else rng.integers(0, 5, units) / 4
    return oracle.Cell(beta, theta, *variant)


def neuron_of(cell: oracle.Cell, scalar: bool, dtype: Any = np.float64) -> Neuron:
    count = 1 if scalar else len(cell.beta)
    return Neuron(
        cell.beta[:count].astype(dtype),
        cell.theta[:count].astype(dtype),
        dynamics_code(cell.reset, cell.delay),
    )


def dyadic(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Weights that are multiples of 1/8, so that sums are exact and often lie on the threshold."""
    return rng.integers(-6, 9, shape) / 8


def lists_of(x: np.ndarray) -> Lists:
    return lists_from_dense(x, Workspace(), time_major=False)


def dense(lists: Lists, *shape: int) -> np.ndarray:
    return dense_from_lists(lists, np.empty(shape), time_major=False)


def entries(lists: Lists, x: np.ndarray) -> np.ndarray:
    """The values of dense [B, T, N] at the entries of the lists."""
    rows = np.repeat(np.arange(lists.indptr.size - 1), np.diff(lists.indptr))
    return np.ascontiguousarray(x.reshape(len(lists.indptr) - 1, -1)[rows, lists.indices])


def close(actual: Any, expected: np.ndarray, tolerance: float = 1e-9) -> None:
    np.testing.assert_allclose(actual, expected, rtol=tolerance, atol=tolerance)


class Expected:
    """The oracle's answer for one layer whose synapse is the matrix [N, in]."""

    def __init__(
        self, x: np.ndarray, matrix: np.ndarray, bias: np.ndarray, cell: oracle.Cell, **options: Any
    ) -> None:
        self.x, self.matrix, self.cell = x, matrix, cell
        self.shown = oracle.run(x @ matrix.T + bias, cell, **options)

    def back(self, relevance: np.ndarray) -> None:
        self.n = oracle.credit(self.shown, relevance, self.cell)
        self.input_credit = self.n @ self.matrix

    def weight_sums(self) -> np.ndarray:
        sums: np.ndarray = np.einsum("btj,bti->ji", self.n, self.x)
        return sums


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize(
    ("batch", "steps", "inputs", "outputs", "valued", "ragged", "scalar"),
    [
        (3, 6, 17, 10, False, False, True),
        (2, 5, 9, 130, True, True, False),
        (1, 1, 4, 1, False, False, True),
    ],
)  # fmt: skip
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_linear(
    variant: tuple[str, bool], batch: int, steps: int, inputs: int, outputs: int, valued: bool,
    ragged: bool, scalar: bool, dtype: Any,
) -> None:  # fmt: skip
    rng = np.random.default_rng(outputs)
    x = make_input(outputs, batch, steps, inputs, valued=valued)
    weight, bias = dyadic(rng, outputs, inputs), dyadic(rng, outputs)
    cell = make_cell(outputs, outputs, variant, scalar=scalar)
    neuron = neuron_of(cell, scalar, dtype)
    lengths = rng.integers(0, steps + 1, batch) if ragged else None
    state = dyadic(rng, batch, outputs) if ragged else None
    expected = Expected(x, weight, bias, cell, lengths=lengths, state=state)

    work, tolerance = Workspace(), 1e-9 if dtype == np.float64 else 1e-5
    w, b = weight.astype(dtype), bias.astype(dtype)
    given = lists_of(x.astype(dtype))
    trace = linear_forward(given, steps, w, b, neuron, work, lengths=lengths, state=state)
    shape = batch, steps, outputs
    np.testing.assert_array_equal(dense(trace.neurons.out, *shape), expected.shown.spikes)
    close(trace.neurons.w[:, :, :outputs], expected.shown.w, tolerance)
    close(trace.neurons.state[:, :outputs], expected.shown.state, tolerance)

    credit = rng.standard_normal(shape)
    expected.back(expected.shown.spikes * credit)
    sums = entries(trace.neurons.out, credit).astype(dtype)
    found = linear_backward(trace, neuron, b, cell.eps, work, credit=sums)
    scale = max(1.0, float(np.abs(expected.weight_sums()).max()))
    close(found.weight / scale, abs(weight) * expected.weight_sums() / scale, tolerance)
    close(found.bias, abs(bias) * expected.n.sum((0, 1)), tolerance * scale)
    assert found.credit is not None
    close(found.credit / scale, entries(given, expected.input_credit) / scale, tolerance)

    reward = rng.standard_normal(shape)
    expected.back(reward)
    scale = max(1.0, float(np.abs(expected.weight_sums()).max()))
    dense_found = linear_backward(
        trace, neuron, None, cell.eps, work, reward=reward, input_credit=False
    )
    close(dense_found.weight / scale, abs(weight) * expected.weight_sums() / scale, tolerance)
    assert dense_found.bias is None and dense_found.credit is None


@pytest.mark.parametrize("variant", VARIANTS)
def test_given_currents(variant: tuple[str, bool]) -> None:
    rng = np.random.default_rng(5)
    batch, steps, units = 3, 7, 70
    constant, lengths = dyadic(rng, batch, 1, units), np.array([7, 0, 4])
    cell = make_cell(1, units, variant, scalar=False)
    neuron, work = neuron_of(cell, False), Workspace()
    currents = np.repeat(constant, steps, 1)
    shown = oracle.run(currents, cell, lengths=lengths)
    for given in (constant, currents):
        trace = lif_forward(given, steps, neuron, work, lengths=lengths)
        np.testing.assert_array_equal(dense(trace.out, batch, steps, units), shown.spikes)
        close(trace.w[:, :, :units], shown.w)
    credit = rng.standard_normal((batch, steps, units))
    n = oracle.credit(shown, credit * shown.spikes, cell)
    sums = entries(trace.out, credit)
    for layout, expected in (("frames", n), ("summed", n.sum(1))):
        found = credit_scan(trace, neuron, cell.eps, work, credit=sums, layout=layout)
        close(found.reshape(*expected.shape[:-1], -1)[..., :units], expected)
    found = credit_scan(trace, neuron, cell.eps, work, reward=credit, layout="frames")
    expected = oracle.credit(shown, credit, cell)
    close(found.reshape(batch, steps, -1)[..., :units], expected)
    with pytest.raises(ValueError, match="either"):
        credit_scan(trace, neuron, cell.eps, work)


def test_state_continues_a_stream() -> None:
    rng = np.random.default_rng(2)
    currents = rng.standard_normal((2, 8, 5))
    neuron = Neuron(np.array([0.9]), np.array([0.7]))
    whole = lif_forward(currents, 8, neuron, Workspace(), record=False)
    first = lif_forward(np.ascontiguousarray(currents[:, :3]), 3, neuron, Workspace(), record=False)
    rest = lif_forward(
        np.ascontiguousarray(currents[:, 3:]), 5, neuron, Workspace(), state=first.state[:, :5]
    )
    np.testing.assert_array_equal(rest.state, whole.state)
    together = np.concatenate([dense(first.out, 2, 3, 5), dense(rest.out, 2, 5, 5)], 1)
    np.testing.assert_array_equal(together, dense(whole.out, 2, 8, 5))


CONVOLUTIONS = [
    ConvShape(2, (6, 7), 3, (3, 3)),
    ConvShape(2, (5, 6), 4, (3, 2), padding=(1, 1)),
    ConvShape(2, (7, 8), 3, (3, 3), stride=(2, 2), padding=(1, 0)),
    ConvShape(1, (8, 9), 5, (3, 3), padding=(2, 2), dilation=(2, 2)),
    ConvShape(1, (9, 9), 2, (3, 2), stride=(2, 4), dilation=(2, 2), padding=(1, 2)),
    ConvShape(1, (8, 10), 2, (2, 3), stride=(3, 1), dilation=(1, 3), padding=(0, 2)),
    ConvShape(4, (5, 5), 6, (3, 3), groups=2, padding=(1, 1)),
    ConvShape(3, (5, 5), 3, (3, 3), groups=3, stride=(1, 2)),
    ConvShape(2, (1, 12), 3, (1, 5), padding=(0, 2)),
    ConvShape(1, (3, 3), 20, (3, 3)),
    ConvShape(2, (4, 4), 3, (1, 1), stride=(2, 3)),
    ConvShape(1, (10, 4), 2, (3, 1), stride=(3, 1), dilation=(2, 1)),  # row 1 reaches no output
    ConvShape(2, (4, 6), 40, (2, 5)),  # runs of more vectors than registers hold
]


def conv_case(shape: ConvShape, variant: tuple[str, bool], number: int) -> dict[str, Any]:
    rng = np.random.default_rng(number)
    units_in = shape.channels * shape.size[0] * shape.size[1]
    batch, steps = (1, 1) if number % 5 == 4 else (3, 4)
    ragged, scalar = number % 2 == 0, number % 3 == 0
    x = make_input(number, batch, steps, units_in, valued=number % 4 == 0)
    weight = dyadic(rng, shape.outputs, shape.channels // shape.groups, *shape.kernel)
    bias = dyadic(rng, shape.outputs)
    cell = make_cell(number, shape.units, variant, scalar=scalar)
    matrix, which = oracle.conv_matrix(shape, weight)
    per_unit = np.repeat(bias, shape.units // shape.outputs)
    options = {
        "lengths": rng.integers(0, steps + 1, batch) if ragged else None,
        "state": dyadic(rng, batch, shape.units) if ragged else None,
    }
    return {
        "x": x, "weight": weight, "bias": bias, "which": which, "options": options, "rng": rng,
        "neuron": neuron_of(cell, scalar),
        "expected": Expected(x, matrix, per_unit, cell, **options),
    }  # fmt: skip


def check_conv(shape: ConvShape, case: dict[str, Any], pool: Pooling | None, route: Any) -> None:
    """Forward and backward against the oracle; `route` gives the pooled maps and takes credit."""
    x, weight, bias, expected = case["x"], case["weight"], case["bias"], case["expected"]
    steps, work = x.shape[1], Workspace()
    given = lists_of(x)
    trace = conv_forward(
        given, steps, shape, weight, bias, case["neuron"], work, pooling=pool, **case["options"]
    )
    out, back = route(expected.shown.spikes)
    np.testing.assert_array_equal(dense(trace.out, *out.shape), out)
    credit = case["rng"].standard_normal(out.shape)
    expected.back(expected.shown.spikes * back(credit * (out != 0)))
    found = conv_backward(
        trace, weight, bias, case["neuron"], expected.cell.eps, work,
        credit=entries(trace.out, credit),
    )  # fmt: skip
    compare_conv(found, given, case)


def compare_conv(found: Any, given: Lists, case: dict[str, Any]) -> None:
    expected, which, weight = case["expected"], case["which"], case["weight"]
    sums = np.zeros(weight.size)
    np.add.at(sums, which[which >= 0], expected.weight_sums()[which >= 0])
    scale = max(1.0, float(np.abs(sums).max()))
    close(found.weight / scale, abs(weight) * sums.reshape(weight.shape) / scale)
    per_channel = expected.n.sum((0, 1)).reshape(weight.shape[0], -1).sum(1)
    close(found.bias / scale, abs(case["bias"]) * per_channel / scale)
    close(found.credit / scale, entries(given, expected.input_credit) / scale)


def straight(spikes: np.ndarray) -> Any:
    return spikes, lambda credit: credit


@pytest.mark.parametrize(
    ("number", "shape", "variant"),
    [(k, s, VARIANTS[k % 5]) for k, s in enumerate(CONVOLUTIONS)]
    + [(20 + k, CONVOLUTIONS[0], v) for k, v in enumerate(VARIANTS)],
)
def test_conv(number: int, shape: ConvShape, variant: tuple[str, bool]) -> None:
    check_conv(shape, conv_case(shape, variant, number), None, straight)


def test_conv_takes_a_dense_reward() -> None:
    shape = CONVOLUTIONS[1]
    case = conv_case(shape, ("subtract", True), 10)
    given, work, steps = lists_of(case["x"]), Workspace(), case["x"].shape[1]
    trace = conv_forward(
        given, steps, shape, case["weight"], case["bias"], case["neuron"], work, **case["options"]
    )
    reward = case["rng"].standard_normal(case["expected"].shown.spikes.shape)
    case["expected"].back(reward)
    found = conv_backward(
        trace, case["weight"], case["bias"], case["neuron"], 1e-6, work, reward=reward
    )
    compare_conv(found, given, case)


@pytest.mark.parametrize("maximum", [True, False])
@pytest.mark.parametrize(("kernel", "stride", "padding"), [(2, 2, 0), (2, 3, 1), (3, 2, 1)])
def test_conv_and_pool(maximum: bool, kernel: int, stride: int, padding: int) -> None:
    shape = ConvShape(2, (7, 8), 3, (3, 2), padding=(1, 0))
    case = conv_case(shape, ("subtract", True), 31)
    size = shape.out_size
    rows, columns = (windows(n, kernel, stride, padding, False) for n in size)
    table = pooling(3, size, rows, columns, maximum=maximum)

    def route(spikes: np.ndarray) -> Any:
        maps = spikes.reshape(*spikes.shape[:2], 3, *size)
        out, routes = oracle.pool(maps, kernel, stride, padding, maximum)

        def back(credit: np.ndarray) -> np.ndarray:
            given = oracle.pool_back(routes, credit.reshape(out.shape), maps.shape)
            return given.reshape(spikes.shape)

        return out.reshape(*out.shape[:2], -1), back

    if table.disjoint:
        check_conv(shape, case, table, route)
    else:
        check_lists_pool(case["expected"].shown.spikes, table, route, case["rng"])
        with pytest.raises(ValueError, match="overlap"):
            check_conv(shape, case, table, route)


def check_lists_pool(x: np.ndarray, table: Pooling, route: Any, rng: np.random.Generator) -> None:
    given, work, steps = lists_of(x), Workspace(), x.shape[1]
    out, back = route(x)
    found = pool_forward(given, table, steps, np.dtype(np.float64), work)
    close(dense(found, *out.shape), out)
    credit = rng.standard_normal(out.shape)
    handed = pool_backward(given, found, entries(found, credit), table, steps, work)
    close(handed, entries(given, back(credit * (out != 0))))


@pytest.mark.parametrize(("maximum", "valued"), list(product([True, False], repeat=2)))
def test_pooling_of_lists(maximum: bool, valued: bool) -> None:
    size = (5, 6)
    x = make_input(3, 2, 4, 2 * 30, valued=valued)
    table = pooling(2, size, *(windows(n, 3, 2, 1, False) for n in size), maximum=maximum)

    def route(x: np.ndarray) -> Any:
        maps = x.reshape(2, 4, 2, *size)
        out, routes = oracle.pool(maps, 3, 2, 1, maximum)
        return out.reshape(2, 4, -1), lambda c: oracle.pool_back(
            routes, c.reshape(out.shape), maps.shape
        ).reshape(x.shape)

    check_lists_pool(x, table, route, np.random.default_rng(0))


def test_windows_follow_torch() -> None:
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    for size, kernel, stride, padding, ceil in [
        (7, 3, 2, 1, True),
        (6, 2, 2, 0, True),
        (5, 2, 3, 1, False),
    ]:
        maps = (rng.random((2, 3, size, size)) < 0.4).astype(np.float64)
        axis = windows(size, kernel, stride, padding, ceil)
        for maximum, pool in (
            (True, torch.nn.MaxPool2d(kernel, stride, padding, ceil_mode=ceil)),
            (False, torch.nn.AvgPool2d(kernel, stride, padding, ceil_mode=ceil)),
        ):
            compare_pool(maps, pooling(3, (size, size), axis, axis, maximum=maximum), pool)
    axis = adaptive_windows(7, 3)
    maps = (rng.random((2, 3, 7, 7)) < 0.4).astype(np.float64)
    compare_pool(maps, pooling(3, (7, 7), axis, axis, maximum=False), torch.nn.AdaptiveAvgPool2d(3))


def compare_pool(maps: np.ndarray, table: Pooling, pool: Any) -> None:
    import torch

    expected = pool(torch.from_numpy(maps)).numpy()
    found = pool_forward(
        lists_of(maps.reshape(2, 1, -1)), table, 1, np.dtype(np.float64), Workspace()
    )
    close(dense(found, 2, 1, table.share.size), expected.reshape(2, 1, -1))


@pytest.mark.parametrize("time_major", [True, False])
def test_lists_and_dense(time_major: bool) -> None:
    x = make_input(1, 3, 4, 11, valued=True)
    shaped = x.transpose(1, 0, 2) if time_major else x
    lists = lists_from_dense(shaped, Workspace(), time_major=time_major)
    assert lists.values is not None
    frames = x.reshape(12, 11)
    np.testing.assert_array_equal(np.diff(lists.indptr), (frames != 0).sum(1))
    np.testing.assert_array_equal(lists.indices, np.nonzero(frames)[1])
    np.testing.assert_array_equal(lists.values, frames[frames != 0])
    out = dense_from_lists(lists, np.full(shaped.shape, 7.0), time_major=time_major)
    np.testing.assert_array_equal(out, shaped)
    assert lists_from_dense(np.sign(shaped), Workspace(), time_major=time_major).values is None


def test_bits_and_transposition() -> None:
    rng = np.random.default_rng(0)
    flags = rng.random((9, 128)) < 0.2
    flags[4] = False
    words = np.packbits(flags, axis=1, bitorder="little").view(np.uint64)
    lists = lists_from_bits(words, Workspace())
    np.testing.assert_array_equal(lists.indices, np.nonzero(flags)[1])
    values = rng.standard_normal(lists.indices.size)
    starts, frames, moved, step = transpose(
        lists._replace(values=values), 128, np.dtype(np.float64), Workspace()
    )
    units, rows = np.nonzero(flags.T)
    np.testing.assert_array_equal(np.diff(starts), flags.sum(0))
    np.testing.assert_array_equal(frames, rows)
    table = np.zeros(flags.shape)
    table[flags] = values
    assert step == 1
    np.testing.assert_array_equal(moved, table[rows, units])


def passes(threads: int, work: Workspace) -> list[np.ndarray]:
    """Forward and backward of a convolution and a linear layer in float32."""
    match_threads(threads)
    rng = np.random.default_rng(0)
    f4 = np.float32
    shape = ConvShape(2, (16, 15), 7, (5, 5))
    x = make_input(0, 33, 12, 480, density=0.1).astype(f4)
    weight = (rng.standard_normal((7, 2, 5, 5)) / 2).astype(f4)
    dense_weight = (rng.standard_normal((70, shape.units)) / 4).astype(f4)
    neuron = Neuron(np.array([0.9], f4), np.array([1.0], f4))
    given = lists_from_dense(x, work, time_major=False)
    first, second = Workspace(), Workspace()
    a = conv_forward(given, 12, shape, weight, None, neuron, first)
    b = linear_forward(a.out, 12, dense_weight, None, neuron, second)
    reward = rng.standard_normal((33, 12, 70)).astype(f4)
    top = linear_backward(b, neuron, None, 0.1, second, reward=reward)
    bottom = conv_backward(a, weight, None, neuron, 0.1, first, credit=top.credit)
    arrays = (a.bits, b.neurons.bits, b.neurons.w, top.weight, bottom.weight, bottom.credit)
    return [np.copy(array) for array in arrays if array is not None]


def test_threads_and_repetition_change_no_bit() -> None:
    work = Workspace()
    once = passes(2, work)
    assert len(once) == 6 and all(np.any(array) for array in once)
    for threads in (2, 1):
        for first, second in zip(once, passes(threads, work), strict=True):
            np.testing.assert_array_equal(first, second)


def test_membranes_are_repeated_exactly_in_any_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    stored = passes(2, Workspace())
    monkeypatch.setattr("lfp_snn.backends.events.conv._STORE", 0)
    for tile in (1 << 19, 1):
        monkeypatch.setattr("lfp_snn.backends.events.conv._TILE", tile)
        for first, second in zip(stored, passes(2, Workspace()), strict=True):
            np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("variant", VARIANTS)
def test_membranes_stored_or_repeated_change_no_bit(
    variant: tuple[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    shape = CONVOLUTIONS[1]
    case = conv_case(shape, variant, 42)
    given, steps = lists_of(case["x"]), case["x"].shape[1]
    reward = case["rng"].standard_normal(case["expected"].shown.spikes.shape)
    inside = geometry(shape).order >= 0

    def step(store: int) -> list[np.ndarray]:
        monkeypatch.setattr("lfp_snn.backends.events.conv._STORE", store)
        monkeypatch.setattr("lfp_snn.backends.events.conv._TILE", 1)
        work, cell = Workspace(), (case["weight"], case["bias"], case["neuron"])
        trace = conv_forward(given, steps, shape, *cell, work, **case["options"])
        assert (trace.record.every == 1) == (store > 0)
        found = conv_backward(trace, *cell, 1e-6, work, reward=reward)
        assert found.bias is not None and found.credit is not None
        return [trace.bits, trace.state[:, inside], found.weight, found.bias, found.credit]

    for stored, repeated in zip(step(1 << 25), step(0), strict=True):
        np.testing.assert_array_equal(stored, repeated)


def test_workspace_reuses_its_buffers() -> None:
    work = Workspace()
    large = work.get("a", (100,), np.float32)
    held = work.nbytes
    small = work.get("a", (3, 5), np.float64)
    assert np.shares_memory(large, small) and work.nbytes == held
    assert large.ctypes.data % 64 == 0
    assert not work.zeros("b", (4,), np.float32).any()
