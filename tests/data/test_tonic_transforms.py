"""tonic's transforms by name: equal to tonic itself, drawn from a seed of their own."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest

from lfp_snn.data.augment import augment
from lfp_snn.data.options import SpikeOptions
from lfp_snn.data.registry import parse_options
from lfp_snn.data.tonic_transforms import EVENT_TRANSFORMS, TonicAugmentation, TonicStep
from lfp_snn.errors import ConfigError
from tests.data.helpers import SENSOR, random_events

transforms = pytest.importorskip("tonic.transforms")

#: Arguments for each; what it does to the sensor.
CASES: dict[str, tuple[dict[str, Any], tuple[int, int, int]]] = {
    "CenterCrop": ({"size": [20, 24]}, (2, 24, 20)),
    "CropTime": ({"min": 1000, "max": 200_000}, SENSOR),
    "Decimation": ({"n": 2}, SENSOR),
    "Denoise": ({"filter_time": 50_000}, SENSOR),
    "Downsample": ({"spatial_factor": 0.5}, (2, 17, 17)),
    "DropEvent": ({"p": 0.3}, SENSOR),
    "DropEventByArea": ({"area_ratio": 0.3}, SENSOR),
    "DropEventByTime": ({"duration_ratio": 0.3}, SENSOR),
    "DropPixel": ({"coordinates": [[1, 2], [3, 4]]}, SENSOR),
    "EventDrop": ({}, SENSOR),
    "MergePolarities": ({}, (1, 34, 34)),
    "RandomCrop": ({"target_size": [20, 20]}, (2, 20, 20)),
    "RandomDropPixel": ({"p": 0.3}, SENSOR),
    "RandomFlipLR": ({"p": 1.0}, SENSOR),
    "RandomFlipPolarity": ({"p": 0.5}, SENSOR),
    "RandomFlipUD": ({"p": 1.0}, SENSOR),
    "RandomTimeReversal": ({"p": 1.0, "flip_polarities": False}, SENSOR),
    "RefractoryPeriod": ({"delta": 10_000}, SENSOR),
    "SpatialJitter": ({"var_x": 2.0, "var_y": 2.0}, SENSOR),
    "TimeAlignment": ({}, SENSOR),
    "TimeJitter": ({"std": 100.0, "sort_timestamps": True}, SENSOR),
    "TimeSkew": ({"coefficient": 2.0}, SENSOR),
    "UniformNoise": ({"n": 50}, SENSOR),
}


@pytest.mark.parametrize("name", sorted(CASES))
def test_equals_tonic(name: str) -> None:
    arguments, sensor = CASES[name]
    events = random_events(np.random.default_rng(0), [500])
    step = TonicStep(name, arguments)
    assert step.sensor(SENSOR) == sensor
    state = np.random.get_state()[1].tolist()  # type: ignore[index] # noqa: NPY002
    ours = step.apply(events, seed=7)
    assert np.random.get_state()[1].tolist() == state  # type: ignore[index] # noqa: NPY002

    made = getattr(transforms, name)
    given = {key: tuple(v) if isinstance(v, list) else v for key, v in arguments.items()}
    if "sensor_size" in made.__dataclass_fields__:
        given["sensor_size"] = (34, 34, 2)
    table = np.zeros(500, [("x", "i2"), ("y", "i2"), ("t", "i8"), ("p", "i1")])
    for column in ("x", "y", "t", "p"):
        table[column] = getattr(events, column)
    np.random.seed(7)  # noqa: NPY002
    theirs = made(**given)(table)
    polarities, height, width = sensor
    inside = (theirs["x"] >= 0) & (theirs["x"] < width) & (theirs["y"] >= 0)
    inside &= (theirs["y"] < height) & (theirs["p"] >= 0) & (theirs["p"] < polarities)
    theirs = theirs[inside]
    theirs = theirs[np.argsort(theirs["t"], kind="stable")]
    assert len(ours) == len(theirs) > 0
    for column in ("x", "y", "t", "p"):
        assert getattr(ours, column).tolist() == theirs[column].tolist()


def test_every_transform_of_events_is_known() -> None:
    makers = {"Compose", "NumpyAsType", "Repeat", "ToOneHotEncoding"}  # of other things
    named = {
        name
        for name, each in vars(transforms).items()
        if isinstance(each, type) and each.__module__ == "tonic.transforms"
    }
    assert {name for name in named if not name.startswith("To")} - makers == set(EVENT_TRANSFORMS)


def test_in_a_config_for_both() -> None:
    options = parse_options(
        "nmnist",
        {
            "preprocess": [{"name": "tonic", "transform": "CenterCrop", "arguments": {"size": 20}}],
            "augment": [{"name": "tonic", "transform": "DropEvent", "arguments": {"p": 0.5}}],
        },
    )
    assert isinstance(options, SpikeOptions)
    assert options.sensor(SENSOR) == (2, 20, 20)
    events = options.prepare(random_events(np.random.default_rng(0), [400, 300]))
    steps = options.steps_of_augmentation()
    keys = np.array([[0, 1, 0], [0, 1, 1]])
    fewer, _ = augment(events, steps, keys)
    again, _ = augment(events, steps, keys)
    assert 0 < len(fewer) < len(events)
    assert fewer.t.tolist() == again.t.tolist()


@pytest.mark.parametrize(
    ("transform", "arguments", "found"),
    [
        ("ToFrame", {"n_time_bins": 3}, "ToFrame is no transform .* makes events of events"),
        ("CentreCrop", {"size": 3}, "did you mean CenterCrop"),
        ("DropEvent", {"q": 0.5}, "no argument 'q'; it takes: p"),
        ("CenterCrop", {"size": 3, "sensor_size": [1, 1, 1]}, "no argument 'sensor_size'"),
        ("DropEvent", {}, "missing"),
    ],
)
def test_refuses_what_tonic_has_not(transform: str, arguments: dict[str, Any], found: str) -> None:
    with pytest.raises(ConfigError, match=found):
        TonicStep(transform, arguments)


def test_augmentation_must_leave_the_sensor() -> None:
    with pytest.raises(ConfigError, match="RandomCrop changes the sensor"):
        TonicAugmentation("RandomCrop", {"target_size": [10, 10]})


def test_without_tonic(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tonic", None)
    with pytest.raises(ConfigError, match=r"lfp_snn\[data\]"):
        TonicStep("TimeAlignment")
