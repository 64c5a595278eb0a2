"""Times as they are stored."""

from __future__ import annotations

from datetime import UTC, datetime


def as_time(stamp: int) -> datetime:
    """An aware UTC time from microseconds since 1970."""
    return datetime.fromtimestamp(stamp // 1_000_000, UTC).replace(microsecond=stamp % 1_000_000)
