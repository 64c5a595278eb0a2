"""Graphs that changed between a run and its resume: what is different, and whether what is stored still fits."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from graphflow.core.effects import Flow, ReadGraph
from graphflow.core.excerpts import excerpt
from graphflow.core.plan import Plan, join_line
from graphflow.core.stored import Stored
from graphflow.errors import GraphChanged, GraphChangedWarning


def check_fit(plan: Plan, stored: Stored) -> Flow[None]:
    """Refuse to go on where what is pending or stored does not fit the graph; warn when the graph changed but it does.

    Both list every difference.
    """
    missing = _missing(plan, stored)
    assert stored.run is not None
    if not missing and stored.run.fingerprint == plan.fingerprint:
        return
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


def check_pending(plan: Plan, stored: Stored) -> None:
    """Refuse to go on inside a nested graph where what is pending does not fit it."""
    missing = _missing(plan, stored)
    if missing:
        raise _does_not_fit(plan, stored, missing, [])


def _missing(plan: Plan, stored: Stored) -> list[str]:
    """What is pending or waiting and is not in the graph."""
    joins = {join.key for join in plan.joins}
    missing = [f"node {name!r} is pending but gone" for name in _pending(stored) if name not in plan.nodes]
    return missing + [f"the join {key!r} is waiting but gone" for key in stored.frontier.joins if key not in joins]


def _pending(stored: Stored) -> list[str]:
    return [a if isinstance(a, str) else a.node for a in stored.frontier.next] + stored.frontier.deferred


def _does_not_fit(plan: Plan, stored: Stored, missing: list[str], changes: list[Change]) -> GraphChanged:
    run = "" if stored.run is None else f" {stored.run.run_id!r}"
    return GraphChanged(
        f"graph {plan.name!r} changed and the unfinished run{run} of session {stored.session_id!r} does not fit it: "
        f"{'; '.join(missing)}. {_listed(changes)}Bring these back, compile with aliases={{'old': 'new'}} for nodes that have "
        "new names, or begin anew with on_unfinished='abandon'",
        changes=tuple(change.text for change in changes),
    )


def check_values(plan: Plan, stored: Stored) -> Flow[None]:
    """Refuse to begin a run on a state whose fields were declared otherwise when it was stored, unless it fits them."""
    if stored.run is None or stored.run.fingerprint == plan.fingerprint:
        return
    changes = yield from _changes(plan, stored.run.fingerprint)
    misfits = _misfits(plan, stored, changes)
    if misfits:
        raise GraphChanged(
            f"graph {plan.name!r} changed and the state of session {stored.session_id!r} does not fit it: "
            f"{'; '.join(misfits)}. Let the type accept what is stored, or give the field another name",
            changes=tuple(change.text for change in changes),
        )


def _changes(plan: Plan, fingerprint: str) -> Flow[list[Change]]:
    """The differences to the graph of a stored fingerprint; none when it is not known what that graph looked like."""
    outline: str | None = yield ReadGraph(fingerprint)
    return [] if outline is None else differences(outline, plan.outline, plan.aliases)


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


def differences(before: str, after: str, aliases: Mapping[str, str]) -> list[Change]:
    """What is different between the outlines of two graphs (see ``plan.description``): everything, nodes first.

    A node that went while another with the same edges came was probably renamed. ``aliases``: old names and what they are now.
    """
    old, new = _Outline(before), _Outline(after)
    declared = {was: now for was, now in aliases.items() if was in old.nodes and was not in new.nodes}
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
    changes += [Change(f"the {line} is gone") for line in old.lines if line not in new.lines]
    changes += [Change(f"the {line} is new") for line in new.lines if line not in old.lines]
    return changes


class _Outline:
    """An outline taken apart: nodes, fields (type, reducer, lifetime), and other lines."""

    def __init__(self, text: str) -> None:
        self.nodes: list[str] = []
        self.fields: dict[str, tuple[str, str, str]] = {}
        self.lines: list[str] = []
        for line in text.splitlines():
            kind, _, rest = line.partition(" ")
            if kind == "node":
                self.nodes.append(rest)
            elif kind == "channel" and rest.count(" ") >= 3:
                name, _, declared = rest.partition(": ")
                type, reducer, lifetime = declared.rsplit(" ", 2)
                self.fields[name] = (type, reducer, lifetime)
            else:
                self.lines.append(line)

    def of(self, node: str) -> set[str]:
        """The lines that name a node."""
        return {line for line in self.lines if node in _names(line)}

    def renamed(self, names: Mapping[str, str]) -> _Outline:
        """The outline with nodes called by other names."""
        if not names:
            return self
        made = _Outline("")
        made.nodes = list(dict.fromkeys(names.get(name, name) for name in self.nodes))
        made.fields = self.fields
        made.lines = [_with_names(line, names) for line in self.lines]
        return made


def _names(line: str) -> list[str]:
    """The nodes that a line names: ``edge a -> b``, ``branch a -> b, c``, ``join a, b -> c``."""
    _, _, rest = line.partition(" ")
    sources, _, targets = rest.partition(" -> ")
    return [*sources.split(", "), *targets.split(", ")]


def _with_names(line: str, names: Mapping[str, str]) -> str:
    kind, _, rest = line.partition(" ")
    sides = [sorted(names.get(name, name) for name in side.split(", ")) for side in rest.split(" -> ")]
    return f"{kind} {' -> '.join(', '.join(side) for side in sides)}"


def _renamed(old: _Outline, new: _Outline) -> dict[str, str]:
    """The nodes that went whose edges are now those of exactly one node that came."""
    came = [name for name in new.nodes if name not in old.nodes]
    found: dict[str, str] = {}
    for was in old.nodes:
        if was not in new.nodes:
            alike = [now for now in came if {_with_names(line, {was: now}) for line in old.of(was)} == new.of(now)]
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
