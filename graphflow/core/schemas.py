"""Schemas beside the state: what a run takes as input, gives as output and gets as context, and what one node sees.

All of them are TypedDicts, dataclasses or pydantic models like the state. Input, output and a node's view name fields of the
state; the state declares every channel, so fields that neither input nor output names are private to the graph.
"""

from __future__ import annotations

import functools
import inspect
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, NotRequired, Required, cast, get_args, get_origin

from pydantic import BaseModel, ConfigDict, PydanticInvalidForJsonSchema, TypeAdapter, ValidationError
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from graphflow.core.annotations import annotation
from graphflow.core.control import START, Overwrite
from graphflow.core.hints import hint, one
from graphflow.core.state import Channel, StateSchema, Values, state_schema, type_adapter
from graphflow.core.updates import update_of, wrong_type
from graphflow.errors import GraphError, InvalidUpdate
from graphflow.messages import as_messages


@dataclass(frozen=True, slots=True, eq=False)
class PartSchema(StateSchema):
    """A class that names some fields of the state."""

    def view(self, values: Values) -> Any:
        """Those fields only, in the form of the class."""
        return StateSchema.view(self, self.part(values))

    def part(self, values: Mapping[str, Any]) -> Values:
        """Those fields, as far as they hold something."""
        return {name: values[name] for name in self.channels if name in values}


def part_schema(cls: type[Any], whole: StateSchema, what: str) -> PartSchema:
    """A schema whose fields all have to be fields of the state. Raises GraphError naming the one that is not."""
    read = state_schema(cls)
    for name in read.channels:
        if name not in whole.channels:
            near = hint(name, whole.channels, f"declare it in {whole.cls.__name__}")
            raise GraphError(f"{what} {cls.__name__} has a field {name!r}, which {whole.cls.__name__} has not; {near}")
    return _as_part(read)


def _as_part(read: StateSchema) -> PartSchema:
    return PartSchema(
        read.cls, read.form, read.channels, read.defaults, read.fresh, read.logged, read.plain, read.untracked
    )


def node_view(fn: Any, whole: StateSchema) -> StateSchema:
    """What a node sees of the state: all of it, or the smaller class that its first parameter is annotated with.

    Smaller means: a state class of its own whose fields are all fields of the state. Any other annotation says nothing here:
    it may describe the argument of a Send.
    """
    inner = fn if inspect.isroutine(fn) else type(fn).__call__
    first = _first_parameter(inner)
    if first is None:
        return whole
    cls = getattr(inner, "__annotations__", {}).get(first)
    if cls is None or cls is whole.cls or cls == whole.cls.__name__:
        return whole
    if isinstance(cls, str):
        cls = annotation(inner, first)
    if not _is_state_class(cls) or cls is whole.cls:
        return whole
    try:
        read = state_schema(cast("type[Any]", cls))
    except GraphError:
        return whole
    return _as_part(read) if all(name in whole.channels for name in read.channels) else whole


def _first_parameter(fn: Any) -> str | None:
    fn = inspect.unwrap(fn)
    code = getattr(getattr(fn, "__func__", fn), "__code__", None)
    if code is None or not code.co_argcount:
        return None
    names: tuple[str, ...] = code.co_varnames[: code.co_argcount]
    return names[1] if names[0] == "self" and len(names) > 1 else names[0]


def _is_state_class(cls: Any) -> bool:
    return isinstance(cls, type) and (
        hasattr(cls, "__total__") or hasattr(cls, "__dataclass_fields__") or issubclass(cls, BaseModel)
    )


# --- input -----------------------------------------------------------------------------------------------------------------


def input_update(whole: StateSchema, part: PartSchema | None, input: Any, values: Values) -> Mapping[str, Any]:
    """The update that an input stands for. ``values`` is the state it meets.

    With an input schema: only its fields may be given, each is checked against it as well as against the state, a model or a
    dataclass has to be complete, and its defaults are used where the state holds nothing. Raises InvalidUpdate.
    """
    given = given_fields(whole, part, input)
    return given if part is None or part.form == "dict" else _completed(part, dict(given), values)


def given_fields(whole: StateSchema, part: PartSchema | None, input: Any) -> Mapping[str, Any]:
    """What an input says itself, whatever state it meets: ``input_update`` without defaults. Raises InvalidUpdate."""
    if input is None:
        raise InvalidUpdate(
            "the input is None: give a dict of fields ({} for none); to go on with an unfinished run call resume()"
        )
    if part is None:
        return update_of(whole, input, None, START)
    update = dict(update_of(part, input, None, START))
    for key in update:
        if key not in part.channels:
            near = hint(key, part.channels, f"its fields are {', '.join(part.channels)}")
            what = "a private field" if key in whole.channels else "not a field"
            raise InvalidUpdate(f"the input wrote {key!r}, which is {what} of {part.cls.__name__}; {near}", field=str(key))
    for name, value in update.items():
        update[name] = _checked(part.channels[name], whole.channels[name], value, always=part.form == "model")
    return update


def _checked(own: Channel, whole: Channel, value: Any, *, always: bool) -> Any:
    if own.validate_value is None:
        return value
    try:
        if whole.kind == "messages" != own.kind and not isinstance(value, Overwrite):
            value = as_messages(value)
        if own.type == whole.type and not always:
            return value
        if isinstance(value, Overwrite):
            return Overwrite(own.validate_value(value.value))
        return own.validate_value(value)
    except (ValidationError, ValueError, TypeError) as error:
        raise wrong_type(own, START, value, error) from error


def _completed(part: PartSchema, update: Values, values: Values) -> Values:
    for name, channel in part.channels.items():
        if name in update:
            continue
        if channel.default is None:
            raise InvalidUpdate(f"the input has no {name!r}, which {part.cls.__name__} asks for", field=name)
        if name not in values:
            update[name] = channel.default()
    if part.form == "model":
        try:
            whole = part.cls.model_validate({**part.part(values), **update}, by_alias=False, by_name=True)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            raise InvalidUpdate(f"the input does not fit {part.cls.__name__}: {first['msg']}") from error
        return {name: getattr(whole, name) for name in update}
    return update


def check_whole(schema: StateSchema, values: Values) -> None:
    """Have a model's validators of the whole (``@model_validator``) look at what an input made of the state: InvalidUpdate."""
    if schema.form != "model" or not schema.cls.__pydantic_decorators__.model_validators:
        return
    if any(name not in values for name in required(schema)):
        return  # a node fills it in, or whoever wants to see the whole says so
    try:
        schema.cls.model_validate(dict(values), by_alias=False, by_name=True)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InvalidUpdate(f"the input does not fit {schema.cls.__name__}: {first['msg']}") from error


# --- context ---------------------------------------------------------------------------------------------------------------


def context_value(cls: type[Any], context: Any) -> Any:
    """The context as ``cls``, from a dict of its fields or as it is. Raises ValueError naming the field."""
    schema = state_schema(cls)
    if schema.form != "dict" and isinstance(context, cls):
        return context
    if context is None:
        context = {}
    if not isinstance(context, Mapping):
        raise ValueError(f"context is {one(type(context).__name__)}; give a dict of the fields of {cls.__name__}")
    if schema.form == "model":
        return _context_model(cls, context)
    given: Values = {}
    for name, value in context.items():
        channel = schema.channels.get(name)
        if channel is None:
            near = hint(name, schema.channels, f"its fields are {', '.join(schema.channels)}")
            raise ValueError(f"context has {name!r}, which is not a field of {cls.__name__}; {near}")
        try:
            given[name] = value if channel.validate_value is None else channel.validate_value(value)
        except (ValidationError, ValueError, TypeError) as error:
            raise ValueError(
                f"context.{name} does not fit {cls.__name__}: {wrong_type(channel, 'context', value, error)}"
            ) from error
    for name in required(schema):
        if name not in given:
            raise ValueError(f"context has no {name!r}, which {cls.__name__} asks for; give context={{{name!r}: …}}")
    return given if schema.form == "dict" else cls(**given)


def _context_model(cls: Any, context: Mapping[str, Any]) -> Any:
    try:
        return cls.model_validate(context)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = ".".join(map(str, first["loc"]))
        raise ValueError(f"context{'.' if path else ''}{path} does not fit {cls.__name__}: {first['msg']}") from error


def required(schema: StateSchema) -> list[str]:
    """The fields that have to be given."""
    if schema.form == "dict":
        keys = _required_of(schema.cls)  # type: ignore[arg-type]  # mypy doubts that a class can be hashed
        return [name for name in schema.channels if name in keys]
    return [name for name, channel in schema.channels.items() if channel.default is None]


@functools.lru_cache(maxsize=256)
def _required_of(cls: type[Any]) -> frozenset[str]:
    """The keys that a TypedDict cannot do without. Its own ``__required_keys__`` does not know what is said in annotations that
    are texts, as all are under ``from __future__ import annotations``.
    """
    keys: frozenset[str] = getattr(cls, "__required_keys__", frozenset())
    marks = {name: _marks(hint) for name, hint in typing.get_type_hints(cls, include_extras=True).items()}
    return frozenset(name for name, said in marks.items() if Required in said or (name in keys and NotRequired not in said))


def _marks(hint: Any) -> set[Any]:
    """What is around a type: Required, NotRequired, Annotated."""
    found = set()
    while (origin := get_origin(hint)) in (Required, NotRequired, Annotated):
        found.add(origin)
        hint = get_args(hint)[0]
    return found


# --- JSON schema -----------------------------------------------------------------------------------------------------------


class _Generator(GenerateJsonSchema):
    """JSON schema in which what JSON has no word for may be anything."""

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> JsonSchemaValue:
        """``{}``."""
        return {}

    def emit_warning(self, kind: Any, detail: str) -> None:
        """A default that JSON cannot express is left out."""


def json_schema(schema: StateSchema, *, complete: bool) -> dict[str, Any]:
    """The JSON schema of a state class. ``complete``: whether fields without a default are required."""
    adapters: list[tuple[str, Literal["validation", "serialization"], TypeAdapter[Any]]] = [
        (name, "validation", type_adapter(channel.type, ConfigDict(arbitrary_types_allowed=True)))
        for name, channel in schema.channels.items()
    ]
    try:
        found, shared = TypeAdapter.json_schemas(adapters, schema_generator=_Generator)
    except PydanticInvalidForJsonSchema as error:
        raise GraphError(f"{schema.cls.__name__} has a field that JSON schema cannot express: {error}") from error
    properties = {name: found[name, "validation"] for name in schema.channels}
    made: dict[str, Any] = {"title": schema.cls.__name__, "type": "object", "properties": properties}
    if complete and (names := required(schema)):
        made["required"] = names
    if "$defs" in shared:
        made["$defs"] = shared["$defs"]
    return made
