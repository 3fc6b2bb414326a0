"""Curves of the test accuracy of a run over the share of its weights that is pruned."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lfp_snn.analysis.measures import gini
from lfp_snn.analysis.prune.criteria import (
    Criterion,
    magnitude,
    member,
    randomly,
    relevance,
    weights,
)
from lfp_snn.analysis.prune.ranking import Ranking, Scope, rank
from lfp_snn.data import SampleSet, Splits
from lfp_snn.engine.computed import refuse_computed_weights
from lfp_snn.errors import ConfigError
from lfp_snn.options import Choice
from lfp_snn.training import Settings, TrainedRun, evaluate

__all__ = [
    "SHARES",
    "TOLERATED",
    "Curve",
    "PruningOptions",
    "PrunedRun",
    "learner_name",
    "prune_run",
    "rankings",
    "refuse_unlike",
]

#: Shares by default: closer where accuracy tends to fall.
SHARES = (0.0, 0.2, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.93, 0.95, 0.97, 0.98, 0.99)
#: Accuracy that may be lost for a share to count as prunable.
TOLERATED = 0.01


@dataclass(frozen=True)
class PruningOptions:
    """The options of pruning a run.

    Attributes:
        criteria: the criteria by which weights are pruned; their names stand for them.
        shares: the shares that are pruned, ascending, in [0, 1]; 0 is the whole network.
        scope: the weights that compete with each other; its name stands for it.
        draws: the number of random orders, over which accuracy is averaged.
        samples: the number of training samples, drawn alike each time, through which relevance is
            sent; fewer if there are not so many.

    Raises:
        ConfigError: shares are not ascending from 0, or there are fewer than two; there is no such
            criterion or scope.
    """

    criteria: Sequence[Criterion] = tuple(Criterion)
    shares: Sequence[float] = SHARES
    scope: Scope = Scope.network
    draws: int = 5
    samples: int = 300

    def __post_init__(self) -> None:
        asked = [self.criteria] if isinstance(self.criteria, str) else self.criteria
        criteria = tuple(member("criterion", Criterion, each) for each in asked)
        object.__setattr__(self, "criteria", criteria)
        object.__setattr__(self, "scope", member("scope", Scope, self.scope))
        shares = np.asarray(self.shares)
        rising = (
            len(shares) > 1 and shares[0] == 0 and shares[-1] <= 1 and np.diff(shares).min() > 0
        )
        if not rising:
            given = ", ".join(f"{share:g}" for share in self.shares)
            raise ConfigError(
                f"--shares is {given or 'empty'}; expected numbers that rise from 0, the network "
                f"as it is, to 1 at most, such as 0,0.5,0.9."
            )


@dataclass(frozen=True)
class Curve:
    """A curve of test accuracy over the share pruned, the mean over the draws of a random order.

    Attributes:
        criterion: the criterion that decided which weights go.
        shares: the shares that are pruned, ascending from 0.
        accuracies: the test accuracy at each share, in [0, 1].
    """

    criterion: Criterion
    shares: Sequence[float]
    accuracies: Sequence[float]

    @property
    def kept(self) -> float:
        r"""Accuracy that the network keeps, of what it had, mean over the shares; 1 if all of it.

        .. math:: \frac{1}{s_n} \int_0^{s_n} \frac{a(s)}{a(0)} ds

        by the trapezoidal rule: the area under the curve, with what networks differ in before
        anything is pruned taken out.
        """
        if not self.accuracies[0]:
            return 1.0
        area = float(np.trapezoid(self.accuracies, self.shares)) / self.shares[-1]
        return area / self.accuracies[0]

    @property
    def prunable(self) -> float:
        """The largest share up to which less than a point of accuracy is lost at every share."""
        floor = self.accuracies[0] - TOLERATED + 1e-9  # a whole point, but for rounding, is lost
        below = (at for at, accuracy in enumerate(self.accuracies) if accuracy < floor)
        first = next(below, len(self.shares))
        return self.shares[first - 1]


@dataclass(frozen=True)
class PrunedRun:
    """The results of pruning a run.

    Attributes:
        path: the path of the run.
        learner: the name of the run's learner.
        seed: the seed of the run.
        gini: the Gini index of the sizes of its weights: near 1 if a few are large.
        zeros: the share of weights that are zero before anything is pruned.
        count: the number of weights that can be pruned.
        curves: the curves, one for each criterion.
    """

    path: Path
    learner: str
    seed: int
    gini: float
    zeros: float
    count: int
    curves: Sequence[Curve]

    def curve(self, criterion: Criterion) -> Curve:
        """The curve of a criterion."""
        return next(each for each in self.curves if each.criterion is criterion)


def rankings(
    trained: TrainedRun, train: SampleSet, criterion: Criterion, options: PruningOptions
) -> Iterator[Ranking]:
    """The orders of weights by a criterion: one, or as many as there are draws.

    Args:
        trained: the run.
        train: the training set of the run.
        criterion: the criterion that decides.
        options: the scope, draws and samples.
    """
    net = trained.learner.net
    criterion = member("criterion", Criterion, criterion)
    if criterion is Criterion.random:
        for draw in range(options.draws):
            yield rank(net, randomly(net, draw), options.scope)
    elif criterion is Criterion.relevance:
        chosen = np.random.default_rng(0).permutation(len(train))[: options.samples]
        scores = relevance(trained.learner, train.subset(np.sort(chosen)))
        yield rank(net, scores, options.scope)
    else:
        yield rank(net, magnitude(net), options.scope)


def prune_run(
    path: Path,
    trained: TrainedRun,
    splits: Splits,
    options: PruningOptions,
    advanced: Callable[[], None] = lambda: None,
) -> PrunedRun:
    """Measure the test accuracy of a run at every share, by every criterion.

    The network has its own weights again afterwards.

    Args:
        path: the path of the run.
        trained: the run.
        splits: the data of the run.
        options: the options of pruning.
        advanced: a function that is called after each order; there are ``len(criteria)`` of them, a
            random one counting ``draws`` times.

    Raises:
        NetworkError: a layer computes its weights, as one that torch has pruned does.
    """
    learner, config = trained.learner, trained.config
    refuse_computed_weights(learner.net, every=True)

    def accuracy(ranking: Ranking, share: float) -> float:
        with ranking.pruned(learner.net, share):
            return evaluate(learner, splits.test, config.batch_size).accuracy

    curves = []
    for criterion in options.criteria:
        found = []
        for ranking in rankings(trained, splits.train, criterion, options):
            found.append([accuracy(ranking, share) for share in options.shares])
            advanced()
        curves.append(Curve(criterion, options.shares, np.mean(found, axis=0).tolist()))
    every = [weight.detach().flatten() for weight in weights(learner.net).values()]
    zeros = sum(int((each == 0).sum()) for each in every)
    count = sum(len(each) for each in every)
    return PrunedRun(
        path,
        learner_name(config.learner),
        config.seed,
        # Of each layer by itself, weighted by its weights: layers differ in scale, which is no
        # sparsity.
        sum(gini(each) * len(each) for each in every) / count,
        zeros / count,
        count,
        curves,
    )


def learner_name(learner: Choice) -> str:
    """The name of a learner, with its rule where it has one: ``lfp, rescale``."""
    rule = _rule_of(learner)
    return f"{learner.name}, {rule}" if rule else learner.name


def _rule_of(learner: Choice) -> str:
    """The rule of a learner with the numbers that are not its defaults; empty if it has none."""
    rule = getattr(learner, "rule", None)
    if not isinstance(rule, Choice):
        return ""
    numbers = (
        f"{name}={getattr(rule, name):g}"
        for name, field in type(rule).model_fields.items()
        if isinstance(getattr(rule, name), int | float) and getattr(rule, name) != field.default
    )
    return " ".join([rule.name, *numbers])


def refuse_unlike(configs: Mapping[Path, Settings]) -> None:
    """Refuse runs that cannot be put side by side.

    Raises:
        ConfigError: a run has another network or other data than the first one, or the learner,
            the rule and the seed of one that was named before.
    """
    known: dict[tuple[str, int], Path] = {}
    first, *_ = configs
    for path, config in configs.items():
        for section in ("model", "data"):
            if getattr(config, section, None) != getattr(configs[first], section, None):
                raise ConfigError(
                    f"{path} has another section {section} than {first}: prune them apart."
                )
        place = (learner_name(config.learner), config.seed)
        if place in known:
            raise ConfigError(
                f"{path} and {known[place]} are both of {place[0]} with seed {place[1]}: name one."
            )
        known[place] = path
