"""The way from recordings to batches of spikes: datasets, simulation, binning, cache, loader."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lfp_snn.later import lazily

if TYPE_CHECKING:
    from lfp_snn.data.batch import Batch
    from lfp_snn.data.binning import Binning, bin_events
    from lfp_snn.data.events import Events
    from lfp_snn.data.layout import Layout
    from lfp_snn.data.loader import Loader
    from lfp_snn.data.nmnist import read_events
    from lfp_snn.data.own import from_torch, own_splits
    from lfp_snn.data.registry import DATASETS, load, load_file
    from lfp_snn.data.sets import ImageSet, SampleSet, SpikeSet, Splits

__all__ = [
    "DATASETS",
    "Batch",
    "Binning",
    "Events",
    "ImageSet",
    "Layout",
    "Loader",
    "SampleSet",
    "SpikeSet",
    "Splits",
    "bin_events",
    "from_torch",
    "load",
    "load_file",
    "own_splits",
    "read_events",
]

__getattr__, __dir__ = lazily(
    __name__,
    {
        "Batch": "lfp_snn.data.batch",
        "Binning": "lfp_snn.data.binning",
        "DATASETS": "lfp_snn.data.registry",
        "Events": "lfp_snn.data.events",
        "ImageSet": "lfp_snn.data.sets",
        "Layout": "lfp_snn.data.layout",
        "Loader": "lfp_snn.data.loader",
        "SampleSet": "lfp_snn.data.sets",
        "SpikeSet": "lfp_snn.data.sets",
        "Splits": "lfp_snn.data.sets",
        "bin_events": "lfp_snn.data.binning",
        "from_torch": "lfp_snn.data.own",
        "load": "lfp_snn.data.registry",
        "load_file": "lfp_snn.data.registry",
        "own_splits": "lfp_snn.data.own",
        "read_events": "lfp_snn.data.nmnist",
    },
)
