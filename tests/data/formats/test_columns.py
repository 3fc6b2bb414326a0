"""Columns of text, NumPy and MATLAB: read right, or refused in one sentence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.io import savemat

from lfp_snn.data.events import Events
from lfp_snn.data.formats import Layout, detect, read_recording, write_recording
from lfp_snn.errors import ConfigError, DataError

CASES = Path(__file__).parent / "cases"
TEXTS = ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be")


def columns(events: Events) -> list[tuple[int, ...]]:
    """Events as rows of (t, x, y, p)."""
    parts = (events.t, events.x, events.y, events.p)
    return list(zip(*(part.tolist() for part in parts), strict=True))


@pytest.fixture(scope="module")
def cases() -> Events:
    """The events that all files of cases hold."""
    return read_recording(CASES / "evt21.raw")


@pytest.fixture
def rows(cases: Events) -> npt.NDArray[np.int64]:
    """Their columns t, x, y, p, int64 [400, 4]."""
    return np.stack([cases.t, cases.x, cases.y, cases.p], 1).astype(np.int64)


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., Events]:
    """Reads the events of a text or of an array."""

    def reader(content: str | bytes | npt.NDArray[Any], **layout: str | None) -> Events:
        path = tmp_path / "a.any"
        if isinstance(content, np.ndarray):
            with path.open("wb") as file:
                np.save(file, content)
        else:
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        how = Layout.of(layout.get("order"), layout.get("unit"))
        return read_recording(path, layout=how)

    return reader


def text(rows: npt.NDArray[Any], separator: str = ",", form: str = "%d") -> str:
    return "\n".join(separator.join(form % value for value in row) for row in rows) + "\n"


# ---------------------------------------------------------------- files that were read wrong


@pytest.mark.parametrize(
    ("name", "form", "size"),
    [
        ("seconds.npy", "npy", (60, 100)),
        ("seconds.mat", "mat", (60, 100)),
        ("columns-xypt.csv", "table", (60, 100)),
        ("columns-xypt.npy", "npy", (60, 100)),
        ("savetxt-microseconds.txt", "table", (60, 100)),
        ("polarity-1-2.mat", "mat", (60, 100)),
        ("text-quoted.csv", "table", (60, 100)),
        ("text-utf16.csv", "table", (60, 100)),
        ("text-bom.csv", "table", (60, 100)),
        ("text-index.csv", "table", (60, 100)),
        ("text-e2vid.txt", "table", (180, 240)),
        ("fields-on.npy", "npy", (60, 100)),
        ("label-first.npz", "npz", (60, 100)),
    ],
)
def test_the_400_events_are_read(
    name: str, form: str, size: tuple[int, int], cases: Events
) -> None:
    assert detect(CASES / name).name == form
    events = read_recording(CASES / name)
    assert columns(events) == columns(cases) and events.sensor == (2, *size)
    assert events.size_from_events == (size == (60, 100))


def test_frames_of_tonic_are_read_as_told(cases: Events) -> None:
    path = CASES / "frames-T-1-C.npy"
    with pytest.raises(DataError, match=r"shape \(20, 1, 60\).*t,p,channel or channel,p,t"):
        read_recording(path)
    events = read_recording(path, layout=Layout.of("t,p,channel", None))
    assert len(events) == 400 and events.sensor == (1, 1, 60) and events.t.max() == 19_000
    assert sorted(events.x.tolist()) == sorted(cases.y.tolist())


# ---------------------------------------------------------------- units of time


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("unit", [1e6, 1e3, 1.0])
def test_the_unit_of_floats_is_told(
    unit: float, dtype: type, rows: npt.NDArray[Any], read: Callable[..., Events]
) -> None:
    table: npt.NDArray[Any] = rows.astype(dtype)
    table[:, 0] = rows[:, 0] / unit
    assert columns(read(table)) == columns(read(rows))
    if dtype is np.float64:
        assert columns(read(text(table, " ", "%.18e"))) == columns(read(rows))


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        (lambda t: t + 1_700_000_000_000_000, lambda t: t + 1_700_000_000_000_000),
        (lambda t: t * 1000 + 1_700_000_000_000_000_000, lambda t: t + 1_700_000_000_000_000),
        (lambda t: t / 1e6 + 1_700_000_000.25, lambda t: t + 1_700_000_000_250_000),
        (lambda t: t / 1e6 + 0.123456789, lambda t: t + 123_457),  # digits of nanoseconds
        (lambda t: t + 0.25, lambda t: t),  # microseconds, interpolated
    ],
)
def test_stamps_and_odd_digits(
    times: Callable[[Any], Any],
    expected: Callable[[Any], Any],
    rows: npt.NDArray[Any],
    read: Callable[..., Events],
) -> None:
    t = times(rows[:, 0])
    form = "%d" if t.dtype.kind == "i" else "%.9f"
    lines = [f"{form % a},{x},{y},{p}" for a, (_, x, y, p) in zip(t, rows, strict=True)]
    events = read("t,x,y,p\n" + "\n".join(lines))
    assert np.abs(events.t - expected(rows[:, 0])).max() <= 1
    if t.dtype.kind == "i":
        assert events.t.tolist() == expected(rows[:, 0]).tolist()


def test_a_unit_that_is_not_clear_is_asked_for(read: Callable[..., Events]) -> None:
    some = "t,x,y,p\n0.5,1,2,1\n1.125,3,4,0\n"
    with pytest.raises(DataError, match="seconds or milliseconds.* --time-unit"):
        read("t,x,y,p\n0.5,1,2,1\n3.125,3,4,0\n")
    for unit, factor in (("s", 1e6), ("ms", 1e3), ("us", 1), ("ns", 1e-3)):
        expected = [round(0.5 * factor), round(1.125 * factor)]
        assert read(some, unit=unit).t.tolist() == expected
    whole = "t,x,y,p\n3,1,2,1\n4000,3,4,0\n"
    assert read(whole, unit="s").t.tolist() == [3_000_000, 4_000_000_000]
    assert read(whole, unit="ns").t.tolist() == [0, 4]
    stamps = "t,x,y,p\n1700000000000,1,2,1\n1700000000100,3,4,0\n"
    with pytest.raises(DataError, match="milliseconds since 1970 or microseconds"):
        read(stamps)
    assert read(stamps, unit="ms").t[0] == 1_700_000_000_000_000
    with pytest.raises(DataError, match="which no event has"):
        read("t,x,y,p\n0,0,0,1\n4000000000000000,1,1,0\n", unit="s")


@pytest.mark.parametrize(
    ("title", "factor"),
    [("t_us", 1), ("time [ms]", 1e3), ("Timestamp(s)", 1e6), ("ts_ns", 1e-3), ("t µs", 1)],
)
def test_titles_tell_the_unit(title: str, factor: float, read: Callable[..., Events]) -> None:
    events = read(f"{title},x,y,p\n5000,1,2,1\n7000,3,4,0\n")
    assert events.t.tolist() == [5000 * factor, 7000 * factor]


# ---------------------------------------------------------------- which column is which


ORDERS = ["t,x,y,p", "x,y,p,t", "x,y,t,p", "p,t,x,y", "t,p,x,y"]


@pytest.mark.parametrize("order", ORDERS)
def test_the_order_of_columns_is_told(
    order: str, rows: npt.NDArray[Any], read: Callable[..., Events]
) -> None:
    places = ["txyp".index(each) for each in order.split(",")]
    for content in (rows[:, places], text(rows[:, places], ";"), text(rows[:, places], "\t")):
        assert columns(read(content)) == columns(read(rows))


def test_an_order_that_is_not_clear_is_asked_for(
    rows: npt.NDArray[Any], read: Callable[..., Events]
) -> None:
    backwards = rows[::-1].copy()  # only t is too large for a pixel
    assert read(backwards).t.tolist() == rows[::-1, 0].tolist()
    backwards[:, 0] %= 1000
    with pytest.raises(DataError, match="--column-order"):
        read(backwards)
    assert read(backwards, order="t,x,y,p").t.tolist() == backwards[:, 0].tolist()
    six = np.column_stack([rows[:, 3], rows, rows[:, 3]])
    with pytest.raises(DataError, match="6 columns without titles.* - for columns"):
        read(text(six))
    assert columns(read(text(six), order="-,t,x,y,p,-")) == columns(read(rows))
    with pytest.raises(DataError, match="6 columns, but the order t,x,y,p names 4"):
        read(text(six), order="t,x,y,p")


def test_times_that_count_are_no_index(read: Callable[..., Events]) -> None:
    n = np.arange(50)
    assert read(np.stack([n, n % 7, n % 5, n % 2], 1)).t.tolist() == n.tolist()
    assert read(np.stack([n, n % 7, n % 5], 1)).t.tolist() == n.tolist()
    with pytest.raises(DataError, match="may be -,t,channel,p or t,x,y,p"):
        read(np.stack([n, n * 3, n % 5, n % 2], 1))


def test_titles_go_before_an_order_and_an_index_is_passed_over(
    rows: npt.NDArray[Any], read: Callable[..., Events]
) -> None:
    assert columns(read("a,b,c,d\n" + text(rows), order="t,x,y,p")) == columns(read(rows))
    assert columns(read("t,x,y,p\n" + text(rows), order="x,y,p,t")) == columns(read(rows))
    counted = np.column_stack([np.arange(400), rows])
    assert columns(read(counted)) == columns(read(rows))
    assert columns(read(text(counted + np.array([1, 0, 0, 0, 0])))) == columns(read(rows))
    named_rows = "\n".join(f'"{n}",{line}' for n, line in enumerate(text(rows).split()))
    assert columns(read('"t","x","y","p"\n' + named_rows)) == columns(read(rows))


@pytest.mark.parametrize(
    ("order", "unit", "message"),
    [
        ("t,x,p", None, "expected t, x and y, or t and channel"),
        ("t,x,x,y", None, "each once"),
        ("t,x,y,channel", None, "none"),
        ("t,x,y,z", None, "no column 'z'"),
        (None, "min", "no unit of time 'min'"),
    ],
)
def test_layouts_that_are_none(order: str | None, unit: str | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Layout.of(order, unit)


def test_a_format_that_tells_it_takes_no_layout() -> None:
    with pytest.raises(DataError, match="tells its columns and times itself"):
        read_recording(CASES / "evt21.raw", layout=Layout.of(None, "ms"))


# ---------------------------------------------------------------- polarities


@pytest.mark.parametrize(
    ("off", "on"), [("0", "1"), ("-1", "1"), ("1", "2"), ("OFF", "ON"), ("false", "True")]
)
def test_polarities_of_all_conventions(off: str, on: str, read: Callable[..., Events]) -> None:
    lines = [f"{t},{t % 7},{t % 5},{on if t % 3 else off}" for t in range(50)]
    for head in ("t,x,y,p\n", "Time;Column;Row;Polarity\n".replace(";", ","), ""):
        events = read(head + "\n".join(lines))
        assert events.p.tolist() == [int(t % 3 > 0) for t in range(50)]


@pytest.mark.parametrize("dtype", [bool, np.int8, np.float64, "U3", "S5"])
def test_polarities_of_fields(dtype: Any, read: Callable[..., Events]) -> None:
    values = np.array(["OFF", "ON", "ON"]) if dtype in ("U3", "S5") else np.array([0, 1, 1])
    array = np.zeros(3, [("x", "<u2"), ("y", "<u2"), ("polarity", dtype), ("timestamp", "<i8")])
    array["polarity"], array["timestamp"] = values.astype(dtype), [1, 2, 3]
    assert read(array).p.tolist() == [0, 1, 1]


@pytest.mark.parametrize("values", [(0, 2), (-1, 0, 1), (0, 255), (0.5, 1)])
def test_other_polarities_are_named(values: tuple[float, ...], read: Callable[..., Events]) -> None:
    lines = [f"{t},1,1,{value}" for t, value in enumerate(values)]
    with pytest.raises(DataError, match=f"polarities such as {values[0]}"):
        read("t,x,y,p\n" + "\n".join(lines))


def test_pixels_of_a_matlab_struct_that_count_from_0(tmp_path: Path) -> None:
    for first in (0, 1):
        fields = {"x": [first, 5], "y": [first + 1, 2], "ts": [1, 2], "p": [1, 2]}
        savemat(tmp_path / "a.mat", {"TD": fields})
        events = read_recording(tmp_path / "a.mat")
        assert columns(events) == [(1, 0, 1, 0), (2, 5 - first, 2 - first, 1)]


# ---------------------------------------------------------------- ways of writing text


@pytest.mark.parametrize("encoding", TEXTS)
@pytest.mark.parametrize("head", ["t,x,y,p\n", ""])
def test_encodings(
    encoding: str, head: str, rows: npt.NDArray[Any], read: Callable[..., Events]
) -> None:
    assert columns(read((head + text(rows)).encode(encoding))) == columns(read(rows))


@pytest.mark.parametrize(
    "content",
    [
        "# t x y p\n10 1 2 1\n20 3 4 0\n",
        "# comment, more\r\n% more\r\n10, 1, 2, 1\r\n\r\n20, 3, 4, 0",
        "0,00001;1;2;1\n0,00002;3;4;0\n",
        "1,2,1,10,\n3,4,0,20,\n".replace("1,2,1,10", "10,1,2,1").replace("3,4,0,20", "20,3,4,0"),
        "'x' 'y' 'p' 't'\n1 2 1 10\n3 4 0 20\n",
        "t\tx\ty\tp\n10\t1\t2\t1\r20\t3\t4\t0\r",
        "  10   1 2  1\n  20   3 4  0\n",
        "1.0e1,1,2,1\n2e+1,3.,4,0\n",
        "t , x,y, p , a word\n10,1,2,1,5\n20,3,4,0,6.5\n",
        "10,1,2,1\n# between\n20,3,4,0\n",
    ],
)
def test_ways_of_writing(content: str, read: Callable[..., Events]) -> None:
    assert columns(read(content)) == [(10, 1, 2, 1), (20, 3, 4, 0)]


@pytest.mark.parametrize("head", ["240 180\n", "%geometry:240,180\n", "# Geometry 240x180\n"])
def test_a_size_that_is_told(head: str, read: Callable[..., Events]) -> None:
    events = read(head + "10 1 2 1\n20 3 4 0\n")
    assert events.sensor == (2, 180, 240) and not events.size_from_events


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("t,x,y,p\n1,2,,4\n", "line 2: '1,2,,4' has what is no number in column 3"),
        ("t,x,y,p\n1,2,3,1\n\n2,2,3\n", "line 4: '2,2,3' has 3 columns, expected 4"),
        ("1,2,3,1\n2,2,3,1,5\n", "line 2.*5 columns"),
        ("t,x,y,p\n1,2,3,1\n2,nan,3,1\n", "line 3.*no number in column 2"),
        ("t,x,y,p\n1,2,3,1\n2,0x5,3,1\n", "line 3.*no number in column 2"),
        ("t,x,y,p\n1e30,2,3,1\n", "line 2.*column 1 that no event has"),
        ("t,x,y,p\n1,2.5,3,1\n", "column x of numbers with a fraction"),
        ("t,x,y,p\n1,40000,3,1\n", "where no event camera has pixels"),
        ("t,x,y,p\n", "names its columns, but has no events"),
        ("t,time,x,y,p\n1,1,2,3,1\n", "two columns of t: 't' and 'time'"),
        ("a,b,c,d\n1,2,3,4\n", "names the columns a, b, c, d; expected"),
        ("t,x,y,p\n1,2,3,4,5,6\n", "names 4 columns, but its first event has 6"),
        ("# t x y p\n# and no more\n", "has no events"),
        ("t,x,y,p\n1,2,3,1\n" + "1" * 70_000, "line of more than"),
        ("t,x,y,p\n1,2,3,1\n1,2,3,1é\n", "line 3.*no number in column 4"),
    ],
)
def test_what_is_wrong_in_a_text_is_told(
    content: str, message: str, read: Callable[..., Events]
) -> None:
    with pytest.raises(DataError, match=message):
        read(content)


def test_numbers_are_those_of_python(read: Callable[..., Events]) -> None:
    """Broken numbers in seconds, as many digits as `repr` or `%.18e` write, and whole ones."""
    rng = np.random.default_rng(0)
    t = np.sort(rng.random(3000) * 100)
    for form in ("{!r}", "{:.18e}", "{:.12f}"):
        lines = [f"{form.format(float(each))} 1 1 {n % 2}" for n, each in enumerate(t)]
        read_t = read("\n".join(lines), unit="s").t
        np.testing.assert_array_equal(read_t, np.rint(t * 1e6))
    large = [4_611_686_018_427_387 * 1000 - 7, -12_345_678_901_234_567, 0]
    whole = "\n".join(f"{each},1,1,0" for each in large)
    assert read("t,x,y,p\n" + whole, unit="ns").t.tolist() == [each // 1000 for each in large]
    assert read("t,x,y,p\n10000000000000007,1,1,0").t.tolist() == [10_000_000_000_000_007]


def test_lines_across_the_pieces_of_a_file(tmp_path: Path) -> None:
    """Some 3 MiB, in pieces of 1 MiB: nothing is lost or doubled where they meet."""
    rng = np.random.default_rng(1)
    count = 200_000
    t = np.sort(rng.integers(0, 10**8, count))
    x, y = (rng.integers(0, 200, count).astype(np.int16) for _ in range(2))
    p = rng.integers(0, 2, count).astype(np.uint8)
    x[0] = y[0] = 199
    write_recording(Events(x, y, t, p, (2, 200, 200)), tmp_path / "a.csv", "table")
    assert (tmp_path / "a.csv").stat().st_size > 3 << 20
    events = read_recording(tmp_path / "a.csv")
    for own, written in ((events.t, t), (events.x, x), (events.y, y), (events.p, p)):
        np.testing.assert_array_equal(own, written)
    last = (tmp_path / "a.csv").read_bytes() + b"1,2,3\n"
    (tmp_path / "a.csv").write_bytes(last)
    with pytest.raises(DataError, match=f"line {count + 2}: '1,2,3'"):
        read_recording(tmp_path / "a.csv")


# ---------------------------------------------------------------- recordings without pixels


UNITS = [(100, 3), (250, 0), (250, 63), (90_000, 7)]


@pytest.mark.parametrize(
    "content",
    [
        text(np.array(UNITS)),
        text(np.array(UNITS), " "),
        "channel,time\n" + text(np.array(UNITS)[:, ::-1]),
        "t_ms,unit\n" + "\n".join(f"{t / 1000},{c}" for t, c in UNITS),
        np.array(UNITS),
        np.array(UNITS)[:, ::-1],
        np.array([(c, t) for t, c in UNITS], [("addr", "u1"), ("ts", "i8")]),
        np.array([(t, c) for t, c in UNITS], [("t", "f8"), ("x", "i4")]),
    ],
)
def test_recordings_without_pixels(content: Any, read: Callable[..., Events]) -> None:
    events = read(content)
    assert columns(events) == [(t, c, 0, 0) for t, c in UNITS]
    assert events.sensor == (1, 1, 64) and events.size_from_events


def test_channels_with_a_polarity_and_in_an_npz(
    tmp_path: Path, read: Callable[..., Events]
) -> None:
    signed = read("10,3,1\n20,9,-1\n30,4,1\n")
    assert columns(signed) == [(10, 3, 0, 1), (20, 9, 0, 0), (30, 4, 0, 1)]
    assert signed.sensor == (2, 1, 10)
    np.savez(tmp_path / "a.npz", label=3, channel=[4, 5], t=[0.25, 0.500001])
    assert columns(read_recording(tmp_path / "a.npz")) == [(250_000, 4, 0, 0), (500_001, 5, 0, 0)]


@pytest.mark.parametrize("name", ["table", "npy", "npz", "mat"])
@pytest.mark.parametrize("sensor", [(1, 1, 64), (1, 30, 64), (2, 1, 64)])
def test_fewer_columns_go_round(name: str, sensor: tuple[int, int, int], tmp_path: Path) -> None:
    polarities, height, width = sensor
    x = np.array([1, 5, width - 1], np.int16)
    y = np.array([0, 0, height - 1], np.int16)
    p = np.array([0, polarities - 1, 0], np.uint8)
    written = Events(x, y, np.array([5, 7, 90_000]), p, sensor)
    write_recording(written, tmp_path / "a", name)
    again = read_recording(tmp_path / "a")
    assert columns(again) == columns(written) and again.sensor == sensor


def test_arrays_that_may_both_be_events_are_named(tmp_path: Path) -> None:
    one, two = np.array([[1, 2, 3, 1], [4, 5, 6, 0]]), np.array([[1, 2, 3, 1]])
    np.savez(tmp_path / "a.npz", left=one, right=two)
    with pytest.raises(DataError, match="several arrays that may be the events: left, right"):
        read_recording(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", left=two, events=one)
    assert len(read_recording(tmp_path / "a.npz")) == 2
