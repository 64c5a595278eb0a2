"""Whether the answer of a run came as tokens: a node may write it without a model, or an earlier call was told it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphflow.core.control import Overwrite
from graphflow.messages import Message, answer_in


class Spoken:
    """Learns from the events of the outermost graph whether tokens told the answer that stands in the end.

    A superstep's tokens count for whatever answer its nodes wrote: those of a team's member are told in the member's stead.
    """

    __slots__ = ("_speaks", "answer")

    def __init__(self) -> None:
        self._speaks = False
        self.answer = False
        """Whether it did."""

    def hear(self, type: str, data: Mapping[str, Any]) -> None:
        """Take an event."""
        if type == "node_started":
            self._speaks = False
        elif type == "token":
            self._speaks = True
        elif type == "node_completed" and any(answer_in(messages_in(value)) for value in data["update"].values()):
            self.answer = self._speaks


def messages_in(value: Any) -> list[Message]:
    """The messages of what a node wrote to a field."""
    if isinstance(value, Overwrite):
        value = value.value
    return [item for item in value if isinstance(item, Message)] if isinstance(value, list) else []
