"""What goes into a run: messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import PydanticSerializationError, to_json

from graphflow.errors import InvalidUpdate
from graphflow.messages import FilePart, ImagePart, Message, Role, TextPart, as_messages


def input_messages(input: Any) -> list[Message]:
    """The messages a run's input stands for: text or parts are a user message, other objects their JSON.

    Raises InvalidUpdate for what is no message, and where nothing is said at all; an empty text is said.
    """
    if isinstance(input, str):
        return [Message("user", input)]
    messages = _given(input)
    if not messages:
        raise InvalidUpdate("the input is no message, but an empty list: give a text or a message", field="messages")
    for message in messages:
        if message.content == [] and not message.tool_calls:
            raise InvalidUpdate(
                f"the {message.role} message has an empty list of parts: give it a text, or at least one part", field="messages"
            )
    return messages


def _given(input: Any) -> list[Message]:
    """The messages that anything but a text stands for."""
    if isinstance(input, Message):
        return [input]
    if isinstance(input, BaseModel) and type(input) in (TextPart, ImagePart, FilePart):
        return [Message("user", [input])]
    if (
        isinstance(input, list | tuple)
        and input
        and not (isinstance(input, tuple) and len(input) == 2 and input[0] in get_args(Role))  # ("user", "hello")
        and all(isinstance(item, TextPart | ImagePart | FilePart | str) for item in input)
    ):
        return [Message("user", [TextPart(text=item) if isinstance(item, str) else item for item in input])]
    if isinstance(input, BaseModel) or (isinstance(input, Mapping) and "role" not in input):
        try:
            return [Message("user", to_json(input).decode())]
        except (PydanticSerializationError, ValueError) as error:
            raise InvalidUpdate(f"the input cannot be written as JSON: {error}", field="messages") from error
    try:
        messages = as_messages(input)
    except ValueError as error:
        raise InvalidUpdate(f"the input is no message: {error}", field="messages") from error
    return [message for message in messages if isinstance(message, Message)]
