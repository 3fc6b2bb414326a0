"""Spike trains as lists of active inputs.

A batch of spike trains is dense in shape, ``[T, B, *feature]``, and sparse in content: a few per
cent of an event recording is active. :class:`Spikes` keeps only the active entries, as a
compressed list of rows (CSR) over the ``B * T`` frames.

Frames lie *sample by sample*, ``f = b * T + t``: all of a recording is one contiguous piece. So a
batch is a concatenation of recordings, a slice by sample copies nothing that it does not return,
and a kernel that walks one sample through time reads memory in order.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from lfp_snn.errors import NotFiniteError, ShapeError
from lfp_snn.later import torch

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["Spikes"]


class Spikes:
    """A batch of spike trains of dense shape ``[T, B, *feature]``, as index lists.

    Args:
        indptr: the row pointers, int64 ``[B * T + 1]``. Frame ``f = b * T + t`` owns the entries
            ``indptr[f]:indptr[f + 1]``.
        indices: the flat row-major position of each entry in its frame, int32 ``[nnz]``; strictly
            ascending inside a frame.
        shape: the dense shape ``(T, B, *feature)``.
        values: the values of the entries, float ``[nnz]``, for instance counts; ``None`` says that
            every entry is 1.

    Raises:
        ShapeError: the lists do not fit each other or the shape. :meth:`validate` checks what costs
            a pass over the entries (order, range, finite values); the engine and the datasets call
            it once on what comes from outside.
    """

    __slots__ = ("indices", "indptr", "shape", "values")

    def __init__(
        self,
        indptr: Tensor,
        indices: Tensor,
        shape: Sequence[int],
        values: Tensor | None = None,
    ) -> None:
        self.indptr = indptr
        self.indices = indices
        self.shape = tuple(int(n) for n in shape)
        self.values = values
        if len(self.shape) < 3:
            raise ShapeError(
                f"Spikes have the shape (T, B, *feature), at least three numbers, not {self.shape}."
            )
        if indptr.dtype != torch.int64 or indices.dtype != torch.int32:
            raise ShapeError(
                "Spikes take indptr as int64 and indices as int32, "
                f"not {indptr.dtype} and {indices.dtype}."
            )
        if indptr.shape != (self.steps * self.batch + 1,):
            raise ShapeError(
                f"indptr of Spikes with T={self.steps} and B={self.batch} needs "
                f"T*B+1 = {self.steps * self.batch + 1} entries, not {tuple(indptr.shape)}."
            )
        if values is not None and values.shape != indices.shape:
            raise ShapeError(
                f"Spikes got {values.numel()} values for {indices.numel()} entries: "
                "give one value per entry or none."
            )

    @classmethod
    def from_dense(cls, x: Tensor) -> Spikes:
        """The nonzero entries of ``x`` ``[T, B, *feature]``; ``values`` stay ``None`` if all are 1.

        Values keep the dtype of ``x`` where it is a floating type and become float32 otherwise.
        """
        if x.dim() < 3:
            raise ShapeError(
                f"Spikes.from_dense takes [T, B, *feature], at least three dimensions, "
                f"not {tuple(x.shape)}."
            )
        steps, batch = x.shape[:2]
        frames = x.detach().transpose(0, 1).reshape(steps * batch, -1)
        rows, columns = frames.nonzero(as_tuple=True)
        counts = torch.bincount(rows, minlength=steps * batch)
        indptr = torch.zeros(steps * batch + 1, dtype=torch.int64, device=x.device)
        torch.cumsum(counts, 0, out=indptr[1:])
        active = frames[rows, columns]
        binary = active.dtype == torch.bool or bool((active == 1).all())
        values = None if binary else active if active.is_floating_point() else active.float()
        return cls(indptr, columns.to(torch.int32), x.shape, values)

    @property
    def steps(self) -> int:
        """The number of time steps, T."""
        return self.shape[0]

    @property
    def batch(self) -> int:
        """The number of samples, B."""
        return self.shape[1]

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """The shape of one frame."""
        return self.shape[2:]

    @property
    def units(self) -> int:
        """The number of inputs in one frame."""
        return math.prod(self.shape[2:])

    @property
    def nnz(self) -> int:
        """The number of active entries."""
        return self.indices.numel()

    @property
    def density(self) -> float:
        """The share of the dense shape that is active, in [0, 1]."""
        return self.nnz / max(1, math.prod(self.shape))

    @property
    def device(self) -> torch.device:
        """The device of the lists."""
        return self.indices.device

    def rows(self) -> Tensor:
        """The frame ``b * T + t`` of each entry, int64 ``[nnz]``."""
        return self._of_frames(torch.arange(self.steps * self.batch, device=self.device))

    def _of_frames(self, each: Tensor) -> Tensor:
        """What each frame ``b * T + t`` has, for its entries ``[nnz]``."""
        return torch.repeat_interleave(
            each, self.indptr[1:] - self.indptr[:-1], output_size=self.nnz
        )

    def dense(self, dtype: torch.dtype | None = None) -> Tensor:
        """The spike trains as a contiguous tensor ``[T, B, *feature]`` (float32 unless told)."""
        dtype = dtype or (torch.float32 if self.values is None else self.values.dtype)
        out = torch.zeros(math.prod(self.shape), dtype=dtype, device=self.device)
        if self.values is None:
            out[self.positions()] = 1
        else:
            out[self.positions()] = self.values.to(dtype)
        return out.view(self.shape)

    def positions(self) -> Tensor:
        """The flat position of each entry in the dense ``[T, B, *feature]``, int64 ``[nnz]``."""
        # Divided and multiplied for each frame and not for each entry, of which there are many.
        frames = torch.arange(self.steps * self.batch, device=self.device)
        starts = ((frames % self.steps) * self.batch + frames // self.steps) * self.units
        return self._of_frames(starts) + self.indices

    def gather(self, x: Tensor) -> Tensor:
        """The elements ``[nnz]`` of a dense ``x`` ``[T, B, *feature]`` at the active entries."""
        return x.reshape(-1)[self.positions()]

    def reshape_feature(self, feature: Sequence[int]) -> Spikes:
        """The spike trains with another shape of the frame and as many units (shares memory)."""
        if math.prod(feature) != self.units:
            raise ShapeError(f"A frame of shape {self.feature_shape} cannot become {feature}.")
        return Spikes(self.indptr, self.indices, (*self.shape[:2], *feature), self.values)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Spikes:
        """The spike trains on another device (the object itself if they are there already)."""
        if torch.device(device) == self.device:
            return self

        def move(x: Tensor) -> Tensor:
            return x.to(device, non_blocking=non_blocking)

        values = None if self.values is None else move(self.values)
        return Spikes(move(self.indptr), move(self.indices), self.shape, values)

    def pin_memory(self) -> Spikes:
        """A copy in page-locked memory, from which the transfer to a GPU is asynchronous."""
        values = None if self.values is None else self.values.pin_memory()
        return Spikes(self.indptr.pin_memory(), self.indices.pin_memory(), self.shape, values)

    def validate(self) -> None:
        """Check all that costs a pass over the entries.

        Raises:
            ShapeError: a row pointer decreases, an index lies outside the frame or is not
                ascending, or a value is not finite.
        """
        indptr, indices = self.indptr, self.indices
        ends = (int(indptr[0]), int(indptr[-1])) if indptr.numel() else (0, 0)
        if ends != (0, self.nnz) or bool((indptr[1:] < indptr[:-1]).any()):
            raise ShapeError(
                f"indptr of Spikes must rise from 0 to the number of entries ({self.nnz}); "
                f"it runs from {ends[0]} to {ends[1]} or falls in between."
            )
        if self.nnz == 0:
            return
        low, high = int(indices.min()), int(indices.max())
        if low < 0 or high >= self.units:
            raise ShapeError(
                f"Spikes with {self.units} units in a frame hold indices from {low} to {high}; "
                f"expected 0 to {self.units - 1}."
            )
        falls = indices[1:] <= indices[:-1]
        starts = indptr[1:-1]
        falls[starts[(starts > 0) & (starts < self.nnz)] - 1] = False
        if bool(falls.any()):
            raise ShapeError("Indices of Spikes must be strictly ascending inside a frame.")
        if self.values is not None and not bool(torch.isfinite(self.values).all()):
            raise NotFiniteError(
                "The values of these Spikes are not all finite (NaN or infinity found): "
                "clean the recording before it goes into the network."
            )

    def __getitem__(self, which: int | slice | Sequence[int] | Tensor) -> Spikes:
        """The given samples, as a batch of their own (an int keeps the batch axis, with B=1)."""
        if isinstance(which, int):
            if not -self.batch <= which < self.batch:
                raise IndexError(f"sample {which} of a batch of {self.batch}")
            which = [which % self.batch]
        if not isinstance(which, slice | torch.Tensor):
            which = torch.as_tensor(which, dtype=None if len(which) else torch.int64)
        samples = torch.arange(self.batch, device=self.device)[which]
        t = torch.arange(self.steps, device=self.device)
        return self._select(samples, t)[0]

    def window(self, start: int, stop: int) -> tuple[Spikes, Tensor]:
        """The steps from ``start`` to ``stop``, as spike trains of their own.

        Returns:
            The spike trains ``[stop - start, B, *feature]``, and int64 ``[nnz]``, the number of
            each of their entries among the entries here.
        """
        if not 0 <= start < stop <= self.steps:
            raise IndexError(f"steps {start} to {stop} of Spikes with T={self.steps}")
        samples = torch.arange(self.batch, device=self.device)
        return self._select(samples, torch.arange(start, stop, device=self.device))

    def select(self, samples: Tensor, steps: int, entries: int) -> Spikes:
        """The first steps of the given samples; nothing waits for the device where the lists lie.

        Args:
            samples: int64, which samples.
            steps: how many steps of each.
            entries: how many entries those have, which only the device knows otherwise.
        """
        return self._select(samples, torch.arange(steps, device=self.device), entries)[0]

    def keep(self, kept: Tensor) -> Spikes:
        """The spike trains with the entries that a mask, bool ``[nnz]``, keeps; the shape stays."""
        counts = torch.zeros_like(self.indptr[1:]).index_add(0, self.rows(), kept.long())
        indptr = torch.cat([self.indptr[:1], counts.cumsum(0)])
        values = None if self.values is None else self.values[kept]
        return Spikes(indptr, self.indices[kept], self.shape, values)

    def _select(
        self, samples: Tensor, t: Tensor, total: int | None = None
    ) -> tuple[Spikes, Tensor]:
        """The given samples at the given steps, and the numbers of the entries that they own."""
        frames = (samples[:, None] * self.steps + t).reshape(-1)
        starts = self.indptr[frames]
        counts = self.indptr[frames + 1] - starts
        indptr = torch.zeros(frames.numel() + 1, dtype=torch.int64, device=self.device)
        torch.cumsum(counts, 0, out=indptr[1:])
        offset = torch.repeat_interleave(starts - indptr[:-1], counts, output_size=total)
        entries = offset + torch.arange(offset.numel(), device=self.device)
        values = None if self.values is None else self.values[entries]
        shape = (t.numel(), samples.numel(), *self.feature_shape)
        return Spikes(indptr, self.indices[entries], shape, values), entries

    def __len__(self) -> int:
        """The number of samples: indexing and iteration go by sample."""
        return self.batch

    def __eq__(self, other: object) -> bool:
        """Equal shape and equal entries; missing values count as ones."""
        if not isinstance(other, Spikes):
            return NotImplemented
        if self.shape != other.shape or self.device != other.device:
            return False
        if not torch.equal(self.indptr, other.indptr):
            return False
        if not torch.equal(self.indices, other.indices):
            return False
        if self.values is None and other.values is None:
            return True
        a, b = (
            torch.ones(self.nnz, device=self.device) if v is None else v.float()
            for v in (self.values, other.values)
        )
        return torch.equal(a, b)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        feature = "x".join(map(str, self.feature_shape))
        kind = "binary" if self.values is None else str(self.values.dtype).removeprefix("torch.")
        return (
            f"Spikes(T={self.steps}, B={self.batch}, feature={feature}, entries={self.nnz}, "
            f"density={self.density:.2%}, values={kind}, device={self.device})"
        )
