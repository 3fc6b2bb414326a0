"""The choice of kernels: rows of a table say what each serves, and a program is planned by them.

Every backend has one table of :class:`Kernel` rows. A row names the stages that the kernel computes
in one pass, the formulas (:class:`lfp_snn.rules.Formula`) and resets that it knows, and the entries
at which it can give credit. :func:`plan` takes the first row that fits and leaves to the reference
whatever none fits. The tables: :mod:`lfp_snn.engine.events.table`, :mod:`lfp_snn.engine.triton`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace

from typing_extensions import override

from lfp_snn.engine.graph import Node, Program
from lfp_snn.engine.stage import Rules, Stage
from lfp_snn.errors import NetworkError
from lfp_snn.rules import ACTIVE, RULES, Active

__all__ = ["ANY", "RESETS", "Group", "Kernel", "Plan", "Table", "plan", "refuse", "unknown"]

#: The resets of leaky neurons, as :class:`~lfp_snn.engine.stage.Demand` names them.
RESETS = frozenset({"subtract", "zero", "none", "subtract, at once", "zero, at once"})


class _Any(frozenset[str]):
    """A set of names that holds every name."""

    @override
    def __contains__(self, name: object) -> bool:
        return True


#: Formulas of a kernel that does not look at them.
ANY = _Any()


@dataclass(frozen=True)
class Group:
    """A group of stages that one kernel may serve, each fed by the one before alone.

    Args:
        stages: the stages in order.
        source: the number of the value that the first stage takes; 0 is the input of the network.
        on_lists: whether that value arrives as a list of spikes.
        is_output: whether the last stage is the output of the network.
        rules: the rule of each stage of the network, by name.
        active: the entries of the source at which its credit is needed.
    """

    stages: tuple[Stage, ...]
    source: int
    on_lists: bool
    is_output: bool
    rules: Rules
    active: Active

    @property
    def from_input(self) -> bool:
        """Whether the group takes the input of the network."""
        return self.source == 0


@dataclass(frozen=True)
class Kernel:
    """A row of a table of kernels: what a kernel serves, and the stage that runs it.

    Args:
        name: the name of the kernel, which ``summary()`` shows.
        stages: the kinds of the stages that the kernel computes in one pass, in order
            (:attr:`lfp_snn.engine.stage.Stage.kind`).
        make: the function that makes the stage which takes the place of a group of these stages.
        splits: the names of the formulas at the neuron that the kernel knows.
        sharings: the names of the formulas at the synapse that the kernel knows.
        resets: the resets of neurons that the kernel knows.
        active: the entries of the input at which the kernel can give credit.
        as_output: whether the kernel can be the output of the network, whose membranes are kept.
        on_lists: whether the input must arrive as a list of spikes.
        fits: whether the kernel takes a group of these kinds, by what their modules hold.
    """

    name: str
    stages: tuple[str, ...]
    make: Callable[[Group], Stage]
    splits: Collection[str] = ()
    sharings: Collection[str] = ()
    resets: Collection[str] = RESETS
    active: Collection[Active] = ACTIVE
    as_output: bool = True
    on_lists: bool = False
    fits: Callable[[Group], bool] = lambda group: True

    def serves(self, group: Group) -> bool:
        """Whether the kernel serves these stages under their rules."""
        demands = [stage.demand(group.rules) for stage in group.stages]
        return (
            self.stages == tuple(demand.kind for demand in demands)
            and all(d.split is None or d.split in self.splits for d in demands)
            and all(d.sharing is None or d.sharing in self.sharings for d in demands)
            and all(d.reset is None or d.reset in self.resets for d in demands)
            and group.active in self.active
            and (self.as_output or not group.is_output)
            and (group.on_lists or not self.on_lists)
            and self.fits(group)
        )


Table = tuple[Kernel, ...]


@dataclass(frozen=True)
class Plan:
    """A program of which groups of stages run on the kernels of a backend.

    Args:
        backend: the name of the backend.
        table: the kernels of the backend.
        reference: the program with all stages on the reference.
        program: the program with groups of stages on kernels.
        served: the groups, each with its kernel.
    """

    backend: str
    table: Table
    reference: Program
    program: Program
    served: tuple[tuple[Group, Kernel], ...]

    @property
    def kernels(self) -> dict[str, str]:
        """The kernel of each stage that is on one, by the stage's name in the network."""
        return {
            stage.name: f"{self.backend}: {kernel.name}"
            for group, kernel in self.served
            for stage in group.stages
        }

    def refuse(self, rules: Rules) -> None:
        """Refuse rules of a single pass that the kernels of this plan don't know.

        Raises:
            NetworkError: a kernel does not know a rule; the message names the layer and its rule.
        """
        refuse(self.backend, self.table, self.reference, rules)
        active = self.reference.active(rules)
        for group, kernel in self.served:
            now = replace(group, rules=rules, active=active[group.source])
            if not kernel.serves(now):
                named = next(stage for stage in group.stages if stage.name in rules)
                raise _refusal(self.backend, self.table, named, rules)


def unknown(table: Table, program: Program, rules: Rules) -> Stage | None:
    """The first stage under a formula that no kernel of a table knows; None if there is none.

    Such a formula may send through the network what the other kernels don't take (the relevance of
    silent inputs), so that all of the network is left to the reference.
    """
    splits = {name for kernel in table for name in kernel.splits}
    sharings = {name for kernel in table for name in kernel.sharings}
    for stage in (node.stage for node in program.nodes):
        demand = stage.demand(rules)
        if demand.split not in (None, *splits) or demand.sharing not in (None, *sharings):
            return stage
    return None


def refuse(backend: str, table: Table, program: Program, rules: Rules) -> None:
    """Refuse rules whose formulas a backend does not know.

    Raises:
        NetworkError: a kernel does not know a rule; the message names the layer and its rule.
    """
    stage = unknown(table, program, rules)
    if stage is not None:
        raise _refusal(backend, table, stage, rules)


def _refusal(backend: str, table: Table, stage: Stage, rules: Rules) -> NetworkError:
    splits = {name for kernel in table for name in kernel.splits}
    sharings = {name for kernel in table for name in kernel.sharings}
    samples = [kind() for kind in RULES.values()]
    known = [
        type(rule).__name__
        for rule in samples
        if rule.at_neuron.name in splits and rule.at_synapse.name in sharings
    ]
    return NetworkError(
        f"The {backend} backend does not know the rule {rules[stage.name]!r} of layer "
        f"'{stage.name}': it knows {', '.join(known[:-1])} and {known[-1]}; build the TemporalLFP "
        "with backend='torch' for others."
    )


def plan(backend: str, table: Table, program: Program, rules: Rules) -> Plan:
    """The plan of a program: groups of its stages on the kernels of a table.

    At each stage in order, the first row is taken that fits it and the stages behind it.
    """
    return _Planner(backend, table, program, rules).plan()


class _Planner:
    """Walks a program once, in order."""

    def __init__(self, backend: str, table: Table, program: Program, rules: Rules) -> None:
        self.backend = backend
        self.table = table
        self.old = program
        self.rules = rules
        self.active = program.active(rules)
        self.uses = Counter(i for node in program.nodes for i in node.inputs)
        self.users = {i: k for k, node in enumerate(program.nodes) for i in node.inputs}
        self.new: list[Node] = []
        self.place = {0: 0}  # of each old value among the new ones
        self.on_lists = {0: False}  # does an old value travel as a list of spikes?

    def plan(self) -> Plan:
        served: list[tuple[Group, Kernel]] = []
        due: dict[int, tuple[list[int], Group, Kernel]] = {}  # at the node at which a group runs
        taken = set[int]()
        for k, node in enumerate(self.old.nodes):
            found = None if k in taken else self._find(k)
            if found is not None:
                members, group, kernel = found
                taken.update(members)
                due[self._runs_at(members)] = found
                served.append((group, kernel))
            if k in due:
                members, group, kernel = due[k]
                self._add(kernel.make(group), (group.source,), members)
            elif k not in taken:
                self._add(node.stage, node.inputs, [k])
        return Plan(self.backend, self.table, self.old, Program(tuple(self.new)), tuple(served))

    def _find(self, k: int) -> tuple[list[int], Group, Kernel] | None:
        """The stages from node k on that a kernel serves, and that kernel."""
        for kernel in self.table:
            members = self._chain(k, len(kernel.stages))
            if members is None:
                continue
            (source,) = self.old.nodes[k].inputs
            group = Group(
                stages=tuple(self.old.nodes[member].stage for member in members),
                source=source,
                on_lists=self.on_lists[source],
                is_output=members[-1] == len(self.old.nodes) - 1,
                rules=self.rules,
                active=self.active[source],
            )
            if kernel.serves(group):
                return members, group, kernel
        return None

    def _chain(self, k: int, length: int) -> list[int] | None:
        """A chain of ``length`` nodes from node k on, each fed by the one before alone."""
        members = [k]
        while len(members) < length:
            value = members[-1] + 1
            if self.uses[value] != 1:
                return None
            members.append(self.users[value])
        single = all(len(self.old.nodes[member].inputs) == 1 for member in members)
        return members if single else None

    def _runs_at(self, members: Sequence[int]) -> int:
        """The place of a group in the order of the program, which is the place of its neurons."""
        stages = {k: self.old.nodes[k].stage.demand(self.rules) for k in members}
        return next((k for k, demand in stages.items() if demand.split is not None), members[0])

    def _add(self, stage: Stage, inputs: tuple[int, ...], members: Sequence[int]) -> None:
        """Add a stage in the place of these nodes, of which the last gives its value."""
        self.new.append(Node(stage, tuple(self.place[i] for i in inputs)))
        value = members[-1] + 1
        self.place[value] = len(self.new)
        kept = stage.keeps_lists and self.on_lists[inputs[0]]
        self.on_lists[value] = stage.makes_lists or kept
