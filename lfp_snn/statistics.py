"""How credit goes through normalisations, as options say it."""

from __future__ import annotations

from typing import Literal

__all__ = ["Statistics"]

#: Credit at a normalisation: its statistics held fixed, or through them as well.
Statistics = Literal["fixed", "through"]
