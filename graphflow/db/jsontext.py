"""JSON text of packed values, and back: compact, in UTF-8 that every database takes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from json.encoder import c_make_encoder, encode_basestring, encode_basestring_ascii  # type: ignore[attr-defined]
from typing import Any, Final

from graphflow.db.tags import MARK, Fetch, unpacker
from graphflow.errors import CorruptCheckpoint

_Encoder = Callable[[Any, int], Iterable[str]]


def _refuse(value: Any) -> Any:
    raise TypeError(f"{type(value).__name__} was not packed")


def _encoder(basestring: Callable[[str], str]) -> _Encoder:
    """json.dumps without what it builds anew at each call; falls back to it where the C encoder is missing."""
    if c_make_encoder is None:
        slow = json.JSONEncoder(ensure_ascii=basestring is encode_basestring_ascii, separators=(",", ":"), allow_nan=False)
        return lambda value, _: (slow.encode(value),)
    made: _Encoder = c_make_encoder(None, _refuse, basestring, None, ":", ",", False, False, False)
    return made


_encode = _encoder(encode_basestring)
_encode_ascii = _encoder(encode_basestring_ascii)
_PLAIN_UNPACK: Final = json.JSONDecoder(object_hook=unpacker())


def dumps(packed: Any) -> str:
    """Compact JSON text. Raises ValueError for NaN and integers too long to print."""
    text = "".join(_encode(packed, 0))
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            return "".join(_encode_ascii(packed, 0))
    return text


def loads(text: str, fetch: Fetch | None = None) -> Any:
    """The value of a text that ``write`` made; ``fetch`` looks up contents of images and files. Raises CorruptCheckpoint."""
    try:
        if MARK not in text:
            return json.loads(text)
        if fetch is None:
            return _PLAIN_UNPACK.decode(text)
        return json.loads(text, object_hook=unpacker(fetch))
    except ValueError as error:
        raise CorruptCheckpoint(f"a stored text is damaged: {error}; check() tells which") from error
