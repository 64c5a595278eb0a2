"""What a function's signature and docstring tell a model: the JSON schema of a tool's arguments.

Read when the first tool is made, because the part of pydantic that it needs takes a while to load.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Mapping, Sequence
from types import SimpleNamespace, UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema

from graphflow.core.answers import answer_form
from graphflow.core.control import Context
from graphflow.errors import GraphError


def inner(fn: Any) -> Any:
    """The function that was written down, below partials, decorators, methods and callable objects."""
    if not callable(fn) or inspect.isclass(fn):
        raise GraphError(f"{fn!r} cannot be a tool: give a function, a method, a functools.partial or an object with __call__")
    while isinstance(fn, functools.partial):
        fn = fn.func
    fn = inspect.unwrap(fn)
    if not inspect.isroutine(fn):
        fn = inspect.unwrap(type(fn).__call__)
    fn = getattr(fn, "__func__", fn)
    if inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn):
        raise GraphError(
            f"{fn.__qualname__} cannot be a tool because it yields: return the whole result, stream with ctx.write"
        )
    return fn


def parameters_of(fn: Any, inner: Any, tool_name: str) -> tuple[dict[str, tuple[Any, Any]], str | None, bool]:
    """(annotation, default) of each parameter that has to be given, the name of the one that takes the Context, and whether the
    function is a method that still needs its object.
    """
    try:
        signature = inspect.signature(fn)
    except ValueError:
        raise GraphError(f"tool {tool_name!r} has no signature that could be read: wrap it in a function of yours") from None
    bound = fn.keywords if isinstance(fn, functools.partial) else {}
    parameters: dict[str, tuple[Any, Any]] = {}
    context_parameter = None
    unbound = False
    for position, parameter in enumerate(signature.parameters.values()):
        if parameter.name in bound:
            continue
        if position == 0 and parameter.name in ("self", "cls"):
            unbound = True
            continue
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise GraphError(
                f"tool {tool_name!r} takes {parameter}, which a model cannot name: write ordinary named parameters"
            )
        annotation = _annotation(parameter, inner, tool_name)
        if parameter.name in _GIVEN and (annotation is Any or get_origin(annotation) is dict or annotation is dict):
            raise GraphError(
                f"tool {tool_name!r}: the model would have to fill in {parameter.name!r}; take a parameter "
                "ctx: Context, which graphflow gives, and has the session's dict as ctx.session_state"
            )
        if not _is_context(annotation):
            parameters[parameter.name] = (annotation, parameter.default)
        elif context_parameter is None:
            context_parameter = parameter.name
        else:
            raise GraphError(
                f"tool {tool_name!r} takes the Context twice ({context_parameter}, {parameter.name}): leave one out"
            )
    return parameters, context_parameter, unbound


def result_schema(inner: Any) -> dict[str, Any] | None:
    """The JSON schema of what a function returns; None where its annotation says nothing that JSON can express."""
    annotation = getattr(inner, "__annotations__", {}).get("return")
    try:
        return None if annotation is None else answer_form(_resolved(annotation, inner)).json_schema or None
    except (*_UNRESOLVED, ValueError):
        return None


_GIVEN: Final = frozenset({"ctx", "run_context", "session_state"})
"""What a parameter without a type is called by who expects it to be given, and not to be filled in by the model."""

_UNRESOLVED = (NameError, AttributeError, TypeError, SyntaxError)


def _resolved(annotation: Any, inner: Any) -> Any:
    """An annotation as the type that it names, where it was written as text."""
    holder = SimpleNamespace(__annotations__={"it": annotation})
    return get_type_hints(holder, globalns=getattr(inner, "__globals__", {}), include_extras=True)["it"]


def _annotation(parameter: inspect.Parameter, inner: Any, tool_name: str) -> Any:
    annotation = parameter.annotation
    if annotation is parameter.empty:
        return Any
    try:
        return _resolved(annotation, inner)
    except _UNRESOLVED as error:
        # A Context that is only imported for type checkers is common, and all that has to be known of it is its name.
        if isinstance(annotation, str) and re.fullmatch(r"([\w.]+\.)?Context( \| None)?", annotation):
            return Context
        raise GraphError(
            f"tool {tool_name!r}: the annotation {annotation!r} of parameter {parameter.name!r} cannot be resolved ({error}): "
            "define or import its type at the top of the module, not for type checkers only"
        ) from None


def _is_context(annotation: Any) -> bool:
    if get_origin(annotation) in (Annotated, Union, UnionType):
        return any(_is_context(argument) for argument in get_args(annotation))
    return inspect.isclass(annotation) and issubclass(annotation, Context)


class _PlainSchema(GenerateJsonSchema):
    """JSON schema without the titles pydantic makes up, which cost tokens and say nothing."""

    def emit_warning(self, kind: Any, detail: str) -> None:
        """A default that JSON cannot express is left out of the schema; the function still has it."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        """Never."""
        return False


def arguments(
    tool_name: str, parameters: Mapping[str, tuple[Any, Any]], notes: Mapping[str, str]
) -> tuple[type[BaseModel], dict[str, Any]]:
    """A pydantic model of the parameters, and its JSON schema."""
    # The fields are numbered because a pydantic model has no room for parameters called ``json`` or ``_x``.
    names = {f"p{position}": name for position, name in enumerate(parameters)}
    # Each has its name as an alias of its own: an alias_generator would rename the fields of dataclasses inside, too.
    config = ConfigDict(extra="forbid")
    fields: dict[str, Any] = {}
    for key, name in names.items():
        annotation, default = parameters[name]
        note = _note(annotation, default) or notes.get(name)
        annotation = Annotated[annotation, Field(alias=name, description=note) if note else Field(alias=name)]
        fields[key] = (annotation, ... if default is inspect.Parameter.empty else default)

    def build(chosen: dict[str, Any]) -> tuple[type[BaseModel], dict[str, Any]]:
        model: type[BaseModel] = create_model(tool_name, __config__=config, **chosen)
        return model, model.model_json_schema(schema_generator=_PlainSchema)

    try:
        return build(fields)
    except PydanticUserError as error:
        for key, name in names.items():
            try:
                build({key: fields[key]})
            except PydanticUserError as reason:
                repair = "annotate it with a type JSON can express"
                if reason.code == "typed-dict-version":  # pydantic cannot read those of typing before Python 3.12
                    repair = "import TypedDict from typing_extensions"
                raise GraphError(
                    f"tool {tool_name!r}: a model cannot fill parameter {name!r} of type {parameters[name][0]!r}: {repair}, "
                    f"or keep it from the model with functools.partial(..., {name}=...)"
                ) from error
        raise


def _note(annotation: Any, default: Any) -> str | None:
    """The description that the annotation (a text or a Field in Annotated) or a Field as the default gives."""
    extras = get_args(annotation)[1:] if get_origin(annotation) is Annotated else ()
    for extra in (*extras, default if isinstance(default, FieldInfo) else None):
        note = extra.description if isinstance(extra, FieldInfo) else extra
        if isinstance(note, str):
            return note
    return None


def without(schema: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """The JSON schema of an object without these properties, and without its title: what a model does not fill in."""
    properties = {name: value for name, value in schema.get("properties", {}).items() if name not in names}
    kept = {key: value for key, value in schema.items() if key not in ("title", "required")}
    required = [name for name in schema.get("required", ()) if name not in names]
    return kept | {"properties": properties} | ({"required": required} if required else {})


def docstring(text: str) -> tuple[str, dict[str, str]]:
    """The first paragraph, and what the ``Args:`` section says about each parameter."""
    summary = " ".join(text.split("\n\n")[0].split())
    notes: dict[str, str] = {}
    section = re.search(r"^(?:Args|Arguments|Parameters):[ ]*\n((?:[ \t]+.*\n?|\n)+)", text, re.MULTILINE)
    name, depth = "", None
    for line in section[1].splitlines() if section else ():
        entry = re.match(r"(\s+)\*{0,2}(\w+)\s*(?:\([^)]*\))?:\s*(.*)", line)
        if entry and len(entry[1]) == (depth := depth or len(entry[1])):
            name = entry[2]
            notes[name] = entry[3]
        elif name:
            notes[name] = f"{notes[name]} {line.strip()}".strip()
    return summary, notes
