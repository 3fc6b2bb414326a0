"""The way from recordings to batches of spikes: datasets, simulation, binning, cache, loader."""

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
