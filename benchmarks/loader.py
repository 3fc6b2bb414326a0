"""Recordings to batches: this project's loader against tonic's ToFrame and PadTensors.

    python -m benchmarks loader --root datasets/NMNIST

Ways to the same batches of N-MNIST, from files that the operating system has in memory:

    tonic     read, ToFrame, PadTensors
    files     read, bin, batch: ours, straight from the recordings
    cached    open, check, batch: ours from the cache, in the first epoch of a run
    epoch     batch: ours from the open cache, in every further epoch
    streamed  read, bin, batch by the loader: `storage: streamed`; with one and two workers too
    augmented the same with a shift, dropped events and a flip for each recording
    duration  the same in steps of 10 ms, as many as each recording takes

The batches are compared, value by value, before anything is timed. Then the ways take turns, on
one thread (but for the workers), and the median of the rounds counts. Ours yields index lists,
tonic dense tensors: that is what each hands to its network.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from tonic.collation import PadTensors
from tonic.datasets import NMNIST
from tonic.io import read_mnist_file
from tonic.transforms import ToFrame

from benchmarks._arguments import at_least_one
from lfp_snn.data import Batch, Loader, SpikeSet, cache, nmnist
from lfp_snn.data.binning import Binned, Stored, join
from lfp_snn.data.files import FileOptions, Files, encode, file_set
from lfp_snn.data.loader import Sampling
from lfp_snn.spikes import Spikes

Batches = Iterator[Batch] | Iterator[tuple[torch.Tensor, torch.Tensor]]


class Ways:
    """The ways, over the same recordings in the same order."""

    def __init__(self, root: Path, recordings: int, steps: int, batch_size: int) -> None:
        parts = [nmnist.list_recordings(root, part) for part in ("Train", "Test")]
        paths = [path for part in parts for path in part.paths]
        some = np.linspace(0, len(paths) - 1, min(recordings, len(paths)), dtype=np.int64)
        self.paths = [paths[n] for n in some]
        self.labels = np.concatenate([part.labels for part in parts])[some]
        self.options = FileOptions(steps=steps, values="counts")
        self.starts = range(0, len(self.paths), batch_size)
        self.batch_size = batch_size
        self.to_frame = ToFrame(sensor_size=NMNIST.sensor_size, n_time_bins=steps)
        self.collate = PadTensors(batch_first=False)

    def tonic(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """Yield dense batches [T, B, 2, 34, 34] and labels by tonic."""
        for start in self.starts:
            part = range(start, min(start + self.batch_size, len(self.paths)))
            yield self.collate(
                [
                    (
                        self.to_frame(read_mnist_file(self.paths[n], NMNIST.dtype)),
                        int(self.labels[n]),
                    )
                    for n in part
                ]
            )

    def files(self) -> Iterator[Batch]:
        """Yield Spikes, straight from the files."""
        for start in self.starts:
            part = slice(start, start + self.batch_size)
            recordings = self._set(join(encode(self._files(part), self.options)), part)
            yield recordings.batch(range(len(recordings)))

    def cached(self) -> Iterator[Batch]:
        """Yield Spikes from the cache, opening and checking it included."""
        files = self._files(slice(None))
        trains = cache.fetch("bench", self.paths, {}, lambda: encode(files, self.options))
        self.open = self._set(trains, slice(None))
        yield from self.epoch()

    def epoch(self) -> Iterator[Batch]:
        """Yield Spikes from the cache that `cached` has opened."""
        for start in self.starts:
            yield self.open.batch(range(start, min(start + self.batch_size, len(self.paths))))

    def streamed(self) -> Iterator[Batch]:
        """Yield Spikes from the files through the loader."""
        return self._stream(self.options)

    def workers_1(self) -> Iterator[Batch]:
        """Yield Spikes from the files through the loader, with one worker."""
        return self._stream(self.options, workers=1)

    def workers_2(self) -> Iterator[Batch]:
        """Yield Spikes from the files through the loader, with two workers."""
        return self._stream(self.options, workers=2)

    def augmented(self) -> Iterator[Batch]:
        """Yield Spikes from the files with three steps of augmentation."""
        names = ("shift", "drop_event", "flip")
        changed = FileOptions.model_validate(
            {
                "steps": self.options.steps,
                "values": "counts",
                "augment": [{"name": name} for name in names],
            }
        )
        return self._stream(changed, "shuffle")

    def duration(self) -> Iterator[Batch]:
        """Yield Spikes from the files in steps of 10 ms."""
        return self._stream(
            FileOptions(steps=100, binning="duration", bin_ms=10.0, values="counts")
        )

    def _stream(
        self, options: FileOptions, sampling: Sampling = "in_order", workers: int = 0
    ) -> Iterator[Batch]:
        streamed = options.model_copy(update={"storage": "streamed"})
        samples, _ = file_set(
            "bench",
            self._files(slice(None)),
            streamed,
            sensor=nmnist.SENSOR,
            classes=nmnist.CLASSES,
        )
        return Loader(samples, self.batch_size, sampling, seed=0, workers=workers).epoch(0)

    def _files(self, part: slice) -> Files:
        paths = self.paths[part]
        return Files(paths, self.labels[part], [str(path) for path in paths], nmnist.read_many)

    def _set(self, trains: Binned | Stored, part: slice) -> SpikeSet:
        return SpikeSet(
            trains,
            self.labels[part],
            [str(path) for path in self.paths[part]],
            classes=nmnist.CLASSES,
            feature_shape=nmnist.SENSOR,
            steps=self.options.steps,
        )


def seconds(way: Callable[[], Batches]) -> float:
    """The seconds of one pass over all batches."""
    start = time.perf_counter()
    for _ in way():
        pass
    return time.perf_counter() - start


def check(ways: Ways) -> None:
    """Stop unless the ways give equal batches."""
    ours = [ways.files(), ways.cached(), ways.streamed(), ways.workers_2()]
    for (frames, labels), *batches in zip(ways.tonic(), *ours, strict=True):
        for batch in batches:
            assert isinstance(batch.x, Spikes)
            if not torch.equal(batch.x.dense(), frames.float()):
                raise SystemExit("the spikes differ from tonic's frames")
            if not torch.equal(batch.labels, labels):
                raise SystemExit("the labels differ from tonic's")


def main() -> None:
    """Compare, measure, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path("datasets/NMNIST"))
    parser.add_argument("--recordings", type=at_least_one, default=300)
    parser.add_argument("--steps", type=at_least_one, default=25)
    parser.add_argument("--batch-size", type=at_least_one, default=100)
    parser.add_argument("--rounds", type=at_least_one, default=5)
    args = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["LFP_SNN_CACHE"] = folder
        ways = Ways(args.root, args.recordings, args.steps, args.batch_size)
        check(ways)
        print(
            f"{len(ways.paths)} recordings, T={args.steps}, batches of {args.batch_size}: "
            f"equal content; load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
        )
        events = sum(path.stat().st_size for path in ways.paths) // 5
        names = ("tonic", "files", "cached", "epoch", "streamed", "workers_1", "workers_2")
        times: dict[str, list[float]] = {name: [] for name in (*names, "augmented", "duration")}
        for _ in range(args.rounds):
            for name in times:
                times[name].append(seconds(getattr(ways, name)))
    medians = {name: statistics.median(taken) for name, taken in times.items()}
    for name, median in medians.items():
        print(
            f"{name:10}{median / len(ways.paths) * 1e6:9.1f} us a recording"
            f"{events / median / 1e6:9.1f} million events/s"
            f"{medians['tonic'] / median:9.1f}x as fast as tonic"
        )


if __name__ == "__main__":
    main()
