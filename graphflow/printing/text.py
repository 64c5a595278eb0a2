"""Text from models, tools and databases, made fit for a terminal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any

from pydantic import BaseModel
from pydantic_core import to_json
from rich.text import Text

from graphflow.messages import Message


def clean(text: str) -> str:
    """The text with control characters written out, so that they command no terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)


def plain(text: str, style: str = "") -> Text:
    """Text as it is: no markup in it counts, and control characters are written out."""
    return Text(clean(text), style)


def shown(value: Any) -> str:
    """Any value as a person reads it: text as it is, what has fields as JSON."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Message):
        return clean(value.text)
    if isinstance(value, list | tuple) and value and all(isinstance(item, Message) for item in value):
        return clean("\n".join(item.text for item in value))
    if isinstance(value, BaseModel | Mapping | list | tuple) or is_dataclass(value):
        try:
            return clean(to_json(value, indent=2).decode())
        except ValueError:  # something in it has no form in JSON
            return clean(str(value))
    return clean(str(value))


def in_a_line(value: Any, most: int) -> str:
    """A value in one line of at most so many characters."""
    line = clean(" ".join(str(value).split()))
    return line if len(line) <= most else f"{line[: most - 1]}…"


def call_text(tool: str, arguments: Mapping[str, Any], most: int = 200) -> str:
    """A tool call as one would write it."""
    return in_a_line(f"{tool}({', '.join(f'{name}={value!r}' for name, value in arguments.items())})", most)
