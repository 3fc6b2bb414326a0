"""Refusals of what a module computes anew at each call where the engine would not see it.

``torch.nn.utils`` prunes and normalises in two ways: by a hook before ``forward`` (``prune``, the
older ``weight_norm`` and ``spectral_norm``), or as a parametrisation. In both cases the tensor
itself is no parameter any more. For weight and bias of a linear layer or a convolution there is a
rule (:mod:`lfp_snn.engine.made`). Of all else TemporalLFP, which reads parameters without calling
the module, would train what was computed once and leave the parameters behind it frozen: that is
refused.
"""

from __future__ import annotations

from typing import Any

import snntorch as snn
from torch import Tensor, nn
from torch.nn.utils import parametrize, prune
from torch.nn.utils.spectral_norm import SpectralNorm
from torch.nn.utils.weight_norm import WeightNorm

from lfp_snn.engine.made import iterates, serves_hooks
from lfp_snn.engine.supported import MODULES, is_leaf, kind_of
from lfp_snn.engine.synapses import Synapse
from lfp_snn.errors import NetworkError
from lfp_snn.norms import batch_norms

__all__ = ["refuse_computed_weights", "refuse_hooks", "refuse_step_statistics"]


def refuse_computed_weights(net: nn.Module, *, every: bool = False) -> None:
    """Refuse a network with a module that computes what there is no rule for.

    Every pass asks again, since a network may be pruned between two passes.

    Args:
        net: the network.
        every: whether weights are refused too for which the engine has a rule, by what writes
            weights or reads them without it.

    Raises:
        NetworkError: a weight is computed; the message names the module, what computes the weight,
            and how to make it permanent.
    """
    of_neurons = {
        id(part)
        for module in net.modules()
        if isinstance(module, snn.SpikingNeuron)
        for part in module.modules()
    }
    for name, module in net.named_modules():
        served = not every and id(module) not in of_neurons
        if not (served and (_makes_its_weight(module) or _is_own(module))):
            _refuse_computed(name or type(net).__name__, module)


def _makes_its_weight(module: nn.Module) -> bool:
    """Whether a layer computes its weight or bias, for which there is a rule, and no more."""
    kind = MODULES.get(kind_of(module))
    if not (isinstance(kind, type) and issubclass(kind, Synapse)):
        return False
    if not parametrize.is_parametrized(module):
        return serves_hooks(module)
    known = set(module.parametrizations) <= {"weight", "bias"}  # type: ignore[arg-type]
    return known and not module._forward_pre_hooks


def _is_own(module: nn.Module) -> bool:
    """Whether a module is a user's, whose forward takes what a parametrisation computes.

    What computes another tensor at each call in training would have to be seen to do so.
    """
    if not parametrize.is_parametrized(module) or is_leaf(module):
        return False
    return not module._forward_pre_hooks and not any(map(iterates, module.modules()))


def refuse_hooks(net: nn.Module) -> None:
    """Refuse a network with hooks that the engine would not call.

    These are forward hooks, and hooks on parameters, which autograd calls with gradients.

    Raises:
        NetworkError: there is a hook; the message names it and its module or parameter.
    """
    for name, module in net.named_modules():
        before = () if serves_hooks(module) else module._forward_pre_hooks.values()
        for hook in (*before, *module._forward_hooks.values()):
            kind = getattr(hook, "__name__", type(hook).__name__)
            raise NetworkError(
                f"Module '{name or type(net).__name__}' has a forward hook ({kind}), which "
                "TemporalLFP would not call: remove it (handle.remove()) before a pass."
            )
    for name, parameter in net.named_parameters():
        held: list[Any] = [parameter._backward_hooks, parameter._post_accumulate_grad_hooks]
        for hook in (hook for hooks in held for hook in (hooks or {}).values()):
            kind = getattr(hook, "__name__", type(hook).__name__)
            raise NetworkError(
                f"Parameter '{name}' has a hook on its gradient ({kind}), which TemporalLFP would "
                "not call: remove it (handle.remove()), and change parameter.grad after backward."
            )


def refuse_step_statistics(net: nn.Module) -> None:
    """Refuse batch normalisations that take statistics at every step, or share running ones.

    In evaluation, without running statistics, the module takes the statistics of the batch at each
    step, and the engine would take them over all steps.

    Raises:
        NetworkError: there is such a normalisation; the message names it.
    """
    owners: dict[int, str] = {}
    for name, module in batch_norms(net).items():
        if module.running_mean is None and not module.training:
            raise NetworkError(
                f"Module '{name}' ({type(module).__name__}) has no running statistics and takes "
                "those of the batch at each step, for which there is no rule: build it with "
                "track_running_stats=True, or use one normalisation for each step "
                "(lfp_snn.norms.PerStep)."
            )
        other = owners.setdefault(id(module.running_mean), name)
        if module.running_mean is not None and other != name:
            raise NetworkError(
                f"Modules '{other}' and '{name}' share their running statistics, which each would "
                "move in another order than step by step: give each its own."
            )


def _refuse_computed(name: str, module: nn.Module) -> None:
    if parametrize.is_parametrized(module):
        (key, *_) = module.parametrizations  # type: ignore[misc]
        steps: nn.Module = module.parametrizations[key]  # type: ignore[index, assignment]
        kinds = ", ".join(type(step).__name__ for step in steps.children())
        raise _refused(
            name,
            f"computes '{key}' by a parametrisation ({kinds})",
            f"torch.nn.utils.parametrize.remove_parametrizations(module, '{key}')",
        )
    for hook in module._forward_pre_hooks.values():
        key = getattr(hook, "_tensor_name", None) or getattr(hook, "name", "weight")
        if isinstance(hook, prune.BasePruningMethod):
            remedy = f"torch.nn.utils.prune.remove(module, '{key}')"
            raise _refused(name, f"prunes '{key}' by a hook", f"{remedy}; what is zero stays zero")
        if isinstance(hook, WeightNorm):
            remedy = "torch.nn.utils.remove_weight_norm(module)"
            raise _refused(name, f"normalises '{key}' by a hook (weight_norm)", remedy)
        if isinstance(hook, SpectralNorm):
            remedy = "torch.nn.utils.remove_spectral_norm(module)"
            raise _refused(name, f"normalises '{key}' by a hook (spectral_norm)", remedy)
    for key in ("weight", "bias"):
        if isinstance(module.__dict__.get(key), Tensor):  # neither a parameter nor a buffer
            raise _refused(
                name,
                f"has a '{key}' that is an ordinary tensor, which nothing would train",
                f"module.register_parameter or register_buffer('{key}', ...)",
            )


def _refused(name: str, what: str, remedy: str) -> NetworkError:
    return NetworkError(
        f"Module '{name}' {what}, for which there is no rule; make it permanent first: {remedy}."
    )
