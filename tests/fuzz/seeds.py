"""A small sound file of every kind that is read, and who reads it: what the fuzzer starts from."""

from __future__ import annotations

import csv
import gzip
import io
import json
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import lz4.frame
import numpy as np
import torch
import zstandard
from PIL import Image
from scipy.io import savemat, wavfile

from lfp_snn.analysis.exchange.integer import IntegerNetwork
from lfp_snn.analysis.exchange.weights import load_weights, weights_bytes
from lfp_snn.analysis.report import write_report
from lfp_snn.data import Events, load, load_file
from lfp_snn.data import braille as braille_data
from lfp_snn.data.cifar10 import read as read_cifar10
from lfp_snn.data.entries import read_table
from lfp_snn.data.formats import (
    AS_IT_IS,
    FORMATS,
    Layout,
    aedat4,
    read_recording,
    write_recording,
)
from lfp_snn.data.index import read_index
from lfp_snn.data.mnist import read_idx
from lfp_snn.data.pictures import read_still
from lfp_snn.data.published.split import NAME as SPLIT
from lfp_snn.data.published.split import tested
from lfp_snn.models import MODELS
from lfp_snn.training import TrainedRun, load_config
from lfp_snn.training.checkpoint import load_checkpoint, save_checkpoint
from lfp_snn.training.configfile import dump_config
from lfp_snn.training.transfer import Transfer, load_into
from tests.data.helpers import idx

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Seed:
    """A kind of input.

    Args:
        kind: a short name, whose part before the colon tells the structure for the mutations.
        file: which is mutated, below a folder of its own that holds all that it needs.
        read: what a command does with that folder.
        weight: how often it is drawn.
    """

    kind: str
    file: str
    read: Callable[[Path], Any]
    weight: float = 1.0

    @property
    def structure(self) -> str:
        return self.kind.partition(":")[0]


def _events(count: int = 60, side: int = 34) -> Events:
    rng = np.random.default_rng(0)
    x, y = (rng.integers(0, side, count).astype(np.int16) for _ in range(2))
    t = np.sort(rng.integers(0, 300_000, count)).astype(np.int64)
    return Events(x, y, t, rng.integers(0, 2, count).astype(np.uint8), (2, side, side))


def _units(count: int = 40) -> Events:
    events, zeros = _events(count), np.zeros(count, np.uint8)
    return Events(events.x, events.y * 0, events.t, zeros, (1, 1, 34))


def make(root: Path) -> list[Seed]:
    """Write all seeds, each into the folder of its kind."""
    return [seed for maker in _MAKERS for seed in maker(root)]


def _folder(root: Path, kind: str) -> Path:
    folder = root / kind.replace(":", "-")
    folder.mkdir(parents=True)
    return folder


def _file(root: Path, kind: str, name: str, content: bytes) -> None:
    (_folder(root, kind) / name).write_bytes(content)


def _recording(kind: str, name: str, layout: Layout = AS_IT_IS) -> Seed:
    return Seed(kind, name, lambda folder: read_recording(folder / name, layout=layout))


_STRUCTURES = {"npy": "npy", "npz": "zip", "mat": "mat", "hdf5": "hdf5", "table": "text"}


def _formats(root: Path) -> Iterator[Seed]:
    """What the writers of all formats write."""
    for name, form in FORMATS.items():
        kind, file = f"{_STRUCTURES.get(name, 'binary')}:{name}", f"a{form.suffixes[0]}"
        events = _units() if name == "hdf5" else _events(side=128 if name == "aedat2" else 34)
        write_recording(events, _folder(root, kind) / file, name)
        yield _recording(kind, file)


def _arrays(root: Path) -> Iterator[Seed]:
    rng = np.random.default_rng(1)
    frames = rng.integers(0, 3, (6, 2, 5, 5)).astype(np.int64)
    columns = {"x": [1, 2], "y": [3, 4], "timestamps": [10, 20], "polarity": [-1, 1]}
    rows = np.stack(
        [np.sort(rng.integers(0, 99, 8)), *rng.integers(0, 9, (2, 8)), np.arange(8) % 2]
    )
    for kind, array in {"frames": frames, "rows": rows.T, "seconds": rows.T * [1e-6, 1, 1, 1],
                        "floats": frames * 1.0}.items():  # fmt: skip
        content = io.BytesIO()
        np.save(content, array)
        _file(root, f"npy:{kind}", "a.npy", content.getvalue())
        yield _recording(f"npy:{kind}", "a.npy")
    content = io.BytesIO()
    np.save(content, frames[:, :, 0] > 0)
    _file(root, "npy:trains", "a.npy", content.getvalue())
    yield _recording("npy:trains", "a.npy", Layout.of("channel,p,t", None))
    content = io.BytesIO()
    np.savez_compressed(content, allow_pickle=False, **columns)
    _file(root, "zip:columns", "a.npz", content.getvalue())
    yield _recording("zip:columns", "a.npz")


def _texts(root: Path) -> Iterator[Seed]:
    """Text in ways that the writer does not use."""
    rows = [(5, 3, 2, 1), (70, 6, 4, 0), (71, 9, 1, 1)]
    plain = "\n".join(",".join(map(str, row)) for row in rows)
    for kind, content in {
        "utf-16": ("t,x,y,p\n" + plain).encode("utf-16"),
        "words": b'"t","x","y","p"\n' + plain.replace(",1\n", ",ON\n").encode(),
        "size": b"240 180\n" + plain.replace(",", " ").encode(),
        "channels": b"# t_ms channel\n0.5 3\n1.25e0 7\n",
    }.items():
        _file(root, f"text:{kind}", "a.csv", content)
        yield _recording(f"text:{kind}", "a.csv")


def _matlab(root: Path) -> Iterator[Seed]:
    rng = np.random.default_rng(2)
    train = np.vstack([rng.integers(-1, 2, (16, 20)), np.sort(rng.random(20))])
    td = {name: rng.integers(1, 30, 12) for name in ("x", "y", "ts")}
    td["p"] = rng.integers(1, 3, 12)
    more = {"text": "words", "cell": np.array([1, "two"], object), "z": np.array([1 + 2j])}
    columns = {**td, **more}
    contents = {"train": {"spiketrain": train}, "struct": {"TD": td}, "columns": columns}
    for name, variables in contents.items():
        for packed in (True, False):
            kind = f"mat:{name}{'-packed' if packed else ''}"
            savemat(_folder(root, kind) / "a.mat", variables, do_compression=packed)
            yield _recording(kind, "a.mat")


def _aedat4(root: Path) -> Iterator[Seed]:
    """Compressed packets, which the writer does not make."""
    plain = root / "plain.aedat4"
    write_recording(_events(), plain, "aedat4")
    data = plain.read_bytes()
    begin = len(aedat4._MAGIC)
    (size,) = struct.unpack_from("<I", data, begin)
    header, packet = bytearray(data[begin + 4 : begin + 4 + size]), data[begin + 4 + size + 8 :]
    place = aedat4._Table(bytes(header)).place(aedat4._COMPRESSION)
    assert place is not None
    for name, number, pack in (
        ("lz4", aedat4._LZ4, lz4.frame.compress),
        ("zstd", aedat4._ZSTD, zstandard.ZstdCompressor().compress),
    ):
        header[place : place + 4] = struct.pack("<i", number)
        packed = pack(packet)
        content = data[:begin] + struct.pack("<I", size) + bytes(header)
        _file(
            root,
            f"aedat4:{name}",
            "a.aedat4",
            content + struct.pack("<ii", 0, len(packed)) + packed,
        )
        yield _recording(f"aedat4:{name}", "a.aedat4")


def _hdf5(root: Path) -> Iterator[Seed]:
    rng = np.random.default_rng(3)
    folder = _folder(root, "hdf5:shd")
    for part in ("train", "test"):
        with h5py.File(folder / f"shd_{part}.h5", "w") as file:
            times = file.create_dataset("spikes/times", (40,), h5py.vlen_dtype(np.float16))
            units = file.create_dataset("spikes/units", (40,), h5py.vlen_dtype(np.uint16))
            for n in range(40):
                times[n], units[n] = rng.random(5), rng.integers(0, 700, 5)
            file["labels"] = np.arange(40) % 20
    yield Seed("hdf5:shd", "shd_train.h5", lambda folder: load("shd", root=folder, steps=3), 0.5)
    folder = _folder(root, "hdf5:tidigits")
    with h5py.File(folder / "n-tidigits.hdf5", "w") as file:
        for part in ("train", "test"):
            names = [f"man-{k}-{digit}" for k in range(4) for digit in "o12"]
            file[f"{part}_labels"] = np.array(names, "S")
            for name in names:
                file[f"{part}_timestamps/{name}"] = rng.random(5)
                file[f"{part}_addresses/{name}"] = rng.integers(0, 64, 5)
    yield Seed(
        "hdf5:tidigits", "n-tidigits.hdf5",
        lambda folder: load("ntidigits18", root=folder, steps=3), 0.5,
    )  # fmt: skip


def _nir(root: Path) -> Iterator[Seed]:
    import nir

    from lfp_snn.models.nir import load_nir

    one = np.ones(2, np.float32)
    neuron = nir.LIF(tau=one, r=one, v_leak=0 * one, v_threshold=one, v_reset=0 * one)
    conv = nir.Conv2d((6, 6), np.ones((1, 1, 3, 3), np.float32), 1, 0, 1, 1, one[:1])
    nodes = {
        "input": nir.Input({"input": np.array([1, 6, 6])}),
        "conv": conv,
        "flat": nir.Flatten({"input": np.array([1, 4, 4])}, 0),
        "affine": nir.Affine(np.ones((2, 16), np.float32), one),
        "lif": neuron,
        "output": nir.Output({"output": np.array([2])}),
    }
    edges = list(zip(list(nodes)[:-1], list(nodes)[1:], strict=True))
    nir.write(_folder(root, "hdf5:nir") / "a.nir", nir.NIRGraph(nodes, edges, type_check=False))
    yield Seed("hdf5:nir", "a.nir", lambda folder: load_nir(folder / "a.nir"), 2)


def _pickles(root: Path) -> Iterator[Seed]:
    rng = np.random.default_rng(4)
    samples = [
        {"letter": "AB"[n % 2], "repetition": n // 2, "taxel_data": rng.random((4, 12)) * 255}
        for n in range(20)
    ]
    for protocol in (2, 4):
        content = pickle.dumps(samples, protocol)
        if protocol == 4:
            content = gzip.compress(content)
        kind = f"pickle:braille-{protocol}"
        _file(root, kind, braille_data.FILE, content)
        yield Seed(kind, braille_data.FILE, lambda folder: load("braille", root=folder), 1.5)
    batch = {b"data": rng.integers(0, 255, (4, 3072)).astype(np.uint8), b"labels": [0, 1, 2, 3]}
    folder = _folder(root, "pickle:cifar")
    for name in ("data_batch_1", "test_batch"):
        (folder / name).write_bytes(pickle.dumps(batch, 4))
    yield Seed("pickle:cifar", "data_batch_1", read_cifar10)


def _images(root: Path) -> Iterator[Seed]:
    pixels = np.arange(2 * 5 * 5, dtype=np.uint8).reshape(2, 5, 5)
    _file(root, "binary:idx", "a", idx(pixels))
    yield Seed("binary:idx", "a", lambda folder: read_idx(folder / "a"))
    _file(root, "gzip:idx", "a.gz", gzip.compress(idx(pixels)))
    yield Seed("gzip:idx", "a.gz", lambda folder: read_idx(folder / "a.gz"))
    for suffix in ("png", "gif"):
        Image.fromarray(pixels[0]).save(_folder(root, f"binary:{suffix}") / f"a.{suffix}")
        yield Seed(f"binary:{suffix}", f"a.{suffix}", _still(f"a.{suffix}"), 0.5)
    folder = _folder(root, "zip:images")
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for n in range(8):
            file = io.BytesIO()
            Image.fromarray(pixels[n % 2]).save(file, "png")
            archive.writestr(f"{'ab'[n % 2]}/{n}.png", file.getvalue())
    yield Seed("zip:images", "a.zip", lambda folder: load("images", root=folder / "a.zip"))
    Image.fromarray(np.stack([pixels[0]] * 3, -1)).save(
        _folder(root, "binary:jpg") / "a.jpg", quality=75
    )
    yield Seed("binary:jpg", "a.jpg", _still("a.jpg"), 0.5)


def _still(name: str) -> Callable[[Path], Any]:
    return lambda folder: read_still(folder / name)


def _sounds(root: Path) -> Iterator[Seed]:
    for kind, samples in (("integers", np.int16), ("floats", np.float32)):
        file = io.BytesIO()
        wavfile.write(file, 8000, (np.sin(np.arange(400)) * 99).astype(samples))
        _file(root, f"binary:wav-{kind}", "0_a_0.wav", file.getvalue())
        yield Seed(
            f"binary:wav-{kind}", "0_a_0.wav",
            lambda folder: load_file("fsdd", folder / "0_a_0.wav"), 0.5,
        )  # fmt: skip


def _indices(root: Path) -> Iterator[Seed]:
    entries = [
        {"file": f"{c}/{n}.bin", "label": c, "group": f"{c}{n}", "part": part}
        for c in "ab"
        for n, part in enumerate(("train", "train", "val", "test"))
    ]
    index = {"version": 1, "folder": "nowhere", "sensor": [2, 34, 34], "classes": ["a", "b"]}
    text = json.dumps({**index, "files": entries}, indent=1)
    _file(root, "json:index", "i.json", text.encode())
    yield Seed("json:index", "i.json", lambda folder: read_index(folder / "i.json"), 2)
    lines = io.StringIO()
    writer = csv.DictWriter(lines, ("file", "label", "group"), extrasaction="ignore")
    writer.writeheader()
    writer.writerows(entries)
    _file(root, "text:index", "t.csv", lines.getvalue().encode())
    yield Seed("text:index", "t.csv", lambda folder: read_table(folder / "t.csv", folder), 2)
    split = {"version": 1, "seed": 0, "test": ["a"], "train": ["b", "c"]}
    _file(root, "json:split", SPLIT, json.dumps(split).encode())
    yield Seed("json:split", SPLIT, lambda folder: tested(folder, list("abcd"), np.arange(4) % 2))


def _configs(root: Path) -> Iterator[Seed]:
    from lfp_snn.analysis.study.kinds import kinds

    paths = sorted((REPOSITORY / "configs").glob("*.yaml"))
    for path in paths:
        text = path.read_text()
        read: Any = next(
            (kind.load for name, kind in kinds().items() if f"\n{name}:" in text), load_config
        )
        _file(root, f"yaml:{path.stem}", "c.yaml", text.encode())
        yield Seed(f"yaml:{path.stem}", "c.yaml", _config(read), 6 / len(paths))


def _config(read: Callable[[Path, list[str]], Any]) -> Callable[[Path], Any]:
    return lambda folder: read(folder / "c.yaml", [])


def _weights(root: Path) -> Iterator[Seed]:
    options = MODELS["mlp"].model_validate({"name": "mlp", "hidden": [4]})
    net = options.build((6,), 2)
    folder = _folder(root, "safetensors:weights")
    (folder / "a.safetensors").write_bytes(weights_bytes(net, options, (6,), ["a", "b"]))
    yield Seed(
        "safetensors:weights", "a.safetensors",
        lambda folder: load_weights(folder / "a.safetensors"),
    )  # fmt: skip
    shutil.copytree(folder, root / "safetensors-transfer")
    yield Seed(
        "safetensors:transfer", "a.safetensors",
        lambda folder: load_into(
            options.build((6,), 2), Transfer(source=str(folder / "a.safetensors"))
        ),
    )  # fmt: skip
    save_checkpoint(_folder(root, "safetensors:checkpoint") / "a", {"a": torch.ones(3)}, {"b": [1]})
    yield Seed("safetensors:checkpoint", "a", lambda folder: load_checkpoint(folder / "a"))
    stage = {"op": "linear", "name": "a", "inputs": [-1]}
    arrays: dict[str, Any] = {"a.weight": np.ones((2, 3), np.int8), "a.bias": np.zeros(2, np.int32)}
    content = IntegerNetwork([stage], arrays, {"classes": ["a", "b"]}).to_bytes()
    _file(root, "zip:int8", "a.npz", content)
    yield Seed("zip:int8", "a.npz", lambda folder: IntegerNetwork.load(folder / "a.npz"))


#: What a run directory holds, by structure, and how often each is mutated: a report takes a second.
RUN_FILES = {
    "run.json": ("json", 1.0), "result.json": ("json", 0.15), "metrics.jsonl": ("json", 0.15),
    "sample.npz": ("zip", 0.15), "config.yaml": ("yaml", 0.6),
    "checkpoints/best.safetensors": ("safetensors", 1.0),
}  # fmt: skip


def _runs(root: Path) -> Iterator[Seed]:
    """A run directory, opened to be evaluated and reported."""
    run = _a_run(_folder(root, "run"))
    for name, (structure, weight) in RUN_FILES.items():
        kind = f"{structure}:run-{Path(name).stem}"
        shutil.copytree(run, root / kind.replace(":", "-"))
        read: Callable[[Path], Any] = TrainedRun.open
        if structure == "zip" or "metrics" in name or "result" in name:
            read = write_report
        yield Seed(kind, name, read, weight)


def _a_run(run: Path) -> Path:
    (run / "checkpoints").mkdir()
    config = load_config(REPOSITORY / "configs" / "digits.yaml", ["model.hidden=[4]", "device=cpu"])
    (run / "config.yaml").write_text(dump_config(config))
    data = {"feature_shape": [2, 6, 6], "classes": ["a", "b"], "source": "s", "sizes": {"test": 3}}
    info = {"from_config": True, "data": data, "seed": 0, "versions": {"torch": "2"}}
    (run / "run.json").write_text(json.dumps(info))
    epoch = {"epoch": 1, "step": 5, "lr": 0.1, "train_accuracy": 0.5, "val_accuracy": 0.4,
             "firing": {"1": 0.1, "3": 0.2}, "feedback_norm": 1.0, "wall_s": 1.0}  # fmt: skip
    lines = [json.dumps({**epoch, "epoch": n, "step": 5 * n}) for n in (1, 2)]
    (run / "metrics.jsonl").write_text("\n".join(lines) + "\n")
    result = {"test_accuracy": 0.5, "val_accuracy": 0.4, "best_epoch": 2, "seed": 0, "wall_s": 2.0,
              "train_s": 1.0, "test_ties": 0.1, "samples": {"train": 4, "val": 2, "test": 3},
              "firing": {"1": 0.1}, "confusion": [[2, 0], [1, 0]], "classes": ["a", "b"],
              "warnings": ["w"], "baseline": {"name": "b", "test_accuracy": 0.3}}  # fmt: skip
    (run / "result.json").write_text(json.dumps(result))
    spikes: dict[str, Any] = {f"spikes/{name}": np.eye(4, dtype=bool) for name in ("input", "1")}
    np.savez_compressed(run / "sample.npz", layers=["input", "1"], label=0, prediction=1, **spikes)
    net = config.model.build((2, 6, 6), 2)
    save_checkpoint(run / "checkpoints" / "best.safetensors", net.state_dict(), {})
    return run


_MAKERS: tuple[Callable[[Path], Iterator[Seed]], ...] = (
    _formats, _arrays, _texts, _matlab, _aedat4, _hdf5, _nir, _pickles, _images, _sounds, _indices,
    _configs, _weights, _runs,
)  # fmt: skip
