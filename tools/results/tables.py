"""Tables in Markdown from records."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

from benchmarks._tables import TRAINING, cells, line
from lfp_snn.analysis.study.statistics import Paired, holm, mean, paired
from tools.results.records import (
    ArmRecord,
    ComparisonRecord,
    MachineRecord,
    PrintedRecord,
    Record,
    RunsRecord,
    StepsRecord,
    TableRecord,
)

__all__ = ["FORMS", "TableError", "interval", "table"]

_Kind = TypeVar("_Kind", ComparisonRecord, RunsRecord, PrintedRecord, StepsRecord, TableRecord)

#: Learners that the field writes otherwise than settings do.
SHORT: Mapping[str, str] = {"rstdp": "R-STDP", "ottt": "OTTT", "dfa": "DFA"}
#: From this load on a machine has other work, and its times say little.
BUSY = 1.5


class TableError(ValueError):
    """A block of the page asks for a record that is not there, or for another kind than it is."""


def comparison(records: Mapping[str, Record]) -> Iterator[str]:
    """One comparison: a column for each learner."""
    for name, record in _only(ComparisonRecord, records).items():
        labels, differences = _labels(record), _differences(record)
        arms = record.learners
        body = {
            f"test accuracy, mean of {_seeds(record)} seeds, 95 % interval": [
                interval(arm.test) for arm in arms.values()
            ],
            f"{labels[record.reference]} minus it, points, 95 % interval": [
                _points(differences.get(key)) for key in arms
            ],
        }
        if record.trials:
            body["best trial of the search, validation"] = [_share(a.tuned) for a in arms.values()]
            body["what the search chose"] = [_settings(arm.chosen) for arm in arms.values()]
        if record.machine.load is not None:
            body["training, s"] = [_seconds(arm) for arm in arms.values()]
        if record.machine.load is not None and record.target is not None:
            body[f"until {_share(record.target)} on validation, s"] = [
                _seconds_to_target(arm) for arm in arms.values()
            ]
        yield table(["", *labels.values()], ([title, *cells] for title, cells in body.items()))
        yield _how(name, record)


def comparisons(records: Mapping[str, Record]) -> Iterator[str]:
    """Several comparisons of the same learners, the first of which is the reference; a row each."""
    chosen = _only(ComparisonRecord, records)
    titles = {tuple(_labels(record).values()) for record in chosen.values()}
    if len(titles) != 1 or len(next(iter(titles))) < 2:
        raise TableError(f"{', '.join(chosen)}: expected comparisons of the same learners")
    ((reference, *others),) = titles
    rows = []
    for name, record in chosen.items():
        first, *rest = record.learners
        if record.reference != first:
            raise TableError(f"{name}: expected the first learner, {first}, to be the reference")
        cells = (interval(arm.test) for arm in record.learners.values())
        differences = _differences(record)
        rows.append([f"`{name}`", *cells, *(_points(differences.get(key)) for key in rest)])
    minus = (f"{reference} minus {other}, points, 95 % interval" for other in others)
    yield table(["", reference, *others, *minus], rows)
    yield "\n".join(f"- {_how(name, record)}" for name, record in chosen.items())


def runs(records: Mapping[str, Record]) -> Iterator[str]:
    """Trainings with several seeds, a row each."""
    chosen = _only(RunsRecord, records)
    titles = ["command", "train / validation / test", "test accuracy", "validation"]
    rows = [
        [
            f"`{_command(record)}` ([record](records/{name}.json))",
            _parts(record.parts),
            _range(record.test),
            _range(record.validation),
        ]
        for name, record in chosen.items()
    ]
    if all(_idle(record.machine) for record in chosen.values()):
        titles.append("training, s")
        for row, record in zip(rows, chosen.values(), strict=True):
            row.append(_range(record.training_s, "{:.0f}", 1))
    yield table(titles, rows)
    seeds = {tuple(record.seeds) for record in chosen.values()}
    machines = {_where(each) for each in _together(each.machine for each in chosen.values())}
    yield (
        f"Mean and range over the seeds {' / '.join(_listed(each) for each in sorted(seeds))}; "
        f"{' / '.join(sorted(machines))}."
    )


def printed(records: Mapping[str, Record]) -> Iterator[str]:
    """What a benchmark printed."""
    for name, record in _only(PrintedRecord, records).items():
        parts = "\n".join(record.lines).strip().split("\n\n")
        yield from (part for part in parts if part.startswith("|"))
        yield f"`{_command(record)}`: {_where(record.machine)}, {_record(name, record)}."


def steps(records: Mapping[str, Record]) -> Iterator[str]:
    """Training steps of several toolkits, a row for each network and record."""
    chosen = _only(StepsRecord, records)
    rows = [row for record in chosen.values() for row in record.rows]
    names = list(dict.fromkeys(name for row in rows for name in row.values))
    body = []
    for row in rows:
        ours = next(iter(row.values.values()))
        cells = (_beside(row.values.get(name), ours, row.unit) for name in names)
        body.append([row.network, *cells])
    yield table(["", *names], body)
    yield "\n".join(
        f"- `{_command(record)}`: {_where(record.machine)}, {_record(name, record)}."
        for name, record in chosen.items()
    )


def tables(records: Mapping[str, Record]) -> Iterator[str]:
    """Tables with numbers, as their columns show them; training times of an idle machine alone."""
    for name, record in _only(TableRecord, records).items():
        titles = [column.title for column in record.columns]
        rows = [titles, *(cells(record.columns, row) for row in record.rows)]
        if not _idle(record.machine):
            shown = [at for at, title in enumerate(titles) if title != TRAINING.title]
            rows = [[row[at] for at in shown] for row in rows]
        yield table(rows[0], rows[1:])
        yield f"`{_command(record)}`: {_where(record.machine)}, {_record(name, record)}."


def _beside(value: float | None, ours: float, unit: str) -> str:
    """A figure with how many times ours it is; ours alone."""
    if value is None:
        return "\u2013"
    shown = f"{value:.1f} {unit}" if value < 100 else f"{value:.0f} {unit}"
    return shown if value == ours else f"{shown}, {value / ours:.1f}x"


#: The forms that a block of the page may ask for.
FORMS: Mapping[str, Callable[[Mapping[str, Record]], Iterator[str]]] = {
    "comparison": comparison,
    "comparisons": comparisons,
    "runs": runs,
    "printed": printed,
    "steps": steps,
    "table": tables,
}


def _only(kind: type[_Kind], records: Mapping[str, Record]) -> dict[str, _Kind]:
    chosen = {}
    for name, record in records.items():
        if not isinstance(record, kind):
            raise TableError(f"{name} is a record of kind {record.kind}, not what this block takes")
        chosen[name] = record
    return chosen


def table(titles: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown."""
    return "\n".join(map(line, [titles, ["---"] * len(titles), *rows]))


def _how(name: str, record: ComparisonRecord) -> str:
    if record.trials:
        searched = (
            f"{record.trials} trials of {record.trial_epochs or record.epochs} of the "
            f"{record.epochs} epochs for each learner, then "
        )
    else:
        searched = f"{record.epochs} epochs, "
    failed = "".join(
        f" {arm}, {what}: {why}."
        for arm, learner in record.learners.items()
        for what, why in learner.failed.items()
    )
    load = record.machine.load
    busy = ", so that times compare only with each other" if load and load[1] >= BUSY else ""
    measured = f"{_where(record.machine)}{busy}, {_record(name, record)}"
    return (
        f"`{_command(record)}`: {_parts(record.parts)} samples to train, validate and test, "
        f"{searched}{_seeds(record)} seeds; {measured}.{failed}"
    )


def _record(name: str, record: Record) -> str:
    return f"{record.date} ([record](records/{name}.json))"


def _command(record: Record) -> str:
    return re.sub(r"(root[= ])\S+", r"\1...", record.command)


def _where(machine: MachineRecord) -> str:
    processor = machine.processor or "a processor that was not kept"
    threads = "one thread" if machine.threads == 1 else f"{machine.threads} threads"
    several = "" if machine.processes == 1 else f" each, {machine.processes} processes at a time"
    if machine.load is None:
        load = "load unknown"
    else:
        low, high = machine.load
        load = f"load {low:.1f}" if low == high else f"load {low:.1f} to {high:.1f}"
    return f"{machine.cores_in_words} of {processor}, {threads}{several}, {load}"


def _together(machines: Iterable[MachineRecord]) -> Iterator[MachineRecord]:
    """Machines, those that differ in their load alone as one with the range of loads."""
    loads: dict[MachineRecord, list[tuple[float, float]]] = {}
    for each in machines:
        if each.load is None:
            yield each
        else:
            loads.setdefault(each.model_copy(update={"load": None}), []).append(each.load)
    for each, seen in loads.items():
        lows, highs = zip(*seen, strict=True)
        yield each.model_copy(update={"load": (min(lows), max(highs))})


def _idle(machine: MachineRecord) -> bool:
    """Whether a machine is known to have had no other work."""
    return machine.load is not None and machine.load[1] < BUSY


def _labels(record: ComparisonRecord) -> dict[str, str]:
    """What the learners are called; their names in the config where that says more."""
    labels = {name: _label(arm.learner) for name, arm in record.learners.items()}
    twice = len(set(labels.values())) < len(labels)
    return {name: f"`{name}`" for name in labels} if twice else labels


def _label(learner: Mapping[str, Any]) -> str:
    rule = learner.get("rule") or {}
    if learner["name"] != "lfp":
        return SHORT.get(learner["name"], str(learner["name"]).replace("_", " "))
    if rule.get("name", "rescale") == "epsilon":
        return f"published rule (epsilon {rule.get('eps', 1e-6):g})"
    return f"`{rule.get('name', 'rescale')}`"


def _differences(record: ComparisonRecord) -> dict[str, Paired]:
    """The reference minus each other learner, over the seeds that both have finished."""
    reference = record.learners[record.reference]
    ours = dict(zip(reference.seeds, reference.test, strict=True))
    found = {}
    for name, arm in record.learners.items():
        theirs = dict(zip(arm.seeds, arm.test, strict=True))
        both = sorted(ours.keys() & theirs.keys())
        if name != record.reference and len(both) > 1:
            found[name] = paired([ours[s] for s in both], [theirs[s] for s in both])
    adjusted = holm([each.p for each in found.values()])
    return {
        name: Paired(**{**vars(each), "adjusted": p})
        for (name, each), p in zip(found.items(), adjusted, strict=True)
    }


def _seeds(record: ComparisonRecord) -> str:
    counts = sorted({len(arm.seeds) for arm in record.learners.values()})
    return " or ".join(map(str, counts))


def _seconds(arm: ArmRecord) -> str:
    return _mean_seconds(arm.training_s) if arm.training_s else ""


def _mean_seconds(times: Sequence[float]) -> str:
    value = mean(times).value
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}"


def _seconds_to_target(arm: ArmRecord) -> str:
    """The mean over the seeds if all came there, else how many did."""
    times = [time for time in arm.to_target_s or [] if time is not None]
    if not arm.seeds:
        return ""
    if len(times) == len(arm.seeds):
        return _mean_seconds(times)
    return f"{len(times) or 'none'} of {len(arm.seeds)} came there"


def _settings(chosen: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key.split('.', 1)[-1]} {value:.3g}" if isinstance(value, float) else str(value)
        for key, value in chosen.items()
    )


def _share(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f} %"


def interval(values: Sequence[float]) -> str:
    """The mean of shares with its 95 % interval, which ends where shares do."""
    if not values:
        return "failed"
    found = mean(values)
    low, high = max(found.low, 0.0), min(found.high, 1.0)
    return f"{_share(found.value)} ({100 * low:.1f} to {100 * high:.1f})"


def _points(found: Paired | None) -> str:
    if found is None:
        return ""
    low, high = 100 * found.low, 100 * found.high
    p = "p < 0.001" if found.adjusted < 0.001 else f"p = {found.adjusted:.2g}"
    return f"{100 * found.difference:+.1f} ({low:+.1f} to {high:+.1f}), {p}"


def _range(values: Sequence[float | None], shown: str = "{:.1f}", scale: float = 100) -> str:
    """The mean with the lowest and highest; nothing where a value is missing."""
    there = [scale * value for value in values if value is not None]
    if len(there) < len(values):
        return ""
    unit = " %" if scale == 100 else ""
    low, middle, high = (shown.format(x) for x in (min(there), sum(there) / len(there), max(there)))
    return f"{middle}{unit} ({low} to {high})"


def _parts(parts: Mapping[str, int]) -> str:
    return " / ".join(str(parts[part]) for part in ("train", "val", "test"))


def _listed(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))
