"""A reader of sound in WAV files: integers of 8 to 32 bits or floating point, any rate.

A file is a list of chunks, of which `fmt ` says how numbers are written and `data` holds them; all
others are passed over. Channels are averaged.

Source: Microsoft and IBM, "Multimedia Programming Interface and Data Specifications 1.0", 1991.
"""

import struct
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from lfp_snn.errors import DataError
from lfp_snn.unpacking import reading

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_SLOWEST, _FASTEST = 1_000, 384_000  # samples a second
#: How the numbers of a kind and so many bits are written, and what full scale is.
_TYPES = {
    (_PCM, 8): ("u1", 128), (_PCM, 16): ("<i2", 1 << 15), (_PCM, 32): ("<i4", 1 << 31),
    (_FLOAT, 32): ("<f4", 1), (_FLOAT, 64): ("<f8", 1),
}  # fmt: skip
_THREE_BYTES = 24  # bits, for which NumPy has no type


class Sound(NamedTuple):
    """A sound: samples a second, and the samples, float64 [N], where full scale is 1."""

    rate: int
    samples: npt.NDArray[np.float64]


class _Format(NamedTuple):
    kind: int
    channels: int
    rate: int
    bits: int


def read_wav(path: str, content: bytes) -> Sound:
    """Read the sound in the content of a file.

    Args:
        path: the path of the file, for messages.
        content: the content of the file.

    Raises:
        DataError: the content is no WAV, is cut short, has no samples, or is compressed.
    """
    with reading(path, "WAV"):
        if content[:4] != b"RIFF" or content[8:12] != b"WAVE":
            raise DataError(f"{path} is no WAV: it does not begin with RIFF and WAVE")
        form = None
        for name, begin, size in _chunks(content):
            if name == b"fmt ":
                form = _format(path, content[begin : begin + size])
            elif name == b"data":
                if form is None:
                    raise DataError(f"{path} is damaged: it does not say how its sound is written")
                if begin + size > len(content):
                    raise DataError(
                        f"{path} is cut short: of {size} bytes of sound {len(content) - begin} are "
                        "there"
                    )
                return Sound(form.rate, _samples(path, form, content[begin : begin + size]))
    raise DataError(f"{path} has no sound")


def _chunks(content: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The name, begin and size of each chunk."""
    begin = 12
    while begin + 8 <= len(content):
        name, size = struct.unpack_from("<4sI", content, begin)
        yield name, begin + 8, size
        begin += 8 + size + size % 2


def _format(path: str, chunk: bytes) -> _Format:
    kind, channels, rate, _, _, bits = struct.unpack_from("<HHIIHH", chunk)
    if kind == _EXTENSIBLE:
        (kind,) = struct.unpack_from("<H", chunk, 24)
    if (kind, bits) not in {*_TYPES, (_PCM, _THREE_BYTES)}:
        raise DataError(
            f"{path} has sound of the kind {kind} with {bits} bits, which is not read; save it as "
            "PCM of 16 bits"
        )
    if not (channels and _SLOWEST <= rate <= _FASTEST):
        raise DataError(
            f"{path} has {channels} channels of {rate} samples a second; expected 1 or more, of "
            f"{_SLOWEST} to {_FASTEST}"
        )
    return _Format(kind, channels, rate, bits)


def _samples(path: str, form: _Format, data: bytes) -> npt.NDArray[np.float64]:
    """The samples averaged over the channels."""
    if form.bits == _THREE_BYTES:
        whole = len(data) // 3
        wide = np.zeros((whole, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8, 3 * whole).reshape(-1, 3)
        values, scale = wide.view("<i4")[:, 0], 1 << 31
    else:
        name, scale = _TYPES[form.kind, form.bits]
        dtype = np.dtype(name)
        values = np.frombuffer(data, dtype, len(data) // dtype.itemsize)
    frames = len(values) // form.channels
    if not frames:
        raise DataError(f"{path} has no sound")
    with np.errstate(over="ignore", invalid="ignore"):  # infinite ones are found behind it
        samples = values[: frames * form.channels].reshape(frames, -1).mean(1, dtype=np.float64)
    if not np.isfinite(samples).all():
        raise DataError(f"{path} has samples that are no numbers")
    return np.asarray((samples - 128 * (form.bits == 8)) / scale)
