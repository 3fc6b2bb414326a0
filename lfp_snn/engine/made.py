r"""Weights and biases that a layer computes: normalised, pruned, parametrised.

``torch.nn.utils`` does so by a hook before ``forward`` (``prune``, the older ``weight_norm`` and
``spectral_norm``) or by a parametrisation. Such a weight :math:`w(p)` is computed anew at each
pass, once for all of its steps, and the sums of its feedback are pulled back to what is behind it:

.. math:: \mathrm{feedback}(p) = |p| \sum_w G_w \frac{\partial w}{\partial p}
          \qquad G_w = \sum_{t,b} n\, \frac{\partial I}{\partial w}

so that a weight that is pruned by a mask stays zero, and a spectral norm in training takes one
power iteration a pass.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize, prune
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from lfp_snn.errors import NetworkError

__all__ = ["Made", "hook_of", "iterates", "made_of", "makes", "serves_hooks"]

#: Hooks of torch.nn.utils that compute a weight before each call.
HOOKS = (WeightNorm, SpectralNorm, prune.BasePruningMethod)


def hook_of(module: nn.Module, key: str = "weight") -> Any:
    """The hook that computes a module's weight or bias, if there is one and no other; else None.

    Args:
        module: the module.
        key: the name of the tensor, ``weight`` or ``bias``.
    """
    own = [hook for hook in module._forward_pre_hooks.values() if _computes(hook) == key]
    return own[0] if len(own) == 1 else None


def _computes(hook: object) -> str | None:
    """The name of the tensor that a hook of ``torch.nn.utils`` computes; None for others."""
    if not isinstance(hook, HOOKS):
        return None
    name = "_tensor_name" if isinstance(hook, prune.BasePruningMethod) else "name"
    found: str = getattr(hook, name)
    return found


def serves_hooks(module: nn.Module) -> bool:
    """Whether a module has hooks, each of which computes its weight or its bias, and no two one."""
    keys = [_computes(hook) for hook in module._forward_pre_hooks.values()]
    known = bool(keys) and set(keys) <= {"weight", "bias"} and len(set(keys)) == len(keys)
    # A tensor that another way has made would be trained by nothing.
    plain = (vars(module).get(key) for key in ("weight", "bias") if key not in keys)
    return known and not any(isinstance(each, Tensor) for each in plain)


def makes(module: nn.Module, key: str) -> bool:
    """Whether a module computes its weight or its bias."""
    by_hook = serves_hooks(module) and hook_of(module, key) is not None
    return parametrize.is_parametrized(module, key) or by_hook


def iterates(module: nn.Module) -> bool:
    """Whether a module takes a power iteration whenever it is called in training."""
    return isinstance(module, parametrizations._SpectralNorm) or isinstance(
        hook_of(module), SpectralNorm
    )


def made_of(module: nn.Module, key: str) -> Made | None:
    """The weight or bias that a layer computes; None if it is a parameter or buffer.

    Raises:
        NetworkError: it is another at each call.
    """
    if not makes(module, key):
        return None
    with _still(module):
        return Made(module, key)


class Made(nn.Parameter):
    """A weight or bias as a layer computed it last; what it was computed from takes feedback.

    Args:
        module: the layer.
        key: the name of the tensor, ``weight`` or ``bias``.
    """

    module: nn.Module
    key: str

    def __new__(cls, module: nn.Module, key: str = "weight") -> Made:
        """Compute the tensor for the first time."""
        with torch.inference_mode(False):
            made: Made = super().__new__(cls, torch.empty(0), requires_grad=False)
        made.module, made.key = module, key
        made.compute()
        return made

    def compute(self) -> None:
        """Compute the weight anew, from its parameters as they are.

        Raises:
            NetworkError: it is another weight at each call.
        """
        device = next(self.module.parameters()).device.type
        with (
            torch.inference_mode(False),
            torch.no_grad(),
            torch.autocast(device, enabled=False),
        ):
            weight = _computed(self.module, self.key)
            if _by_a_user(self.module, self.key):
                self._require_same(weight, _computed(self.module, self.key))
        self.data = weight.detach().clone()
        self.requires_grad_(any(p.requires_grad for p in self._behind()))

    def pull(self, total: Tensor) -> list[tuple[nn.Parameter, Tensor]]:
        """The sums of each parameter behind the weight that takes feedback, from the weight's.

        Raises:
            NetworkError: it is another weight than in the forward pass.
        """
        behind = [p for p in self._behind() if p.requires_grad]
        with (
            torch.inference_mode(False),
            torch.enable_grad(),
            torch.autocast(self.device.type, enabled=False),
            _still(self.module),
        ):
            weight = _computed(self.module, self.key)
            if not _same(self, weight):
                raise NetworkError(
                    f"The {self.key} that a {self._kind} computes is another one than in forward, "
                    "and its feedback would be of neither: change nothing that it is computed from "
                    "(parameters, a mask) between forward and backward, and draw nothing in it."
                )
            given = total.detach().clone().to(weight.dtype)
            found = torch.autograd.grad(weight, behind, given, allow_unused=True)
        return [(p, part) for p, part in zip(behind, found, strict=True) if part is not None]

    def __deepcopy__(self, memo: dict[int, Any]) -> Made:
        module = copy.deepcopy(self.module, memo)
        with _still(module):
            made = Made(module, self.key)
        made.data = self.data.clone()
        return made

    def __reduce_ex__(self, proto: Any) -> tuple[Any, ...]:
        return Made, (self.module, self.key)

    def without_measure(self) -> NetworkError:
        """The error for a rule that measures weights by something else than their size."""
        return NetworkError(
            f"A {self._kind} computes its {self.key} from other parameters, whose "
            "shares have no rule under Flat, WSquare and ZBox: give the layer another rule."
        )

    def require_moving(self, total: Tensor, pulled: Sequence[tuple[nn.Parameter, Tensor]]) -> None:
        """Require that feedback in proportion to what is behind the weight moves a parameter.

        A bias may be zero and stay so, as one that is a parameter does.

        Args:
            total: the sums of the weight.
            pulled: the parameters behind it with their sums, as :meth:`pull` gives them.

        Raises:
            NetworkError: none would ever move.
        """
        known = self.key == "weight" and parametrize.is_parametrized(self.module, self.key)
        if self.device.type != "cpu" or not known:
            return  # on a device the look would wait for it; what a mask prunes may be all
        if bool(total.any()) and not any(bool((p.detach() * part).any()) for p, part in pulled):
            steps: Any = self.module.parametrizations
            kinds = ", ".join(type(step).__name__ for step in steps[self.key])
            raise NetworkError(
                f"A {self._kind} computes its weight by a parametrisation ({kinds}) from "
                "parameters that would never move: feedback is in proportion to what is there, "
                "and where they are not zero the weight does not follow them. Draw their first "
                "values, or leave the parametrisation out "
                "(torch.nn.utils.parametrize.remove_parametrizations(module, 'weight'))."
            )

    @property
    def _kind(self) -> str:
        return parametrize.type_before_parametrizations(self.module).__name__

    def _behind(self) -> list[nn.Parameter]:
        """The parameters of the layer that may be behind the weight."""
        named = self.module.named_parameters()
        own = (self.key, f"parametrizations.{self.key}.")
        return [p for name, p in named if name.startswith(own)]

    def _require_same(self, one: Tensor, other: Tensor) -> None:
        if not _same(one, other):
            raise NetworkError(
                f"A {self._kind} computes another {self.key} at each call, for which "
                "there is no rule: let its parametrisation draw nothing and count no calls."
            )


def _same(one: Tensor, other: Tensor) -> bool:
    """Whether two tensors are equal; on a device, where a look would wait, they are taken to be."""
    return one.device.type != "cpu" or torch.equal(one.nan_to_num(), other.nan_to_num())


def _by_a_user(module: nn.Module, key: str) -> bool:
    """Whether code of a user computes the weight or bias of a layer."""
    if not parametrize.is_parametrized(module, key):
        return False
    steps: Any = module.parametrizations
    return any(not type(each).__module__.startswith("torch.") for each in steps[key])


def _computed(module: nn.Module, key: str) -> Tensor:
    """The tensor, as a call of the module would compute it; the module keeps the one it has."""
    weight: Tensor
    if parametrize.is_parametrized(module, key):
        weights: Any = module.parametrizations
        weight = weights[key]()
        return weight
    hook = hook_of(module, key)
    if isinstance(hook, SpectralNorm):
        return hook.compute_weight(module, do_power_iteration=module.training)
    weight = (
        hook.compute_weight(module) if isinstance(hook, WeightNorm) else hook.apply_mask(module)
    )
    return weight


@contextmanager
def _still(module: nn.Module) -> Iterator[None]:
    """Let a layer take no power iteration, for the time of a ``with`` block."""
    found = [(each, each.training) for each in module.modules() if iterates(each)]
    for each, _ in found:
        each.training = False
    try:
        yield
    finally:
        for each, mode in found:
            each.training = mode
