"""The states of conversations with a model: what the graphs of agents and teams are made on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypedDict, get_type_hints

from graphflow.core.reducers import Reducer, add_messages, keyed, merge_keys
from graphflow.core.state import logged, untracked
from graphflow.messages import Message


class ConversationState(TypedDict):
    """The channels of a conversation with a model."""

    messages: Annotated[list[Message], add_messages, logged]
    """This run's messages; each is appended to the session's log."""
    history: Annotated[list[Message], untracked]
    """Earlier messages, read from the log."""
    session_state: Annotated[dict[str, Any], merge_keys]
    """The session's dict, for tools and instructions."""


class RecollectingState(ConversationState):
    """The channels of a conversation in which something is recalled."""

    memories: Annotated[list[str], untracked]
    """What is known of the user, as it goes into the context."""
    summary: Annotated[str, untracked]
    """What was said before the history begins."""
    history_incomplete: Annotated[bool, untracked]
    """Whether the history is not all that was said since the summary: it was cut, or the call left it out."""


def with_reducers(state: type[Any], reducers: Mapping[str, Reducer]) -> type[Any]:
    """The state, with reducers for keys of its session_state."""
    if not reducers:
        return state
    hints = get_type_hints(state, include_extras=True)
    hints["session_state"] = Annotated[dict[str, Any], keyed(**reducers)]
    typed_dict: Any = TypedDict
    made: type[Any] = typed_dict(state.__name__, hints)
    return made
