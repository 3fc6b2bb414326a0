"""The codes of still images, held against snntorch.spikegen."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage
from snntorch import spikegen

from lfp_snn.data import ImageSet
from lfp_snn.data.encoders import Code, Constant, Delta, Encoder, Latency, Rate
from lfp_snn.data.sets import Draw
from lfp_snn.errors import ConfigError
from lfp_snn.spikes import Spikes

RNG = np.random.default_rng(0)
IMAGES = RNG.integers(0, 256, (6, 2, 9, 7), dtype=np.uint8)
IMAGES[:, :, :3] = 0  # as most of a digit is


def encode(code: Code, images: np.ndarray, steps: int, seed: int = 0) -> torch.Tensor:
    """The dense spike trains of rows 0, 1 ..."""
    made = Encoder(code, steps, seed)(images, np.arange(len(images)))
    assert isinstance(made, Spikes)
    assert made.shape == (steps, len(images), *code.feature(images.shape[1:]))
    return made.dense()


def brightness(images: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(images).float() / 255


def test_constant_current_is_brightness() -> None:
    x = Encoder(Constant(), 3)(IMAGES, np.arange(6))
    assert isinstance(x, torch.Tensor)
    torch.testing.assert_close(x, brightness(IMAGES), rtol=0, atol=0)


@pytest.mark.parametrize("options", [{}, {"gain": 0.5, "offset": 0.3}, {"gain": -2, "offset": 1}])
def test_rate_has_the_distribution_of_spikegen(options: dict[str, float]) -> None:
    levels = np.array([[0, 1, 64, 128, 254, 255]], dtype=np.uint8)
    steps = 20_000
    spikes = encode(Rate(**options), levels, steps)[:, 0]  # type: ignore[arg-type]
    torch.manual_seed(0)
    theirs = spikegen.rate(brightness(levels), num_steps=steps, **options)[:, 0]
    p = np.clip(options.get("gain", 1) * (levels[0] / 255) + options.get("offset", 0), 0, 1)
    bound = 4 * np.sqrt(p * (1 - p) / steps) + 1e-7  # four standard deviations
    for each in (spikes, theirs):
        assert np.all(np.abs(each.double().mean(0).numpy() - p) <= bound)


def test_rate_is_independent_from_step_to_step_and_pixel_to_pixel() -> None:
    steps = 20_000
    spikes = encode(Rate(), np.full((1, 3), 128, np.uint8), steps)[:, 0]
    around = spikes - spikes.mean(0)
    following = (around[1:] * around[:-1]).mean(0)
    beside = (around[:, 1:] * around[:, :-1]).mean(0)
    assert following.abs().max() < 4 * 0.25 / math.sqrt(steps)
    assert beside.abs().max() < 4 * 0.25 / math.sqrt(steps)


def test_rate_depends_on_seed_and_row_and_on_nothing_else() -> None:
    grey = np.full((1, 50), 128, dtype=np.uint8)
    draws = []
    for seed in (0, 1):
        encoder = Encoder(Rate(), 5, seed)
        both = encoder(np.repeat(grey, 2, 0), np.array([1, 0]))
        assert isinstance(both, Spikes)
        for row in (0, 1):
            alone = encoder(grey, np.array([row]))
            assert both[[1 - row]] == alone
            draws.append(tuple(alone.indices.tolist()))  # type: ignore[union-attr]
    assert len(set(draws)) == 4


def test_rate_is_drawn_anew_in_each_epoch_of_training() -> None:
    images = np.full((3, 4, 5), 128, dtype=np.uint8)
    labels = np.arange(3)
    samples = ImageSet(images, Encoder(Rate(), 6), labels, list("abc"), classes=("0", "1", "2"))
    tested = samples.batch([0, 1, 2]).x
    assert samples.batch([0, 1, 2]).x == tested
    first, again, second = (samples.batch([0, 1, 2], Draw(0, epoch)).x for epoch in (1, 1, 2))
    assert first == again
    assert first != second and first != tested


def test_rate_can_begin_later() -> None:
    late, whole = (encode(Rate(first_spike_time=n), IMAGES, 6, seed=3) for n in (2, 0))
    assert not late[:2].any() and whole[:2].any()
    torch.testing.assert_close(late[2:], whole[2:])
    # spikegen draws all steps and clears the first ones, too.
    theirs = spikegen.rate(torch.ones(1), num_steps=6, first_spike_time=2)
    ones = encode(Rate(first_spike_time=2), np.full((1, 1), 255, np.uint8), 6)[..., 0]
    torch.testing.assert_close(ones, theirs)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(st.integers(0, 255), min_size=1, max_size=40),
    st.integers(2, 30),
    st.sampled_from([0.01, 0.2, 0.5, 0.9]),
    st.sampled_from([0.5, 1.0, 3.0, 20.0]),
    st.integers(0, 3),
    st.booleans(),
    st.booleans(),
    st.booleans(),
)
def test_latency_is_that_of_spikegen(
    pixels: list[int],
    steps: int,
    threshold: float,
    tau: float,
    first: int,
    normalize: bool,
    linear: bool,
    clip: bool,
) -> None:
    assume(first < steps)
    images = np.array([pixels, pixels[::-1], [0] * len(pixels)], dtype=np.uint8)
    options = {"threshold": threshold, "tau": tau, "first_spike_time": first, "clip": clip}
    options |= {"normalize": normalize, "linear": linear, "bypass": True}
    ours = encode(Latency(**options), images, steps)  # type: ignore[arg-type]
    # One image at a time: spikegen stretches by the darkest pixel of a whole batch.
    for n, image in enumerate(images):
        theirs = spikegen.latency(brightness(image), num_steps=steps, **options)
        torch.testing.assert_close(ours[:, n], theirs, rtol=0, atol=0)


@pytest.mark.parametrize("linear", [False, True])
@pytest.mark.parametrize(("tau", "steps"), [(1.0, 5), (1.0, 12), (1.0, 13), (9.0, 10), (11.0, 10)])
def test_latency_beyond_the_last_step_is_an_error_as_in_spikegen(
    linear: bool, tau: float, steps: int
) -> None:
    black = torch.zeros(1)
    try:
        spikegen.latency(black, num_steps=steps, tau=tau, linear=linear)
    except Exception:
        with pytest.raises(ConfigError, match="a black pixel would spike"):
            Encoder(Latency(tau=tau, linear=linear), steps)
    else:
        Encoder(Latency(tau=tau, linear=linear), steps)


def sequence(code: Delta, steps: int) -> torch.Tensor:
    return torch.from_numpy(np.stack([code.sequence(IMAGES, t, steps) for t in range(steps)]))


@pytest.mark.parametrize("padding", [False, True])
@pytest.mark.parametrize("reach", [0.0, 2.5])
@pytest.mark.parametrize("threshold", [0.05, 0.3])
def test_delta_is_that_of_spikegen(padding: bool, reach: float, threshold: float) -> None:
    steps = 9
    for off_spike in (False, True):
        code = Delta(threshold, padding, off_spike, reach)
        ours = encode(code, IMAGES, steps)
        theirs = spikegen.delta(
            sequence(code, steps), threshold=threshold, padding=padding, off_spike=off_spike
        )
        assert theirs.any() or (padding and not reach)
        if off_spike:  # ON channels, then OFF channels
            theirs = torch.cat([(theirs > 0).float(), (theirs < 0).float()], dim=2)
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0)


def test_delta_moves_the_image_along_the_triangle() -> None:
    code, steps = Delta(reach=3.0), 7
    made = sequence(code, steps).numpy()
    corners = [(-1.5, -1.5), (0.0, 1.5), (1.5, -1.5), (-1.5, -1.5)]  # x, y about the middle
    for t in range(steps):
        leg, way = divmod(3 * t / (steps - 1), 1)
        here = corners[int(leg)]
        there = corners[min(int(leg) + 1, 3)]
        x, y = (a + way * (b - a) for a, b in zip(here, there, strict=True))
        for image, seen in zip(IMAGES, made[t], strict=True):
            for channel, expected in zip(image, seen, strict=True):
                # A rim of black, for scipy does not blend with what lies outside.
                moved = ndimage.shift(np.pad(channel / 255, 3), (y, x), order=1)[3:-3, 3:-3]
                np.testing.assert_allclose(expected, moved, atol=1e-6)


def test_a_still_image_has_no_changes_but_its_beginning() -> None:
    spikes = encode(Delta(reach=0.0), IMAGES, 4)
    torch.testing.assert_close(spikes[0], (brightness(IMAGES) >= 0.1).float())
    assert not spikes[1:].any()
    assert not encode(Delta(reach=0.0, padding=True), IMAGES, 4).any()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Rate(gain=math.nan), "rate: gain nan"),
        (lambda: Rate(first_spike_time=-1), "rate: first_spike_time is -1"),
        (lambda: Encoder(Rate(first_spike_time=5), 5), "the last of T=5 steps is 4"),
        (lambda: Latency(threshold=0), "latency: the threshold is 0"),
        (lambda: Latency(tau=0), "latency: tau is 0"),
        (lambda: Encoder(Latency(first_spike_time=9), 5), "latency: first_spike_time is 9"),
        (lambda: Delta(threshold=0), "delta: the threshold is 0"),
        (lambda: Delta(reach=-1), "delta: the reach is -1"),
        (lambda: Encoder(Delta(), 1), "delta: T=1 step has no changes"),
    ],
)
def test_options_out_of_range(make: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()  # type: ignore[operator]
