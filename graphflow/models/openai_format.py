"""The chat-completions format: a Request as request fields, an answer (whole or in chunks) as a Reply. Nothing here does I/O.

Format: https://platform.openai.com/docs/api-reference/chat; what strict schemas may contain:
https://platform.openai.com/docs/guides/structured-outputs#supported-schemas.
"""

from __future__ import annotations

import base64
import json
import math
import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import TypeAdapter

from graphflow.errors import ModelError
from graphflow.messages import FilePart, ImagePart, Message, Part, TextPart, ToolCall
from graphflow.models.base import Reply, Request, Token, ToolSpec, Usage
from graphflow.models.structured import FENCED


class Transient(ModelError):
    """A failure that may pass when the request is sent again, after ``retry_after`` seconds where the server named a time."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


# --- the request


def request_fields(request: Request, model: str = "") -> dict[str, Any]:
    """The fields of the request body that come from a Request to ``model``: messages, tools and the format of the answer.

    Half a surrogate pair, which no request can hold, goes out as U+FFFD; the messages themselves stay as they are. What the
    model said beside its calls of tools (``Reply.provider_details``) goes back to it for as long as the user says nothing new.
    """
    said = request.messages
    turn = next((at for at in range(len(said) - 1, -1, -1) if said[at].role == "user"), 0)
    fields: dict[str, Any] = {"messages": [_message(each, model if at > turn else None) for at, each in enumerate(said)]}
    if request.tools:
        fields["tools"] = [_tool(tool) for tool in request.tools]
    if request.output_schema is not None:
        fields["response_format"] = response_format(request.output_schema)
    sendable: dict[str, Any] = _sendable(fields)
    return sendable


def _sendable(value: Any) -> Any:
    """A value of the body with texts that UTF-8 can hold."""
    if isinstance(value, dict):
        return {_sendable(key): _sendable(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_sendable(item) for item in value]
    return _unicode(value) if isinstance(value, str) and not value.isascii() else value


def _unicode(text: str) -> str:
    """The text with U+FFFD for lone surrogates. Two that belong together, as from pieces of a stream, become what they mean."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _message(message: Message, told_by: str | None) -> dict[str, Any]:
    if message.role == "tool":
        return {"role": "tool", "tool_call_id": message.tool_call_id or "", "content": _text_only(message)}
    content = _parts(message) if message.role == "user" else _text_only(message)
    fields: dict[str, Any] = {"role": message.role, "content": content}
    if message.name and message.role in ("user", "assistant"):
        fields["name"] = _identifier(message.name)
    if message.tool_calls:
        fields["content"] = fields["content"] or None
        fields["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": _identifier(call.name), "arguments": _arguments(call)}}
            for call in message.tool_calls
        ]
    details = message.provider_details
    if details is not None and told_by is not None and details.get(_MODEL) == told_by:
        fields |= details.get(_BESIDE, {})
        for made in fields.get("tool_calls", ()):
            made |= details.get(_CALLS, {}).get(made["id"], {})
    return fields


_MODEL, _BESIDE, _CALLS = "model", "message", "calls"
"""The parts of a message's ``provider_details``: who said it, what was beside the text, and beside each call by its id."""
_KEPT: Final = "extra_content"
"""Where Gemini has the signatures of its thoughts, beside calls and texts; without those it refuses what the tools said."""
_KEPT_THOUGHTS: Final = "reasoning_content"
"""Where DeepSeek and others that think before they call tools have their thoughts; they refuse to go on without them."""


def _arguments(call: ToolCall) -> str:
    return json.dumps(call.arguments, ensure_ascii=False)  # an escape would hide half a surrogate pair from what cleans texts


def _text_only(message: Message) -> str:
    if isinstance(message.content, list) and not all(isinstance(part, TextPart) for part in message.content):
        raise ModelError(
            f"a {message.role} message holds an image or a file, which chat completions take from the user only: "
            "put the part into a message with the role user"
        )
    return message.text


def _parts(message: Message) -> str | list[dict[str, Any]]:
    return message.content if isinstance(message.content, str) else [_part(part) for part in message.content]


def _part(part: Part) -> dict[str, Any]:
    if isinstance(part, TextPart):
        return {"type": "text", "text": part.text}
    if isinstance(part, ImagePart):
        return {"type": "image_url", "image_url": {"url": _location(part)}}
    # OpenAI takes files as data only; servers that also take a URL expect it in the same field.
    return {"type": "file", "file": {"filename": part.name or "file", "file_data": _location(part)}}


def _location(part: ImagePart | FilePart) -> str:
    if part.data is not None:
        return f"data:{part.media_type};base64,{base64.b64encode(part.data).decode('ascii')}"
    if part.url is None:
        raise ModelError(f"the {part.type} part of a message is empty: give it data= or url=")
    return part.url


def _tool(tool: ToolSpec) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}


def _identifier(name: str) -> str:
    """The name in the letters that the API takes. Models also call tools that are not there, by names it then refuses."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64]


# --- the schema of a structured answer


class _NotStrict(Exception):
    """The schema says something that strict structured output cannot."""


_KNOWN = {
    *("type", "properties", "required", "additionalProperties", "items", "anyOf", "oneOf", "enum", "const", "$ref", "$defs"),
    *("description", "format", "pattern", "multipleOf", "minItems", "maxItems"),
    *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
}
_REFUSED = {"prefixItems", "patternProperties", "propertyNames", "allOf", "not"}
_FORMATS = {"date-time", "time", "date", "duration", "email", "hostname", "ipv4", "ipv6", "uuid"}


_ROOT: Final = "answer"
"""The property that an answer is wrapped into when its type is no object."""


def response_format(output_schema: type[Any]) -> dict[str, Any]:
    """The ``response_format`` for a type: strict where its schema allows, else a guide the model may stray from.

    The outermost schema has to be an object, so any other (of a list, a number, a union) is wrapped into one with a single
    property; ``Answer`` takes what the model says out of it again.
    Strict schemas know no free-form objects (``dict[str, X]``, ``extra="allow"``), no ``Any`` and no tuples.
    What a strict schema merely leaves out (defaults, lengths) pydantic still checks when the answer is read.
    """
    schema = _schema_of(output_schema)
    if _is_wrapped(schema):
        outside = {"$defs": schema.pop("$defs")} if "$defs" in schema else {}
        properties = {"properties": {_ROOT: schema}, "required": [_ROOT], "additionalProperties": False}
        schema = {"type": "object", **properties, **outside}
    try:
        strict, schema = True, _strict(schema)
    except _NotStrict:
        strict = False
    name = _identifier(getattr(output_schema, "__name__", "answer"))
    return {"type": "json_schema", "json_schema": {"name": name, "strict": strict, "schema": schema}}


def _schema_of(output_schema: type[Any]) -> dict[str, Any]:
    schema = TypeAdapter(output_schema).json_schema()
    if "$ref" in schema:  # of a class that contains itself; the outermost schema has to be an object and no reference to one
        own = schema["$defs"][schema["$ref"].removeprefix("#/$defs/")]
        schema = {**own, "$defs": schema["$defs"]}
    return schema


def _is_wrapped(schema: dict[str, Any]) -> bool:
    return schema.get("type") != "object" or bool({"anyOf", "oneOf", "enum"} & schema.keys())


def _unwrapped(content: str, output_schema: type[Any]) -> str:
    """The JSON of the declared type. What a model said that does not keep to the schema stays as it is."""
    fenced = FENCED.fullmatch(content)
    try:
        said = json.loads(content if fenced is None else fenced[1])
    except (ValueError, RecursionError):
        return content
    if not isinstance(said, dict) or said.keys() != {_ROOT} or not _is_wrapped(_schema_of(output_schema)):
        return content
    return json.dumps(said[_ROOT], ensure_ascii=False)


def _strict(schema: Any) -> dict[str, Any]:
    if not isinstance(schema, dict) or _REFUSED & schema.keys():
        raise _NotStrict
    node = {key: value for key, value in schema.items() if key in _KNOWN}
    if "oneOf" in node:
        node["anyOf"] = node.pop("oneOf")
    if "$ref" in node and len(node) > 1:  # a strict $ref stands alone, but its description is worth keeping
        node = {"anyOf": [{"$ref": node.pop("$ref")}], **node}
    if not node.keys() & {"type", "anyOf", "enum", "const", "$ref"}:
        raise _NotStrict
    if node.get("type") == "object":
        if node.get("additionalProperties") or "properties" not in node:
            raise _NotStrict
        node["properties"] = {name: _strict(field) for name, field in node["properties"].items()}
        node |= {"required": list(node["properties"]), "additionalProperties": False}
    if node.get("type") == "array":
        node["items"] = _strict(node.get("items"))
    if node.get("format") not in _FORMATS:
        node.pop("format", None)
    if "(?" in node.get("pattern", ""):  # look-around is not supported
        del node["pattern"]
    if "anyOf" in node:
        node["anyOf"] = [_strict(choice) for choice in node["anyOf"]]
    if "$defs" in node:
        node["$defs"] = {name: _strict(definition) for name, definition in node["$defs"].items()}
    return node


# --- the answer


@dataclass(slots=True)
class _Call:
    """A tool call while its pieces arrive."""

    id: str
    name: str
    arguments: str = ""
    beside: dict[str, Any] = field(default_factory=dict)
    """What the model wants to see again with it."""


class Answer:
    """Gathers one answer: ``feed`` takes each chunk of a stream, or a whole completion as if it were the only chunk.

    Tokens are what the model says; the Reply's content is the JSON of the asked-for type, also where that had to be wrapped.

    Fields that a server left out or got wrong are read as absent, since the client does not validate what it hands over.
    The arguments of a call may be an object instead of its JSON, and ``null`` where the tool takes none.
    Pieces of a tool call belong together by ``index``. Servers that send whole calls without an index, or all under one
    index, are understood too: a name with another id begins a new call.
    """

    def __init__(self, request: Request, *, streamed: bool, model: str = "") -> None:
        self._model = model
        self._beside: dict[str, Any] = {}
        self._output_schema = request.output_schema
        self._structured = request.output_schema is not None
        self._streamed = streamed
        self._content: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[_Call] = []
        self._open: dict[int | None, _Call] = {}
        self._usage = Usage()
        self._answered = self._refused = False
        self._ending = self._complaint = ""

    @property
    def started(self) -> bool:
        """Whether ``feed`` has given out tokens."""
        return bool(self._content or self._reasoning)

    def feed(self, chunk: Any) -> list[Token]:
        """Take a chunk; the tokens in it."""
        if usage := _get(chunk, "usage"):
            self._usage = Usage(_count(_get(usage, "prompt_tokens")), _count(_get(usage, "completion_tokens")))
        if complaint := _get(chunk, "error"):
            self._complaint = str(complaint.get("message", complaint) if isinstance(complaint, dict) else complaint)
        tokens: list[Token] = []
        for choice in _list(_get(chunk, "choices")):
            if not _get(choice, "index"):  # of several choices (n > 1) the first one counts
                tokens += self._take(choice)
        return tokens

    def _take(self, choice: Any) -> list[Token]:
        self._answered = True
        self._ending = _get(choice, "finish_reason") or self._ending
        said = _get(choice, "delta") or _get(choice, "message")
        reasoning = _text(_get(said, "reasoning_content") or _get(said, "reasoning"))
        refusal = _text(_get(said, "refusal"))
        content = _text(_get(said, "content")) or refusal
        self._refused = self._refused or bool(refusal)
        _keep(said, self._beside)
        if thought := _text(_get(said, _KEPT_THOUGHTS)):
            self._beside[_KEPT_THOUGHTS] = self._beside.get(_KEPT_THOUGHTS, "") + thought
        for delta in _list(_get(said, "tool_calls")):
            self._take_call(delta)
        tokens = []
        for text, texts in ((reasoning, self._reasoning), (content, self._content)):
            if text:
                texts.append(text)
                tokens.append(Token(text, reasoning=texts is self._reasoning))
        return tokens

    def _take_call(self, delta: Any) -> None:
        index = _get(delta, "index") if isinstance(_get(delta, "index"), int) else None
        function = _get(delta, "function")
        id, name = _text(_get(delta, "id")), _text(_get(function, "name"))
        call = self._open.get(index)
        if call is None or (name and (index is None or _is_another(id, call))):
            call = self._open[index] = _Call(id, name)
            self._calls.append(call)
        call.id, call.name = call.id or id, call.name or name
        _keep(delta, call.beside)
        arguments = _get(function, "arguments") or ""
        call.arguments += arguments if isinstance(arguments, str) else json.dumps(arguments)

    def finish(self) -> Reply:
        """The Reply, or an error: Transient for what another attempt may mend, ModelError for what it cannot."""
        content = "".join(self._content)
        if not self._answered:
            raise Transient(f"the answer holds no choices{': ' + self._complaint if self._complaint else ''}")
        if self._streamed and not self._ending:
            raise Transient("the stream ended before the answer did")
        if self._ending == "content_filter":
            raise ModelError("the provider's content filter stopped the answer: change the messages")
        if self._refused and self._structured:
            raise ModelError(f"the model refused to answer in the asked-for form: {content}")
        if self._ending == "length" and (self._structured or self._calls or not content):
            raise ModelError("the answer was cut at the limit of tokens before it was usable: raise max_tokens=")
        calls = tuple(_tool_call(call) for call in self._calls)
        if self._output_schema is not None and not calls:
            content = _unwrapped(content, self._output_schema)
        cut, details = self._ending == "length", self._details(calls) if calls else None
        return Reply(content, calls, self._usage, "".join(self._reasoning), cut, details)

    def _details(self, calls: Sequence[ToolCall]) -> dict[str, Any] | None:
        """What the model wants to see again once the tools have answered; None when that is nothing."""
        beside = {call.id: made.beside for call, made in zip(calls, self._calls, strict=True) if made.beside}
        if not beside and not self._beside:
            return None
        return {_MODEL: self._model, _BESIDE: self._beside, _CALLS: beside}


def _keep(said: Any, beside: dict[str, Any]) -> None:
    kept = _get(said, _KEPT)
    if isinstance(kept, dict):
        beside[_KEPT] = {**beside.get(_KEPT, {}), **kept}


def _tool_call(call: _Call) -> ToolCall:
    try:
        read = json.loads(call.arguments or "null", parse_float=_finite, parse_constant=_finite)
        arguments = {} if read is None else read
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict) or not call.name:
        raise Transient(f"the call of tool {call.name!r} has no JSON object as arguments but {call.arguments[:200]!r}")
    return ToolCall(call.id or f"call_{uuid.uuid4().hex}", call.name, arguments)


def _is_another(id: str, call: _Call) -> bool:
    """Whether a call begins under the index of this one: by its id, or, where ids are empty, because this one is whole."""
    if id or call.id:
        return bool(id) and id != call.id
    try:
        return isinstance(json.loads(call.arguments), dict)
    except (ValueError, RecursionError):
        return False


def _finite(number: str) -> float:
    """A number of JSON. NaN and Infinity, which Python reads, too, are none, and neither is 1e999."""
    value = float(number)
    if not math.isfinite(value):
        raise ValueError(f"{number} is no number of JSON")
    return value


def _get(value: Any, name: str) -> Any:
    return getattr(value, name, None)


def _count(value: Any) -> int:
    try:
        return int(value or 0)
    except (TypeError, ValueError, OverflowError):
        return 0


def _list(value: Any) -> list[Any]:
    return [item for item in value if item is not None] if isinstance(value, list) else []


def _text(content: Any) -> str:
    """Text as most servers give it, or as the list of parts that some give."""
    if isinstance(content, list):
        return "".join(_text(part.get("text") if isinstance(part, dict) else part) for part in content)
    return content if isinstance(content, str) else ""
