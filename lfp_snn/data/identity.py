"""The identity of data: by it a run that is resumed notices that its data are not what they were.

Of a part it has the number of samples, their shape, the classes, and digests of ids, labels and
targets. What the samples hold is part of it too, so that files that were swapped, recorded anew or
read through another transform are seen:

- of spike trains that are kept, the number of spikes of each sample at each step, by a digest;
- of images, their bytes, by a digest;
- of what is read when a batch asks for it, and of trains that have values, two numbers for each of
  a few samples, which are equal but for rounding, so that a run may go on with another machine.
  Samples that are not the same when they are read twice have no such numbers.

The digest and the numbers have names of their own, so that the same samples in another container,
an array or a dataset, are not taken for others.
"""

import hashlib
import math
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from lfp_snn.data.sets import ImageSet, SampleSet, SpikeSet
from lfp_snn.spikes import Spikes

__all__ = ["identity_of", "other"]

_AT_ONCE = 1024  # samples that are looked at together
_SOME = 4  # samples of those that are read when they are asked for
_ROUNDING = 1e-3  # by which numbers of a sample may differ


def identity_of(samples: SampleSet) -> dict[str, Any]:
    """The identity of a part of a dataset: names, and what JSON can hold.

    Args:
        samples: the samples of the part, which may be none.
    """
    found = {
        "samples": len(samples),
        "ids": _digest("\0".join(samples.ids).encode("utf-8", "surrogateescape")),
        "labels": _digest(samples.labels.tobytes()),
        "shape": [samples.steps, *samples.feature_shape],
        "classes": list(samples.classes),
    }
    if samples.targets is not None:
        found["targets"] = _digest(samples.targets.tobytes())
    return {**found, **_content(samples)} if len(samples) else found


def other(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """What differs of a part, by the names of :func:`identity_of`.

    What one of the two has not is not compared: an earlier version may not have noted it.

    Args:
        before: the identity that was noted.
        now: the identity that is found now.
    """
    for name, value in before.items():
        if name in now and not _alike(value, now[name]):
            yield name


def _content(samples: SampleSet) -> dict[str, Any]:
    if type(samples) is ImageSet:
        return {"content": _content_of_images(samples)}
    if type(samples) is SpikeSet:
        digest = {"content": _content_of_trains(samples)}
        return digest if samples.trains.values is None else {**digest, **_some_numbers(samples)}
    return _some_numbers(samples)


def _some_numbers(samples: SampleSet) -> dict[str, list[list[float]]]:
    """Numbers of a few samples, or none if samples differ when they are read twice."""
    some = np.unique(np.linspace(0, len(samples) - 1, _SOME).astype(np.int64))
    first, again = (_numbers(samples, some) for _ in range(2))
    same = first == again and bool(np.isfinite(first).all())
    return {"numbers": first} if same else {}


def _content_of_trains(samples: SpikeSet) -> str:
    """A digest of the number of spikes of each sample at each step."""
    found, frames = hashlib.sha256(), np.arange(samples.steps + 1)
    for rows in _chunks(samples):
        ends = samples.trains.indptr[rows[:, None] * samples.steps + frames]
        found.update(np.diff(ends, axis=1).astype(np.int32).tobytes())
    return found.hexdigest()[:16]


def _content_of_images(samples: ImageSet) -> str:
    """A digest of the bytes of all images; a checksum is enough, and quick."""
    found = 0
    for rows in _chunks(samples):
        found = zlib.crc32(np.ascontiguousarray(samples.images[rows]).data, found)
    return f"{found:08x}"


def _chunks(samples: SampleSet) -> Iterator[npt.NDArray[np.int64]]:
    for start in range(0, len(samples), _AT_ONCE):
        yield samples._rows[start : start + _AT_ONCE]


def _numbers(samples: SampleSet, positions: npt.NDArray[np.int64]) -> list[list[float]]:
    """Two numbers of each sample: the sum of its inputs, and one that depends on their places."""
    found = []
    for position in positions:
        x = samples.batch([int(position)]).x
        places, values = _spikes(x) if isinstance(x, Spikes) else _dense(x)
        weights = places * 0.618033988749895 % 1  # as good as drawn at random
        found.append([float(values.sum()), float(values @ weights)])
    return found


def _spikes(x: Spikes) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    frames = np.repeat(np.arange(len(x.indptr) - 1), np.diff(x.indptr.cpu().numpy()))
    size = math.prod(x.feature_shape)
    places = frames * size + x.indices.cpu().numpy()
    values = torch.ones(x.nnz) if x.values is None else x.values.cpu()
    return places, values.double().numpy()


def _dense(x: torch.Tensor) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    flat = x.detach().cpu().double().flatten().numpy()
    return np.arange(len(flat)), flat


def _alike(before: Any, now: Any) -> bool:
    """Whether two values are equal, numbers that are not whole ones but for rounding."""
    if isinstance(before, list) and isinstance(now, list):
        return len(before) == len(now) and all(map(_alike, before, now))
    if isinstance(before, float) and isinstance(now, float):
        return math.isclose(before, now, rel_tol=_ROUNDING, abs_tol=_ROUNDING)
    return bool(before == now)


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
