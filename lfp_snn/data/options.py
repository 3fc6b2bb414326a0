"""The base classes of the options of datasets."""

from functools import cache
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, ValidationInfo, field_validator, model_validator
from pydantic_core import PydanticCustomError

from lfp_snn.data.augment import AUGMENTATIONS, Augmentation, Mix, PlaceStep
from lfp_snn.data.binning import Binned, Binning, bin_events
from lfp_snn.data.events import Events
from lfp_snn.data.preprocess import STEPS, PreprocessingStep, Sensor, preprocess, sensor_after
from lfp_snn.data.tonic_transforms import TonicAugmentation, TonicStep
from lfp_snn.errors import ConfigError
from lfp_snn.options import AS_MAPPING, Choice, Section, choice_of, choose


@cache
def _steps() -> dict[str, type[Choice]]:
    """The sections of steps of preprocessing, which are made when one is read."""
    known: dict[str, type[Any]] = {**STEPS, "tonic": TonicStep}
    return {name: choice_of(name, step) for name, step in known.items()}


@cache
def _augmentations() -> dict[str, type[Choice]]:
    """The sections of steps of augmentation, which are made when one is read."""
    known: dict[str, type[Any]] = {**AUGMENTATIONS, "tonic": TonicAugmentation}
    return {name: choice_of(name, step) for name, step in known.items()}


_Step = Annotated[Choice, choose("step of preprocessing", _steps), AS_MAPPING]
_Augmentation = Annotated[Choice, choose("step of augmentation", _augmentations), AS_MAPPING]


class Options(Section):
    """The options of every dataset."""

    model_config = ConfigDict(strict=False)  # a path may be given as a string

    validation: float = Field(
        default=1 / 8,
        gt=0,
        lt=1,
        description="share of the training part that is held out to validate",
    )
    train: int | None = Field(
        default=None, ge=1, description="use only so many training samples, of all classes alike"
    )
    seed: int = Field(default=0, ge=0, description="draws the splits, and noise where there is any")
    classes: list[int | str] | None = Field(
        default=None,
        min_length=2,
        description="keep only the samples of these classes, by name, and number the classes in "
        "this order; the splits, `train` included, are made before",
    )


class SpikeOptions(Options):
    """The options of datasets of events."""

    steps: int = Field(
        default=25, ge=1, description="T, time steps of a recording; at most, if by duration"
    )
    binning: Literal["time", "count", "duration"] = Field(
        default="time",
        description="a recording is cut into T steps of equal duration (time) or of equally many "
        "events (count), or all recordings into steps of bin_ms (duration), as many as it takes",
    )
    bin_ms: float | None = Field(
        default=None,
        gt=0,
        validate_default=True,
        description="milliseconds of a step, for binning by duration",
    )
    values: Literal["binary", "counts"] = Field(
        default="binary",
        description="an input is 0 or 1 (binary) or the number of its events (counts)",
    )

    preprocess: list[_Step] = Field(
        default_factory=list,
        description="what is done to the events before, in this order, such as "
        "[{name: downsample, factor: 2}]",
    )

    augment: list[_Augmentation] = Field(
        default_factory=list,
        description="what is done to the events of training recordings at random, in this order, "
        "such as [{name: shift, pixels: 2}, {name: drop_event}]",
    )
    storage: Literal["cached", "streamed", "device"] = Field(
        default="cached",
        description="encode once and keep the spikes on disk (cached), or read and encode whenever "
        "a batch needs it and keep nothing (streamed; so with augmentation too), or keep the "
        "cached spikes where the network lies, and put batches together and augment them there "
        "(device; on a GPU cached spikes lie there anyway where a quarter of the free memory holds "
        "them); there flip, shift, drop_area and cutout move the spikes, after binning",
    )

    @field_validator("bin_ms")
    @classmethod
    def _bins(cls, bin_ms: float | None, info: ValidationInfo) -> float | None:
        binning = info.data.get("binning")
        if binning is not None:
            try:
                Binning(1, binning, window_us=_microseconds(bin_ms))
            except ConfigError as error:
                context = {"message": str(error)}
                raise PydanticCustomError("bad_options", "{message}", context) from error
        return bin_ms

    @model_validator(mode="after")
    def _augments_spikes(self) -> Self:
        if self.storage == "device":
            for chosen in self.augment:
                if not getattr(chosen.make(), "takes_spikes", False):
                    message = (
                        f"{chosen.name} needs the events themselves, and with storage=device only "
                        "their spikes are there, which flip (but not along time), shift, drop_area "
                        "and cutout can change: leave storage out, or that step"
                    )
                    raise PydanticCustomError("bad_options", "{message}", {"message": message})
        return self

    @property
    def on_demand(self) -> bool:
        """Whether recordings are encoded when a batch needs them."""
        return self.storage == "streamed" or (bool(self.augment) and self.storage != "device")

    def steps_on_spikes(self) -> tuple[PlaceStep, ...]:
        """The steps that `augment` describes, where they change the spikes of cached sets."""
        if self.on_demand:
            return ()
        return tuple(step for step in self.steps_of_augmentation() if isinstance(step, PlaceStep))

    def steps_of_augmentation(self) -> list[Augmentation | Mix]:
        """The steps that `augment` describes."""
        return [each.make() for each in self.augment]

    def steps_of_preprocessing(self) -> list[PreprocessingStep]:
        """The steps that `preprocess` describes."""
        return [each.make() for each in self.preprocess]

    def encoding(self) -> dict[str, Any]:
        """Everything that a recording's spike trains depend on beside its events, for the cache."""
        fields = ("steps", "binning", "bin_ms", "values", "preprocess")
        return self.model_dump(mode="json", include=set(fields))

    def encode(self, events: Events) -> Binned:
        """Preprocess and bin the recordings in `events` to spike trains.

        Raises:
            DataError: a recording has no events, or preprocessing leaves none.
            ConfigError: a step of preprocessing does not fit the sensor.
        """
        return self.bin(self.prepare(events))

    def prepare(self, events: Events) -> Events:
        """The events after preprocessing."""
        return preprocess(events, self.steps_of_preprocessing())

    def bin(self, events: Events) -> Binned:
        """Bin recordings that are preprocessed already to spike trains."""
        return bin_events(events, self.binning_options())

    def sensor(self, sensor: Sensor) -> Sensor:
        """The sensor that preprocessing makes of a sensor.

        Raises:
            ConfigError: a step does not fit the sensor.
        """
        return sensor_after(sensor, self.steps_of_preprocessing())

    def binning_options(self) -> Binning:
        """The options that say how events become steps."""
        return Binning(self.steps, self.binning, self.values, _microseconds(self.bin_ms))


def _microseconds(milliseconds: float | None) -> int | None:
    return None if milliseconds is None else round(milliseconds * 1000)
