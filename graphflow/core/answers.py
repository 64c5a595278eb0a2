"""What the answer to a question has to look like, checked where no type is at hand: at resume, maybe in another process.

A question keeps the JSON schema of its ``response_schema``. An answer is checked against that before anything is written, and
against the type itself when the node runs again.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Iterator, Mapping, Sized
from datetime import date, datetime, time, timedelta
from enum import Enum
from functools import lru_cache
from typing import Any
from uuid import UUID

from pydantic import AliasChoices, AnyUrl, BaseModel, PydanticUserError, RootModel, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import PydanticSerializationError, to_jsonable_python

from graphflow.core.excerpts import excerpt
from graphflow.errors import InvalidAnswer

Schema = Mapping[str, Any]


class AnswerForm:
    """The type of an answer, and its JSON schema."""

    def __init__(self, type: Any) -> None:
        try:
            self._adapter: TypeAdapter[Any] = TypeAdapter(type)
            self.json_schema: dict[str, Any] = self._adapter.json_schema()
        except PydanticUserError as error:
            raise ValueError(
                f"response_schema={type!r} cannot be an answer's type: {error}. Give a type that JSON can express: a pydantic "
                "model, a TypedDict, a dataclass, Literal, int …"
            ) from error

    def read(self, answer: Any, node: str) -> Any:
        """The answer as the type. Raises InvalidAnswer for what JSON schema could not say."""
        try:
            return self._adapter.validate_python(answer)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            path = "".join(f".{part}" for part in first["loc"])
            raise InvalidAnswer(
                f"the answer to node {node!r} does not fit its response_schema: answer{path}: {first['msg']}. "
                "It is stored; mend the node's schema and resume, or fork the session to be asked again"
            ) from error


def answer_form(type: Any) -> AnswerForm:
    """The form of a ``response_schema``, made once per type. Raises ValueError for a type that JSON cannot express."""
    try:
        return _form(type)
    except TypeError:  # a type that cannot be hashed
        return AnswerForm(type)


@lru_cache(maxsize=256)
def _form(type: Any) -> AnswerForm:
    return AnswerForm(type)


def storable(answer: Any, schema: Schema | None, where: str) -> Any:
    """The answer as it is stored. Raises InvalidAnswer, naming the part, when it does not fit the question's JSON schema."""
    if schema is None:
        return answer
    try:
        answer = _taken_apart(answer)
        plain = to_jsonable_python(answer)
    except (PydanticSerializationError, ValueError, TypeError) as error:
        raise InvalidAnswer(f"{where}: the answer cannot be checked: {error}") from error
    for problem in problems(plain, schema, schema.get("$defs", {})):
        raise InvalidAnswer(f"{where}: {problem}; Interrupt.schema says what is asked for")
    return answer


def _taken_apart(value: Any) -> Any:
    """A value whose objects are the dicts that their types are made of, by the names those go by there."""
    if isinstance(value, RootModel):
        return _taken_apart(value.root)
    if isinstance(value, BaseModel):
        fields = {_given_as(name, field): getattr(value, name) for name, field in type(value).model_fields.items()}
        return {name: _taken_apart(item) for name, item in {**fields, **(value.model_extra or {})}.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _taken_apart(getattr(value, field.name)) for field in dataclasses.fields(value) if field.init}
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(map(_taken_apart, value))
    if type(value) is dict:
        return {name: _taken_apart(item) for name, item in value.items()}
    if isinstance(value, Enum | AnyUrl) or hasattr(value, "__fspath__"):
        return to_jsonable_python(value)
    return value


def _given_as(name: str, field: FieldInfo) -> str:
    """What a field of a pydantic model is called where an object is made of JSON."""
    alias = field.validation_alias
    if isinstance(alias, AliasChoices):
        alias = next((choice for choice in alias.choices if isinstance(choice, str)), None)
    return alias if isinstance(alias, str) else name


# --- JSON schema, as far as pydantic writes it; other words are left to the type ----------------------------------------------

_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "boolean": (bool,),
    "null": (type(None),),
    "integer": (int,),
    "number": (int, float),
}


def problems(value: Any, schema: Any, defs: Schema, path: str = "answer") -> Iterator[str]:
    """What is wrong with a JSON value, one sentence each."""
    if not isinstance(schema, Mapping):
        return
    if "$ref" in schema:
        yield from problems(value, defs.get(str(schema["$ref"]).rpartition("/")[2]), defs, path)
    for choice in ("anyOf", "oneOf"):
        if choice in schema and all(any(problems(value, part, defs, path)) for part in schema[choice]):
            yield f"{path} is {excerpt(value)}, which is none of what is allowed"
    for part in schema.get("allOf", ()):
        yield from problems(value, part, defs, path)
    if "const" in schema and not _same_json(value, schema["const"]):
        yield f"{path} is {excerpt(value)}, but has to be {schema['const']!r}"
    if "enum" in schema and not any(_same_json(value, choice) for choice in schema["enum"]):
        yield f"{path} is {excerpt(value)}, which is none of {', '.join(map(repr, schema['enum']))}"
    kind = schema.get("type")
    if isinstance(kind, str) and kind in _TYPES and not _is(value, kind):
        yield f"{path} is {excerpt(value)}, but has to be of type {kind}"
        return
    for word, holds in _BOUNDS.items():
        if word in schema and not holds(value, schema[word]):
            yield f"{path} is {excerpt(value)}, which breaks {word} {schema[word]!r}"
    if isinstance(value, dict):
        yield from _in_object(value, schema, defs, path)
    elif isinstance(value, list):
        yield from _in_array(value, schema, defs, path)


def _in_object(value: dict[str, Any], schema: Schema, defs: Schema, path: str) -> Iterator[str]:
    known = schema.get("properties", {})
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{path} has no {name!r}"
    more = schema.get("additionalProperties", True)
    for name, item in value.items():
        if name in known:
            yield from problems(item, known[name], defs, f"{path}.{name}")
        elif more is False:
            yield f"{path} has {name!r}, which is not among {', '.join(map(repr, known))}"
        else:
            yield from problems(item, more, defs, f"{path}.{name}")


def _in_array(value: list[Any], schema: Schema, defs: Schema, path: str) -> Iterator[str]:
    first = schema.get("prefixItems", ())
    for at, item in enumerate(value):
        yield from problems(item, first[at] if at < len(first) else schema.get("items"), defs, f"{path}[{at}]")


def _is(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "boolean"
    return isinstance(value, _TYPES[kind]) or (kind == "integer" and isinstance(value, float) and value.is_integer())


def _same_json(value: Any, other: Any) -> bool:
    """Whether JSON calls them equal: 1 and 1.0 are one number, 1 and true are not the same."""
    return value == other and isinstance(value, bool) == isinstance(other, bool)


def _number(holds: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda value, bound: isinstance(value, bool) or not isinstance(value, int | float) or holds(value, bound)


def _size(kind: type[Sized], holds: Callable[[int, Any], bool]) -> Callable[[Any, Any], bool]:
    return lambda value, bound: not isinstance(value, kind) or holds(len(value), bound)


def _has_format(value: str, format: str) -> bool:
    """Whether a text is written as the type that a format stands for; other formats are left to the type."""
    if format not in _FORMATS:
        return True
    if format != "uuid" and _is_number(value):  # the type would count seconds since 1970 with it
        return False
    try:
        answer_form(_FORMATS[format]).read(value, "")
    except InvalidAnswer:
        return False
    return True


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


_FORMATS: Mapping[str, type] = {"date": date, "date-time": datetime, "time": time, "duration": timedelta, "uuid": UUID}


def _matches(value: str, pattern: str) -> bool:
    try:
        return re.search(pattern, value) is not None
    except re.error:  # a pattern of pydantic's own engine; the type will tell
        return True


_BOUNDS: Mapping[str, Callable[[Any, Any], bool]] = {
    "minimum": _number(lambda value, bound: value >= bound),
    "maximum": _number(lambda value, bound: value <= bound),
    "exclusiveMinimum": _number(lambda value, bound: value > bound),
    "exclusiveMaximum": _number(lambda value, bound: value < bound),
    "minLength": _size(str, lambda size, bound: size >= bound),
    "maxLength": _size(str, lambda size, bound: size <= bound),
    "minItems": _size(list, lambda size, bound: size >= bound),
    "maxItems": _size(list, lambda size, bound: size <= bound),
    "minProperties": _size(dict, lambda size, bound: size >= bound),
    "maxProperties": _size(dict, lambda size, bound: size <= bound),
    "format": lambda value, format: not isinstance(value, str) or _has_format(value, format),
    "pattern": lambda value, bound: not isinstance(value, str) or _matches(value, bound),
}
