"""The section ``compare`` of a config: learners, and what is searched for each."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from lfp_snn.analysis.study.spec import Search, Space
from lfp_snn.learners import LEARNERS
from lfp_snn.options import Section, nearest
from lfp_snn.training.config import Config

__all__ = ["ComparedLearner", "Comparison", "ComparisonConfig"]


class ComparedLearner(Section):
    """One learner of a comparison.

    Attributes:
        learner: the name of the learner, if its name in the comparison is another.
        set: the values of this learner alone, by dotted key.
        tune: what is searched for this learner.
    """

    learner: str | None = None
    set: dict[str, Any] = Field(default_factory=dict)
    tune: Space = Field(default_factory=dict)


class Comparison(Section):
    """The section ``compare`` of a config.

    Attributes:
        reference: the learner that the others are held against.
        learners: the learners that are compared, by a name of your choice.
        search: the budget of each learner's search.
        target: the validation accuracy to which the training time is told; ``None``: not told.
    """

    reference: str = "lfp"
    learners: dict[str, ComparedLearner] = Field(min_length=1)
    search: Search = Search()
    target: float | None = Field(default=None, gt=0, le=1)

    @model_validator(mode="after")
    def _known(self) -> Self:
        for name, each in self.learners.items():
            if not name or name.startswith(".") or "/" in name or "\\" in name:
                raise ValueError(
                    f"learners by names that a folder can have, without / and without a dot in "
                    f"front, but one is {name!r}"
                )
            learner = each.learner or name
            if learner not in LEARNERS:
                guess = nearest(learner, LEARNERS)
                hint = f"; did you mean {guess}?" if guess else ""
                raise ValueError(
                    f"learners of {', '.join(LEARNERS)}, but {name!r} names {learner!r}{hint}"
                )
        return self


class ComparisonConfig(Config):
    """An experiment with a section ``compare``.

    Attributes:
        compare: the learners, their own values, and what is searched for each.
    """

    compare: Comparison
