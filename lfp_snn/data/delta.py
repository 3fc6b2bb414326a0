"""Delta coding: an analogue sequence becomes events where it changes.

Each channel keeps a reference, at first its first value. At every step the reference follows in
whole multiples of the threshold d,

    n_t = trunc((x_t - r_{t-1}) / d)        r_t = r_{t-1} + n_t * d

and n_t > 0 are that many ON events, n_t < 0 that many OFF events, as in an event camera's pixel. So
the sequence can be read back to within d from its events.
"""

import numpy as np
import numpy.typing as npt

from lfp_snn.data.binning import Binned
from lfp_snn.errors import ConfigError, DataError


def delta(sequences: npt.NDArray[np.float64], threshold: float) -> npt.NDArray[np.int64]:
    """The number of events that each channel sends at each step, negative for OFF.

    Args:
        sequences: the sequences, [..., T, channels].
        threshold: the threshold d, > 0, in the units of the sequences.

    Returns:
        The numbers of events, int64, in the shape of the sequences; 0 at the first step.

    Raises:
        ConfigError: the threshold is not positive.
        DataError: a value is not finite.
    """
    if not threshold > 0:
        raise ConfigError(f"the threshold of delta coding is {threshold}, expected above 0")
    if not np.isfinite(sequences).all():
        raise DataError("a sequence for delta coding holds NaN or infinite values")
    moved = np.zeros(sequences.shape, np.int64)
    reference = sequences[..., 0, :].astype(np.float64)
    for t in range(1, sequences.shape[-2]):
        # A whole step is not missed for the rounding of the sums before it.
        moved[..., t, :] = np.trunc((sequences[..., t, :] - reference) / threshold * (1 + 1e-12))
        reference = reference + moved[..., t, :] * threshold
    return moved


def delta_spikes(moved: npt.NDArray[np.int64], counts: bool) -> Binned:
    """The spike trains of delta-coded sequences: all ON channels, then all OFF channels.

    Args:
        moved: the numbers of events that `delta` gave, [N, T, channels].
        counts: whether to keep how many events fell together; otherwise they are one spike.
    """
    both = np.concatenate([np.maximum(moved, 0), np.maximum(-moved, 0)], axis=-1)
    frames = both.reshape(-1, both.shape[-1])
    row, unit = np.nonzero(frames)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=len(frames)))])
    values = frames[row, unit].astype(np.float32) if counts else None
    return Binned(indptr.astype(np.int64), unit.astype(np.int32), values)
