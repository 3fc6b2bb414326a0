"""Simulated recordings, for datasets that are made of still images, and of single files."""

import dataclasses
import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from pydantic import Field

from lfp_snn.data.camera import Camera
from lfp_snn.data.event_set import row_set
from lfp_snn.data.events import Events
from lfp_snn.data.motion import DURATION_US, FloatArray, Saccades
from lfp_snn.data.options import SpikeOptions
from lfp_snn.data.pictures import is_film, read_film, read_still
from lfp_snn.data.preprocess import Refractory, preprocess
from lfp_snn.data.sets import IntArray, SampleSet
from lfp_snn.errors import DataError


class SimulatedOptions(SpikeOptions):
    """The options of datasets whose events are simulated."""

    threshold: float = Field(
        default=0.35,
        gt=0,
        description="contrast threshold of the simulated camera, in log intensity",
    )
    mismatch: float = Field(
        default=0.1, ge=0, lt=1, description="spread of the thresholds of its pixels, relative"
    )
    noise_hz: float = Field(
        default=0.3, ge=0, description="events without a cause, per pixel and second"
    )

    def camera(self) -> Camera:
        """The simulated camera of these options."""
        return Camera(self.threshold, self.mismatch, self.noise_hz, self.seed)

    def motion(self) -> Saccades:
        """The sensor of the camera and its way over an image, as for N-MNIST."""
        return Saccades()


def simulated_set(
    name: str,
    images: FloatArray,
    labels: IntArray,
    ids: Sequence[str],
    classes: tuple[str, ...],
    options: SimulatedOptions,
) -> SampleSet:
    """Make the set of simulated recordings of images: encoded once and cached, or when asked for.

    Args:
        name: the name of the dataset.
        images: the brightness in [0, 1], float64 [N, rows, columns]. The number of an image draws
            the noise of its recording.
        labels: the class of each image, int64 [N].
        ids: the name of each image.
        classes: the name of each class.
        options: the options of camera and encoding.
    """
    camera, motion = options.camera(), options.motion()

    def read(rows: IntArray) -> Events:
        return camera.record(images[rows], rows, motion)

    key = {
        "images": hashlib.sha256(np.ascontiguousarray(images).tobytes()).hexdigest(),
        "shape": images.shape,
        "camera": dataclasses.asdict(camera),
        "motion": dataclasses.asdict(motion),
    }
    sensor = (2, motion.rows, motion.columns)
    return row_set(
        name, read, options, labels=labels, ids=ids, sensor=sensor, classes=classes, key=key
    )


def simulate_file(
    path: Path,
    camera: Camera,
    *,
    size: int | None = None,
    fps: float | None = None,
    rest_ms: float = 0.0,
) -> tuple[Events, float]:
    """Simulate a recording of an image, or of a film.

    Args:
        path: an image, an animated image, or a folder of frames.
        camera: the simulated camera.
        size: the longer side of the sensor; None: 34 for an image, which is seen with the three
            saccades of N-MNIST by a square sensor, and the pixels of the frames for a film.
        fps: the frames of a film in a second; None as the file says.
        rest_ms: the refractory period in milliseconds (`lfp_snn.data.preprocess.Refractory`); 0 for
            none.

    Returns:
        The events of the recording, and its duration in seconds.

    Raises:
        DataError: the file cannot be read, or there are no events.
    """
    end = DURATION_US
    if is_film(path):

        def frames() -> Iterator[tuple[int, FloatArray]]:
            nonlocal end
            for t, frame in read_film(path, fps, size):
                end = t
                yield t, frame

        events = camera.film(frames())
    elif fps is not None:
        raise DataError(f"{path} is one image, which has no frames a second; leave fps out")
    else:
        motion = Saccades() if size is None else Saccades.of(size)
        image = read_still(path, round(motion.extent))
        events = camera.record(image[np.newaxis], np.zeros(1, np.int64), motion)
    if not len(events):
        raise DataError(f"{path} makes no events; lower the threshold of the camera")
    if rest_ms:
        events = preprocess(events, [Refractory(rest_ms)])
    return events, end * 1e-6
