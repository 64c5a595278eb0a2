"""Tools: functions a model may ask for. A function's signature and docstring are all that has to be written.

@tool(requires_confirmation=True)
def pay(to: str, amount: Annotated[float, "in euro"], ctx: Context) -> str:
    '''Send money.

    Args:
        to: The name of the account.
    '''
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from types import FunctionType, SimpleNamespace, UnionType
from typing import Annotated, Any, Union, get_args, get_origin, get_type_hints, overload

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError
from pydantic.fields import FieldInfo
from pydantic.json_schema import GenerateJsonSchema

from graphflow.core.control import Context
from graphflow.errors import GraphError
from graphflow.models.base import ToolSpec


@dataclass(frozen=True, slots=True)
class Tool:
    """A function as a model may call it. Made by ``@tool`` or ``as_tool``; calling it calls the function."""

    name: str
    description: str
    parameters: Mapping[str, Any] = dataclass_field(hash=False)
    """JSON schema of the arguments the model gives; without the Context and without the fields of ``user_input``."""
    fn: Callable[..., Any]
    is_async: bool
    context_parameter: str | None = None
    """The parameter annotated with Context, if there is one."""
    requires_confirmation: bool = False
    """Whether a person has to agree before each call."""
    external: bool = False
    """Whether somebody else executes the call and gives its result; ``fn`` is then never called."""
    user_input: tuple[str, ...] = ()
    """The parameters a person fills in, not the model."""
    _arguments: type[BaseModel] = dataclass_field(default=BaseModel, repr=False, compare=False)

    def spec(self) -> ToolSpec:
        """The tool as a model sees it."""
        return ToolSpec(self.name, self.description, self.parameters)

    def bind(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The keyword arguments for ``fn``, validated and converted, without the Context; what is not given is the default.

        ``arguments`` are the model's and, where ``user_input`` names some, the person's. Raises ValueError with a text that
        tells a model what to change.
        """
        try:
            bound = self._arguments.model_validate(dict(arguments))
        except ValidationError as error:
            raise ValueError(_complaint(self, error)) from None
        return {field.alias or key: getattr(bound, key) for key, field in self._arguments.model_fields.items()}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.fn(*args, **kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> Tool:
        """A tool declared in a class is, on an instance, the tool of that instance."""
        return self if instance is None else replace(self, fn=functools.partial(self.fn, instance))


@overload
def tool(fn: Callable[..., Any], /) -> Tool: ...
@overload
def tool(
    *,
    name: str | None = None,
    description: str | None = None,
    requires_confirmation: bool = False,
    external: bool = False,
    user_input: Sequence[str] = (),
) -> Callable[[Callable[..., Any]], Tool]: ...
def tool(
    fn: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    requires_confirmation: bool = False,
    external: bool = False,
    user_input: Sequence[str] = (),
) -> Tool | Callable[[Callable[..., Any]], Tool]:
    """Declare a function to be a tool; bare (``@tool``) or with settings.

    The description is the first paragraph of the docstring; parameters are described by ``Annotated[int, "text"]``,
    ``Field(description=…)`` or the ``Args:`` section. ``requires_confirmation`` asks a person before each call, ``external``
    leaves the execution to somebody else, ``user_input`` names parameters that a person fills in.
    Raises GraphError when the signature cannot be a tool's.
    """
    if fn is None:
        return functools.partial(
            _make,
            name=name,
            description=description,
            requires_confirmation=requires_confirmation,
            external=external,
            user_input=user_input,
        )
    return _make(fn)


def as_tool(fn: Callable[..., Any] | Tool) -> Tool:
    """The Tool of a function, method, partial or callable object; a Tool is returned as is. Raises GraphError as ``tool``."""
    if isinstance(fn, Tool):
        return fn
    return _made_once(fn) if isinstance(fn, FunctionType) else _make(fn)


@functools.lru_cache(maxsize=1024)
def _made_once(fn: FunctionType) -> Tool:
    """Agents are often made for each request, of the same functions: their schemas are made for the first one only."""
    return _make(fn)


def tool_table(tools: Iterable[Callable[..., Any] | Tool]) -> dict[str, Tool]:
    """The tools by name. Raises GraphError when two have the same one."""
    if callable(tools):
        raise GraphError(f"tools={tools!r}: give a list of tools, [{getattr(tools, '__name__', 'tool')}]")
    table: dict[str, Tool] = {}
    for each in map(as_tool, tools):
        if each.name in table:
            raise GraphError(f"two tools are called {each.name!r}: give one of them another name with @tool(name=...)")
        table[each.name] = each
    return table


def _make(
    fn: Callable[..., Any],
    *,
    name: str | None = None,
    description: str | None = None,
    requires_confirmation: bool = False,
    external: bool = False,
    user_input: Sequence[str] = (),
) -> Tool:
    inner = _inner(fn)
    name = name or (inner if inspect.isroutine(fn) or isinstance(fn, functools.partial) else type(fn)).__name__
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        raise GraphError(f"{name!r} cannot be the name of a tool (letters, digits, _ and -, at most 64): give @tool(name=...)")
    parameters, context_parameter = _parameters(fn, inner, name)
    if unknown := [asked for asked in user_input if asked not in parameters]:
        raise GraphError(
            f"tool {name!r} has no parameter {unknown[0]!r} for user_input: it has {', '.join(parameters) or 'none'}"
        )
    summary, notes = _docstring(inspect.getdoc(inner) or (not isinstance(fn, functools.partial) and inspect.getdoc(fn)) or "")
    arguments, schema = _arguments(name, parameters, notes)
    return Tool(
        name,
        description or summary,
        _without(schema, user_input),
        fn,
        inspect.iscoroutinefunction(fn) or inspect.iscoroutinefunction(getattr(fn, "__call__", None)),  # noqa: B004
        context_parameter,
        requires_confirmation,
        external,
        tuple(user_input),
        arguments,
    )


def _inner(fn: Any) -> Any:
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


def _parameters(fn: Any, inner: Any, tool_name: str) -> tuple[dict[str, tuple[Any, Any]], str | None]:
    """(annotation, default) of each parameter that has to be given, and the name of the one that takes the Context."""
    try:
        signature = inspect.signature(fn)
    except ValueError:
        raise GraphError(f"tool {tool_name!r} has no signature that could be read: wrap it in a function of yours") from None
    bound = fn.keywords if isinstance(fn, functools.partial) else {}
    parameters: dict[str, tuple[Any, Any]] = {}
    context_parameter = None
    for position, parameter in enumerate(signature.parameters.values()):
        if parameter.name in bound or (position == 0 and parameter.name in ("self", "cls")):
            continue
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise GraphError(
                f"tool {tool_name!r} takes {parameter}, which a model cannot name: write ordinary named parameters"
            )
        annotation = _annotation(parameter, inner, tool_name)
        if not _is_context(annotation):
            parameters[parameter.name] = (annotation, parameter.default)
        elif context_parameter is None:
            context_parameter = parameter.name
        else:
            raise GraphError(
                f"tool {tool_name!r} takes the Context twice ({context_parameter}, {parameter.name}): leave one out"
            )
    return parameters, context_parameter


def _annotation(parameter: inspect.Parameter, inner: Any, tool_name: str) -> Any:
    annotation = parameter.annotation
    if annotation is parameter.empty:
        return Any
    holder = SimpleNamespace(__annotations__={"it": annotation})
    try:
        return get_type_hints(holder, globalns=getattr(inner, "__globals__", {}), include_extras=True)["it"]
    except (NameError, AttributeError, TypeError, SyntaxError) as error:
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


def _arguments(
    tool_name: str, parameters: Mapping[str, tuple[Any, Any]], notes: Mapping[str, str]
) -> tuple[type[BaseModel], dict[str, Any]]:
    """A pydantic model of the parameters, and its JSON schema."""
    # The fields are numbered because a pydantic model has no room for parameters called ``json`` or ``_x``.
    names = {f"p{position}": name for position, name in enumerate(parameters)}
    config = ConfigDict(extra="forbid", alias_generator=names.__getitem__)
    fields: dict[str, Any] = {}
    for key, name in names.items():
        annotation, default = parameters[name]
        if note := _note(annotation, default) or notes.get(name):
            annotation = Annotated[annotation, Field(description=note)]
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
            except PydanticUserError:
                raise GraphError(
                    f"tool {tool_name!r}: a model cannot fill parameter {name!r} of type {parameters[name][0]!r}: annotate it "
                    f"with a type JSON can express, or keep it from the model with functools.partial(..., {name}=...)"
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


def _without(schema: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    properties = {name: value for name, value in schema.get("properties", {}).items() if name not in names}
    kept = {key: value for key, value in schema.items() if key not in ("title", "required")}
    required = [name for name in schema.get("required", ()) if name not in names]
    return kept | {"properties": properties} | ({"required": required} if required else {})


def _docstring(text: str) -> tuple[str, dict[str, str]]:
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


def _complaint(tool: Tool, error: ValidationError) -> str:
    wrong = [
        f"{'.'.join(map(str, each['loc']))}: {each['msg']}"
        + (f", not {each['input']!r:.80}" if each["type"] != "missing" else "")
        for each in error.errors(include_url=False)
    ]
    required = tool.parameters.get("required", ())
    takes = ", ".join(
        f"{name} ({schema.get('type', 'value')}{'' if name in required else ', optional'})"
        for name, schema in tool.parameters["properties"].items()
    )
    return (
        f"wrong arguments for {tool.name}: {'; '.join(wrong)}. It takes: {takes or 'nothing'}. Call it again with these mended."
    )
