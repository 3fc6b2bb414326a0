"""The shipped configurations of still images train, on small files in the official layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Cli
from tests.data.helpers import write_mnist
from tests.data.test_cifar10 import write_pickles
from tests.data.test_pictures import write_classes

SHORT = ("epochs=1", "data.validation=0.2", "data.steps=4", "batch_size=10", "device=cpu")


def write(root: Path, name: str) -> None:
    if name == "cifar10":
        write_pickles(root)
    else:
        images = np.random.default_rng(0).integers(0, 256, (40, 28, 28), dtype=np.uint8)
        write_mnist(root, images, np.arange(40, dtype=np.uint8) % 10)


@pytest.mark.parametrize(
    ("name", "encoding"),
    [
        ("fashion_mnist", ()),
        ("fashion_mnist", ("data.encoding={name: latency, tau: 0.2, clip: true}",)),
        ("fashion_mnist", ("data.encoding={name: delta, off_spike: true}",)),
        ("cifar10", ()),
        ("cifar10", ("data.encoding=rate",)),
    ],
)
def test_one_epoch(cli: Cli, tmp_path: Path, name: str, encoding: tuple[str, ...]) -> None:
    write(tmp_path, name)
    small = ("model.hidden=[8]",) if name == "fashion_mnist" else ()
    done = cli("train", name, f"data.root={tmp_path}", *SHORT, *small, *encoding, "--out", "run")
    assert done.exit_code == 0, done.output
    assert "epoch 1/1" in done.stdout and "test accuracy" in done.stdout
    assert (tmp_path / "run" / "report.html").is_file()


def test_a_folder_of_images_before_the_camera(cli: Cli, tmp_path: Path) -> None:
    write_classes(tmp_path / "mine")
    done = cli("cp", "mnist_camera", "mine.yaml")
    assert done.exit_code == 0, done.output
    text = (tmp_path / "mine.yaml").read_text()
    head, rest = text.split("data:\n")
    _, tail = rest.split("model:\n")
    data = "data:\n  name: image_camera\n  root: mine\n  side: 16\n  validation: 0.25\n\nmodel:\n"
    (tmp_path / "mine.yaml").write_text(head + data + tail)
    small = ("epochs=1", "model.hidden=[8]", "device=cpu", "--out", "run")
    done = cli("train", "mine.yaml", *small)
    assert done.exit_code == 0, done.output
    assert "simulated" in done.stdout and "test accuracy" in done.stdout


def test_a_wrong_code_is_told(cli: Cli, tmp_path: Path) -> None:
    write(tmp_path, "fashion_mnist")
    for encoding, message in (
        ("data.encoding=morse", "constant"),
        ("data.encoding={name: rate, gian: 2}", "gain"),
        ("data.encoding={name: latency, tau: -1}", "tau is -1"),
        ("data.encoding=latency", "black pixel would spike at step 12"),
    ):
        done = cli("train", "fashion_mnist", f"data.root={tmp_path}", *SHORT, encoding)
        assert done.exit_code == 2 and message in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
