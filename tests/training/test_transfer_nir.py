from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from torch import nn

from lfp_snn.analysis.exchange.nir_export import nir_bytes, to_nir
from lfp_snn.errors import DataError, RunError
from lfp_snn.training.transfer import Transfer, load_into

nir = pytest.importorskip("nir", reason="the extra exchange is not installed")

HIDDEN = {"init_hidden": True}


class Two(nn.Module):
    """Layers of the same shape, defined in another order than that in which they run."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.later = nn.Linear(4, 4)
        self.body = nn.Sequential(nn.Linear(4, 4), snn.RLeaky(0.5, linear_features=4, **HIDDEN))
        self.out = snn.Leaky(0.5, output=True, **HIDDEN)

    def forward(self, x: torch.Tensor) -> Any:
        return self.out(self.later(self.body(x)))


def _write(net: nn.Module, path: Path) -> Transfer:
    path.write_bytes(nir_bytes(to_nir(net, (4,))))
    return Transfer(source=str(path))


def test_weights_of_a_nir_file_are_found_by_the_names_they_had(tmp_path: Path) -> None:
    source, net = Two(0), Two(1)
    modules = load_into(net, _write(source, tmp_path / "net.nir"))
    for name, tensor in source.state_dict().items():
        assert torch.equal(net.state_dict()[name], tensor), name
    assert net.body[1].recurrent in modules


def test_weights_of_another_program_are_taken_in_the_order_of_its_graph(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    first, last = (nir.Affine(rng.random((4, 4)), rng.random(4)) for _ in range(2))
    ones = np.ones(4)
    lif = {"tau": ones, "r": ones, "v_leak": 0 * ones, "v_threshold": ones}
    nodes = {"b": first, "n": nir.LIF(**lif), "a": last, "m": nir.LIF(**lif)}
    nodes |= {"input": nir.Input(np.array([4])), "output": nir.Output(np.array([4]))}
    edges = [("input", "b"), ("b", "n"), ("n", "a"), ("a", "m"), ("m", "output")]
    nir.write(tmp_path / "other.nir", nir.NIRGraph(nodes, edges))
    hidden = snn.Leaky(0.5, **HIDDEN)
    net = nn.Sequential(nn.Linear(4, 4), hidden, nn.Linear(4, 4), snn.Leaky(0.5, **HIDDEN))
    load_into(net, Transfer(source=str(tmp_path / "other.nir")))
    taken = net.state_dict()
    for name, node in (("0", first), ("2", last)):
        assert np.allclose(taken[f"{name}.weight"], node.weight)
        assert np.allclose(taken[f"{name}.bias"], node.bias)
    assert float(hidden.beta) == 0.5


def test_nir_files_that_cannot_be_taken(tmp_path: Path) -> None:
    with pytest.raises(RunError, match="there is no such run or file"):
        load_into(Two(0), Transfer(source=str(tmp_path / "absent.nir")))
    (tmp_path / "wrong.nir").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"wrong\.nir is damaged"):
        load_into(Two(0), Transfer(source=str(tmp_path / "wrong.nir")))
    feed_forward = nn.Sequential(nn.Linear(4, 4), snn.Leaky(0.5, output=True, **HIDDEN))
    options = _write(feed_forward, tmp_path / "small.nir")
    with pytest.raises(RunError, match="has no 'later.weight'"):
        load_into(Two(0), options)
