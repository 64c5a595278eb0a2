"""The turn that a conversation is in: what was said since the user's last message."""

from __future__ import annotations

from collections.abc import Sequence

from graphflow.errors import GraphError
from graphflow.messages import Message


def said_in_turn(said: Sequence[Message], role: str) -> int:
    """How many messages of a role came after the last one of the user. Limits of a run count these, since what it was given
    before is not its own doing. Raises GraphError for what is no Message.
    """
    count = 0
    try:
        for message in reversed(said):
            if message.role == "user":
                break
            if message.role == role:
                count += 1
    except AttributeError:
        raise GraphError(
            f"among the messages of the state is {message!r}, which is no Message: declare their field as "
            "Annotated[list[Message], add_messages], and pairs and dicts become Messages"
        ) from None
    return count
