"""What people are asked about a tool call (whether it may be made, what they fill in, what it gave), and what they answered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby, takewhile
from typing import Any, Final

from pydantic_core import to_jsonable_python

from graphflow.core.answers import problems
from graphflow.core.control import Context, Interrupt
from graphflow.core.excerpts import excerpt
from graphflow.errors import GraphChanged
from graphflow.messages import ToolCall
from graphflow.tools import Tool, WrongArguments

_CONFIRMATION: Final = "confirmation"
_INPUT: Final = "input"
_RESULT: Final = "result"
_OWN: Final = "something of its own"
"""What a tool's function asks when it is called; the last of what is asked about a call."""


def refusal(tool: Tool, call: ToolCall, ctx: Context) -> str | None:
    """What the model is told when a person does not agree to the call; None when it may be made.

    A person's word holds whatever the tool asks by now: what was declined before the tool stopped asking is not called. Raises
    GraphChanged for other answers to questions that the tool, as it is now, does not ask.
    """
    agreed = _agreed_before(tool, ctx)
    if agreed is True and tool.requires_confirmation:
        agreed = _confirmed(ctx, _question(tool, call, _CONFIRMATION))
    if agreed is True:
        return None
    note = f" Their note: {agreed}" if agreed else ""
    return f"The user declined this call.{note}"


def filled_in(tool: Tool, call: ToolCall, ctx: Context) -> dict[str, Any]:
    """The arguments with the fields that a person gives. What of these does not fit is asked for again; what the model gave
    wrong is not theirs to mend.
    """
    arguments = dict(call.arguments)
    question = {**_question(tool, call, _INPUT), "fields": list(tool.user_input), "schema": tool.form}
    answer = ctx.ask(question)
    while problem := _problem(tool, arguments, answer):
        answer = ctx.ask({**question, "problem": problem})
    return {**arguments, **answer}


def given_result(tool: Tool, call: ToolCall, arguments: Mapping[str, Any], ctx: Context) -> Any:
    """What somebody else's execution of the call gave; asked for again until it fits the tool's return annotation."""
    question = {**_question(tool, call, _RESULT), "arguments": arguments, **({"schema": tool.result} if tool.result else {})}
    answer = ctx.ask(question)
    while problem := next(_misfits(tool, answer), ""):
        answer = ctx.ask({**question, "problem": problem})
    return answer


def _question(tool: Tool, call: ToolCall, asks: str) -> dict[str, Any]:
    return {"tool": tool.name, "arguments": dict(call.arguments), "asks": asks, "tool_call_id": call.id}


def _confirmed(ctx: Context, question: dict[str, Any]) -> bool | str:
    """A person's True, False or note of refusal. Anything else is no answer, so the question is asked again."""
    answer = ctx.ask(question)
    while not isinstance(answer, bool | str):
        answer = ctx.ask({**question, "problem": f"{answer!r} is no answer: give True, False, or a text that says why not"})
    return answer


def _misfits(tool: Tool, result: Any) -> Iterator[str]:
    plain = to_jsonable_python(result, bytes_mode="base64", fallback=str)
    return problems(plain, tool.result, (tool.result or {}).get("$defs", {}))


def _problem(tool: Tool, arguments: Mapping[str, Any], answer: Any) -> str:
    """What is wrong with the fields that a person gave; empty when nothing is."""
    wanted = f"give a dict with the fields {', '.join(tool.user_input)}"
    if not isinstance(answer, Mapping):
        return f"{excerpt(answer)} is no dict; {wanted}"
    misfits = [f"{name} is missing" for name in tool.user_input if name not in answer]
    misfits += [f"{excerpt(name)} is not asked for" for name in answer if name not in tool.user_input]
    if misfits:
        return f"{'; '.join(misfits)}; {wanted}"
    try:
        tool.bind({**arguments, **answer})
    except WrongArguments as error:
        return "; ".join(told for name, told in error.wrong.items() if name in tool.user_input)
    return ""


# --- answers of before a tool was changed --------------------------------------------------------------------------------


def _agreed_before(tool: Tool, ctx: Context) -> Any:
    """What a person said to a confirmation that the tool does not ask for any more; True when there is none.

    Raises GraphChanged when the tool does not ask what the other answers were given to.
    """
    said = ctx.task.answered
    if not said:
        return True
    kinds = [_kind(tool, question) for question, _ in said]
    dropped = 0 if tool.requires_confirmation else len(list(takewhile(_CONFIRMATION.__eq__, kinds)))
    agreed = said[dropped - 1][1] if dropped else True
    before, now = [kind for kind, _ in groupby(kinds[dropped:])], [*_asks(tool), _OWN]
    if agreed is True and before != now[: len(before)]:
        raise _changed(tool, ctx, before)
    ctx.task.pass_over(dropped)
    return agreed


def _kind(tool: Tool, question: Interrupt) -> str:
    value = question.value
    ours = isinstance(value, Mapping) and value.get("tool") == tool.name and "asks" in value
    return str(value["asks"]) if ours else _OWN


def _asks(tool: Tool) -> list[str]:
    """What the tool asks before a call is made, in this order."""
    asked = {_CONFIRMATION: tool.requires_confirmation, _INPUT: bool(tool.user_input), _RESULT: tool.external}
    return [kind for kind, is_asked in asked.items() if is_asked]


def _changed(tool: Tool, ctx: Context, before: Sequence[str]) -> GraphChanged:
    asked, asks = ", ".join(before), ", ".join(_asks(tool)) or "nothing"
    return GraphChanged(
        f"tool {tool.name!r} changed while session {ctx.session_id!r} was paused at node {ctx.node!r}: what it asked for was "
        f"answered ({asked}), and now it asks for {asks}, so the call is not made; let it ask for the same again and "
        "resume, or begin a new run",
        changes=(f"tool {tool.name!r} asked for {asked}, and asks for {asks}",),
    )
