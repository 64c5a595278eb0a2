"""What tests of teams say again and again."""

from __future__ import annotations

from typing import Any

from graphflow import ToolCall
from graphflow.models.base import Reply
from graphflow.testing import ScriptedModel


def calls(*wanted: tuple[str, dict[str, Any]]) -> Reply:
    """A reply that calls these tools."""
    return Reply(tool_calls=[ToolCall(f"call-{n}", name, arguments) for n, (name, arguments) in enumerate(wanted)])


def delegates(**tasks: str) -> Reply:
    """A leader's reply that gives each member (underscores stand for dashes) a task."""
    return calls(
        *(("delegate_task_to_member", {"member_id": id.replace("_", "-"), "task": task}) for id, task in tasks.items())
    )


def system(request: Any) -> str:
    """The system message of a request."""
    first = request.messages[0]
    return first.text if first.role == "system" else ""


def texts(request: Any) -> list[str]:
    """What a model was asked, without the system message."""
    return [message.text for message in request.messages if message.role != "system"]


def echo(prefix: str = "", count: int = 50) -> ScriptedModel:
    """A model that says what it was told last."""
    return ScriptedModel([lambda request: f"{prefix}{request.messages[-1].text}"] * count)
