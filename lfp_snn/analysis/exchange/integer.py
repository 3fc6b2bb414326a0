"""Networks in integers alone: the reference of the int8 export, and its file.

Everything is int64 of numpy, no floating-point number anywhere. A value of the network is an
integer in units of ``2^-bits``; spikes and counts of events have 0 bits. A synapse computes
``W x + b`` with int8 weights; neurons shift that by :data:`GUARD_BITS` into their finer unit and
then follow :mod:`lfp_snn.engine.fixed`.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from lfp_snn.data.formats.arrays import load_arrays
from lfp_snn.engine.fixed import DECAY_BITS, MEMBRANE_LIMIT
from lfp_snn.errors import DataError, ShapeError
from lfp_snn.unpacking import DAMAGE, shown

__all__ = ["GUARD_BITS", "IntegerNetwork"]

Ints = npt.NDArray[np.int64]

#: Bits of a membrane below the unit of its current, as on Loihi: the decay would round away what
#: is small otherwise.
GUARD_BITS = 6

_DESCRIPTION = "description"


@dataclass(frozen=True)
class IntegerNetwork:
    """A network in integers alone.

    Attributes:
        stages: what each stage does, as JSON takes it: ``op``, ``name``, ``inputs`` (positions of
            the stages it takes, -1 for the input of the network) and numbers of its own.
        arrays: the int8 weights, int32 biases, thresholds and decays, as ``<name>.<what>``.
        info: what else is known of the network, such as its classes.
    """

    stages: list[dict[str, Any]]
    arrays: dict[str, npt.NDArray[Any]]
    info: dict[str, Any]

    def run(self, x: npt.NDArray[Any]) -> Ints:
        """The output spikes ``[T, B, C]`` of spikes or event counts ``[T, B, ...]``, from rest.

        Raises:
            ShapeError: the input is not of whole numbers.
        """
        if not np.array_equal(x, np.trunc(x)):
            raise ShapeError(
                "A network in integers takes whole numbers, spikes or counts of events; its input "
                "has fractions."
            )
        state: dict[str, Ints] = {}
        return np.stack([self._step(frame, state) for frame in x.astype(np.int64)])

    def _step(self, frame: Ints, state: dict[str, Ints]) -> Ints:
        values: list[Ints] = []
        for stage in self.stages:
            inputs = [frame if i < 0 else values[i] for i in stage["inputs"]]
            values.append(self._value(stage, inputs, state))
        return values[-1]

    def _array(self, stage: Mapping[str, Any], what: str) -> Ints:
        return self.arrays[f"{stage['name']}.{what}"].astype(np.int64)

    def _value(self, stage: dict[str, Any], inputs: list[Ints], state: dict[str, Ints]) -> Ints:
        shifts = stage.get("shifts", [0] * len(inputs))
        aligned = [value << shift for value, shift in zip(inputs, shifts, strict=True)]
        x = aligned[0]
        result: Ints
        match stage["op"]:
            case "linear":
                result = _linear(x, self._array(stage, "weight"), self._array(stage, "bias"))
            case "conv":
                weight, bias = self._array(stage, "weight"), self._array(stage, "bias")
                result = _convolution(x, weight, bias, stage)
            case "sum_pool":
                result = _windows(x, stage).sum((-2, -1))
            case "max_pool":
                least = np.iinfo(np.int64).min
                result = _windows(x, stage, fill=least).max((-2, -1))
            case "reshape":
                result = x.reshape(len(x), *stage["shape"])
            case "add":
                signed = [sign * v for sign, v in zip(stage["signs"], aligned, strict=True)]
                result = reduce(np.add, signed)
            case "max":
                result = reduce(np.maximum, aligned)
            case "concat":
                result = np.concatenate(aligned, stage["axis"])
            case "neuron":
                result = self._neuron(stage, x, state)
            case other:
                raise DataError(f"The network has a stage {other!r}, which is not known.")
        return result

    def _neuron(self, stage: dict[str, Any], current: Ints, state: dict[str, Ints]) -> Ints:
        """Run one step of neurons (:mod:`lfp_snn.engine.fixed`), in integers."""
        threshold, decay = self._array(stage, "threshold"), self._array(stage, "decay")
        reset, delay = stage["reset"], stage["delay"]
        before = state.get(stage["name"], np.zeros_like(current))
        pending = (before > threshold).astype(np.int64)
        kept = (1 - pending) * before if reset == "zero" and delay else before
        decayed = np.sign(kept) * ((np.abs(kept) * decay) >> DECAY_BITS)
        integrated = decayed + _saturated(current << GUARD_BITS)
        compared = integrated - pending * threshold if reset == "subtract" else integrated
        spike = (compared > threshold).astype(np.int64)
        stored = compared
        if reset == "zero" and not delay:
            stored = (1 - spike) * compared
        elif reset == "subtract" and not delay:
            stored = compared - (spike - pending) * threshold
        state[stage["name"]] = _saturated(stored)
        spikes: Ints = spike
        return spikes

    def to_bytes(self) -> bytes:
        """The content of an ``.npz`` file: the arrays, and JSON under ``description``."""
        text = json.dumps({"stages": self.stages, "info": self.info}, allow_nan=False)
        file = io.BytesIO()
        description = np.frombuffer(text.encode(), np.uint8)
        contents: dict[str, Any] = {_DESCRIPTION: description, **self.arrays}
        np.savez_compressed(file, **contents)
        return file.getvalue()

    @classmethod
    def load(cls, path: Path | str) -> IntegerNetwork:
        """Read what :meth:`to_bytes` wrote; nothing in the file is run.

        Raises:
            DataError: the file is absent, or holds no network in integers.
        """
        try:
            arrays = load_arrays(Path(path))
            known = json.loads(arrays.pop(_DESCRIPTION).tobytes())
            return cls(known["stages"], arrays, known["info"])
        except (DataError, *DAMAGE) as problem:
            raise DataError(
                f"{path} is no network written by lfp-snn export --to int8: {shown(problem)}."
            ) from problem


def _saturated(x: Ints) -> Ints:
    return np.clip(x, -MEMBRANE_LIMIT, MEMBRANE_LIMIT)


def _linear(x: Ints, weight: Ints, bias: Ints) -> Ints:
    """The current ``W x + b``, from the columns of the inputs that are not zero."""
    columns = weight.T
    current = np.empty((len(x), len(weight)), np.int64)
    for row, sample in zip(current, x, strict=True):
        active = np.flatnonzero(sample)
        row[:] = (columns[active] * sample[active, None]).sum(0) + bias
    return current


def _convolution(x: Ints, weight: Ints, bias: Ints, stage: Mapping[str, Any]) -> Ints:
    kernel = {**stage, "kernel": weight.shape[2:]}
    groups = stage["groups"]
    windows = _windows(x, kernel)  # [B, C, H, W, kh, kw]
    parts = zip(np.split(windows, groups, 1), np.split(weight, groups), strict=True)
    maps = [np.tensordot(w, v, ((1, 4, 5), (1, 2, 3))) for w, v in parts]
    return np.moveaxis(np.concatenate(maps, -1) + bias, -1, 1)


def _windows(x: Ints, stage: Mapping[str, Any], fill: int = 0) -> Ints:
    """Views ``[B, C, H, W, kh, kw]`` of padded maps ``[B, C, H, W]``."""
    (ph, pw), (sh, sw), (dh, dw) = stage["padding"], stage["stride"], stage["dilation"]
    kh, kw = stage["kernel"]
    padded = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)), constant_values=fill)
    size = (dh * (kh - 1) + 1, dw * (kw - 1) + 1)
    views = np.lib.stride_tricks.sliding_window_view(padded, size, (2, 3))
    strided: Ints = views[:, :, ::sh, ::sw, ::dh, ::dw]
    return strided
