"""The labels that torch datasets state beside their samples."""

from __future__ import annotations

from typing import Any

import numpy as np

from lfp_snn.data.sets import IntArray
from lfp_snn.later import torch


def attribute(dataset: Any, name: str) -> Any:
    """An attribute of a dataset, or of one within it (a subset, a cache); None if absent."""
    while dataset is not None:
        found = getattr(dataset, name, None)
        if found is not None:
            return found
        inner = getattr(dataset, "datasets", None)
        dataset = inner[0] if inner else getattr(dataset, "dataset", None)
    return None


def stated_labels(dataset: Any) -> IntArray | None:
    """The labels int64 [N] that a dataset states without reading samples; None if it states none.

    Transforms of labels are not applied to them: compare some with the labels of the samples.
    """
    if isinstance(dataset, torch.utils.data.Subset):
        inner = stated_labels(dataset.dataset)
        return None if inner is None else inner[np.asarray(dataset.indices, dtype=np.int64)]
    if isinstance(dataset, torch.utils.data.ConcatDataset):
        parts = [stated_labels(each) for each in dataset.datasets]
        found = [part for part in parts if part is not None]
        return np.concatenate(found) if len(found) == len(parts) else None
    if isinstance(dataset, torch.utils.data.TensorDataset):
        return _integers(dataset.tensors[-1], len(dataset))
    for name in ("targets", "labels"):
        labels = _integers(getattr(dataset, name, None), len(dataset))
        if labels is not None:
            return labels
    inner = getattr(dataset, "dataset", None)
    if inner is None or not hasattr(inner, "__len__") or len(inner) != len(dataset):
        return None
    return stated_labels(inner)


def _integers(given: Any, count: int) -> IntArray | None:
    if given is None or callable(given):
        return None
    try:
        found = np.asarray(given.cpu() if isinstance(given, torch.Tensor) else given)
    except (ValueError, TypeError):
        return None
    whole = found.dtype.kind in "iu" and found.shape in ((count,), (count, 1))
    return found.reshape(count).astype(np.int64) if whole else None
