"""Spike trains as lists."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from lfp_snn import Spikes
from lfp_snn.errors import ShapeError


def example() -> Spikes:
    """T=2, B=3, frames of 2 x 2; sample 1 is silent."""
    dense = torch.zeros(2, 3, 2, 2)
    dense[0, 0, 0, 1] = dense[0, 0, 1, 1] = dense[1, 0, 0, 0] = dense[1, 2, 1, 0] = 1
    return Spikes.from_dense(dense)


@st.composite
def tensors(draw: st.DrawFn, *, binary: bool = False) -> Tensor:
    shape = draw(
        st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 3), st.integers(1, 3))
    )
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**16)))
    active = torch.rand(shape, generator=generator) < draw(st.floats(0, 1))
    values = torch.ones(shape) if binary else torch.randn(shape, generator=generator)
    return active * values


@settings(max_examples=30, deadline=None)
@given(x=st.one_of(tensors(), tensors(binary=True)))
def test_from_dense_and_back(x: Tensor) -> None:
    spikes = Spikes.from_dense(x)
    spikes.validate()
    assert torch.equal(spikes.dense(), x)
    assert spikes.nnz == int(x.count_nonzero())
    assert spikes.density == pytest.approx(float(x.count_nonzero()) / x.numel())
    assert (spikes.values is None) == bool(((x == 0) | (x == 1)).all())
    assert spikes == Spikes.from_dense(spikes.dense())


@settings(max_examples=30, deadline=None)
@given(x=tensors(), seed=st.integers(0, 2**16))
def test_gather_takes_the_elements_at_the_entries(x: Tensor, seed: int) -> None:
    spikes = Spikes.from_dense(x)
    other = torch.rand(x.shape, generator=torch.Generator().manual_seed(seed))
    rebuilt = torch.zeros(x.shape)
    rebuilt.view(-1)[spikes.positions()] = spikes.gather(other)
    assert torch.equal(rebuilt, other * (x != 0))


@settings(max_examples=20, deadline=None)
@given(x=tensors(), data=st.data())
def test_slices_are_by_sample(x: Tensor, data: st.DataObject) -> None:
    spikes, batch = Spikes.from_dense(x), x.shape[1]
    some = data.draw(st.lists(st.integers(0, batch - 1), min_size=1, max_size=5))
    one = data.draw(st.integers(-batch, batch - 1))
    cut = data.draw(st.slices(batch))
    mask = torch.tensor(data.draw(st.lists(st.booleans(), min_size=batch, max_size=batch)))
    position = one % batch
    assert torch.equal(spikes[one].dense(), x[:, position : position + 1])
    assert torch.equal(spikes[some].dense(), x[:, some])
    assert torch.equal(spikes[torch.tensor(some)].dense(), x[:, some])
    assert torch.equal(spikes[mask].dense(), x[:, mask])
    samples = list(range(batch))[cut]
    if cut.step is None or cut.step > 0:
        assert torch.equal(spikes[cut].dense(), x[:, samples])
    spikes[some].validate()


def test_entries_lie_sample_by_sample() -> None:
    spikes = example()
    assert spikes.indptr.tolist() == [0, 2, 3, 3, 3, 3, 4]
    assert spikes.indices.tolist() == [1, 3, 0, 2]
    assert spikes.rows().tolist() == [0, 0, 1, 5]
    assert spikes.values is None


def test_what_it_says_of_itself() -> None:
    spikes = example()
    assert (spikes.steps, spikes.batch, spikes.feature_shape) == (2, 3, (2, 2))
    assert (spikes.units, spikes.nnz, len(spikes)) == (4, 4, 3)
    assert spikes.device == torch.device("cpu")
    text = "T=2, B=3, feature=2x2, entries=4, density=16.67%, values=binary, device=cpu"
    assert repr(spikes) == f"Spikes({text})"
    assert "values=float64" in repr(Spikes.from_dense(2 * example().dense(torch.float64)))


@pytest.mark.parametrize(
    ("given_type", "kept"),
    [
        (torch.float64, torch.float64),
        (torch.float32, torch.float32),
        (torch.int64, torch.float32),
        (torch.uint8, torch.float32),
    ],
)
def test_the_type_of_values(given_type: torch.dtype, kept: torch.dtype) -> None:
    counts = (3 * example().dense()).to(given_type)
    spikes = Spikes.from_dense(counts)
    assert spikes.values is not None
    assert spikes.values.dtype == kept
    assert spikes.dense().dtype == kept
    assert torch.equal(spikes.dense(torch.float64), counts.double())


def test_booleans_are_binary() -> None:
    assert Spikes.from_dense(example().dense().bool()) == example()


def test_equality() -> None:
    spikes, dense = example(), example().dense()
    ones = Spikes(spikes.indptr, spikes.indices, spikes.shape, torch.ones(spikes.nnz))
    assert spikes == ones
    assert spikes == example()
    assert spikes != Spikes.from_dense(2 * dense)
    assert spikes != Spikes.from_dense(dense.flatten(2))
    assert spikes != Spikes.from_dense(dense.flip(1))
    assert spikes != Spikes.from_dense(dense.flip(3))
    assert spikes != "spikes"
    with pytest.raises(TypeError, match="unhashable"):
        hash(spikes)


def test_an_empty_list() -> None:
    spikes = Spikes.from_dense(torch.zeros(3, 2, 5))
    spikes.validate()
    assert spikes.nnz == 0
    assert spikes.density == 0
    assert torch.equal(spikes.dense(), torch.zeros(3, 2, 5))
    assert spikes[1].shape == (3, 1, 5)
    assert spikes.gather(torch.ones(3, 2, 5)).shape == (0,)
    assert spikes[[]].shape == (3, 0, 5)


def test_iteration_goes_by_sample() -> None:
    samples = list(example())  # type: ignore[call-overload]
    assert [sample.nnz for sample in samples] == [3, 0, 1]
    assert all(sample.batch == 1 for sample in samples)


def test_another_shape_of_the_frame_shares_memory() -> None:
    spikes = example()
    flat = spikes.reshape_feature((4,))
    assert flat.indices.data_ptr() == spikes.indices.data_ptr()
    assert torch.equal(flat.dense(), spikes.dense().flatten(2))
    with pytest.raises(ShapeError, match=r"\(2, 2\) cannot become \(3,\)"):
        spikes.reshape_feature((3,))


def test_to_its_own_device_is_itself() -> None:
    spikes = example()
    assert spikes.to("cpu") is spikes


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_to_a_gpu_and_back() -> None:
    for spikes in (example(), Spikes.from_dense(2 * example().dense())):
        moved = spikes.to("cuda")
        assert moved.device.type == "cuda"
        assert moved.to("cpu") == spikes
        assert torch.equal(moved.dense().cpu(), spikes.dense())


# ------------------------------------------------------------------------------ errors


@pytest.mark.parametrize("which", [3, -4])
def test_a_sample_that_is_not_there(which: int) -> None:
    with pytest.raises(IndexError, match="of a batch of 3"):
        example()[which]


def broken(indptr: list[int], indices: list[int], *, shape: tuple[int, ...] = (2, 1, 4)) -> Spikes:
    return Spikes(torch.tensor(indptr), torch.tensor(indices, dtype=torch.int32), shape)


@pytest.mark.parametrize(
    ("indptr", "indices", "message"),
    [
        ([0, 2, 1], [0, 1], "indptr of Spikes must rise from 0"),
        ([0, 2, 0], [], "indptr of Spikes must rise from 0"),
        ([1, 1, 2], [0, 1], "indptr of Spikes must rise from 0"),
        ([0, 1, 3], [0, 1], r"number of entries \(2\)"),
        ([0, 1, 2], [0, 4], "indices from 0 to 4; expected 0 to 3"),
        ([0, 1, 2], [-1, 0], "indices from -1 to 0"),
        ([0, 2, 2], [1, 0], "strictly ascending"),
        ([0, 2, 2], [1, 1], "strictly ascending"),
        ([0, 0, 2], [2, 2], "strictly ascending"),
    ],
)
def test_lists_that_are_broken_are_found(
    indptr: list[int], indices: list[int], message: str
) -> None:
    with pytest.raises(ShapeError, match=message):
        broken(indptr, indices).validate()


def test_a_new_frame_may_start_lower() -> None:
    broken([0, 2, 4], [1, 3, 0, 2]).validate()
    broken([0, 0, 1, 1], [3], shape=(3, 1, 4)).validate()


@given(tensors(), st.integers(0, 2**16))
def test_what_is_kept_is_what_the_mask_says(dense: Tensor, seed: int) -> None:
    x = Spikes.from_dense(dense)
    kept = torch.rand(x.nnz, generator=torch.Generator().manual_seed(seed)) < 0.5
    found = x.keep(kept)
    found.validate()
    expected = dense.clone().reshape(-1)
    expected[x.positions()[~kept]] = 0
    assert torch.equal(found.dense(), expected.view(x.shape))
    assert x.keep(torch.zeros(x.nnz, dtype=torch.bool)).nnz == 0


def test_values_must_be_finite() -> None:
    with pytest.raises(ShapeError, match="NaN or infinity found.*clean the recording"):
        Spikes.from_dense(torch.tensor([[[0.0, float("nan")]]])).validate()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: broken([0, 1], [0]), r"T=2 and B=1 needs T\*B\+1 = 3 entries, not \(2,\)"),
        (lambda: broken([0, 0, 0], [], shape=(2, 1)), r"\(T, B, \*feature\).*not \(2, 1\)"),
        (
            lambda: Spikes(torch.zeros(3), torch.zeros(0, dtype=torch.int32), (2, 1, 4)),
            "indptr as int64 and indices as int32, not torch.float32",
        ),
        (
            lambda: Spikes(
                torch.tensor([0, 0, 1]), torch.zeros(1, dtype=torch.int32), (2, 1, 4), torch.ones(2)
            ),
            "2 values for 1 entries: give one value per entry",
        ),
        (lambda: Spikes.from_dense(torch.zeros(3, 4)), r"at least three dimensions, not \(3, 4\)"),
    ],
)
def test_lists_that_do_not_fit_are_refused(build: object, message: str) -> None:
    assert callable(build)
    with pytest.raises(ShapeError, match=message):
        build()
