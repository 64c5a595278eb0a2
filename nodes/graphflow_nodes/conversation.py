"""Nodes about the conversation so far: its history, and the summary that takes the place of its beginning."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from graphflow.core.control import END, Context, Update
from graphflow.core.effects import Emit, Flow, ReadHistory
from graphflow.core.memories import ReadSummary, Summary
from graphflow.core.plan import flow
from graphflow.messages import Message
from graphflow.models.base import Model
from graphflow_nodes.summaries import folded, tokens_of


def history(
    *,
    last_runs: int | None = 3,
    last_messages: int | None = None,
    into: str = "history",
    since_summary: str | None = None,
    max_tokens: int | None = None,
) -> Callable[..., Flow[dict[str, Any]]]:
    """A node that reads earlier messages of the session from its log into the channel ``into``.

    ``last_runs``: those of so many completed or abandoned runs (None: of all); ``last_messages``: at most so many messages.
    Tool calls and their answers are kept together. What it costs does not depend on the length of the session.
    ``since_summary`` names a channel (``Annotated[str, untracked]``) for the latest summary; once there is one, the history is
    everything after it, so that no message falls between. ``max_tokens`` is a hard cap on both (estimated, four characters
    each): the oldest messages beyond it are left out, which is told by an event ``custom`` with ``history_cut`` and noted in
    the run's metrics.

    The channel should be ``Annotated[list[Message], untracked]``: the messages are in the log already and need not be
    stored again. Add the node with ``rerunnable=True``. Without a stored session it gives an empty list. A call's options
    ``num_history_runs`` and ``add_history_to_context`` take precedence.
    """
    if (last_runs is not None and last_runs < 0) or (last_messages is not None and last_messages < 0):
        raise ValueError("last_runs= and last_messages= take whole numbers from 0, or None")

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
            return empty
        if summary is None:
            window = ReadHistory(session, ctx.first_message, ns=ctx.log_ns, last_runs=runs, last_messages=last_messages)
            if since_summary is not None:
                # As long as there is no summary of them, all messages are in the context.
                window = ReadHistory(session, ctx.first_message, ns=ctx.log_ns, after=0)
        else:
            window = ReadHistory(session, ctx.first_message, ns=ctx.log_ns, after=summary.upto_seq)
        messages: list[Message] = yield window
        if max_tokens is not None:
            messages = yield from _capped(messages, max_tokens - tokens_of(empty.get(since_summary or "", "")), ctx)
        return {**empty, into: messages}

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
    return 4 + tokens_of(message.text) + sum(tokens_of(str(call.arguments)) for call in message.tool_calls)


def is_due(messages: Sequence[Message], after_messages: int, after_tokens: int | None) -> bool:
    """Whether so much was said since the last summary that there should be a new one."""
    if len(messages) > after_messages:
        return True
    return after_tokens is not None and sum(map(message_tokens, messages)) > after_tokens


def when_due(
    answered: Callable[[Any], Any],
    *,
    after_messages: int = 20,
    after_tokens: int | None = None,
    messages: str = "messages",
    history: str = "history",
    node: str = "summarize",
) -> Callable[[Any], Any]:
    """A router around another one (such as ``wanted_calls()``): where that one ends, it goes to ``node`` when a summary is due,
    so that a turn without one costs nothing more.
    """

    def route(state: Any) -> Any:
        targets = answered(state)
        if targets != [END]:
            return targets
        said = [*(state.get(history) or ()), *(state.get(messages) or ())]
        return [node] if is_due(said, after_messages, after_tokens) else [END]

    return route


def summarize(
    model: Model | Callable[[], Model],
    *,
    after_messages: int = 20,
    keep_last: int = 6,
    after_tokens: int | None = None,
    max_words: int = 200,
    instructions: str | None = None,
) -> Callable[..., Flow[Any]]:
    """A node that keeps a rolling summary of the session: of the previous summary and what was said since, without the
    ``keep_last`` newest messages, as soon as that is more than ``after_messages`` messages (or ``after_tokens`` tokens,
    estimated).

    The summary is a side write of the node. Each message is summarised once, so what it costs in all grows with the
    conversation and no faster. When the model fails, the run goes on; that is told by an event ``summary_failed``, noted in the
    run's metrics as ``summary_error``, and tried again in the next run. Give the node an edge from the node that answers.
    Without a stored session it does nothing. ``instructions`` are added to those that the model gets.
    """
    _check_sizes(after_messages, keep_last, max_words)

    @flow
    def summarise(state: Any, ctx: Context) -> Flow[Any]:
        if not ctx.stored:
            return None
        try:
            write = yield from folded(
                model,
                ctx.session_id or "",
                ctx.log_ns,
                ctx.run_id,
                due=lambda said: is_due(said, after_messages, after_tokens),
                keep_last=keep_last,
                max_words=max_words,
                instructions=instructions,
            )
        except Exception as error:
            problem = f"{type(error).__name__}: {error}"
            ctx.note("summary_error", problem)
            if ctx.listening:
                yield Emit("summary_failed", ctx.node, {"error": error}, ctx.ns)
            return None
        return None if write is None else Update(writes=(write,))

    return summarise


def _check_sizes(after_messages: int, keep_last: int, max_words: int) -> None:
    if not 0 <= keep_last < after_messages:
        raise ValueError(f"keep_last={keep_last} messages have to be fewer than after_messages={after_messages}")
    if max_words < 1:
        raise ValueError(f"max_words={max_words}: give a number of words above 0")
