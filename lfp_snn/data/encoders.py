"""Codes: how the brightness of a still image becomes the input of a spiking network.

x = pixel / 255 in [0, 1] below; every code is a pure function of the image, its row and the seed.
"""

from typing import Protocol

import numba
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lfp_snn.spikes import Spikes

Images = npt.NDArray[np.uint8]
Rows = npt.NDArray[np.int64]


class Encoder(Protocol):
    """Turns images, uint8 [B, *feature], into a batch of inputs for T steps.

    `rows` [B] are the positions of the images in their store, for codes that draw numbers.
    """

    steps: int

    def __call__(self, images: Images, rows: Rows) -> Spikes | Tensor:
        """Spike trains [T, B, *feature], or a constant current [B, *feature]."""


class Constant:
    """A constant current x at each of T steps: float32 [B, *feature]."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def __call__(self, images: Images, rows: Rows) -> Tensor:
        """See `Encoder`."""
        return torch.from_numpy(images).to(torch.float32).div_(255)


class Rate:
    """A spike with probability x at each step, drawn independently (a Bernoulli process).

    The draw for pixel i of row n at step t is a hash of (seed, n, t, i): it does not depend on
    the batch that the row is in, nor on the epoch.
    """

    def __init__(self, steps: int, seed: int) -> None:
        self.steps = steps
        self.seed = seed

    def __call__(self, images: Images, rows: Rows) -> Spikes:
        """See `Encoder`."""
        pixels = images.reshape(len(images), -1)
        indptr, indices = _draw(pixels, rows.astype(np.uint64), self.steps, np.uint64(self.seed))
        shape = (self.steps, len(images), *images.shape[1:])
        return Spikes(torch.from_numpy(indptr), torch.from_numpy(indices), shape)


class Latency:
    """One spike for each pixel, the brighter the earlier.

    t = round((T - 1) * (1 - x) / (1 - threshold)): a white pixel spikes at step 0, one at the
    threshold at step T - 1, one below it never.
    """

    def __init__(self, steps: int, threshold: float) -> None:
        self.steps = steps
        self.threshold = threshold

    def __call__(self, images: Images, rows: Rows) -> Spikes:
        """See `Encoder`."""
        x = images.reshape(len(images), -1) / 255
        sample, pixel = np.nonzero(x >= self.threshold)
        delay = (1 - x[sample, pixel]) / (1 - self.threshold)
        frame = sample * self.steps + np.rint((self.steps - 1) * delay).astype(np.int64)
        order = np.argsort(frame, kind="stable")  # pixels stay ascending within a frame
        counts = np.bincount(frame, minlength=len(images) * self.steps)
        indptr = np.concatenate(([0], np.cumsum(counts)))
        shape = (self.steps, len(images), *images.shape[1:])
        indices = pixel[order].astype(np.int32)
        return Spikes(torch.from_numpy(indptr), torch.from_numpy(indices), shape)


@numba.njit(cache=True, nogil=True)
def _draw(pixels, rows, steps, seed):  # type: ignore[no-untyped-def]
    batch, size = pixels.shape
    indptr = np.zeros(batch * steps + 1, np.int64)
    indices = np.empty(np.count_nonzero(pixels) * steps, np.int32)
    bright = np.empty(size, np.int32)
    nnz = 0
    for b in range(batch):
        lit = 0
        for i in range(size):
            if pixels[b, i] > 0:
                bright[lit] = i
                lit += 1
        stream = _mix(_mix(seed) ^ rows[b])
        for step in range(steps):
            for k in range(lit):
                i = bright[k]
                bits = _mix(stream ^ np.uint64(step * size + i))
                # The top 32 bits are a uniform number u in [0, 2^32): spike if u / 2^32 < x.
                if np.int64(bits >> np.uint64(32)) * 255 < np.int64(pixels[b, i]) << 32:
                    indices[nnz] = i
                    nnz += 1
            indptr[b * steps + step + 1] = nnz
    return indptr, indices[:nnz].copy()


@numba.njit(cache=True, nogil=True)
def _mix(bits):  # type: ignore[no-untyped-def]
    """The SplitMix64 finaliser (Steele, Lea, Flood 2014): a good hash of 64 bits to 64."""
    bits += np.uint64(0x9E3779B97F4A7C15)
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return bits ^ (bits >> np.uint64(31))
