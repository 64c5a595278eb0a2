"""How summaries and memories are kept, and how much of them goes into the context: what only matters together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphflow.models.base import Model


@dataclass(frozen=True, slots=True)
class SummaryPolicy:
    """When a session is summarised, and how.

    As soon as more than ``after_messages`` messages (or ``after_tokens`` tokens, estimated) came since the last summary, all
    but the ``keep_last`` newest are folded into the next. ``model``: who does it (default: the agent's model).
    ``max_words``: how long a summary may be. ``max_context_tokens``: a hard cap on summary and history together, whose cut is
    reported. ``instructions`` are added to those that the model gets.
    """

    model: Model | str | None = None
    after_messages: int = 20
    keep_last: int = 6
    after_tokens: int | None = 4_000
    max_words: int = 200
    max_context_tokens: int = 16_000
    instructions: str | None = None


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
