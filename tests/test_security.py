"""Files from strangers: nothing in them is run, fills the memory, or leads elsewhere.

Every entrance of the command line is tried with files made to harm. What is refused is told in one
line with exit code 2, and the bait, a file that only running something would make, is not there.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import shutil
import struct
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from lfp_snn.analysis.exchange.integer import IntegerNetwork
from lfp_snn.analysis.exchange.weights import load_weights
from lfp_snn.analysis.report import write_report
from lfp_snn.cli import app
from lfp_snn.data import cache
from lfp_snn.data.formats import read_recording
from lfp_snn.data.index import read_index
from lfp_snn.data.mnist import read_idx
from lfp_snn.data.pickles import read_pickle
from lfp_snn.errors import ConfigError, DataError, RunError
from lfp_snn.training.checkpoint import load_checkpoint
from lfp_snn.training.configfile import parse_yaml
from tests.cli.conftest import SMALL

h5py = pytest.importorskip("h5py")

Cli = Callable[..., Result]


class Bomb:
    """A pickle of it makes a file when it is loaded."""

    def __init__(self, bait: Path) -> None:
        self.bait = bait

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.bait),)


@pytest.fixture
def bait(tmp_path: Path) -> Iterator[Path]:
    """A path that exists afterwards only if something was run."""
    path = tmp_path / "bait"
    yield path
    assert not path.exists(), "something in a file was run"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    out = tmp_path_factory.mktemp("runs") / "run"
    result = CliRunner().invoke(app, ["train", "digits", *SMALL, "epochs=1", "--out", str(out)])
    assert result.exit_code == 0, result.output
    return out


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to do harm to."""
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture
def cli(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """The command line in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: object) -> Result:
        return CliRunner().invoke(app, [str(argument) for argument in arguments])

    return call


def refused(result: Result, *words: str) -> None:
    """One line, exit code 2, and what it is about."""
    assert result.exit_code == 2, (result.output, result.exception)
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    for word in words:
        assert word in result.stderr


# ------------------------------------------------------------------------- pickles


@pytest.mark.parametrize("kind", ["pickle", "torch", "torch-old"])
def test_a_pickle_in_the_place_of_a_checkpoint(cli: Cli, run: Path, bait: Path, kind: str) -> None:
    content = io.BytesIO()
    if kind == "pickle":
        pickle.dump(Bomb(bait), content)
    else:
        torch.save(Bomb(bait), content, _use_new_zipfile_serialization=kind == "torch")
    (run / "checkpoints/best.safetensors").write_bytes(content.getvalue())
    for each in (run / "checkpoints").glob("[ls]*.safetensors"):
        each.write_bytes(content.getvalue())
    result = cli("evaluate", run)
    refused(result, "best.safetensors is damaged")
    refused(cli("predict", run, run / "config.yaml"), "best.safetensors is damaged")
    (run / "result.json").unlink()
    result = cli("train", run / "config.yaml", "--out", run, "--resume")
    refused(result, "last.safetensors is damaged")
    for source in (run, run / "checkpoints/best.safetensors"):
        changes = [*SMALL, f"transfer={{source: {source}}}"]
        refused(cli("train", "digits", *changes, "--out", "new"), "best.safetensors")
    refused(cli("import", run / "checkpoints/best.safetensors"), "best.safetensors")
    with pytest.raises(DataError):
        load_weights(run / "checkpoints/best.safetensors")


@pytest.mark.parametrize("packed", [True, False])
def test_a_pickle_in_the_place_of_a_dataset(
    cli: Cli, tmp_path: Path, bait: Path, packed: bool
) -> None:
    content = pickle.dumps([{"taxel_data": Bomb(bait), "letter": "A", "repetition": 0}])
    file = tmp_path / "tutorial5_braille_spiking_data.pkl.gz"
    file.write_bytes(gzip.compress(content) if packed else content)
    refused(cli("train", "braille", f"data.root={tmp_path}"), "posix.mkdir", "no data needs")
    file.rename(tmp_path / "data_batch_1")
    with pytest.raises(DataError, match=r"posix\.mkdir"):
        read_pickle(tmp_path / "data_batch_1", text="bytes")


@pytest.mark.parametrize(
    "content",
    [
        b"cos\nsystem\n(S'touch bait'\ntR.",
        b"cnumpy\nload\n(S'x'\ntR.",
        b"cnumpy.core.multiarray\nfromfile\n(S'x'\ntR.",
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"(S'touch bait'\nios\nsystem\n.",
        b"\x80\x02K\x01r\xff\xff\xff\x7f",  # 2^31 places for what it remembers, in eight bytes
        b"\x80\x02\x82\x01.",
        b"\x80\x04\x96\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"(" * 10_000,
    ],
)
def test_pickles_that_do_something_else_than_hold_data(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "p").write_bytes(content)
    with pytest.raises(DataError, match="is no pickle of plain data"):
        read_pickle(tmp_path / "p")


def test_arrays_of_objects(cli: Cli, run: Path, tmp_path: Path, bait: Path) -> None:
    objects = np.array([Bomb(bait)], object)
    np.save(tmp_path / "a.npy", objects, allow_pickle=True)
    np.savez(tmp_path / "a.npz", events=objects)
    for name in ("a.npy", "a.npz"):
        refused(cli("predict", run, tmp_path / name), name)
        refused(cli("data", "info", tmp_path / name), "Python objects")
    with pytest.raises(DataError, match="Python objects"):
        IntegerNetwork.load(tmp_path / "a.npz")
    np.savez(run / "sample.npz", label=0, prediction=0, layers=objects)
    with pytest.raises(RunError, match="Python objects"):
        write_report(run)


# ------------------------------------------------------------------------- bombs


def zip_bomb(path: Path) -> None:
    """128 megabytes of zeros in a few kilobytes."""
    header = io.BytesIO()
    zeros: Any = {"descr": "<i8", "fortran_order": False, "shape": (1 << 22, 4)}
    np.lib.format.write_array_header_1_0(header, zeros)
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("events.npy", "w", force_zip64=True) as file,
    ):
        file.write(header.getvalue())
        for _ in range(1 << 3):
            file.write(bytes(1 << 24))


def test_zip_bombs(cli: Cli, run: Path, tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.npz"
    zip_bomb(bomb)
    refused(cli("data", "info", bomb), "would unpack to 128 MiB")
    with pytest.raises(DataError, match="would unpack to 128 MiB"):
        IntegerNetwork.load(bomb)
    shutil.copy(bomb, run / "sample.npz")
    with pytest.raises(RunError, match="would unpack to 128 MiB"):
        write_report(run)


@pytest.mark.parametrize("shape", [(1 << 40,), (-1,), (1 << 62, 4)])
def test_arrays_that_tell_of_more_than_there_is(tmp_path: Path, shape: tuple[int, ...]) -> None:
    header = io.BytesIO()
    told: Any = {"descr": "<i8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(header, told)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("description.npy", header.getvalue())
    for read in (IntegerNetwork.load, read_recording):
        with pytest.raises(DataError, match=r"truncated|damaged"):
            read(tmp_path / "a.npz")


def test_gzip_bombs(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "train-images-idx3-ubyte.gz", "wb") as file:
        file.write(struct.pack(">BBBBIII", 0, 0, 8, 3, 5 << 24, 1, 1))
        for _ in range(5):
            file.write(bytes(1 << 24))
    with pytest.raises(DataError, match="would unpack to"):
        read_idx(tmp_path / "train-images-idx3-ubyte.gz")


LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join(9 * [f'*{a}'])}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: !!python/object/apply:os.mkdir [bait]", "could not determine a constructor"),
        ("a: !!python/name:os.system", "could not determine a constructor"),
        ("a: !!python/object/new:os.mkdir [bait]", "could not determine a constructor"),
        ("!!python/module:os", "could not determine a constructor"),
        (LAUGHS, "more than 10000 values"),
        (LAUGHS.replace("]\n", "]\n", 1) + "j: {<<: [{x: *i}, {x: *i}]}", "more than 10000"),
        ("&a [*a]", "holds itself"),
        ("[" * 1000, "recursion"),
        ("a: " + "9" * 5000, "no valid YAML"),
        ("a: 2001-99-99", "no valid YAML"),
        ("a: !!int ''", "'' is no int"),
        ("a: !!bool perhaps", "'perhaps' is no bool"),
        ("a: !!timestamp now", "'now' is no timestamp"),
        ("a: " + 190 * "10:" + "0.5", "is no float"),
        ("a: " + 900 * "10:" + "0", "a number of more than 1000 digits"),
        ("a: 0x" + "f" * 9000, "a number of more than 1000 digits"),
        ("a: " + 11_000 * "[] ,".replace(" ", "") + "b", "no valid YAML"),
        ("- a\n" * 11_000, "more than 10000 values"),
        ('a: "\\ud800"', "half a character"),
        ('a: "\\UFFFFFFFF"', "no valid YAML"),
        ("? [a]\n: 1", "no valid YAML"),
        ('a: "\\0"', "null character"),
        ("a: " + "x" * (1 << 20), "characters"),
    ],
)
def test_yaml_that_is_no_config(
    cli: Cli, run: Path, tmp_path: Path, bait: Path, text: str, problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        parse_yaml(text, "config")
    (tmp_path / "mine.yaml").write_text(text)
    refused(cli("validate", "mine.yaml"), "mine.yaml", problem)
    refused(cli("compare", "mine.yaml"), problem)
    (run / "config.yaml").write_text(text)
    refused(cli("evaluate", run), problem)
    with pytest.raises(RunError, match=problem):
        write_report(run)
    refused(cli("train", "digits", f"data={text}"), "override")


def test_a_number_too_long_to_be_written(cli: Cli) -> None:
    refused(cli("validate", "digits", f"seed=0x{'f' * 9000}"), "a number of more than 1000 digits")
    refused(cli("validate", "digits", f"name=[{'a,' * 900}a]"), "...")


@pytest.mark.parametrize("name", ["run.json", "result.json", "metrics.jsonl"])
@pytest.mark.parametrize("content", ["[" * 100_000, "[]", "{}", "9" * 9000, "\0", '{"data": 3}'])
def test_json_that_a_run_never_writes(cli: Cli, run: Path, name: str, content: str) -> None:
    (run / name).write_text(f"{content}\n")
    command = ["train", run / "config.yaml", "--out", run, "--resume"]
    if name == "run.json":
        command = ["evaluate", run]
    refused(cli(*command), name)


def test_json_of_a_gigabyte(cli: Cli, run: Path) -> None:
    with (run / "run.json").open("r+b") as file:
        file.truncate(1 << 30)  # a sparse file
    refused(cli("evaluate", run), "run.json has 1073741824 bytes")


# ------------------------------------------------------------------------- safetensors


def header(described: dict[str, Any], data: bytes = b"") -> bytes:
    text = json.dumps(described).encode()
    return struct.pack("<Q", len(text)) + text + data


HEADERS = {
    "longer": header({"a": {"dtype": "F32", "shape": [1 << 40], "data_offsets": [0, 1 << 42]}}),
    "shape": header({"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 4]}}, bytes(4)),
    "overlap": header(
        {
            "a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
            "b": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
        },
        bytes(4),
    ),
    "overflow": header({"a": {"dtype": "F32", "shape": [1 << 62, 8], "data_offsets": [0, 0]}}),
    "length": struct.pack("<Q", 1 << 62) + b"{}",
    "deep": header({"__metadata__": {"state": "[" * 100_000}}),
    "number": header({"__metadata__": {"state": "9" * 9000}}),
    "text": header({"__metadata__": {"state": 3}}),
    "type": header({"a": {"dtype": "PICKLE", "shape": [1], "data_offsets": [0, 4]}}, bytes(4)),
}


@pytest.mark.parametrize("lie", HEADERS)
def test_headers_that_lie(cli: Cli, run: Path, tmp_path: Path, lie: str) -> None:
    (tmp_path / "a.safetensors").write_bytes(HEADERS[lie])
    with pytest.raises(RunError):
        load_checkpoint(tmp_path / "a.safetensors")
    with pytest.raises(DataError):
        load_weights(tmp_path / "a.safetensors")
    refused(
        cli("train", "digits", *SMALL, "transfer={source: a.safetensors}", "--out", "new"),
        "a.safetensors",
    )
    shutil.copy(tmp_path / "a.safetensors", run / "checkpoints/best.safetensors")
    refused(cli("evaluate", run), "best.safetensors is damaged")


@pytest.mark.parametrize(
    "described",
    [
        {"model": {"name": "mlp"}, "input_shape": [1 << 40], "classes": ["a", "b"]},
        {"model": {"name": "mlp"}, "input_shape": ["x"], "classes": ["a", "b"]},
        {"model": {"name": "os.system"}, "input_shape": [2], "classes": ["a", "b"]},
        {"model": [], "input_shape": [2], "classes": 3},
        [],
    ],
)
def test_weights_that_describe_no_network(tmp_path: Path, described: Any) -> None:
    content = header({"__metadata__": {"lfp_snn": json.dumps(described)}})
    (tmp_path / "a.safetensors").write_bytes(content)
    with pytest.raises(DataError, match="a.safetensors"):
        load_weights(tmp_path / "a.safetensors")


# ------------------------------------------------------------------------- paths


def test_names_lead_nowhere(cli: Cli, tmp_path: Path) -> None:
    for name in ("../up", "/abs", "..", ".hidden", "a/b", "", "a\\nb"):
        refused(cli("validate", "digits", f"name={json.dumps(name)}"), "name is")
    text = "compare: {learners: {../../up: {learner: lfp}}}"
    (tmp_path / "c.yaml").write_text(
        f"{text}\nname: c\ndata: {{name: digits}}\nmodel: {{name: mlp}}"
    )
    refused(cli("validate", "c.yaml"), "'../../up'", "names that a folder can have")
    refused(cli("compare", "c.yaml"), "'../../up'")
    assert [path.name for path in tmp_path.iterdir()] == ["c.yaml"]


@pytest.mark.parametrize("name", ["metrics.jsonl", "checkpoints", "figures", "result.json"])
def test_links_that_lead_out_of_a_run(cli: Cli, run: Path, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    place = run / name
    if place.is_dir():
        shutil.move(place, outside)
    else:
        outside.write_text("precious\n")
        place.unlink(missing_ok=True)
    place.symlink_to(outside)
    before = sorted(path.name for path in outside.rglob("*"))
    for command in (
        ("train", run / "config.yaml", "--out", run, "--resume"),
        ("evaluate", run),
        ("explain", run),
    ):
        refused(cli(*command), name, "leads out of the run directory")
    with pytest.raises(RunError, match="leads out of the run directory"):
        write_report(run)
    assert sorted(path.name for path in outside.rglob("*")) == before
    if outside.is_file():
        assert outside.read_text() == "precious\n"


def test_a_link_within_a_run_and_a_run_that_is_a_link(cli: Cli, run: Path, tmp_path: Path) -> None:
    (run / "best").symlink_to("checkpoints/best.safetensors")
    (tmp_path / "alias").symlink_to(run)
    assert cli("evaluate", tmp_path / "alias").exit_code == 0


@pytest.mark.parametrize("file", ["../secret.bin", "/etc/passwd", "a/../../secret.bin"])
def test_an_index_stays_in_its_folder(tmp_path: Path, file: str) -> None:
    entry = {"file": file, "label": "a", "group": "g", "part": "train"}
    index = {"version": 1, "folder": str(tmp_path), "sensor": [2, 4, 4], "classes": ["a"]}
    (tmp_path / "i.json").write_text(json.dumps({**index, "files": [entry]}))
    with pytest.raises(DataError, match="outside of its folder"):
        read_index(tmp_path / "i.json")


def test_an_entry_of_the_cache_stays_in_its_folder(tmp_path: Path) -> None:
    (tmp_path / "entry").mkdir()
    np.arange(3).tofile(tmp_path / "indptr")
    meta = {"../indptr": {"length": 3, "checksum": 3}}
    (tmp_path / "entry/meta.json").write_text(json.dumps(meta))
    assert cache._read(tmp_path / "entry") is None


# ------------------------------------------------------------------------- HDF5 and NIR


def external(path: Path, other: Path) -> None:
    with h5py.File(path, "w") as file:
        file["spikes/units"] = [1, 2]
        file["spikes/times"] = h5py.ExternalLink(str(other), "secret")
        file["node"] = h5py.ExternalLink(str(other), "/")


def soft(path: Path, _other: Path) -> None:
    with h5py.File(path, "w") as file:
        file["node/type"] = h5py.SoftLink("/node")
        file["spikes/units"] = [1, 2]
        file["spikes/times"] = h5py.SoftLink("/spikes/units")


def circle(path: Path, _other: Path) -> None:
    with h5py.File(path, "w") as file:
        node = file.create_group("node")
        node.create_group("inner")["outer"] = node
        file["spikes/units"] = file["spikes/times"] = [1, 2]


def outside(path: Path, other: Path) -> None:
    where = [(str(other), 0, 16)]
    with h5py.File(path, "w") as file:
        for name in ("spikes/times", "spikes/units", "node/type"):
            file.create_dataset(name, (2,), "i8", external=where)


def virtual(path: Path, other: Path) -> None:
    layout = h5py.VirtualLayout((2,), "i8")
    layout[:] = h5py.VirtualSource(str(other), "secret", (2,))
    with h5py.File(path, "w") as file:
        for name in ("spikes/times", "spikes/units", "node/type"):
            file.create_virtual_dataset(name, layout)


def vast(path: Path, _other: Path) -> None:
    with h5py.File(path, "w") as file:
        for name in ("spikes/times", "spikes/units", "node/weight"):
            file.create_dataset(name, (1 << 20, 1 << 20), "f8", chunks=(1, 1024))


TRICKS = {each.__name__: each for each in (external, soft, circle, outside, virtual, vast)}


@pytest.mark.parametrize("trick", TRICKS)
def test_hdf5_that_leads_elsewhere(cli: Cli, tmp_path: Path, trick: str) -> None:
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["secret"] = [7, 7]
    TRICKS[trick](tmp_path / "a.h5", other)
    shutil.copy(tmp_path / "a.h5", tmp_path / "a.nir")
    refused(cli("data", "info", tmp_path / "a.h5"), "a.h5")
    pytest.importorskip("nir")
    refused(cli("import", tmp_path / "a.nir"), "a.nir")


@pytest.mark.parametrize(
    "change",
    [("groups", 1 << 40), ("groups", -1), ("stride", -1), ("weight", 3.0), ("type", b"os")],
)
def test_nir_of_what_cannot_be_built(cli: Cli, tmp_path: Path, change: tuple[str, Any]) -> None:
    nir = pytest.importorskip("nir")
    one = np.ones(1, np.float32)
    weight = np.ones((1, 1, 3, 3), np.float32)
    neuron = nir.LIF(tau=one, r=one, v_leak=0 * one, v_threshold=one, v_reset=0 * one)
    nodes = {
        "input": nir.Input({"input": np.array([1, 8, 8])}),
        "conv": nir.Conv2d((8, 8), weight, 1, 0, 1, 1, one),
        "lif": neuron,
        "output": nir.Output({"output": np.array([1, 6, 6])}),
    }
    edges = [("input", "conv"), ("conv", "lif"), ("lif", "output")]
    graph = nir.NIRGraph(nodes, edges, type_check=False)
    nir.write(tmp_path / "a.nir", graph)
    name, value = change
    with h5py.File(tmp_path / "a.nir", "r+") as file:
        node = file["node/nodes/conv"]
        del node[name]
        node[name] = value
    refused(cli("import", tmp_path / "a.nir"), "a.nir")
