"""The fused scans against the reference, on shapes that are multiples of nothing; bytes moved."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from typing import Any, Literal

import pytest
import torch
from torch import Tensor

from lfp_snn import lif
from lfp_snn.rules import Epsilon, Rescale
from lfp_snn.rules.rescale import Carry, Gate

pytest.importorskip("triton", reason="Triton is not installed")

from lfp_snn.backends.support import interpreted
from lfp_snn.backends.triton import scan

INTERPRETED = interpreted()
DEVICE = "cpu" if INTERPRETED else "cuda"
VARIANTS = [(reset, delay) for reset in ("subtract", "zero", "none") for delay in (True, False)]
FRAMES = [(1,), (7,), (129,), (3, 5, 7)]


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(DEVICE, dtype)


def population(
    reset: Any, delay: bool, *shape: int, dtype: torch.dtype = torch.float64
) -> lif.Dynamics:
    """Constants of that shape each, the threshold of zero among them."""
    threshold = draw(*shape, seed=8, dtype=dtype).abs() / 2
    threshold.view(-1)[1:2] = 0
    return lif.Dynamics(
        draw(*shape, seed=9, dtype=dtype).abs().clamp(0, 1), threshold, reset, delay
    )


def assert_scans_equal(
    currents: Tensor,
    dynamics: lif.Dynamics,
    *,
    steps: int | None = None,
    lengths: Tensor | None = None,
    state: Tensor | None = None,
    carried: Tensor | None = None,
    eps: float = 1e-6,
) -> None:
    """Both passes, from credit as between layers and from relevance as at the output."""
    options: dict[str, Any] = {"steps": steps, "lengths": lengths}
    spikes, membranes, final = scan.forward(currents, dynamics, state, **options)
    expected = lif.forward(currents, dynamics, state, **options)
    assert spikes.dtype == torch.bool
    assert spikes.any()
    assert torch.equal(spikes.to(currents.dtype), expected[0])
    close: dict[str, Any] = {"rtol": 1e-12, "atol": 1e-12}
    torch.testing.assert_close(membranes, expected[1], **close)
    torch.testing.assert_close(final, expected[2], **close)
    credit = draw(*membranes.shape, seed=3)
    relevance = expected[0] * credit
    theirs = lif.credit(relevance, membranes, currents, dynamics, Epsilon(eps=eps), state, carried)
    for arrived, where in ((credit, spikes), (relevance, None)):
        ours = scan.credit(arrived, where, membranes, currents, dynamics, eps, state, carried)
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, **close)


@pytest.mark.parametrize("frame", FRAMES)
@pytest.mark.parametrize(("reset", "delay"), VARIANTS)
def test_scans_equal_the_reference(reset: str, delay: bool, frame: tuple[int, ...]) -> None:
    currents = draw(6, 3, *frame)
    assert_scans_equal(currents, population(reset, delay))
    assert_scans_equal(
        currents,
        population(reset, delay, *frame),
        lengths=torch.tensor([6, 1, 4], device=DEVICE),
        state=draw(3, *frame, seed=1),
        carried=draw(3, *frame, seed=2),
        eps=0.1,
    )


@pytest.mark.parametrize("gate", ["positive", "window"])
@pytest.mark.parametrize("carry", ["reference", "decay"])
@pytest.mark.parametrize(("reset", "delay"), VARIANTS)
def test_rescaled_scans_equal_the_reference(
    reset: str, delay: bool, carry: Carry, gate: Gate
) -> None:
    """Credit at a gate, at the output and at the membrane; one neuron may never spike."""
    frame = (129,)
    rule, currents = Rescale(gate, carry), draw(6, 3, *frame)
    dynamics = population(reset, delay, *frame)
    if reset == "none":
        dynamics.threshold.view(-1)[:1] = float("inf")
    state, carried = draw(3, *frame, seed=1), draw(3, *frame, seed=2)
    for before, following in ((None, None), (state, carried)):
        _, membranes, _ = lif.forward(currents, dynamics, before)
        credit = draw(*membranes.shape, seed=3)
        known = (membranes, currents, dynamics)
        for gated in (True, False):
            direct, _ = lif.at_membrane(credit, None, *known, rule, before, gated=gated)
            theirs = lif.rescale(direct, *known, rule, before, following)
            at: Literal["gate", "output"] = "gate" if gated else "output"
            ways = [scan.rescale(credit, *known, rule.at_neuron, before, following, at=at)]
            ways.append(
                scan.rescale(direct, *known, rule.at_neuron, before, following, at="membrane")
            )
            for ours in ways:
                for a, b in zip(ours, theirs, strict=True):
                    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("shape", [(3, 1, 1), (1,), (7,), (1, 3, 5, 7), (5, 1)])
def test_constants_broadcast_from_the_right(shape: tuple[int, ...]) -> None:
    assert_scans_equal(draw(4, 2, 3, 5, 7), population("subtract", True, *shape))
    mixed = replace(population("zero", True, *shape), threshold=torch.tensor(0.3, device=DEVICE))
    assert_scans_equal(draw(4, 2, 3, 5, 7), mixed)


@pytest.mark.parametrize("steps", [1, 5])
def test_constant_currents_and_single_steps(steps: int) -> None:
    currents = draw(1, 3, 7).abs()
    assert_scans_equal(currents, population("subtract", True), steps=steps)
    assert_scans_equal(currents, population("zero", False), steps=steps, state=draw(3, 7, seed=1))


def test_currents_that_are_not_contiguous() -> None:
    assert_scans_equal(draw(7, 3, 6).transpose(0, 2), population("subtract", True))


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_half_currents_are_summed_in_float32(half: torch.dtype) -> None:
    currents = draw(40, 2, 9).to(half)
    dynamics = population("subtract", True, dtype=torch.float32)
    spikes, membranes, _ = scan.forward(currents, dynamics)
    expected = lif.forward(currents.float(), dynamics)
    assert membranes.dtype == torch.float32
    assert torch.equal(spikes.float(), expected[0])
    torch.testing.assert_close(membranes, expected[1], rtol=1e-6, atol=1e-6)
    credit = draw(40, 2, 9, seed=3, dtype=torch.float32)
    n, _ = scan.credit(credit, spikes, membranes, currents, dynamics, 0.1)
    theirs, _ = lif.credit(
        expected[0] * credit, expected[1], currents.float(), dynamics, Epsilon(eps=0.1)
    )
    assert n.dtype == torch.float32
    torch.testing.assert_close(n, theirs, rtol=1e-5, atol=1e-6)


# ------------------------------------------------------------------------------ bytes


class Traffic:
    """Bytes that a kernel loads and stores, lanes that are masked out left out."""

    def __init__(self) -> None:
        self.bytes = 0

    def count(self, pointers: Any, mask: Any) -> None:
        width = pointers.get_element_ty().primitive_bitwidth
        self.bytes += int(mask.data.sum()) * max(1, width // 8)


@pytest.fixture
def traffic(monkeypatch: pytest.MonkeyPatch) -> Traffic:
    if not INTERPRETED:
        pytest.skip("bytes are counted by the interpreter, and a device is used")
    from triton.runtime.interpreter import InterpreterBuilder

    seen = Traffic()
    load, store = InterpreterBuilder.create_masked_load, InterpreterBuilder.create_masked_store

    def loading(self: Any, pointers: Any, mask: Any, *rest: Any) -> Any:
        seen.count(pointers, mask)
        return load(self, pointers, mask, *rest)

    def storing(self: Any, pointers: Any, value: Any, mask: Any, *rest: Any) -> Any:
        seen.count(pointers, mask)
        return store(self, pointers, value, mask, *rest)

    # Unmasked ones come through these as well.
    monkeypatch.setattr(InterpreterBuilder, "create_masked_load", loading)
    monkeypatch.setattr(InterpreterBuilder, "create_masked_store", storing)
    return seen


def size(*tensors: Tensor | None) -> int:
    return sum(each.nbytes for each in tensors if each is not None)


@pytest.mark.parametrize("per_neuron", [False, True])
@pytest.mark.parametrize("full", [False, True])
def test_bytes_moved_are_those_of_each_input_and_output_once(
    traffic: Traffic, full: bool, per_neuron: bool
) -> None:
    steps, batch, units, dtype = 25, 4, 333, torch.float32
    currents = draw(steps, batch, units, dtype=dtype)
    dynamics = population("subtract", True, *((units,) if per_neuron else ()), dtype=dtype)
    constants = dynamics.beta, dynamics.threshold
    state = draw(batch, units, seed=1, dtype=dtype) if full else None
    carried = draw(batch, units, seed=2, dtype=dtype) if full else None
    lengths = torch.tensor([25, 3, 9, 20]) if full else None
    spikes, membranes, final = scan.forward(currents, dynamics, state, lengths=lengths)
    least = size(currents, *constants, state, lengths, spikes, membranes, final)
    assert 0.9 * least <= traffic.bytes <= 1.2 * least
    for arrived, where in ((spikes * currents, None), (currents, spikes)):
        traffic.bytes = 0
        n, handed = scan.credit(arrived, where, membranes, currents, dynamics, 0.1, state, carried)
        least = size(arrived, where, membranes, currents, *constants, state, carried, n, handed)
        # Credit is read at spikes alone, and the last membrane is not needed: it may be less.
        assert 0.5 * least <= traffic.bytes <= 1.2 * least


# ------------------------------------------------------------------------------ for devices

COMPILE = """
import itertools, triton, triton.language as tl
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from lfp_snn.backends.triton.launch import BLOCK
from lfp_snn.backends.triton.population_kernels import (
    backward_kernel, forward_kernel as population_kernel, unpack_kernel)
from lfp_snn.backends.triton.scan_kernels import credit_kernel, forward_kernel

def build(kernel, pointers, numbers, **constants):
    signature = pointers | dict.fromkeys(numbers, "i32") | dict.fromkeys(constants, "constexpr")
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants)
    options = {"num_warps": 1, "enable_fp_fusion": False}
    built = triton.compile(source, target=GPUTarget("cuda", 80, 32), options=options)
    assert "fma" not in built.asm["ptx"]
    assert ".local" not in built.asm["ptx"]  # all membranes of a chunk are in registers

def typed(names, kind):
    return dict.fromkeys(names.split(), "*" + kind)

WINDOWS = ("steps columns windows pooled units space height width down along high wide").split()
rules = itertools.cycle([("spikes", "reference"), ("positive", "decay"), ("window", "reference")])
for name, flag in itertools.product(("fp32", "bf16", "fp64"), (True, False)):
    wide = "fp64" if name == "fp64" else "fp32"
    kind = tl.float64 if name == "fp64" else tl.float32
    for reset, delay in itertools.product(("subtract", "zero", "none"), (True, False)):
        form, carry = next(rules)
        same = dict(RESET=reset, DELAY=delay, CONSTANT=not flag, BETAS=flag, THETAS=flag,
                    HAS_STATE=flag, FLOAT=kind)
        sizes = ("steps", "columns", "units")
        pointers = typed("currents", name) | typed("lengths", "i32") | typed("spikes", "i1")
        pointers |= typed("beta theta state membranes final", wide)
        build(forward_kernel, pointers, sizes, HAS_LENGTHS=flag, BLOCK=BLOCK, **same)
        pointers = typed("currents", name) | typed("spikes", "i1")
        pointers |= typed("arrived membranes beta theta state carried n handed", wide)
        back = dict(FORM=form, CARRY=carry, EPS=0.1, HAS_CARRIED=flag)
        build(credit_kernel, pointers, (*sizes, "last"), BLOCK=BLOCK, **back, **same)
        side = 2 if flag else 1
        same |= dict(NORMED=flag, HAS_LENGTHS=flag, HIGH=side, WIDE=side, MEMBERS=side * side,
                     BLOCK=BLOCK // (side * side))
        pointers = typed("currents", name) | typed("lengths counts", "i32") | typed("spikes", "u8")
        pointers |= typed("mean scale shift beta theta state borders final", wide)
        build(population_kernel, pointers, WINDOWS, **same)
        pointers = typed("arrived currents n", name) | typed("lengths", "i32")
        pointers |= typed("mean inverse gamma shift common slope beta theta state borders", wide)
        pointers |= typed("carried handed sums", wide)
        build(backward_kernel, pointers, WINDOWS, WRITES=True, SUMS=not flag, THROUGH=flag,
              **back, **same)
    pointers = typed("packed", "u8") | typed("spikes", name)
    build(unpack_kernel, pointers, ("steps", "columns"), BLOCK=BLOCK)
"""


@pytest.mark.slow
def test_every_variant_compiles_for_a_device_and_without_fused_multiply_adds() -> None:
    # Triton brings its own assembler: this needs no device, but a process that does not interpret.
    environment = {**os.environ, "TRITON_INTERPRET": "0"}
    # Triton reads the source of a kernel from its file; this script holds none.
    done = subprocess.run(
        [sys.executable, "-c", COMPILE],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
