"""The kinds of layers that hold branches of layers."""

from __future__ import annotations

from abc import abstractmethod
from itertools import pairwise
from typing import ClassVar, Literal

from pydantic import Field

from lfp_snn.errors import ShapeError
from lfp_snn.later import nn
from lfp_snn.models.layer import AnyLayer, Assembly, LayerSpec, Shape, as_text

__all__ = ["ParallelSpec", "ResidualSpec"]


class _MergingSpec(LayerSpec):
    """The base of layers that hold branches and merge their outputs."""

    merge: str

    @abstractmethod
    def branches(self) -> dict[str, list[AnyLayer]]:
        """The layers of each branch, by the name it has in messages and in the module."""

    def module(self, shape: Shape, assembly: Assembly) -> nn.Module:
        """A :class:`.Merge` of the branches."""
        from lfp_snn.models.merge import Merge  # a class of torch's

        built = {
            name: nn.Sequential(*assembly.modules(layers, shape, name))
            for name, layers in self.branches().items()
        }
        # A name of torch.nn has no brackets.
        plain = {name.replace("[", "").replace("]", ""): each for name, each in built.items()}
        return Merge(plain, self.merge)

    def out(self, shape: Shape, assembly: Assembly) -> Shape:
        """The shape of the merged output of the branches, which must agree."""
        ends = {
            name: assembly.flow(layers, shape, name)[-1] for name, layers in self.branches().items()
        }
        first = next(iter(ends.values()))
        wide = self.merge == "concat"
        if any(a[wide:] != b[wide:] for a, b in pairwise(ends.values())):
            found = ", ".join(f"{name} {as_text(end)}" for name, end in ends.items())
            raise ShapeError(
                f"its branches end in different shapes ({found}), which merge: {self.merge} cannot "
                "join"
            )
        return (sum(end[0] for end in ends.values()), *first[1:]) if wide else first


class ResidualSpec(_MergingSpec):
    """A residual block: layers and a way past them.

    Attributes:
        residual: the layers of the block.
        shortcut: the layers of the way past them; empty for the input itself, which needs the same
            shape.
        merge: how both are merged: ``max`` keeps spikes spikes, as the published residual network
            does; ``sum``; and, for spikes, ``and`` (both spike) or ``iand`` (the shortcut spikes
            and the layers do not).
    """

    kind: ClassVar[str] = "residual"
    residual: list[AnyLayer] = Field(min_length=1)
    shortcut: list[AnyLayer] = Field(default=[])
    merge: Literal["max", "sum", "and", "iand"] = "max"

    def branches(self) -> dict[str, list[AnyLayer]]:
        """The branches ``residual`` and ``shortcut``."""
        return {"residual": self.residual, "shortcut": self.shortcut}


class ParallelSpec(_MergingSpec):
    """Branches that see the same input.

    Attributes:
        parallel: the layers of each branch, ``[[...], [...]]``.
        merge: how the outputs are merged: ``concat`` (channels side by side), ``max`` or ``sum``.
    """

    kind: ClassVar[str] = "parallel"
    parallel: list[list[AnyLayer]] = Field(min_length=2)
    merge: Literal["concat", "max", "sum"] = "concat"

    def branches(self) -> dict[str, list[AnyLayer]]:
        """The branches ``parallel[0]``, ``parallel[1]`` and so on."""
        return {f"parallel[{k}]": layers for k, layers in enumerate(self.parallel)}
