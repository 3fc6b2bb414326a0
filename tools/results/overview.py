"""The table that says all comparisons at a glance: a row for each record."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lfp_snn.analysis.compare.study import ComparisonStudy
from lfp_snn.analysis.study.statistics import paired
from lfp_snn.cli.shipped import find_config
from lfp_snn.data import DATASETS
from lfp_snn.errors import ConfigError
from tools.results.records import ArmRecord, ComparisonRecord, MachineRecord
from tools.results.tables import TableError, interval, table

__all__ = ["overview"]

TITLES = (
    "data",
    "network",
    "published LFP",
    "default (`rescale`)",
    "surrogate",
    "default less surrogate, points",
    "seeds",
)
#: The stabiliser of the published rule in most comparisons; another one is told.
USUAL_EPS = 0.1
#: The entry of a learner that was not compared.
NONE = "\u2013"


def overview(records: Mapping[str, ComparisonRecord]) -> Iterator[str]:
    """Comparisons, a row each: test accuracy by published LFP, the default rule, and a surrogate.

    The machine of most is named below the table, that of another record in a note.

    Data and network are read from the config that the command names; learners that are none of the
    three are left out.
    """
    notes: list[str] = []
    rows = []
    machines = {name: _machine(record.machine) for name, record in records.items()}
    usual, _ = Counter(machines.values()).most_common(1)[0]
    for name, record in records.items():
        arms = {kind: _arm(record, kind) for kind in ("epsilon", "rescale", "surrogate")}
        data, network = _setting(name, record.command)
        parts = " / ".join(str(record.parts[part]) for part in ("train", "val", "test"))
        cells = [_cell(arm, notes) for arm in arms.values()]
        seeds = "/".join(str(n) for n in sorted({len(a.seeds) for a in arms.values() if a}))
        elsewhere = [f"On {machines[name]}."] if machines[name] != usual else []
        mark = _marked(elsewhere, notes)
        rows.append(
            [
                f"{data} ({parts})",
                network,
                *cells,
                _difference(arms["rescale"], arms["surrogate"]),
                f"{seeds} ([record](records/{name}.json)) {mark}".rstrip(),
            ]
        )
    yield table(TITLES, rows)
    but = ", unless a note says else" if len(set(machines.values())) > 1 else ""
    yield (
        "In brackets behind the data: samples to train, to validate, and to test. "
        f"Measured on {usual}{but}."
    )
    if notes:
        yield " ".join(f"<sup>{number}</sup> {note}" for number, note in enumerate(notes, 1))


def _arm(record: ComparisonRecord, kind: str) -> ArmRecord | None:
    """The first learner of a kind: a rule of LFP, or ``surrogate``."""
    for arm in record.learners.values():
        rule = (arm.learner.get("rule") or {}).get("name", "rescale")
        if kind == (rule if arm.learner["name"] == "lfp" else arm.learner["name"]):
            return arm
    return None


def _cell(arm: ArmRecord | None, notes: list[str]) -> str:
    if arm is None:
        return NONE
    return f"{interval(arm.test)} {_marked(_notes(arm.learner), notes)}".rstrip()


def _marked(found: Iterable[str], notes: list[str]) -> str:
    """The marks of notes, which are added to those below the table where they are new."""
    marks = []
    for note in found:
        if note not in notes:
            notes.append(note)
        marks.append(f"<sup>{notes.index(note) + 1}</sup>")
    return " ".join(marks)


def _notes(learner: Mapping[str, Any]) -> Iterator[str]:
    rule = learner.get("rule") or {}
    if rule.get("name") == "epsilon" and rule.get("eps", 1e-6) != USUAL_EPS:
        yield f"With epsilon {rule.get('eps', 1e-6):g}; elsewhere it is {USUAL_EPS:g}."


def _setting(name: str, command: str) -> tuple[str, str]:
    """The data and the network of a comparison, in a few words."""
    _, _, shipped, *words = shlex.split(command)
    changes = [word for word in words if re.match(r"[a-z_.]+=", word)]
    try:
        arm = ComparisonStudy.load(find_config(shipped), changes).arms[0]
    except ConfigError as error:
        raise TableError(f"{name}: {command} cannot be read: {error}") from error
    config = arm.config({}, 0)
    data = DATASETS[config.data.name].source.partition(",")[0]
    root = getattr(config.data, "root", None)
    if config.data.name == "images" and root is not None:  # one's own, which the file names
        data = f"images of {root.name}"
    if getattr(config.data, "split_by", None) == "speaker":
        data += ", unseen speakers"
    return data, _network({**config.model.model_dump(mode="json"), **arm.base["model"]})


def _network(model: Mapping[str, Any]) -> str:
    if model["name"] == "layers":
        neurons = sum(each == "lif" for each in model["layers"])
        norm = ", batch norm" if "batchnorm" in model["layers"] else ""
        return f"{neurons} spiking layers{norm}"
    words = [str(model["name"])]
    if "hidden" in model:
        words[0] += f" {'-'.join(map(str, model['hidden']))}"
    if model.get("width", 1) != 1:
        words.append(f"width {model['width']:g}")
    if model.get("norm", "none") != "none":
        words.append(f"{model['norm']} norm")
    return ", ".join(words)


def _difference(ours: ArmRecord | None, theirs: ArmRecord | None) -> str:
    if ours is None or theirs is None:
        return NONE
    one, other = (dict(zip(a.seeds, a.test, strict=True)) for a in (ours, theirs))
    both = sorted(one.keys() & other.keys())
    if len(both) < 2:
        return NONE
    found = paired([one[seed] for seed in both], [other[seed] for seed in both])
    return f"{100 * found.difference:+.1f} ({100 * found.low:+.1f} to {100 * found.high:+.1f})"


def _machine(machine: MachineRecord) -> str:
    processor = re.sub(r"\((R|TM)\)|\bProcessor\b|\bCPU\b.*", "", machine.processor or "unknown")
    threads = "1 thread" if machine.threads == 1 else f"{machine.threads} threads"
    return f"{' '.join(processor.split())}, {machine.cores_in_words}, {threads}"
