"""What models answer when they are asked for JSON: JSON, JSON in a fence, or something else."""

from __future__ import annotations

import re
from typing import Any, Final

from pydantic_core import from_json

_FENCE: Final = re.compile(r"^\s*```[a-z]*\s*\n(.*?)\n?\s*```\s*$", re.S)


def parsed_json(content: str) -> Any:
    """The JSON of an answer; None when it is none."""
    fenced = _FENCE.match(content)
    text = (fenced[1] if fenced else content).strip()
    if not text.startswith(("{", "[")):
        return None
    try:
        return from_json(text)
    except ValueError:
        return None


def texts_of(value: Any) -> list[str]:
    """The texts of a list; nothing of anything else."""
    return [item.strip() for item in value if isinstance(item, str) and item.strip()] if isinstance(value, list) else []
