"""How errors show a value, and how errors are shown."""

from __future__ import annotations


def excerpt(value: object, most: int = 80) -> str:
    """The value as Python writes it, in at most so many characters."""
    text = repr(value)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def error_text(error: BaseException) -> str:
    """The error's type and what it says. One that cannot even say that is a failure like any other."""
    name = type(error).__name__
    try:
        return f"{name}: {error}"
    except Exception as mistake:
        return f"{name} (its text cannot be made: {type(mistake).__name__})"
