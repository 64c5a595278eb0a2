"""Channels of a state, whichever of its three forms it has."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def reader(state: Any) -> Callable[[str], Any]:
    """Reads the channels of a state (a dict, a dataclass or a pydantic model): gives what one holds, None for nothing."""
    return state.get if isinstance(state, dict) else lambda channel: getattr(state, channel, None)


def held_in(state: Any, channel: str) -> Any:
    """What a state holds in one channel."""
    return reader(state)(channel)
