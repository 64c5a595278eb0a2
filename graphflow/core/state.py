"""The state of a graph: its channels, read from the class a user declares.

A state schema is a TypedDict, a dataclass or a pydantic model. Each field is a *channel*; ``Annotated[T, …]`` may add a reducer
(``append``, ``merge``, ``add_messages``, ``operator.add``, any ``(old, new) -> value``) and a lifetime:

* *(none)*: as long as the session
* ``per_run``: starts empty in each run
* ``untracked``: never stored (secrets, connections, what can be had again)
* ``logged``: for ``list[Message]``: per run in the state, while every message is appended to the session's message log
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import operator
import typing
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal, NotRequired, Required, TypeVar, cast, get_args, get_origin

from pydantic import (
    BaseModel,
    ConfigDict,
    PydanticSchemaGenerationError,
    PydanticUndefinedAnnotation,
    PydanticUserError,
    TypeAdapter,
)
from pydantic_core import PydanticUndefined, SchemaValidator, core_schema

from graphflow.core.options import is_async
from graphflow.core.reducers import Reducer, add_messages, append, keyed, merge, merge_keys
from graphflow.errors import GraphError, InvalidUpdate
from graphflow.messages import Message, as_messages


class _Lifetime:
    """Marker in ``Annotated[...]`` of how long a channel lives."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


per_run = _Lifetime("per_run")
"""Lifetime: the channel starts empty in each run."""
untracked = _Lifetime("untracked")
"""Lifetime: the channel is never stored, and starts empty in each run."""
logged = _Lifetime("logged")
"""Lifetime for ``list[Message]``: per run in the state, while every message is appended to the session's message log."""

Values = dict[str, Any]
Kind = Literal["plain", "append", "merge", "keys", "messages", "fold"]


@dataclass(frozen=True, slots=True, eq=False)
class Channel:
    """One field of the state."""

    name: str
    type: Any
    """The declared type without reducer and lifetime markers."""
    kind: Kind = "plain"
    reducer: Reducer | None = None
    lifetime: str = "session"
    default: Callable[[], Any] | None = None
    """Makes the value a channel has before anything was written; None when it has none."""
    update_type: Any = Any
    """The type of what nodes write: the declared type, or that of a custom reducer's second parameter."""
    validate_update: Callable[[Any], Any] | None = None
    """Checks what a node writes; None when anything goes or when the reduced result is checked instead."""
    validate_value: Callable[[Any], Any] | None = None
    """Checks a whole value of the declared type."""
    checks_result: bool = False
    """Whether the reducer says nothing of its second parameter, so that what it returns is checked."""

    @property
    def stored(self) -> bool:
        """Whether the channel's value belongs into checkpoints."""
        return self.lifetime != "untracked"


@dataclass(frozen=True, slots=True, eq=False)
class StateSchema:
    """The lowered form of a user's state class."""

    cls: type[Any]
    form: Literal["dict", "dataclass", "model"]
    channels: dict[str, Channel]
    defaults: tuple[tuple[str, Callable[[], Any]], ...]
    fresh: tuple[str, ...]
    """Channels that start empty in each run."""
    logged: tuple[str, ...]
    plain: frozenset[str]
    """Channels that hold what was written last."""
    untracked: frozenset[str]
    """Channels that are never stored."""
    varying: frozenset[str] = frozenset()
    """Stored channels whose default a function of the user's makes, maybe another each time: what was made is stored."""
    aliases: Mapping[str, str] = field(default_factory=dict)
    """Names under which channels were stored before, and what they are called now."""

    def initial(self) -> Values:
        """The values before anything was written."""
        return {name: make() for name, make in self.defaults}

    def view(self, values: Values) -> Any:
        """The state as a node sees it: a copy of the top level in the form the user declared.

        Raises InvalidUpdate when it lacks a field that has to be there, or when a dataclass refuses its fields.
        """
        if self.form == "dict":
            return values.copy()
        try:
            if self.form == "dataclass":
                return self.cls(**values)
            return _model_view(self.cls, values)
        except Exception as error:
            missing = [name for name, channel in self.channels.items() if name not in values and channel.default is None]
            if not missing:
                raise InvalidUpdate(f"{self.cls.__name__} cannot be made of the state: {error}") from error
            raise InvalidUpdate(
                f"{self.cls.__name__} cannot be made: no value for {', '.join(map(repr, missing))}; "
                "give it in the input or give the field a default",
                field=missing[0],
            ) from error

    def shown(self, values: Values) -> Any:
        """The state in its declared form; a plain dict while a field that has to be there is not yet."""
        try:
            return self.view(values)
        except InvalidUpdate:
            return dict(values)


@functools.lru_cache(maxsize=256)
def _required(cls: type[Any]) -> frozenset[str]:
    """The fields that a model cannot be made without."""
    return frozenset(name for name, field in cls.model_fields.items() if field.is_required())


def _model_view(cls: type[Any], values: Values) -> Any:
    missing = _required(cls).difference(values)  # type: ignore[arg-type]  # mypy doubts that a class can be hashed
    if missing:
        raise TypeError(f"missing {sorted(missing)}")
    held = values.copy()
    if len(held) < len(cls.model_fields):
        for name, field in cls.model_fields.items():
            if name not in held:
                held[name] = field.get_default(call_default_factory=True, validated_data=held)
    view: Any = object.__new__(cls)
    object.__setattr__(view, "__dict__", held)
    object.__setattr__(view, "__pydantic_fields_set__", set(values))
    object.__setattr__(view, "__pydantic_extra__", {} if cls.model_config.get("extra") == "allow" else None)
    object.__setattr__(view, "__pydantic_private__", _private(cls) if cls.__private_attributes__ else None)
    return view


def _private(cls: type[Any]) -> Values:
    """The private attributes of a new model, as far as they have a default."""
    made: Values = {}
    for name, attribute in cls.__private_attributes__.items():
        if attribute.default_factory is not None:
            made[name] = attribute.default_factory()
        elif attribute.default is not PydanticUndefined:
            made[name] = deepcopy(attribute.default)
    return made


# --- from a class to channels ------------------------------------------------------------------------------------------


def state_schema(cls: type[Any]) -> StateSchema:
    """Read a state class. Raises GraphError for anything that is not a TypedDict, dataclass or pydantic model with fields."""
    if not isinstance(cls, type):
        raise GraphError(f"{cls!r} is not a state class: declare a TypedDict, a dataclass or a pydantic model")
    return _read_schema(cls)  # type: ignore[arg-type]  # mypy doubts that a class can be hashed


@functools.lru_cache(maxsize=256)
def _read_schema(cls: type[Any]) -> StateSchema:
    if issubclass(cls, BaseModel):
        form: Literal["dict", "dataclass", "model"] = "model"
        hints = _model_hints(cls)
        defaults = {name: _model_default(field) for name, field in cls.model_fields.items()}
    elif dataclasses.is_dataclass(cls):
        form, hints = "dataclass", _hints(cls)
        hints = {field.name: hints[field.name] for field in dataclasses.fields(cls) if field.init}
        of_pydantic = cls.__dict__.get("__pydantic_fields__", {})
        defaults = {field.name: _dataclass_default(of_pydantic.get(field.name, field)) for field in dataclasses.fields(cls)}
    elif typing.is_typeddict(cls) or hasattr(cls, "__total__"):
        form, hints, defaults = "dict", _hints(cls), {}
    else:
        raise GraphError(f"{cls.__name__} is not a state class: make it a TypedDict, a dataclass or a pydantic model")
    if not hints:
        raise GraphError(f"{cls.__name__} has no fields: a state needs at least one")
    channels = {name: _channel(cls, name, hint, defaults.get(name)) for name, hint in hints.items()}
    return StateSchema(
        cls=cls,
        form=form,
        channels=channels,
        defaults=tuple((name, channel.default) for name, channel in channels.items() if channel.default is not None),
        fresh=tuple(name for name, channel in channels.items() if channel.lifetime in ("per_run", "logged", "untracked")),
        logged=tuple(name for name, channel in channels.items() if channel.lifetime == "logged"),
        plain=frozenset(name for name, channel in channels.items() if channel.kind == "plain"),
        untracked=frozenset(name for name, channel in channels.items() if not channel.stored),
        varying=frozenset(
            name for name, channel in channels.items() if channel.stored and channel.kind != "messages" and _made(cls, name)
        ),
    )


_EMPTY: Final = (list, dict, set, frozenset, tuple, str, int, float, bool, bytes)
"""What makes the same value each time."""


def _made(cls: type[Any], name: str) -> bool:
    """Whether a field's default is made by a function of the user's: an id, a time, a random number."""
    fields = getattr(cls, "__dataclass_fields__", {}) | getattr(cls, "__pydantic_fields__", {})
    factory = getattr(fields.get(name), "default_factory", None)
    return factory is not None and factory is not dataclasses.MISSING and factory not in _EMPTY


def check_defaults(schema: StateSchema) -> None:
    """Raise GraphError for a default that is made of other fields, which are not there when a session begins."""
    for name, declared in getattr(schema.cls, "__pydantic_fields__", {}).items():
        if declared.default_factory is not None and declared.default_factory_takes_validated_data:
            raise GraphError(
                f"{schema.cls.__name__}.{name}: its default_factory makes the default of other fields, which are not there "
                "when a session begins; let the factory take nothing, or have the first node write the field"
            )


def _hints(cls: type[Any]) -> dict[str, Any]:
    try:
        return typing.get_type_hints(cls, include_extras=True)
    except NameError as error:
        raise GraphError(f"a type in {cls.__name__} cannot be found: {error}; define it where the module can see it") from error


def _model_hints(cls: type[BaseModel]) -> dict[str, Any]:
    """The types of a model's fields: as they were written, or as pydantic has found them, which knows what is declared inside
    functions, and what a generic model was made with.
    """
    try:
        written = typing.get_type_hints(cls, include_extras=True)
    except NameError:
        written = {}
    try:
        cls.model_rebuild()
    except PydanticUndefinedAnnotation as error:
        raise GraphError(f"a type in {cls.__name__} cannot be found: {error}; define it where the module can see it") from error
    hints = {}
    for name, known in cls.model_fields.items():
        hint = written.get(name)
        if hint is None or isinstance(hint, TypeVar) or getattr(hint, "__parameters__", None):
            hint = known.annotation
        hints[name] = _with_metadata(hint, known.metadata)
    return hints


def _with_metadata(hint: Any, metadata: Sequence[Any]) -> Any:
    """The hint of a pydantic field: pydantic moves what ``Field(...)`` said into metadata of its own."""
    own = get_args(hint)[1:] if get_origin(hint) is Annotated else ()
    for item in metadata:
        if not any(item is known for known in own):
            hint = Annotated[hint, item]
    return hint


def _model_default(field: Any) -> Callable[[], Any] | None:
    if field.is_required():
        return None
    if field.default_factory is not None and not field.default_factory_takes_validated_data:
        return cast(Callable[[], Any], field.default_factory)
    return lambda: field.get_default(call_default_factory=True)


def _dataclass_default(field: Any) -> Callable[[], Any] | None:
    if not isinstance(field, dataclasses.Field):
        return _model_default(field)
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory
    if field.default is not dataclasses.MISSING:
        return lambda: field.default
    return None


def _channel(cls: type[Any], name: str, hint: Any, default: Callable[[], Any] | None) -> Channel:
    if name.startswith("__"):
        raise GraphError(f"{cls.__name__}.{name}: names beginning with two underscores are reserved")
    while get_origin(hint) in (Required, NotRequired) or str(get_origin(hint)).endswith("ReadOnly"):
        hint = get_args(hint)[0]
    while type(hint).__name__ == "TypeAliasType":  # type Notes = Annotated[list[str], append]
        hint = hint.__value__
    base, lifetime, reducer = hint, "session", None
    if get_origin(hint) is Annotated:
        base, *extras = get_args(hint)
        while get_origin(base) in (Required, NotRequired):
            base = get_args(base)[0]
        for extra in extras:
            if isinstance(extra, _Lifetime):
                lifetime = extra.name
            elif callable(extra) and not isinstance(extra, type):
                if not _is_reducer(extra):
                    raise GraphError(f"{cls.__name__}.{name}: a reducer takes two values, (old, new); {extra!r} does not")
                if is_async(extra):
                    raise GraphError(f"{cls.__name__}.{name}: a reducer is a plain def, and {extra!r} is an async def")
                reducer = extra
            else:
                base = Annotated[base, extra]
    origin = get_origin(base) or base
    kind = _kind(reducer, origin)
    if lifetime == "logged" and kind != "messages":
        raise GraphError(f"{cls.__name__}.{name}: logged is for messages; write Annotated[list[Message], add_messages, logged]")
    if default is None and reducer is not None and origin in (list, dict, set, int, float, str, tuple, frozenset, bool):
        default = origin
    try:
        channel = _with_validators(Channel(name, base, kind, reducer, lifetime, default))
    except GraphError as error:
        raise GraphError(f"{cls.__name__}.{name}: {error}") from error.__cause__
    checked = channel.validate_value is not None or not channel.checks_result
    if issubclass(cls, BaseModel) and checked and _has_validators(cls, name):
        return _with_own_validators(cls, channel)
    return channel


def _has_validators(cls: type[BaseModel], name: str) -> bool:
    decorators = cls.__pydantic_decorators__.field_validators.values()
    return any(name in decorator.info.fields or "*" in decorator.info.fields for decorator in decorators)


def _with_own_validators(cls: type[BaseModel], channel: Channel) -> Channel:
    """The channel of a model field that has ``@field_validator``s: what is written goes through them."""

    one_field = _validator_of_one(cls, channel.name)

    def validate(value: Any) -> Any:
        try:
            held, _, _ = one_field.validate_python({channel.name: value})
        except KeyError as error:
            raise ValueError(
                f"its validator asks for what is not at hand when one field is written ({error!r}): have what several fields "
                "have to do with each other checked by a @model_validator"
            ) from error
        return held[channel.name]

    update = validate if channel.validate_update is channel.validate_value else channel.validate_update
    return dataclasses.replace(channel, validate_update=update, validate_value=validate)


def _validator_of_one(cls: type[BaseModel], name: str) -> SchemaValidator:
    """The validator of a single field of a model, with the field's own validators and without those of the whole."""
    cls.model_rebuild()
    schema: Any = cls.__pydantic_core_schema__
    definitions: Any = []
    config = None
    while schema["type"] != "model-fields":
        if schema["type"] == "model" and schema.get("root_model"):
            raise GraphError(f"{cls.__name__} has no fields: a state needs at least one")
        if schema["type"] == "definitions":
            definitions = schema["definitions"]
        config = schema.get("config", config)
        ref = schema.get("schema_ref")  # of a model that contains itself
        schema = schema["schema"] if ref is None else next(each for each in definitions if each["ref"] == ref)
    kept = {key: part for key, part in schema["fields"][name].items() if key not in ("validation_alias", "frozen")}
    fields: Any = {"type": "model-fields", "fields": {name: kept}}
    return SchemaValidator(core_schema.definitions_schema(fields, definitions) if definitions else fields, config)


def _is_reducer(item: Any) -> bool:
    if isinstance(item, type) or not callable(item):
        return False
    try:
        parameters = inspect.signature(item).parameters.values()
    except (TypeError, ValueError):
        return True
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len(positional) >= 2 or any(p.kind is p.VAR_POSITIONAL for p in parameters)


def _kind(reducer: Any, origin: Any) -> Kind:
    if reducer is None:
        return "plain"
    if reducer is append or (reducer in (operator.add, operator.iadd, operator.concat) and origin is list):
        return "append"
    if reducer is merge or (reducer in (operator.or_, operator.ior) and origin is dict):
        return "merge"
    if reducer is merge_keys or isinstance(reducer, keyed):
        return "keys"
    if reducer is add_messages:
        return "messages"
    return "fold"


def _with_validators(channel: Channel) -> Channel:
    if channel.kind == "messages":
        return dataclasses.replace(channel, update_type=list[Message], validate_update=as_messages, validate_value=as_messages)
    whole = _validator(channel.type)
    if channel.kind == "keys":
        return dataclasses.replace(channel, update_type=dict[str, Any], validate_update=_check_keys, validate_value=whole)
    if channel.kind != "fold" or channel.reducer in (operator.add, operator.or_):
        return dataclasses.replace(channel, update_type=channel.type, validate_update=whole, validate_value=whole)
    hint = _second_parameter(channel.reducer)
    if hint is None:
        return dataclasses.replace(channel, validate_value=whole, checks_result=True)
    return dataclasses.replace(channel, update_type=hint, validate_update=_validator(hint), validate_value=whole)


def _check_keys(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ValueError(f"{value!r} is not a dict with text keys")
    return value


def _second_parameter(reducer: Any) -> Any:
    """The annotation of a custom reducer's second parameter, or None when there is none to be had."""
    try:
        name = list(inspect.signature(reducer).parameters)[1]
        return typing.get_type_hints(reducer, include_extras=True).get(name)
    except (TypeError, ValueError, NameError, IndexError, AttributeError):
        return None


def _validator(hint: Any) -> Callable[[Any], Any] | None:
    """A function that returns the value as the type wants it or raises; None when anything goes.

    Plain types are strict (``"3"`` is not an int), models and dataclasses follow their own configuration.
    """
    if hint is Any or hint is object:
        return None
    try:
        adapter = type_adapter(hint, ConfigDict(strict=True, arbitrary_types_allowed=True))
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        raise GraphError(f"the type {hint!r} cannot be checked: {error}") from error
    return adapter.validator.validate_python


def type_adapter(hint: Any, config: ConfigDict) -> TypeAdapter[Any]:
    """The adapter of a type, with these settings unless it is one that has its own and takes no others."""
    try:
        return TypeAdapter(hint, config=config)
    except PydanticUserError as error:
        if error.code != "type-adapter-config-unused":
            raise
        return TypeAdapter(hint)
