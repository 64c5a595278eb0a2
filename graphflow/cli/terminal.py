"""Writing to the terminal: one console, and stored text that cannot play tricks with it."""

from __future__ import annotations

import json
import re
import sys
from datetime import datetime
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
    calls = "".join(f"\n→ {call.name}({json.dumps(call.arguments, ensure_ascii=False)})" for call in message.tool_calls)
    who = f"{message.role} ({message.name})" if message.name else message.role
    return Text.assemble(plain(f"{who}: ", colours.get(message.role, "bold")), plain(f"{message.text}{calls}"))


def as_json(value: Any) -> str:
    """A value for other programs to read; times in ISO form."""
    return encodable(json.dumps(value, indent=2, ensure_ascii=False, default=_encoded))


def encodable(text: str) -> str:
    """JSON in characters that stdout has; where it lacks some (halves of surrogate pairs are in no encoding), all beyond ASCII
    are written as the escapes that JSON has for them.
    """
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        return re.sub(r"[^\x00-\x7f]+", lambda found: json.dumps(found[0])[1:-1], text)
    return text


def _encoded(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else str(value)
