"""Supersteps of one node each: what is made for several tasks, for pauses and for what was recorded before is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphflow.core.effects import Flow
from graphflow.core.routing import route
from graphflow.core.stored import LogEntry, TaskResult
from graphflow.core.tasks import Outcome, Task
from graphflow.core.updates import checked, written
from graphflow.errors import GraphflowError

if TYPE_CHECKING:
    from graphflow.core.machine import Machine


def can_sprint(machine: Machine) -> bool:
    """Whether nothing stops this run before or after a node, or watches what nodes do."""
    return not (machine.info.watched or machine.plan.pauses)


def sprint(machine: Machine) -> Flow[list[Outcome]]:
    """Superstep after superstep, as long as one named node is next and gives a dict of fields.

    Returns the outcome of a node that gave something else, for the machine to go on with; none when anything but one named
    node is next, something of it was recorded before, or the run is to stop.
    """
    plan, info, ledger = machine.plan, machine.info, machine.ledger
    nodes, schema, values, frontier = plan.nodes, plan.schema, ledger.values, ledger.frontier
    no_reducers = schema.plain.issuperset
    stored, tells = ledger.stored, machine.tells
    while True:
        upcoming = frontier.next
        if len(upcoming) != 1 or ledger.recorded or machine.steps >= info.recursion_limit or info.stop.requested:
            return []
        name = upcoming[0]
        if type(name) is not str:
            return []
        node = nodes[name]
        machine.steps += 1
        task = Task(node, node.schema.view(values), 0, frontier.origin, info)
        if tells.begin:
            yield from machine.tell_begin([task])
        outcome: Outcome = yield task
        outcomes = [outcome]
        update = outcome.value
        if type(update) is not dict or task.runs or (task.session is not None and task.session_changes()):
            return outcomes
        try:
            result = outcome.result = TaskResult(checked(schema, update, name))
            entries: list[LogEntry] = []
            if no_reducers(update):
                values.update(result.writes)
                delta = written(schema, result.writes) if stored else {}
            else:
                delta, entries = ledger.merge([(node, result)])
        except GraphflowError:
            outcome.result = None
            return outcomes
        if node.after is not None:
            frontier.next = [*node.after]
        elif plan.awaits:
            yield from machine.lead_on(outcomes, [(node, result)])
        else:
            try:
                route(plan, values, frontier, [(node, result)])
            except Exception as error:
                yield from machine.stop("error", outcomes, error)
                raise
        if stored:
            yield from machine.finish_superstep(outcomes, delta, entries)
            continue
        machine.measure(outcomes)
        ledger.passes()
        if tells.superstep:
            yield from machine.tell_end(outcomes)
