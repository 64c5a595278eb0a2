"""Nodes that ask a model and call the tools it wants."""

from __future__ import annotations

import itertools
import re
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, Final, NamedTuple

from pydantic_core import to_json

from graphflow.core import options
from graphflow.core.control import END, Command, Context, Send, Update
from graphflow.core.effects import Ask, Call, Emit, Flow, is_awaitable
from graphflow.core.excerpts import error_text, excerpt
from graphflow.core.hints import one
from graphflow.core.plan import flow
from graphflow.errors import GraphError, ModelError
from graphflow.messages import Message, ToolCall
from graphflow.models.base import Model, Reply, Request, check_source
from graphflow.models.structured import parse_output
from graphflow.tools import Tool, tool_table
from graphflow_nodes.channels import held_in, reader
from graphflow_nodes.questions import filled_in, given_result, refusal
from graphflow_nodes.turns import said_in_turn
from graphflow_nodes.voices import taken_back

Told = str | Sequence[str] | None
Instructions = Told | Callable[[Context], Told | Awaitable[Told]]


def respond(
    model: Model | Callable[[], Model],
    *,
    instructions: Instructions = None,
    guide: str = "",
    tools: Sequence[Any] | Mapping[str, Tool] = (),
    tool_call_limit: int = 25,
    turn_limit: int | None = None,
    output_schema: type[Any] | None = None,
    messages: str = "messages",
    history: str = "history",
    memories: str = "memories",
    summary: str = "summary",
) -> Callable[..., Flow[dict[str, Any]]]:
    """A node that asks ``model`` and adds its answer to the channel ``messages``.

    The request holds, in this order: one system message (``instructions``, or what they give where they are a function of the
    Context, def or async def; then ``guide``; then what the channels ``memories`` and ``summary``
    hold, then the call's option ``background``), the channel ``history``, and ``messages``; of these channels ``messages`` has
    to be there. ``model`` may be a function that gives the model, called when it is first needed. When a run has made
    ``tool_call_limit`` tool calls, or asked the model ``turn_limit`` times (both counted since the user's last message), the
    model is asked without tools, so that it has to answer. A model that has no ``tools`` and calls some is told that there are
    none, and asked again. With ``output_schema`` the answer has to be JSON of that type;
    anything else is a ModelError (the run can be resumed). A call's option ``output_schema`` takes precedence. An answer that
    ends at a limit of tokens is noted in the metrics as ``answer_cut``. Token events are streamed when somebody listens.
    """
    check_source(model)
    options.whole("tool_call_limit", tool_call_limit)
    options.whole("turn_limit", turn_limit, 1, none="no limit")
    options.type_of_values("output_schema", output_schema, none="plain text")
    table = tools if isinstance(tools, Mapping) else tool_table(tools)
    specs = [tool.spec() for tool in table.values()]
    # The same in every request as long as nothing is added to it, so it is made and checked once.
    constant = _system_message(instructions, guide) if instructions is None or isinstance(instructions, str) else None

    @flow
    def ask_model(state: Any, ctx: Context) -> Flow[dict[str, Any]]:
        held, settings = reader(state), ctx.options
        schema = settings.get("output_schema") or output_schema
        said = held(messages) or ()
        system = constant
        known = held(memories), held(summary), settings.get("background")
        if system is None or any(known):
            system = _system_message((yield from _told(instructions, ctx)), guide, *known)
        before = [*system, *(held(history) or ()), *said]
        in_vain: list[Message] = []
        while True:
            limited = _limit_reached([*said, *in_vain], tool_call_limit, turn_limit)
            asked = Request([*before, *in_vain], () if limited else specs, schema)
            reply: Reply = yield Ask(model if isinstance(model, Model) else model(), asked)
            calls = _told_apart(reply.tool_calls)
            if specs or limited or not calls:
                break
            in_vain += yield from _called_in_vain(reply, calls, ctx)
        if calls and limited:
            calls = ()
            if not reply.content:
                raise ModelError(
                    f"the model {limited.done}, its limit, and calls more tools instead of answering; give a clearer "
                    f"instruction or a higher {limited.setting}="
                )
        if schema is not None and not calls:
            parse_output(schema, reply.content)
        if reply.cut:
            ctx.note("answer_cut", True)
        details = reply.provider_details if calls else None
        return {messages: [*in_vain, Message("assistant", reply.content, tool_calls=calls, provider_details=details)]}

    return ask_model


def _called_in_vain(reply: Reply, calls: Sequence[ToolCall], ctx: Context) -> Flow[list[Message]]:
    """What a model said that has no tools and called some, and what it is told of each call."""
    told = [Message("assistant", reply.content, tool_calls=calls, provider_details=reply.provider_details)]
    for call in calls:
        result = _no_such_tool(call, ())
        yield from _tell(ctx, "tool_failed", call, {"result": result})
        told.append(Message("tool", result, name=call.name, tool_call_id=call.id))
    if ctx.listening:
        yield taken_back(ctx, "it has no tools, and called some")
    return told


def _told_apart(calls: Sequence[ToolCall]) -> tuple[ToolCall, ...]:
    """The calls of a reply, each under an id of its own: a model may give one twice, and answers are joined to calls by id."""
    if not calls:
        return ()
    given = [call.id for call in calls]
    if len(set(given)) == len(given):
        return tuple(calls)
    ids: list[str] = []
    for id in given:
        others = (f"{id}-{n}" for n in itertools.count(2))
        ids.append(id if id not in ids else next(other for other in others if other not in given and other not in ids))
    return tuple(ToolCall(id, call.name, call.arguments) for id, call in zip(ids, calls, strict=True))


class _Limit(NamedTuple):
    """A limit that a run has come to."""

    done: str
    setting: str


def _limit_reached(said: Sequence[Message], tool_call_limit: int, turn_limit: int | None) -> _Limit | None:
    if turn_limit is not None and said_in_turn(said, "assistant") >= turn_limit:
        return _Limit(f"was asked {turn_limit} times", "max_iterations")
    made = said_in_turn(said, "tool")
    return _Limit(f"made {made} tool calls", "tool_call_limit") if made >= tool_call_limit else None


def wanted_calls(messages: str = "messages", node: str = "tools") -> Callable[[Any], list[str | Send]]:
    """A router: a Send to ``node`` for each tool call of the last message, or END when there is none."""

    def route(state: Any) -> list[str | Send]:
        said = held_in(state, messages) or ()
        calls = said[-1].tool_calls if said else ()
        return [Send(node, call) for call in calls] if calls else [END]

    return route


def check_call(given: Any, ctx: Context, router: str) -> None:
    """Raise GraphError when a node that is there for one call was given something else, such as the state by a plain edge."""
    if not isinstance(given, ToolCall):
        raise GraphError(
            f"node {ctx.node!r} carries out one tool call, and was given {one(type(given).__name__)}: each call needs a Send "
            f"of its own; route to the node with add_conditional_edges(…, {router}(…)), and not with an edge"
        )


def call_tools(
    tools: Sequence[Any] | Mapping[str, Tool],
    *,
    on_tool_error: str = "message",
    tool_call_limit: int = 25,
    messages: str = "messages",
) -> Callable[..., Flow[Any]]:
    """A node that executes one tool call and adds the tool message; reached by ``wanted_calls``, a task for each call.

    Calls run in parallel and a finished one is never repeated. An unknown tool, wrong arguments, and (unless
    ``on_tool_error="raise"``) a tool that raises become a tool message the model sees; what the latter changed in
    ``ctx.session_state`` is dropped. A tool that needs confirmation, input or an outside execution pauses the run with a
    question; see ``graphflow.tools``. A tool may return an ``Update``: its ``values`` are what the model sees, its ``writes``
    are stored with the step.
    """
    options.one_of("on_tool_error", on_tool_error, ("message", "raise"))
    options.whole("tool_call_limit", tool_call_limit)
    table = tools if isinstance(tools, Mapping) else tool_table(tools)

    @flow
    def run_tool(call: ToolCall, ctx: Context) -> Flow[Any]:
        check_call(call, ctx, "wanted_calls")
        if said_in_turn(ctx.values.get(messages) or (), "tool") + ctx.position >= tool_call_limit:
            content, failed = (
                f"Not called: this run has made its {tool_call_limit} tool calls. Answer with what you have.",
                True,
            )
        else:
            content, failed = yield from _called(table, call, ctx, on_tool_error)
        writes: Sequence[Any] = ()
        if isinstance(content, Update):
            content, writes = as_text(content.values), content.writes
        yield from _tell(ctx, "tool_failed" if failed else "tool_completed", call, {"result": content})
        answer = {messages: [Message("tool", content, name=call.name, tool_call_id=call.id)]}
        return Update(answer, writes) if writes else answer

    return run_tool


def _called(table: Mapping[str, Tool], call: ToolCall, ctx: Context, on_tool_error: str) -> Flow[tuple[Any, bool]]:
    """The text of the tool message (or an Update with it), and whether the call failed."""
    tool = table.get(call.name)
    if tool is None:
        return _no_such_tool(call, table), True
    # What the model got wrong it hears at once, before anybody is asked about the call. Once asked, the questions stay.
    asks_first = tool.user_input or ctx.task.answers
    try:
        bound = {} if asks_first else tool.bind(call.arguments)
    except ValueError as error:
        return str(error), True
    declined = refusal(tool, call, ctx)
    if declined is not None:
        return declined, True
    arguments = filled_in(tool, call, ctx) if tool.user_input else dict(call.arguments)
    if tool.external:
        result = given_result(tool, call, arguments, ctx)
        yield from _tell(ctx, "tool_started", call, {})
        return as_text(result), False
    if asks_first:
        try:
            bound = tool.bind(arguments)
        except ValueError as error:
            return str(error), True
    if tool.context_parameter is not None:
        bound[tool.context_parameter] = ctx
    yield from _tell(ctx, "tool_started", call, {})
    returned: Any = None
    try:
        returned = yield Call(tool.fn, (), bound, tool.is_async)
        return returned if isinstance(returned, Update) else _readable(tool, returned), False
    except Exception as error:
        if isinstance(returned, Command):
            raise GraphError(
                f"tool {tool.name!r} returned a Command, but what a tool returns is for the model to read: change the "
                f"session's dict (ctx.session_state[…] = …), and have a node or a router after {ctx.node!r} say where to go"
            ) from None
        if on_tool_error == "raise":
            raise
        ctx.task.session = None  # what a failed call changed in it
        return f"The tool failed: {error_text(error)}", True


def _no_such_tool(call: ToolCall, names: Collection[str]) -> str:
    return f"There is no tool {call.name!r}. The tools are: {', '.join(names) or 'none'}."


def as_text(value: Any) -> str:
    """A value as a model reads it: text as it is, anything else as JSON where it can be."""
    text = _as_json(value)
    return str(value) if text is None else text


def _as_json(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    try:
        return to_json(value, inf_nan_mode="constants").decode()
    except (ValueError, TypeError):
        return None


def _readable(tool: Tool, result: Any) -> str:
    """What a tool returned, as a model reads it. Raises TypeError for what Python shows as an address in memory."""
    text = _as_json(result)
    if text is not None:
        return text
    text = str(result)
    if isinstance(result, Command) or _ADDRESS.search(text):
        raise TypeError(
            f"{tool.name} was called, but returned an object of type {type(result).__name__} that cannot be read: it should "
            "return text, or what JSON can express (numbers, lists, dicts, dataclasses, pydantic objects)"
        )
    return text


_ADDRESS: Final = re.compile(r" at 0x[0-9a-fA-F]+>")
"""What Python shows of an object that has no text of its own."""


def _tell(ctx: Context, type: str, call: ToolCall, data: dict[str, Any]) -> Flow[None]:
    if ctx.listening:
        yield Emit(type, ctx.node, {"tool": call.name, "arguments": call.arguments, "tool_call_id": call.id, **data}, ctx.ns)


def _told(instructions: Instructions, ctx: Context) -> Flow[str]:
    """The text of instructions; those that are a function are asked for it. Raises GraphError for what is no text."""
    told: Any = instructions(ctx) if callable(instructions) else instructions
    if is_awaitable(told):
        told = yield Call(lambda: told, (), {}, True)
    if told is None or isinstance(told, str):
        return told or ""
    if isinstance(told, Sequence) and all(isinstance(line, str) for line in told):
        return "\n".join(told)
    raise GraphError(
        f"the function that is instructions= of node {ctx.node!r} gave {excerpt(told)}: return a text, a list of texts, or None"
    )


def _system_message(
    instructions: str | None,
    guide: str,
    memories: Sequence[str] | None = None,
    summary: str | None = None,
    background: str | None = None,
) -> list[Message]:
    """One system message of all that there is to be told; none when that is nothing."""
    parts = [text for text in (instructions, guide) if text]
    if memories:
        parts.append("Memories about the user, from earlier conversations:\n" + "\n".join(f"- {each}" for each in memories))
    if summary:
        parts.append(f"Summary of the conversation so far:\n{summary}")
    if background:
        parts.append(background)
    return [Message("system", "\n\n".join(parts))] if parts else []
