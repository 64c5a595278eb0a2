"""JSON text of packed values, and back: compact, in UTF-8 that every database takes."""

from __future__ import annotations

import json
import sys
from typing import Any, Final

from pydantic_core import to_json

from graphflow.db.tags import ANCHOR, MARK, Fetch, resolver, unpacker
from graphflow.errors import CorruptCheckpoint

_ANCHORED: Final = f'{MARK}["{ANCHOR}",'
_scan: Final = json.JSONDecoder().scan_once  # type: ignore[attr-defined]
_FEWEST_DIGITS: Final = 640
"""Python's limit of the digits of an integer that it reads is never lower."""


def dumps(packed: Any) -> str:
    """Compact JSON text. Raises ValueError for NaN and integers too long to print."""
    try:
        text = to_json(packed, inf_nan_mode="constants").decode()
    except ValueError:  # a lone surrogate, or too deep for it
        return _dumps_carefully(packed)
    if type(packed) is not str and ("N" in text or "I" in text or len(text) >= _FEWEST_DIGITS) and _is_doubtful(text):
        return _dumps_carefully(packed)
    return text


def _is_doubtful(text: str) -> bool:
    """Whether there may be a number that JSON does not have, or an integer with more digits than Python reads.

    Such an integer would fill one of the pieces that are looked at.
    """
    size = (sys.get_int_max_str_digits() or _FEWEST_DIGITS) // 2
    return (
        ("N" in text and "NaN" in text)  # one letter is found much faster than a word
        or ("I" in text and "Infinity" in text)
        or any(text[at : at + size].isdigit() for at in range(0, len(text) - size + 1, size))
    )


def _dumps_carefully(packed: Any) -> str:
    text = json.dumps(packed, ensure_ascii=False, check_circular=False, allow_nan=False, separators=(",", ":"))
    try:
        text.encode()
    except UnicodeEncodeError:
        return json.dumps(packed, check_circular=False, allow_nan=False, separators=(",", ":"))
    return text


def loads(text: str, fetch: Fetch | None = None) -> Any:
    """The value of a text that ``dumps`` made; ``fetch`` looks up contents of images and files. Raises CorruptCheckpoint."""
    try:
        if MARK not in text:
            return _plain(text)
        return json.loads(text, object_hook=unpacker() if fetch is None else unpacker(fetch))
    except ValueError as error:
        raise CorruptCheckpoint(f"a stored text is damaged: {error}; check() tells which") from error


def _plain(text: str) -> Any:
    """``json.loads`` of a text without white space around it, which most of its time goes into."""
    try:
        value, end = _scan(text, 0)
    except StopIteration:
        end = -1
    return value if end == len(text) else json.loads(text)


def loads_packed(text: str) -> Any:
    """The packed value of a text: tags are left as they are, but what occurs several times is put in every place."""
    return json.loads(text, object_hook=resolver()) if _ANCHORED in text else json.loads(text)
