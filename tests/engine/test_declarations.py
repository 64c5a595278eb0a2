"""States declared as models, dataclasses and typed dicts of all kinds: what is declared holds, on every database."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field
from dataclasses import replace as replaced
from typing import Annotated, Any, Generic, NotRequired, TypedDict, TypeVar
from uuid import uuid4

import pytest
import typing_extensions
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator
from pydantic.dataclasses import dataclass as pydantic_dataclass

from graphflow import END, START, Context, StateGraph, add_messages, append, interrupt, per_run
from graphflow.errors import GraphError, InvalidUpdate
from graphflow.messages import Message

T = TypeVar("T")


def chain(state: Any, *nodes: Any, db: Any = None, **settings: Any) -> Any:
    """The nodes one after the other."""
    builder = StateGraph(state, **settings)
    for node in nodes:
        builder.add_node(node)
    names = [START, *(node.__name__ for node in nodes), END]
    for left, right in itertools.pairwise(names):
        builder.add_edge(left, right)
    return builder.compile(db=db)


def nothing(state: Any) -> None:
    """A node that changes nothing."""


# --- validators ----------------------------------------------------------------------------------------------------------


def test_a_frozen_model_may_have_field_validators(way):
    class State(BaseModel):
        model_config = ConfigDict(frozen=True)
        topic: str = Field(default="", frozen=True)

        @field_validator("topic")
        @classmethod
        def strip(cls, value: str) -> str:
            return value.strip()

    assert way.invoke(chain(State, nothing), {"topic": " tea "})["topic"] == "tea"


def test_field_validators_run_by_themselves_and_those_of_the_whole_see_all_of_it(way):
    class State(BaseModel):
        low: int
        high: int

        @field_validator("low", "high")
        @classmethod
        def positive(cls, value: int) -> int:
            if value < 0:
                raise ValueError("below zero")
            return value

        @model_validator(mode="after")
        def ordered(self) -> State:
            if self.low > self.high:
                raise ValueError("low is above high")
            return self

    graph = chain(State, nothing)
    assert way.invoke(graph, {"low": 20, "high": 30})["high"] == 30
    with pytest.raises(InvalidUpdate, match="low is above high"):
        way.invoke(graph, {"low": 3, "high": 2})
    with pytest.raises(InvalidUpdate, match="below zero"):
        way.invoke(graph, {"low": -1, "high": 2})


def test_a_field_of_any_type_has_its_validator_too(way):
    class State(BaseModel):
        anything: Any = None

        @field_validator("anything")
        @classmethod
        def known(cls, value: Any) -> Any:
            if value == "bad":
                raise ValueError("that is bad")
            return value

    with pytest.raises(InvalidUpdate, match="that is bad"):
        way.invoke(chain(State, nothing), {"anything": "bad"})


def test_a_field_validator_that_asks_for_another_field_says_what_to_do(way):
    class State(BaseModel):
        one: str = ""
        two: str = ""

        @field_validator("two")
        @classmethod
        def alike(cls, value: str, info: Any) -> str:
            return value if value == info.data["one"] else ""

    with pytest.raises(InvalidUpdate, match="have what several fields have to do with each other checked by a @model_valid"):
        way.invoke(chain(State, nothing), {"one": "a", "two": "a"})


def test_a_model_that_contains_itself_may_have_field_validators(way):
    class Tree(BaseModel):
        name: str = ""
        below: list[Tree] = Field(default_factory=list)

        @field_validator("name")
        @classmethod
        def short(cls, value: str) -> str:
            return value[:3]

    assert way.invoke(chain(Tree, nothing), {"name": "maple", "below": []})["name"] == "map"


def test_a_validator_of_the_whole_does_not_change_what_is_stored(way, db):
    class State(BaseModel):
        topic: str = ""

        @model_validator(mode="before")
        @classmethod
        def strip(cls, given: Any) -> Any:
            given["topic"] = given["topic"].strip()
            return given

    graph = chain(State, nothing, db=db)
    assert way.invoke(graph, {"topic": " tea "}, session_id="s")["topic"] == " tea "
    assert graph.get_state("s").values.topic == " tea "


# --- aliases ---------------------------------------------------------------------------------------------------------------


def test_fields_with_aliases_go_by_their_names(way):
    class Given(BaseModel):
        limit: int = Field(10, alias="maxItems")

    class State(BaseModel):
        limit: int = Field(alias="maxItems")

        @model_validator(mode="after")
        def small(self) -> State:
            if self.limit > 100:
                raise ValueError("too many")
            return self

    graph = chain(State, nothing, input_schema=Given)
    assert way.invoke(graph, {"limit": 5})["limit"] == 5
    assert way.invoke(graph, Given(maxItems=6))["limit"] == 6
    assert way.invoke(graph, {})["limit"] == 10
    with pytest.raises(InvalidUpdate, match="too many"):
        way.invoke(graph, {"limit": 500})


# --- defaults --------------------------------------------------------------------------------------------------------------


@dataclass
class Ticket:
    """A state with defaults that are others each time."""

    ticket: str = field(default_factory=lambda: uuid4().hex)
    of_this_run: Annotated[str, per_run] = field(default_factory=lambda: uuid4().hex)
    log: Annotated[list[str], append] = field(default_factory=list)


def test_a_default_that_varies_is_made_once(way, db):
    def ask(state: Ticket) -> dict[str, Any]:
        return {"log": [interrupt("well?")]}

    graph = chain(Ticket, ask, db=db)
    paused = way.invoke(graph, {}, session_id="s")
    seen = graph.get_state("s").values
    done = way.resume(graph, "s", answer="yes")
    assert paused["ticket"] == seen.ticket == done["ticket"] == graph.get_state("s").values.ticket
    assert paused["of_this_run"] == seen.of_this_run == done["of_this_run"]
    way.invoke(graph, {}, session_id="s")
    again = way.resume(graph, "s", answer="yes")
    assert again["ticket"] == done["ticket"] and again["of_this_run"] != done["of_this_run"]
    assert again["log"] == ["yes", "yes"]


def test_a_default_that_varies_gives_way_to_what_is_given(way, db):
    graph = chain(Ticket, nothing, db=db)
    assert way.invoke(graph, {"ticket": "mine"}, session_id="s")["ticket"] == "mine"
    assert graph.get_state("s").values.ticket == "mine"
    graph.update_state("new", {"log": ["by hand"]})
    assert graph.get_state("new").values.ticket == graph.get_state("new").values.ticket


def test_a_default_made_of_other_fields_is_refused() -> None:
    class State(BaseModel):
        one: int = 1
        two: int = Field(default_factory=lambda held: held["one"] + 1)

    with pytest.raises(GraphError, match=r"State\.two: its default_factory makes the default of other fields"):
        StateGraph(State)


def test_a_dataclass_of_pydantic_has_the_defaults_of_its_fields(way):
    @pydantic_dataclass
    class State:
        log: Annotated[list[str], append] = Field(default_factory=list)
        topic: str = Field("tea")

    def note(state: State) -> dict[str, list[str]]:
        return {"log": [state.topic]}

    assert way.invoke(chain(State, note), {})["log"] == ["tea"]


def test_a_field_of_a_dataclass_can_be_set_back_to_its_default(way, db):
    @dataclass
    class State:
        retries: int = 0
        topic: str = ""

    def up(state: State) -> State:
        return replaced(state, retries=5)

    def back(state: State) -> State:
        state.retries = 0
        return state

    def anew(state: State) -> State:
        return State(topic="tea")

    assert way.invoke(chain(State, up, back), {"topic": "x"})["retries"] == 0
    result = way.invoke(chain(State, up, anew), {"topic": "x"})
    assert (result["retries"], result["topic"]) == (5, "tea"), "what a new object does not say stays"


class View(BaseModel):
    """Less than the state, and a default of its own."""

    topic: str
    style: str = "plain"
    _seen: dict[str, int] = PrivateAttr(default_factory=dict)


def test_what_a_smaller_model_declares_beside_the_state_has_its_default(way):
    class State(TypedDict, total=False):
        topic: str
        style: str

    def look(state: View) -> dict[str, str]:
        state._seen["x"] = 1
        return {"topic": f"{state.topic}, {state.style}"}

    graph = chain(State, look, output_schema=View)
    assert way.invoke(graph, {"topic": "tea"}).value.style == "plain"
    assert way.invoke(graph, {"topic": "tea"})["topic"] == "tea, plain"


# --- what is not there yet ---------------------------------------------------------------------------------------------------


def test_a_run_that_pauses_gives_its_questions_though_the_output_is_not_there_yet(way, db):
    class State(TypedDict, total=False):
        topic: str
        answer: str

    class Out(BaseModel):
        answer: str

    def ask(state: State) -> dict[str, str]:
        return {"answer": interrupt("well?")}

    graph = chain(State, ask, db=db, output_schema=Out)
    paused = way.invoke(graph, {"topic": "tea"}, session_id="s")
    assert paused.status == "paused" and [question.value for question in paused.interrupts] == ["well?"]
    assert way.resume(graph, "s", answer="yes").value == Out(answer="yes")


def test_a_session_of_a_model_is_made_by_update_state(way, db):
    class State(BaseModel):
        topic: str

    graph = chain(State, nothing, db=db)
    way.update_state(graph, "new", {"topic": "tea"})
    assert graph.get_state("new").values.topic == "tea"


# --- types -------------------------------------------------------------------------------------------------------------------


class Item(BaseModel):
    """A thing."""

    name: str


class Box(BaseModel, Generic[T]):
    """A state that is generic."""

    item: T


def test_a_generic_model_has_the_types_it_is_made_with(way, db):
    def look(state: Any) -> dict[str, Any]:
        return {"item": Item(name=state.item.name.upper())}

    graph = chain(Box[Item], look, db=db)
    assert way.invoke(graph, {"item": Item(name="tea")}, session_id="s")["item"] == Item(name="TEA")
    assert graph.get_state("s").values.item == Item(name="TEA")
    with pytest.raises(InvalidUpdate):
        way.invoke(graph, {"item": 3})


def test_a_model_declared_in_a_function_may_name_what_is_declared_there(way):
    class Inner(BaseModel):
        name: str

    class State(BaseModel):
        inner: Inner | None = None
        log: Annotated[list[Inner], append] = []

    given = {"inner": Inner(name="tea"), "log": [Inner(name="x")]}
    result = way.invoke(chain(State, nothing), given)
    assert result["inner"] == Inner(name="tea") and len(result["log"]) == 1


def test_items_may_come_as_any_sequence(way, db):
    class State(TypedDict, total=False):
        names: Annotated[Sequence[str], append]

    def more(state: State) -> dict[str, Any]:
        return {"names": ("b", "c")}

    graph = chain(State, more, db=db)
    assert list(way.invoke(graph, {"names": ("a",)}, session_id="s")["names"]) == ["a", "b", "c"]
    assert list(way.invoke(graph, {"names": ["d"]}, session_id="s")["names"]) == ["a", "b", "c", "d", "b", "c"]


class Plan(TypedDict):
    """Who runs it."""

    user: str
    tier: NotRequired[str]


class Wider(Plan, total=False):
    """With more that need not be given."""

    more: int


@pytest.mark.parametrize("declared", [Plan, Wider])
def test_a_context_may_leave_out_what_is_not_required(way, declared):
    class State(TypedDict, total=False):
        name: str

    def look(state: State, ctx: Context) -> dict[str, str]:
        return {"name": ctx.context["user"]}

    graph = chain(State, look, context_schema=declared)
    assert way.invoke(graph, {}, context={"user": "ann"})["name"] == "ann"
    with pytest.raises(ValueError, match="context has no 'user'"):
        way.invoke(graph, {}, context={"tier": "gold"})


def test_fields_of_types_with_settings_of_their_own_have_a_json_schema():
    class Place(typing_extensions.TypedDict):
        name: str

    class State(BaseModel):
        item: Annotated[Item, Field(description="what it is about")] = Item(name="")
        place: Place | None = None

    properties = chain(State, nothing).input_json_schema()["properties"]
    assert properties.keys() == {"item", "place"}


def test_messages_may_be_written_briefly_where_the_input_is_a_model(way):
    class Talk(BaseModel):
        messages: list[Message]

    class Talking(TypedDict, total=False):
        messages: Annotated[list[Message], add_messages]

    result = way.invoke(chain(Talking, nothing, input_schema=Talk), {"messages": [("user", "hi")]})
    assert [message.text for message in result["messages"]] == ["hi"]


def logged_calls(fn: Any) -> Any:
    """An ordinary decorator."""

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return call


def test_a_node_behind_a_decorator_gets_its_context_and_its_view(way):
    class State(TypedDict, total=False):
        topic: str
        style: str
        log: Annotated[list[str], append]

    @logged_calls
    def node(state: View, ctx: Context) -> dict[str, list[str]]:
        return {"log": [f"{ctx.node}: {state.topic}"]}

    assert way.invoke(chain(State, node), {"topic": "tea"})["log"] == ["node: tea"]


@pytest.mark.parametrize("kind", ["router", "on_error"])
def test_a_function_that_asks_for_more_or_less_than_it_is_given_is_refused(kind):
    class State(TypedDict, total=False):
        topic: str

    builder = StateGraph(State).add_node("a", nothing).add_edge(START, "a")
    with pytest.raises(GraphError, match=r"called with \(state"):
        if kind == "router":
            builder.add_conditional_edges("a", lambda state, config: END, [END])
        else:
            builder.add_node("b", nothing, on_error=lambda state: {})


class Client:
    """What cannot be stored."""


def test_a_default_that_cannot_be_stored_is_made_again(way, db):
    @dataclass
    class State:
        topic: str = ""
        client: Client = field(default_factory=Client)
        ticket: Annotated[str, per_run] = field(default_factory=lambda: uuid4().hex)

    graph = chain(State, nothing, db=db)
    assert isinstance(way.invoke(graph, {"topic": "tea"}, session_id="s")["client"], Client)
    assert way.invoke(graph, {"topic": "cake"}, session_id="s")["topic"] == "cake"


def test_what_a_reducer_makes_goes_through_the_validators_of_the_field(way):
    class State(BaseModel):
        total: Annotated[int, lambda old, new: old + new] = 0

        @field_validator("total")
        @classmethod
        def small(cls, value: int) -> int:
            if value > 10:
                raise ValueError("too much")
            return value

    graph = chain(State, nothing)
    assert way.invoke(graph, {"total": 3})["total"] == 3
    with pytest.raises(InvalidUpdate, match="too much"):
        way.invoke(graph, {"total": 11})


class Address(BaseModel):
    """With a name that is called otherwise in JSON."""

    street: str = Field(alias="Street")


class Visit(BaseModel):
    """An input that holds one."""

    address: Address


def test_models_inside_an_input_are_read_by_their_aliases(way):
    class State(TypedDict, total=False):
        address: Address

    graph = chain(State, nothing, input_schema=Visit)
    assert way.invoke(graph, {"address": {"Street": "Elm"}})["address"].street == "Elm"
    assert way.invoke(graph, Visit(address=Address(Street="Elm")))["address"].street == "Elm"
