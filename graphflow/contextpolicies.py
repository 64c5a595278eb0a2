"""How history, summaries and memories are kept, and how much of them goes into the context: what only matters together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from graphflow.core import options
from graphflow.lazy import deferred

if TYPE_CHECKING:
    from graphflow.models.base import Model

resolving = deferred("graphflow.models.resolve")


def check_model(value: Any) -> Any:
    """A Model, or what may stand for one when it is asked. Raises ModelError."""
    return value if value is None or isinstance(value, str) else resolving.resolve_model(value)


@dataclass(frozen=True, slots=True)
class HistoryPolicy:
    """How much of the conversation goes into the context.

    ``runs``: messages of so many completed or abandoned runs (None: of all); ``messages``: at most so many messages.
    ``chat_history_tool`` lets the model read further back in this session, ``past_sessions_tool`` search other sessions of the
    same user.
    """

    runs: int | None = 3
    messages: int | None = None
    chat_history_tool: bool = False
    past_sessions_tool: bool = False

    def __post_init__(self) -> None:
        options.whole("runs", self.runs, none="all")
        options.whole("messages", self.messages, none="all")
        options.flag("chat_history_tool", self.chat_history_tool)
        options.flag("past_sessions_tool", self.past_sessions_tool)


@dataclass(frozen=True, slots=True)
class SummaryPolicy:
    """When a session is summarised, and how.

    As soon as more than ``after_messages`` messages (or ``after_tokens`` tokens, estimated, or more than the context takes)
    came since the last summary, all but the ``keep_last`` newest are folded into the next. ``model``: who does it (default: the
    agent's model). ``max_words``: how long a summary may be. ``max_context_tokens``: a hard cap on summary and history
    together, whose cut is reported. ``instructions`` are added to those that the model gets.
    """

    model: Model | str | None = None
    after_messages: int = 20
    keep_last: int = 6
    after_tokens: int | None = 4_000
    max_words: int = 200
    max_context_tokens: int = 16_000
    instructions: str | None = None

    def __post_init__(self) -> None:
        check_model(self.model)
        options.whole("after_messages", self.after_messages, 1)
        options.whole("keep_last", self.keep_last, 0, self.after_messages - 1)
        options.whole("after_tokens", self.after_tokens, 1, none="no bound")
        options.whole("max_words", self.max_words, 1)
        options.whole("max_context_tokens", self.max_context_tokens, 1)
        options.text("instructions", self.instructions, none="none")


@dataclass(frozen=True, slots=True)
class MemoryPolicy:
    """What is known of the user: how much of it goes into the context, and who keeps it.

    All memories when there are at most ``all_upto``, else the ``limit`` that fit the user's words best. ``model``: who looks
    for facts in what the user says (default: the agent's model). ``instructions`` are added to those that the model gets.
    """

    model: Model | str | None = None
    limit: int = 20
    all_upto: int = 50
    instructions: str | None = None

    def __post_init__(self) -> None:
        check_model(self.model)
        options.whole("limit", self.limit)
        options.whole("all_upto", self.all_upto)
        options.text("instructions", self.instructions, none="none")
