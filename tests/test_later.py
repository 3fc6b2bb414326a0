from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest
import torch

from lfp_snn import later


def test_a_stand_in_has_what_the_module_has() -> None:
    assert later.torch.Tensor is torch.Tensor
    assert later.nn.Linear is torch.nn.Linear
    assert isinstance(torch.zeros(1), later.torch.Tensor)
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        later.later("torch").nothing_of_the_kind  # noqa: B018


def test_what_there_is_is_listed_as_completion_wants_it() -> None:
    assert dir(later.nn) == dir(torch.nn)
    for package in ("lfp_snn.data", "lfp_snn.training"):
        module = import_module(package)
        assert {*module.__all__, "__name__"} <= {*dir(module)}


def test_modules_are_attributes_of_their_package_as_ever() -> None:
    code = (
        "import lfp_snn.data, lfp_snn.training, lfp_snn.engine\n"
        "assert lfp_snn.data.sets.SpikeSet is lfp_snn.data.SpikeSet\n"
        "lfp_snn.training.callbacks.Observer, lfp_snn.engine.network, lfp_snn.data.formats.detect\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_module_is_imported_when_something_of_it_is_used() -> None:
    code = (
        "import sys\n"
        "from lfp_snn.later import later, torch\n"
        "colours = later('colorsys')\n"
        "assert not {'colorsys', 'torch'} & set(sys.modules)\n"
        "assert colours.rgb_to_hls(0, 0, 0) == (0, 0, 0)\n"
        "assert 'colorsys' in sys.modules and 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    "package", ["lfp_snn", "lfp_snn.data", "lfp_snn.data.formats", "lfp_snn.engine"]
)
def test_a_package_gives_every_public_name(package: str) -> None:
    module = import_module(package)
    assert all(getattr(module, name) is not None for name in module.__all__)
    with pytest.raises(AttributeError, match=f"{package}' has no attribute 'nothing'"):
        module.nothing  # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'nothing'"):
        exec(f"from {package} import nothing")


#: What describes settings, a module or package each: options, rules, layers that are not built yet.
DESCRIBING = (
    "lfp_snn.analysis.study.kinds",
    "lfp_snn.data.registry",
    "lfp_snn.engine.options",
    "lfp_snn.learners",
    "lfp_snn.lif",
    "lfp_snn.makers",
    "lfp_snn.models",
    "lfp_snn.rewards",
    "lfp_snn.rules",
    "lfp_snn.spikes",
    "lfp_snn.training.config",
    "lfp_snn.training.configfile",
    "lfp_snn.training.optim",
)


@pytest.mark.parametrize("module", DESCRIBING)
def test_what_describes_is_imported_without_torch(module: str) -> None:
    code = (
        f"import sys, {module}\n"
        "found = [name for name in ('torch', 'snntorch', 'numba') if name in sys.modules]\n"
        "assert not found, found\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
