"""Values of declared types that the tag table does not know: models, dataclasses, enums, named tuples and containers of them.

pydantic takes them apart, and validating against the declared type puts them together again. That this gives the same value, in
value and in exact type, is checked each time before anything is written.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections import deque
from decimal import Decimal
from functools import lru_cache
from math import copysign, isnan
from typing import Annotated, Any, Final, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, PydanticUserError, TypeAdapter, ValidationError
from pydantic_core import PydanticSerializationError

from graphflow.core.hints import one
from graphflow.db.jsontext import dumps, loads
from graphflow.db.packing import Packer
from graphflow.db.tags import KNOWN, Fetch, Media, Refused, path_text
from graphflow.errors import SerializationError

_CONTAINERS: Final = frozenset({list, dict, tuple, set, frozenset})
_ABSTRACT: Final = frozenset(
    {"Sequence", "MutableSequence", "Mapping", "MutableMapping", "Set", "MutableSet", "Iterable", "Collection"}
)


def is_exact(hint: Any, seen: frozenset[Any] = frozenset()) -> bool:
    """Whether every value of this type is made only of what the tag table keeps exactly."""
    if hint in (Any, object, None, type(None), str, int, float, bool, ...) or (isinstance(hint, type) and hint in KNOWN):
        return True
    if isinstance(hint, type) and hint in _CONTAINERS:
        return True
    if getattr(hint, "__name__", None) and hasattr(hint, "__value__"):
        return hint in seen or is_exact(hint.__value__, seen | {hint})
    if hasattr(hint, "__supertype__"):
        return is_exact(hint.__supertype__, seen)
    if typing.is_typeddict(hint):
        return hint in seen or all(is_exact(field, seen | {hint}) for field in typing.get_type_hints(hint).values())
    origin, args = get_origin(hint), get_args(hint)
    if origin is Literal:
        return all(type(value) in (str, int, bool, bytes, type(None)) for value in args)
    if origin is Annotated or origin in (typing.Required, typing.NotRequired):
        return is_exact(args[0], seen)
    if origin in _CONTAINERS or origin is typing.Union or origin is types.UnionType:
        return all(is_exact(arg, seen) for arg in args)
    if getattr(origin, "__module__", "") == "collections.abc" and origin.__name__ in _ABSTRACT:
        return all(is_exact(arg, seen) for arg in args)
    return False


@lru_cache(maxsize=512)
def _adapter(hint: Any) -> TypeAdapter[Any]:
    try:
        return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True))
    except PydanticUserError:
        return TypeAdapter(hint)


def take_apart(hint: Any, value: Any, packer: Packer) -> Any:
    """A value of a declared type, packed. Raises Refused when putting it together again would give something else."""
    adapter = _adapter(hint)
    packer = Packer(packer.media, lenient=True)
    try:
        plain = adapter.dump_python(value, round_trip=True, by_alias=False, warnings=False)
        packed = packer.pack(plain)
        again = put_together(hint, loads(dumps(packed), _from(packer.media)))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        refused = Refused(f"would not be taken back: {first['msg']}", "write a value that its declared type accepts as stored")
        refused.parts = [part for part in reversed(first["loc"]) if isinstance(part, int) or part.isidentifier()]
        raise refused from None
    except (PydanticSerializationError, TypeError, AttributeError) as error:
        raise Refused(f"cannot be stored: {error}", "declare the field's type, or mark it untracked") from None
    found = difference(value, again)
    if found is not None:
        raise _changed(value, again, found)
    return packed


def _from(media: Media | None) -> Fetch | None:
    return None if media is None else lambda digest: media[digest][1]


def put_together(hint: Any, value: Any) -> Any:
    """The value of a declared type that ``take_apart`` took apart. Raises ValidationError when it does not fit the type."""
    return _adapter(hint).validate_python(value, by_alias=False, by_name=True)


def _changed(value: Any, again: Any, parts: list[Any]) -> Refused:
    for part in parts:
        value, again = _child(value, part), _child(again, part)
    was, is_ = type(value).__qualname__, type(again).__qualname__
    if was != is_:
        reason = f"is {one(was)} and would come back as {one(is_)}"
        repair = f"declare exactly {was} there (in a union, models that a Literal field tells apart)"
    else:
        reason = f"is {one(was)} that would come back different"
        repair = (
            "let its type keep every field (no excluded or private ones, no one-way serialisers), or mark the field untracked"
        )
    refused = Refused(reason, repair)
    refused.parts = parts[::-1]
    return refused


def _child(value: Any, part: Any) -> Any:
    try:
        return getattr(value, part) if isinstance(part, str) and not isinstance(value, dict) else value[part]
    except (AttributeError, LookupError, TypeError):
        return None


def difference(a: Any, b: Any) -> list[Any] | None:
    """The path to where two values differ in value or in exact type; None when they are the same."""
    kind = type(a)
    if kind is not type(b):
        return []
    if isinstance(a, BaseModel):
        return _first([(name, getattr(a, name, None), getattr(b, name, None)) for name in kind.model_fields]) or _hidden(a, b)
    if dataclasses.is_dataclass(a):
        return _first([(f.name, getattr(a, f.name, None), getattr(b, f.name, None)) for f in dataclasses.fields(a)])
    if isinstance(a, dict):
        if len(a) != len(b) or getattr(a, "default_factory", None) is not getattr(b, "default_factory", None):
            return []
        pairs = zip(a.items(), b.items(), strict=True)
        return _first([(key, (key, value), (other, item)) for (key, value), (other, item) in pairs], descend=1)
    if isinstance(a, list | tuple | deque):
        if len(a) != len(b) or getattr(a, "maxlen", None) != getattr(b, "maxlen", None):
            return []
        return _first(list(zip(range(len(a)), a, b, strict=True)))
    if isinstance(a, set | frozenset):
        return None if {(type(item), item) for item in a} == {(type(item), item) for item in b} else []
    if isinstance(a, float):
        return None if (a == b and copysign(1, a) == copysign(1, b)) or (isnan(a) and isnan(b)) else []
    if isinstance(a, Decimal | complex):
        # Tells 1.0 from 1.00, NaN equals NaN, and a signalling NaN must not be compared at all.
        return None if str(a) == str(b) else []
    return None if a == b else []


def _first(pairs: list[tuple[Any, Any, Any]], descend: int = 0) -> list[Any] | None:
    for part, a, b in pairs:
        found = difference(a, b)
        if found is not None:
            return [part, *found[descend:]]
    return None


def _hidden(a: BaseModel, b: BaseModel) -> list[Any] | None:
    extra = difference(a.__pydantic_extra__, b.__pydantic_extra__)
    return extra if extra is not None else difference(a.__pydantic_private__, b.__pydantic_private__)


def validated(hint: Any, value: Any, where: str) -> Any:
    """As ``put_together``, of what is stored as the state path ``where``. Raises SerializationError naming the path."""
    try:
        return put_together(hint, value)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        path = where + path_text(first["loc"])
        message = f"what is stored as {path} does not fit its declared type any more: {first['msg']}; let the type accept it"
        raise SerializationError(message, path=path) from error
