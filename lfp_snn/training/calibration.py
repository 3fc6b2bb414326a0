"""Calibration: initial weights with which every layer fires.

A neuron that never spikes hands no credit on, and one that always spikes carries no information.
Layer by layer, calibration scales the synapses that feed a population of neurons until it fires at
a target rate on one batch. Depth is then no obstacle: six spiking layers train as well as two.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from lfp_snn.data import Batch
from lfp_snn.engine import TemporalLFP
from lfp_snn.engine.inputs import check_kind
from lfp_snn.engine.made import made_of
from lfp_snn.errors import ConfigError, NetworkError
from lfp_snn.learners import TrainingBatch
from lfp_snn.norms import batch_norms
from lfp_snn.spikes import Spikes
from lfp_snn.wording import setting

__all__ = ["calibrate"]

_OCTAVES = 20  # factors from 2**-20 to 2**20 are tried
_MISS = 0.25  # relative distance from the target that is worth a warning


def calibrate(
    lfp: TemporalLFP,
    batch: TrainingBatch | Tensor | Spikes,
    target: float = 0.05,
    *,
    steps: int | None = None,
    tolerance: float = 0.02,
    iterations: int = 20,
    kept: Collection[nn.Module] = (),
) -> dict[str, float]:
    """Scale synapses until each neuron population fires at a target rate.

    Calibration goes through the layers from input to output. For each, a factor is sought by
    doubling or halving and then by bisection of its logarithm, and applied to the weights and
    biases of every synapse that feeds the population (a synapse that feeds several is scaled for
    the first). The same network and batch always give the same factors. Where a normalisation would
    undo the scale of the synapses before it, its own scale and shift take their place. A readout,
    which never spikes, has no rate: its synapses stay as they are. A population that
    no synapse feeds, such as one that takes a product of spikes, is passed over.

    Of the network only what lies between those synapses and the population is run again and again.
    It runs in evaluation mode, but for the statistics of normalisations, which are taken
    from the batch as in training; the network's mode is restored. The running ones become those of
    this batch, whatever the momentum: what PyTorch draws them as, mean 0 and variance 1, is of no
    data, and a training of a few batches would be evaluated with what is left of it.

    Args:
        lfp: the network; its synapses are changed in place.
        batch: the inputs to calibrate on, on the network's device: a batch, or what ``forward``
            takes, ``[T, B, ...]`` or a constant input ``[B, ...]`` with ``steps``.
        target: the mean spikes per neuron and step to reach, in (0, 0.5); 0.03 to 0.08 trains well.
        steps: T of a constant input that is given as a tensor.
        tolerance: the relative distance from the target at which the search ends.
        iterations: the number of bisections for each population.
        kept: the synapses and normalisations that stay as they are, for instance because they were
            trained before; a population that only such modules feed is passed over. Layers whose
            weight keeps its size whatever is behind it (spectral norm) stay too.

    Returns:
        The factor applied, for each neuron module by name.

    Raises:
        ConfigError: ``target`` is out of range, or what is kept is no modules of the network.
        ShapeError: the input is of another kind, or does not fit the network.
        NetworkError: what is given first is no :class:`~lfp_snn.TemporalLFP`; or a population
            stays silent whatever the factor; all is then as it was before, as after any error.

    Warns:
        RuntimeWarning: a population misses the target by more than a quarter; the rates of a few
            neurons over a few steps have gaps.
    """
    if not isinstance(target, int | float) or not 0 < target < 0.5:
        raise ConfigError(f"The target firing rate is {target!r}; expected one between 0 and 0.5.")
    if not isinstance(lfp, TemporalLFP):
        raise NetworkError(
            f"calibrate takes a TemporalLFP first, not a {type(lfp).__name__}: "
            "calibrate(TemporalLFP(net), x)."
        )
    _require_modules(lfp.net, kept)
    given = _batch_of(batch, steps)
    before = {name: tensor.clone() for name, tensor in lfp.net.state_dict().items()}
    training = [(module, module.training) for module in lfp.net.modules()]
    lfp.net.eval()
    factors: dict[str, float] = {}
    scaled: set[nn.Module] = set()
    try:
        lfp.trace(given.x, given.steps)
        with _statistics_of_the_batch(lfp.net, kept) as all_seen:
            synapses_of_all = {module for layer in lfp.layers for _, module in layer.synapses}
            staying = {*kept, *(module for module in synapses_of_all if not _grows(module))}
            for layer in lfp.layers:
                feeding = layer.norms or tuple(module for _, module in layer.synapses)
                if all(module in staying for module in feeding) or not layer.spikes:
                    continue
                synapses = [module for module in feeding if module not in scaled | staying]
                scaled.update(synapses)
                search = _Population(lfp, given, layer.name, synapses)
                factors[layer.name] = search.reach(target, tolerance, iterations)
            if not all_seen() and lfp.options.memory == "full":  # one of a readout, say
                lfp.forward(given.x, given.steps, given.lengths, record=False)
    except BaseException:
        lfp.net.load_state_dict(before)
        raise
    finally:
        for module, mode in training:
            module.training = mode
    return factors


def _batch_of(given: TrainingBatch | Tensor | Spikes, steps: int | None) -> Any:
    """A batch as it is, or one of an input alone.

    Raises:
        ShapeError: it is neither.
    """
    if hasattr(given, "lengths"):
        return given
    check_kind(given)
    return Batch(given, torch.empty(0, dtype=torch.int64), steps=steps)


def _grows(module: nn.Module) -> bool:
    """Whether twice the parameters of a layer are twice its tensors, also those it computes."""
    both = (made_of(module, key) for key in ("weight", "bias"))
    made = [each for each in both if each is not None]
    parameters = list(module.parameters())
    before = [each.detach().clone() for each in made]
    kept = [p.detach().clone() for p in parameters]
    with torch.no_grad():
        for parameter in parameters:
            parameter.mul_(2)
        for each in made:
            each.compute()
        for parameter, value in zip(parameters, kept, strict=True):
            parameter.copy_(value)
    return all(torch.allclose(a, 2 * b) for a, b in zip(made, before, strict=True))


def _require_modules(net: nn.Module, kept: object) -> None:
    """Refuse to keep anything but modules of a network.

    Raises:
        ConfigError: something else is kept, such as a name.
    """
    own = set(net.modules())
    strangers = [e for e in kept if e not in own] if isinstance(kept, Collection) else [kept]
    if strangers:
        raise ConfigError(
            f"calibrate is told to keep {strangers[0]!r}; expected modules of the network in a "
            "list, such as kept=[net[0]]."
        )


@contextmanager
def _statistics_of_the_batch(
    net: nn.Module, kept: Collection[nn.Module]
) -> Iterator[Callable[[], bool]]:
    """Let running statistics become those of the batch that is run within; kept ones stay.

    What is given tells whether all that do not stay have seen the batch.
    """
    staying = {module for each in kept for module in each.modules()}
    norms = batch_norms(net).values()
    before = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    counts = [None if seen is None else int(seen) for _, _, seen in before]
    for norm in norms:
        norm.train()
        norm.momentum = 0.0 if norm in staying else 1.0

    def all_seen() -> bool:
        seen = ((norm, now, count) for (norm, _, now), count in zip(before, counts, strict=True))
        return all(norm in staying or now is None or int(now) != count for norm, now, count in seen)

    try:
        yield all_seen
    finally:
        for (norm, momentum, seen), count in zip(before, counts, strict=True):
            norm.momentum = momentum
            if seen is not None and count is not None and int(seen) != count:
                seen.fill_(count if norm in staying else count + 1)  # one batch, in many passes


class _Population:
    """The firing rate of one neuron module as a function of the scale of its synapses."""

    def __init__(
        self, lfp: TemporalLFP, given: TrainingBatch, name: str, synapses: list[nn.Module]
    ) -> None:
        self.name = name
        parameters = [p for synapse in synapses for p in synapse.parameters()]
        self.initial = [(p, p.detach().clone()) for p in parameters]
        self.excerpt = lfp.excerpt(name, parameters, given.x, given.steps, given.lengths)

    def rate(self, exponent: float) -> float:
        """The spikes per neuron and step with the synapses scaled by ``2**exponent``."""
        with torch.no_grad():
            for parameter, initial in self.initial:
                parameter.copy_(initial * 2.0**exponent)
        return self.excerpt.firing_rate()

    def reach(self, target: float, tolerance: float, iterations: int) -> float:
        """Find the factor, leave the synapses scaled by it, and return it."""
        rates = {0.0: self.rate(0.0)}
        # Synapses scaled for an earlier population stay as they are.
        low, high = self._bracket(target, rates) if self.initial else (0.0, 0.0)
        for _ in range(iterations if self.initial else 0):
            if min(abs(rate - target) for rate in rates.values()) <= tolerance * target:
                break
            middle = (low + high) / 2
            rates[middle] = self.rate(middle)
            if rates[middle] < target:
                low = middle
            else:
                high = middle
        # Of equally near ones the smallest factor: nothing here may depend on chance.
        best = min(rates, key=lambda exponent: (abs(rates[exponent] - target), exponent))
        reached = self.rate(best)
        if reached == 0:
            raise NetworkError(
                f"Calibration cannot bring neuron {self.name!r} to a firing rate of {target:g}: it "
                f"stays silent whatever the scale of its synapses. Check its input and its "
                f"threshold, or switch calibration off ({setting('calibrate', None)})."
            )
        if abs(reached - target) > _MISS * target:
            warnings.warn(
                f"Calibration brought neuron {self.name!r} to a firing rate of {reached:.3g} only; "
                f"{target:g} could not be met.",
                RuntimeWarning,
                stacklevel=3,
            )
        return math.exp2(best)

    def _bracket(self, target: float, rates: dict[float, float]) -> tuple[float, float]:
        """Two exponents: at the lower the population fires below the target, at the upper not.

        If there are none (a neuron whose weights are mostly negative falls silent again as they
        grow), they are the last two that were tried.
        """
        step = 1.0 if rates[0.0] < target else -1.0
        exponent = 0.0
        while (rates[exponent] < target) == (step > 0) and abs(exponent) < _OCTAVES:
            exponent += step
            rates[exponent] = self.rate(exponent)
        return min(exponent, exponent - step), max(exponent, exponent - step)
