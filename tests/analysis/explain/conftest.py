"""A small network and recordings to explain."""

from __future__ import annotations

import pytest
import torch

from lfp_snn.analysis.explain.attribute import Explainer
from lfp_snn.data import SampleSet, load
from lfp_snn.learners import LEARNERS
from lfp_snn.learners.lfp import LFPOptions
from lfp_snn.models import build
from lfp_snn.rules import Epsilon
from lfp_snn.training import calibrate
from tests.data.helpers import write_nmnist

COUNTS = {str(label): 4 for label in range(3)}


@pytest.fixture(scope="session")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> SampleSet:
    """A test part whose events can be read."""
    root = tmp_path_factory.mktemp("nmnist")
    write_nmnist(root, COUNTS, COUNTS)
    coarse = [{"name": "downsample", "factor": 4}]  # so that events share an entry
    splits = load("nmnist", root, steps=5, validation=1 / 3, storage="streamed", preprocess=coarse)
    return splits.test


@pytest.fixture
def explainer(recordings: SampleSet) -> Explainer:
    """An untrained network that spikes, under the rule that conserves."""
    torch.manual_seed(0)
    net = build("mlp", recordings.feature_shape, 10, hidden=[12])
    learner = LEARNERS["lfp"].from_options(net.eval(), LFPOptions())
    calibrate(learner.engine, recordings.batch(range(len(recordings))), 0.2)
    return Explainer(learner, Epsilon(conserving=True))
