"""What agents and teams know of the past besides history: settings, and summaries that are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import TYPE_CHECKING, Any, TypedDict

from graphflow import drive
from graphflow.conversation import Conversation
from graphflow.core import options
from graphflow.lazy import deferred

if TYPE_CHECKING:
    from graphflow.contextpolicies import MemoryPolicy, SummaryPolicy
    from graphflow.core.effects import Flow

forcedsummary = deferred("graphflow.forcedsummary")


class PastSettings(TypedDict, total=False):
    """What is kept of conversations, and what of that the model is given; see Agent."""

    enable_session_summaries: bool
    add_session_summary_to_context: bool | None
    summary: SummaryPolicy | None
    update_memory_on_run: bool
    enable_agentic_memory: bool
    memory: MemoryPolicy | None
    enable_agentic_state: bool


PAST = tuple(PastSettings.__annotations__)
"""The names of these settings."""
_NOT_SET = dict.fromkeys(PAST, False) | dict.fromkeys(("add_session_summary_to_context", "summary", "memory"))


class Assistant(Conversation):
    """A conversation that can be summarised and remembered."""

    __slots__ = PAST

    enable_session_summaries: bool
    add_session_summary_to_context: bool | None
    summary: SummaryPolicy | None
    update_memory_on_run: bool
    enable_agentic_memory: bool
    memory: MemoryPolicy | None
    enable_agentic_state: bool

    def _take_past(self, settings: Mapping[str, Any]) -> None:
        """Set what is given and leave the rest switched off. Raises TypeError for an unknown name."""
        if not settings.keys() <= _NOT_SET.keys():
            own = [each.name for each in signature(type(self)).parameters.values() if each.kind is not each.VAR_KEYWORD]
            options.names(settings, (*own, *PAST), "setting", type(self).__name__)
        for name, value in {**_NOT_SET, **settings}.items():
            setattr(self, name, value)

    def summarize(self, session_id: str | None = None, *, user_id: str | None = None) -> str | None:
        """Summarise a session now, up to its last message, and return the summary; None when nothing was said.

        Works whether or not summaries are switched on. Raises SessionNotFound, NotOwner, and what the model raises.
        """
        return drive.sync.run(*self._stored(self._summarise(session_id, user_id)))

    async def asummarize(self, session_id: str | None = None, *, user_id: str | None = None) -> str | None:
        """``summarize`` for asyncio."""
        return await drive.aio.run(*self._stored(self._summarise(session_id, user_id)))

    def _summarise(self, session_id: str | None, user_id: str | None) -> Flow[str | None]:
        summary: str | None = yield from forcedsummary.summarise(self, self._session(session_id), self._user(user_id))
        return summary
