"""A baseline without time and without spikes, which shows how much a task asks for."""

from __future__ import annotations

import math
import warnings

import numpy as np
import numpy.typing as npt
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MaxAbsScaler
from threadpoolctl import threadpool_limits
from torch import Tensor

from lfp_snn.data import SampleSet, Splits
from lfp_snn.spikes import Spikes

Inputs = npt.NDArray[np.float32]

__all__ = ["logistic_baseline"]

#: Inverse strengths of the L2 penalty to choose from, on inputs scaled to [0, 1].
STRENGTHS = (0.03, 0.3, 3.0, 30.0)
#: That without a validation part: scikit-learn's own default.
UNCHOSEN = 1.0
ROUNDS = 300
BATCH = 256


def logistic_baseline(splits: Splits) -> float:
    """The test accuracy of a logistic regression on the events of each input, summed over time.

    For a constant input the regression sees the input itself. The strength of the L2 penalty is the
    one of :data:`STRENGTHS` that does best on the validation part (the first among equals), or
    :data:`UNCHOSEN` where nothing validates. The test part is looked at once.

    Returns:
        The share of the test samples that are classified correctly, in [0, 1].
    """
    train, val = _sums(splits.train), _sums(splits.val)
    strengths = STRENGTHS if len(val) else (UNCHOSEN,)
    models = [_fit(train, splits.train.labels, strength) for strength in strengths]
    scores = [model.score(val, splits.val.labels) if len(val) else 0.0 for model in models]
    best = models[int(np.argmax(scores))]
    return float(best.score(_sums(splits.test), splits.test.labels))


def _fit(inputs: Inputs, labels: npt.NDArray[np.int64], strength: float) -> Pipeline:
    model = make_pipeline(MaxAbsScaler(), LogisticRegression(C=strength, max_iter=ROUNDS, tol=1e-3))
    # One thread: the solver works on short vectors, where waiting for others costs up to 15 times
    # the work on a busy machine; and the result does not depend on their number.
    with threadpool_limits(1), warnings.catch_warnings():
        # A fit that ends at ROUNDS competes like any other.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(inputs, labels)


def _sums(samples: SampleSet) -> Inputs:
    """The inputs summed over time, ``[N, units]``."""
    sums = np.empty((len(samples), math.prod(samples.feature_shape)), np.float32)
    for start in range(0, len(samples), BATCH):
        indices = np.arange(start, min(start + BATCH, len(samples)))
        sums[indices] = _batch_sums(samples.batch(indices).x)
    return sums


def _batch_sums(x: Spikes | Tensor) -> Inputs:
    if not isinstance(x, Spikes):
        return x.flatten(1).numpy()
    places = x.rows() // x.steps * x.units + x.indices
    weights = None if x.values is None else x.values.numpy()
    sums = np.bincount(places.numpy(), weights, minlength=x.batch * x.units)
    return sums.reshape(x.batch, x.units).astype(np.float32)
