"""Runs that were trained: the network with the best weights, the settings, the data."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from lfp_snn.data import Batch, SampleSet, Splits, load, load_file
from lfp_snn.data.identity import other
from lfp_snn.engine.guesses import note_frame
from lfp_snn.errors import ConfigError, RunError
from lfp_snn.learners import Learner
from lfp_snn.models import Model
from lfp_snn.models.bounded import no_larger_than
from lfp_snn.options import Choice
from lfp_snn.shipped import located
from lfp_snn.training.assembly import build_learner, refuse_regression
from lfp_snn.training.checkpoint import load_best, load_net
from lfp_snn.training.config import Config, Fitted, Settings, pick_device
from lfp_snn.training.configfile import load_settings
from lfp_snn.training.configproblems import cut
from lfp_snn.training.evaluation import Evaluation, evaluate, voters
from lfp_snn.training.feeding import splits_for
from lfp_snn.training.resume import (
    INFO_AGAIN,
    data_identity,
    noted_identity,
    other_network,
    read_info,
    told,
)
from lfp_snn.training.rundir import RunDir
from lfp_snn.training.teaching import GivenReward, GivenRule, given_again, to_run
from lfp_snn.wording import by_config

__all__ = ["TrainedRun"]


@dataclass(frozen=True)
class TrainedRun:
    """A finished or interrupted run, with its best weights.

    Attributes:
        config: the settings of the run; a :class:`~lfp_snn.training.config.Config` where a config
            describes all of it.
        learner: the learner with the network, in evaluation mode.
        classes: the names of the classes.
        run: the run directory; ``None`` where there is none.
        own: a function that makes the data that :func:`~lfp_snn.training.run.fit` was given, if it
            was not loaded by its name: ``Splits``, or the parts (train, val, test).
    """

    config: Settings
    learner: Learner
    classes: list[str]
    run: RunDir | None = None
    own: Callable[[], Any] | None = None

    @classmethod
    def open(
        cls,
        path: Path | str,
        overrides: Sequence[str] = (),
        *,
        net: Callable[[], nn.Module] | None = None,
        data: Callable[[], Any] | None = None,
        reward: GivenReward | None = None,
        rule: GivenRule | None = None,
    ) -> TrainedRun:
        """Load a run.

        Args:
            path: the run directory, or a shipped network as ``hub:NAME`` (:mod:`lfp_snn.hub`).
            overrides: the ``key=value`` changes of its config, such as ``data.root=elsewhere``.
            net: a function that makes the network, for a run of :func:`~lfp_snn.training.run.fit`;
                the network then gets the weights of the run.
            data: a function that makes the data that the run was trained on, where it has no name.
            reward: the reward of the run, if that is of a class of a user's own. It is needed to
                train on, and to read a class where the reward has a way of its own.
            rule: the rule of the run, likewise, which is needed to train on.

        Raises:
            ConfigError: the reward reads a class in a way of its own and is not given, or another
                is given than the one of the run.
            RunError: the path is no run, the run has no checkpoint yet, it is of another network,
                or of one that no config describes and that is not given; net or data is no function
                that makes it.
        """
        if not isinstance(path, str | Path):
            raise RunError(f"The run is {path!r}; expected the path of its directory, or hub:NAME.")
        _require_makers(net, data)
        run = RunDir.open(located(path))
        from_config, shape, classes = _described(run)
        config: Settings = load_settings(Config if from_config else Fitted, run.config, overrides)
        described = isinstance(config, Config) and config.model.describes
        if (described and net is not None) or (from_config and data is not None):
            raise RunError(
                f"{run.path} has network and data of its config; leave --net and --data out."
                if described
                else f"{run.path} has the data of its config; leave --data out."
            )
        if not described and net is None:
            raise RunError(
                f"{run.path} has a network of its own: say what makes it, with --net "
                "module:function or TrainedRun.open(..., net=function)."
            )
        tensors = load_best(run)
        made: nn.Module
        if isinstance(config, Config) and described:
            with no_larger_than(tensors, run.path, RunError):
                made = config.model.build(shape, len(classes))
        else:
            assert net is not None
            made = net()
            if not isinstance(made, nn.Module):
                raise RunError(
                    f"net makes a {type(made).__name__}; expected a function that makes a network."
                )
            _refuse_other(run, made)
        load_net(made, tensors, run.best)
        note_frame(made, shape)
        config = given_again(config, reward, rule)
        learner = build_learner(made.to(pick_device(config.device)), to_run(config))
        made.eval()
        return cls(config, learner, classes, run, data)

    @property
    def name(self) -> str:
        """The name of the experiment, or else of the run directory."""
        if isinstance(self.config, Config):
            return self.config.name
        return "own" if self.run is None else self.run.path.resolve().name

    @property
    def model(self) -> Model:
        """The section of the config that describes the network.

        Raises:
            RunError: no config describes the network.
        """
        if isinstance(self.config, Config) and self.config.model.describes:
            return self.config.model
        best = "best.safetensors" if self.run is None else self.run.best
        raise RunError(
            f"A file that says what network its weights are of takes one that a config describes; "
            f"the weights of this one, which a function of its own makes, are in {best}."
        )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of an input at one step, as the run notes it."""
        assert self.run is not None
        return _described(self.run)[1]

    def splits(self, *, streamed: bool = False) -> Splits:
        """The data of the run.

        Args:
            streamed: whether the recordings themselves are read, where there are any, to find each
                event.

        Raises:
            RunError: the data was given to fit and is not given now, or differs from what it was.
            ConfigError, DataError: the data cannot be loaded.
        """
        if self.own is not None:
            return self._given(self.own())
        data: Choice | None = self.config.data  # type: ignore[attr-defined]
        if data is None:
            raise RunError(
                f"{self.name} was trained on data that fit was given: say what makes it, with "
                "--data module:function or TrainedRun.open(..., data=function)."
            )
        if streamed and hasattr(data, "storage"):
            data = data.model_copy(update={"storage": "streamed"})
        with by_config():
            return load(data.name, **data.options())

    def classified(self, *, streamed: bool = False) -> Splits:
        """The data of the run, for callers that compare or explain classes.

        Raises:
            ConfigError: samples have targets and no classes.
        """
        splits = self.splits(streamed=streamed)
        refuse_regression(splits)
        return splits

    def evaluate(self, votes: int = 1) -> Evaluation:
        """The accuracy and more on the test set.

        Args:
            votes: the number of copies of each sample by which it is read
                (:func:`~lfp_snn.training.evaluation.voters`).

        Raises:
            ConfigError: the copies that vote are all alike, or each is partly another recording.
        """
        self._refuse_mixed(votes)
        return evaluate(self.learner, self.splits().test, self.config.batch_size, votes=votes)

    def read(self, path: Path | str) -> Batch:
        """One recording from a file as a batch; raises as :meth:`recording`."""
        return self.recording(path).batch([0]).to(self.learner.device)

    def copies(self, path: Path | str, votes: int) -> tuple[Batch, ...]:
        """One recording from a file as a batch, and copies of it that vote with it.

        Args:
            path: the file.
            votes: the number of batches.

        Raises:
            ConfigError, DataError: as :meth:`recording` and :meth:`evaluate`.
        """
        self._refuse_mixed(votes)
        return next(voters(self.learner, self.recording(path), 1, votes=votes))

    def _refuse_mixed(self, votes: int) -> None:
        """Refuse to vote by copies that are partly of another recording."""
        steps = getattr(getattr(self.config, "data", None), "augment", ())
        if votes > 1 and any(step.name == "mix" for step in steps):
            raise ConfigError(
                "data.augment has mix, which puts a part of another recording into a copy, and no "
                "such copy can vote: say what changes them, such as data.augment='[{name: shift}]'."
            )

    def recording(self, path: Path | str) -> SampleSet:
        """A set of one recording from a file, encoded as the run's dataset is.

        Raises:
            ConfigError: the dataset has no single recordings, or no name.
            DataError: the file cannot be read.
        """
        data: Choice | None = self.config.data  # type: ignore[attr-defined]
        if data is None:
            raise ConfigError(
                f"{self.name} was trained on data that fit was given, and nothing says how a file "
                "becomes an input of it; run lfp_snn.TemporalLFP on an input instead."
            )
        return load_file(data.name, path, **data.options())

    def _given(self, data: Any) -> Splits:
        """The data that a user's function makes, as fit would take it, if it is that of the run."""
        if isinstance(data, Splits):
            splits = data
        else:
            parts = data if isinstance(data, tuple | list) else (data,)
            assert isinstance(self.config, Fitted)
            said = {"steps": self.config.steps, "layout": self.config.layout}
            splits = splits_for(self.learner.net, *parts, *[None] * (3 - len(parts)), **said)
        noted = {} if self.run is None else noted_identity(self.run)
        now = data_identity(splits)
        for part, before in noted.items():
            for what in other(before, now[part]):
                raise RunError(
                    f"The data are others than {self.name} was trained with: {told(what, part)} "
                    f"were {before[what]} and are {now[part][what]}."
                )
        return splits


def _require_makers(net: object, data: object) -> None:
    """Refuse what is made already in the place of a function that makes it.

    Raises:
        RunError: net is a network, or data is data, or something else.
    """
    if net is not None and (isinstance(net, nn.Module) or not callable(net)):
        raise RunError(
            f"net is a {type(net).__name__}; expected a function that makes the network, such as "
            "net=make_net or net=lambda: Net(), which then gets the weights of the run."
        )
    if data is not None and not callable(data):
        raise RunError(
            f"data is a {type(data).__name__}; expected a function that gives what fit was given, "
            "such as data=lambda: (train, val, test)."
        )
    for name, function in (("net", net), ("data", data)):
        if callable(function) and not _takes_nothing(function):
            raise RunError(
                f"{name} is a function that needs arguments; expected one without, such as "
                f"{name}=lambda: make(...)."
            )


def _refuse_other(run: RunDir, net: nn.Module) -> None:
    """Refuse a network of other modules or constants, which weights of the same names would fit.

    Raises:
        RunError: the network differs; the message names the first thing that does.
    """
    differing = other_network(run, net)
    if differing is not None:
        raise RunError(
            f"{run.path} is of another network: {differing} in the one that net makes; name the "
            "function that makes the network of the run."
        )


def _takes_nothing(function: Callable[..., Any]) -> bool:
    """Whether a function can be called without arguments, as far as it says what it takes."""
    try:
        inspect.signature(function).bind()
    except TypeError:
        return False
    except ValueError:  # written in C, it may say nothing
        return True
    return True


def _described(run: RunDir) -> tuple[bool, tuple[int, ...], list[str]]:
    """Facts of run.json: whether a config makes the network, the shape of an input, the classes.

    Raises:
        RunError: run.json says something else.
    """
    info = read_info(run)
    data = info.get("data")
    if not isinstance(data, dict):
        raise _no_description(run, "data", data, "a mapping")
    shape, classes = data.get("feature_shape"), data.get("classes")
    if not isinstance(shape, list) or not shape or not all(map(_is_side, shape)):
        raise _no_description(run, "data.feature_shape", shape, "sides such as [2, 34, 34]")
    if not isinstance(classes, list) or not classes:
        raise _no_description(run, "data.classes", classes, "the names of the classes")
    if "from_config" not in info:
        raise _no_description(run, "from_config", None, "true or false")
    return bool(info["from_config"]), tuple(shape), [str(name) for name in classes]


def _is_side(value: object) -> bool:
    return type(value) is int and value > 0


def _no_description(run: RunDir, key: str, found: object, expected: str) -> RunError:
    shown = "missing" if found is None else cut(repr(found))
    return RunError(
        f"{run.info} does not describe a run: {key} is {shown}, expected {expected}; {INFO_AGAIN}."
    )
