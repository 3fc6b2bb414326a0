"""Layers of a network: how a config writes and reads them, and how a list of them becomes modules.

A layer is a mapping whose one key says what it is and whose other keys are its options:
``{conv: 12, kernel: 5}``. A kind that needs no number may stand alone, ``lif``, and takes its
options under its name, ``{lif: {beta: 0.8}}``. Sizes are one whole number, or a list of one for
each axis.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import PlainSerializer, PlainValidator
from pydantic_core import PydanticCustomError
from typing_extensions import override

from lfp_snn.errors import ShapeError
from lfp_snn.later import torch
from lfp_snn.models.options import ModelOptions
from lfp_snn.options import Section, nearest

if TYPE_CHECKING:
    from torch import nn

__all__ = [
    "KINDS",
    "AnyLayer",
    "Assembly",
    "LayerSpec",
    "Shape",
    "Size",
    "as_text",
    "axes_of",
    "bad_option",
    "per_axis",
    "sizes_of",
    "whole",
]

#: Shape of one sample at one time step.
Shape = tuple[int, ...]


class LayerSpec(Section):
    """A layer of a network: the options of one kind.

    A new kind is a subclass with a ``kind``; the field of that name is its number, if it has one.

    Attributes:
        kind: the key that says what the layer is.
    """

    kind: ClassVar[str]

    @classmethod
    @override
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        if "kind" in vars(cls):
            KINDS[cls.kind] = cls

    @abstractmethod
    def module(self, shape: Shape, assembly: Assembly) -> nn.Module:
        """The module for inputs of that shape, with initial weights.

        Raises:
            ShapeError: the layer cannot take them; the caller knows the position and tells it.
        """

    def out(self, shape: Shape, assembly: Assembly) -> Shape:
        """The shape of the output for inputs of that shape; raises as :meth:`module` does."""
        with torch.device("meta"):
            module = self.module(shape, assembly).eval()
            try:
                return tuple(module(torch.empty((2, *shape))).shape[1:])
            except RuntimeError as problem:
                raise ShapeError(str(problem).splitlines()[0].rstrip(".")) from problem


class _Nested(ShapeError):
    """An error within a layer, whose message begins with a position there."""


@dataclass(frozen=True)
class Assembly:
    """The context that the layers of one network share, and the modules made of them.

    Args:
        options: the options of the network, which say what neurons are like where a layer does not.
        classes: the number of classes.
    """

    options: ModelOptions
    classes: int

    def flow(self, layers: Sequence[LayerSpec], shape: Shape, where: str) -> list[Shape]:
        """The shapes from the input to the output, the shape of the input first.

        Args:
            layers: the layers in the order in which they run.
            shape: the shape of the input, without time and batch.
            where: the key that holds the list, for errors.

        Raises:
            ShapeError: a layer cannot take what comes to it; the message names its position and
                kind.
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

    def modules(self, layers: Sequence[LayerSpec], shape: Shape, where: str) -> list[nn.Module]:
        """The modules with initial weights; arguments and errors as of :meth:`flow`."""
        shapes = self.flow(layers, shape, where)
        return [layer.module(x, self) for layer, x in zip(layers, shapes[:-1], strict=True)]


#: Kinds of layers by the key that says what they are; filled as they are defined.
KINDS: dict[str, type[LayerSpec]] = {}


def _read(given: Any) -> LayerSpec:
    """A layer from a mapping, or from the name of its kind."""
    if isinstance(given, LayerSpec):
        return given
    if isinstance(given, str):
        given = {given: None}
    if not isinstance(given, Mapping) or not given:
        raise bad_option(
            f"found {given!r}, expected a layer such as {{conv: 12, kernel: 5}} or lif"
        )
    kinds = [key for key in given if key in KINDS]
    if len(kinds) != 1:
        known = f"expected one kind of {', '.join(KINDS)}"
        if kinds:
            raise bad_option(f"found the kinds {' and '.join(kinds)} in one layer, {known}")
        guess = next((near for key in given if (near := nearest(str(key), KINDS))), None)
        hint = f", did you mean {guess}?" if guess else ""
        raise bad_option(f"found {', '.join(map(str, given))}, {known}{hint}")
    (kind,) = kinds
    layer = KINDS[kind]
    if kind in layer.model_fields:
        return layer.model_validate(dict(given))
    options = given[kind]
    if len(given) > 1 or not (options is None or isinstance(options, Mapping)):
        raise bad_option(f"write the options of {kind} under its name: {{{kind}: {{...}}}}")
    return layer.model_validate(dict(options or {}))


def _written(layer: LayerSpec) -> dict[str, Any]:
    """The mapping that reads as this layer; options that are not given stay out."""
    options = layer.model_dump(mode="json", exclude_none=True)
    if layer.kind not in type(layer).model_fields:
        return {layer.kind: options}
    return {layer.kind: options.pop(layer.kind), **options}


#: A field that holds a layer of any kind.
AnyLayer = Annotated[LayerSpec, PlainValidator(_read), PlainSerializer(_written)]


def bad_option(message: str) -> PydanticCustomError:
    """The error of a validator; its words stand behind the key."""
    return PydanticCustomError("bad_options", "{message}", {"message": message})


def whole(given: Any, low: int) -> bool:
    """Whether a value is a whole number of at least ``low``."""
    return isinstance(given, int) and not isinstance(given, bool) and given >= low


def sizes_of(low: int, *words: str | None) -> PlainValidator:
    """A validator of sizes: a whole number, a list of them, or a word (None: may be left out)."""

    def read(given: Any) -> Any:
        if given in words or whole(given, low):
            return given
        if isinstance(given, list | tuple) and given and all(whole(each, low) for each in given):
            return list(given)
        alternatives = "".join(f", or {word}" for word in words if word)
        raise bad_option(
            f"found {given!r}, expected a whole number of at least {low}, a list of one for each "
            f"axis{alternatives}"
        )

    return PlainValidator(read)


#: One whole number, or one for each axis.
Size = Annotated[int | list[int], sizes_of(1)]


def axes_of(shape: Shape) -> int:
    """The number of axes of maps ``(C, L)`` or ``(C, H, W)``.

    Raises:
        ShapeError: the shape is that of no maps.
    """
    if len(shape) not in (2, 3):
        raise ShapeError("it takes maps (channels, length) or (channels, height, width)")
    return len(shape) - 1


def per_axis(name: str, given: int | list[int] | str, axes: int) -> Any:
    """A size for each axis; words stay as they are.

    Raises:
        ShapeError: the size is a list of another length.
    """
    if isinstance(given, str):
        return given
    sizes = tuple(given) if isinstance(given, list) else (given,) * axes
    if len(sizes) != axes:
        raise ShapeError(f"{name} has {len(sizes)} sizes, but the maps have {axes} axes")
    return sizes


def as_text(shape: Shape) -> str:
    """A shape as text, such as ``2 x 34 x 34``."""
    return " x ".join(map(str, shape))
