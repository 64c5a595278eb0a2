"""Nodes that hand work to members: graphs of messages that a leader calls like tools."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from graphflow.core.calls import CallOptions
from graphflow.core.comparison import changed_keys
from graphflow.core.control import END, Command, Context, Send, current_task
from graphflow.core.effects import Emit, Flow
from graphflow.core.nested import run_inside, stands_for
from graphflow.core.plan import Plan
from graphflow.core.tasks import Speaker
from graphflow.errors import GraphError
from graphflow.messages import Message, TextPart, ToolCall
from graphflow.models.structured import parse_output
from graphflow.tools import Tool, as_tool
from graphflow_nodes.channels import held_in
from graphflow_nodes.model import check_call
from graphflow_nodes.turns import said_in_turn
from graphflow_nodes.voices import voice_of

DELEGATE: Final = "delegate_task_to_member"
"""The tool that a leader delegates with."""


# --- what the leader sees -----------------------------------------------------------------------------------------------


def member_key(name: str) -> str:
    """A name as the id of a member: small letters, digits and dashes, as every model can repeat it."""
    return re.sub(r"[^\w]+", "-", name.strip().lower()).strip("-_")


def find_member(ids: Collection[str], given: Any) -> str | None:
    """The member that a model means by an id or a name, however it writes that; None when there is none, or several."""
    if not isinstance(given, str):
        return None
    for exact in (given, member_key(given)):
        if exact in ids:
            return exact
    meant = [id for id in ids if _letters(id) == _letters(given)]
    return meant[0] if len(meant) == 1 else None


def _letters(name: str) -> str:
    """A name without what models put between its words: Web Reader, web_reader and WebReader are one."""
    return re.sub(r"[\W_]+", "", name).casefold()


def unknown_member(ids: Collection[str], given: Any) -> str:
    """What a leader is told who names a member that does not exist."""
    return f"There is no member {given!r}. The members are: {', '.join(ids)}."


def delegate_task_to_member(member_id: str, task: str) -> str:
    """Give a member of the team a task. What comes back is the member's answer.

    Args:
        member_id: The id of the member.
        task: What the member is to do, with everything it has to know: it does not see this conversation.
    """
    raise GraphError(f"member {member_id!r} was called as a function; a team runs its members as graphs")


def delegation_tool(ids: Collection[str]) -> Tool:
    """The tool ``delegate_task_to_member(member_id, task)``. The tool itself is called only for members that do not exist;
    the router ``delegations`` sends every other call to the member's node.
    """
    tool = with_choices(as_tool(delegate_task_to_member), "member_id", ids)
    return replace(tool, fn=lambda member_id, task: unknown_member(ids, member_id))


def with_choices(tool: Tool, parameter: str, choices: Collection[str]) -> Tool:
    """The tool with a parameter's values listed in the schema that the model sees."""
    properties = tool.parameters["properties"]
    listed = {**properties, parameter: {**properties[parameter], "enum": list(choices)}}
    return replace(tool, parameters={**tool.parameters, "properties": listed})


# --- where calls go -----------------------------------------------------------------------------------------------------


def delegations(
    ids: Collection[str], *, single: bool = False, messages: str = "messages", node: str = "tools"
) -> Callable[[Any], list[str | Send]]:
    """A router: a Send to a member's node for each delegation of the last message, to ``node`` for each other tool call, or END
    when there is no call. ``single``: of the delegations only the first, whose answer comes after those of the other tools;
    ``unless_answered`` then leads on from these.
    """

    def route(state: Any) -> list[str | Send]:
        said = held_in(state, messages) or ()
        sends = [Send(_delegated(ids, call) or node, call) for call in said[-1].tool_calls] if said else []
        if single and (chosen := next((send for send in sends if send.node in ids), None)):
            sends = [*(send for send in sends if send.arg.name != DELEGATE), chosen]
        return [*sends] or [END]

    return route


def unless_answered(leader: str = "leader", *, messages: str = "messages") -> Callable[[Any], list[str]]:
    """A router after tools that may be called beside a member whose answer is ``final``: END when it has answered, else to the
    leader, who reads what the tools gave.
    """

    def route(state: Any) -> list[str]:
        last = (held_in(state, messages) or (None,))[-1]
        return [END] if last is not None and last.role == "assistant" else [leader]

    return route


def _delegated(ids: Collection[str], call: ToolCall) -> str | None:
    """The member that a call addresses, when it is one that can be carried out."""
    arguments = call.arguments
    fits = call.name == DELEGATE and arguments.keys() == {"member_id", "task"} and isinstance(arguments["task"], str)
    return find_member(ids, arguments["member_id"]) if fits else None


def broadcast(ids: Sequence[str], *, messages: str = "messages") -> Callable[..., Command]:
    """A node that calls all members at once, before a leader was asked, with what the run was given: the messages of the user
    and, of a conversation, those of the assistant.

    It adds the calls to ``messages``, so that the leader finds them answered there. Add it with the members' nodes as its
    ``destinations=``.
    """

    def call_all(state: Any, ctx: Context) -> Command:
        calls = [ToolCall(f"{ctx.task_key[:16]}-{n}", DELEGATE, {"member_id": id}) for n, id in enumerate(ids)]
        sends = [Send(id, call) for id, call in zip(ids, calls, strict=True)]
        return Command({messages: [Message("assistant", "", tool_calls=calls)]}, sends)

    return call_all


# --- members ------------------------------------------------------------------------------------------------------------


def delegate(
    member: Any,
    *,
    name: str | None = None,
    final: bool = False,
    shared_by: Collection[str] = (),
    tool_call_limit: int | None = 25,
    session_state: Mapping[str, Any] | None = None,
    model: Callable[[], Any] | None = None,
    output_schema: type[Any] | None = None,
    messages: str = "messages",
) -> Callable[..., Flow[dict[str, Any]]]:
    """A node that is a member: it gets the task of a delegation (a Send of the ToolCall, see ``delegations``), runs the
    member's graph on it as one user message, and adds the answer to ``messages`` as the tool message that the leader sees.

    ``member``: a Graph whose state has ``messages``, or what compiles to one: an Agent, a Team, or a Workflow, whose input is
    the task. Its own database is not used.
    Its steps are stored in the session of the graph around it: after a crash it goes on inside, its questions pause the whole
    run, and a finished one is not run again. Its conversation has a log of its own, named after the node, so it has a history.
    ``session_state`` of both graphs is shared: the member gets it, and the keys it changed come back.

    ``name``: the id of the member (the graph's name). ``final``: its answer, unchanged, is also the answer of the graph,
    streamed as that; other delegations of the same message are declined. ``shared_by``: ids of members whose answers in this
    run are told to this one with the task. ``session_state``: keys for the member that the session does not have. ``model``:
    gives the model for members that have none. ``output_schema``: what a final answer has to be; a call's option takes
    precedence. Images and files of the user's messages are given along.
    """
    plan = member_plan(member, name)

    @stands_for(plan)
    def run_member(call: ToolCall, ctx: Context) -> Flow[dict[str, Any]]:
        check_call(call, ctx, "delegations")
        said = ctx.values.get(messages) or ()
        if tool_call_limit is not None and said_in_turn(said, "tool") + ctx.position >= tool_call_limit:
            text = f"Not delegated: this run has made its {tool_call_limit} tool calls. Answer with what you have."
            return {messages: [_answered(call, text)]}
        given = _brief(call, said, shared_by)
        schema = (ctx.options.get("output_schema") or output_schema) if final else None
        begun = beginning(member, given)
        answer, update = yield from ask_member(
            plan, begun, ctx, final=final, session_state=session_state, model=model, output_schema=schema
        )
        if schema is not None:
            parse_output(schema, answer)  # a Workflow or a Graph knows nothing of it
        if not final:
            return {messages: [_answered(call, answer)], **update}
        declined = "Not called: in this team one member gives the answer."
        answered = [
            _answered(each, f"{plan.name} answers the user." if each.id == call.id else declined)
            for each in (said[-1].tool_calls if said else (call,))
            if each.name == call.name
        ]
        return {messages: [*answered, Message("assistant", answer, name=plan.name)], **update}

    return run_member


def member_plan(member: Any, name: str | None = None) -> Plan:
    """The graph of a member under its name in the team. Raises GraphError for what is not a graph of messages."""
    plan = getattr(getattr(member, "graph", member), "plan", None)
    if not isinstance(plan, Plan):
        raise GraphError(f"the member {member!r} is no graph: give an Agent, a Team, a Workflow, or a Graph of messages")
    channel = plan.schema.channels.get("messages")
    if channel is None or channel.kind != "messages":
        raise GraphError(
            f"the graph {plan.name!r} cannot be a member: its state needs messages: "
            "Annotated[list[Message], add_messages, logged]"
        )
    return plan if name in (None, plan.name) else replace(plan, name=str(name))


def beginning(member: Any, said: Sequence[Message]) -> dict[str, Any]:
    """The channels that a member's graph begins with when it is given these messages: what ``member.run`` would begin with,
    where it has one. A plain text is given as that, so that it is what the steps of a workflow find in ``input``.
    """
    given = [message.with_id(None) for message in said]
    begin: Callable[[Any], dict[str, Any]] | None = getattr(member, "graph_input", None)
    if begin is None:
        return {"messages": given}
    if len(given) != 1:
        return begin(given)
    return begin(given[0].text if given[0] == Message("user", given[0].text) else given[0])


def ask_member(
    plan: Plan,
    begun: Mapping[str, Any],
    ctx: Context,
    *,
    final: bool = False,
    session_state: Mapping[str, Any] | None = None,
    model: Callable[[], Any] | None = None,
    output_schema: type[Any] | None = None,
) -> Flow[tuple[str, dict[str, Any]]]:
    """Run a member's graph inside the current task, begun with these channels (see ``beginning``). The text of its answer, and
    the update with what it changed in the session_state; see ``delegate`` for the settings.
    """
    task = current_task.get()
    assert task is not None
    outer = task.run.speaker
    if model is None and outer is not None:
        model = outer.model
    speaker = Speaker(plan.name, model, voice_of(ctx) if final else None)
    given = dict(begun)
    shares = "session_state" in plan.schema.channels
    before = {**(session_state or {}), **(ctx.values.get("session_state") or {})}
    if shares:
        given["session_state"] = before
    about = {"member": plan.name, "inside": task.path}
    if ctx.listening:
        said = begun["messages"]
        yield Emit("member_started", ctx.node, {**about, "task": said[-1].text if said else ""}, ctx.ns)
    options = None if output_schema is None else CallOptions(options={"output_schema": output_schema})
    ended = yield from run_inside(plan, given, task, options=options, speaker=speaker)
    answer = _answer_of(ended.values.get("messages") or ())
    if ctx.listening:
        yield Emit("member_completed", ctx.node, {**about, "content": answer}, ctx.ns)
    changed = changed_keys(before, ended.values.get("session_state") or {}) if shares else {}
    return answer, {"session_state": changed} if changed else {}


def task_message(task: str, said: Sequence[Message]) -> Message:
    """A task as a member gets it: with the images and files that the user gave."""
    own = (message for message in said if message.role == "user" and not isinstance(message.content, str))
    media = [part for message in own for part in message.content if not isinstance(part, TextPart | str)]
    return Message("user", [TextPart(text=task), *media] if media else task)


def interactions(said: Sequence[Message], ids: Collection[str]) -> list[tuple[str, str, str]]:
    """What members were asked, and what they answered, in messages of a leader: (member, task, answer) each."""
    found = []
    calls: dict[str | None, ToolCall] = {}
    for message in said:
        if message.tool_calls:
            calls = {call.id: call for call in message.tool_calls}
        elif message.role == "tool" and (call := calls.get(message.tool_call_id)) is not None:
            member = _delegated(ids, call)
            if member is not None:
                found.append((member, str(call.arguments.get("task", "")), message.text))
    return found


def shared_text(told: Sequence[tuple[str, str, str]]) -> str:
    """What other members said, for one who was not there."""
    return "What other members of the team said so far:\n" + "\n".join(
        f"- {member}{f' (asked: {task})' if task else ''}: {answer}" for member, task, answer in told
    )


def _brief(call: ToolCall, said: Sequence[Message], shared_by: Collection[str]) -> list[Message]:
    task = call.arguments.get("task")
    if task is None:
        return _conversation(said)
    told = interactions(said, shared_by) if shared_by else ()
    return [task_message(f"{task}\n\n{shared_text(told)}" if told else task, said)]


def _conversation(said: Sequence[Message]) -> list[Message]:
    """What was said by the user and to the user, without the tools that were called for it."""
    return [message.model_copy(update={"tool_calls": ()}) for message in said if _is_conversation(message)]


def _is_conversation(message: Message) -> bool:
    return message.role in ("user", "assistant") and bool(message.content or not message.tool_calls)


def _answered(call: ToolCall, text: str) -> Message:
    return Message("tool", text, name=call.name, tool_call_id=call.id)


def _answer_of(messages: Sequence[Message]) -> str:
    last = messages[-1] if messages else None
    return last.text if last is not None and last.role == "assistant" else ""
