"""How errors show a value."""

from __future__ import annotations


def excerpt(value: object, most: int = 80) -> str:
    """The value as Python writes it, in at most so many characters."""
    text = repr(value)
    return text if len(text) <= most else f"{text[: most - 1]}…"
