"""Braille letters, read by a fingertip: 12 tactile sensors slid over 27 letters, 50 times each.

S. F. Mueller-Cleve, V. Fra, L. Khacef, A. Pequeno-Zurro, D. Klepatsch, E. Forno, D. G. Ivanovich,
S. Rastogi, G. Urgese, F. Zenke, C. Bartolozzi, "Braille letter reading: a benchmark for
spatio-temporal pattern recognition on neuromorphic hardware", Frontiers in Neuroscience 16, 2022.
CC BY 4.0.
"""

from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from lfp_snn.data.delta import delta, delta_spikes
from lfp_snn.data.options import Options
from lfp_snn.data.pickles import read_pickle
from lfp_snn.data.sets import SpikeSet, Splits
from lfp_snn.errors import DataError
from lfp_snn.unpacking import DAMAGE, check_size
from lfp_snn.wording import setting

SOURCE = (
    "Braille letters, real readings of a tactile fingertip (Mueller-Cleve et al. 2022, CC BY 4.0)"
)
FILE = "tutorial5_braille_spiking_data.pkl.gz"
TAXELS = 12
_LARGEST = 1 << 16  # a sensor reads 0 to 255


class BrailleOptions(Options):
    """The options of the dataset `braille`."""

    root: Path = Field(default=Path("datasets/braille"), description=f"folder that holds {FILE}")
    threshold: float = Field(
        default=1.0, gt=0, description="change of a sensor (0 to 255) that makes an event"
    )
    values: Literal["binary", "counts"] = Field(
        default="counts",
        description="an input is 0 or 1 (binary) or the number of its events (counts)",
    )
    test: float = Field(
        default=0.2, gt=0, lt=1, description="share of the repetitions held out to test, the last"
    )


def read(root: Path) -> tuple[npt.NDArray[np.float64], list[str], npt.NDArray[np.int64]]:
    """The readings [N, T, 12], letters and repetitions of all samples.

    The shorter readings (76 steps of 77) hold their last value.

    Raises:
        DataError: the file is missing, damaged, or holds something else.
    """
    path = root / FILE
    if not path.is_file():
        raise DataError(
            f"{path} is missing: it belongs to the Braille benchmark (10.5281/zenodo.6556299); put "
            f"it there, or name its folder with {setting('data.root')}"
        )
    samples = read_pickle(path)
    try:
        readings = [np.asarray(each["taxel_data"]) for each in samples]
        letters = [str(each["letter"]) for each in samples]
        repetitions = np.array([int(each["repetition"]) for each in samples], np.int64)
    except DAMAGE as error:
        raise DataError(f"{path} holds no readings as expected: {error!r}") from error
    if not readings or any(r.ndim != 2 or r.shape[1] != TAXELS or not len(r) for r in readings):
        raise DataError(f"{path} holds readings that are not [T, {TAXELS}]")
    if any(r.dtype.kind not in "biuf" or not (np.abs(r) < _LARGEST).all() for r in readings):
        raise DataError(f"{path} holds readings that are no values of a sensor")
    steps = max(map(len, readings))
    check_size(path, 2 * 8 * TAXELS * steps * len(readings))
    padded = [np.pad(r, ((0, steps - len(r)), (0, 0)), mode="edge") for r in readings]
    return np.stack(padded).astype(np.float64), letters, repetitions


def load(options: BrailleOptions) -> Splits:
    """Load the dataset, split by repetition: the last ones test, some before them validate.

    With that split, no part holds a reading from the same pass over the letters as another.

    Raises:
        DataError: the file cannot be read (`read`), or a part is left empty.
    """
    readings, letters, repetitions = read(options.root)
    classes = tuple(sorted(set(letters)))
    index = {letter: number for number, letter in enumerate(classes)}
    moved = delta(readings, options.threshold)
    samples = SpikeSet(
        delta_spikes(moved, counts=options.values == "counts"),
        np.array([index[letter] for letter in letters]),
        [f"{letter}/{n}" for letter, n in zip(letters, repetitions, strict=True)],
        classes=classes,
        feature_shape=(2 * TAXELS,),
        steps=readings.shape[1],
    )
    train, val, test = _parts(repetitions, options)
    return Splits.of(samples, train, val, test, name="braille", source=SOURCE)


def _parts(repetitions: npt.NDArray[np.int64], options: BrailleOptions) -> list[Any]:
    """The rows of the three parts."""
    passes = np.unique(repetitions)
    tested = round(len(passes) * options.test)
    validated = round((len(passes) - tested) * options.validation)
    learnt = len(passes) - tested - validated
    if min(tested, validated, learnt) < 1:
        raise DataError(
            f"{len(passes)} repetitions are split into {learnt} to train, {validated} to validate "
            f"and {tested} to test; each part needs one"
        )
    parts = np.split(passes, [learnt, learnt + validated])
    rows = [np.flatnonzero(np.isin(repetitions, part)) for part in parts]
    if options.train is not None:
        if options.train > len(rows[0]):
            raise DataError(
                f"{setting('data.train')} asks for {options.train} training samples, but there are "
                f"{len(rows[0])}"
            )
        # In the order of the passes over the letters, so that all classes are there.
        order = np.argsort(repetitions[rows[0]], kind="stable")
        rows[0] = np.sort(rows[0][order[: options.train]])
    return rows
