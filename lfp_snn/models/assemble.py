"""From a list of layers to modules: shapes, and errors that name the position."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import nn

from lfp_snn.errors import ShapeError
from lfp_snn.models.layer import Layer, Shape, as_text
from lfp_snn.models.options import ModelOptions

__all__ = ["Assembly"]


class _Nested(ShapeError):
    """An error within a layer, whose message begins with a position there."""


@dataclass(frozen=True)
class Assembly:
    """What the layers of one network share.

    Args:
        options: of the network; they say what neurons are like where a layer does not.
        classes: number of classes.
    """

    options: ModelOptions
    classes: int

    def flow(self, layers: Sequence[Layer], shape: Shape, where: str) -> list[Shape]:
        """Shapes from the input to the output, that of the input first.

        Args:
            layers: in the order in which they run.
            shape: of the input, without time and batch.
            where: the key that holds the list, for errors.

        Raises:
            ShapeError: a layer cannot take what comes to it; names its position and kind.
        """
        shapes = [shape]
        for k, layer in enumerate(layers):
            try:
                shapes.append(layer.out(shapes[-1], self))
            except _Nested as problem:
                raise _Nested(f"{where}[{k}].{problem}") from problem
            except ShapeError as problem:
                raise _Nested(
                    f"{where}[{k}] ({layer.kind}) cannot take its input of "
                    f"{as_text(shapes[-1])}: {problem}."
                ) from problem
        return shapes

    def modules(self, layers: Sequence[Layer], shape: Shape, where: str) -> list[nn.Module]:
        """The modules with initial weights; arguments and errors as of :meth:`flow`."""
        shapes = self.flow(layers, shape, where)
        return [layer.module(x, self) for layer, x in zip(layers, shapes[:-1], strict=True)]
