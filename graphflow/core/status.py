"""What becomes of a run, in one word."""

from __future__ import annotations

from enum import StrEnum
from typing import Final


class RunStatus(StrEnum):
    """How a run stands, which is also a text.

    Crashed is one that is unfinished while nobody runs it any more, abandoned one that new input left behind.
    """

    RUNNING = "running"
    COMPLETED = "completed"
    PAUSED = "paused"
    ERROR = "error"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"
    CRASHED = "crashed"


STATUSES: Final = {str(status): status for status in RunStatus}
"""Each by its word. ``RunStatus(word)`` takes four times as long."""
