"""The engine against vectors that the published code computed (tests/golden/README.md)."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import snntorch as snn
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lfp_snn import published
from lfp_snn.rewards import RateCoded

GOLDEN = Path(__file__).parent.parent / "golden"


def leaky(beta: float, threshold: float = 1.0) -> snn.Leaky:
    return snn.Leaky(beta=beta, threshold=threshold, init_hidden=True)


def mlp() -> nn.Module:
    return nn.Sequential(nn.Linear(20, 16), leaky(0.9), nn.Linear(16, 5), leaky(0.9))


def mlp_deep() -> nn.Module:
    sizes = [20, 16, 12, 5]
    return nn.Sequential(
        *(m for a, b in pairwise(sizes) for m in (nn.Linear(a, b), leaky(0.8, 0.7)))
    )


def cnn() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 4, 3),
        leaky(0.9),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 6, 3),
        leaky(0.9),
        nn.Flatten(),
        nn.Linear(54, 5),
        leaky(0.9),
    )


#: From the number of a layer in the file to the number of its synapse in the network.
NETWORKS = {
    "mlp": (mlp, {0: 0, 1: 2}),
    "mlp_deep": (mlp_deep, {0: 0, 1: 2, 2: 4}),
    "cnn": (cnn, {0: 0, 2: 3, 4: 6}),
}


def close(ours: Tensor, published: NDArray[np.float32]) -> bool:
    """``||a - b|| <= 1e-5 ||b|| + 1e-7``."""
    theirs = torch.from_numpy(published).double()
    return float((ours.double() - theirs).norm()) <= 1e-5 * float(theirs.norm()) + 1e-7


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("name", NETWORKS)
def test_equal_to_the_published_code(name: str, dtype: torch.dtype) -> None:
    build, numbers = NETWORKS[name]
    golden = np.load(GOLDEN / f"{name}.npz")
    net = build()
    for theirs, ours in numbers.items():
        synapse = net.get_submodule(str(ours))
        synapse.weight.data = torch.from_numpy(golden[f"param/{theirs}.weight"])
        synapse.bias.data = torch.from_numpy(golden[f"param/{theirs}.bias"])
    lfp = published(net.to(dtype))

    spikes = lfp.forward(torch.from_numpy(golden["input"]).to(dtype))
    assert np.array_equal(spikes.float().numpy(), golden["spikes"])
    reward = RateCoded()(spikes, torch.from_numpy(golden["labels"]))
    assert close(reward, golden["reward"])
    relevance = lfp.backward(reward, input_relevance=True)

    assert relevance is not None and close(relevance, golden["input_relevance"])
    for theirs, ours in numbers.items():
        synapse = net.get_submodule(str(ours))
        for parameter in ("weight", "bias"):
            feedback: Any = getattr(synapse, parameter).feedback
            assert close(feedback, golden[f"feedback/{theirs}.{parameter}"]), (theirs, parameter)
