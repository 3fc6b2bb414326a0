"""What the options of the datasets have in common."""

from typing import Literal

from pydantic import ConfigDict, Field

from lfp_snn.data.binning import Binning
from lfp_snn.options import Section


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

    def binning_options(self) -> Binning:
        """The options that say how events become steps."""
        return Binning(self.steps, self.binning, self.values)
