"""The search for an arm's hyper-parameters: Optuna, kept in a store, so that it can go on."""

from __future__ import annotations

import os
import platform
from datetime import datetime, timedelta
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from lfp_snn.analysis.study.spec import Arm, Space
from lfp_snn.analysis.study.store import Store
from lfp_snn.data import Splits
from lfp_snn.errors import LfpSnnError, RunError
from lfp_snn.training import Interrupted, Observer, train
from lfp_snn.training.assembly import load_classes

__all__ = ["Tuning", "importances", "run_trial", "session_name"]

optuna.logging.set_verbosity(optuna.logging.WARNING)

#: Epochs and trials before a trial may be pruned: none is judged by its first steps.
WARMUP_SHARE = 0.3
FIRST_TRIALS = 4

_SPENT = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)
_INTERRUPTED = "interrupted"
_SESSION = "session"
#: What a trial has to be claimed in; clocks of several machines may differ by less.
YOUNG = timedelta(minutes=1)


def session_name(pid: int) -> str:
    """A name for the session that is a process of this machine."""
    return f"{platform.node()}-{pid}"


class Tuning:
    """The trials of one arm.

    Args:
        arm: the arm whose settings are searched.
        store: the store of the trials of all arms of a study.
    """

    def __init__(self, arm: Arm, store: Store) -> None:
        self.arm = arm
        self.store = store
        self._storage = store.open()
        self._optuna = optuna.create_study(
            storage=self._storage,
            study_name=store.name(arm.name),
            direction="maximize",
            load_if_exists=True,
        )

    def _left_open(self) -> list[FrozenTrial]:
        """The trials that nobody runs any more, though they have not ended."""
        trials = self._optuna.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return [trial for trial in trials if not self._alive(trial)]

    def _alive(self, trial: FrozenTrial) -> bool:
        """Whether a process runs a trial; called while no process of this session does."""
        if not self.store.shared or trial.user_attrs.get(_SESSION) == session_name(os.getpid()):
            return False
        claim = self.store.claim_trial(self.arm.name, trial.number)
        if claim is None:
            return True
        claim.close()
        began = trial.datetime_start
        return began is not None and datetime.now() - began < YOUNG

    def give_up_interrupted(self) -> None:
        """Close trials that a killed process left open; their settings will be tried again."""
        for trial in self._left_open():
            # Marked first: a trial that has ended can no longer be.
            self._storage.set_trial_user_attr(trial._trial_id, _INTERRUPTED, True)
            self._optuna.tell(trial.number, state=TrialState.FAIL)
            if trial.params:
                self._optuna.enqueue_trial(trial.params)

    def fail_open(self, reason: str) -> None:
        """Count trials of this session that are still open, though nobody runs them, as failed."""
        for trial in self._left_open():
            if self.store.shared and trial.user_attrs.get(_SESSION) != session_name(os.getpid()):
                continue  # of a session that has died, and not by itself
            self._storage.set_trial_user_attr(trial._trial_id, "error", reason)
            self._optuna.tell(trial.number, state=TrialState.FAIL)

    def spent(self) -> list[FrozenTrial]:
        """The number of trials that count: completed, pruned or failed by themselves."""
        trials = self._optuna.get_trials(deepcopy=False, states=_SPENT)
        return [trial for trial in trials if _INTERRUPTED not in trial.user_attrs]

    def failed(self) -> list[str]:
        """The reasons why trials failed."""
        return [
            str(trial.user_attrs.get("error", "its process died"))
            for trial in self.spent()
            if trial.state == TrialState.FAIL
        ]

    def remaining(self) -> int:
        """The number of trials still to run."""
        return max(0, self.arm.trials - len(self.spent()))

    def free(self) -> int:
        """The number of trials still to run that no other session runs."""
        open_ = self._optuna.get_trials(deepcopy=False, states=(TrialState.RUNNING,))
        return max(0, self.remaining() - len(open_))

    def best(self) -> tuple[dict[str, Any], float | None]:
        """The values of the best completed trial, and its validation accuracy.

        Of equal trials the first counts. If nothing was searched, there are no values.

        Raises:
            RunError: no trial was completed.
        """
        if not self.arm.trials:
            return {}, None
        done = [trial for trial in self.spent() if trial.state == TrialState.COMPLETE]
        if not done:
            why = "; ".join(dict.fromkeys(self.failed())) or "all were pruned"
            raise RunError(f"No trial of {self.arm.name!r} was completed: {why}.")
        best = max(done, key=lambda trial: (trial.value or 0.0, -trial.number))
        return dict(best.params), best.value


class _Pruning(Observer):
    """An observer that reports epochs to a trial, and ends it if others were better by then."""

    def __init__(self, trial: Trial) -> None:
        self.trial = trial

    def epoch_ended(self, metrics: dict[str, Any]) -> None:
        """Report the validation accuracy."""
        self.trial.report(metrics["val_accuracy"], metrics["epoch"])
        if self.trial.should_prune():
            raise optuna.TrialPruned


def run_trial(arm: Arm, store: Store) -> None:
    """Run one more trial in this process: train on validation data, never look at the test part.

    Settings that cannot work (feedback not finite, a network that cannot be calibrated) fail the
    trial, and then count as tried.
    """
    epochs = arm.search.epochs or arm.config({}, 0).epochs
    loaded = optuna.load_study(storage=store.open(), study_name=store.name(arm.name))
    # Every trial has a process of its own: a common seed would draw the same numbers each time.
    drawn = arm.search.seed + len(loaded.get_trials(deepcopy=False))
    loaded.sampler = optuna.samplers.TPESampler(seed=drawn, n_startup_trials=FIRST_TRIALS)
    loaded.pruner = optuna.pruners.MedianPruner(
        n_startup_trials=FIRST_TRIALS, n_warmup_steps=max(1, round(WARMUP_SHARE * epochs))
    )
    trial = loaded.ask()
    trial.set_user_attr(_SESSION, session_name(os.getppid()))  # which has started this process
    claim = store.claim_trial(arm.name, trial.number) if store.shared else None
    try:
        if _over_budget(loaded, trial, arm):
            trial.set_user_attr(_INTERRUPTED, True)
            loaded.tell(trial, state=TrialState.FAIL)
        else:
            _try(loaded, trial, arm)
    finally:
        if claim is not None:
            claim.close()


def _over_budget(loaded: optuna.Study, trial: Trial, arm: Arm) -> bool:
    """Whether other sessions took the last trials of the budget between counting and asking."""
    before = [
        each
        for each in loaded.get_trials(deepcopy=False, states=(TrialState.RUNNING, *_SPENT))
        if each.number < trial.number and _INTERRUPTED not in each.user_attrs
    ]
    return len(before) >= arm.search.trials


def _try(loaded: optuna.Study, trial: Trial, arm: Arm) -> None:
    """Train with the values of a trial, and report the result."""
    values = suggest(trial, arm.tune)
    try:
        config = arm.config(values, arm.search.seed, arm.search.epochs)
        # Anew each time: the search may be over the data's options.
        data = load_classes(config, validated=True)
        unseen = Splits(data.train, data.val, data.val, data.info)
        result = train(config, splits=unseen, observers=[_Pruning(trial)])
    except optuna.TrialPruned:
        loaded.tell(trial, state=TrialState.PRUNED)
    except Interrupted:
        raise  # stays open; the next search closes it and tries the same again
    except LfpSnnError as error:
        trial.set_user_attr("error", str(error))
        loaded.tell(trial, state=TrialState.FAIL)
    else:
        loaded.tell(trial, result.val_accuracy)


def suggest(trial: Trial, space: Space) -> dict[str, Any]:
    """A value for every key of a space."""
    values: dict[str, Any] = {}
    for key, each in space.items():
        if isinstance(each, list):
            values[key] = trial.suggest_categorical(key, each)
        elif isinstance(each.low, int) and isinstance(each.high, int):
            values[key] = trial.suggest_int(key, each.low, each.high, log=each.log)
        else:
            values[key] = trial.suggest_float(key, float(each.low), float(each.high), log=each.log)
    return values


def importances(store: Store, name: str) -> dict[str, float]:
    """The share of the variance of the accuracy of each key (fANOVA); empty if unknown.

    Source: Hutter, Hoos, Leyton-Brown, *An Efficient Approach for Assessing Hyperparameter
    Importance*, ICML 2014.
    """
    study = optuna.load_study(storage=store.open(), study_name=store.name(name))
    done = [t for t in study.get_trials(deepcopy=False) if t.state == TrialState.COMPLETE]
    if len(done) < 4 or len({trial.value for trial in done}) < 2:
        return {}
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return dict(optuna.importance.get_param_importances(study, evaluator=evaluator))
