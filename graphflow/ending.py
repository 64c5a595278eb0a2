"""The end of a call, as its caller and its listeners hear of it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from graphflow.core.audience import NOBODY
from graphflow.core.calls import CallOptions, Ended
from graphflow.core.control import Cancelled
from graphflow.core.effects import Emit, Flow
from graphflow.core.plan import Plan
from graphflow.errors import GraphflowError
from graphflow.messages import Message, answer_in

_LAST_EVENT = {"paused": "interrupted", "cancelled": "run_cancelled"}
"""The type of the last event, by status."""


def finishing(plan: Plan, flow: Flow[Ended], call: CallOptions, output: Callable[[Ended], Any]) -> Flow[Any]:
    """The flow with its result made presentable and told to the listeners as the last event."""
    try:
        ended = yield from flow
    except Exception as error:
        yield from _broken_off("run_failed", call, output, {"error": error})
        raise
    except Cancelled:
        yield from _broken_off("run_cancelled", call, output, {})
        raise
    try:
        result = output(ended)
    except Exception as error:
        if call.audience is not NOBODY:
            yield Emit("run_failed", "", {"error": error})
        raise
    if call.audience is not NOBODY:
        if call.replayed:
            yield from _told_again(plan, ended)
        elif call.spoken is not None and not call.spoken.answer and ended.status == "completed":
            yield from _spoken(ended)
        told = {"output": result, "interrupts": ended.interrupts, "replayed": call.replayed}
        yield Emit(_LAST_EVENT.get(ended.status, "run_completed"), "", told)
    if ended.status == "paused" and call.db is None:
        _warn_of_pause(call)
    return result


def _told_again(plan: Plan, ended: Ended) -> Flow[None]:
    """What of an earlier run can still be told: the state it came to, and what it answered."""
    for value in ended.values.values():
        last = value[-1] if isinstance(value, list) and value else None
        if isinstance(last, Message) and last.role == "assistant" and last.text:
            yield Emit("token", "", {"text": last.text, "attempt": 1})
    data = {"seq": ended.seq, "values": plan.schema.shown(ended.values), "next": (), "stored": True}
    yield Emit("checkpoint", "", data)


def _broken_off(kind: str, call: CallOptions, output: Callable[[Ended], Any], data: dict[str, Any]) -> Flow[None]:
    """The last event of a run that raised: with what it left, where that can be shown."""
    if call.audience is NOBODY or call.broken_off is None:
        return
    with suppress(GraphflowError):  # a state that lacks required fields
        data["output"] = output(call.broken_off)
    yield Emit(kind, "", data)


def _warn_of_pause(call: CallOptions) -> None:
    warnings.warn(
        f"{call.component_id!r} paused, and without a database nothing of it is stored, so it can be neither answered nor "
        "resumed: give db=SqliteDb(…), or db=InMemoryDb() for as long as the program runs",
        RuntimeWarning,
        stacklevel=2,
    )


def _spoken(ended: Ended) -> Flow[None]:
    """The answer as one token."""
    answer = answer_in(ended.values.get("messages") or ())
    if answer is not None and answer.text:
        yield Emit("token", "", {"text": answer.text, "attempt": 1})
