"""Writing to the terminal: one console, and stored text that cannot play tricks with it."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from rich.console import Console
from rich.text import Text

from graphflow.messages import Message
from graphflow.printing.text import plain as plain

PIPED_WIDTH = 160
"""Columns when nobody looks: a file or another program reads what is written, and long ids should stay in one piece."""


def console() -> Console:
    """Where results go: stdout as it is at this moment."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)


def local_time(time: datetime | None) -> str:
    """A time as the clock on the wall shows it."""
    return "" if time is None else time.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def said(message: Message) -> Text:
    """A message: who, what, and the tools it calls."""
    colours = {"user": "cyan", "assistant": "green", "tool": "yellow"}
    calls = "".join(f"\n→ {call.name}({json.dumps(_plain(call.arguments), ensure_ascii=False)})" for call in message.tool_calls)
    who = f"{message.role} ({message.name})" if message.name else message.role
    return Text.assemble(plain(f"{who}: ", colours.get(message.role, "bold")), plain(f"{message.text}{calls}"))


def as_json(value: Any) -> str:
    """A value for other programs to read; times in ISO form, and what JSON has no form for as text."""
    return encodable(json.dumps(_plain(value), indent=2, ensure_ascii=False))


def encodable(text: str) -> str:
    """JSON in characters that command no terminal and that stdout has; others are written as the escapes that JSON has for
    them, which are all beyond ASCII where stdout lacks some (halves of surrogate pairs are in no encoding).
    """
    text = re.sub(r"[^\x20-\x7e\n]", lambda found: found[0] if found[0].isprintable() else _escaped(found[0]), text)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return re.sub(r"[^\x00-\x7f]+", lambda found: _escaped(found[0]), text)
    return text


def _escaped(text: str) -> str:
    return json.dumps(text)[1:-1]


def _plain(value: Any) -> Any:
    """The value in what JSON has forms for."""
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, date):
        return value.isoformat()
    return value if value is None or isinstance(value, str | int) or _finite(value) else str(value)


def _finite(value: Any) -> bool:
    """Whether it is a number that JSON has a form for."""
    return isinstance(value, float) and math.isfinite(value)
