"""Turning values into what JSON can hold: what it has no word for is tagged (``db.tags``), what occurs again is referred to."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Iterable
from enum import Enum
from math import isfinite
from typing import Any, Final

from pydantic_core import PydanticSerializationError, to_jsonable_python

from graphflow.core.control import MISSING
from graphflow.db.tags import ALIAS, ANCHOR, MAX_DEPTH, PACK, TAG, Media, Refused, undeclared

_BIG_INT_BITS: Final = 14_000
"""Longer integers are kept as hexadecimal, because Python refuses to read more than 4,300 decimal digits."""
JSON_OWN: Final = frozenset({str, int, float, bool, type(None)})
_ALWAYS_SAFE: Final = frozenset({str, bool, type(None)})
_TEXT: Final = frozenset({str})
_SHARED: Final = frozenset({list, dict, tuple})
_SHARED_DEPTH: Final = 20
"""Levels in which what occurs again is looked for: each of them may become two levels more of JSON."""


class Packer:
    """Turns values into what JSON can hold.

    ``careful`` also looks at each int and float (an encoder that fails on NaN or a huge int asks for it). ``lenient`` turns
    what is not in the table into something like it; whoever asks for that has to compare what comes back.
    ``packed`` takes what has been packed before, tags and all. ``media`` takes the contents of images and files; without it
    they are kept in place.

    A list, dict or tuple that occurs in several places (the same object, not an equal one) is written where it comes first, as
    an anchor, and an alias stands in every other place. Whole values, those given to ``pack``, are never shared: whoever
    loads them may change them.
    """

    __slots__ = ("anchors", "checking", "lenient", "media", "most", "packed", "plain", "seen")

    def __init__(
        self, media: Media | None = None, *, careful: bool = False, lenient: bool = False, packed: bool = False
    ) -> None:
        self.media = media
        # What is packed already was measured when it was, and has a level more for each tag.
        self.most = sys.maxsize if packed else getattr(media, "depth", MAX_DEPTH)
        self.lenient = lenient
        self.packed = packed
        self.plain = _ALWAYS_SAFE if careful or lenient else JSON_OWN
        self.anchors = 0
        self.seen: dict[int, tuple[Any, int, Any, Any]] = {}
        """By its id: an object (held, so that its id is not given to another), the greatest depth it was found at, in what its
        packed form is, and at which place there. Once it has an anchor, the last two are None and its alias.
        """
        self.checking = False

    def pack(self, value: Any, depth: int = 0) -> Any:
        """The value as JSON can hold it. Raises Refused."""
        kind = type(value)
        if kind in self.plain:
            return value
        if depth > self.most:
            raise Refused("is nested too deeply to be stored", f"keep it under {self.most} levels, or store it as text")
        if kind is list:
            return value if self.plain.issuperset(map(type, value)) else self.items(value, depth + 1)
        if kind is dict:
            if (TAG in value or not _TEXT.issuperset(map(type, value))) and not self.packed:
                return {
                    TAG: ["dict", [[self.pack(key, depth + 4), self.at(key, item, depth + 4)] for key, item in value.items()]]
                }
            if self.plain.issuperset(map(type, value.values())):
                return value
            return self._entries(value, depth + 1)
        if kind is float:
            return value if isfinite(value) else {TAG: ["float", repr(value)]}
        if kind is int:
            return value if value.bit_length() < _BIG_INT_BITS else {TAG: ["int", hex(value)]}
        known = PACK.get(kind)
        if known is None:
            return self._other(value, depth)
        tag, take_apart = known
        return {TAG: [tag, take_apart(self, value, depth + 2)]}

    def items(self, values: Iterable[Any], depth: int) -> list[Any]:
        """The items of a list, a tuple or a set."""
        plain, shared = self.plain, not self.lenient and depth <= _SHARED_DEPTH
        packed: list[Any] = []
        try:
            for item in values:
                kind = type(item)
                if kind in plain:
                    packed.append(item)
                elif shared and kind in _SHARED and item:
                    packed.append(self._once(item, depth, packed, len(packed)))
                else:
                    packed.append(self.pack(item, depth))
        except Refused as refused:
            refused.parts.append(len(packed))
            raise
        return packed

    def _entries(self, value: dict[str, Any], depth: int) -> dict[str, Any]:
        plain, shared = self.plain, not self.lenient and depth <= _SHARED_DEPTH
        packed: dict[str, Any] = {}
        key = ""
        try:
            for key, item in value.items():
                kind = type(item)
                if kind in plain:
                    packed[key] = item
                elif shared and kind in _SHARED and item:
                    packed[key] = self._once(item, depth, packed, key)
                else:
                    packed[key] = self.pack(item, depth)
        except Refused as refused:
            refused.parts.append(key)
            raise
        return packed

    def _once(self, item: Any, depth: int, into: Any, at: Any) -> Any:
        """What is met for the first time, packed; or its alias."""
        known = self.seen.get(id(item))
        if known is None:
            packed = self.pack(item, depth)
            if not self.checking:
                self.seen[id(item)] = item, depth, into, at
            return packed
        _, deepest, first, place = known
        if deepest < depth:
            self._check(item, depth)
            deepest = depth
            self.seen[id(item)] = item, deepest, first, place
        if first is None or self.checking:
            return place
        number, self.anchors = self.anchors, self.anchors + 1
        first[place] = {TAG: [ANCHOR, number, first[place]]}
        alias = {TAG: [ALIAS, number]}
        self.seen[id(item)] = item, deepest, None, alias
        return alias

    def _check(self, item: Any, depth: int) -> None:
        """Raise Refused when an object that was packed before is nested too deeply at this depth."""
        checking, self.checking = self.checking, True
        try:
            self.pack(item, depth)
        finally:
            self.checking = checking

    def forget(self) -> None:
        """Make no alias of what was packed until now, because some of it is thrown away."""
        self.seen.clear()

    def at(self, part: Any, value: Any, depth: int) -> Any:
        """What is found under ``part`` of something."""
        try:
            return self.pack(value, depth)
        except Refused as refused:
            refused.parts.append(part)
            raise

    def _other(self, value: Any, depth: int) -> Any:
        if value is MISSING:
            return {TAG: ["missing", 0]}
        if not self.lenient:
            raise undeclared(value)
        if isinstance(value, Enum):
            return self.pack(value.value, depth)
        if isinstance(value, str):
            return str.__str__(value)
        if isinstance(value, int):
            return self.pack(int(value), depth)
        if isinstance(value, float):
            return self.pack(float(value), depth)
        if isinstance(value, bytes):
            return self.pack(bytes(value), depth)
        if isinstance(value, dict):
            return self.pack(dict(value), depth)
        if isinstance(value, tuple):
            return self.pack(tuple(value), depth)
        if isinstance(value, list | set | frozenset | deque):
            return self.pack(list(value), depth)
        try:
            return self.pack(to_jsonable_python(value), depth)
        except (PydanticSerializationError, UnicodeDecodeError):
            raise undeclared(value) from None
