"""Channels of a state, whichever of its three forms it has."""

from __future__ import annotations

from typing import Any


def held_in(state: Any, channel: str) -> Any:
    """What a state (a dict, a dataclass or a pydantic model) holds in a channel; None when that is nothing."""
    return state.get(channel) if isinstance(state, dict) else getattr(state, channel, None)
