"""What the options of the datasets have in common."""

from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from lfp_snn.data.binning import Binned, Binning, bin_events
from lfp_snn.data.events import Events
from lfp_snn.data.preprocess import STEPS, Sensor, Step, preprocess, sensor_after
from lfp_snn.options import AS_MAPPING, Choice, Section, choice_of, choose

_STEPS = {name: choice_of(name, step) for name, step in STEPS.items()}
_Step = Annotated[Choice, choose("step of preprocessing", lambda: _STEPS), AS_MAPPING]


class Options(Section):
    """Options of every dataset."""

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


class SpikeOptions(Options):
    """Options of datasets of events."""

    steps: int = Field(default=25, ge=1, description="T, the number of time steps of a recording")
    binning: Literal["time", "count"] = Field(
        default="time",
        description="steps of equal duration (time) or of equally many events (count)",
    )
    values: Literal["binary", "counts"] = Field(
        default="binary",
        description="an input is 0 or 1 (binary) or the number of its events (counts)",
    )

    preprocess: list[_Step] = Field(
        default_factory=list, description="what is done to the events before, in this order"
    )

    def steps_of_preprocessing(self) -> list[Step]:
        """The steps that `preprocess` describes."""
        return [each.make() for each in self.preprocess]

    def encoding(self) -> dict[str, Any]:
        """All that a recording's spike trains depend on beside its events, for the cache."""
        fields = ("steps", "binning", "values", "preprocess")
        return self.model_dump(mode="json", include=set(fields))

    def encode(self, events: Events) -> Binned:
        """Spike trains of the recordings in `events`.

        Raises:
            DataError: a recording has no events, or preprocessing leaves none.
            ConfigError: a step of preprocessing does not fit the sensor.
        """
        return bin_events(preprocess(events, self.steps_of_preprocessing()), self.binning_options())

    def sensor(self, sensor: Sensor) -> Sensor:
        """What preprocessing makes of a sensor.

        Raises:
            ConfigError: a step does not fit it.
        """
        return sensor_after(sensor, self.steps_of_preprocessing())

    def binning_options(self) -> Binning:
        """The options that say how events become steps."""
        return Binning(self.steps, self.binning, self.values)
