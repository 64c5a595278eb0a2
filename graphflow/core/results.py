"""What a node returned, as the result of its task: checked writes, where to go, side writes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphflow.core.control import MISSING, Command, Update
from graphflow.core.hints import one
from graphflow.core.plan import Plan
from graphflow.core.routing import targets_of
from graphflow.core.state import StateSchema, Values
from graphflow.core.stored import TaskResult
from graphflow.core.tasks import Task
from graphflow.core.updates import checked, update_of
from graphflow.errors import InvalidUpdate, UnknownTarget


def result_of(plan: Plan, values: Values, task: Task, value: Any, place: str = "") -> TaskResult:
    """What a task's value means; ``values`` is the state that it saw, ``place`` says which of several it is. Raises
    InvalidUpdate, UnknownTarget.
    """
    name, schema = task.node.name, plan.schema
    if type(value) is dict:
        return TaskResult(checked(schema, value, name))
    if isinstance(value, Command):
        if value.graph is not None:
            raise UnknownTarget(f"node {name!r} returned a Command to the graph around {plan.name!r} among others")
        update = _update(schema, values, task, value.update, " as the update of a Command")
        return TaskResult(checked(schema, update, name), targets_of(value, plan, name))
    if isinstance(value, Update):
        own = result_of(plan, values, task, value.values, " as the values of an Update")
        return TaskResult(own.writes, own.goto, (*own.side, *value.writes))
    if isinstance(value, list | tuple):
        among = f" as item {{}} of {one(type(value).__name__)}"
        parts = [result_of(plan, values, task, part, among.format(at)) for at, part in enumerate(value)]
        return TaskResult(
            [write for part in parts for write in part.writes],
            tuple(to for part in parts for to in part.goto),
            tuple(write for part in parts for write in part.side),
        )
    return TaskResult(checked(schema, _update(schema, values, task, value, place), name))


def _update(schema: StateSchema, values: Values, task: Task, value: Any, place: str) -> Mapping[str, Any]:
    """The update that a value other than a dict stands for; a node may give back the part of the state it was given."""
    own = task.node.schema
    returned = own if own.form != "dict" and isinstance(value, own.cls) else schema
    given = task.input
    in_place = value is given and value is not None and returned.form != "dict"
    if in_place:
        given = own.view(values)  # it changed its own copy of the state and gives that back
    return update_of(returned, value, given, task.node.name, place, in_place=in_place)


def session_write(schema: StateSchema, values: Values, task: Task, changes: dict[str, Any]) -> dict[str, Any]:
    """What a task writes to ``session_state`` when it changed these keys of ``ctx.session_state``."""
    channel = schema.channels.get("session_state")
    if channel is None:
        raise InvalidUpdate(
            f"node {task.node.name!r} changed ctx.session_state, but the state has no such field; "
            "declare session_state: Annotated[dict[str, Any], merge_keys]",
            nodes=(task.node.name,),
        )
    if channel.kind == "keys":
        return changes
    whole = {**(values.get("session_state") or {}), **changes}
    return {key: value for key, value in whole.items() if value is not MISSING}
