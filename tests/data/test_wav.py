"""WAV files of every kind, against SciPy's reader, and files that are none."""

from __future__ import annotations

import io
import struct
import wave

import numpy as np
import pytest
from scipy.io import wavfile

from lfp_snn.data.wav import read_wav
from lfp_snn.errors import DataError

RNG = np.random.default_rng(0)


def wav(samples: np.ndarray, rate: int = 8000) -> bytes:
    """A file as SciPy writes it."""
    file = io.BytesIO()
    wavfile.write(file, rate, samples)
    return file.getvalue()


@pytest.mark.parametrize(
    ("samples", "scale"),
    [
        (RNG.integers(-(1 << 15), 1 << 15, 50).astype(np.int16), 1 << 15),
        (RNG.integers(-(1 << 31), 1 << 31, 50).astype(np.int32), 1 << 31),
        (RNG.standard_normal(50).astype(np.float32), 1),
        (RNG.standard_normal(50), 1),
    ],
)
def test_numbers_of_every_kind(samples: np.ndarray, scale: int) -> None:
    sound = read_wav("a.wav", wav(samples, 16_000))
    assert sound.rate == 16_000 and sound.samples.dtype == np.float64
    np.testing.assert_allclose(sound.samples, samples / scale)


def test_bytes_lie_around_128() -> None:
    samples = RNG.integers(0, 256, 50).astype(np.uint8)
    expected = (samples.astype(float) - 128) / 128
    np.testing.assert_allclose(read_wav("a.wav", wav(samples)).samples, expected)


def test_three_bytes_and_two_channels() -> None:
    samples = RNG.integers(-(1 << 23), 1 << 23, (50, 2))
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((2, 3, 44_100, 0, "NONE", ""))
        flat = samples.ravel().tolist()
        writer.writeframes(b"".join(each.to_bytes(3, "little", signed=True) for each in flat))
    sound = read_wav("a.wav", file.getvalue())
    assert sound.rate == 44_100
    np.testing.assert_allclose(sound.samples, samples.mean(1) / (1 << 23))


def test_other_chunks_are_passed_over_and_formats_may_be_extended() -> None:
    samples = RNG.integers(-100, 100, 20).astype("<i2")
    form = struct.pack("<HHIIHHHHIH14x", 0xFFFE, 1, 8000, 16_000, 2, 16, 22, 16, 0, 1)
    chunks = [(b"LIST", b"odd"), (b"fmt ", form), (b"data", samples.tobytes())]
    body = b"".join(
        name + struct.pack("<I", len(each)) + each + b"\0" * (len(each) % 2)
        for name, each in chunks
    )
    content = b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body
    np.testing.assert_allclose(read_wav("a.wav", content).samples, samples / (1 << 15))


SOUND = wav(np.arange(50, dtype=np.int16))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is no WAV"),
        (b"words that are no sound", "is no WAV"),
        (SOUND[:-10], "is cut short: of 100 bytes of sound 90 are there"),
        (SOUND[:30], "is no WAV or is damaged"),
        (SOUND[:36], "has no sound"),
        (SOUND.replace(b"fmt ", b"tmf "), "does not say how its sound is written"),
        (SOUND[:20] + b"\x55\0" + SOUND[22:], "kind 85 with 16 bits, which is not read"),
        (SOUND[:22] + b"\0\0" + SOUND[24:], "0 channels of 8000 samples"),
        (SOUND[:24] + b"\xff" * 4 + SOUND[28:], "1 channels of 4294967295 samples"),
        (wav(np.array([], np.int16)), "has no sound"),
        (wav(np.array([0.5, np.nan], np.float32)), "samples that are no numbers"),
        (wav(np.array([[np.inf, -np.inf]], np.float32)), "samples that are no numbers"),
        (wav(np.full((1, 2), 1.7e308)), "samples that are no numbers"),
    ],
)
def test_what_is_wrong_is_told(content: bytes, message: str) -> None:
    with pytest.raises(DataError, match=f"^a/b.wav .*{message}"):
        read_wav("a/b.wav", content)
