"""What the options of the datasets have in common."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from lfp_snn.data.binning import Binning


class Options(BaseModel):
    """Base of the options of every dataset: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)

    validation: float = Field(
        1 / 8, gt=0, lt=1, description="share of the training part that is held out to validate"
    )
    train: int | None = Field(
        None, ge=1, description="use only so many training samples, of all classes alike"
    )
    seed: int = Field(0, ge=0, description="draws the splits, and noise where there is any")


class SpikeOptions(Options):
    """Options of datasets of events."""

    steps: int = Field(25, ge=1, description="T, the number of time steps of a recording")
    binning: Literal["time", "count"] = Field(
        "time", description="steps of equal duration (time) or of equally many events (count)"
    )
    values: Literal["binary", "counts"] = Field(
        "binary", description="an input is 0 or 1 (binary) or the number of its events (counts)"
    )

    def binning_options(self) -> Binning:
        """The options that say how events become steps."""
        return Binning(self.steps, self.binning, self.values)
