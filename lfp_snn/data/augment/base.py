"""The base of steps of augmentation, and checks of their options."""

from abc import ABC, abstractmethod

import numpy as np

from lfp_snn.data.events import Events
from lfp_snn.errors import ConfigError

__all__ = ["Augmentation", "check_positive", "check_probability", "check_share"]


class Augmentation(ABC):
    """The base of steps of augmentation; a step leaves the sensor as it is."""

    @property
    def takes_spikes(self) -> bool:
        """Whether the step may act on spikes too, after binning."""
        return False

    @abstractmethod
    def __call__(self, events: Events, rng: np.random.Generator) -> Events:
        """The events of one recording after this step, in any order and perhaps off the sensor.

        Args:
            events: the events of one recording, in order of time.
            rng: the generator of random numbers to draw from.
        """


def check_probability(name: str, value: float) -> None:
    """Refuse an option that is no probability in [0, 1]."""
    if not 0 <= value <= 1:
        raise ConfigError(f"{name} is {value}; expected a probability in [0, 1]")


def check_share(name: str, value: float) -> None:
    """Refuse an option that does not lie in (0, 1)."""
    if not 0 < value < 1:
        raise ConfigError(f"{name} is {value}; expected above 0 and below 1")


def check_positive(name: str, value: float) -> None:
    """Refuse an option that is not finite and above 0."""
    if not (np.isfinite(value) and value > 0):
        raise ConfigError(f"{name} is {value}; expected above 0")
