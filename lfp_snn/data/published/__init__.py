"""Published event datasets: what is known of each, layouts, splits, and how to fetch them."""

from lfp_snn.data.published.catalogue import DESCRIPTIONS, Description

__all__ = ["DESCRIPTIONS", "Description"]
