"""Supersteps of one node each, in a run that nobody stores or holds: what is made for those is left out."""

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
    plan, info = machine.plan, machine.info
    return not (machine.ledger.stored or info.watched or plan.pauses or plan.reruns)


def sprint(machine: Machine) -> Flow[list[Outcome]]:
    """Superstep after superstep, as long as one named node is next and gives a dict of fields.

    Returns the outcome of a node that gave something else, for the machine to go on with; none when anything but one named
    node is next, or the run is to stop.
    """
    plan, info, ledger = machine.plan, machine.info, machine.ledger
    nodes, schema, values, frontier = plan.nodes, plan.schema, ledger.values, ledger.frontier
    no_reducers = schema.plain.issuperset
    while True:
        upcoming = frontier.next
        if len(upcoming) != 1 or machine.steps >= info.recursion_limit or info.stop.requested:
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
        try:
            result = TaskResult(checked(schema, update, name))
            if no_reducers(update):
                values.update(result.writes)
            else:
                ledger.merge([(node, result)])
        except GraphflowError:
            return outcomes
        machine.measure(outcomes)
        if node.after is None:
            yield from route(plan, values, frontier, [(node, result)])
        else:
            frontier.next = [*node.after]
        ledger.passes()
        if machine.tells:
            outcomes[0].result = result
            yield from machine.tell_end(outcomes)
