"""Stratified splits."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from lfp_snn.data.splits import stratified


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 4), min_size=2, max_size=200),
    st.floats(0, 1),
    st.integers(0, 100),
)
def test_parts_are_disjoint_exact_and_in_proportion(
    classes: list[int], share: float, seed: int
) -> None:
    labels = np.array(classes)
    sizes = [int(len(labels) * share), len(labels) - int(len(labels) * share)]
    parts = stratified(labels, sizes, seed)
    assert [len(part) for part in parts] == sizes
    np.testing.assert_array_equal(np.sort(np.concatenate(parts)), np.arange(len(labels)))
    for part, size in zip(parts, sizes, strict=True):
        assert np.all(np.diff(part) > 0)
        expected = np.bincount(labels) * size / len(labels)
        # Cut anywhere, the line holds each class to within one and the others' rounding.
        assert np.abs(np.bincount(labels[part], minlength=len(expected)) - expected).max() <= 3


def test_the_seed_draws_the_parts() -> None:
    labels = np.repeat(np.arange(3), 20)
    first, again, other = (stratified(labels, [15], seed)[0].tolist() for seed in (0, 0, 1))
    assert first == again
    assert first != other
