from __future__ import annotations

from pathlib import Path

import pytest
import torch

from lfp_snn.analysis.exchange.weights import load_weights, weights_bytes
from lfp_snn.errors import DataError
from lfp_snn.models import MLP


def test_a_network_comes_back_with_its_weights(tmp_path: Path) -> None:
    options = MLP(hidden=[7], beta=0.8, reset="zero")
    net = options.build((2, 3, 3), 4)
    path = tmp_path / "net.safetensors"
    path.write_bytes(weights_bytes(net, options, (2, 3, 3), list("abcd")))
    again = load_weights(path)
    assert (again.input_shape, again.classes) == ((2, 3, 3), list("abcd"))
    assert str(again.net) == str(net) and not again.net.training
    for name, tensor in net.state_dict().items():
        assert torch.equal(again.net.state_dict()[name], tensor)


def test_files_that_are_no_network(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="There is no file"):
        load_weights(tmp_path / "absent")
    (tmp_path / "wrong").write_bytes(b"not safetensors")
    with pytest.raises(DataError, match="wrong is no network"):
        load_weights(tmp_path / "wrong")


@pytest.mark.parametrize("shape", [[0], [], [2, -3], [2, 3.0], [True], "234", {"2": 3}])
def test_shapes_that_no_input_has(tmp_path: Path, shape: object) -> None:
    options, path = MLP(hidden=[7]), tmp_path / "net.safetensors"
    content = weights_bytes(options.build((6,), 2), options, shape, list("ab"))  # type: ignore[arg-type]
    path.write_bytes(content)
    with pytest.raises(DataError, match="net.safetensors is no network"):
        load_weights(path)


def test_outputs_without_names(tmp_path: Path) -> None:
    options, path = MLP(hidden=[7]), tmp_path / "net.safetensors"
    path.write_bytes(weights_bytes(options.build((6,), 2), options, (6,), []))
    with pytest.raises(DataError, match="its outputs have no names"):
        load_weights(path)
