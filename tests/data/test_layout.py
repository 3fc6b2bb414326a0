"""Which axis is what, and what is said where that cannot be or cannot be known."""

import re

import pytest

from lfp_snn.data.layout import Axes, Layout, batch_axis_by, batch_axis_of, find_axes
from lfp_snn.errors import DataError, ShapeError

Shape = tuple[int, ...]


def taking(*frames: Shape):  # type: ignore[no-untyped-def]
    """A network that takes these frames and has ten outputs."""

    def outputs(frame: Shape) -> int:
        if frame not in frames:
            raise ShapeError(f"Stage '0' does not take {frame}.")
        return 10

    return outputs


@pytest.mark.parametrize(
    ("shape", "batch", "steps", "expected"),
    [
        ((25, 2, 34, 34), None, None, Axes(None, True, (2, 34, 34), 25)),
        ((25, 8, 2, 34, 34), 1, None, Axes(1, True, (2, 34, 34), 25)),
        ((8, 25, 2, 34, 34), 0, None, Axes(0, True, (2, 34, 34), 25)),
        ((8, 2, 34, 34), 0, 25, Axes(0, False, (2, 34, 34), None)),
        ((2, 34, 34), None, 25, Axes(None, False, (2, 34, 34), None)),
        ((8, 25, 2, 34, 34), 0, 25, Axes(0, True, (2, 34, 34), 25)),
    ],
)
def test_the_network_tells_what_is_time(
    shape: Shape, batch: int | None, steps: int | None, expected: Axes
) -> None:
    network = taking((2, 34, 34))
    assert find_axes(shape, batch, steps=steps, outputs_of=network) == expected
    if steps is None or not expected.timed:  # without a network, steps say that there is no time
        assert find_axes(shape, batch, steps=steps) == expected


@pytest.mark.parametrize(
    ("shape", "batch", "told"),
    [
        ((2, 34, 34, 25), None, "axis 3 is time; expected it first: move it with x.movedim(3, 0)"),
        ((2, 25, 34, 34), None, "axis 1 is time"),
        ((8, 2, 34, 34, 25), 0, "axis 4 is time; expected it beside the samples: move it with "
                                "x.movedim(4, 1)"),
        ((2, 34, 34), None, "no time axis: give the number of time steps"),
        ((25, 3, 34, 34), None, "frames of (3, 34, 34), which the network does not take: Stage"),
    ],
)  # fmt: skip
def test_time_in_the_wrong_place_is_told(shape: Shape, batch: int | None, told: str) -> None:
    with pytest.raises(DataError, match=re.escape(told)):
        find_axes(shape, batch, outputs_of=taking((2, 34, 34)))


def test_one_step_or_one_channel_must_be_said() -> None:
    network = taking((28, 28), (1, 28, 28))  # such as nn.Flatten before nn.Linear(784, ...)
    with pytest.raises(DataError, match="say which with layout='TB', 'BT' or 'B'"):
        find_axes((8, 1, 28, 28), 0, outputs_of=network)
    timed = find_axes((8, 1, 28, 28), 0, layout="BT", outputs_of=network)
    assert timed == Axes(0, True, (28, 28), 1)
    still = find_axes((8, 1, 28, 28), 0, layout="B", steps=5, outputs_of=network)
    assert still == Axes(0, False, (1, 28, 28), None)


def test_steps_say_that_an_image_of_one_channel_has_no_time() -> None:
    network = taking((28, 28), (1, 28, 28))
    found = find_axes((8, 1, 28, 28), 0, steps=25, outputs_of=network)
    assert found == Axes(0, False, (1, 28, 28), None)


def test_images_of_one_channel_ask_for_steps_where_no_network_is_known() -> None:
    with pytest.raises(DataError, match="may be images of one channel.*give steps=25"):
        find_axes((8, 1, 28, 28), 0)
    assert find_axes((8, 1, 28, 28), 0, steps=25) == Axes(0, False, (1, 28, 28), None)
    assert find_axes((8, 1, 28, 28), 0, layout="BT") == Axes(0, True, (28, 28), 1)
    assert find_axes((8, 1, 28), 0) == Axes(0, True, (28,), 1)


def test_rows_that_are_as_many_as_steps_must_be_said() -> None:
    with pytest.raises(DataError, match="may be 28 time steps"):
        find_axes((28, 28), None, steps=28, outputs_of=taking((28,), (28, 28)))


@pytest.mark.parametrize(
    ("layout", "batch", "told"),
    [("TB", 0, "samples along axis 0"), ("BT", 1, "samples along axis 1"), ("X", 0, "expected")],
)
def test_a_layout_that_does_not_fit_is_refused(layout: Layout, batch: int, told: str) -> None:
    with pytest.raises(DataError, match=told):
        find_axes((8, 25, 3), batch, layout=layout)


def test_steps_beside_other_steps_are_refused() -> None:
    with pytest.raises(DataError, match="have 25 time steps of their own"):
        find_axes((25, 3), None, steps=20, outputs_of=taking((3,)))


def test_frames_have_a_unit_at_least() -> None:
    with pytest.raises(DataError, match="at least one unit at each"):
        find_axes((25,), None)


def test_samples_behind_the_frame_are_refused() -> None:
    with pytest.raises(DataError, match=re.escape("x.movedim(2, 0)")):
        find_axes((25, 3, 8), 2)


def test_the_axis_of_samples_is_as_long_as_there_are() -> None:
    assert batch_axis_of((2, 2, 3), (2, 3, 3)) == 1
    assert batch_axis_of((2, 25, 3), (3, 25, 3)) == 0
    for three in ((3, 3, 3), (2, 2, 3), (2, 3)):
        with pytest.raises(DataError, match="as long as there are samples"):
            batch_axis_of((2, 2, 3), three)


def test_labels_tell_the_axis_of_samples() -> None:
    assert batch_axis_by(8, (8, 25, 3), None) == 0
    assert batch_axis_by(8, (25, 8, 3), None) == 1
    assert batch_axis_by(8, (8, 8, 3), "TB") == 1
    with pytest.raises(DataError, match="along axis 0 or 1; say which"):
        batch_axis_by(8, (8, 8, 3), None)
    with pytest.raises(DataError, match="expected one label for each sample"):
        batch_axis_by(9, (8, 25, 3), None)
