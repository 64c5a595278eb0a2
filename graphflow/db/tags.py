"""Values as JSON that comes back exactly: the closed table of types that JSON has no word for.

A value of such a type is stored as ``{"$": [tag, what it is made of]}``. The table is written here and nowhere else: a stored
tag selects one of these functions, never a class by name. What is not in the table is refused, with the path to it.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum
from hashlib import sha256
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from graphflow.core.control import MISSING, Interrupt, Send
from graphflow.core.hints import one
from graphflow.errors import CorruptCheckpoint, SerializationError
from graphflow.messages import FilePart, ImagePart, Message, RemoveMessage, TextPart, ToolCall

if TYPE_CHECKING:
    from graphflow.db.packing import Packer

TAG: Final = "$"
MARK: Final = '{"$":'
"""In compact JSON this occurs where a tagged value begins and nowhere else: inside a text its quotes would be escaped."""
ANCHOR: Final = "anchor"
ALIAS: Final = "alias"
"""``["anchor", n, value]`` stands where a value comes first and ``["alias", n]`` wherever it comes again (YAML's words)."""
MAX_DEPTH: Final = 200
"""Levels of JSON; Python's own parser gives up at its recursion limit, deeper in somebody's stack than where it was written."""


class Media(dict[bytes, tuple[str, bytes]]):
    """Contents of images and files by sha256: (media type, data). They are stored beside the text, once.

    ``depth``: how deeply the values they are found in may be nested.
    """

    depth = MAX_DEPTH


Fetch = Callable[[bytes], bytes]
"""Looks up stored contents by sha256."""


class Refused(Exception):
    """A value that cannot be kept. ``parts`` is the path to it, innermost first, ``plainly`` the repair where no field declares
    a type for it.
    """

    def __init__(self, reason: str, repair: str, plainly: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.repair = repair
        self.plainly = repair if plainly is None else plainly
        self.parts: list[Any] = []

    def outside_fields(self) -> Refused:
        """The same, of a value that is in no field whose type could be declared."""
        self.repair = self.plainly
        return self

    def error(self, path: str) -> SerializationError:
        """The error to raise for a value found at ``path``."""
        path += path_text(reversed(self.parts))
        return SerializationError(f"{path} {self.reason}; {self.repair}", path=path)


def path_text(parts: Iterable[Any]) -> str:
    """``[3].when`` from 3 and "when"; what is deeper than anyone would read is left out."""
    shown = [f".{part}" if isinstance(part, str) and part.isidentifier() else f"[{part!r}]" for part in parts]
    return "".join(shown if len(shown) <= 24 else [*shown[:24], "…"])


def undeclared(value: Any) -> Refused:
    """The error for a value of a type that is not in the table."""
    kind = type(value)
    name = kind.__qualname__
    for base in (str, bool, int, float, list, tuple, dict, set, frozenset, datetime):
        if isinstance(value, base) and not isinstance(value, Enum):
            plain = base.__name__
            return Refused(
                f"is {one(name)}, a kind of {plain}, and would come back as a plain {plain}",
                f"declare the field with {name} as its type, or write {plain}(…)",
                f"write {plain}(…)",
            )
    if hasattr(kind, "__pydantic_fields__") or hasattr(kind, "__dataclass_fields__") or isinstance(value, Enum):
        return Refused(
            f"is {one(name)}, which the declared type does not say",
            f"declare the field with {name} as its type, or write plain data",
            f"no field declares one here, so write plain data, such as {_plain_form(kind)}",
        )
    return Refused(
        f"is {one(name)}, which cannot be stored",
        "write plain data, or declare the field untracked if it can be had again",
        "write plain data",
    )


def _plain_form(kind: type[Any]) -> str:
    if hasattr(kind, "__pydantic_fields__") and hasattr(kind, "model_dump"):
        return "what its model_dump() gives"
    return "its value" if issubclass(kind, Enum) else "what dataclasses.asdict(…) gives"


# --- taking apart ------------------------------------------------------------------------------------------------------


def _zone(value: datetime | time) -> Any:
    zone = value.tzinfo
    if zone is None or type(zone) is timezone:
        return None
    if type(zone) is ZoneInfo and zone.key:
        return zone.key
    raise Refused(f"has the time zone {zone!r}, which cannot be stored", "use datetime.timezone or zoneinfo.ZoneInfo(name)")


def _pack_moment(packer: Packer, value: datetime | time, depth: int) -> Any:
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
        raise undeclared(part)
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
    if message.provider_details is not None:
        fields["details"] = packer.at("provider_details", message.provider_details, depth + 1)
    return fields


def _pack_tagged_message(packer: Packer, message: Message, depth: int) -> Any:
    return {"role": message.role, "id": message.id, **pack_message(packer, message, depth)}


def _pack_send(packer: Packer, send: Send, depth: int) -> Any:
    try:
        return [send.node, packer.at("arg", send.arg, depth + 1)]
    except Refused as refused:
        refused.reason += f" (it is sent to node {send.node!r})"
        raise refused.outside_fields() from None


def _pack_interrupt(packer: Packer, question: Interrupt, depth: int) -> Any:
    parts = [question.id, packer.at("value", question.value, depth + 1), question.node]
    # Its namespace is that of its row.
    return parts if question.schema is None else [*parts, "", packer.at("schema", question.schema, depth + 1)]


PACK: Final[dict[type[Any], tuple[str, Callable[[Packer, Any, int], Any]]]] = {
    tuple: ("tuple", lambda packer, value, depth: packer.items(value, depth + 1)),
    set: ("set", _pack_set),
    frozenset: ("frozenset", _pack_set),
    bytes: ("bytes", lambda packer, value, depth: b64encode(value).decode("ascii")),
    datetime: ("datetime", _pack_moment),
    date: ("date", lambda packer, value, depth: value.isoformat()),
    time: ("time", _pack_moment),
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
"""The table: each type's tag, and what takes its values apart (with a Packer and the depth of what they are made of)."""

KNOWN: Final = frozenset(PACK)
"""The types of the table."""


# --- putting together ----------------------------------------------------------------------------------------------------


def _no_media(digest: bytes) -> bytes:
    raise CorruptCheckpoint(f"the contents with sha256 {digest.hex()} are not at hand")


def _moment(kind: type[datetime] | type[time], value: Any) -> datetime | time:
    """What ``_pack_moment`` took apart."""
    if type(value) is str:
        return kind.fromisoformat(value)
    text, zone, fold = value
    made = kind.fromisoformat(text).replace(fold=fold)
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
    name, called, details = fields.get("name"), fields.get("call"), fields.get("details")
    return Message(role, content, id=id, name=name, tool_calls=calls, tool_call_id=called, provider_details=details)


_UNPACK: Final[dict[str, Callable[[Any, Fetch], Any]]] = {
    "dict": lambda value, fetch: {key: item for key, item in value},
    "float": lambda value, fetch: float(value),
    "int": lambda value, fetch: int(value, 16),
    "missing": lambda value, fetch: MISSING,
    "tuple": lambda value, fetch: tuple(value),
    "set": lambda value, fetch: set(value),
    "frozenset": lambda value, fetch: frozenset(value),
    "bytes": lambda value, fetch: b64decode(value),
    "datetime": lambda value, fetch: _moment(datetime, value),
    "date": lambda value, fetch: date.fromisoformat(value),
    "time": lambda value, fetch: _moment(time, value),
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
    """A hook for the JSON parser that puts the tagged values of one text together again, innermost first."""
    resolve = resolver()

    def unpack(found: dict[str, Any]) -> Any:
        tagged = found.get(TAG)
        if tagged is None:
            return found
        try:
            make = _UNPACK.get(tagged[0])
            if make is not None:
                return make(tagged[1], fetch)
            made = resolve(found)
            if made is not found:
                return made
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError) as error:
            raise SerializationError(f"a stored value is not what its tag says ({str(tagged)[:60]}): {error}") from error
        raise SerializationError(f"a stored value has the tag {tagged[0]!r}, which this version of graphflow does not know")

    return unpack


def resolver() -> Callable[[dict[str, Any]], Any]:
    """A hook for the JSON parser that puts the values of one text where their aliases are, and leaves other tags alone."""
    anchored: dict[int, Any] = {}

    def resolve(found: dict[str, Any]) -> Any:
        match found.get(TAG):
            case ["anchor", number, value]:
                anchored[number] = value
                return value
            case ["alias", number]:
                return anchored[number]
        return found

    return resolve
