"""Messages: what users, models and tools say to each other, in one provider-neutral form."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal, Self, get_args

from pydantic import BaseModel, ConfigDict, Discriminator, Field, model_validator

Role = Literal["system", "developer", "user", "assistant", "tool"]


class TextPart(BaseModel):
    """A piece of text inside a message of several parts."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    type: Literal["text"] = "text"
    text: str


class ImagePart(BaseModel):
    """An image, by ``url`` or as ``data`` (bytes). Data are stored once, by content, however many messages hold them."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, ser_json_bytes="base64", val_json_bytes="base64")
    type: Literal["image"] = "image"
    url: str | None = None
    data: bytes | None = None
    media_type: str = "image/png"
    """Told by the first bytes of the data, unless it is given."""

    @model_validator(mode="before")
    @classmethod
    def _recognise(cls, given: Any) -> Any:
        kind = _kind_of(given, _IMAGES)
        return given if kind is None else {**given, "media_type": kind}

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_content(self)
        return self


class FilePart(BaseModel):
    """A file (PDF, CSV, …) as ``data`` (bytes) or by ``url``. Data are stored once, by content."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True, ser_json_bytes="base64", val_json_bytes="base64")
    type: Literal["file"] = "file"
    url: str | None = None
    data: bytes | None = None
    media_type: str = "application/octet-stream"
    """Told by the first bytes of the data, or by the end of the name, unless it is given."""
    name: str | None = None

    @model_validator(mode="before")
    @classmethod
    def _recognise(cls, given: Any) -> Any:
        kind = _kind_of(given, _FILES) or _kind_by_name(given)
        return given if kind is None else {**given, "media_type": kind}

    @model_validator(mode="after")
    def _check(self) -> Self:
        _check_content(self)
        return self


_IMAGES: Final = {"image/png": b"\x89PNG", "image/jpeg": b"\xff\xd8\xff", "image/gif": b"GIF8", "image/webp": b"RIFF"}
"""How files of images begin."""
_FILES: Final = {"application/pdf": b"%PDF-"}
"""How other files begin."""


def _kind_of(given: Any, known: Mapping[str, bytes]) -> str | None:
    """The media type that the first bytes of a part's data tell; None when they tell none, or it is given."""
    if not isinstance(given, dict) or "media_type" in given or not isinstance(given.get("data"), bytes):
        return None
    return next((kind for kind, begins in known.items() if given["data"].startswith(begins)), None)


def _kind_by_name(given: Any) -> str | None:
    """The media type that the end of a file's name tells; None when it tells none, or it is given."""
    if not isinstance(given, dict) or "media_type" in given or not isinstance(given.get("name"), str):
        return None
    import mimetypes  # noqa: PLC0415  # few messages hold files

    kind, packed = mimetypes.guess_type(given["name"], strict=False)
    return None if packed else kind


def _check_content(part: ImagePart | FilePart) -> None:
    if part.url is None and part.data is None:
        raise ValueError(f"{type(part).__name__} has neither url= nor data=; give one of them")


Part = Annotated[TextPart | ImagePart | FilePart, Discriminator("type")]


class ToolCall(BaseModel):
    """A model's wish to call a tool. ``arguments`` are the parsed JSON object."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    id: str
    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)

    def __init__(self, id: str, name: str, arguments: dict[str, Any] | None = None) -> None:
        super().__init__(id=id, name=name, arguments={} if arguments is None else arguments)


_ROLES: Final = frozenset(get_args(Role))


class Message(BaseModel):
    """One message. Immutable; ``Message("user", "hello")`` and keywords both work.

    ``content`` is text or a list of parts (text, image, file). ``id`` is given when the message enters a state channel with
    the ``add_messages`` reducer; a later message with the same id replaces it. ``tool_calls`` are an assistant's wishes,
    ``tool_call_id`` says which of them a tool message answers. ``name`` is the tool's, or the member's who speaks.
    ``provider_details`` are what a model wants to see again beside its message (``Reply.provider_details``).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    role: Role
    content: str | list[Part] = ""
    id: str | None = None
    name: str | None = None
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    provider_details: dict[str, Any] | None = None

    def __init__(
        self,
        role: str,
        content: str | list[Any] = "",
        id: str | None = None,
        name: str | None = None,
        tool_calls: Sequence[Any] = (),
        tool_call_id: str | None = None,
        provider_details: dict[str, Any] | None = None,
    ) -> None:
        told = {
            "role": role,
            "content": content,
            "id": id,
            "name": name,
            "tool_calls": tool_calls,
            "tool_call_id": tool_call_id,
            "provider_details": provider_details,
        }
        if (
            type(self) is Message
            and tool_calls == ()
            and type(content) is type(role) is str
            and role in _ROLES
            and (id is None or type(id) is str)
            and (name is None or type(name) is str)
            and (tool_call_id is None or type(tool_call_id) is str)
            and provider_details is None
        ):  # texts need no more checking than that, and most messages are made of nothing else
            _fill(self, told, _FIELDS.copy())
        else:
            super().__init__(**told)

    @property
    def text(self) -> str:
        """The text of the message; the texts of its parts joined by newlines."""
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content if isinstance(part, TextPart))

    def with_id(self, id: str | None) -> Message:
        """The same message under this id. A message is checked when it is made, so the copy is not checked again."""
        copy = Message.__new__(Message)
        _fill(copy, {**self.__dict__, "id": id}, {*self.__pydantic_fields_set__, "id"})
        return copy


_FIELDS: Final = set(Message.model_fields)
"""What pydantic takes note of as set."""


_set_values, _set_fields, _set_extra, _set_private = (vars(BaseModel)[slot].__set__ for slot in BaseModel.__slots__)


def _fill(message: Message, told: dict[str, Any], fields: set[str]) -> None:
    """Have a message hold what was checked, in the slots where pydantic keeps it."""
    _set_values(message, told)
    _set_fields(message, fields)
    _set_extra(message, None)
    _set_private(message, None)


class RemoveMessage(BaseModel):
    """Written to an ``add_messages`` channel, removes the message with this id. An unknown id is an InvalidUpdate."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)
    id: str


def as_message(value: Any) -> Message | RemoveMessage:
    """A message from what users write: a Message, a ``(role, text)`` pair or a dict. Raises ValueError for anything else."""
    if type(value) is Message or isinstance(value, Message | RemoveMessage):
        return value
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str):
        return Message(value[0], value[1])
    if isinstance(value, dict) and "role" in value:
        if unknown := value.keys() - _FIELDS:
            others = ", ".join(map(repr, sorted(map(str, unknown))))
            raise ValueError(
                f"{value!r} is not a message: it has {others}, and the fields of one are {', '.join(Message.model_fields)}"
            )
        return Message(**value)
    raise ValueError(f"{value!r} is not a message: give a Message, a (role, text) pair or a dict with a role")


def as_messages(value: Any) -> list[Message | RemoveMessage]:
    """A list of messages from one message or an iterable of them (see ``as_message``)."""
    if isinstance(value, list):
        return [item if type(item) is Message else as_message(item) for item in value]
    if isinstance(value, Message | RemoveMessage | dict):
        return [as_message(value)]
    if isinstance(value, tuple) and len(value) == 2 and isinstance(value[0], str):
        return [as_message(value)]
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise ValueError(f"{value!r} is not a list of messages; what a user says is [('user', text)]")
    return [as_message(item) for item in value]


def answer_in(messages: Sequence[Message]) -> Message | None:
    """The answer that a finished run's messages end with; None when they end otherwise.

    What a model says before it calls tools is none.
    """
    last = messages[-1] if messages else None
    return last if last is not None and last.role == "assistant" and not last.tool_calls else None
