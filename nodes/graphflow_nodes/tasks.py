"""Nodes of a team that works through a list of tasks: the leader plans and assigns, members do, the leader finishes.

The list is the channel ``tasks`` of the state (a dict by id, merged and stored), so it is there again after a crash. Calls of
one message are carried out in the order they stand in; assignments start together when all of them have been looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from graphflow.core.control import END, Context, Send
from graphflow.core.effects import Flow
from graphflow.core.nested import stands_for
from graphflow.core.plan import flow
from graphflow.errors import ModelError
from graphflow.messages import Message, ToolCall
from graphflow.models.structured import parse_output
from graphflow.tools import Tool, tool_table
from graphflow_nodes.team import (
    ask_member,
    beginning,
    find_member,
    member_plan,
    shared_text,
    task_message,
    unknown_member,
    with_choices,
)
from graphflow_nodes.voices import spoken


class TeamTask(BaseModel):
    """One task of the list."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    title: str
    description: str = ""
    depends_on: tuple[str, ...] = ()
    status: Literal["open", "running", "done"] = "open"
    member: str = ""
    """Who works, or has worked, on it; empty while it is open."""
    result: str = ""

    def now(self, **changes: Any) -> TeamTask:
        """The task with these changes."""
        return self.model_copy(update=changes)


Tasks = dict[str, TeamTask]


class Assignment(BaseModel):
    """A task and who is to do it."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    task_id: str = Field(description="The id of the task.")
    member_id: str = Field(description="The id of the member.")


# --- the leader's tools, as the model sees them; the node ``manage_tasks`` carries them out -----------------------------


def create_task(title: str, description: str = "", depends_on: Sequence[str] = ()) -> str:
    """Add a task to the list. What comes back is its id.

    Args:
        title: A few words.
        description: What is to be done, with everything that whoever does it has to know.
        depends_on: The ids of tasks that have to be done before; their results are given along.
    """
    return title


def list_tasks() -> str:
    """All tasks with their states."""
    return ""


def execute_task(task_id: str, member_id: str) -> str:
    """Have a member do a task whose dependencies are done. What comes back is the result.

    Args:
        task_id: The id of the task.
        member_id: The id of the member.
    """
    return f"{task_id} {member_id}"


def execute_tasks(assignments: list[Assignment]) -> str:
    """Have members do several tasks at the same time. What comes back is all results.

    Args:
        assignments: Tasks that do not depend on each other, each with the member who is to do it.
    """
    return str(assignments)


def finish(result: str) -> str:
    """End the work: the result is given to the user as it is. Call it alone, when all that is needed is done.

    Args:
        result: The answer to what the user asked for.
    """
    return result


_CREATE, _LIST, _EXECUTE, _EXECUTE_ALL, _FINISH = "create_task", "list_tasks", "execute_task", "execute_tasks", "finish"


def task_tools(ids: Collection[str]) -> dict[str, Tool]:
    """The tools of a leader whose members have these ids."""
    table = tool_table([create_task, list_tasks, execute_task, execute_tasks, finish])
    table[_EXECUTE] = with_choices(table[_EXECUTE], "member_id", ids)
    return table


# --- what they do -------------------------------------------------------------------------------------------------------


def manage_tasks(
    ids: Collection[str], *, output_schema: type[Any] | None = None, messages: str = "messages", tasks: str = "tasks"
) -> Callable[..., Flow[dict[str, Any]]]:
    """A node that carries out the leader's calls about the list, in their order, and answers all but those that members have
    to work on; ``started_tasks`` leads on to them. What cannot be done is answered with the reason. ``finish`` adds the result
    as the answer of the run.
    """
    table = task_tools(ids)

    @flow
    def manage(state: Any, ctx: Context) -> Flow[dict[str, Any]]:
        calls = state[messages][-1].tool_calls
        held: Tasks = dict(state.get(tasks) or {})
        schema = ctx.options.get("output_schema") or output_schema
        answers: list[Message] = []
        for call in calls:
            if call.name not in table:
                continue
            text = _carried_out(table, call, calls, held, ids, schema)
            if text is not None:
                answers.append(Message("tool", text, name=call.name, tool_call_id=call.id))
        if len(calls) == 1 and calls[0].name == _FINISH and answers[0].text == _FINISHED:
            result = str(calls[0].arguments["result"])
            answers.append(Message("assistant", result))
            if ctx.listening:
                yield spoken(ctx, result)
        changed = {id: item for id, item in held.items() if item is not (state.get(tasks) or {}).get(id)}
        return {messages: answers, tasks: changed}

    return manage


_FINISHED = "The result was given to the user."


def _carried_out(
    table: Mapping[str, Tool], call: ToolCall, calls: Sequence[ToolCall], held: Tasks, ids: Collection[str], schema: Any
) -> str | None:
    """The answer to one call, which may change the list; None when it is members who answer."""
    try:
        bound = table[call.name].bind(_usual(call))
    except ValueError as error:
        return str(error)
    if call.name == _CREATE:
        return _created(held, **bound)
    if call.name == _LIST:
        return listed(held)
    if call.name == _FINISH:
        return _ended(bound["result"], calls, schema)
    pairs: list[Assignment] = [Assignment(**bound)] if call.name == _EXECUTE else bound["assignments"]
    problems = [_problem(held, ids, pair) for pair in pairs]
    if len({find_task(held, pair.task_id) for pair in pairs}) < len(pairs):
        problems.append("The same task is in the list twice.")
    if not pairs or any(problems):
        told = "\n".join(filter(None, problems)) or "There is nothing to execute."
        return told if len(pairs) < 2 else f"{told}\nNone of these tasks was started."
    for pair in pairs:
        id = find_task(held, pair.task_id) or ""
        held[id] = held[id].now(status="running", member=find_member(ids, pair.member_id))
    return None


def _usual(call: ToolCall) -> dict[str, Any]:
    """The arguments with numbers for ids as texts, and the one list of ``execute_tasks`` under its name."""
    arguments = dict(call.arguments)
    if call.name == _EXECUTE_ALL and len(arguments) == 1:
        arguments = {"assignments": [_texts(item) for item in _listed(*arguments.values())]}
    if call.name == _CREATE and isinstance(arguments.get("depends_on"), list | tuple | int | str):
        arguments["depends_on"] = [str(id) for id in _listed(arguments["depends_on"])]
    return {key: str(value) if type(value) is int else value for key, value in arguments.items()}


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _texts(item: Any) -> Any:
    return {key: str(v) if type(v) is int else v for key, v in item.items()} if isinstance(item, Mapping) else item


def find_task(held: Tasks, given: str) -> str | None:
    """The id of the task that a model means by an id, its number, or its title."""
    number = re.fullmatch(r"(?:task[\s_-]*)?(\d+)", given.strip(), re.I)
    id = f"task-{int(number[1])}" if number else given
    return id if id in held else next((id for id, item in held.items() if item.title.lower() == given.lower()), None)


def _created(held: Tasks, title: str, description: str, depends_on: Sequence[str]) -> str:
    needed = [find_task(held, given) for given in depends_on]
    for given, found in zip(depends_on, needed, strict=True):
        if found is None:
            return f"Not created: there is no task {given!r} to depend on. The tasks are: {', '.join(held) or 'none'}."
    id = f"task-{len(held) + 1}"
    depends = tuple(found for found in dict.fromkeys(needed) if found is not None)
    held[id] = TeamTask(title=title, description=description, depends_on=depends)
    return f"Created {id}: {title}"


def _problem(held: Tasks, ids: Collection[str], pair: Assignment) -> str | None:
    """What stands against an assignment."""
    id = find_task(held, pair.task_id)
    if id is None:
        return f"There is no task {pair.task_id!r}. The tasks are: {', '.join(held) or 'none'}."
    if find_member(ids, pair.member_id) is None:
        return unknown_member(ids, pair.member_id)
    item = held[id]
    if item.status != "open":
        return f"{id} is {item.status}; create another task for more work."
    waits = [f"{needed} ({held[needed].status})" for needed in item.depends_on if held[needed].status != "done"]
    return f"{id} depends on {', '.join(waits)}; have that done first." if waits else None


def _ended(result: str, calls: Sequence[ToolCall], schema: Any) -> str:
    if len(calls) > 1:
        return "Not finished: call finish alone, when the results of the other calls are there."
    if schema is not None:
        try:
            parse_output(schema, result)
        except ModelError as error:
            return f"Not finished: {error}"
    return _FINISHED


def listed(held: Tasks) -> str:
    """The list, a line for each task."""
    lines = []
    for id, item in held.items():
        after = f", after {', '.join(item.depends_on)}" if item.depends_on else ""
        by = f" by {item.member}" if item.member else ""
        lines.append(f"{id} [{item.status}{by}{after}] {item.title}")
    return "\n".join(lines) or "There are no tasks yet."


# --- the work -----------------------------------------------------------------------------------------------------------


def started_tasks(
    *, node: str = "tools", leader: str = "leader", messages: str = "messages", tasks: str = "tasks"
) -> Callable[[Any], list[str | Send]]:
    """A router after ``manage_tasks``: a Send to its member for each task that starts, to ``node`` for calls of other tools;
    else to the ``leader``, or END when it has finished.
    """

    def route(state: Any) -> list[str | Send]:
        said, held = state[messages], state.get(tasks) or {}
        if said[-1].role == "assistant" and not said[-1].tool_calls:
            return [END]
        sends: list[str | Send] = []
        for call in _unanswered(said):
            started = _started(call, held)
            sends += [Send(held[id].member, ToolCall(call.id, _EXECUTE, {"task_id": id})) for id in started]
            if not started:
                sends.append(Send(node, call))
        return sends or [leader]

    return route


def _unanswered(said: Sequence[Message]) -> list[ToolCall]:
    """The calls of the last message with calls that have no answer yet."""
    at = max(index for index, message in enumerate(said) if message.tool_calls)
    answered = [message.tool_call_id for message in said[at + 1 :]]
    calls = []
    for call in said[at].tool_calls:
        if call.id in answered:
            answered.remove(call.id)
        else:
            calls.append(call)
    return calls


def _started(call: ToolCall, held: Tasks) -> list[str]:
    if call.name not in (_EXECUTE, _EXECUTE_ALL):
        return []
    arguments = _usual(call)
    pairs = [arguments] if call.name == _EXECUTE else arguments["assignments"]
    return [id for pair in pairs if (id := find_task(held, pair["task_id"])) is not None]


def do_task(
    member: Any,
    *,
    name: str | None = None,
    share_member_interactions: bool = False,
    session_state: Mapping[str, Any] | None = None,
    model: Callable[[], Any] | None = None,
    tasks: str = "tasks",
) -> Callable[..., Flow[dict[str, Any]]]:
    """A node that is a member and does a task of the list; its answer is the task's result. It is told the results of what the
    task depends on, or (``share_member_interactions``) those of all tasks. Settings and promises are those of ``delegate``.
    """
    plan = member_plan(member, name)

    @stands_for(plan)
    def run_member(call: ToolCall, ctx: Context) -> Flow[dict[str, Any]]:
        held: Tasks = ctx.values[tasks]
        id = call.arguments["task_id"]
        item = held[id]
        text = "\n\n".join(filter(None, (item.title, item.description)))
        known = [task for task in held.values() if task.status == "done"] if share_member_interactions else ()
        told = [(done.member, done.title, done.result) for done in known or map(held.__getitem__, item.depends_on)]
        if told:
            text = f"{text}\n\n{shared_text(told)}"
        begun = beginning(member, [task_message(text, ctx.values.get("messages") or ())])
        answer, update = yield from ask_member(plan, begun, ctx, session_state=session_state, model=model)
        return {tasks: {id: item.now(status="done", member=plan.name, result=answer)}, **update}

    return run_member


def report_tasks(*, messages: str = "messages", tasks: str = "tasks") -> Callable[[Any], dict[str, Any]]:
    """A node that answers the leader's assignments with the results of the members."""

    def report(state: Any) -> dict[str, Any]:
        held, answers = state[tasks], []
        for call in _unanswered(state[messages]):
            done = [(id, held[id]) for id in _started(call, held)]
            results = [item.result for _, item in done]
            if call.name == _EXECUTE_ALL:
                results = [f"{id}, by {item.member}: {item.result}" for id, item in done]
            answers.append(Message("tool", "\n\n".join(results), name=call.name, tool_call_id=call.id))
        return {messages: answers}

    return report
