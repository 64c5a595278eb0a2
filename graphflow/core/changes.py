"""Graphs that changed between a run and its resume: what is different, and whether what is stored still fits."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from graphflow.core.control import Overwrite
from graphflow.core.effects import Flow, ReadGraph
from graphflow.core.excerpts import excerpt
from graphflow.core.plan import Plan, join_line, one_line
from graphflow.core.stored import Stored
from graphflow.core.tasks import Task, in_namespace
from graphflow.errors import GraphChanged, GraphChangedWarning


def check_fit(plan: Plan, stored: Stored) -> Flow[str]:
    """Refuse to go on where what is pending or stored does not fit the graph; warn when the graph changed but it does.

    Both list every difference. Returns the fingerprint of the graph that the run was begun with, where that is another; else
    an empty text.
    """
    missing = _missing(plan, stored)
    assert stored.run is not None
    if not missing and stored.run.fingerprint == plan.fingerprint:
        return ""
    changes = yield from _changes(plan, stored.run.fingerprint)
    missing += _misfits(plan, stored, changes) + _endless_joins(plan, stored, changes)
    if missing:
        raise _does_not_fit(plan, stored, missing, changes)
    warnings.warn(
        f"graph {plan.name!r} changed since run {stored.run.run_id!r} of session {stored.session_id!r} was stored; "
        f"everything pending still fits, so it goes on. "
        f"{_listed(changes)}".rstrip(),
        GraphChangedWarning,
        stacklevel=2,
    )
    return stored.run.fingerprint


def warn_of_unasked(task: Task) -> None:
    """Warn of each answer that a node did not ask for when it ran again: the question was removed while the run waited."""
    where = f"node {task.node.name!r} of session {task.run.session_id!r}"
    for question, _ in task.answered[task.asked :]:
        warnings.warn(
            f"{where} does not ask any more what was answered, so the answer is not used: {excerpt(question.value, 200)}. If "
            "it should count, give the node its question back and ask again",
            GraphChangedWarning,
            stacklevel=2,
        )


def check_fit_inside(plan: Plan, stored: Stored, before: str) -> Flow[None]:
    """Refuse to go on inside a nested graph where what is pending or stored does not fit it. ``before`` is the fingerprint of
    the outermost graph that the run was begun with, where that is another.
    """
    changes = yield from _changes_inside(plan, stored.ns, before)
    missing = _missing(plan, stored) + _misfits(plan, stored, changes) + _endless_joins(plan, stored, changes)
    if missing:
        raise _does_not_fit(plan, stored, missing, changes)


def check_values_inside(plan: Plan, stored: Stored, before: str, given: Mapping[str, object]) -> Flow[None]:
    """Refuse to call a nested graph on the state it kept, where that does not fit it and is not replaced by what it is given.
    ``before`` as above.
    """
    changes = yield from _changes_inside(plan, stored.ns, before)
    replaced = {name for name, value in given.items() if name in plan.schema.plain or isinstance(value, Overwrite)}
    _check_kept(plan, stored, [change for change in changes if change.field not in replaced])


def _missing(plan: Plan, stored: Stored) -> list[str]:
    """What is pending or waiting and is not in the graph."""
    joins = {join.key for join in plan.joins}
    missing = [f"node {name!r} is pending but gone" for name in _pending(stored) if name not in plan.nodes]
    missing += [f"the join {key!r} is waiting but gone" for key in stored.frontier.joins if key not in joins]
    gone = [name for name in stored.frontier.refresh if name not in plan.nodes]
    return missing + [f"node {name!r}, which made what is not stored, is gone" for name in gone]


def _pending(stored: Stored) -> list[str]:
    return [a if isinstance(a, str) else a.node for a in stored.frontier.next] + stored.frontier.deferred


def _does_not_fit(plan: Plan, stored: Stored, missing: list[str], changes: list[Change]) -> GraphChanged:
    run = "" if stored.run is None else f" {stored.run.run_id!r}"
    return GraphChanged(
        f"graph {plan.name!r} changed and the unfinished run{run} of session {stored.session_id!r} does not fit it: "
        f"{'; '.join(missing)}. {_listed(changes)}Bring these back, {_how_to_alias(plan)} for nodes that have "
        "new names, or begin anew with on_unfinished='abandon'",
        changes=tuple(change.text for change in changes),
    )


def _how_to_alias(plan: Plan) -> str:
    compiling = "compile(aliases={'old': 'new'})"
    kind = plan.session_type
    return f"use {compiling}" if kind == "graph" else f"run on {kind}.with_graph({kind}.graph_builder().{compiling})"


def check_values(plan: Plan, stored: Stored) -> Flow[str]:
    """Refuse to begin a run on a state whose fields were declared otherwise when it was stored, unless it fits them. Returns
    what ``check_fit`` does, of the run before.
    """
    if stored.run is None or stored.run.fingerprint == plan.fingerprint:
        return ""
    _check_kept(plan, stored, (yield from _changes(plan, stored.run.fingerprint)))
    return stored.run.fingerprint


def _check_kept(plan: Plan, stored: Stored, changes: list[Change]) -> None:
    """Raise GraphChanged for values that a new run begins with, and that their changed fields do not take."""
    misfits = _misfits(plan, stored, [change for change in changes if change.field not in plan.schema.fresh])
    if misfits:
        raise GraphChanged(
            f"graph {plan.name!r} changed and the state of session {stored.session_id!r} does not fit it: "
            f"{'; '.join(misfits)}. Let the type accept what is stored, or give the field another name",
            changes=tuple(change.text for change in changes),
        )


def _changes(plan: Plan, fingerprint: str) -> Flow[list[Change]]:
    """The differences to the graph of a stored fingerprint; none when it is not known what that graph looked like."""
    outline: str | None = yield ReadGraph(fingerprint)
    return [] if outline is None else differences(outline, plan)


def _changes_inside(plan: Plan, ns: str, before: str) -> Flow[list[Change]]:
    """The differences of a nested graph to what it was; none when that is not known, as of a graph that a function called."""
    outline: str | None = (yield ReadGraph(before)) if before else None
    old = None if outline is None else _Outline(outline.split("\n")).at(ns)
    return [] if old is None else _compared(old, _Outline(plan.outline.split("\n")), plan)


def _misfits(plan: Plan, stored: Stored, changes: Iterable[Change]) -> list[str]:
    """Stored values that the declared types of changed fields do not take."""
    misfits = []
    for name in dict.fromkeys(change.field for change in changes if change.field is not None):
        channel = plan.schema.channels.get(name)
        if channel is None or channel.validate_value is None or name not in stored.values:
            continue
        try:
            channel.validate_value(stored.values[name])
        except (ValueError, TypeError):
            shown = excerpt(stored.values[name], 60)
            misfits.append(f"field {name!r} holds {shown}, which its declared type does not take")
    return misfits


def _endless_joins(plan: Plan, stored: Stored, changes: Iterable[Change]) -> list[str]:
    """New joins that would wait for ever, because one of their sources had run before it was one."""
    new = [join for join in plan.joins if any(change.text == f"the {join_line(join)} is new" for change in changes)]
    if not new:
        return []
    ahead: set[str] = set()
    found = [name for name in _pending(stored) if name in plan.nodes]
    while found:
        name = found.pop()
        if name not in ahead and name in plan.nodes:
            ahead.add(name)
            found += plan.next_of(name)
    endless = []
    for join in new:
        late = [source for source in join.sources if source not in ahead]
        if late and len(late) < len(join.sources) and not set(late) <= set(stored.frontier.joins.get(join.key, ())):
            endless.append(f"the new join before {join.target!r} would wait for {', '.join(map(repr, late))}, which ran before")
    return endless


def _listed(changes: list[Change]) -> str:
    return f"What is different: {'; '.join(change.text for change in changes)}. " if changes else ""


# --- comparing -------------------------------------------------------------------------------------------------------------


class Change(NamedTuple):
    """A difference between two graphs, in words, and the field of the state that it is about."""

    text: str
    field: str | None = None


def differences(before: str, plan: Plan) -> list[Change]:
    """What is different between the outline of a stored graph (see ``plan.description``) and a graph: everything, nodes first.

    A node that went while another with the same ways came was probably renamed. What differs inside a nested graph is told as
    ``in 'node': …``.
    """
    return _compared(_Outline(before.split("\n")), _Outline(plan.outline.split("\n")), plan)


def _compared(old: _Outline, new: _Outline, plan: Plan) -> list[Change]:
    declared = {was: now for was, now in plan.aliases.items() if was in old.nodes and was not in new.nodes}
    changes = [Change(f"node {was!r} is called {now!r} now, as aliases say") for was, now in declared.items()]
    old = old.renamed(declared)
    renamed = _renamed(old, new)
    changes += [
        Change(f"node {was!r} seems to be called {now!r} now (aliases={{{was!r}: {now!r}}} says so)")
        for was, now in renamed.items()
    ]
    old = old.renamed(renamed)
    changes += [Change(f"node {name!r} is gone") for name in old.nodes if name not in new.nodes]
    changes += [Change(f"node {name!r} is new") for name in new.nodes if name not in old.nodes]
    for name in {**old.fields, **new.fields}:
        changes += _field_changes(name, old.fields.get(name), new.fields.get(name))
    changes += [Change(f"the {way.text} is gone") for way in old.ways if way not in new.ways]
    changes += [Change(f"the {way.text} is new") for way in new.ways if way not in old.ways]
    for name in new.nodes:
        if name in old.nodes:
            changes += _inner_changes(name, old.inside.get(name), new.inside.get(name), plan)
    return changes


def _inner_changes(name: str, was: _Outline | None, now: _Outline | None, plan: Plan) -> list[Change]:
    """What is different in a node that is, or was, a graph."""
    inner = next((node.graph for node in plan.nodes.values() if one_line(node.name) == name), None)
    if was is None or now is None or inner is None:
        return [] if was is now else [Change(f"node {name!r} {'is' if was is None else 'was'} a graph")]
    return [Change(f"in {name!r}: {change.text}") for change in _compared(was, now, inner)]


class _Way(NamedTuple):
    """A line that names nodes: ``edge a -> b``, ``branch a -> b, c``, ``join a, b -> c``."""

    kind: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]

    @property
    def text(self) -> str:
        """The line."""
        return f"{self.kind} {' -> '.join(', '.join(side) for side in (self.sources, self.targets) if side)}"

    def renamed(self, names: Mapping[str, str]) -> _Way:
        """The line with nodes called by other names."""
        sources, targets = (tuple(sorted(names.get(name, name) for name in side)) for side in (self.sources, self.targets))
        return _Way(self.kind, sources, targets)


class _Outline:
    """An outline taken apart: nodes, the graphs inside them, fields (type, reducer, lifetime), and the ways between nodes."""

    def __init__(self, lines: Iterable[str] = ()) -> None:
        parted = [line.partition(" ") for line in lines]
        self.nodes = [rest for kind, _, rest in parted if kind == "node"]
        self.fields: dict[str, tuple[str, str, str]] = {}
        self.ways: list[_Way] = []
        inside: dict[str, list[str]] = {}
        for kind, _, rest in parted:
            if kind == "in":
                node, line = _inner_line(rest, self.nodes)
                inside.setdefault(node, []).append(line)
            elif kind == "channel" and rest.count(" ") >= 3:
                name, _, declared = rest.partition(": ")
                type, reducer, lifetime = declared.rsplit(" ", 2)
                self.fields[name] = (type, reducer, lifetime)
            elif kind != "node":
                sources, _, targets = rest.partition(" -> ")
                self.ways.append(_Way(kind, _listed_names(sources, self.nodes), _listed_names(targets, self.nodes)))
        self.inside = {node: _Outline(lines) for node, lines in inside.items()}

    def at(self, ns: str) -> _Outline | None:
        """The outline of the nested graph that a namespace names, by the names that nodes had; None when there is none."""
        found, rest = self, ns
        while rest:
            named = {node: in_namespace(node, rest) for node in found.inside}
            node = next((node for node, beginning in named.items() if beginning), None)
            if node is None:
                return None
            found, rest = found.inside[node], rest[len(named[node]) :]
        return found

    def of(self, node: str) -> set[_Way]:
        """The ways from and to a node."""
        return {way for way in self.ways if node in (*way.sources, *way.targets)}

    def renamed(self, names: Mapping[str, str]) -> _Outline:
        """The outline with nodes called by other names."""
        if not names:
            return self
        made = _Outline()
        made.nodes = list(dict.fromkeys(names.get(name, name) for name in self.nodes))
        made.fields = self.fields
        made.ways = [way.renamed(names) for way in self.ways]
        made.inside = {names.get(name, name): inner for name, inner in self.inside.items()}
        return made


def _inner_line(text: str, nodes: Iterable[str]) -> tuple[str, str]:
    """The node and the line of ``node: line``; a name may hold a colon itself."""
    named = max((name for name in nodes if text.startswith(f"{name}: ")), key=len, default=text.partition(": ")[0])
    return named, text[len(named) + 2 :]


def _listed_names(text: str, nodes: Sequence[str]) -> tuple[str, ...]:
    """The names of a list; one of them may hold commas itself."""
    names, pieces = [], text.split(", ") if text else []
    while pieces:
        most = next((size for size in range(len(pieces), 0, -1) if ", ".join(pieces[:size]) in nodes), 1)
        names.append(", ".join(pieces[:most]))
        pieces = pieces[most:]
    return tuple(names)


def _renamed(old: _Outline, new: _Outline) -> dict[str, str]:
    """The nodes that went whose ways are now those of exactly one node that came."""
    came = [name for name in new.nodes if name not in old.nodes]
    found: dict[str, str] = {}
    for was in old.nodes:
        if was not in new.nodes:
            alike = [now for now in came if {way.renamed({was: now}) for way in old.of(was)} == new.of(now)]
            if len(alike) == 1 and alike[0] not in found.values():
                found[was] = alike[0]
    return found


def _field_changes(name: str, was: tuple[str, str, str] | None, now: tuple[str, str, str] | None) -> list[Change]:
    if was is None:
        return [Change(f"field {name!r} is new", name)]
    if now is None:
        return [Change(f"field {name!r} is gone (what is stored of it is kept)", name)]
    changes = []
    for what, before, after in zip(("type", "reducer", "lifetime"), was, now, strict=True):
        if before != after:
            none = "none" if what == "reducer" else "-"
            shown = [none if text == "-" else text for text in (before, after)]
            changes.append(Change(f"the {what} of field {name!r} was {shown[0]} and is {shown[1]}", name))
    return changes
