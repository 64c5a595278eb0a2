"""Values as JSON that comes back exactly: the closed table of types that JSON has no word for.

A value of such a type is stored as ``{"$": [tag, what it is made of]}``. The table is written here and nowhere else: a stored
tag selects one of these functions, never a class by name. What is not in the table is refused, with the path to it.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections import deque
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from hashlib import sha256
from math import isfinite
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic_core import PydanticSerializationError, to_jsonable_python

from graphflow.core.control import MISSING, Interrupt, Send
from graphflow.errors import CorruptCheckpoint, SerializationError
from graphflow.messages import FilePart, ImagePart, Message, RemoveMessage, TextPart, ToolCall

TAG: Final = "$"
MARK: Final = '{"$":'
"""In compact JSON this occurs where a tagged value begins and nowhere else: inside a text its quotes would be escaped."""
MAX_DEPTH: Final = 200
"""Levels of JSON; Python's own parser gives up at its recursion limit, deeper in somebody's stack than where it was written."""
_BIG_INT_BITS: Final = 14_000
"""Longer integers are kept as hexadecimal, because Python refuses to read more than 4,300 decimal digits."""


class Media(dict[bytes, tuple[str, bytes]]):
    """Contents of images and files by sha256: (media type, data). They are stored beside the text, once.

    ``depth``: how deeply the values they are found in may be nested.
    """

    depth = MAX_DEPTH


Fetch = Callable[[bytes], bytes]
"""Looks up stored contents by sha256."""

_JSON_OWN: Final = frozenset({str, int, float, bool, type(None)})
_ALWAYS_SAFE: Final = frozenset({str, bool, type(None)})
_TEXT: Final = frozenset({str})


class Refused(Exception):
    """A value that cannot be kept. ``parts`` is the path to it, innermost first."""

    def __init__(self, reason: str, repair: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.repair = repair
        self.parts: list[Any] = []

    def error(self, path: str) -> SerializationError:
        """The error to raise for a value found at ``path``."""
        path += path_text(reversed(self.parts))
        return SerializationError(f"{path} {self.reason}; {self.repair}", path=path)


def path_text(parts: Iterable[Any]) -> str:
    """``[3].when`` from 3 and "when"; what is deeper than anyone would read is left out."""
    shown = [f".{part}" if isinstance(part, str) and part.isidentifier() else f"[{part!r}]" for part in parts]
    return "".join(shown if len(shown) <= 24 else [*shown[:24], "…"])


class Packer:
    """Turns values into what JSON can hold.

    ``careful`` also looks at each int and float (an encoder that fails on NaN or a huge int asks for it). ``lenient`` turns
    what is not in the table into something like it; whoever asks for that has to compare what comes back.
    ``media`` takes the contents of images and files; without it they are kept in place.
    """

    __slots__ = ("lenient", "media", "most", "plain")

    def __init__(self, media: Media | None = None, *, careful: bool = False, lenient: bool = False) -> None:
        self.media = media
        self.most = getattr(media, "depth", MAX_DEPTH)
        self.lenient = lenient
        self.plain = _ALWAYS_SAFE if careful or lenient else _JSON_OWN

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
            if TAG in value or not _TEXT.issuperset(map(type, value)):
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
        known = _PACK.get(kind)
        if known is None:
            return self._other(value, depth)
        tag, take_apart = known
        return {TAG: [tag, take_apart(self, value, depth + 2)]}

    def items(self, values: Iterable[Any], depth: int) -> list[Any]:
        """The items of a list, a tuple or a set."""
        packed: list[Any] = []
        try:
            for item in values:
                packed.append(self.pack(item, depth))
        except Refused as refused:
            refused.parts.append(len(packed))
            raise
        return packed

    def _entries(self, value: dict[str, Any], depth: int) -> dict[str, Any]:
        packed: dict[str, Any] = {}
        key = ""
        try:
            for key, item in value.items():
                packed[key] = self.pack(item, depth)
        except Refused as refused:
            refused.parts.append(key)
            raise
        return packed

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
            raise _undeclared(value)
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
            raise _undeclared(value) from None


def _undeclared(value: Any) -> Refused:
    kind = type(value)
    name = kind.__qualname__
    for base in (str, bool, int, float, list, tuple, dict, set, frozenset, datetime):
        if isinstance(value, base) and not isinstance(value, Enum):
            plain = base.__name__
            return Refused(
                f"is a {name}, a kind of {plain}, and would come back as a plain {plain}",
                f"declare the field with {name} as its type, or write {plain}(…)",
            )
    if hasattr(kind, "__pydantic_fields__") or hasattr(kind, "__dataclass_fields__") or isinstance(value, Enum):
        return Refused(
            f"is a {name}, which the declared type does not say",
            f"declare the field with {name} as its type, or write plain data",
        )
    return Refused(
        f"is a {name}, which cannot be stored",
        "write plain data, or declare the field untracked if it can be had again",
    )


# --- taking apart ------------------------------------------------------------------------------------------------------


def _zone(value: datetime | time) -> Any:
    zone = value.tzinfo
    if zone is None or type(zone) is timezone:
        return None
    if type(zone) is ZoneInfo and zone.key:
        return zone.key
    raise Refused(f"has the time zone {zone!r}, which cannot be stored", "use datetime.timezone or zoneinfo.ZoneInfo(name)")


def _pack_datetime(packer: Packer, value: datetime, depth: int) -> Any:
    zone = _zone(value)
    if zone is None and not value.fold:
        return value.isoformat()
    return [(value if zone is None else value.replace(tzinfo=None)).isoformat(), zone, value.fold]


def _pack_time(packer: Packer, value: time, depth: int) -> Any:
    zone = _zone(value)
    if zone is None and not value.fold:
        return value.isoformat()
    return [(value if zone is None else value.replace(tzinfo=None)).isoformat(), zone, value.fold]


def _pack_set(packer: Packer, value: set[Any] | frozenset[Any], depth: int) -> Any:
    return [packer.pack(item, depth + 1) for item in value]


def _pack_part(packer: Packer, part: Any, depth: int) -> Any:
    if type(part) is TextPart:
        return part.text
    if type(part) not in (ImagePart, FilePart):
        raise _undeclared(part)
    fields = {name: value for name, value in part.__dict__.items() if value is not None and name != "data"}
    if part.data is not None:
        if packer.media is None:
            fields["data"] = b64encode(part.data).decode("ascii")
        else:
            digest = sha256(part.data)
            packer.media[digest.digest()] = (part.media_type, part.data)
            fields["sha256"] = digest.hexdigest()
    return fields


def pack_message(packer: Packer, message: Message, depth: int = 0) -> dict[str, Any]:
    """The fields of a message that are not empty, without role and id."""
    fields: dict[str, Any] = {}
    content = message.content
    if not isinstance(content, str):
        fields["content"] = [_pack_part(packer, part, depth + 2) for part in content]
    elif content:
        fields["content"] = packer.pack(content)
    if message.name is not None:
        fields["name"] = message.name
    if message.tool_call_id is not None:
        fields["call"] = message.tool_call_id
    if message.tool_calls:
        fields["calls"] = [[call.id, call.name, packer.pack(call.arguments, depth + 3)] for call in message.tool_calls]
    return fields


def _pack_tagged_message(packer: Packer, message: Message, depth: int) -> Any:
    return {"role": message.role, "id": message.id, **pack_message(packer, message, depth)}


def _pack_send(packer: Packer, send: Send, depth: int) -> Any:
    return [send.node, packer.at("arg", send.arg, depth + 1)]


def _pack_interrupt(packer: Packer, question: Interrupt, depth: int) -> Any:
    parts = [question.id, packer.at("value", question.value, depth + 1), question.node]
    # Its namespace is that of its row.
    return parts if question.schema is None else [*parts, "", packer.at("schema", question.schema, depth + 1)]


_PACK: Final[dict[type[Any], tuple[str, Callable[[Packer, Any, int], Any]]]] = {
    tuple: ("tuple", lambda packer, value, depth: packer.items(value, depth + 1)),
    set: ("set", _pack_set),
    frozenset: ("frozenset", _pack_set),
    bytes: ("bytes", lambda packer, value, depth: b64encode(value).decode("ascii")),
    datetime: ("datetime", _pack_datetime),
    date: ("date", lambda packer, value, depth: value.isoformat()),
    time: ("time", _pack_time),
    timedelta: ("timedelta", lambda packer, value, depth: [value.days, value.seconds, value.microseconds]),
    Decimal: ("decimal", lambda packer, value, depth: str(value)),
    UUID: ("uuid", lambda packer, value, depth: value.hex),
    complex: ("complex", lambda packer, value, depth: [repr(value.real), repr(value.imag)]),
    Message: ("message", _pack_tagged_message),
    RemoveMessage: ("remove", lambda packer, value, depth: value.id),
    ToolCall: (
        "call",
        lambda packer, value, depth: [value.id, value.name, packer.at("arguments", value.arguments, depth + 1)],
    ),
    TextPart: ("part", _pack_part),
    ImagePart: ("part", _pack_part),
    FilePart: ("part", _pack_part),
    Send: ("send", _pack_send),
    Interrupt: ("interrupt", _pack_interrupt),
}

KNOWN: Final = frozenset(_PACK)
"""The types of the table."""


# --- putting together ----------------------------------------------------------------------------------------------------


def _no_media(digest: bytes) -> bytes:
    raise CorruptCheckpoint(f"the contents with sha256 {digest.hex()} are not at hand")


def _unpack_datetime(value: Any, fetch: Fetch) -> datetime:
    if type(value) is str:
        return datetime.fromisoformat(value)
    text, zone, fold = value
    made = datetime.fromisoformat(text).replace(fold=fold)
    return made if zone is None else made.replace(tzinfo=_zone_info(zone))


def _unpack_time(value: Any, fetch: Fetch) -> time:
    if type(value) is str:
        return time.fromisoformat(value)
    text, zone, fold = value
    made = time.fromisoformat(text).replace(fold=fold)
    return made if zone is None else made.replace(tzinfo=_zone_info(zone))


def _zone_info(key: str) -> ZoneInfo:
    try:
        return ZoneInfo(key)
    except ZoneInfoNotFoundError as error:
        raise SerializationError(
            f"a stored time has the time zone {key!r}, which this machine does not know; install tzdata"
        ) from error


def _unpack_part(value: Any, fetch: Fetch) -> TextPart | ImagePart | FilePart:
    if type(value) is str:
        return TextPart(text=value)
    fields = dict(value)
    if "sha256" in fields:
        fields["data"] = fetch(bytes.fromhex(fields.pop("sha256")))
    elif "data" in fields:
        fields["data"] = b64decode(fields["data"])
    return ImagePart(**fields) if fields["type"] == "image" else FilePart(**fields)


def unpack_message(role: str, id: str | None, fields: dict[str, Any], fetch: Fetch = _no_media) -> Message:
    """The message that ``pack_message`` took apart."""
    content = fields.get("content", "")
    if type(content) is list:
        content = [_unpack_part(part, fetch) for part in content]
    calls = tuple(ToolCall(*call) for call in fields.get("calls", ()))
    return Message(role, content, id=id, name=fields.get("name"), tool_calls=calls, tool_call_id=fields.get("call"))


_UNPACK: Final[dict[str, Callable[[Any, Fetch], Any]]] = {
    "dict": lambda value, fetch: {key: item for key, item in value},
    "float": lambda value, fetch: float(value),
    "int": lambda value, fetch: int(value, 16),
    "missing": lambda value, fetch: MISSING,
    "tuple": lambda value, fetch: tuple(value),
    "set": lambda value, fetch: set(value),
    "frozenset": lambda value, fetch: frozenset(value),
    "bytes": lambda value, fetch: b64decode(value),
    "datetime": _unpack_datetime,
    "date": lambda value, fetch: date.fromisoformat(value),
    "time": _unpack_time,
    "timedelta": lambda value, fetch: timedelta(*value),
    "decimal": lambda value, fetch: Decimal(value),
    "uuid": lambda value, fetch: UUID(hex=value),
    "complex": lambda value, fetch: complex(float(value[0]), float(value[1])),
    "message": lambda value, fetch: unpack_message(value["role"], value["id"], value, fetch),
    "remove": lambda value, fetch: RemoveMessage(id=value),
    "call": lambda value, fetch: ToolCall(*value),
    "part": _unpack_part,
    "send": lambda value, fetch: Send(*value),
    "interrupt": lambda value, fetch: Interrupt(*value),
}


def unpacker(fetch: Fetch = _no_media) -> Callable[[dict[str, Any]], Any]:
    """A hook for the JSON parser that puts tagged values together again, innermost first."""

    def unpack(found: dict[str, Any]) -> Any:
        tagged = found.get(TAG)
        if tagged is None:
            return found
        try:
            make = _UNPACK.get(tagged[0])
            if make is not None:
                return make(tagged[1], fetch)
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
            raise SerializationError(f"a stored value is not what its tag says ({str(tagged)[:60]}): {error}") from error
        raise SerializationError(f"a stored value has the tag {tagged[0]!r}, which this version of graphflow does not know")

    return unpack
