"""Tools: from a function to what a model sees, and from what a model says to arguments."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import sys
import typing
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import date
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Literal, NamedTuple

import pytest
from pydantic import BaseModel, Field
from typing_extensions import TypedDict

from graphflow.core.control import Context
from graphflow.errors import GraphError
from graphflow.models.base import ToolSpec
from graphflow.tools import Tool, as_tool, tool, tool_table

if TYPE_CHECKING:
    from decimal import Decimal


class Address(BaseModel):
    street: str
    zip: str | None = None


@dataclass
class Point:
    x: int
    p0: int = 0


def test_a_tool_goes_with_its_function() -> None:
    class Document:
        """What a request brings."""

    def made() -> Callable[..., str]:
        document = Document()
        seen.append(weakref.ref(document))

        def search(q: str) -> str:
            return f"{q} in {document}"

        return search

    def wrapped(function: Callable[..., str]) -> Callable[..., str]:
        return functools.wraps(function)(lambda q: function(q))

    seen: list[weakref.ref[Document]] = []
    function = made()
    assert as_tool(function) is as_tool(function)
    around = wrapped(function)
    assert as_tool(around).fn is around
    del function, around
    gc.collect()
    assert seen[0]() is None


def test_a_parameter_with_an_alias_is_called_by_its_own_name() -> None:
    def find(q: str, page: int = Field(default=1, alias="p")) -> str:
        return f"{q} {page}"

    made = as_tool(find)
    assert made.parameters["properties"].keys() == {"q", "p"}
    assert find(**made.bind({"q": "tea", "p": 2})) == "tea 2" and find(**made.bind({"q": "tea"})) == "tea 1"


class Size(TypedDict):
    width: int


class OldSize(typing.TypedDict):
    width: int


class Range(NamedTuple):
    first: int
    last: int


class Color(Enum):
    RED = "red"
    BLUE = "blue"


def add(a: int, b: int = 2) -> int:
    """Add two numbers.

    The second paragraph is for people only.

    Args:
        a: The first number.
        b (int): The second number,
            on two lines.
    """
    return a + b


def properties(each: Tool) -> dict[str, Any]:
    return dict(each.parameters["properties"])


# --- what the model sees


def test_a_function_is_described_by_its_signature_and_docstring() -> None:
    assert as_tool(add).spec() == ToolSpec(
        "add",
        "Add two numbers.",
        {
            "type": "object",
            "additionalProperties": False,
            "properties": {
                "a": {"type": "integer", "description": "The first number."},
                "b": {"type": "integer", "description": "The second number, on two lines.", "default": 2},
            },
            "required": ["a"],
        },
    )


def test_the_decorator_works_bare_and_with_settings() -> None:
    bare = tool(add)
    assert (bare.name, bare.requires_confirmation, bare.external, bare.user_input) == ("add", False, False, ())
    made = tool(name="plus", description="Sum.", requires_confirmation=True, external=True)(add)
    assert (made.name, made.description, made.requires_confirmation, made.external) == ("plus", "Sum.", True, True)
    assert made(1, b=4) == 5


def test_a_call_with_settings_means_what_the_decorator_means() -> None:
    settings: dict[str, Any] = {"name": "plus", "description": "Sum.", "requires_confirmation": True, "user_input": ["b"]}
    assert replace(tool(add, **settings), _arguments=BaseModel) == replace(tool(**settings)(add), _arguments=BaseModel)
    assert tool(add, requires_confirmation=True).requires_confirmation
    with pytest.raises(ValueError, match="requires_confirmation"):
        tool(add, requires_confirmation="yes")  # type: ignore[call-overload]
    with pytest.raises(GraphError, match="no parameter 'c' for user_input"):
        tool(add, user_input=["c"])


@pytest.mark.parametrize("settings", [{}, {"requires_confirmation": True}], ids=["bare", "settings"])
def test_a_tool_cannot_be_made_of_a_tool(settings: dict[str, Any]) -> None:
    with pytest.raises(GraphError, match=r"'add' is a tool already: .*tool\(it\.fn, \.\.\.\)"):
        tool(tool(add), **settings)


def test_a_tool_is_taken_as_it_is() -> None:
    made = tool(add)
    assert as_tool(made) is made


def test_descriptions_in_annotations_win_over_the_docstring() -> None:
    def find(
        query: Annotated[str, "What to look for."],
        limit: Annotated[int, Field(ge=1, le=9, description="How many.")] = 3,
        page: int = Field(default=1, description="Which page."),
        sort: str = "new",
    ) -> None:
        """Find things.

        Args:
            query: no
            limit: no
            page: no
            sort: The order.
        """

    made = as_tool(find)
    notes = {name: schema["description"] for name, schema in properties(made).items()}
    assert notes == {"query": "What to look for.", "limit": "How many.", "page": "Which page.", "sort": "The order."}
    assert properties(made)["limit"]["maximum"] == 9
    assert made.parameters["required"] == ["query"]
    assert made.bind({"query": "x"}) == {"query": "x", "limit": 3, "page": 1, "sort": "new"}


def test_types_of_all_kinds_become_schema_and_values() -> None:
    def draw(
        shape: Literal["dot", "line"],
        color: Color,
        when: date,
        home: Address,
        points: list[Address],
        note: str | None = None,
        weights: dict[str, float] | None = None,
        size: tuple[int, int] = (1, 1),
        anything: Any = None,
    ) -> None: ...

    made = as_tool(draw)
    assert properties(made)["shape"]["enum"] == ["dot", "line"]
    assert "Address" in made.parameters["$defs"]
    given = {"shape": "dot", "color": "red", "when": "2025-01-02", "home": {"street": "Elm"}, "points": [{"street": "Oak"}]}
    bound = made.bind(given | {"size": [3, "4"]})
    assert bound["color"] is Color.RED and bound["when"] == date(2025, 1, 2) and bound["size"] == (3, 4)
    assert bound["home"] == Address(street="Elm") and bound["points"] == [Address(street="Oak")]
    assert bound["note"] is None and bound["anything"] is None


def test_dataclasses_typed_dicts_and_named_tuples_are_parameters_as_well() -> None:
    def draw(at: Point, size: Size, lines: Range, more: list[Point]) -> None: ...

    given = {"at": {"x": 1, "p0": 5}, "size": {"width": 2}, "lines": [3, 4], "more": [{"x": 6}]}
    bound = {"at": Point(1, 5), "size": {"width": 2}, "lines": Range(3, 4), "more": [Point(6)]}
    assert as_tool(draw).bind(given) == bound
    assert list(as_tool(draw).parameters["$defs"]["Point"]["properties"]) == ["x", "p0"]


def test_a_parameter_may_have_any_name() -> None:
    def odd(json: str, copy: int, _x: int, model_config: str, schema: str) -> None: ...

    made = as_tool(odd)
    given = {"json": "a", "copy": 1, "_x": 2, "model_config": "b", "schema": "c"}
    assert list(properties(made)) == list(given)
    assert made.bind(given) == given


def test_a_default_that_json_cannot_express_stays_with_the_function() -> None:
    marker = Address(street="default")

    def move(to: Address = marker, how: Any = print) -> None: ...

    assert "default" not in properties(as_tool(move))["how"]
    assert as_tool(move).bind({}) == {"to": marker, "how": print}


def test_a_function_without_parameters_or_docstring_is_a_tool() -> None:
    def now() -> str:
        return "noon"

    made = as_tool(now)
    assert made.description == "" and made.parameters == {"type": "object", "additionalProperties": False, "properties": {}}
    assert made.bind({}) == {}


# --- the context


def test_the_context_is_not_shown_to_the_model() -> None:
    def first(ctx: Context, a: int) -> None: ...
    def last(a: int, context: Context | None = None) -> None: ...
    def none(a: int) -> None: ...

    assert [as_tool(each).context_parameter for each in (first, last, none)] == ["ctx", "context", None]
    assert all(list(properties(as_tool(each))) == ["a"] for each in (first, last, none))
    assert as_tool(first).bind({"a": 1}) == {"a": 1}


def test_a_context_imported_for_type_checkers_only_is_recognised() -> None:
    def report(a: int, ctx: Context) -> None: ...

    report.__annotations__["ctx"] = "not_imported.Context"
    assert as_tool(report).context_parameter == "ctx"


@pytest.mark.parametrize("name", ["ctx", "run_context", "session_state"])
def test_what_is_meant_to_be_given_is_not_left_to_the_model(name: str) -> None:
    untyped = eval(f"lambda item, {name}: item")
    untyped.__name__ = "add"
    with pytest.raises(GraphError, match=f"tool 'add': the model would have to fill in '{name}'; take a parameter ctx: Cont"):
        as_tool(untyped)

    def typed(item: str, session_state: dict[str, Any]) -> None: ...

    with pytest.raises(GraphError, match="fill in 'session_state'"):
        as_tool(typed)

    def filled(ctx: str) -> None: ...

    assert list(as_tool(filled).parameters["properties"]) == ["ctx"]


def test_two_contexts_are_refused() -> None:
    def both(one: Context, two: Context) -> None: ...

    with pytest.raises(GraphError, match=r"takes the Context twice \(one, two\)"):
        as_tool(both)


# --- callables of all kinds


class Desk:
    def __init__(self, stock: int) -> None:
        self.stock = stock

    def take(self, count: int) -> int:
        """Take some."""
        return self.stock - count

    @tool
    def put(self, count: int) -> int:
        """Put some."""
        return self.stock + count

    @tool(name="later")
    async def aput(self, count: int, ctx: Context) -> int:
        return self.stock + count

    @tool
    @staticmethod
    def weigh(count: int) -> int:
        """Weigh some."""
        return 2 * count

    @tool
    @staticmethod
    async def aweigh(count: int) -> int:
        return 2 * count

    def __call__(self, count: int) -> int:
        """Count what is left."""
        return self.stock * count


def test_methods_are_tools_of_their_instance() -> None:
    made = as_tool(Desk(10).take)
    assert (made.name, made.description, list(properties(made))) == ("take", "Take some.", ["count"])
    assert made.fn(**made.bind({"count": 3})) == 7


def test_a_tool_declared_in_a_class_is_bound_to_each_instance() -> None:
    one, two = Desk(1).put, Desk(2).put
    assert isinstance(one, Tool) and isinstance(two, Tool)
    assert list(properties(one)) == ["count"]
    assert (one.fn(**one.bind({"count": 5})), two.fn(**two.bind({"count": 5}))) == (6, 7)
    later = Desk(3).aput
    assert isinstance(later, Tool) and later.is_async and later.context_parameter == "ctx" and later.name == "later"


def test_a_static_method_is_the_same_tool_on_the_class_and_on_its_instances() -> None:
    for made in (Desk.weigh, Desk(1).weigh):
        assert (made.name, made.description, list(properties(made))) == ("weigh", "Weigh some.", ["count"])
        assert not made.is_async and made.fn(**made.bind({"count": 3})) == made(3) == 6
    assert Desk.aweigh.is_async and Desk(1).aweigh.is_async


def loose(self: Any, count: int) -> int:
    return count


@pytest.mark.parametrize("method", [Desk.take, Desk.put, Desk.aput, loose, tool(loose)])
def test_a_method_without_its_object_is_refused(method: Any) -> None:
    with pytest.raises(GraphError, match=r"is a method without an object.*give the method of an instance"):
        tool_table([method])


def test_a_method_with_its_object_is_accepted() -> None:
    assert list(tool_table([Desk(1).take, Desk(1).put, functools.partial(loose, None)])) == ["take", "put", "loose"]
    assert list(tool_table([functools.partial(Desk.take, Desk(1))])) == ["take"]


def test_an_object_with_call_is_a_tool() -> None:
    made = tool(name="count")(Desk(4))
    assert made.description == "Count what is left." and made.fn(**made.bind({"count": 2})) == 8


def test_a_partial_hides_what_it_has_filled_in() -> None:
    made = as_tool(functools.partial(add, b=40))
    assert (made.name, made.description, list(properties(made))) == ("add", "Add two numbers.", ["a"])
    assert made.fn(**made.bind({"a": 2})) == 42
    assert list(properties(as_tool(functools.partial(add, 1)))) == ["b"]


def test_a_decorated_function_keeps_its_signature() -> None:
    def loud(fn: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(fn)
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            return -fn(*args, **kwargs)

        return wrapper

    made = as_tool(loud(add))
    assert made.parameters == as_tool(add).parameters
    assert made.fn(**made.bind({"a": 1})) == -3


def test_async_functions_are_known_as_such() -> None:
    async def wait(seconds: float) -> float:
        return seconds

    class Waiter:
        async def __call__(self, seconds: float) -> float:
            return seconds

    for each in (wait, functools.partial(wait), Waiter()):
        made = as_tool(each)
        assert made.is_async
        assert asyncio.run(made.fn(**made.bind({"seconds": 1}))) == 1.0
    assert not as_tool(add).is_async


# --- what cannot be a tool


def test_star_arguments_are_refused_with_the_repair() -> None:
    def stars(*args: int) -> None: ...
    def options(**kwargs: int) -> None: ...
    def positional(a: int, /) -> None: ...

    for each in (stars, options, positional):
        with pytest.raises(GraphError, match="write ordinary named parameters"):
            as_tool(each)


def test_a_type_no_model_can_fill_is_refused_by_name() -> None:
    class Connection: ...

    def query(sql: str, connection: Connection) -> None: ...
    def visit(each: Callable[[int], int]) -> None: ...

    query.__annotations__["connection"] = Connection
    with pytest.raises(GraphError, match=r"'query'.*parameter 'connection'.*functools.partial\(\.\.\., connection=\.\.\.\)"):
        as_tool(query)
    with pytest.raises(GraphError, match="parameter 'each'"):
        as_tool(visit)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="there pydantic reads the TypedDict of typing, too")
def test_a_typed_dict_that_pydantic_cannot_read_yet_is_told_with_its_repair() -> None:
    def draw(size: OldSize) -> None: ...

    with pytest.raises(GraphError, match=r"'draw'.*parameter 'size'.*import TypedDict from typing_extensions"):
        as_tool(draw)


def test_an_annotation_that_cannot_be_resolved_is_refused_by_name() -> None:
    def pay(amount: Decimal) -> None: ...

    assert not hasattr(inspect.getmodule(pay), "Decimal")
    with pytest.raises(GraphError, match="'Decimal' of parameter 'amount' cannot be resolved"):
        as_tool(pay)


def test_what_is_no_function_is_refused() -> None:
    def count() -> Iterator[int]:
        yield 1

    with pytest.raises(GraphError, match=r"stream with ctx\.write"):
        as_tool(count)
    for wrong in (3, "add", Desk, None):
        with pytest.raises(GraphError, match="cannot be a tool: give a function"):
            as_tool(wrong)  # type: ignore[arg-type]
    with pytest.raises(GraphError, match=r"give @tool\(name=\.\.\.\)"):
        as_tool(lambda: 1)


def test_two_tools_of_one_name_are_refused() -> None:
    assert list(tool_table([add, tool(name="plus")(add)])) == ["add", "plus"]
    with pytest.raises(GraphError, match="two tools are called 'add'"):
        tool_table([add, tool(add)])


# --- arguments


def test_arguments_are_converted_to_their_types() -> None:
    assert as_tool(add).bind({"a": "1"}) == {"a": 1, "b": 2}


def test_wrong_arguments_are_told_so_that_a_model_can_mend_them() -> None:
    with pytest.raises(ValueError) as caught:
        as_tool(add).bind({"b": "many", "c": 1})
    assert str(caught.value) == (
        "wrong arguments for add: a: Field required; "
        "b: Input should be a valid integer, unable to parse string as an integer, not 'many'; "
        "c: Extra inputs are not permitted, not 1. "
        "It takes: a (integer), b (integer, optional). Call it again with these mended."
    )


class Item(BaseModel):
    name: str


def test_a_model_is_told_the_types_of_what_it_left_out() -> None:
    def order(item: Item, tags: list[str] | None = None, size: int | str = 1, anything: Any = None) -> None: ...

    with pytest.raises(ValueError, match=r"It takes: item \(Item\), ") as caught:
        as_tool(order).bind({})
    assert "tags (array or null, optional), size (integer or string, optional), anything (value, optional)" in str(caught.value)


def test_what_a_person_fills_in_is_not_asked_of_the_model_but_validated_all_the_same() -> None:
    def pay(to: str, amount: float, pin: int) -> str:
        return f"{to} {amount} {pin}"

    made = tool(user_input=["amount", "pin"])(pay)
    assert list(properties(made)) == made.parameters["required"] == ["to"]
    assert made.user_input == ("amount", "pin")
    assert made.bind({"to": "Bob", "amount": 2, "pin": "7"}) == {"to": "Bob", "amount": 2.0, "pin": 7}
    with pytest.raises(ValueError, match="pin: Field required"):
        made.bind({"to": "Bob", "amount": 2})
    with pytest.raises(GraphError, match="has no parameter 'pim' for user_input: it has to, amount, pin"):
        tool(user_input=["pim"])(pay)
