"""What models answer when they are asked for JSON: JSON, JSON in a fence or among prose, or something else."""

from __future__ import annotations

import json
import re
from typing import Any, Final

_THOUGHTS: Final = re.compile(r"\A.*</think>|<think>.*", re.S)
_BEGIN: Final = re.compile(r"\A\s*(?=[{\[])|```[a-z]*\s*(?=[{\[])|(?={)", re.I)
"""Where JSON may begin: with the answer, in a fence, or at a brace. A bracket in a sentence is more often just that."""
_JSON: Final = json.JSONDecoder()


def spoken(content: str) -> str:
    """What a model says, without the thoughts that some servers leave in front of it."""
    return _THOUGHTS.sub("", content).strip()


def parsed_json(content: str) -> Any:
    """The first JSON object in an answer, or the list that it is or has in a fence; None when there is none."""
    text = spoken(content)
    for begin in _BEGIN.finditer(text):
        try:
            return _JSON.raw_decode(text, begin.end())[0]
        except (ValueError, RecursionError):
            if begin.start() == 0:  # it was to be JSON, and what is inside of it is none of its own
                return None
    return None


def list_of(value: Any) -> list[Any]:
    """A list; nothing of anything else."""
    return value if isinstance(value, list) else []


def texts_of(value: Any) -> list[str]:
    """The texts of a list; nothing of anything else."""
    return [item.strip() for item in list_of(value) if isinstance(item, str) and item.strip()]
