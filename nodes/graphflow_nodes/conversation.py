"""The node that brings earlier messages of a conversation, and the summary of what came before them, into the context."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from graphflow.core import options
from graphflow.core.control import Context
from graphflow.core.effects import Emit, Flow, ReadHistory
from graphflow.core.memories import ReadSummary, Summary
from graphflow.core.plan import flow
from graphflow.messages import ImagePart, Message, TextPart


def history(
    *,
    last_runs: int | None = 3,
    last_messages: int | None = None,
    into: str = "history",
    since_summary: str | None = None,
    summarized: bool = True,
    max_tokens: int | None = None,
    incomplete: str | None = None,
) -> Callable[..., Flow[dict[str, Any]]]:
    """A node that reads earlier messages of the session from its log into the channel ``into``.

    ``last_runs``: those of so many completed or abandoned runs (None: of all); ``last_messages``: at most so many messages.
    Tool calls and their answers are kept together. What it costs does not depend on the length of the session.
    ``since_summary`` names a channel (``Annotated[str, untracked]``) for the latest summary; once there is one, the history is
    everything after it, so that no message falls between. Until then it is everything, or, where nobody makes one
    (``summarized=False``), as without ``since_summary``. ``max_tokens`` is a hard cap on both (estimated, four characters
    each): the oldest messages beyond it are left out, which is told by an event ``custom`` with ``history_cut`` and noted in
    the run's metrics. ``incomplete`` names a channel (``Annotated[bool, untracked]``) that becomes True where ``into`` is not
    all that was said since the summary, because it was cut or the call's options left it out (see ``when_due``).

    The channel should be ``Annotated[list[Message], untracked]``: the messages are in the log already and need not be
    stored again. Add the node with ``rerunnable=True``. Without a stored session it gives an empty list. A call's options
    ``num_history_runs`` and ``add_history_to_context`` take precedence.
    """
    options.whole("last_runs", last_runs, none="all")
    options.whole("last_messages", last_messages, none="all")
    options.flag("summarized", summarized)
    options.whole("max_tokens", max_tokens, none="no cap")

    @flow
    def read_history(state: Any, ctx: Context) -> Flow[dict[str, Any]]:
        summary: Summary | None = None
        empty: dict[str, Any] = {into: []} if since_summary is None else {into: [], since_summary: ""}
        if not ctx.stored:
            return empty
        session = ctx.session_id or ""
        if since_summary is not None:
            summary = yield ReadSummary(session, ctx.log_ns)
            empty = {into: [], since_summary: "" if summary is None else summary.text}
        runs = ctx.options.get("num_history_runs", last_runs)
        if ctx.options.get("add_history_to_context") is False or runs == 0:
            return empty if incomplete is None else {**empty, incomplete: True}
        if summary is not None:
            window = ReadHistory(session, ctx.first_message, ns=ctx.log_ns, after=summary.upto_seq)
        elif since_summary is not None and summarized:
            window = ReadHistory(session, ctx.first_message, ns=ctx.log_ns, after=0)
        else:
            window = ReadHistory(session, ctx.first_message, ns=ctx.log_ns, last_runs=runs, last_messages=last_messages)
        messages: list[Message] = yield window
        read = {**empty, into: messages}
        if max_tokens is not None:
            read[into] = yield from _capped(messages, max_tokens - tokens_of(empty.get(since_summary or "", "")), ctx)
            if incomplete is not None and len(read[into]) < len(messages):
                read[incomplete] = True
        return read

    return read_history


def _capped(messages: list[Message], most: int, ctx: Context) -> Flow[list[Message]]:
    """The newest messages that fit; a tool's answer is not kept without the call."""
    left, first = most, len(messages)
    while first > 0 and (left := left - message_tokens(messages[first - 1])) >= 0:
        first -= 1
    while 0 < first < len(messages) and messages[first].role == "tool":
        first += 1
    if first > 0:
        ctx.note("history_cut", first)
        if ctx.listening:
            yield Emit("custom", ctx.node, {"data": {"history_cut": first, "max_tokens": most}}, ctx.ns)
    return messages[first:]


def message_tokens(message: Message) -> int:
    """About how many tokens a message is."""
    tokens = 4 + tokens_of(message.text) + sum(tokens_of(str(call.arguments)) for call in message.tool_calls)
    return tokens if type(message.content) is str else tokens + sum(map(_part_tokens, message.content))


def _part_tokens(part: Any) -> int:
    """About how many tokens an image or a file is: providers count some 1,000 for an image, and for a page of a PDF."""
    if isinstance(part, TextPart):
        return 0
    if isinstance(part, ImagePart) or part.data is None:
        return _IMAGE_TOKENS
    return len(part.data) // (4 if part.media_type.startswith("text/") else _BYTES_PER_TOKEN)


_IMAGE_TOKENS: Final = 1_000
_BYTES_PER_TOKEN: Final = 50
"""Of files that are no texts, whose pages have 20 to 100 kB."""


def tokens_of(text: str) -> int:
    """About how many tokens a text is."""
    return (len(text) + 3) // 4
