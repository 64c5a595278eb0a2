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
from types import FunctionType
from typing import Any, Final, overload

from pydantic import BaseModel, ValidationError

from graphflow.core import options
from graphflow.errors import GraphError
from graphflow.models.base import ToolSpec


class WrongArguments(ValueError):
    """Arguments that a tool does not take: the text tells a model what to change, ``wrong`` says it for each parameter."""

    def __init__(self, text: str, wrong: Mapping[str, str]) -> None:
        super().__init__(text)
        self.wrong = wrong


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
    form: Mapping[str, Any] | None = dataclass_field(default=None, hash=False)
    """JSON schema of what the person gives; None without ``user_input``."""
    result: Mapping[str, Any] | None = dataclass_field(default=None, hash=False)
    """JSON schema of what somebody else's execution has to give, from the return annotation; None where that says nothing, and
    for tools that are not ``external``."""
    unbound: bool = False
    """Whether ``fn`` is a method that needs an object: one declared in a class is bound by asking an instance for it."""
    _arguments: type[BaseModel] = dataclass_field(default=BaseModel, repr=False, compare=False)
    _names: tuple[str, ...] = dataclass_field(default=(), repr=False, compare=False)
    """What the function calls its arguments, in the order of their fields."""

    def spec(self) -> ToolSpec:
        """The tool as a model sees it."""
        return ToolSpec(self.name, self.description, self.parameters)

    def bind(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The keyword arguments for ``fn``, validated and converted, without the Context; what is not given is the default.

        ``arguments`` are the model's and, where ``user_input`` names some, the person's. Raises WrongArguments.
        """
        try:
            bound = self._arguments.model_validate(dict(arguments))
        except ValidationError as error:
            raise _complaint(self, error) from None
        return {name: getattr(bound, key) for name, key in zip(self._names, self._arguments.model_fields, strict=True)}

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.fn(*args, **kwargs)

    def __get__(self, instance: Any, owner: type | None = None) -> Tool:
        """A tool declared in a class is, on an instance, the tool of that instance; a static method is nobody's."""
        if instance is None or isinstance(self.fn, staticmethod):
            return self
        return replace(self, fn=functools.partial(self.fn, instance), unbound=False)


@overload
def tool(
    fn: Callable[..., Any],
    /,
    *,
    name: str | None = None,
    description: str | None = None,
    requires_confirmation: bool = False,
    external: bool = False,
    user_input: Sequence[str] = (),
) -> Tool: ...
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
    """Declare a function to be a tool; bare (``@tool``), with settings, or as a call: ``tool(fn, external=True)``.

    The description is the first paragraph of the docstring; parameters are described by ``Annotated[int, "text"]``,
    ``Field(description=…)`` or the ``Args:`` section. ``requires_confirmation`` asks a person before each call, ``external``
    leaves the execution to somebody else (who has to give what the return annotation says), ``user_input`` names parameters
    that a person fills in.
    Raises GraphError when the signature cannot be a tool's or ``fn`` is a Tool already, ValueError for a wrong setting.
    """
    make = functools.partial(
        _make,
        name=name,
        description=description,
        requires_confirmation=requires_confirmation,
        external=external,
        user_input=user_input,
    )
    return make if fn is None else make(fn)


def as_tool(fn: Callable[..., Any] | Tool) -> Tool:
    """The Tool of a function, method, partial or callable object; a Tool is returned as is. Raises GraphError as ``tool``."""
    if isinstance(fn, Tool):
        return fn
    return _made_once(fn) if isinstance(fn, FunctionType) else _make(fn)


def _made_once(fn: FunctionType) -> Tool:
    """Agents are often made for each request, of the same functions: their schemas are made for the first one only.

    The tool is kept with its function and goes with it: one that is made for a request may hold much that belongs to that.
    """
    made: Tool | None = fn.__dict__.get(_TOOL)
    if made is None or made.fn is not fn:  # functools.wraps copies what another function kept
        made = fn.__dict__[_TOOL] = _make(fn)
    return made


_TOOL: Final = "__graphflow_tool__"


def tool_table(tools: Iterable[Callable[..., Any] | Tool]) -> dict[str, Tool]:
    """The tools by name. Raises GraphError when two have the same one, and for a method without its object."""
    if callable(tools):
        raise GraphError(f"tools={tools!r}: give a list of tools, [{getattr(tools, '__name__', 'tool')}]")
    table: dict[str, Tool] = {}
    for each in map(as_tool, tools):
        if each.unbound:
            raise GraphError(
                f"tool {each.name!r} is a method without an object, so its first parameter has no value: give the method of an "
                f"instance, as in tools=[thing.{each.name}]"
            )
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
    from graphflow import signatures  # noqa: PLC0415  # loads pydantic's JSON schemas, for whoever has tools

    if isinstance(fn, Tool):
        raise GraphError(
            f"{fn.name!r} is a tool already: give its own @tool(...) the settings, or make another tool of its function, "
            "tool(it.fn, ...)"
        )
    options.text("name", name, none="that of the function")
    options.text("description", description, none="that of the docstring")
    options.flag("requires_confirmation", requires_confirmation)
    options.flag("external", external)
    options.texts("user_input", user_input)
    inner = signatures.inner(fn)
    name = name or (inner if inspect.isroutine(fn) or isinstance(fn, functools.partial) else type(fn)).__name__
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", name):
        raise GraphError(f"{name!r} cannot be the name of a tool (letters, digits, _ and -, at most 64): give @tool(name=...)")
    parameters, context_parameter, unbound = signatures.parameters_of(fn, inner, name)
    if unknown := [asked for asked in user_input if asked not in parameters]:
        raise GraphError(
            f"tool {name!r} has no parameter {unknown[0]!r} for user_input: it has {', '.join(parameters) or 'none'}"
        )
    written = inspect.getdoc(inner) or (not isinstance(fn, functools.partial) and inspect.getdoc(fn)) or ""
    summary, notes = signatures.docstring(written)
    arguments, schema = signatures.arguments(name, parameters, notes)
    return Tool(
        name,
        description or summary,
        signatures.without(schema, user_input),
        fn,
        options.is_async(getattr(fn, "__func__", fn)),
        context_parameter,
        requires_confirmation,
        external,
        tuple(user_input),
        signatures.without(schema, [name for name in parameters if name not in user_input]) if user_input else None,
        signatures.result_schema(inner) if external else None,
        unbound,
        arguments,
        tuple(parameters),
    )


def _complaint(tool: Tool, error: ValidationError) -> WrongArguments:
    wrong: dict[str, str] = {}
    for each in error.errors(include_url=False):
        given = f", not {each['input']!r:.80}" if each["type"] != "missing" else ""
        told = f"{'.'.join(map(str, each['loc']))}: {each['msg']}{given}"
        name = str(each["loc"][0]) if each["loc"] else ""
        wrong[name] = f"{wrong[name]}; {told}" if name in wrong else told
    required = tool.parameters.get("required", ())
    takes = ", ".join(
        f"{name} ({_type_name(schema)}{'' if name in required else ', optional'})"
        for name, schema in tool.parameters["properties"].items()
    )
    return WrongArguments(
        f"wrong arguments for {tool.name}: {'; '.join(wrong.values())}. It takes: {takes or 'nothing'}. "
        "Call it again with these mended.",
        wrong,
    )


def _type_name(schema: Mapping[str, Any]) -> str:
    """What a JSON schema is called in a sentence: its type, the name of what it refers to, or several of these."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    several = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
    if several:
        return " or ".join(dict.fromkeys(map(_type_name, several)))
    return str(schema.get("type", "value"))
