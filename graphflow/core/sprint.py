"""Supersteps of one node each, of which nothing is stored by themselves: what is made for that is left out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from graphflow.core.effects import Flow, RunTasks
from graphflow.core.routing import route
from graphflow.core.stored import TaskResult
from graphflow.core.tasks import Outcome, Task
from graphflow.core.updates import checked
from graphflow.errors import GraphflowError

if TYPE_CHECKING:
    from graphflow.core.machine import Machine


def can_sprint(machine: Machine) -> bool:
    """Whether supersteps of this run come to nothing but their writes and what is next."""
    plan, info, ledger = machine.plan, machine.info, machine.ledger
    return not ((ledger.stored and not ledger.passing) or info.watched or plan.pauses or plan.reruns)


def sprint(machine: Machine) -> Flow[list[Outcome]]:
    """Superstep after superstep, as long as one named node is next and gives a dict of fields.

    Returns the outcome of a node that gave something else, for the machine to go on with; none when anything but one named
    node is next, or the run is to stop. What a node does may have what rides be stored: then the machine goes on, too.
    """
    plan, info, ledger = machine.plan, machine.info, machine.ledger
    nodes, schema, values, frontier = plan.nodes, plan.schema, ledger.values, ledger.frontier
    no_reducers = schema.plain.issuperset
    rides = ledger.stored
    while True:
        upcoming = frontier.next
        if len(upcoming) != 1 or machine.steps >= info.recursion_limit or info.stop.requested:
            return []
        if rides and not ledger.passing:
            return []
        name = upcoming[0]
        if type(name) is not str:
            return []
        node = nodes[name]
        machine.steps += 1
        task = Task(node, node.schema.view(values), 0, frontier.origin, info)
        if machine.tells_begin:
            yield from machine.tell_begin([task])
        outcomes: list[Outcome] = yield RunTasks([task])
        update = outcomes[0].value
        if type(update) is not dict or task.runs or (task.session is not None and task.session_changes()):
            return outcomes
        if rides and not ledger.passing:
            return outcomes
        try:
            result = outcomes[0].result = TaskResult(checked(schema, update, name))
            if no_reducers(update) and not rides:
                values.update(result.writes)
            else:
                delta, entries = ledger.merge([(node, result)])
        except GraphflowError:
            outcomes[0].result = None
            return outcomes
        if node.after is not None:
            frontier.next = [*node.after]
        elif rides:
            yield from machine.lead_on(outcomes, [(node, result)])
        else:
            yield from route(plan, values, frontier, [(node, result)])
        machine.measure(outcomes)
        if rides:
            ledger.ride(delta, entries)
        else:
            ledger.passes()
        if machine.tells:
            yield from machine.tell_end(outcomes)
