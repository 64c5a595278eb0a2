"""What comes out of a run: the RunOutput, and the tool calls in it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from graphflow.core.status import RunStatus as RunStatus

if TYPE_CHECKING:
    from graphflow.core.control import Interrupt
    from graphflow.messages import Message


@dataclass(frozen=True, slots=True)
class ToolExecution:
    """A tool call of a run and what came of it (None while it has no answer)."""

    id: str
    name: str
    arguments: Mapping[str, Any]
    result: str | None = None


# Not frozen: every run makes one, and that would take several times as long.
@dataclass(slots=True, unsafe_hash=True)
class RunOutput:
    """What a run left."""

    content: Any
    """The answer: the last reply, as text or as an object of the ``output_schema``. None unless the run completed: what a model
    says before it calls tools is no answer, and stands in ``messages``.
    """
    messages: list[Message]
    """The messages of this run: the input, the model's, the tools'."""
    run_id: str
    session_id: str
    user_id: str | None
    status: RunStatus
    interrupts: tuple[Interrupt, ...] = ()
    """The questions a paused run waits for; answer them with ``resume``."""
    tools: tuple[ToolExecution, ...] = ()
    metrics: Mapping[str, Any] = field(default_factory=dict)
    """Of this call: input_tokens, output_tokens, seconds (of each superstep those of its slowest node) and nodes (seconds by
    node, of all its tasks). Empty when ``resume`` had nothing to run.
    """
    session_state: Mapping[str, Any] = field(default_factory=dict)
    created_at: datetime = field(default_factory=partial(datetime.now, UTC))
    steps: Mapping[str, Any] = field(default_factory=dict)
    """The StepOutput of each step and group of a workflow that ran, by name; that of a group comes after those of its parts."""


def executions(messages: Sequence[Message]) -> tuple[ToolExecution, ...]:
    """The tool calls among messages, with their results."""
    found: list[ToolExecution] = []
    for at, message in enumerate(messages):
        if message.tool_calls:
            answers = list(itertools.takewhile(lambda later: later.role == "tool", messages[at + 1 :]))
            if [answer.tool_call_id for answer in answers] == [call.id for call in message.tool_calls]:
                results: list[str | None] = [answer.text for answer in answers]  # in order, so that ids given twice do no harm
            else:
                by_id = {answer.tool_call_id: answer.text for answer in answers}
                results = [by_id.get(call.id) for call in message.tool_calls]
            for call, result in zip(message.tool_calls, results, strict=True):
                found.append(ToolExecution(call.id, call.name, call.arguments, result))
    return tuple(found)
