"""In whose name a node speaks: what the member of a team says may be told as the answer of the team."""

from __future__ import annotations

from typing import Any

from graphflow.core.control import Context, current_task
from graphflow.core.effects import Emit


def voice_of(ctx: Context) -> str:
    """The namespace in which what this graph says is told."""
    task = current_task.get()
    speaker = task.run.speaker if task is not None else None
    return ctx.ns if speaker is None or speaker.voice is None else speaker.voice


def spoken(ctx: Context, text: str) -> Emit:
    """The event that tells a text which no model said as part of the answer, as a model's would be."""
    return _told(ctx, "token", {"text": text})


def taken_back(ctx: Context, reason: str) -> Emit:
    """The event that tells that what a model said so far is no part of the answer."""
    return _told(ctx, "attempt_restarted", {"reason": reason})


def _told(ctx: Context, type: str, data: dict[str, Any]) -> Emit:
    task = current_task.get()
    speaker = task.run.speaker if task is not None else None
    whose = {} if speaker is None else {"member": speaker.name}
    return Emit(type, ctx.node, {**data, "attempt": ctx.attempt, **whose}, voice_of(ctx))
