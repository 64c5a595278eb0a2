"""Nodes about the conversation so far."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from graphflow.core.control import Context
from graphflow.core.effects import Flow, ReadHistory
from graphflow.core.plan import flow


def history(
    *, last_runs: int | None = 3, last_messages: int | None = None, into: str = "history"
) -> Callable[..., Flow[dict[str, Any]]]:
    """A node that reads earlier messages of the session from its log into the channel ``into``.

    ``last_runs``: those of so many completed or abandoned runs (None: of all); ``last_messages``: at most so many messages.
    Tool calls and their answers are kept together. What it costs does not depend on the length of the session.

    The channel should be ``Annotated[list[Message], untracked]``: the messages are in the log already and need not be
    stored again. Add the node with ``rerunnable=True``. Without a stored session it gives an empty list. A call's options
    ``num_history_runs`` and ``add_history_to_context`` take precedence.
    """
    if (last_runs is not None and last_runs < 0) or (last_messages is not None and last_messages < 0):
        raise ValueError("last_runs= and last_messages= take whole numbers from 0, or None")

    @flow
    def read_history(state: Any, ctx: Context) -> Flow[dict[str, Any]]:
        runs = ctx.options.get("num_history_runs", last_runs)
        if not ctx.stored or ctx.options.get("add_history_to_context") is False or runs == 0:
            return {into: []}
        messages = yield ReadHistory(
            ctx.session_id or "", ctx.first_message, ns=ctx.log_ns, last_runs=runs, last_messages=last_messages
        )
        return {into: messages}

    return read_history
