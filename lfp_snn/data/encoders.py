"""Codes that turn the brightness of a still image into the input of a spiking network.

x = pixel / 255 in [0, 1] below, float32. The codes and their options mean what the functions of the
same names in `snntorch.spikegen` do (J. K. Eshraghian et al., "Training spiking neural networks
using lessons from deep learning", Proceedings of the IEEE 111, 2023), image by image: nothing
depends on the batch that an image is in. Spikes are made as index lists, with no dense spike train
in between.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lfp_snn.compiled import compiled
from lfp_snn.data.motion import DURATION_US, Saccades
from lfp_snn.errors import ConfigError
from lfp_snn.later import torch
from lfp_snn.spikes import Spikes

if TYPE_CHECKING:
    from torch import Tensor

Images = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.int64]

_EPSILON = 1e-7  # of spikegen.latency
_LEVELS = np.arange(256)


class Code(ABC):
    """Base of codes; a code is a pure function of an image, its row in the store, and a seed."""

    @abstractmethod
    def encode(self, images: Images, rows: Rows, steps: int, seed: int) -> Spikes | Tensor:
        """Encode images as spike trains [T, B, *feature], or as a constant current [B, *feature].

        Args:
            images: the images, uint8 [B, *shape of an image].
            rows: the positions of the images in their store, int64 [B], for codes that draw
                numbers.
            steps: T, the number of time steps.
            seed: the seed, for codes that draw numbers.
        """

    def feature(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of the input at one step, for an image of a given shape."""
        return shape

    def check(self, steps: int) -> None:  # noqa: B027  most codes fit into any number
        """Raise a ConfigError if the code does not fit into so many steps."""


@dataclass(frozen=True)
class Encoder:
    """A code for T steps; the seed draws what is random.

    Raises:
        ConfigError: the code does not fit into so many steps.
    """

    code: Code
    steps: int
    seed: int = 0

    def __post_init__(self) -> None:
        self.code.check(self.steps)

    def __call__(self, images: Images, rows: Rows, epoch: int = 0) -> Spikes | Tensor:
        """Encode images (`Code.encode`); codes that draw do so anew in each epoch of training."""
        return self.code.encode(images, rows, self.steps, (self.seed + (epoch << 32)) % 2**64)


@dataclass(frozen=True)
class Constant(Code):
    """The code of a constant current x at each of T steps: float32 [B, *feature]."""

    def encode(self, images: Images, rows: Rows, steps: int, seed: int) -> Tensor:
        """The brightness as a current, float32 [B, *feature]."""
        return self.current(torch.from_numpy(images))

    @staticmethod
    def current(images: Tensor) -> Tensor:
        """The brightness as a current, wherever the images lie."""
        return images.to(torch.float32).div_(255)


@dataclass(frozen=True)
class Rate(Code):
    """The rate code: a spike with probability gain * x + offset, cut to [0, 1], at each step.

    Steps and pixels are independent. The draw for pixel i of row n at step t is a hash of
    (seed, n, t, i), whatever the batch that the row is in. In training the seed is another in each
    epoch (`Encoder`); validation and tests always see the same spikes.

    Args:
        gain: the factor of the brightness.
        offset: the number that is added to it.
        first_spike_time: the step before which there are no spikes, 0 to T - 1.

    Raises:
        ConfigError: an option is out of its range.
    """

    gain: float = 1.0
    offset: float = 0.0
    first_spike_time: int = 0

    def __post_init__(self) -> None:
        if not (math.isfinite(self.gain) and math.isfinite(self.offset)):
            raise ConfigError(f"rate: gain {self.gain} and offset {self.offset} must be finite")
        _not_negative("rate", self.first_spike_time)

    def check(self, steps: int) -> None:
        """Raise a ConfigError if the code does not fit into so many steps."""
        _within("rate", self.first_spike_time, steps)

    def encode(self, images: Images, rows: Rows, steps: int, seed: int) -> Spikes:
        """The spike trains [T, B, *feature] of images."""
        p = np.clip(self.gain * (_LEVELS / 255) + self.offset, 0, 1)
        # A number drawn from [0, 2^32) is below the limit with this probability.
        limits = np.ceil(p * 2**32).astype(np.int64)
        pixels = images.reshape(len(images), -1)
        drawn = _draw(
            pixels, limits, rows.astype(np.uint64), steps, self.first_spike_time, np.uint64(seed)
        )
        indptr, indices = map(torch.from_numpy, drawn)
        return Spikes(indptr, indices, (steps, len(images), *images.shape[1:]))


@dataclass(frozen=True)
class Latency(Code):
    """The latency code: one spike for each pixel, the brighter the earlier.

    The spike comes at step round(t) (ties to even), with

        t = tau * log(y / (y - threshold)) + first_spike_time,   y = max(x, threshold + 1e-7)
        t = tau * (1 - max(x, threshold)) + first_spike_time     if linear

    The logarithm is when a leaky integrator with that time constant, driven by x, passes the
    threshold.

    Args:
        threshold: the threshold of brightness, in (0, 1); darker pixels spike last of all, or never
            (`clip`).
        tau: the time constant in steps, > 0; not used if both `linear` and `normalize`.
        first_spike_time: the number of steps that is added to all times, 0 to T - 1.
        normalize: whether to stretch the times so that the last of the image is T - 1 (the
            logarithm), or so that a black pixel would be without a threshold (`linear`).
        linear: whether the time falls linearly with the brightness, as in the second equation.
        clip: whether pixels below the threshold never spike.
        bypass: whether to let spikes after the last step fall away; otherwise a code that can make
            them is an error.

    Raises:
        ConfigError: an option is out of its range.
    """

    threshold: float = 0.01
    tau: float = 1.0
    first_spike_time: int = 0
    normalize: bool = False
    linear: bool = False
    clip: bool = False
    bypass: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.threshold < 1:
            raise ConfigError(f"latency: the threshold is {self.threshold}, expected in (0, 1)")
        if not 0 < self.tau < math.inf:
            raise ConfigError(f"latency: tau is {self.tau}, expected above 0")
        _not_negative("latency", self.first_spike_time)

    def check(self, steps: int) -> None:
        """Raise a ConfigError if the code does not fit into so many steps."""
        _within("latency", self.first_spike_time, steps)
        last = round(float(self._times(steps)[0]))  # of a black pixel
        if not self.normalize and not self.bypass and last > steps - 1:
            raise ConfigError(
                f"latency: a black pixel would spike at step {last}, but the last of T={steps} "
                f"steps is {steps - 1}; use more steps, a lower tau, normalize: true, or "
                "bypass: true"
            )

    def _times(self, steps: int) -> Tensor:
        """Times for the 256 levels of a pixel, before the logarithm is stretched; float32."""
        x = torch.from_numpy(_LEVELS).to(torch.float32) / 255
        if self.linear:
            tau = steps - 1 - self.first_spike_time if self.normalize else self.tau
            latest = -tau * (self.threshold - 1)
            return torch.clamp_max(-tau * (x - 1), latest) + self.first_spike_time
        y = torch.clamp(x, self.threshold + _EPSILON)
        return self.tau * torch.log(y / (y - self.threshold)) + self.first_spike_time

    def encode(self, images: Images, rows: Rows, steps: int, seed: int) -> Spikes:
        """The spike trains [T, B, *feature] of images."""
        pixels = images.reshape(len(images), -1)
        times = self._times(steps).expand(len(images), -1)
        if self.normalize and not self.linear:
            first = self.first_spike_time
            darkest = torch.from_numpy(pixels.min(1).astype(np.int64))[:, None]
            last = times.gather(1, darkest) - first  # of each image
            times = (times - first) * (steps - first - 1) / last + first
        step = torch.round(times).numpy().astype(np.int64)  # [B, levels]
        sent = step <= steps - 1
        if self.clip:
            sent &= (_LEVELS.astype(np.float32) / np.float32(255)) >= np.float32(self.threshold)
        sample, pixel = np.nonzero(np.take_along_axis(sent, pixels.astype(np.int64), 1))
        frame = sample * steps + step[sample, pixels[sample, pixel]]
        return _spikes(frame, pixel, (steps, len(images), *images.shape[1:]))


@dataclass(frozen=True)
class Delta(Code):
    """The delta code: spikes where the brightness of the moving image changes between steps.

        ON at step t:   x_t - x_{t-1} >= threshold         OFF:   x_t - x_{t-1} <= -threshold

    A still image has no changes, so it is moved: along N-MNIST's three saccades, from the first
    step to the last, as the simulated event camera sees it (`lfp_snn.data.motion.Saccades`), at its
    own resolution. This is spikegen's code, which forgets changes below the threshold; for codes
    that sum them up see `lfp_snn.data.delta` and the camera.

    Args:
        threshold: the least change of brightness that spikes, > 0.
        padding: whether x_{-1} = x_0, so that nothing spikes at the first step; otherwise
            x_{-1} = 0, so that the image itself does, where it is bright.
        off_spike: whether there are OFF spikes too, in channels of their own after all ON channels
            (spikegen has them as -1 in the same channels).
        reach: the width and height of the way in pixels of the image; 0: the image stands still.

    Raises:
        ConfigError: an option is out of its range.
    """

    threshold: float = 0.1
    padding: bool = False
    off_spike: bool = False
    reach: float = 4.0

    def __post_init__(self) -> None:
        if not 0 < self.threshold < math.inf:
            raise ConfigError(f"delta: the threshold is {self.threshold}, expected above 0")
        if not 0 <= self.reach < math.inf:
            raise ConfigError(f"delta: the reach is {self.reach}, expected 0 or more")

    def check(self, steps: int) -> None:
        """Raise a ConfigError if the code does not fit into so many steps."""
        if steps < 2 and (self.padding or self.reach):
            raise ConfigError(f"delta: T={steps} step has no changes; use more steps")

    def feature(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of an image, with twice its channels if there are OFF spikes."""
        return (2 * shape[0], *shape[1:]) if self.off_spike else shape

    def sequence(self, images: Images, step: int, steps: int) -> npt.NDArray[np.float32]:
        """The brightness x_t of the moved images at t = step, float32 [B, *feature]."""
        rows, columns = images.shape[-2:]
        motion = Saccades(rows, columns, extent=max(rows, columns), reach=self.reach)
        x = (images.astype(np.float32) / np.float32(255)).astype(np.float64)
        return motion.view(x, DURATION_US * step / max(steps - 1, 1)).astype(np.float32)

    def encode(self, images: Images, rows: Rows, steps: int, seed: int) -> Spikes:
        """The spike trains [T, B, *feature] of images."""
        size = math.prod(images.shape[1:])
        before = self.sequence(images, 0, steps)
        if not self.padding:
            before = np.zeros_like(before)
        frames, units = [], []
        for t in range(steps):
            x = self.sequence(images, t, steps)
            change = (x - before).reshape(len(images), -1)
            spiked = [change >= self.threshold]
            if self.off_spike:
                spiked.append(change <= -self.threshold)
            for half, each in enumerate(spiked):
                sample, pixel = np.nonzero(each)
                frames.append(sample * steps + t)
                units.append(pixel + half * size)
            before = x
        shape = (steps, len(images), *self.feature(images.shape[1:]))
        return _spikes(np.concatenate(frames), np.concatenate(units), shape)


#: By the name that a config uses.
CODES: dict[str, type[Code]] = {
    "constant": Constant,
    "rate": Rate,
    "latency": Latency,
    "delta": Delta,
}


def _not_negative(name: str, first_spike_time: int) -> None:
    if first_spike_time < 0:
        raise ConfigError(f"{name}: first_spike_time is {first_spike_time}, expected 0 or more")


def _within(name: str, first_spike_time: int, steps: int) -> None:
    if first_spike_time > steps - 1:
        raise ConfigError(
            f"{name}: first_spike_time is {first_spike_time}, but the last of T={steps} steps is "
            f"{steps - 1}"
        )


def _spikes(frame: Rows, unit: Rows, shape: tuple[int, ...]) -> Spikes:
    """Make Spikes of entries in frames b * T + t; the units of a frame ascend."""
    order = np.argsort(frame, kind="stable")
    counts = np.bincount(frame, minlength=shape[0] * shape[1])
    indptr = np.concatenate(([0], np.cumsum(counts)))
    indices = unit[order].astype(np.int32)
    return Spikes(torch.from_numpy(indptr), torch.from_numpy(indices), shape)


@compiled
def _draw(pixels, limits, rows, steps, first, seed):  # type: ignore[no-untyped-def]
    batch, size = pixels.shape
    bright = np.empty(size, np.int32)
    lit = 0
    for b in range(batch):
        for i in range(size):
            lit += limits[pixels[b, i]] > 0
    indptr = np.zeros(batch * steps + 1, np.int64)
    indices = np.empty(lit * (steps - first), np.int32)
    nnz = 0
    for b in range(batch):
        lit = 0
        for i in range(size):
            if limits[pixels[b, i]] > 0:
                bright[lit] = i
                lit += 1
        stream = _mix(_mix(seed) ^ rows[b])
        for step in range(steps):
            for k in range(lit if step >= first else 0):
                i = bright[k]
                bits = _mix(stream ^ np.uint64(step * size + i))
                if np.int64(bits >> np.uint64(32)) < limits[pixels[b, i]]:
                    indices[nnz] = i
                    nnz += 1
            indptr[b * steps + step + 1] = nnz
    return indptr, indices[:nnz].copy()


@compiled
def _mix(bits):  # type: ignore[no-untyped-def]
    """The SplitMix64 finaliser (Steele, Lea, Flood 2014): a good hash of 64 bits to 64."""
    bits += np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
