"""The section ``sweep`` of a config: what is searched for one learner, and how much."""

from __future__ import annotations

from pydantic import Field

from lfp_snn.analysis.study.spec import Search, Space
from lfp_snn.options import Section
from lfp_snn.training.config import Config

__all__ = ["Sweep", "SweepConfig"]


class Sweep(Section):
    """The section ``sweep`` of a config.

    Attributes:
        search: the budget of the search.
        tune: what is searched.
    """

    search: Search = Search()
    tune: Space = Field(min_length=1)


class SweepConfig(Config):
    """An experiment with a section ``sweep``.

    Attributes:
        sweep: what is searched, and how much.
    """

    sweep: Sweep
