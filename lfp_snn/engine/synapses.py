"""Stages that hold weights: linear layers and convolutions."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from typing_extensions import override

from lfp_snn.backends import torch as kernels
from lfp_snn.backends.packed import PackedSpikes
from lfp_snn.backends.precision import spikes_convolved_as
from lfp_snn.engine.made import made_of
from lfp_snn.engine.stage import Credits, Demand, Feedback, Relevance, Rules, Stage, Tape, Wanted
from lfp_snn.errors import NetworkError
from lfp_snn.rules import CONTRIBUTION, Active, Rule, Variant

__all__ = ["Convolution", "Linear", "OtherConvolution", "Synapse"]

#: Currents worked on at a time where a rule needs variants of them, which bounds their memory.
_PART = 2**20


class Synapse(Stage):
    """A weighted layer, ``I = W x + b``.

    The sums of its feedback and the credit of its input are products with ``n``, the credit of
    its current; under a rule that needs variants of the current, with the credit of each.
    """

    module: Any
    takes_narrow = True
    takes_packed = True  # which are kept, and made dense anew for the way back

    def __init__(self, name: str, module: Any) -> None:
        super().__init__(name, module)
        self.made = made_of(module, "weight")
        self.made_bias = made_of(module, "bias")

    @property
    def bias(self) -> Tensor | None:
        """The bias, a parameter of the module or computed from such; None if there is none."""
        bias: Tensor | None = self.module.bias if self.made_bias is None else self.made_bias
        return bias

    @property
    def weight(self) -> Tensor:
        """The weight, a parameter of the module or computed from such."""
        weight: Tensor = self.module.weight if self.made is None else self.made
        return weight

    def scales(self, feedback: Feedback) -> bool:
        """Whether a kernel may apply the factor ``|w|`` of the update itself."""
        return feedback.update.scales and self.made is None and self.made_bias is None

    @override
    def parameters(self) -> dict[str, Tensor]:
        return dict(self.module.named_parameters())  # with those behind a weight that is computed

    @override
    def describe(self) -> str:
        return parametrize.type_before_parametrizations(self.module).__name__

    @override
    def demand(self, rules: Rules) -> Demand:
        return Demand(self.kind, sharing=rules[self.name].at_synapse.name)

    @override
    def active(self, rules: Rules, below: Sequence[Active]) -> Active:
        return "everywhere"  # every current makes the membrane

    @override
    def forward(self, run: Tape, *inputs: Tensor) -> Tensor:
        (given,) = inputs
        self.check(given.shape)
        run.keep(self, given)
        x = self._dense(run, given)
        current = self.current(x.flatten(0, 1), self.weight, self.bias)
        return current.view(*x.shape[:2], *current.shape[1:])

    def _dense(self, run: Tape, x: Tensor | PackedSpikes) -> Tensor:
        """The input of a product."""
        if isinstance(x, Tensor):
            return x
        return x.dense(self.spike_dtype(run))

    def spike_dtype(self, run: Tape) -> torch.dtype:
        """The type in which spikes enter the products."""
        return run.spike_dtype

    @override
    def backward(
        self, run: Tape, credit: Tensor, feedback: Feedback, rules: Rules, wanted: Wanted
    ) -> Credits:
        rule, asked = rules[self.name], wanted[0] is not None
        x = self._dense(run, run.kept[self])
        return (self.learn(x, credit, feedback, rule, asked),)

    def learn(
        self, x: Tensor, n: Tensor, feedback: Feedback, rule: Rule, wanted: bool
    ) -> Tensor | Relevance | None:
        """Add to the feedback, from the input and the credit of the current, ``[T, B, ...]`` both.

        Returns:
            The credit of the input, or its relevance, if it is wanted.
        """
        frames, credits = x.flatten(0, 1), n.flatten(0, 1)
        if rule.at_synapse == CONTRIBUTION:
            of_input = self._plain(frames, credits, feedback, wanted)
        else:
            parts = -(-credits.numel() // _PART)
            pairs = zip(frames.chunk(parts), credits.chunk(parts), strict=True)
            found = [self._by_variants(*pair, feedback, rule, wanted) for pair in pairs]
            of_input = torch.cat([c for c in found if c is not None]) if wanted else None
        if of_input is None:
            return None
        shaped = of_input.view(x.shape)
        return Relevance(shaped) if rule.of_silent else shaped

    def _plain(self, x: Tensor, n: Tensor, feedback: Feedback, wanted: bool) -> Tensor | None:
        """Learn by ``sum x n`` and ``sum n``, and give the credit ``c = W^T n`` of the input."""
        weight, bias = self.weight, self.bias
        of_weight, of_bias, of_input = self.products(
            x, n, weight, feedback=feedback.wanted(weight, bias), credit=wanted
        )
        feedback.add(weight, of_weight)
        feedback.add(bias, of_bias)
        return of_input

    def _by_variants(
        self, x: Tensor, n: Tensor, feedback: Feedback, rule: Rule, wanted: bool
    ) -> Tensor | None:
        """Learn with the weights and the credit of each variant (:mod:`lfp_snn.rules.base`)."""
        weight, bias = self.weight.detach(), self.bias
        learns = feedback.wanted(self.weight, bias)
        signs = bool((x < 0).any())
        active = [v for v in rule.variants if signs or v.input != "negative"]
        inputs = {v: _input_of(v, x) for v in active}
        nothing = torch.zeros((), dtype=n.dtype, device=n.device).expand_as(n)
        currents = [
            self.current(inputs[v], v.weight(weight), _changed(bias, v)) if v in inputs else nothing
            for v in rule.variants
        ]
        of_input: Tensor | None = None
        # Variants that leave silent inputs out are parts of the current, and make it up.
        current = self.current(x, weight, bias) if rule.of_silent else sum(currents, start=nothing)
        for variant, g in zip(rule.variants, rule.normalise(n, current, currents), strict=True):
            if variant not in inputs:
                continue
            given, changed = inputs[variant], variant.weight(weight)
            if learns and rule.of_silent:
                self._learn_by_measure(variant, x, given, g * current.sign(), feedback)
            part = learns and not rule.of_silent
            of_weight, of_bias, c = self.products(given, g, changed, feedback=part, credit=wanted)
            if of_weight is not None:
                self._learn_by_part(variant, of_weight, of_bias, feedback)
            if c is not None:
                share = _share_of(variant, x, c, rule, signs)
                of_input = share if of_input is None else of_input + share
        return of_input

    def _learn_by_part(
        self, variant: Variant, of_weight: Tensor, of_bias: Tensor | None, feedback: Feedback
    ) -> None:
        """Add the sums of the weights that the variant holds."""
        weight, bias = self.weight, self.bias
        feedback.add(weight, of_weight * variant.holds(weight.detach()))
        if bias is not None and of_bias is not None and variant.bias is not None:
            feedback.add(bias, of_bias * variant.holds(bias.detach()))

    def _learn_by_measure(
        self, variant: Variant, x: Tensor, given: Tensor, h: Tensor, feedback: Feedback
    ) -> None:
        """Add the measure of each weight, in place of ``|w|``, times ``sum sgn(x) x^k h``."""
        weight, bias = self.weight, self.bias
        of_weight, of_bias, _ = self.products(
            x.sign() * given, h, weight, feedback=True, credit=False
        )
        assert of_weight is not None
        feedback.add(weight, variant.weight(weight.detach()) * of_weight, scaled=True)
        if bias is not None and of_bias is not None:
            changed = _changed(bias, variant)
            measure = torch.zeros_like(bias) if changed is None else changed
            feedback.add(bias, measure * of_bias, scaled=True)

    @override
    def rule(self, rules: Rules) -> str:
        rule = rules[self.name]
        return "c = W'n" if rule.at_synapse == CONTRIBUTION else repr(rule)

    @abstractmethod
    def check(self, shape: Sequence[int]) -> None:
        """Refuse an input ``[T, B, ...]`` that the module cannot take."""

    @abstractmethod
    def current(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        """The currents of folded frames ``[N, ...]`` with these weights."""

    @abstractmethod
    def products(
        self, x: Tensor, n: Tensor, weight: Tensor, *, feedback: bool, credit: bool
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Sums for weight and bias, and credit of the input through ``weight``, where wanted."""


def _changed(bias: Tensor | None, variant: Variant) -> Tensor | None:
    """The bias as a variant of the current takes it."""
    return None if bias is None or variant.bias is None else variant.bias(bias.detach())


def _input_of(variant: Variant, x: Tensor) -> Tensor:
    """The input ``x^k`` of a variant of the current."""
    if variant.input == "as it is":
        return x
    if isinstance(variant.input, str):
        return x.clamp(min=0) if variant.input == "positive" else x.clamp(max=0)
    return torch.full_like(x, variant.input)


def _share_of(variant: Variant, x: Tensor, c: Tensor, rule: Rule, signs: bool) -> Tensor:
    """What a variant of the current adds to the credit of the input, or to its relevance."""
    if rule.of_silent:
        return _input_of(variant, x) * c
    if variant.input == "as it is" or not signs:
        return c
    return c * (x >= 0 if variant.input == "positive" else x < 0)


class Linear(Synapse):
    """``nn.Linear`` over the last axis."""

    module: nn.Linear

    @override
    def check(self, shape: Sequence[int]) -> None:
        if len(shape) < 3 or shape[-1] != self.module.in_features:
            as_many = math.prod(shape[2:]) == self.module.in_features
            advice = ": flatten it first, as nn.Flatten() does" if as_many else ""
            raise self.misfit(f"{self.module.in_features} inputs (last axis)", shape, advice)

    @override
    def current(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return kernels.linear_current(x, weight, bias)

    @override
    def products(
        self, x: Tensor, n: Tensor, weight: Tensor, *, feedback: bool, credit: bool
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        biased = self.bias is not None
        return kernels.linear_backward(
            x, n, weight, feedback=feedback, credit=credit, biased=biased
        )


class Convolution(Synapse):
    """``nn.Conv1d`` or ``nn.Conv2d`` with zero padding.

    Raises:
        NetworkError: the padding is not of zeros, or not the same on both sides.
    """

    module: kernels.Convolution

    def __init__(self, name: str, module: kernels.Convolution) -> None:
        super().__init__(name, module)
        if module.padding_mode != "zeros":
            raise NetworkError(
                f"Stage '{name}' ({type(module).__name__}) pads with "
                f"padding_mode='{module.padding_mode}', for which there is no rule: use 'zeros'."
            )
        self.padding = _padding(name, module)

    @override
    def check(self, shape: Sequence[int]) -> None:
        axes = len(self.module.kernel_size)
        channels = self.module.in_channels
        if len(shape) != axes + 3 or shape[2] != channels:
            raise self.misfit(f"{channels} channels of {axes}-dimensional maps", shape)
        sizes = zip(
            shape[3:], self.padding, self.module.dilation, self.module.kernel_size, strict=True
        )
        if any(size + 2 * pad <= d * (k - 1) for size, pad, d, k in sizes):
            raise self.misfit(
                f"maps at least as large as its kernel {tuple(self.module.kernel_size)}", shape
            )

    @override
    def spike_dtype(self, run: Tape) -> torch.dtype:
        return spikes_convolved_as(run.spike_dtype, run.dtype)

    @override
    def current(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return kernels.conv_current(x, weight, bias, self.module)

    @override
    def products(
        self, x: Tensor, n: Tensor, weight: Tensor, *, feedback: bool, credit: bool
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        return kernels.conv_backward(
            x,
            n,
            weight,
            self.module,
            self.padding,
            feedback=feedback,
            credit=credit,
            biased=self.bias is not None,
        )


class OtherConvolution(Synapse):
    """``nn.ConvTranspose1d``, ``nn.ConvTranspose2d`` or ``nn.Conv3d``, with zero padding.

    The sums and the credit of the input are the derivatives of the current, as torch has them.
    """

    module: Any
    takes_narrow = False

    @override
    def spike_dtype(self, run: Tape) -> torch.dtype:
        return run.dtype

    def __init__(self, name: str, module: Any) -> None:
        super().__init__(name, module)
        if module.padding_mode != "zeros" or isinstance(module.padding, str):
            raise NetworkError(
                f"Stage '{name}' ({type(module).__name__}) pads with padding={module.padding!r}, "
                f"padding_mode='{module.padding_mode}', for which there is no rule: give zeros, "
                "and the padding as a number."
            )

    @override
    def check(self, shape: Sequence[int]) -> None:
        module = self.module
        axes = len(module.kernel_size)
        if len(shape) != axes + 3 or shape[2] != module.in_channels:
            raise self.misfit(f"{module.in_channels} channels of {axes}-dimensional maps", shape)

    @override
    def current(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        module = self.module
        if isinstance(module, nn.Conv3d):
            return F.conv3d(
                x, weight, bias, module.stride, module.padding, module.dilation, module.groups
            )
        convolve = F.conv_transpose1d if len(module.kernel_size) == 1 else F.conv_transpose2d
        options = module.stride, module.padding, module.output_padding
        current: Tensor = convolve(x, weight, bias, *options, module.groups, module.dilation)
        return current

    @override
    def products(
        self, x: Tensor, n: Tensor, weight: Tensor, *, feedback: bool, credit: bool
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        with torch.inference_mode(False), torch.enable_grad():
            given, strength = x.detach().clone(), weight.detach().clone()
            current = self.current(
                given.requires_grad_(credit), strength.requires_grad_(feedback), None
            )
            asked = [each for each in (strength, given) if each.requires_grad]
            found = list(torch.autograd.grad(current, asked, n.clone())) if asked else []
        axes = (0, *range(2, n.dim()))
        of_weight, of_bias = (found.pop(0), n.sum(axes)) if feedback else (None, None)
        return of_weight, of_bias, found.pop() if credit else None


def _padding(name: str, module: kernels.Convolution) -> tuple[int, ...]:
    """The padding in numbers, the same on both sides of each axis."""
    if not isinstance(module.padding, str):
        return tuple(module.padding)
    if module.padding == "valid":
        return (0,) * len(module.kernel_size)
    totals = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size, strict=True)]
    if any(total % 2 for total in totals):
        raise NetworkError(
            f"Stage '{name}' ({type(module).__name__}) has padding='same' with an even kernel "
            f"{tuple(module.kernel_size)}, which pads unevenly: there is no rule for it; use an "
            "odd kernel or give the padding as a number."
        )
    return tuple(total // 2 for total in totals)
